/* What inodes that are made again have besides content, owner, mode and times, in images and out of them. */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "images/file-attributes.pb-c.h"
#include "kernel/inode-attributes.h"

/* All extended attributes of what a descriptor (also O_PATH) refers to, in memory of the arena: 0 or -errno. */
int file_xattrs_read(struct arena *arena, int fd, size_t *ret_count, FileXattr ***ret);
int file_xattrs_set(int fd, size_t count, FileXattr *const *xattrs, struct error *err);

/* NULL in *ret where the filesystem has none: 0 or -ENOMEM. */
int file_attributes_fill(struct arena *arena, const struct inode_attributes *from, FileAttributes **ret);
struct inode_attributes file_attributes_of(const FileAttributes *entry);
