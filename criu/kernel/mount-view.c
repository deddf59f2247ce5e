/* open_tree(2) clones the mount without putting it anywhere; mount_setattr(2) takes its read-only flag away. */
#include "kernel/mount-view.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"

int mount_view_writable(int dirfd)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };
	AUTO_CLOSE int view = open_tree(dirfd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct statvfs fs;

	if (view < 0 || mount_setattr(view, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 || fstatvfs(view, &fs) < 0)
		return -errno;
	return fs.f_flag & ST_RDONLY ? -EROFS : take_fd(&view);
}
