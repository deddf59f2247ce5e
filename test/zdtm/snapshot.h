/*
 * Everything /proc shows of all tasks of this pid namespace (but its first) as sorted lines of key and value, and the
 * difference of two such records. Numbers the kernel hands out anew (inodes of pipes and anonymous sockets) are
 * replaced by the order in which they appear, so that sharing is compared and the number is not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct snapshot {
	char **lines; /* "PID TID FILE FIELD\tVALUE" */
	size_t count, capacity;
	unsigned long *inodes;
	size_t inode_count;
};

/* 0 or -errno; `shot` is empty or zeroed before. */
int snapshot_take(struct snapshot *shot);
void snapshot_done(struct snapshot *shot);

/* Lines "FILE FIELD reason": fnmatch patterns of what may differ. 0 or -errno. */
struct may_differ {
	struct {
		char file[64], field[64];
	} rows[256];
	size_t count;
};
int may_differ_read(struct may_differ *may, const char *path);
/* Adds rows "FILE:FIELD,FILE:FIELD". */
void may_differ_add(struct may_differ *may, const char *rows);

/* Prints what differs and should not, up to `most` lines; returns how many there were. */
size_t snapshot_diff(const struct snapshot *before, const struct snapshot *after, const struct may_differ *may,
		     FILE *out, size_t most);
