/* open_tree(2) clones the mount without putting it anywhere; mount_setattr(2) changes what the clone allows and notes.
 */
#include "kernel/mount-view.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"

static int clone_with(int fd, const struct mount_attr *attr)
{
	AUTO_CLOSE int view = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr copy = *attr;

	if (view < 0 || mount_setattr(view, "", AT_EMPTY_PATH, &copy, sizeof(copy)) < 0)
		return -errno;
	return take_fd(&view);
}

int mount_view_unwatched(const char *path)
{
	int view = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return view < 0 ? -errno : view;
}

int mount_view_noatime(int fd)
{
	static const struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOATIME, .attr_clr = MOUNT_ATTR__ATIME };

	return clone_with(fd, &attr);
}

int mount_view_writable(int dirfd)
{
	static const struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };
	AUTO_CLOSE int view = clone_with(dirfd, &attr);
	struct statvfs fs;

	if (view < 0)
		return view;
	if (fstatvfs(view, &fs) < 0)
		return -errno;
	return fs.f_flag & ST_RDONLY ? -EROFS : take_fd(&view);
}
