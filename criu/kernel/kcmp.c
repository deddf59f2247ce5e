/* kcmp(2), which the C library does not wrap. */
#include "kernel/kcmp.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int kinds[] = {
	[KCMP_KIND_VM] = KCMP_VM,           [KCMP_KIND_FILES] = KCMP_FILES, [KCMP_KIND_FS] = KCMP_FS,
	[KCMP_KIND_SIGHAND] = KCMP_SIGHAND, [KCMP_KIND_IO] = KCMP_IO,       [KCMP_KIND_SYSVSEM] = KCMP_SYSVSEM,
};

/* The kernel answers 0 equal, 1 less, 2 greater; 3 different without an order cannot be sorted by. */
static int compare(pid_t pid1, pid_t pid2, int type, unsigned long idx1, unsigned long idx2, int *ret_order)
{
	long r = syscall(SYS_kcmp, pid1, pid2, type, idx1, idx2);

	if (r < 0)
		return -errno;
	if (r > 2)
		return -EOPNOTSUPP;
	*ret_order = r == 0 ? 0 : r == 1 ? -1 : 1;
	return 0;
}

int kcmp_object(enum kcmp_kind kind, pid_t pid1, pid_t pid2, int *ret_order)
{
	return compare(pid1, pid2, kinds[kind], 0, 0, ret_order);
}

int kcmp_files(pid_t pid1, int fd1, pid_t pid2, int fd2, int *ret_order)
{
	return compare(pid1, pid2, KCMP_FILE, (unsigned long)fd1, (unsigned long)fd2, ret_order);
}

int kcmp_epoll_target(pid_t pid, int fd, pid_t epoll_pid, int epoll_fd, int target_fd, unsigned nth, int *ret_order)
{
	struct kcmp_epoll_slot slot = {
		.efd = (unsigned)epoll_fd,
		.tfd = (unsigned)target_fd,
		.toff = nth,
	};

	return compare(pid, epoll_pid, KCMP_EPOLL_TFD, (unsigned long)fd, (unsigned long)&slot, ret_order);
}
