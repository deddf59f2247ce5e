/* A group and a session whose leaders have ended and were reaped: the members, handed to a subreaper, keep both ids. */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/prctl.h>

static struct shared {
	pid_t member, group_member, leader, group_leader;
} * shared;

static void stay(void *arg)
{
	pid_t sid = getsid(0), pgid = getpgid(0);

	*(pid_t *)arg = getpid();
	child_wait();
	EXPECT_EQ(getsid(0), sid);
	EXPECT_EQ(getpgid(0), pgid);
	EXPECT_EQ(getsid(0), arg == &shared->member ? shared->leader : sid);
}

static void session_leader(void *arg)
{
	(void)arg;
	shared->leader = MUST(setsid());
	test_fork(stay, &shared->member);
	child_ready();
}

static void group_leader(void *arg)
{
	(void)arg;
	MUST(setpgid(0, 0));
	shared->group_leader = getpid();
	test_fork(stay, &shared->group_member);
	child_ready();
}

int main(void)
{
	test_start();
	shared = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	EXPECT_EQ(test_reap(test_fork(session_leader, NULL)), 0);
	EXPECT_EQ(test_reap(test_fork(group_leader, NULL)), 0);
	EXPECT_EQ(getsid(shared->member), shared->leader);
	test_wait();
	EXPECT_EQ(getsid(shared->member), shared->leader);
	EXPECT_EQ(getpgid(shared->member), shared->leader);
	EXPECT_EQ(getpgid(shared->group_member), shared->group_leader);
	EXPECT_EQ(kill(shared->leader, 0), -1);
	EXPECT_EQ(kill(shared->group_leader, 0), -1);
	EXPECT_EQ(killpg(shared->group_leader, 0), 0);
	test_end_child(shared->member);
	test_end_child(shared->group_member);
	return test_pass();
}
