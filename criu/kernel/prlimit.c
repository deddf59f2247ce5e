/*
 * prlimit(2) asks that the caller's real uid and gid are all those of the other process, or for CAP_SYS_RESOURCE over
 * it, even to read. Who lacks that capability but may change its own ids takes the other's real ones for this one
 * call. System calls change them for the calling thread alone; its effective ids and capabilities stay.
 */
#include "kernel/prlimit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/proc-status.h"

static int call_prlimit(pid_t tid, int resource, const struct rlimit *wanted, struct rlimit *ret_before)
{
	return prlimit(tid, (__rlimit_resource_t)resource, wanted, ret_before) < 0 ? -errno : 0;
}

static bool take_real_ids(uid_t uid, gid_t gid)
{
	return syscall(SYS_setresgid, gid, -1, -1) == 0 && syscall(SYS_setresuid, uid, -1, -1) == 0;
}

int prlimit_of(pid_t tid, int resource, const struct rlimit *wanted, struct rlimit *ret_before)
{
	int r = call_prlimit(tid, resource, wanted, ret_before);
	const uid_t own_uid = getuid();
	const gid_t own_gid = getgid();
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	char path[32];

	if (r != -EPERM)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (proc_status_read(AT_FDCWD, path, &status) < 0)
		return r;
	if (take_real_ids(status.uid[UID_REAL], status.gid[UID_REAL]))
		r = call_prlimit(tid, resource, wanted, ret_before);
	(void)take_real_ids(own_uid, own_gid);
	return r;
}
