/* The small files of /proc/PID: one number, one word, one link each; and the mount table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

/* The auxiliary vector as words, ending with the AT_NULL pair; the array belongs to the caller. */
int proc_read_auxv(int procfd, uint64_t **ret, size_t *ret_word_count);

int proc_read_loginuid(int procfd, uint32_t *ret); /* (uint32_t)-1: not set; -ENOENT without CONFIG_AUDIT */
int proc_read_sessionid(int procfd, uint32_t *ret);
int proc_read_oom_score_adj(int procfd, int *ret);
int proc_read_coredump_filter(int procfd, uint32_t *ret);
int proc_read_personality(int procfd, uint32_t *ret);
int proc_read_autogroup_nice(int procfd, int *ret); /* -ENOENT without CONFIG_SCHED_AUTOGROUP */

/*
 * The timer slack of a thread, open for both: descriptor or -errno. What is written is set, 0: the thread's default.
 * Both need CAP_SYS_NICE for other processes.
 */
int proc_open_timer_slack(pid_t tid);
int proc_open_timer_slack_in(int dirfd, pid_t tid); /* of /proc */
int proc_read_timer_slack(int fd, uint64_t *ret_ns);
int proc_write_timer_slack(int fd, uint64_t ns);

/* "limits": count of them, in the order of the RLIMIT_ numbers; UINT64_MAX: unlimited. */
struct proc_limit {
	uint64_t current, maximum;
};
int proc_read_limits(int procfd, struct proc_limit *ret, size_t count);
int proc_parse_limits(const char *text, struct proc_limit *ret, size_t count);

/* "task/TID/syscall": the call in which a thread sleeps. -EAGAIN: it runs, or sleeps in none. */
struct proc_call {
	uint64_t number, args[6];
	uint64_t stack_pointer, instruction_pointer;
};
int proc_read_call(int procfd, pid_t tid, struct proc_call *ret);
int proc_parse_call(const char *text, struct proc_call *ret);

/* path is "comm" or "task/TID/comm"; without the newline. */
int proc_read_comm(int procfd, const char *path, char ret[64]);

/* "cgroup" or "task/TID/cgroup": the text; lines "HIERARCHY:CONTROLLERS:PATH". */
int proc_read_cgroup(int procfd, const char *path, struct buffer *ret);

/* Namespaces of a task by the names in /proc/PID/ns. */
enum proc_ns {
	PROC_NS_PID,
	PROC_NS_PID_FOR_CHILDREN,
	PROC_NS_MNT,
	PROC_NS_NET,
	PROC_NS_UTS,
	PROC_NS_IPC,
	PROC_NS_USER,
	PROC_NS_CGROUP,
	PROC_NS_TIME,
	PROC_NS_TIME_FOR_CHILDREN,
	PROC_NS_COUNT
};

struct proc_ns_ids {
	uint64_t inode[PROC_NS_COUNT]; /* 0: the kernel has no such kind, or pid_for_children is not created yet */
};

const char *proc_ns_name(enum proc_ns ns);    /* "mnt", "pid_for_children" ... */
uint64_t proc_ns_clone_flag(enum proc_ns ns); /* CLONE_NEWxx */
int proc_ns_inode(int procfd, enum proc_ns ns, uint64_t *ret);
/* task is NULL for the process, "task/TID" for a thread. */
int proc_ns_read(int procfd, const char *task, struct proc_ns_ids *ret);

/*
 * Target of a link below procfd ("cwd", "root", "exe", "fd/3", "map_files/A-B", "ns/net"), malloc()ed, any length.
 * -errno on failure.
 */
int proc_read_link(int procfd, const char *path, char **ret);

/* What a descriptor of this process leads to, for sentences: malloc()ed, NULL when it cannot be told. */
char *proc_own_fd_name(int fd);

/* Opens what such a link leads to (not the link's text), close-on-exec: descriptor or -errno. */
int proc_open_link(int procfd, const char *path, int open_flags);
int proc_open_fd(int procfd, int fd, int open_flags);
int proc_open_map(int procfd, uint64_t start, uint64_t end, int open_flags);

/*
 * The path of a mapping of which maps tells one: malloc()ed, NULL when there is no memory. A newline is escaped there,
 * a backslash is not: where there is one of either the link of the mapping tells which, as far as that may be read.
 */
char *proc_map_name(int procfd, uint64_t start, uint64_t end, const char *path);

/* One line of mountinfo; strings live in the table. Octal escapes are undone. */
struct proc_mount {
	int mnt_id, parent_mnt_id;
	uint32_t dev_major, dev_minor;
	const char *root, *mountpoint, *options;  /* options: those of the mount */
	int shared_id, master_id, propagate_from; /* 0: none */
	bool unbindable;
	const char *fstype, *source, *sb_options;
};

struct proc_mounts {
	struct proc_mount *mounts; /* in the kernel's order: a parent stands before its children */
	size_t count;
	size_t capacity;
	struct buffer text;
};

/* A struct proc_mounts is zeroed before its first use and may be filled again. */
int proc_mounts_read(int procfd, struct proc_mounts *ret);
int proc_mounts_parse(const char *text, struct proc_mounts *ret);
const struct proc_mount *proc_mounts_find(const struct proc_mounts *mounts, int mnt_id);
void proc_mounts_done(struct proc_mounts *mounts);

#define AUTO_PROC_MOUNTS __attribute__((cleanup(proc_mounts_done)))

/* By how much clocks are ahead in a time namespace of those of the initial one, which the kernel's own times are of. */
struct proc_time_offsets {
	int64_t monotonic_ns, boottime_ns;
};

/* The first by a process's directory, the second of our own, zeros on a kernel without time namespaces. 0 or -errno. */
int proc_read_time_offsets(int procfd, struct proc_time_offsets *ret);
int proc_read_own_time_offsets(struct proc_time_offsets *ret);
