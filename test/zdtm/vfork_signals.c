/*
 * Signals that wait for a process which waits for its child of vfork: nothing wakes it, so they are there when it comes
 * out of the call, in their order and with what their senders have said. With "threads" another thread waits beside the
 * first one, which has them blocked. With "stop" it is SIGSTOP, which is refused.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

enum { CODE = 7, STACK_BYTES = 65536, ROUNDS = 3 };
enum { READY = 1, GO = 2 };

static const char *variant;
static volatile int *stage;
static volatile int taken;
static volatile int values[2 * ROUNDS + 4], senders[2 * ROUNDS + 4];
static pid_t tester;

static bool is(const char *name)
{
	return strcmp(variant, name) == 0;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (taken < (int)(sizeof(values) / sizeof(values[0]))) {
		values[taken] = info->si_value.sival_int;
		senders[taken] = info->si_pid;
	}
	taken++;
}

static void handle(int signal)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	/* One after the other. */
	(void)sigfillset(&action.sa_mask);
	MUST(sigaction(signal, &action, NULL));
}

static int sleep_in_vfork(void *unused)
{
	(void)unused;
	test_post(stage, READY);
	test_await(stage, GO);
	EXPECT_EQ(taken, 0);
	_exit(CODE);
}

static pid_t make_child(void)
{
	char *stack = MUST(mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	return MUST(clone(sleep_in_vfork, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL));
}

static void *wait_beside(void *unused)
{
	test_await(stage, GO);
	return unused;
}

/* A thread that takes none of the signals, from its first moment on. */
static pthread_t start_beside(void)
{
	pthread_t thread;
	sigset_t set, old;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGRTMIN);
	EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
	EXPECT_EQ(pthread_create(&thread, NULL, wait_beside, NULL), 0);
	EXPECT_EQ(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
	return thread;
}

static void run_parent(void)
{
	pthread_t thread = 0;
	pid_t pid;

	handle(SIGUSR1);
	handle(SIGRTMIN);
	if (is("threads"))
		thread = start_beside();
	pid = make_child();
	EXPECT_EQ(taken, is("stop") ? 0 : 2 + 2 * ROUNDS);
	for (int i = 0; i < taken; i++)
		EXPECT_EQ(senders[i], tester);
	/* Those for the thread before those for the process, and of these the lower number first. */
	for (int i = 0; i < ROUNDS && taken; i++) {
		EXPECT_EQ(values[1 + i], 100 + i);
		EXPECT_EQ(values[2 + ROUNDS + i], i);
	}
	if (is("threads"))
		EXPECT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(test_reap(pid), CODE << 8);
	_exit(0);
}

static void send_to_thread(pid_t pid, int signal, int value)
{
	siginfo_t info = { .si_signo = signal, .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_value.sival_int = value;
	MUST(syscall(SYS_rt_tgsigqueueinfo, pid, pid, signal, &info));
}

static void send_signals(pid_t pid)
{
	MUST(syscall(SYS_tgkill, pid, pid, SIGUSR1));
	MUST(kill(pid, SIGUSR1));
	for (int i = 0; i < ROUNDS; i++) {
		MUST(sigqueue(pid, SIGRTMIN, (union sigval){ .sival_int = i }));
		send_to_thread(pid, SIGRTMIN, 100 + i);
	}
}

int main(int argc, char **argv)
{
	pid_t parent;

	variant = argc > 1 ? argv[1] : "process";
	test_start();
	tester = getpid();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	parent = MUST(fork());
	if (parent == 0)
		run_parent();
	test_await(stage, READY);
	if (is("stop"))
		MUST(kill(parent, SIGSTOP));
	else
		send_signals(parent);
	test_wait();
	if (is("stop"))
		MUST(kill(parent, SIGCONT));
	test_post(stage, GO);
	EXPECT_EQ(test_reap(parent), 0);
	return test_pass();
}
