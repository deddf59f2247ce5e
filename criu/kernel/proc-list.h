/*
 * The lists of a process: threads, children, descriptors. Arrays are malloc()ed and belong to the caller; an empty list
 * is NULL and 0. A list is what was there while it was read: walk again until nothing new appears.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Thread ids ascending in creation order, the leader first. */
int proc_list_threads(int procfd, pid_t **ret, size_t *ret_count);

/* By one call, of what procfs says of the list itself. False as well where that cannot be told. */
bool proc_has_one_thread(int procfd);

/* How many processes the machine has, of other pid namespaces, too; 0 where that cannot be told. */
size_t proc_count_all(void);

/*
 * Children of the given threads (a child belongs to the thread that forked it). A thread that is gone has none. Needs
 * CONFIG_PROC_CHILDREN: -ENOENT without it.
 */
int proc_list_children(int procfd, const pid_t *tids, size_t tid_count, pid_t **ret, size_t *ret_count);

/* Open descriptors, ascending. */
int proc_list_fds(int procfd, int **ret, size_t *ret_count);
