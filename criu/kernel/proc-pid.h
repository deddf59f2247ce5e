/*
 * The directory of a process in a proc mount. All readers of proc-*.h take the descriptor opened here (or one of a
 * directory with recorded files), so that a walk over one process never mixes it with a later one of the same pid: once
 * the process is reaped, lookups through the descriptor fail with -ESRCH or -ENOENT.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens /proc/PID (O_PATH|O_DIRECTORY|O_CLOEXEC); pid 0 means /proc/self. Descriptor or -errno (-ESRCH: no such pid).
 */
int proc_open(pid_t pid);

/* The same below another proc mount, or a directory that looks like one. */
int proc_open_at(const char *proc_mount, pid_t pid);

/*
 * Reads a small file into text, NUL behind it: bytes read or -errno; -E2BIG when it does not fit (capacity includes the
 * NUL). One open, as few reads as the kernel allows, one close.
 */
int proc_read_text(int dirfd, const char *path, char *text, size_t capacity);
