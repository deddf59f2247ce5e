/*
 * Children made by a thread that is not the first one: living ones, zombies that exited or were killed, a zombie with
 * another signal for its end, one in a session of its own with a child, one whose maker has ended. All threads of the
 * parent can wait for them; with __WNOTHREAD the very one alone. With an argument there are many older threads besides.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>

enum { MANY = 60 };

struct maker {
	int number; /* of the thread, by its start */
	volatile int state;
	volatile pid_t tid;
	pid_t live, exited, killed, cloned, leader;
	int birth_slack;
};

static struct maker makers[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
static pid_t of_first, of_ended, early;
static volatile pid_t *grandchild; /* shared */
static bool has_login;

static const char *children_of(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", tid);
	return test_slurp(path);
}

static bool has_child(pid_t tid, pid_t pid)
{
	char *end;

	for (const char *at = children_of(tid); *at; at = end + 1)
		if (strtol(at, &end, 10) == pid)
			return true;
	return false;
}

static pid_t make_sleeper(void)
{
	pid_t pid = MUST(fork());

	if (pid)
		return pid;
	signal(SIGTERM, SIG_DFL);
	for (;;)
		pause();
}

static pid_t make_leader(void)
{
	pid_t pid = MUST(fork());

	if (pid)
		return pid;
	MUST(setsid());
	*grandchild = make_sleeper();
	for (;;)
		pause();
}

static void make_children(struct maker *maker)
{
	siginfo_t info;

	maker->birth_slack = prctl(PR_GET_TIMERSLACK);
	MUST(prctl(PR_SET_TIMERSLACK, 7000 + maker->number));
	maker->live = make_sleeper();
	MUST(prctl(PR_SET_TIMERSLACK, 8000 + maker->number));
	maker->exited = MUST(fork());
	if (maker->exited == 0)
		_exit(33 + maker->number);
	maker->killed = MUST(fork());
	if (maker->killed == 0) {
		signal(SIGUSR1, SIG_DFL);
		raise(SIGUSR1);
		_exit(1);
	}
	maker->cloned = MUST(syscall(SYS_clone, SIGUSR2, NULL, NULL, NULL, NULL));
	if (maker->cloned == 0)
		_exit(44);
	MUST(waitid(P_PID, maker->exited, &info, WEXITED | WNOWAIT));
	MUST(waitid(P_PID, maker->killed, &info, WEXITED | WNOWAIT));
	MUST(waitid(P_PID, maker->cloned, &info, WEXITED | WNOWAIT | __WCLONE));
	*grandchild = 0;
	maker->leader = make_leader();
	while (!*grandchild)
		usleep(500);
}

static void check_lists(const struct maker *maker)
{
	const pid_t pids[] = { maker->live, maker->exited, maker->killed, maker->cloned, maker->leader };
	char expected[96] = "";

	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		EXPECT(has_child(maker->tid, pids[i]));
		snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%d ", pids[i]);
	}
	/* The first thread has one before these and one behind them. */
	if (maker->number)
		EXPECT_STR(children_of(maker->tid), expected);
	else
		EXPECT(strstr(children_of(maker->tid), expected));
}

/* What threads have from the one that starts them; their makers are started in another way. */
static void check_own(void)
{
	char name[16];

	MUST(prctl(PR_GET_NAME, name));
	EXPECT_STR(name, "maker");
	EXPECT_EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
	if (has_login)
		EXPECT_STR(test_slurp("/proc/thread-self/loginuid"), "4321");
}

/* What they go back to is what their creator had. */
static void check_slacks(const struct maker *maker)
{
	char path[48], text[16] = "";
	int fd;

	EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 8000 + maker->number);
	MUST(prctl(PR_SET_TIMERSLACK, 0));
	EXPECT_EQ(prctl(PR_GET_TIMERSLACK), maker->birth_slack);
	snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", maker->live);
	fd = MUST(open(path, O_RDWR));
	EXPECT_EQ(write(fd, "0", 1), 1);
	EXPECT(pread(fd, text, sizeof(text) - 1, 0) > 0);
	EXPECT_EQ(atoi(text), 7000 + maker->number);
	close(fd);
}

static void check_waits(const struct maker *maker)
{
	int status = 0;

	check_own();
	check_slacks(maker);
	for (int i = 0; i < 3; i++)
		if (i != maker->number) {
			EXPECT_EQ(waitpid(makers[i].exited, &status, __WALL | __WNOTHREAD | WNOHANG), -1);
			EXPECT_EQ(errno, ECHILD);
		}
	EXPECT_EQ(waitpid(maker->exited, &status, __WNOTHREAD), maker->exited);
	EXPECT_EQ(status, (33 + maker->number) << 8);
	EXPECT_EQ(waitpid(maker->cloned, NULL, 0), -1);
	EXPECT_EQ(errno, ECHILD);
	EXPECT_EQ(waitpid(maker->cloned, &status, __WCLONE | __WNOTHREAD), maker->cloned);
	EXPECT_EQ(status, 44 << 8);
	EXPECT_EQ(waitpid(maker->live, NULL, WNOHANG | __WNOTHREAD), 0);
}

static void *act(void *arg)
{
	struct maker *maker = arg;

	maker->tid = gettid();
	if (maker->number == 1)
		early = make_sleeper();
	test_post(&maker->state, 1);
	test_await(&maker->state, 2);
	if (maker->number == 1) {
		EXPECT(has_child(maker->tid, early));
		MUST(kill(early, SIGKILL));
		EXPECT_EQ(test_reap(early), SIGKILL);
	}
	make_children(maker);
	test_post(&maker->state, 3);
	test_await(&maker->state, 4);
	check_waits(maker);
	test_post(&maker->state, 5);
	return NULL;
}

/* Its child goes to the first thread. */
static void *act_shortly(void *arg)
{
	of_ended = make_sleeper();
	return arg;
}

static void check_process(void)
{
	EXPECT(has_child(getpid(), of_first));
	EXPECT(has_child(getpid(), of_ended));
	EXPECT_EQ(waitpid(of_ended, NULL, WNOHANG | __WNOTHREAD), 0);
	for (int i = 0; i < 3; i++) {
		check_lists(&makers[i]);
		EXPECT_EQ(waitpid(makers[i].live, NULL, WNOHANG), 0);
	}
}

static void end(pid_t pid)
{
	MUST(kill(pid, SIGKILL));
	EXPECT_EQ(test_reap(pid), SIGKILL);
}

/* Not where the kernel has no audit, or keeps what was set once. */
static bool set_login(void)
{
	int fd = open("/proc/self/loginuid", O_WRONLY);
	bool is_set = fd >= 0 && write(fd, "4321", 4) == 4;

	close(fd);
	return is_set;
}

static void *sleep_on(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[3], thread;
	pthread_attr_t attributes;
	sigset_t set;

	test_start();
	grandchild = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST(prctl(PR_SET_NAME, "maker"));
	MUST(personality(ADDR_NO_RANDOMIZE));
	has_login = set_login();
	makers[0].tid = getpid();
	of_first = make_sleeper();
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (int i = 0; argc > 1 && i < MANY; i++)
		EXPECT_EQ(pthread_create(&thread, &attributes, sleep_on, NULL), 0);
	for (int i = 1; i < 3; i++) {
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, &makers[i]), 0);
		test_await(&makers[i].state, 1);
	}
	for (int i = 2; i > 0; i--) {
		test_post(&makers[i].state, 2);
		test_await(&makers[i].state, 3);
	}
	make_children(&makers[0]);
	EXPECT_EQ(pthread_create(&thread, NULL, act_shortly, NULL), 0);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	check_process();
	test_wait();
	check_process();
	EXPECT_EQ(waitpid(makers[1].live, NULL, WNOHANG | __WNOTHREAD), -1);
	EXPECT_EQ(errno, ECHILD);
	check_waits(&makers[0]);
	for (int i = 1; i < 3; i++) {
		test_post(&makers[i].state, 4);
		test_await(&makers[i].state, 5);
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(test_reap(makers[i].killed), SIGUSR1);
		end(makers[i].live);
		end(makers[i].leader);
	}
	end(of_first);
	end(of_ended);
	EXPECT_EQ(waitpid(-1, NULL, __WALL), -1);
	EXPECT_EQ(errno, ECHILD);
	return test_pass();
}
