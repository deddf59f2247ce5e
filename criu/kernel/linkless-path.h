/*
 * Paths that the kernel tells of open files have no symbolic links in them. Where one is met on such a path, somebody
 * has put it there since, and it leads to where he wants.
 */
#pragma once

/* A close-on-exec descriptor; -ELOOP when there is a link anywhere, before Linux 5.6 only at the end. */
int linkless_path_open(const char *path, int flags);
