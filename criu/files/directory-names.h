/*
 * The names in a directory by inode number. The directory that was read last is remembered: whoever has taken away the
 * names of a thousand files there is asked for each of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct directory_names {
	char *path;                   /* NULL while none was read */
	int dirfd;                    /* to look at what stands under a name */
	struct directory_name *items; /* sorted */
	size_t count, capacity;
};

/*
 * A name in the directory under which the inode is now; NULL when there is none, or the directory cannot be read. It
 * lives as long as names are not asked for another directory.
 */
const char *directory_names_find(struct directory_names *names, const char *path, const struct stat *st);
void directory_names_done(struct directory_names *names);
