/*
 * The kernel notes a core dump only when it has written one, be it cut off after a page by the limit. The process is
 * given a tmpfs that is mounted nowhere as its working and root directory first, so that whatever kernel.core_pattern
 * says ends up in there and goes away with the process. A pattern that starts a program, or connects to a socket, would
 * report a crash that has not happened: with one of these the set is refused.
 */
#include "task/restore-zombie.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
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
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/detached-tmpfs.h"
#include "kernel/proc-pid.h"

#define CORE_PATTERN  "/proc/sys/kernel/core_pattern"
#define LEAST_BYTES   4096 /* below it the kernel does not begin */
#define PATTERN_BYTES 256

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

	if (!WIFSIGNALED((int)tc->exit_code) || !WCOREDUMP((int)tc->exit_code))
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
	const struct rlimit limit = { LEAST_BYTES, LEAST_BYTES };
	AUTO_CLOSE int fd = -1;
	char pattern[PATTERN_BYTES];
	int r = read_pattern(pattern);

	if (r < 0 || !can_catch(pattern))
		return r < 0 ? r : -EINVAL;
	fd = detached_tmpfs_open();
	if (fd < 0)
		return fd;
	if (fchdir(fd) < 0 || chroot(".") < 0 || setrlimit(RLIMIT_CORE, &limit) < 0)
		return -errno;
	make_directories(pattern);
	return 0;
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

static _Noreturn void die_by_signal(int signal_number)
{
	sigset_t only;

	(void)signal(signal_number, SIG_DFL);
	(void)sigemptyset(&only);
	(void)sigaddset(&only, signal_number);
	(void)kill(getpid(), signal_number);
	(void)sigprocmask(SIG_UNBLOCK, &only, NULL);
	_exit(128);
}

int restore_zombie_prepare(const TaskCoreEntry *tc, struct error *err)
{
	const int status = (int)tc->exit_code;
	const bool dumps = WIFSIGNALED(status) && WCOREDUMP(status);
	int r = dumps ? catch_core() : 0;

	if (r < 0)
		return error_set(err, r, "prepare the core dump that its parent is to learn of");
	/* Only shown, and only as long as nobody waits for it. */
	if (tc->has_ended_nice)
		(void)setpriority(PRIO_PROCESS, 0, tc->ended_nice);
	r = tc->ended_creds ? become_owner(tc->ended_creds) : 0;
	if (r < 0)
		return error_set(err, r, "take the ids that its parent is to learn of");
	/* Other ids take it back. */
	(void)prctl(PR_SET_DUMPABLE, dumps, 0, 0, 0);
	return 0;
}

_Noreturn void restore_zombie_end(int status)
{
	if (WIFSIGNALED(status))
		die_by_signal(WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}
