/*
 * /proc/PID/status and /proc/PID/task/TID/status: "Key:\tvalue" lines. A key that this kernel does not print leaves the
 * member as documented here. Ids are as seen by the reader: user ids in its user namespace, pids in the proc mount.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { UID_REAL, UID_EFFECTIVE, UID_SAVED, UID_FS, UID_COUNT };

struct proc_status {
	char name[64]; /* with the kernel's escapes of newline and backslash undone */
	char state;
	bool kernel_thread; /* false where the kernel does not say (before 6.8) */
	pid_t tgid, pid, ppid, tracer_pid;
	uint32_t uid[UID_COUNT], gid[UID_COUNT];
	uint32_t *groups;
	size_t group_count;
	int fd_table_size;
	int thread_count;
	/* Pids from the namespace of the proc mount (first) to the innermost; count 0 where the kernel lacks NSpid. */
	pid_t ns_pids[32], ns_pgids[32], ns_sids[32];
	int ns_pid_count, ns_pgid_count, ns_sid_count;
	uint64_t vm_locked_kb, vm_rss_kb, vm_swap_kb, vm_data_kb;
	uint64_t sig_pending, sig_shared_pending, sig_blocked, sig_ignored, sig_caught; /* bit 0 is signal 1 */
	uint64_t sig_queued, sig_queue_limit;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	int no_new_privs;         /* -1: the kernel does not say */
	int seccomp_mode;         /* -1: the kernel has none */
	int seccomp_filter_count; /* -1: the kernel does not say (before 5.9) */
	int umask;                /* -1: the kernel does not say (before 4.7) */
	char speculation_store_bypass[40],
	    speculation_indirect_branch[40]; /* the kernel's words, "" where it has none */
	int thp_enabled;                     /* 0 after PR_SET_THP_DISABLE; -1: the kernel does not say */
	bool core_dumping;
	uint64_t voluntary_switches;
};

/* Replaces what ret held, which is zeroed or filled by an earlier call; proc_status_done() releases it. */
int proc_status_parse(const char *text, struct proc_status *ret);
int proc_status_read(int procfd, const char *path /* "status" or "task/TID/status" */, struct proc_status *ret);
void proc_status_done(struct proc_status *status);

#define AUTO_PROC_STATUS __attribute__((cleanup(proc_status_done)))
