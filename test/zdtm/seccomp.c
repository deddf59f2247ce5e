/*
 * A seccomp filter on the process and a second one on a thread: both still refuse what they refused. A child has one
 * that logs what it refuses and one that does not, which another child can see. "listener": a filter that asks a
 * supervisor.
 */
#include "zdtmlib.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

static volatile int go, ready;

static void answer(int number, uint32_t action, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static void refuse(int number, uint32_t error, unsigned int flags)
{
	answer(number, SECCOMP_RET_ERRNO | error, flags);
}

static void *act(void *arg)
{
	refuse(SYS_getppid, 77, 0);
	ready = 1;
	test_await(&go, 1);
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(errno, 77);
	EXPECT_EQ(syscall(SYS_getpgrp), -1);
	return arg;
}

static void act_logged(void *arg)
{
	(void)arg;
	refuse(SYS_getpgrp, 55, SECCOMP_FILTER_FLAG_LOG);
	refuse(SYS_getppid, 77, 0);
	child_wait();
}

static uint64_t flags_of(pid_t pid, uint64_t filter)
{
	struct __ptrace_seccomp_metadata metadata = { .filter_off = filter };

	EXPECT_EQ(ptrace(PTRACE_SECCOMP_GET_METADATA, pid, sizeof(metadata), &metadata), sizeof(metadata));
	return metadata.flags;
}

/* Who asks must not be filtered. */
static void act_asking(void *arg)
{
	const pid_t pid = *(pid_t *)arg;
	int status;

	child_wait();
	MUST(ptrace(PTRACE_SEIZE, pid, 0, 0));
	MUST(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
	MUST(waitpid(pid, &status, __WALL));
	EXPECT_EQ(flags_of(pid, 0), SECCOMP_FILTER_FLAG_LOG);
	EXPECT_EQ(flags_of(pid, 1), 0);
	MUST(ptrace(PTRACE_DETACH, pid, 0, 0));
}

int main(int argc, char **argv)
{
	pid_t logged, asking;
	pthread_t thread;

	test_start();
	if (argc > 1 && strcmp(argv[1], "listener") == 0) {
		answer(SYS_getpgrp, SECCOMP_RET_USER_NOTIF, 0);
		test_wait();
		return test_pass();
	}
	logged = test_fork(act_logged, NULL);
	asking = test_fork(act_asking, &logged);
	refuse(SYS_getpgrp, 55, 0);
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	while (!ready)
		usleep(1000);
	test_wait();
	EXPECT_EQ(syscall(SYS_getpgrp), -1);
	EXPECT_EQ(errno, 55);
	EXPECT(syscall(SYS_getppid) > 0);
	EXPECT_EQ(prctl(PR_GET_SECCOMP), 2);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	test_end_child(asking);
	test_end_child(logged);
	return test_pass();
}
