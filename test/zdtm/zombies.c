/*
 * Children that have ended and were not waited for: exit codes, signals, their owner, group, and what /proc shows of
 * them yet: limits, signals, capabilities, scheduling, filters.
 */
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>
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

static void set_limits(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit limit;

		MUST(getrlimit((__rlimit_resource_t)i, &limit));
		if (i == RLIMIT_CORE)
			limit.rlim_max = 0;
		limit.rlim_cur = limit.rlim_max = limit.rlim_max < 100000 ? limit.rlim_max : 100000 + (rlim_t)i;
		if (i == RLIMIT_STACK || i == RLIMIT_AS || i == RLIMIT_DATA)
			limit.rlim_cur = limit.rlim_max = 1 << 30;
		MUST(setrlimit((__rlimit_resource_t)i, &limit));
	}
}

static void handle(int signo)
{
	(void)signo;
}

static void set_signals(void)
{
	sigset_t blocked;
	const struct {
		void (*handler)(int);
		unsigned long flags, restorer, mask;
	} of_library = { .handler = handle };

	MUST(syscall(SYS_rt_sigaction, 32, &of_library, NULL, 8));
	signal(SIGUSR1, SIG_IGN);
	signal(SIGHUP, handle);
	signal(SIGRTMIN + 3, handle);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigaddset(&blocked, SIGRTMIN + 1);
	sigaddset(&blocked, SIGRTMIN + 3);
	MUST(sigprocmask(SIG_SETMASK, &blocked, NULL));
	MUST(kill(getpid(), SIGUSR2));
	MUST(kill(getpid(), SIGRTMIN + 3));
}

static void set_file(const char *path, const char *text)
{
	int fd = MUST(open(path, O_WRONLY));

	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static void set_scheduling(int policy)
{
	const struct sched_param param = { .sched_priority = policy == SCHED_RR ? 7 : 0 };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	MUST(sched_setaffinity(0, sizeof(cpus), &cpus));
	MUST(setpriority(PRIO_PROCESS, 0, 4));
	MUST(prctl(PR_SET_TIMERSLACK, 4711));
	MUST(sched_setscheduler(0, policy, &param));
}

static void set_filters(int count)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { 4, filter };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	for (int i = 0; i < count; i++)
		MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

struct cap_header {
	uint32_t version;
	int pid;
};

/* CAP_NET_RAW in all sets, CAP_CHOWN in none. */
static void set_capabilities(void)
{
	struct cap_header header = { 0x20080522, 0 };
	uint32_t data[6];

	MUST(prctl(PR_CAPBSET_DROP, 0, 0, 0, 0));
	MUST(syscall(SYS_capget, &header, data));
	data[2] |= 1u << 13;
	MUST(syscall(SYS_capset, &header, data));
	MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 13, 0, 0));
}

enum shown { SHOWN_PLAIN, SHOWN_REAL_TIME, SHOWN_STRICT, SHOWN_STRICT_KILLED, SHOWN_KILLED, SHOWN_COUNT };

static const int shown_ends[SHOWN_COUNT] = { 5 << 8, SIGUSR1, 6 << 8, SIGKILL, SIGSYS };

/* Where the processor lets it choose. */
static void control_speculation(int how)
{
	(void)prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, how, 0, 0);
	(void)prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, how, 0, 0);
}

/* What its parent does not learn from wait(2). */
static void end_with_all(enum shown shown)
{
	set_scheduling(shown == SHOWN_REAL_TIME ? SCHED_RR : SCHED_BATCH);
	set_file("/proc/self/oom_score_adj", "321");
	MUST(personality(ADDR_NO_RANDOMIZE));
	set_capabilities();
	control_speculation(shown == SHOWN_PLAIN ? PR_SPEC_DISABLE : PR_SPEC_FORCE_DISABLE);
	if (shown == SHOWN_PLAIN || shown == SHOWN_KILLED)
		set_filters(3);
	set_signals();
	set_limits();
	MUST(prctl(PR_SET_NAME, "all is shown"));
	if (shown == SHOWN_REAL_TIME) {
		signal(SIGUSR1, SIG_DFL);
		MUST(kill(getpid(), SIGUSR1));
	}
	if (shown == SHOWN_STRICT || shown == SHOWN_STRICT_KILLED)
		MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	if (shown == SHOWN_STRICT_KILLED || shown == SHOWN_KILLED)
		getppid();
	syscall(SYS_exit, WEXITSTATUS(shown_ends[shown]));
}

/* Lines of its status and its limits, but for what counts. */
static void read_shown(pid_t pid, char *text, size_t size)
{
	static const char *const keys[] = { "ShdPnd:",     "SigBlk:", "SigIgn:",       "SigCgt:",    "Cap",
					    "NoNewPrivs:", "Seccomp", "Cpus_allowed:", "Speculation" };
	char path[64];

	text[0] = 0;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		read_line(pid, keys[i], text, size);
	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	snprintf(text + strlen(text), size - strlen(text), "%s", test_slurp(path));
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	snprintf(text + strlen(text), size - strlen(text), "%s", test_slurp(path));
	snprintf(path, sizeof(path), "/proc/%d/personality", pid);
	snprintf(text + strlen(text), size - strlen(text), "%s", test_slurp(path));
	snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", pid);
	snprintf(text + strlen(text), size - strlen(text), "%s%d %d", test_slurp(path), sched_getscheduler(pid),
		 getpriority(PRIO_PROCESS, (id_t)pid));
}

int main(void)
{
	static char before[SHOWN_COUNT][8192], after[8192];
	pid_t shown[SHOWN_COUNT];
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
	for (int i = 0; i < SHOWN_COUNT; i++) {
		shown[i] = MUST(fork());
		if (shown[i] == 0)
			end_with_all((enum shown)i);
		MUST(waitid(P_PID, (id_t)shown[i], &info, WEXITED | WNOWAIT));
		read_shown(shown[i], before[i], sizeof(before[i]));
	}
	test_wait();
	for (int i = 0; i < SHOWN_COUNT; i++) {
		read_shown(shown[i], after, sizeof(after));
		EXPECT_STR(after, before[i]);
		EXPECT_EQ(test_reap(shown[i]), shown_ends[i]);
	}
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
