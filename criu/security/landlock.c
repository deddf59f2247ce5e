/*
 * The probe process: ids are taken over with setresuid and setresgid, which drops the capabilities of root as well when
 * told to; dumpable is switched on again, for a process that changed its ids is closed to others.
 */
#include "security/landlock.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

static int take_over(const struct proc_status *credentials)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };
	uint32_t uid = credentials->uid[UID_REAL], gid = credentials->gid[UID_REAL];

	if (syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
		return -errno;
	if (syscall(SYS_capset, &header, none) < 0)
		return -errno;
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return -errno;
	return 0;
}

static void __attribute__((noreturn)) run_probe(const struct proc_status *credentials, int ready_fd)
{
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = take_over(credentials);
	/* Changing ids clears the signal of a parent's death. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(ready_fd, &r, sizeof(r)) != sizeof(r))
		_exit(1);
	for (;;)
		(void)pause();
}

pid_t landlock_start_probe(const struct proc_status *credentials, struct error *err)
{
	int ends[2], r = -EIO;
	pid_t pid;

	if (pipe(ends) < 0)
		return error_set(err, -errno, "start a probe process");
	pid = fork();
	if (pid == 0)
		run_probe(credentials, ends[1]);
	if (pid < 0)
		r = -errno;
	(void)close(ends[1]);
	if (pid > 0 && read(ends[0], &r, sizeof(r)) != sizeof(r))
		r = -EIO;
	(void)close(ends[0]);
	if (r == 0)
		return pid;
	if (pid > 0)
		landlock_stop_probe(pid);
	return error_set(err, r, "start a probe process");
}

void landlock_stop_probe(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
