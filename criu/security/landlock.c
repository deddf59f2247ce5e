/*
 * The probe process: ids are taken over with setresuid and setresgid, which drops the capabilities of root as well when
 * told to; dumpable is switched on again, for a process that changed its ids is closed to others.
 */
#include "security/landlock.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

struct landlock_probe {
	uint32_t uid, gid;
	pid_t pid;
};

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

static void stop_probe(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static pid_t start_probe(const struct proc_status *credentials, struct error *err)
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
		stop_probe(pid);
	return error_set(err, r, "start a probe process");
}

static bool kernel_has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

pid_t landlock_probe(struct landlock_probes *probes, const struct proc_status *credentials, struct error *err)
{
	struct landlock_probe probe = { .uid = credentials->uid[UID_REAL], .gid = credentials->gid[UID_REAL] };

	for (size_t i = 0; i < probes->count; i++)
		if (probes->items[i].uid == probe.uid && probes->items[i].gid == probe.gid)
			return probes->items[i].pid;
	if (array_reserve(&probes->items, &probes->capacity, probes->count, sizeof(probe)) < 0)
		return error_set(err, -ENOMEM, "probe process");
	if (kernel_has_landlock()) {
		probe.pid = start_probe(credentials, err);
		if (probe.pid < 0)
			return probe.pid;
	}
	probes->items[probes->count++] = probe;
	return probe.pid;
}

void landlock_probes_done(struct landlock_probes *probes)
{
	for (size_t i = 0; i < probes->count; i++)
		if (probes->items[i].pid > 0)
			stop_probe(probes->items[i].pid);
	free(probes->items);
}
