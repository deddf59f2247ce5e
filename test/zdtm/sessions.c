/*
 * Process groups and sessions: leaders, members, a session of a child's own. With an argument the leader of our session
 * has ended, and we are in its group, in one of our own ("own"), or in one whose leader has ended, too ("ended").
 */
#include "zdtmlib.h"

struct ids {
	pid_t pid, ppid, pgid, sid;
};

static void check(const struct ids *before)
{
	EXPECT_EQ(getpid(), before->pid);
	EXPECT_EQ(getppid(), before->ppid);
	EXPECT_EQ(getpgid(0), before->pgid);
	EXPECT_EQ(getsid(0), before->sid);
}

static struct ids note(void)
{
	return (struct ids){ getpid(), getppid(), getpgid(0), getsid(0) };
}

static void member(void *arg)
{
	struct ids before;

	MUST(setpgid(0, (pid_t)(long)arg));
	before = note();
	child_wait();
	check(&before);
}

static void group_leader(void *arg)
{
	struct ids before;

	(void)arg;
	MUST(setpgid(0, 0));
	before = note();
	child_wait();
	check(&before);
}

static void session_leader(void *arg)
{
	struct ids before;
	pid_t pids[2];

	(void)arg;
	MUST(setsid());
	pids[0] = test_fork(group_leader, NULL);
	pids[1] = test_fork(member, (void *)(long)pids[0]);
	before = note();
	child_wait();
	check(&before);
	test_end_child(pids[1]);
	test_end_child(pids[0]);
}

static void lead_for_a_moment(void *arg)
{
	(void)arg;
	MUST(setpgid(0, 0));
	child_wait();
}

static void choose_group(const char *which)
{
	pid_t pid;

	if (strcmp(which, "own") == 0)
		MUST(setpgid(0, 0));
	if (strcmp(which, "ended") != 0)
		return;
	pid = test_fork(lead_for_a_moment, NULL);
	MUST(setpgid(0, pid));
	test_end_child(pid);
}

int main(int argc, char **argv)
{
	struct ids before;
	pid_t pids[4];

	test_start();
	if (argc == 2)
		choose_group(argv[1]);
	pids[0] = test_fork(group_leader, NULL);
	pids[1] = test_fork(member, (void *)(long)pids[0]);
	pids[2] = test_fork(session_leader, NULL);
	pids[3] = test_fork(group_leader, NULL);
	before = note();
	EXPECT_EQ(before.pid == before.sid, argc == 1);
	test_wait();
	check(&before);
	for (int i = 3; i >= 0; i--)
		test_end_child(pids[i]);
	return test_pass();
}
