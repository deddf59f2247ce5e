/*
 * A process that waits for its child of vfork, which sleeps, where one of them has what could not be brought back: the
 * argument says what. Refused, and both go on.
 */
#include "zdtmlib.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON           1
#endif

enum { SLEEPING = 1, GO = 2 };
enum { CODE = 7, STACK_BYTES = 65536, NAP_S = 600 };

static volatile int *stage;
static volatile pid_t *adopted; /* by the test itself */
static const char *variant;
static volatile pid_t *first_group, *child_pid;
static volatile pid_t *sibling, *orphan; /* older than the child, and what it leaves behind */
static volatile int *has_session;
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

static void leave_orphan(void *unused)
{
	*orphan = test_fork(sleep_for_ever, NULL);
	sleep_for_ever(unused);
}

static void prepare_parent(void)
{
	const struct itimerval timer = { .it_value = { .tv_sec = NAP_S } };
	static char selector; /* no call is caught */

	if (is("siblings")) {
		MUST(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
		*sibling = test_fork(leave_orphan, NULL);
	}
	if (is("continued"))
		*sibling = test_fork(sleep_for_ever, NULL);
	if (is("dispatch") && prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) < 0)
		test_skip("PR_SET_SYSCALL_USER_DISPATCH: %s", strerror(errno));

	if (is("timer"))
		MUST(setitimer(ITIMER_REAL, &timer, NULL));
	if (is("rights"))
		MUST(setuid(1000));
	if (is("seccomp"))
		filter_calls();
	if (is("group"))
		MUST(setpgid(0, 0));
}

static void await_line(pid_t pid, const char *line)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	while (!strstr(test_slurp(path), line))
		usleep(1000);
}

/* What the first process does to those two, which do nothing any more. */
static void change_them(pid_t parent)
{
	char path[64];
	int fd;

	if (is("session"))
		test_await(has_session, 1);
	if (is("siblings")) {
		MUST(kill(*sibling, SIGKILL));
		snprintf(path, sizeof(path), "PPid:\t%d\n", parent);
		await_line(*orphan, path);
	}
	if (is("continued")) {
		MUST(kill(*sibling, SIGSTOP));
		await_line(*sibling, "State:\tT");
		MUST(kill(*sibling, SIGCONT));
		await_line(*sibling, "State:\tS");
	}
	if (is("slack")) {
		snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", parent);
		fd = MUST(open(path, O_WRONLY | O_CLOEXEC));
		MUST(write(fd, "123456", 6));
		MUST(close(fd));
	}
	if (is("stopped")) {
		MUST(kill(*child_pid, SIGSTOP));
		await_line(*child_pid, "State:\tT");
	}
	if (is("leads")) {
		other = test_fork(sleep_for_ever, NULL);
		MUST(setpgid(other, *child_pid));
	}
}

static void change_back(void)
{
	if (is("siblings"))
		MUST(kill(*orphan, SIGKILL));
	if (is("continued"))
		MUST(kill(*sibling, SIGKILL));
	if (is("stopped"))
		MUST(kill(*child_pid, SIGCONT));
	if (other) {
		MUST(kill(other, SIGKILL));
		EXPECT_EQ(test_reap(other), SIGKILL);
	}
}

static int sleep_as_thread(void *unused)
{
	for (;;)
		(void)pause();
	return unused != NULL;
}

static void start_thread(void)
{
	char *stack = MUST(mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

	MUST(clone(sleep_as_thread, stack + STACK_BYTES, flags, NULL));
}

static void take_terminal(void)
{
	int master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), slave, zero = 0;

	MUST(ioctl(master, TIOCSPTLCK, &zero));
	MUST(setsid());
	slave = MUST(ioctl(master, TIOCGPTPEER, O_RDWR));
	MUST(ioctl(slave, TIOCSCTTY, 0));
}

static void log_in(void)
{
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "4711", 4) != 4)
		test_skip("/proc/self/loginuid: %s", strerror(errno));
	MUST(close(fd));
}

static int child(void *unused)
{
	(void)unused;
	if (is("child_threads"))
		start_thread();
	if (is("terminal"))
		take_terminal();
	if (is("login"))
		log_in();
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

/* The child stays in the session that its parent leaves. */
static void *leave_session(void *unused)
{
	test_await(stage, SLEEPING);
	MUST(setsid());
	test_post(has_session, 1);
	for (;;)
		(void)pause();
	return unused;
}

static void start_parent(void)
{
	pthread_t thread;

	if (is("session"))
		EXPECT_EQ(pthread_create(&thread, NULL, leave_session, NULL), 0);

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
	sibling = stage + 4;
	orphan = stage + 5;
	has_session = stage + 6;
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
