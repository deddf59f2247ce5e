/*
 * A process whose first thread has ended while others go on: what can be seen of the dead one, what its end has done
 * and must not do again, and what belongs to the process as a whole. With "death" one of its threads has a child that
 * wants to hear of the end of that thread; with "orphan" one has adopted a process, which with "orphan_death" wants to
 * hear of it.
 */
#include "zdtmlib.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#define EXIT_CODE 7
#define SENTINEL  0x5eed5eed

static pid_t leader, other_tid, own_child, leaders_child, orphans_leader;
static volatile pid_t *orphan; /* shared; NULL: there is none */
static volatile int started, go;
static volatile uint32_t cleared = 1;
static long long blocked; /* by the dead one */

/* A futex that the dead one held: the kernel marks it at its end, and once only. */
static struct {
	struct robust_list_head head;
	struct robust_list entry;
	volatile uint32_t word;
} held;

static const char *slurp_of_leader(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", leader, leader, name);
	return test_slurp(path);
}

static int exit_code_of_leader(void)
{
	return atoi(strrchr(slurp_of_leader("stat"), ' ') + 1);
}

static int make_timer(pid_t tid, int signal)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal };
	const struct itimerspec set = { .it_value = { 2000, 0 } };
	int id;

	event._sigev_un._tid = tid;
	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
	MUST(syscall(SYS_timer_settime, id, 0, &set, NULL));
	return id;
}

static void check_timer(int id, int signal, pid_t tid)
{
	struct itimerspec now;
	char path[48], text[64];

	MUST(syscall(SYS_timer_gettime, id, &now));
	EXPECT(now.it_value.tv_sec > 1900 && now.it_value.tv_sec <= 2000);
	snprintf(path, sizeof(path), "/proc/%d/timers", gettid());
	snprintf(text, sizeof(text), "signal: %d/", signal);
	EXPECT(strstr(test_slurp(path), text));
	snprintf(text, sizeof(text), "signal/tid.%d", tid);
	EXPECT(strstr(test_slurp(path), text));
}

/* A name, a mask and a signal of its own. */
static void *act_other(void *arg)
{
	siginfo_t info;
	sigset_t mask;
	char name[16];

	other_tid = gettid();
	MUST(prctl(PR_SET_NAME, "other"));
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 5);
	EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &mask, NULL), 0);
	MUST(syscall(SYS_tgkill, leader, other_tid, SIGRTMIN + 5));
	test_post(&started, 1);
	test_await(&go, 1);
	EXPECT_EQ(gettid(), other_tid);
	MUST(prctl(PR_GET_NAME, name));
	EXPECT_STR(name, "other");
	EXPECT_EQ(sigwaitinfo(&mask, &info), SIGRTMIN + 5);
	EXPECT_EQ(info.si_pid, leader);
	test_post(&go, 2);
	return arg;
}

static void be_child(void *arg)
{
	if (arg)
		MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	child_wait();
	EXPECT_EQ(getppid(), leader);
}

/* In the session of the one that makes it, which lives. */
static void be_orphan(bool wants_signal)
{
	if (MUST(fork()) != 0)
		_exit(0);
	while (getppid() != leader)
		usleep(500);
	if (wants_signal)
		MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	*orphan = getpid();
	for (;;)
		pause();
}

static void be_leader_with_orphan(void *arg)
{
	pid_t pid;

	MUST(setsid());
	pid = MUST(fork());
	if (pid == 0)
		be_orphan(arg);
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
	while (!*orphan)
		usleep(500);
	child_wait();
}

static void check_orphan(void)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", leader, other_tid);
	snprintf(text, sizeof(text), "%d ", *orphan);
	EXPECT_STR(strstr(test_slurp(path), text), text);
	EXPECT_EQ(getsid(*orphan), orphans_leader);
	EXPECT_EQ(waitpid(*orphan, NULL, WNOHANG), 0);
}

static void end_orphan(void)
{
	MUST(kill(*orphan, SIGKILL));
	EXPECT_EQ(test_reap(*orphan), SIGKILL);
	test_end_child(orphans_leader);
}

static void check_leader(void)
{
	char slack[48];

	EXPECT_EQ(getpid(), leader);
	EXPECT(gettid() != leader);
	EXPECT(strstr(slurp_of_leader("status"), "State:\tZ"));
	EXPECT_STR(strtok((char *)slurp_of_leader("comm"), "\n"), "leader");
	EXPECT_EQ(exit_code_of_leader(), EXIT_CODE << 8);
	EXPECT_EQ(test_field(slurp_of_leader("status"), "NoNewPrivs", 10), 1);
	EXPECT_EQ(test_field(slurp_of_leader("status"), "SigBlk", 16), blocked);
	EXPECT_EQ(getpriority(PRIO_PROCESS, leader), 7);
	snprintf(slack, sizeof(slack), "/proc/%d/timerslack_ns", leader);
	EXPECT_EQ(atoi(test_slurp(slack)), 61234);
}

static void *act(void *arg)
{
	const struct itimerval far = { .it_value = { 3000, 0 } };
	struct itimerval now;
	int timer_of_dead, timer_of_other;
	sigset_t mask;

	while (!strstr(slurp_of_leader("status"), "State:\tZ"))
		usleep(1000);
	EXPECT_EQ(cleared, 0);
	EXPECT_EQ(held.word, FUTEX_OWNER_DIED);
	cleared = SENTINEL;
	held.word = (uint32_t)leader;
	test_await(&started, 1);
	timer_of_dead = make_timer(leader, SIGRTMIN + 2);
	timer_of_other = make_timer(other_tid, SIGRTMIN + 3);
	MUST(setitimer(ITIMER_REAL, &far, NULL));
	MUST(kill(leader, SIGUSR2));
	own_child = test_fork(be_child, arg && !strcmp(arg, "death") ? arg : NULL);
	if (orphan) {
		MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
		orphans_leader = test_fork(be_leader_with_orphan, !strcmp(arg, "orphan_death") ? arg : NULL);
		check_orphan();
	}
	check_leader();
	test_wait();
	check_leader();
	if (orphan) {
		check_orphan();
		end_orphan();
	}
	EXPECT_EQ(cleared, SENTINEL);
	EXPECT_EQ(held.word, leader);
	check_timer(timer_of_dead, SIGRTMIN + 2, leader);
	check_timer(timer_of_other, SIGRTMIN + 3, other_tid);
	MUST(getitimer(ITIMER_REAL, &now));
	EXPECT(now.it_value.tv_sec > 2900);
	MUST(sigpending(&mask));
	EXPECT(sigismember(&mask, SIGUSR2));
	test_post(&go, 1);
	test_await(&go, 2);
	test_end_child(own_child);
	test_end_child(leaders_child);
	exit(test_pass());
	return arg;
}

static void hold_futex(void)
{
	held.head.list.next = &held.entry;
	held.entry.next = &held.head.list;
	held.head.futex_offset = (char *)&held.word - (char *)&held.entry;
	held.word = (uint32_t)leader;
	MUST(syscall(SYS_set_robust_list, &held.head, sizeof(held.head)));
	MUST(syscall(SYS_set_tid_address, &cleared));
}

int main(int argc, char **argv)
{
	pthread_t thread;
	sigset_t mask;

	test_start();
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	leader = getpid();
	if (argc > 1 && !strncmp(argv[1], "orphan", 6))
		orphan = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	leaders_child = test_fork(be_child, NULL);
	EXPECT_EQ(pthread_create(&thread, NULL, act_other, NULL), 0);
	EXPECT_EQ(pthread_create(&thread, NULL, act, argc > 1 ? argv[1] : NULL), 0);
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_NAME, "leader"));
	MUST(setpriority(PRIO_PROCESS, leader, 7));
	MUST(prctl(PR_SET_TIMERSLACK, 61234));
	sigaddset(&mask, SIGRTMIN + 7);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	blocked = test_field(test_slurp("/proc/thread-self/status"), "SigBlk", 16);
	hold_futex();
	syscall(SYS_exit, EXIT_CODE);
	return 1;
}
