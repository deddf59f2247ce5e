/*
 * A line of /proc/locks, which /proc/PID/fdinfo has, too (proc_locks(5)):
 * "1: POSIX  ADVISORY  WRITE 1234 08:01:12345 0 EOF".
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct proc_lock {
	char kind[16], state[16], access[16], end[24];
	pid_t pid; /* 0: in no process that we see; of an open file description lock -1 */
	unsigned int major, minor;
	uint64_t inode;
	int64_t start;
};

/* -EINVAL: no such line, or that of one who waits for the lock ("1: -> POSIX ..."). */
int proc_lock_parse(const char *line, struct proc_lock *ret);
