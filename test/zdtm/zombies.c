/* Children that have ended and were not waited for: exit codes, signals, their owner, group and order. */
#include <grp.h>
#include <sys/resource.h>

#include "zdtmlib.h"

struct owner {
	char ids[256], groups[64], capabilities[128];
	int nice;
};

static void read_line(pid_t pid, const char *key, char *text, size_t size)
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	EXPECT_EQ(file != NULL, 1);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			snprintf(text + strlen(text), size - strlen(text), "%s", line);
	fclose(file);
}

static struct owner read_owner(pid_t pid)
{
	struct owner owner = { .nice = getpriority(PRIO_PROCESS, (id_t)pid) };

	read_line(pid, "Uid:", owner.ids, sizeof(owner.ids));
	read_line(pid, "Gid:", owner.ids, sizeof(owner.ids));
	read_line(pid, "Groups:", owner.groups, sizeof(owner.groups));
	read_line(pid, "CapPrm:", owner.capabilities, sizeof(owner.capabilities));
	read_line(pid, "CapEff:", owner.capabilities, sizeof(owner.capabilities));
	return owner;
}

/* A user's: one exits, the other keeps what root may and dies by a signal. */
static pid_t end_as_user(bool keeps_rights)
{
	const gid_t groups[] = { 5001, 5002, 5003 };
	pid_t pid = MUST(fork());

	if (pid)
		return pid;
	MUST(setpriority(PRIO_PROCESS, 0, 7));
	MUST(setgroups(3, groups));
	MUST(setresgid(2001, 2002, 2003));
	if (keeps_rights) {
		MUST(setresuid(0, 1002, 0));
		raise(SIGKILL);
	}
	MUST(setresuid(1001, 1002, 1003));
	_exit(9);
}

static void check_user(pid_t pid, const struct owner *before, uid_t uid, int code, int status)
{
	struct owner after = read_owner(pid);
	siginfo_t info;

	EXPECT_STR(after.ids, before->ids);
	EXPECT_STR(after.groups, before->groups);
	EXPECT_STR(after.capabilities, before->capabilities);
	EXPECT_EQ(after.nice, before->nice);
	MUST(waitid(P_PID, (id_t)pid, &info, WEXITED));
	EXPECT_EQ(info.si_uid, uid);
	EXPECT_EQ(info.si_code, code);
	EXPECT_EQ(info.si_status, status);
}

int main(void)
{
	struct owner user_before, root_before;
	pid_t user, root;
	const int codes[] = { 0, 1, 77, 255 }, signals[] = { SIGKILL, SIGTERM, SIGUSR1, SIGRTMIN + 5 };
	pid_t exited[4], killed[4];
	siginfo_t info;

	test_start();
	for (int i = 0; i < 4; i++) {
		exited[i] = MUST(fork());
		if (exited[i] == 0) {
			if (i == 2)
				setsid();
			_exit(codes[i]);
		}
		killed[i] = MUST(fork());
		if (killed[i] == 0) {
			sigset_t none;

			sigemptyset(&none);
			sigprocmask(SIG_SETMASK, &none, NULL);
			signal(signals[i], SIG_DFL);
			raise(signals[i]);
			_exit(1);
		}
		MUST(waitid(P_PID, exited[i], &info, WEXITED | WNOWAIT));
		MUST(waitid(P_PID, killed[i], &info, WEXITED | WNOWAIT));
	}
	user = end_as_user(false);
	MUST(waitid(P_PID, (id_t)user, &info, WEXITED | WNOWAIT));
	root = end_as_user(true);
	MUST(waitid(P_PID, (id_t)root, &info, WEXITED | WNOWAIT));
	user_before = read_owner(user);
	root_before = read_owner(root);
	test_wait();
	check_user(user, &user_before, 1001, CLD_EXITED, 9);
	check_user(root, &root_before, 0, CLD_KILLED, SIGKILL);
	for (int i = 0; i < 4; i++) {
		MUST(waitid(P_PID, exited[i], &info, WEXITED | WNOWAIT));
		EXPECT_EQ(info.si_code, CLD_EXITED);
		EXPECT_EQ(info.si_status, codes[i]);
		EXPECT_EQ(test_reap(exited[i]), codes[i] << 8);
		EXPECT_EQ(test_reap(killed[i]), signals[i]);
	}
	EXPECT_EQ(waitpid(-1, NULL, 0), -1);
	EXPECT_EQ(errno, ECHILD);
	return test_pass();
}
