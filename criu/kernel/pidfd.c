/* The pidfd system calls, which the C library of older distributions does not wrap. */
#include "kernel/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel/missing-pidfd.h"

static int open_with_flags(pid_t pid, unsigned flags)
{
	int pidfd = (int)syscall(__NR_pidfd_open, pid, flags);

	return pidfd < 0 ? -errno : pidfd;
}

int pidfd_open_pid(pid_t pid)
{
	return open_with_flags(pid, 0);
}

int pidfd_open_tid(pid_t tid)
{
	return open_with_flags(tid, PIDFD_THREAD);
}

int pidfd_getfd_from(int pidfd, int fd)
{
	int copy = (int)syscall(__NR_pidfd_getfd, pidfd, fd, 0);

	return copy < 0 ? -errno : copy;
}

int pidfd_send_signal_to(int pidfd, int signal)
{
	return syscall(__NR_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

bool pidfd_is_alive(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	/* Readable once the process has exited, reaped or not. */
	return poll(&poll_fd, 1, 0) == 0;
}

int pidfd_exit_status(int pidfd, int *ret_status)
{
	struct pidfd_information info = { .mask = PIDFD_INFORMATION_EXIT };

	if (ioctl(pidfd, PIDFD_GET_INFORMATION, &info) < 0)
		return -errno;
	if (!(info.mask & PIDFD_INFORMATION_EXIT))
		return -EOPNOTSUPP;
	*ret_status = info.exit_code;
	return 0;
}
