/*
 * The kernel notes a core dump only when it has written one, be it cut off after a page by the limit. The process is
 * given a tmpfs that is mounted nowhere as its working and root directory first, so that whatever kernel.core_pattern
 * says ends up in there and goes away with the process. A pattern that starts a program, or connects to a socket, would
 * report a crash that has not happened: with one of these the set is refused.
 */
#include "task/restore-zombie.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

int restore_zombie_check(const struct checked_task *task, struct error *err)
{
	const TaskCoreEntry *tc = task->threads[0].core->tc;
	char pattern[PATTERN_BYTES];
	struct rlimit limit;
	int r;

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

static void make_directories(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
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
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
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

int restore_zombie_prepare(int status, struct error *err)
{
	int r = 0;

	if (WIFSIGNALED(status) && WCOREDUMP(status))
		r = catch_core();
	else
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return r < 0 ? error_set(err, r, "prepare the core dump that its parent is to learn of") : 0;
}

_Noreturn void restore_zombie_end(int status)
{
	if (WIFSIGNALED(status))
		die_by_signal(WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}
