/* A process that waits inside a handler on its alternate stack, with SS_AUTODISARM in a second case, and one that has
 * only the flag. */
#include "zdtmlib.h"

#include <sys/mman.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static char *area;
static volatile int handled;

static void on_signal(int signo, siginfo_t *info, void *context)
{
	volatile char here[512];
	stack_t stack;

	(void)context;
	memset((char *)here, signo, sizeof(here));
	EXPECT((char *)here > area && (char *)here < area + 65536);
	test_wait();
	EXPECT_EQ(sigaltstack(NULL, &stack), 0);
	EXPECT(stack.ss_sp == area);
	EXPECT_EQ(stack.ss_size, 65536);
	EXPECT_EQ(stack.ss_flags, SS_ONSTACK);
	EXPECT_EQ(here[511], signo);
	EXPECT_EQ(info->si_value.sival_int, 99);
	handled = 1;
}

static void on_disarmed(int signo)
{
	stack_t stack;

	(void)signo;
	EXPECT_EQ(sigaltstack(NULL, &stack), 0);
	EXPECT_EQ(stack.ss_flags, SS_DISABLE);
	child_wait();
	EXPECT_EQ(sigaltstack(NULL, &stack), 0);
	EXPECT_EQ(stack.ss_flags, SS_DISABLE);
	handled = 2;
}

static void child(void *arg)
{
	stack_t stack = { .ss_sp = area, .ss_size = 65536, .ss_flags = (int)SS_AUTODISARM };
	struct sigaction action = { .sa_handler = on_disarmed, .sa_flags = SA_ONSTACK };

	(void)arg;
	MUST(sigaltstack(&stack, NULL));
	MUST(sigaction(SIGUSR1, &action, NULL));
	MUST(raise(SIGUSR1));
	EXPECT_EQ(handled, 2);
	EXPECT_EQ(sigaltstack(NULL, &stack), 0);
	EXPECT(stack.ss_sp == area);
	EXPECT_EQ((unsigned int)stack.ss_flags, SS_AUTODISARM);
}

/* Nothing is on it while the checkpoint looks. */
static void armed(void *arg)
{
	stack_t stack = { .ss_sp = area, .ss_size = 65536, .ss_flags = (int)SS_AUTODISARM };

	(void)arg;
	MUST(sigaltstack(&stack, NULL));
	child_wait();
	EXPECT_EQ(sigaltstack(NULL, &stack), 0);
	EXPECT(stack.ss_sp == area);
	EXPECT_EQ((unsigned int)stack.ss_flags, SS_AUTODISARM);
}

/* As execve() leaves it. */
static void flag_alone(void *arg)
{
	stack_t stack = { .ss_flags = (int)(SS_AUTODISARM | SS_DISABLE) };

	(void)arg;
	MUST(sigaltstack(&stack, NULL));
	child_wait();
	EXPECT_EQ(sigaltstack(NULL, &stack), 0);
	EXPECT_EQ((unsigned int)stack.ss_flags, SS_AUTODISARM | SS_DISABLE);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO };
	stack_t stack = { .ss_size = 65536 };
	union sigval value = { .sival_int = 99 };
	pid_t pid, flag_pid, armed_pid;

	test_start();
	area = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	pid = test_fork(child, NULL);
	flag_pid = test_fork(flag_alone, NULL);
	armed_pid = test_fork(armed, NULL);
	stack.ss_sp = area;
	MUST(sigaltstack(&stack, NULL));
	MUST(sigaction(SIGUSR1, &action, NULL));
	MUST(sigqueue(getpid(), SIGUSR1, value));
	EXPECT_EQ(handled, 1);
	EXPECT_EQ(sigaltstack(NULL, &stack), 0);
	EXPECT_EQ(stack.ss_flags, 0);
	test_end_child(pid);
	test_end_child(flag_pid);
	test_end_child(armed_pid);
	return test_pass();
}
