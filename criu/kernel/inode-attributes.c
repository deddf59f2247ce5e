#include "kernel/inode-attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "base/util.h"

#define LATE (FS_IMMUTABLE_FL | FS_APPEND_FL)

/* What an owner may choose; the others say how the filesystem stores it. */
#define CHOSEN                                                                                                         \
	(FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_NOCOMP_FL |           \
	 FS_JOURNAL_DATA_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_NOCOW_FL | FS_DAX_FL |                  \
	 FS_PROJINHERIT_FL)

/* The same for those that have no flag. */
#define CHOSEN_MORE                                                                                                    \
	(FS_XFLAG_REALTIME | FS_XFLAG_RTINHERIT | FS_XFLAG_NOSYMLINKS | FS_XFLAG_EXTSIZE | FS_XFLAG_EXTSZINHERIT |     \
	 FS_XFLAG_NODEFRAG | FS_XFLAG_FILESTREAM | FS_XFLAG_COWEXTSIZE)

static const struct {
	uint32_t flag;
	const char *what;
} fixed[] = {
	{ FS_ENCRYPT_FL, "encrypted" },
	{ FS_VERITY_FL, "protected by fs-verity" },
	{ FS_CASEFOLD_FL, "a directory without regard to case" },
};

/* No such request, or no such filesystem. */
static bool means_none(int reason)
{
	return reason == ENOTTY || reason == EOPNOTSUPP || reason == EINVAL || reason == ENOSYS;
}

int inode_attributes_read(int fd, struct inode_attributes *ret)
{
	struct fsxattr more;
	unsigned int flags;

	*ret = (struct inode_attributes){ .is_known = false };
	if (fcntl(fd, F_GET_RW_HINT, &ret->write_hint) < 0)
		ret->write_hint = 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return means_none(errno) ? 0 : -errno;
	ret->is_known = true;
	ret->flags = flags;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &more) < 0)
		return means_none(errno) ? 0 : -errno;
	ret->has_more = true;
	ret->xflags = more.fsx_xflags;
	ret->extent_bytes = more.fsx_extsize;
	ret->project = more.fsx_projid;
	ret->cow_extent_bytes = more.fsx_cowextsize;
	return 0;
}

uint32_t inode_attributes_late(const struct inode_attributes *attributes)
{
	return attributes->is_known ? attributes->flags & LATE : 0;
}

const char *inode_attributes_fixed(const struct inode_attributes *attributes)
{
	for (size_t i = 0; attributes->is_known && i < ARRAY_SIZE(fixed); i++)
		if (attributes->flags & fixed[i].flag)
			return fixed[i].what;
	return NULL;
}

static int set_flags(int fd, uint32_t mask, uint32_t wanted)
{
	unsigned int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return means_none(errno) && !(wanted & mask) ? 0 : -errno;
	if ((flags & mask) == (wanted & mask))
		return 0;
	flags = (flags & ~mask) | (wanted & mask);
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}

static int set_more(int fd, const struct inode_attributes *wanted)
{
	struct fsxattr now, then;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &now) < 0)
		return means_none(errno) && !wanted->project && !(wanted->xflags & CHOSEN_MORE) ? 0 : -errno;
	then = now;
	then.fsx_xflags = (now.fsx_xflags & ~(uint32_t)CHOSEN_MORE) | (wanted->xflags & CHOSEN_MORE);
	then.fsx_extsize = wanted->extent_bytes;
	then.fsx_projid = wanted->project;
	then.fsx_cowextsize = wanted->cow_extent_bytes;
	if (then.fsx_xflags == now.fsx_xflags && then.fsx_extsize == now.fsx_extsize &&
	    then.fsx_projid == now.fsx_projid && then.fsx_cowextsize == now.fsx_cowextsize)
		return 0;
	return ioctl(fd, FS_IOC_FSSETXATTR, &then) < 0 ? -errno : 0;
}

int inode_attributes_set(int fd, const struct inode_attributes *wanted)
{
	int r = wanted->is_known ? set_flags(fd, CHOSEN, wanted->flags) : 0;
	uint64_t hint = wanted->write_hint;

	if (r == 0 && hint && fcntl(fd, F_SET_RW_HINT, &hint) < 0)
		r = -errno;
	return r < 0 || !wanted->has_more ? r : set_more(fd, wanted);
}

int inode_attributes_set_late(int fd, uint32_t late)
{
	return set_flags(fd, LATE, late);
}
