/* What programs have in common that scripts do things to: they say how it stands on descriptor 1 and wait for SIGTERM.
 */
#pragma once

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t told;

static void on_term(int signo)
{
	told = signo;
}

static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(3);
}

/* With SIGTERM blocked; open: the mask to wait with. */
static void say_ready_and_wait(const sigset_t *open)
{
	say("READY\n");
	while (!told)
		sigsuspend(open);
}
