#include "kernel/mount-event.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

int mount_event_make(const char *directory)
{
	struct mount_attr attributes = { .attr_clr = MOUNT_ATTR__ATIME };
	struct statvfs fs;

	if (statvfs(directory, &fs) < 0)
		return -errno;
	attributes.attr_set = fs.f_flag & ST_RELATIME  ? MOUNT_ATTR_RELATIME
			      : fs.f_flag & ST_NOATIME ? MOUNT_ATTR_NOATIME
						       : MOUNT_ATTR_STRICTATIME;
	return mount_setattr(AT_FDCWD, directory, 0, &attributes, sizeof(attributes)) < 0 ? -errno : 0;
}
