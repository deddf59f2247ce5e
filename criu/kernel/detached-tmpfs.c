/* The calls are younger than the C library's oldest headers; their numbers are the same for all processors. */
#include "kernel/detached-tmpfs.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef SYS_fsopen
#define SYS_fsopen   430
#define SYS_fsconfig 431
#define SYS_fsmount  432
#endif

#define OPEN_CLOEXEC  1 /* FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC */
#define CONFIG_CREATE 6 /* FSCONFIG_CMD_CREATE */

int detached_tmpfs_open(void)
{
	AUTO_CLOSE int context = (int)syscall(SYS_fsopen, "tmpfs", OPEN_CLOEXEC);
	long mount;

	if (context < 0 || syscall(SYS_fsconfig, context, CONFIG_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = syscall(SYS_fsmount, context, OPEN_CLOEXEC, 0);
	return mount < 0 ? -errno : (int)mount;
}
