/*
 * What the parts of the walk over descriptor tables share: fd-tables.c finds the tables, fd-probe.c asks descriptors
 * one by one, fd-records.c takes large tables from the kernel's own records, fd-sharing.c finds what stands for one
 * description.
 */
#pragma once

#include <stdatomic.h>

#include "files/registry.h"

struct fd_table {
	struct task *task;
	size_t count; /* 0: unknown (before Linux 6.2) or empty */
	size_t table_size;
};

/* --- fd-probe.c ------------------------------------------------------------------------------------------------- */

struct probed_fd {
	int fd;             /* -1: there is no such descriptor */
	bool close_on_exec; /* where that is known */
	struct open_file *file;
};

struct fd_probe {
	struct task *task;
	const struct task *parent; /* whose descriptors may have been inherited, or NULL */
	const int *numbers;        /* NULL: item i is descriptor first + i */
	int first;
	struct open_file *files; /* one for each item, used where nothing was inherited */
	struct probed_fd *items;
	bool keep_local;
	size_t wanted; /* descriptors in the whole table, 0 while unknown */
	atomic_size_t found;
	atomic_int error;
	atomic_int error_fd;
};

/* All numbers that /proc/PID/fd lists. */
int fd_probe_listed(struct dump *d, struct fd_probe *probe, struct error *err);

/* All numbers up to the size of the table, until count descriptors were found. */
int fd_probe_dense(struct dump *d, struct fd_probe *probe, size_t count, size_t table_size, struct error *err);

/* Fills a stat, the mount id and when the inode was made with one call; AT_EMPTY_PATH for dirfd itself. */
int fd_probe_stat(int dirfd, const char *path, struct open_file *file);

bool fd_probe_has_position(const struct open_file *file);
uint64_t fd_probe_position(int fd);
/* How long what is written will live: asked of who writes. */
bool fd_probe_has_write_hint(const struct open_file *file);
void fd_probe_write_hint(int fd, struct open_file *file);

/* What the task that a table may have been inherited from has under this number, NULL. */
struct open_file *fd_probe_parent_file(const struct task *parent, int fd);

/* The same, if it is the same description; a comparison is cheaper than a look. */
struct open_file *fd_probe_inherited(const struct fd_probe *probe, int fd);

/* Adds the descriptors among the first count items to the task's table. */
int fd_probe_add(const struct fd_probe *probe, size_t count);

/* The error that was noted meanwhile, if there is one. */
int fd_probe_report(const struct fd_probe *probe, struct error *err);

/* --- fd-records.c ------------------------------------------------------------------------------------------------ */

/* True when the whole table of so many descriptors was read that way: *ret_r is the result. */
bool fd_records_probe(struct dump *d, struct fd_probe *probe, size_t count, struct error *err, int *ret_r);

/* --- fd-sharing.c ------------------------------------------------------------------------------------------------ */

/* Registers the first file of each description of these tables and puts it in place of its duplicates. */
int fd_sharing_find(struct dump *d, const struct fd_table *tables, size_t table_count, struct error *err);
