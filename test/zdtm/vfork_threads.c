/*
 * A process with threads one of which waits for its child of vfork, which sleeps: the first one, or with "other" one
 * beside it. The others sleep in calls of several kinds, with "busy" for a time, or run; each goes on with what it had,
 * and the one that waits comes out of its call with the child's pid. With "spawn" the C library's posix_spawn() waits
 * for a FIFO that its child opens. With "two" two of them wait, which is refused.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum { CODE = 7, STACK_BYTES = 65536, NICE = 6, SHORT_MS = 2500, FD_FIFO = 9 };
typedef void *(*action)(void *);

enum { EPOLL_MS = 60000, MANY = 20, ORDINARY = 4 };

static const char *variant;
static volatile int *asleep, *go; /* shared with the test itself */
static volatile int memory;       /* of the process and its child */
static volatile uint64_t turns;
static volatile int is_over;
static int wake[2];
static __thread int own_number;
static volatile pid_t sibling, epoll_tid;
extern char **environ;

static bool is(const char *name)
{
	return strcmp(variant, name) == 0;
}

static void on_signal(int signal)
{
	(void)signal;
}

/* --- who waits --------------------------------------------------------------------------------------------------- */

static int sleep_in_vfork(void *unused)
{
	(void)unused;
	(void)__atomic_add_fetch(&memory, 1, __ATOMIC_SEQ_CST);
	MUST(close(wake[0]));
	(void)__atomic_add_fetch(asleep, 1, __ATOMIC_SEQ_CST);
	test_post(asleep, *asleep);
	test_await(go, 1);
	EXPECT(fcntl(wake[0], F_GETFD) < 0);
	(void)__atomic_add_fetch(&memory, 1, __ATOMIC_SEQ_CST);
	_exit(CODE);
}

static void wait_in_vfork(void)
{
	char *stack = MUST(mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	stack_t own = { .ss_sp = malloc(STACK_BYTES), .ss_size = STACK_BYTES }, found;
	pid_t pid, tid_before = (pid_t)syscall(SYS_gettid);
	char name[16] = "";

	own_number = tid_before;
	MUST(prctl(PR_SET_NAME, "waiter", 0, 0, 0));
	MUST(sigaltstack(&own, NULL));
	pid = MUST(clone(sleep_in_vfork, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL));
	EXPECT_EQ(syscall(SYS_gettid), tid_before);
	EXPECT_EQ(own_number, tid_before);
	MUST(prctl(PR_GET_NAME, name, 0, 0, 0));
	EXPECT_STR(name, "waiter");
	MUST(sigaltstack(NULL, &found));
	EXPECT(found.ss_sp == own.ss_sp);
	/* Its own child, which other threads have not. */
	EXPECT_EQ(waitpid(pid, &own_number, __WNOTHREAD), pid);
	EXPECT_EQ(own_number, CODE << 8);
}

static void wait_in_spawn(void)
{
	char *args[] = { "sh", "-c", "read word <&9; test \"$word\" = word && exit 7", NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	(void)__atomic_add_fetch(&memory, 1, __ATOMIC_SEQ_CST);
	EXPECT_EQ(posix_spawn_file_actions_init(&actions), 0);
	EXPECT_EQ(posix_spawn_file_actions_addopen(&actions, FD_FIFO, "fifo", O_RDONLY, 0), 0);
	test_post(asleep, *asleep + 1);
	EXPECT_EQ(posix_spawn(&pid, "/bin/sh", &actions, NULL, args, environ), 0);
	EXPECT_EQ(test_reap(pid), CODE << 8);
	(void)__atomic_add_fetch(&memory, 1, __ATOMIC_SEQ_CST);
}

static void *wait_for_child(void *unused)
{
	(void)unused;
	if (is("spawn"))
		wait_in_spawn();
	else
		wait_in_vfork();
	return NULL;
}

/* --- the other threads ------------------------------------------------------------------------------------------- */

static void *sleep_in_futex(void *unused)
{
	own_number = 1;
	test_await(go, 1);
	EXPECT_EQ(own_number, 1);
	return unused;
}

static void *sleep_in_epoll(void *unused)
{
	struct epoll_event event = { .events = EPOLLIN }, found;
	int fd = MUST(epoll_create1(0));

	epoll_tid = (pid_t)syscall(SYS_gettid);
	MUST(epoll_ctl(fd, EPOLL_CTL_ADD, wake[0], &event));
	EXPECT_EQ(epoll_wait(fd, &found, 1, is("busy") ? EPOLL_MS : -1), 1);
	return unused;
}

static void *sleep_for_a_time(void *unused)
{
	const struct timespec time = { .tv_sec = SHORT_MS / 1000, .tv_nsec = SHORT_MS % 1000 * 1000000 };
	struct timespec before, after;
	int64_t passed_ms;

	MUST(clock_gettime(CLOCK_MONOTONIC, &before));
	EXPECT_EQ(nanosleep(&time, NULL), 0);
	MUST(clock_gettime(CLOCK_MONOTONIC, &after));
	passed_ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	EXPECT(passed_ms >= SHORT_MS);
	return unused;
}

static void *run(void *unused)
{
	register uint64_t before = 0;

	EXPECT_EQ(setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE), 0);
	MUST(prctl(PR_SET_TIMERSLACK, 70000, 0, 0, 0));
	while (!is_over) {
		const struct timespec pause = { .tv_nsec = 1000000 };

		before++;
		turns++;
		EXPECT_EQ(turns, before);
		(void)nanosleep(&pause, NULL);
	}
	EXPECT_EQ(getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid)), NICE);
	EXPECT_EQ(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), 70000);
	return unused;
}

/* Blocked and for this thread alone. */
static void *keep_signal(void *unused)
{
	const struct timespec now = { 0 };
	siginfo_t info;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	EXPECT_EQ(pthread_kill(pthread_self(), SIGUSR2), 0);
	test_await(go, 1);
	EXPECT_EQ(sigtimedwait(&set, &info, &now), SIGUSR2);
	EXPECT_EQ(info.si_pid, getpid());
	return unused;
}

/* A child of a thread beside the first. */
static void wait_as_sibling(void *unused)
{
	(void)unused;
	child_wait();
}

static void *have_child(void *unused)
{
	sibling = test_fork(wait_as_sibling, NULL);
	test_await(go, 1);
	test_end_child(sibling);
	return unused;
}

static void run_parent(void)
{
	static const action acts[] = { have_child, sleep_in_futex, sleep_in_epoll, keep_signal, sleep_for_a_time, run };
	const size_t count = is("many") ? ORDINARY + MANY : is("busy") ? ORDINARY + 2 : ORDINARY;
	pthread_t threads[ORDINARY + MANY], waiter[2];
	const size_t waiters = is("first") ? 0 : is("two") ? 2 : 1;

	MUST(pipe(wake));
	MUST(signal(SIGUSR1, on_signal) == SIG_ERR ? -1 : 0);
	for (size_t i = 0; i < count; i++)
		EXPECT_EQ(
		    pthread_create(&threads[i], NULL, i < ORDINARY || is("busy") ? acts[i] : sleep_in_futex, NULL), 0);
	while (!sibling || !epoll_tid)
		(void)usleep(1000);
	test_until_asleep(getpid(), epoll_tid);
	for (size_t i = 0; i < waiters; i++)
		EXPECT_EQ(pthread_create(&waiter[i], NULL, wait_for_child, NULL), 0);
	if (!waiters)
		(void)wait_for_child(NULL);
	for (size_t i = 0; i < waiters; i++)
		EXPECT_EQ(pthread_join(waiter[i], NULL), 0);
	EXPECT_EQ(memory, is("two") ? 4 : 2);
	is_over = 1;
	EXPECT_EQ(write(wake[1], "", 1), 1);
	for (size_t i = 0; i < count; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t parent;

	variant = argc > 1 ? argv[1] : "first";
	test_start();
	asleep = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	go = asleep + 1;
	MUST(mkfifo("fifo", 0600));
	parent = MUST(fork());
	if (parent == 0)
		run_parent();
	test_await(asleep, is("two") ? 2 : 1);
	(void)usleep(50000);
	test_wait();
	test_post(go, 1);
	if (is("spawn"))
		EXPECT_EQ(write(MUST(open("fifo", O_WRONLY)), "word\n", 5), 5);
	EXPECT_EQ(test_reap(parent), 0);
	return test_pass();
}
