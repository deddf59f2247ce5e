/*
 * Identity of kernel objects of two tasks by kcmp(2). The order it answers with is arbitrary but total while the kernel
 * runs, so that objects can be sorted.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum kcmp_kind {
	KCMP_KIND_VM,
	KCMP_KIND_FILES,
	KCMP_KIND_FS,
	KCMP_KIND_SIGHAND,
	KCMP_KIND_IO,
	KCMP_KIND_SYSVSEM,
};

/* *ret_order: 0 same object, -1 or 1 otherwise. Returns 0 or -errno. */
int kcmp_object(enum kcmp_kind kind, pid_t pid1, pid_t pid2, int *ret_order);
int kcmp_files(pid_t pid1, int fd1, pid_t pid2, int fd2, int *ret_order);

/*
 * Compares descriptor fd of pid with the file that the epoll epoll_fd of epoll_pid watches under number target_fd; with
 * several files watched under one number (the descriptor was closed and reused) nth chooses, from 0. -ENOENT: no such.
 */
int kcmp_epoll_target(pid_t pid, int fd, pid_t epoll_pid, int epoll_fd, int target_fd, unsigned nth, int *ret_order);
