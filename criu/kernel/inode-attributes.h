/*
 * What chattr(1) sets: flags of an inode and, where the filesystem has it, the structure around them. And how long what
 * is written will live, as F_SET_RW_HINT told.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct inode_attributes {
	bool is_known;  /* the filesystem has flags */
	uint32_t flags; /* FS_xxx_FL */
	bool has_more;  /* what follows */
	uint32_t xflags, extent_bytes, project, cow_extent_bytes;
	uint64_t write_hint; /* RWH_xx, 0: none */
};

/* Of an open file (not O_PATH): 0 also where there are none, else -errno. */
int inode_attributes_read(int fd, struct inode_attributes *ret);

/* Those that forbid to open the file for writing, or to change anything else of it: they have to come last. */
uint32_t inode_attributes_late(const struct inode_attributes *attributes);

/* What cannot be given to another inode ("encrypted"), or NULL. */
const char *inode_attributes_fixed(const struct inode_attributes *attributes);

/*
 * Gives them to a file that was made new and is empty, without the late ones or, when it is complete, only these. What
 * the filesystem decides by itself is left alone. -errno.
 */
int inode_attributes_set(int fd, const struct inode_attributes *wanted);
int inode_attributes_set_late(int fd, uint32_t late);
