#include "security/keyring.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pie/parasite-border.h"

void keyring_user_session_name(const struct task_thread *thread, char *text, size_t size)
{
	(void)snprintf(text, size, "_uid_ses.%u", thread->status.uid[UID_REAL]);
}

/* A restored task inherits that of who restores it, which may well be the one of who dumped it. */
static bool is_ours(int64_t session)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) == session;
}

static int refuse(const struct task *task, const struct task_thread *thread, const char *kind, struct error *err)
{
	const char *name = strrchr(thread->parasite->keyring_name, ';');

	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ", thread %d: has a %s keyring of its own, \"%s\", which cannot be saved",
			 TASK_ARGS(task), thread->tid, kind, name ? name + 1 : "?");
}

int keyrings_check(const struct task *task, const struct task_thread *thread, struct error *err)
{
	const struct parasite_thread *told = thread->parasite;

	if (told->thread_keyring > 0)
		return refuse(task, thread, "thread", err);
	if (told->process_keyring > 0)
		return refuse(task, thread, "process", err);
	if (told->request_keyring == KEY_REQKEY_DEFL_THREAD_KEYRING ||
	    told->request_keyring == KEY_REQKEY_DEFL_PROCESS_KEYRING)
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ", thread %d: has inherited that request_key() puts keys into a thread's "
					     "or process's own keyring, which cannot be brought back",
				 TASK_ARGS(task), thread->tid);
	if (told->session_keyring <= 0 || is_ours(told->session_keyring) ||
	    strstr(told->keyring_name, told->user_session))
		return 0;
	error_hint(err, "dump it from a process with the same session keyring, or start it outside of a login session");
	return refuse(task, thread, "session", err);
}
