/*
 * The order of a parent's children, in which wait(2) finds those that have ended or stopped and /proc lists all: by
 * birth, and by adoption. Among them such that a restore makes in other ways: ended and stopped ones, sessions and
 * groups of their own, orphans whose session's leader has ended or is alive, forked before the parent started its
 * session. With an argument what cannot be made again that way: an orphan, with a warning, and a child, which is
 * refused.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/prctl.h>

enum { MOST = 32 };

static struct shared {
	volatile int born, orphaned, left;
	volatile pid_t orphan;
} * shared;

static int count;

static void wait_here(void *arg)
{
	(void)arg;
	child_wait();
}

static void lead_session(void *arg)
{
	(void)arg;
	MUST(setsid());
	child_wait();
}

static void make_orphan(void)
{
	pid_t pid = MUST(fork());

	if (pid)
		return;
	shared->orphan = getpid();
	test_post(&shared->born, 1);
	child_wait();
	_exit(0);
}

/* Says first that it is ready: the orphan would do it otherwise, perhaps when nobody listens any more. */
static void leave_orphan(void *arg)
{
	(void)arg;
	child_ready();
	make_orphan();
	test_await(&shared->born, 1);
	_exit(0);
}

/* Its leader ends at once, and leaves an orphan. */
static void leave_session(void *arg)
{
	MUST(setsid());
	leave_orphan(arg);
}

/* A session whose leader lives on; a child of it ends and leaves an orphan. */
static void keep_session(void *arg)
{
	(void)arg;
	MUST(setsid());
	EXPECT_EQ(test_reap(test_fork(leave_orphan, NULL)), 0);
	child_wait();
}

static void take_orphan(void)
{
	EXPECT(shared->orphan > 0);
	test_until_asleep(shared->orphan, shared->orphan);
	shared->orphan = 0;
	shared->born = 0;
	count++;
}

static void add_ended(int status)
{
	siginfo_t info;
	pid_t pid = MUST(fork());

	if (pid == 0)
		_exit(status);
	MUST(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	count++;
}

static void add_stopped(void)
{
	siginfo_t info;
	pid_t pid = MUST(fork());

	if (pid == 0) {
		raise(SIGSTOP);
		child_wait();
		_exit(0);
	}
	MUST(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT));
	count++;
}

static void add(void (*act)(void *))
{
	test_fork(act, NULL);
	count++;
}

static void read_children(char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	snprintf(text, size, "%s", test_slurp(path));
}

static void check_ends(const char *order)
{
	for (int i = 0; i < count; i++) {
		pid_t pid = (pid_t)strtol(order, (char **)&order, 10);
		siginfo_t info = { 0 };

		/* All are dead or stopped by now: the first one is found. */
		MUST(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL));
		EXPECT_EQ(info.si_pid, pid);
		if (info.si_code == CLD_STOPPED) {
			MUST(kill(pid, SIGKILL));
			MUST(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
		}
		(void)test_reap(pid);
	}
}

static void stop_all(const char *order)
{
	siginfo_t info;

	for (int i = 0; i < count; i++) {
		pid_t pid = (pid_t)strtol(order, (char **)&order, 10);

		MUST(kill(pid, SIGSTOP));
		MUST(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT));
	}
}

static void parent(void *arg)
{
	char before[512], after[512];

	(void)arg;
	count = 0;
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	add(lead_session);
	add(wait_here);
	MUST(setsid());
	add_stopped();
	add_ended(1);
	add(wait_here);
	test_reap(test_fork(leave_session, NULL));
	take_orphan();
	add(keep_session);
	take_orphan();
	add(lead_session);
	add_ended(2);
	add_stopped();
	add(wait_here);
	test_reap(test_fork(leave_session, NULL));
	take_orphan();
	add(wait_here);
	add_ended(3);
	add_stopped();
	add(wait_here);
	read_children(before, sizeof(before));
	child_wait();
	read_children(after, sizeof(after));
	EXPECT_STR(after, before);
	stop_all(after);
	check_ends(after);
	EXPECT_EQ(waitpid(-1, NULL, 0), -1);
}

static void leave_orphan_late(void *arg)
{
	(void)arg;
	child_ready();
	test_await(&shared->left, 1);
	make_orphan();
	test_await(&shared->born, 1);
	_exit(0);
}

/*
 * An orphan from the session that its parent had left when it made another child: a restore makes it before that. Both
 * are there, in any order.
 */
static void leave_behind(void)
{
	char children[512];
	pid_t pid, other;

	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = test_fork(leave_orphan_late, NULL);
	MUST(setsid());
	other = test_fork(wait_here, NULL);
	test_post(&shared->left, 1);
	EXPECT_EQ(test_reap(pid), 0);
	pid = shared->orphan;
	take_orphan();
	child_wait();
	read_children(children, sizeof(children));
	EXPECT_EQ(getsid(pid), getsid(getppid()));
	EXPECT_EQ(getsid(other), getpid());
	EXPECT_EQ(strtol(strchr(children, ' '), NULL, 10) + strtol(children, NULL, 10), pid + other);
	test_end_child(pid);
	test_end_child(other);
}

static const char *cmdline(pid_t pid)
{
	static char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	return test_slurp(path) + sizeof("children_order");
}

static void wait_forever(void)
{
	for (;;)
		pause();
}

static pid_t start(long flags, pid_t *where)
{
	return MUST(syscall(SYS_clone, flags | CLONE_PARENT_SETTID, NULL, where, NULL, NULL));
}

/* A child in the session of a sibling, which has made it and has got another exit signal by execve(2) since. */
static void have_sibling_made(void)
{
	volatile pid_t *made = &shared->orphan;
	pid_t sibling;

	signal(SIGUSR1, SIG_IGN);
	sibling = start(SIGUSR1, NULL);
	if (sibling == 0) {
		MUST(setsid());
		if (start(CLONE_PARENT, (pid_t *)made) == 0)
			wait_forever();
		MUST(execl("/proc/self/exe", "children_order", "wait", NULL));
	}
	while (!*made || !strstr(cmdline(sibling), "wait"))
		usleep(1000);
	child_wait();
	MUST(kill(sibling, SIGKILL));
	MUST(kill(*made, SIGKILL));
	EXPECT_EQ(waitpid(sibling, NULL, 0), sibling);
	EXPECT_EQ(waitpid(*made, NULL, __WCLONE), *made);
}

static void parent_of(void *what)
{
	if (strcmp(what, "left") == 0)
		leave_behind();
	else
		have_sibling_made();
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "wait") == 0)
		wait_forever();
	test_start();
	shared = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	count = 0;
	pid_t pid = argc > 1 ? test_fork(parent_of, argv[1]) : test_fork(parent, NULL);
	test_wait();
	test_end_child(pid);
	return test_pass();
}
