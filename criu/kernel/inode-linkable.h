/*
 * Whether an inode without a name can be given one by linkat(2). What O_TMPFILE makes can, once, unless O_EXCL forbade
 * it, which no interface tells.
 */
#pragma once

#include <stdbool.h>

struct kernel_memory;

/* Of what a descriptor of this process (also O_PATH) refers to: 0, or -errno when it cannot be told. */
int inode_is_linkable(struct kernel_memory *km, int fd, bool *ret);
