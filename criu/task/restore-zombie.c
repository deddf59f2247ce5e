/*
 * The kernel notes a core dump only when it has written one, be it cut off after a page by the limit. The process is
 * given a tmpfs that is mounted nowhere as its working and root directory first, so that whatever kernel.core_pattern
 * says ends up in there and goes away with the process. A pattern that starts a program, or connects to a socket, would
 * report a crash that has not happened: with one of these the set is refused.
 *
 * What else /proc shows of it is set before, as far as it can be: a warning says what could not.
 */
#include "task/restore-zombie.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/restore.h"
#include "kernel/detached-tmpfs.h"
#include "kernel/proc-pid.h"
#include "kernel/signal-mask.h"
#include "task/restore-limits.h"
#include "task/restore-loginuid.h"

#define CORE_PATTERN  "/proc/sys/kernel/core_pattern"
#define LEAST_BYTES   4096 /* below it the kernel does not begin */
#define PATTERN_BYTES 256
#define KILL_BIT      (1ull << (SIGKILL - 1))
#define STRICT_END_NS 1000000
#define NOBODY_CALLS  1000

#define SECCOMP_HAS_KILLED 3 /* SECCOMP_MODE_DEAD */

static bool dumps_core(const TaskCoreEntry *tc)
{
	return WIFSIGNALED((int)tc->exit_code) && WCOREDUMP((int)tc->exit_code);
}

/* The signal that has ended it, as a set. */
static uint64_t own_signal(const TaskCoreEntry *tc)
{
	return WIFSIGNALED((int)tc->exit_code) ? 1ull << (WTERMSIG((int)tc->exit_code) - 1) : 0;
}

static int read_pattern(char text[PATTERN_BYTES])
{
	int bytes = proc_read_text(AT_FDCWD, CORE_PATTERN, text, PATTERN_BYTES);

	if (bytes < 0)
		return bytes;
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

/* Directories with a name that only the kernel knows cannot be made for it. */
static bool can_catch(const char *pattern)
{
	const char *name = strrchr(pattern, '/'), *percent = strchr(pattern, '%');

	return *pattern && *pattern != '|' && *pattern != '@' && (!percent || !name || percent > name);
}

static int check_owner(const struct own_creds *own, const struct checked_task *task, struct error *err)
{
	const TaskCoreEntry *tc = task->threads[0].core->tc;
	char who[64];

	if (!tc->ended_creds)
		return 0;
	(void)snprintf(who, sizeof(who), "pid %u (%s), a zombie", task->entry->pid, tc->comm);
	return restore_creds_check(own, tc->ended_creds, who, err);
}

int restore_zombie_check(const struct own_creds *own, const struct checked_task *task, struct error *err)
{
	const TaskCoreEntry *tc = task->threads[0].core->tc;
	char pattern[PATTERN_BYTES];
	struct rlimit limit;
	int r = check_owner(own, task, err);

	if (r < 0)
		return r;

	if (!dumps_core(tc))
		return 0;
	r = read_pattern(pattern);
	if (r < 0)
		return error_set(err, r, "read " CORE_PATTERN);
	if (!can_catch(pattern)) {
		error_hint(err, "sysctl kernel.core_pattern=core for the time of the restore");
		return error_say(err, -EOPNOTSUPP,
				 "pid %u (%s), a zombie: has dumped a core, which can be had here only with a "
				 "kernel.core_pattern that names a file (now it is %s)",
				 task->entry->pid, tc->comm, pattern);
	}
	if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max >= LEAST_BYTES)
		return 0;
	error_hint(err, "ulimit -Hc %d or more", LEAST_BYTES / 1024);
	return error_say(err, -EPERM,
			 "pid %u (%s), a zombie: has dumped a core, which the hard limit RLIMIT_CORE forbids",
			 task->entry->pid, tc->comm);
}

/* It is no longer root that writes in there. */
static void make_directories(char *path)
{
	(void)umask(0);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0777);
		*slash = '/';
	}
}

static int catch_core(void)
{
	struct rlimit limit;
	AUTO_CLOSE int fd = -1;
	char pattern[PATTERN_BYTES];
	int r = read_pattern(pattern);

	if (r < 0 || !can_catch(pattern))
		return r < 0 ? r : -EINVAL;
	fd = detached_tmpfs_open();
	if (fd < 0)
		return fd;
	if (getrlimit(RLIMIT_CORE, &limit) < 0)
		return -errno;
	limit.rlim_cur = LEAST_BYTES;
	if (fchdir(fd) < 0 || chroot(".") < 0 || setrlimit(RLIMIT_CORE, &limit) < 0)
		return -errno;
	make_directories(pattern);
	return 0;
}

static void warn_of(const char *what, int r)
{
	if (r < 0)
		log_warn("pid %d, a zombie: its %s cannot be set: %s\n", getpid(), what, strerror(-r));
}

static bool has_groups(const CredsEntry *creds)
{
	AUTO_FREE gid_t *groups = calloc(creds->n_groups + 1, sizeof(*groups));
	long count = groups ? syscall(SYS_getgroups, creds->n_groups, groups) : -1;

	return count >= 0 && (size_t)count == creds->n_groups &&
	       (!count || memcmp(groups, creds->groups, creds->n_groups * sizeof(*groups)) == 0);
}

static uint32_t word_of(size_t count, const uint32_t *words, size_t i)
{
	return i < count ? words[i] : 0;
}

static int set_capabilities(const CredsEntry *creds)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	for (size_t i = 0; i < 2; i++) {
		const uint32_t can_pass_on = data[i].inheritable | data[i].permitted;

		data[i].permitted = word_of(creds->n_cap_prm, creds->cap_prm, i);
		data[i].effective = word_of(creds->n_cap_eff, creds->cap_eff, i);
		data[i].inheritable = word_of(creds->n_cap_inh, creds->cap_inh, i) & can_pass_on;
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static bool has_capability(size_t count, const uint32_t *words, unsigned int bit)
{
	return word_of(count, words, bit / 32) >> (bit % 32) & 1;
}

/* Before ids change: it needs CAP_SETPCAP. What is to be inherited has to be in it when it is added. */
static void bound_capabilities(const CredsEntry *creds)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return;
	for (size_t i = 0; i < 2; i++)
		data[i].inheritable = word_of(creds->n_cap_inh, creds->cap_inh, i);
	(void)syscall(SYS_capset, &header, data);
	for (unsigned int bit = 0; bit < 64; bit++)
		if (!has_capability(creds->n_cap_bnd, creds->cap_bnd, bit) &&
		    prctl(PR_CAPBSET_READ, bit, 0, 0, 0) > 0 && prctl(PR_CAPBSET_DROP, bit, 0, 0, 0) < 0)
			warn_of("capability bounding set", -errno);
}

static void raise_ambient(const CredsEntry *creds)
{
	for (unsigned int bit = 0; bit < 64; bit++)
		if (has_capability(creds->n_cap_amb, creds->cap_amb, bit) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0) < 0)
			warn_of("ambient capabilities", -errno);
}

/*
 * Its parent is told whose child has ended. No call is made for what is so already, which would need rights; and none
 * by the C library, which would look for other threads.
 */
static int become_owner(const CredsEntry *creds)
{
	uid_t real, effective, saved;

	if (!has_groups(creds) && syscall(SYS_setgroups, creds->n_groups, creds->groups) < 0)
		return -errno;
	if (getresgid(&real, &effective, &saved) < 0 ||
	    ((real != creds->gid || effective != creds->egid || saved != creds->sgid) &&
	     syscall(SYS_setresgid, creds->gid, creds->egid, creds->sgid) < 0))
		return -errno;
	(void)syscall(SYS_setfsgid, creds->fsgid);
	(void)prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (getresuid(&real, &effective, &saved) < 0 ||
	    ((real != creds->uid || effective != creds->euid || saved != creds->suid) &&
	     syscall(SYS_setresuid, creds->uid, creds->euid, creds->suid) < 0))
		return -errno;
	(void)syscall(SYS_setfsuid, creds->fsuid);
	return set_capabilities(creds);
}

/* --- what is shown ----------------------------------------------------------------------------------------------- */

/*
 * Filters that allow everything: how many there are is all that can be seen. Where one has ended the process they kill
 * whoever calls what nobody calls.
 */
static int install_filters(const EndedEntry *ended)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NOBODY_CALLS, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { sizeof(program) / sizeof(program[0]), program };

	for (uint32_t i = 0; i < ended->seccomp_filters; i++)
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0)
			return -errno;
	return 0;
}

static int control_speculation(const ThreadCoreEntry *core)
{
	for (size_t i = 0; i < core->n_speculation; i++) {
		const uint32_t value = core->speculation[i]->value & (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE);

		if (syscall(SYS_prctl, PR_SET_SPECULATION_CTRL, core->speculation[i]->which, value, 0, 0) < 0)
			return -errno;
	}
	return 0;
}

/* While it may do everything. */
static void show_early(const struct restore *r, const struct restore_task *task)
{
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;
	const EndedEntry *ended = tc->ended;
	struct error err = { 0 };

	if (restore_limits_apply_ended(r->own_limits, ended, &err) < 0 || restore_loginuid(task, &err) < 0)
		log_warn("pid %d, a zombie: %s\n", task->pid, err.text);
	if (ended->scheduling->has_timer_slack_ns)
		(void)syscall(SYS_prctl, PR_SET_TIMERSLACK, ended->scheduling->timer_slack_ns, 0, 0, 0);
	if (ended->has_personality)
		(void)syscall(SYS_personality, ended->personality);
	if (tc->ended_creds && tc->ended_creds->no_new_privs)
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	warn_of("speculation controls", control_speculation(ended->scheduling));
	warn_of("seccomp filters", install_filters(ended));
	if (tc->ended_creds)
		bound_capabilities(tc->ended_creds);
}

static void never_called(int signal_number)
{
	(void)signal_number;
}

/* The C library keeps two signals to itself. */
static void set_action(int number, void (*handler)(int))
{
	const struct {
		void (*handler)(int);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = { .handler = handler };

	(void)syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask));
}

/* All are blocked yet, also while they wait. What waited although it was not blocked would be delivered. */
static void show_signals(const TaskCoreEntry *tc)
{
	const EndedEntry *ended = tc->ended;
	uint64_t pending = ended->pending & ~own_signal(tc);

	for (int number = 1; number < NSIG; number++) {
		const uint64_t bit = 1ull << (number - 1);

		void (*action)(int) = ended->ignored & bit ? SIG_IGN : ended->caught & bit ? never_called : SIG_DFL;

		if (number != SIGKILL && number != SIGSTOP)
			set_action(number, bit & own_signal(tc) ? SIG_DFL : action);
		if (pending & tc->ended->blocked & bit)
			(void)kill(getpid(), number);
	}
	if (pending & ~tc->ended->blocked & ~KILL_BIT)
		log_warn("pid %d, a zombie: signals were pending that it had not blocked\n", getpid());
}

static void show_limits(const TaskCoreEntry *tc)
{
	const TaskRlimitsEntry *limits = tc->ended->rlimits;

	for (size_t i = 0; i < limits->n_rlimits && i < RLIM_NLIMITS; i++) {
		const struct rlimit limit = { limits->rlimits[i]->cur, limits->rlimits[i]->max };

		if (i == RLIMIT_CORE && dumps_core(tc) && limit.rlim_cur < LEAST_BYTES)
			continue;
		if (setrlimit((__rlimit_resource_t)i, &limit) < 0)
			warn_of("resource limits", -errno);
	}
}

void restore_zombie_show(const TaskCoreEntry *tc)
{
	if (!tc->ended)
		return;
	show_signals(tc);
	show_limits(tc);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static _Noreturn void die_by_signal(int signal_number)
{
	set_action(signal_number, SIG_DFL);
	(void)kill(getpid(), signal_number);
	signal_mask_set(~(1ull << (signal_number - 1)), NULL);
	_exit(128);
}

/* A signal that ends the whole process at once stays pending; one that a thread finds does not. */
static _Noreturn void die_by_signal_as(const TaskCoreEntry *tc, int signal_number)
{
	if (tc->ended->pending & own_signal(tc))
		(void)kill(getpid(), signal_number);
	else
		(void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal_number);
	_exit(128);
}

/* Nothing but exit(2) is left then. A timer sends the signal. */
static _Noreturn void end_in_strict_mode(int status)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = WTERMSIG(status) };
	const struct itimerspec soon = { .it_value.tv_nsec = STRICT_END_NS };
	timer_t timer;

	if (WIFSIGNALED(status) && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		(void)timer_settime(timer, 0, &soon, NULL);
	(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
	while (WIFSIGNALED(status))
		__asm__ volatile("pause");
	for (;;)
		(void)syscall(SYS_exit, WEXITSTATUS(status));
}

static void be_killed_by_seccomp(const EndedEntry *ended)
{
	if (!ended->seccomp_filters)
		(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
	(void)syscall(NOBODY_CALLS);
}

int restore_zombie_prepare(const struct restore *restore, const struct restore_task *task, struct error *err)
{
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;
	int r;

	if (tc->ended)
		show_early(restore, task);
	else if (tc->has_ended_nice)
		(void)setpriority(PRIO_PROCESS, 0, tc->ended_nice);
	r = dumps_core(tc) ? catch_core() : 0;
	if (r < 0)
		return error_set(err, r, "prepare the core dump that its parent is to learn of");
	r = tc->ended_creds ? become_owner(tc->ended_creds) : 0;
	if (r < 0)
		return error_set(err, r, "take the ids that its parent is to learn of");
	if (tc->ended_creds)
		raise_ambient(tc->ended_creds);
	/* Other ids take it back. */
	(void)prctl(PR_SET_DUMPABLE, dumps_core(tc), 0, 0, 0);
	return 0;
}

_Noreturn void restore_zombie_end(int status)
{
	if (WIFSIGNALED(status))
		die_by_signal(WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}

_Noreturn void restore_zombie_end_as(const TaskCoreEntry *tc)
{
	const int status = (int)tc->exit_code;
	uint64_t mask;

	if (!tc->ended)
		restore_zombie_end(status);
	mask = tc->ended->blocked & ~own_signal(tc);
	signal_mask_set(mask, NULL);
	if (tc->ended->seccomp_mode == SECCOMP_HAS_KILLED)
		be_killed_by_seccomp(tc->ended);
	if (tc->ended->seccomp_mode == SECCOMP_MODE_STRICT)
		end_in_strict_mode(status);
	if (WIFSIGNALED(status))
		die_by_signal_as(tc, WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}
