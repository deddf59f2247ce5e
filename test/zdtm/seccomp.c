/* A seccomp filter on the process and a second one on a thread: both still refuse what they refused. */
#include "zdtmlib.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>

static volatile int go, ready;

static void refuse(int number, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void *act(void *arg)
{
	refuse(SYS_getppid, 77);
	ready = 1;
	test_await(&go, 1);
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(errno, 77);
	EXPECT_EQ(syscall(SYS_getpgrp), -1);
	return arg;
}

int main(void)
{
	pthread_t thread;

	test_start();
	refuse(SYS_getpgrp, 55);
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
	return test_pass();
}
