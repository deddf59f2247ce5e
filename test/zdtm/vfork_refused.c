/*
 * A process that waits for its child of vfork, which sleeps, where one of them has what could not be brought back: the
 * argument says what. Refused, and both go on.
 */
#include "zdtmlib.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>

enum { SLEEPING = 1, GO = 2 };
enum { CODE = 7, STACK_BYTES = 65536, NAP_S = 600 };

static volatile int *stage;
static volatile pid_t *adopted; /* by the test itself */
static const char *variant;
static volatile pid_t *first_group, *child_pid;
static pid_t grandchild, other;
static volatile int is_different;

static bool is(const char *name)
{
	return strcmp(variant, name) == 0;
}

static void sleep_for_ever(void *unused)
{
	(void)unused;
	child_ready();
	for (;;)
		(void)pause();
}

static void lock_file(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	int fd = MUST(open("locked", O_RDWR | O_CREAT, 0600));

	MUST(fcntl(fd, F_SETLK, &lock));
}

static void filter_calls(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };

	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

static void prepare_parent(void)
{
	const struct itimerval timer = { .it_value = { .tv_sec = NAP_S } };

	if (is("timer"))
		MUST(setitimer(ITIMER_REAL, &timer, NULL));
	if (is("rights"))
		MUST(setuid(1000));
	if (is("seccomp"))
		filter_calls();
	if (is("group"))
		MUST(setpgid(0, 0));
}

/* What the first process does to those two, which do nothing any more. */
static void change_them(pid_t parent)
{
	char path[64];
	int fd;

	if (is("slack")) {
		snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", parent);
		fd = MUST(open(path, O_WRONLY | O_CLOEXEC));
		MUST(write(fd, "123456", 6));
		MUST(close(fd));
	}
	if (is("stopped")) {
		MUST(kill(*child_pid, SIGSTOP));
		snprintf(path, sizeof(path), "/proc/%d/status", *child_pid);
		while (!strstr(test_slurp(path), "State:\tT"))
			usleep(1000);
	}
	if (is("leads")) {
		other = test_fork(sleep_for_ever, NULL);
		MUST(setpgid(other, *child_pid));
	}
}

static void change_back(void)
{
	if (is("stopped"))
		MUST(kill(*child_pid, SIGCONT));
	if (other) {
		MUST(kill(other, SIGKILL));
		EXPECT_EQ(test_reap(other), SIGKILL);
	}
}

static int child(void *unused)
{
	(void)unused;
	if (is("children"))
		grandchild = test_fork(sleep_for_ever, NULL);
	if (is("epoll"))
		MUST(epoll_create1(0));
	if (is("lock"))
		lock_file();
	if (is("child_seccomp"))
		filter_calls();
	if (is("root"))
		MUST(chroot("."));
	if (is("group"))
		MUST(setpgid(0, *first_group));
	if (is("leads"))
		MUST(setpgid(0, 0));
	*child_pid = getpid();
	if (is("switch"))
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	test_post(stage, SLEEPING);
	test_await(stage, GO);
	if (grandchild) {
		MUST(kill(grandchild, SIGKILL));
		EXPECT_EQ(test_reap(grandchild), SIGKILL);
	}
	_exit(CODE);
}

static void run_parent(void)
{
	char *stack = MUST(mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
	int pidfd = -1;
	pid_t pid;

	if (is("table"))
		flags |= CLONE_FILES;
	if (is("handlers"))
		flags |= CLONE_SIGHAND;
	if (is("pidfd"))
		flags |= CLONE_PIDFD;
	prepare_parent();
	if (is("parent"))
		flags |= CLONE_PARENT;
	if (is("memory"))
		flags &= ~CLONE_VM;
	pid = MUST(clone(child, stack + STACK_BYTES, flags, NULL, &pidfd));
	if (is("parent"))
		*adopted = pid;
	else
		EXPECT_EQ(test_reap(pid), CODE << 8);
	_exit(0);
}

static void *run_thread(void *unused)
{
	(void)unused;
	/* Until the first one has ended. */
	(void)usleep(50000);
	run_parent();
	return NULL;
}

static void *sleep_differently(void *unused)
{
	MUST(setfsuid(1));
	is_different = 1;
	for (;;)
		(void)pause();
	return unused;
}

static void start_parent(void)
{
	pthread_t thread;

	if (is("leader")) {
		EXPECT_EQ(pthread_create(&thread, NULL, run_thread, NULL), 0);
		(void)syscall(SYS_exit, 0);
	}
	if (is("threads")) {
		EXPECT_EQ(pthread_create(&thread, NULL, sleep_differently, NULL), 0);
		while (!is_different)
			(void)usleep(1000);
	}
	run_parent();
}

int main(int argc, char **argv)
{
	pid_t parent;

	variant = argc > 1 ? argv[1] : "";
	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	adopted = stage + 1;
	first_group = stage + 2;
	child_pid = stage + 3;
	*first_group = getpgrp();
	parent = MUST(fork());
	if (parent == 0)
		start_parent();
	test_await(stage, SLEEPING);
	change_them(parent);
	test_wait();
	change_back();
	test_post(stage, GO);
	EXPECT_EQ(test_reap(parent), 0);
	if (is("parent"))
		EXPECT_EQ(test_reap(*adopted), CODE << 8);
	return test_pass();
}
