/* Resource limits of processes of another user, who may not be asked or told from outside without CAP_SYS_RESOURCE. */
#include "zdtmlib.h"

#include <sys/resource.h>

static const struct {
	int resource;
	struct rlimit limit;
} wanted[] = {
	{ RLIMIT_NOFILE, { 300, 777 } },    { RLIMIT_STACK, { 1 << 20, 1 << 24 } },
	{ RLIMIT_CORE, { 0, 4096 } },       { RLIMIT_FSIZE, { 1 << 20, 1 << 21 } },
	{ RLIMIT_SIGPENDING, { 10, 99 } },  { RLIMIT_CPU, { 1000, 2000 } },
	{ RLIMIT_MEMLOCK, { 4096, 8192 } }, { RLIMIT_NPROC, { 3, 5 } },
	{ RLIMIT_NICE, { 0, 0 } },
};

static void child(void *arg)
{
	const uid_t uid = (uid_t)(long)arg;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		MUST(setrlimit(wanted[i].resource, &wanted[i].limit));
	MUST(syscall(SYS_setresgid, uid, uid, uid));
	MUST(syscall(SYS_setresuid, uid, uid, uid));
	child_wait();
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct rlimit now;

		MUST(getrlimit(wanted[i].resource, &now));
		EXPECT_EQ(now.rlim_cur, wanted[i].limit.rlim_cur);
		EXPECT_EQ(now.rlim_max, wanted[i].limit.rlim_max);
	}
}

int main(void)
{
	pid_t pids[2];

	test_start();
	pids[0] = test_fork(child, (void *)12345L);
	pids[1] = test_fork(child, (void *)54321L);
	test_wait();
	for (int i = 0; i < 2; i++)
		test_end_child(pids[i]);
	return test_pass();
}
