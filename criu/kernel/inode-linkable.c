#include "kernel/inode-linkable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/detached-tmpfs.h"
#include "kernel/kernel-memory.h"
#include "kernel/pidfd.h"

/* The flags of the inode; the first word of i_state whatever its type is. */
static int read_state(struct kernel_memory *km, int fd, uint32_t *ret)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(getpid());
	uint64_t file, inode;
	int r = pidfd < 0 ? pidfd : kernel_memory_file(km, pidfd, fd, &file);

	if (r == 0)
		r = KERNEL_MEMBER(km, file, "file", "f_inode", &inode);
	return r < 0 ? r : KERNEL_MEMBER(km, inode, "inode", "i_state", ret);
}

static int read_specimen(struct kernel_memory *km, int dirfd, int flags, uint32_t *ret)
{
	AUTO_CLOSE int fd = openat(dirfd, ".", flags | O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : read_state(km, fd, ret);
}

/* The flag has another number from one kernel to another: files of our own show which. */
static int find_flag(struct kernel_memory *km, uint32_t *ret)
{
	AUTO_CLOSE int dirfd = detached_tmpfs_open();
	uint32_t with, without, flag;
	int r = dirfd < 0 ? dirfd : read_specimen(km, dirfd, 0, &with);

	if (r == 0)
		r = read_specimen(km, dirfd, O_EXCL, &without);
	if (r < 0)
		return r;
	flag = with ^ without;
	if (!(flag & with) || flag & (flag - 1))
		return -EOPNOTSUPP;
	*ret = flag;
	return 0;
}

int inode_is_linkable(struct kernel_memory *km, int fd, bool *ret)
{
	uint32_t state, flag;
	int r = find_flag(km, &flag);

	if (r == 0)
		r = read_state(km, fd, &state);
	if (r == 0)
		*ret = state & flag;
	return r;
}
