/*
 * What a BPF iterator tells of every task in our pid namespace at once: which kernel objects it uses, by address, and
 * a few values that would cost a file of /proc each. The addresses serve to be compared with each other while the tasks
 * stand still, and are never shown. Reads the kernel's structures where its type information says they are; each value
 * is checked against what /proc says of ourselves before any of them is believed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A place in the file system: where it is mounted and which entry it is. */
struct path_fact {
	uint64_t mount, entry;
};

struct task_facts {
	pid_t tid, tgid;
	pid_t parent;     /* the process that made it or has adopted it; 0: not of our pid namespace */
	pid_t parent_tid; /* the thread of it whose child it is */
	bool has_ended;
	uint64_t namespaces; /* all but those of pid and user */
	uint64_t user_ns;
	uint32_t pid_level; /* depth of its pid namespace: those of one depth that we see are one */
	uint64_t cgroups;
	uint64_t mm, files, fs, sighand; /* 0 once it has ended */
	uint64_t exe;
	uint64_t heap_start, heap_end, stack_start; /* addresses of the task's own */
	struct path_fact cwd, root;
	bool has_posix_timers; /* false: it has none */
	int next_timer_id;     /* what timer_create(2) tries next; -1: no other than usual, or not known */
	bool has_tls;          /* false: no TLS descriptor is set */
	int oom_score_adj, oom_score_adj_min;   /* the latter: how low it may go without CAP_SYS_RESOURCE */
	bool has_coredump_filter, has_loginuid; /* false: not known */
	uint32_t coredump_filter, loginuid;
	uint32_t audit_session; /* where a loginuid is set; 0: not known */
	uint64_t default_timer_slack_ns;
	uint64_t undo_list;  /* of System V semaphores; 0: it has none */
	uint64_t io_context; /* 0: it has none */
	/* Protection keys: bit N: key N is allocated, 0: not known; which of them the kernel has taken, below 1: none.
	 */
	uint32_t allocated_keys;
	int execute_only_key;
};

struct task_fact_list {
	struct task_facts *items; /* ascending by tid */
	size_t count;
	struct task_facts own; /* of the calling process's first thread */
};

/* A descriptor, or -errno: there is always another way. */
int task_facts_open(void);

int task_facts_read(int program_fd, struct task_fact_list *ret);
void task_facts_done(struct task_fact_list *list);

const struct task_facts *task_facts_find(const struct task_fact_list *list, pid_t tid);
