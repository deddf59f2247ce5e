/*
 * Names of what an inotify or fanotify instance watches, as the kernel has them in memory (kernel/kernel-memory.h): for
 * filesystems that open nothing by a handle, such as overlay.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct kernel_memory;

/*
 * The path, from the root of its filesystem, of an inode that the instance behind a descriptor watches. An inode may
 * have several; which counts from 0. It may be wrong by now: the caller has to look where it leads. 0, -ENOENT when
 * there are no more, or another -errno.
 */
int watched_inode_name(struct kernel_memory *km, int pidfd, int fd, uint32_t sdev, uint64_t inode, size_t which,
		       char *path, size_t bytes);
