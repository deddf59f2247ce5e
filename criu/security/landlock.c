/*
 * The probe process: ids are taken over with setresuid and setresgid, which drops the capabilities of root as well when
 * told to; dumpable is switched on again, for a process that changed its ids is closed to others.
 */
#include "security/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

struct landlock_probe {
	uint32_t uid, gid;
	pid_t pid;
	int leash_fd; /* it ends when this is closed: signalling other users' processes needs CAP_KILL */
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

static void __attribute__((noreturn)) run_probe(const struct proc_status *credentials, int ready_fd, int leash_fd)
{
	char byte;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = take_over(credentials);
	/* Changing ids clears the signal of a parent's death. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(ready_fd, &r, sizeof(r)) != sizeof(r))
		_exit(1);
	while (read(leash_fd, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

static void stop_probe(struct landlock_probe *probe)
{
	close_fd(&probe->leash_fd);
	while (probe->pid > 0 && waitpid(probe->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int start_probe(const struct proc_status *credentials, struct landlock_probe *probe, struct error *err)
{
	int ready[2], leash[2], r = -EIO;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return error_set(err, -errno, "start a probe process");
	if (pipe2(leash, O_CLOEXEC) < 0) {
		r = -errno;
		goto close_ready;
	}
	probe->pid = fork();
	if (probe->pid == 0) {
		(void)close(leash[1]);
		run_probe(credentials, ready[1], leash[0]);
	}
	if (probe->pid < 0)
		r = -errno;
	probe->leash_fd = leash[1];
	(void)close(leash[0]);
	(void)close(ready[1]);
	ready[1] = -1;
	if (probe->pid > 0 && read(ready[0], &r, sizeof(r)) != sizeof(r))
		r = -EIO;
	if (r < 0)
		stop_probe(probe);
close_ready:
	close_fd(&ready[0]);
	close_fd(&ready[1]);
	if (r == -EPERM)
		error_hint(err, "a process with the task's ids is needed: run it with CAP_SETUID and CAP_SETGID");
	return r < 0 ? error_set(err, r, "start a probe process") : 0;
}

static bool kernel_has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

pid_t landlock_probe(struct landlock_probes *probes, const struct proc_status *credentials, struct error *err)
{
	struct landlock_probe probe = { .uid = credentials->uid[UID_REAL],
					.gid = credentials->gid[UID_REAL],
					.leash_fd = -1 };
	int r;

	for (size_t i = 0; i < probes->count; i++)
		if (probes->items[i].uid == probe.uid && probes->items[i].gid == probe.gid)
			return probes->items[i].pid;
	if (array_reserve(&probes->items, &probes->capacity, probes->count, sizeof(probe)) < 0)
		return error_set(err, -ENOMEM, "probe process");
	if (kernel_has_landlock()) {
		r = start_probe(credentials, &probe, err);
		if (r < 0)
			return r;
	}
	probes->items[probes->count++] = probe;
	return probe.pid;
}

void landlock_probes_done(struct landlock_probes *probes)
{
	/* A later one has the leashes of those before it. */
	for (size_t i = probes->count; i-- > 0;)
		stop_probe(&probes->items[i]);
	free(probes->items);
}
