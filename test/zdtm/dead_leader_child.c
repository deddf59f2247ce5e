/*
 * A child whose first thread has ended while others go on. Its parent hears nothing before all have ended, and then how
 * the last one did. The argument says what it is besides: stopped, filtered (by a seccomp filter that forbids the end
 * of a thread), user (without rights), crowd (of threads), many (such children).
 */
#include "zdtmlib.h"

#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define LAST_CODE 9
#define CROWD     40
#define MANY      20

static const char *what;
static volatile int *go, *ready; /* shared with the parent */
static pid_t leader;

/* exit(2) fails, exit_group(2) does not. */
static void forbid_exit(void)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(instructions) / sizeof(instructions[0]), instructions };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
}

static void wait_for_end_of_leader(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", leader, leader);
	while (!strstr(test_slurp(path), "State:\tZ"))
		usleep(1000);
}

static void *act(void *arg)
{
	wait_for_end_of_leader();
	if (!strcmp(what, "filtered"))
		forbid_exit();
	test_post(ready, __atomic_add_fetch(&ready[1], 1, __ATOMIC_SEQ_CST));
	test_await(go, 2);
	EXPECT_EQ(getpid(), leader);
	if (!strcmp(what, "filtered"))
		EXPECT_EQ(prctl(PR_GET_SECCOMP), 2);
	if (!strcmp(what, "user"))
		EXPECT_EQ(getuid(), 1234);
	if (!strcmp(what, "filtered"))
		syscall(SYS_exit_group, LAST_CODE);
	syscall(SYS_exit, LAST_CODE);
	return arg;
}

static void *sleep_on(void *arg)
{
	test_await(go, 2);
	syscall(SYS_exit, 3);
	return arg;
}

static void child(void *arg)
{
	pthread_t thread;
	pthread_attr_t attributes;

	(void)arg;
	leader = getpid();
	if (!strcmp(what, "user")) {
		MUST(syscall(SYS_setgroups, 0, NULL));
		MUST(syscall(SYS_setresgid, 1234, 1234, 1234));
		MUST(syscall(SYS_setresuid, 1234, 1234, 1234));
		MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	}
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (int i = 0; !strcmp(what, "crowd") && i < CROWD; i++)
		EXPECT_EQ(pthread_create(&thread, &attributes, sleep_on, NULL), 0);
	EXPECT_EQ(pthread_create(&thread, &attributes, act, NULL), 0);
	syscall(SYS_exit, 5);
}

static void check_quiet(void)
{
	siginfo_t info;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	/* A dump may have stopped it. */
	if (sigtimedwait(&mask, &info, &(struct timespec){ 0, 0 }) == SIGCHLD)
		EXPECT(info.si_code == CLD_STOPPED || info.si_code == CLD_CONTINUED);
	EXPECT_EQ(waitpid(-1, NULL, WNOHANG | __WALL), 0);
}

/* Threads of a crowd end in any order. */
static void check_end(pid_t pid)
{
	int status = test_reap(pid);

	if (strcmp(what, "crowd") || status != 3 << 8)
		EXPECT_EQ(status, LAST_CODE << 8);
}

int main(int argc, char **argv)
{
	sigset_t mask;
	int status;
	pid_t pids[MANY], pid;
	int count;

	what = argc > 1 ? argv[1] : "plain";
	go = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	ready = go + 1;
	count = strcmp(what, "many") ? 1 : MANY;
	test_start();
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	for (int i = 0; i < count; i++) {
		pids[i] = MUST(fork());
		if (pids[i] == 0) {
			child(NULL);
			_exit(1);
		}
		test_await(ready, i + 1);
	}
	pid = pids[0];
	if (!strcmp(what, "stopped")) {
		MUST(kill(pid, SIGSTOP));
		EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
		EXPECT(WIFSTOPPED(status));
		sigtimedwait(&mask, NULL, &(struct timespec){ 0, 0 });
	}
	check_quiet();
	test_wait();
	check_quiet();
	if (!strcmp(what, "stopped")) {
		MUST(kill(pid, SIGCONT));
		EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
		EXPECT(WIFCONTINUED(status));
	}
	test_post(go, 2);
	for (int i = 0; i < count; i++)
		check_end(pids[i]);
	return test_pass();
}
