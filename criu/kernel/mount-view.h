/* A file seen through a mount of its own, which is in no namespace and goes with its descriptor. */
#pragma once

/*
 * Where the mount of the directory is read-only but its filesystem is not: a descriptor (O_PATH, close-on-exec) of the
 * same directory below which can be written. -EROFS when the filesystem is; needs CAP_SYS_ADMIN and Linux 5.12.
 */
int mount_view_writable(int dirfd);

/*
 * A descriptor (O_PATH, close-on-exec) of a mounted directory: what is done below it is no event of the mount itself
 * (fanotify). Closing it waits for all processors.
 */
int mount_view_unwatched(const char *path);

/* A descriptor (O_PATH, close-on-exec) of the same file by which it can be read without a trace in its times. */
int mount_view_noatime(int fd);
