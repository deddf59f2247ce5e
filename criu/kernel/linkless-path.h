/*
 * Paths that the kernel tells of open files have no symbolic links in them. Where one is met on such a path, somebody
 * has put it there since, and it leads to where he wants.
 */
#pragma once

#include <sys/types.h>

/* A descriptor; -ELOOP when there is a link anywhere. Before Linux 5.6 links are followed. */
int linkless_path_open(const char *path, int flags);

/*
 * A descriptor (O_PATH, close-on-exec) of what an absolute path leads to. *ret_stranger: whose links it has led through
 * that are neither root's nor ours, (uid_t)-1: nobody's. -ELOOP when they are of several users.
 */
int linkless_path_walk(const char *path, uid_t *ret_stranger);
