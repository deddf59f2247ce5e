/* What can be read of a stopped process without anything running in it. */
#pragma once

#include <linux/types.h>
#include <asm/ldt.h>
#include <stdbool.h>

#include "arch/x86/debug-registers.h"
#include "base/error.h"
#include "images/core-x86.pb-c.h"
#include "kernel/proc-timers.h"
#include "kernel/ptrace-info.h"
#include "kernel/sched.h"
#include "task/ended-call.h"
#include "task/interrupted-call.h"
#include "task/task.h"

struct dump;

#define TLS_SLOTS 3

struct task_state {
	struct proc_timer *timers;
	size_t timer_count;
	struct hidden_timer *hidden_timers; /* as far as it is known */
	size_t hidden_timer_count;
	int next_timer_id;                /* likewise; -1: not known */
	struct hidden_timer *late_timers; /* read again behind the infect stage; only where a signal of one waits */
	size_t late_timer_count;
	bool has_loginuid;
	uint32_t loginuid, audit_session; /* the latter 0 where no login uid is set */
	int oom_score_adj;
	int oom_score_adj_min; /* the same where it is not known */
	int autogroup_nice;    /* of its session; 0 where another task of the tree has told it */
	bool has_coredump_filter;
	uint32_t coredump_filter;
	struct siginfo_queue signals; /* of the whole process */
	bool has_ldt;                 /* known from the infect stage on */
	void *ldt;
	size_t ldt_bytes;
};

struct thread_state {
	UserX86FpregsEntry *fpregs;
	struct user_desc tls[TLS_SLOTS];
	uint64_t debug_registers[DEBUG_REGISTER_COUNT];
	bool has_debug_registers;
	struct rseq_config rseq;
	bool has_rseq;
	struct syscall_user_dispatch user_dispatch;
	uint64_t robust_list, robust_bytes;
	struct siginfo_queue signals;
	struct sched_attributes sched;
	uint64_t *affinity;
	size_t affinity_words;
	int io_priority;
	int port_level; /* of iopl(2); -1: the thread itself tells */
	struct interrupted_call interrupted_call;
	struct ended_call ended_call;
	uint64_t default_slack_ns;
	int default_slack_result; /* -errno: it cannot be told */
	bool was_asked_default_slack;
	int pdeath_signal;       /* of one that has ended: no other can be asked from outside */
	uint64_t timer_slack_ns; /* likewise: others tell it themselves; 0: none, or not known */
};

/* From /proc and by system calls that name a pid; may run for several tasks at once. */
int task_look(struct dump *d, struct task *task, struct error *err);

/*
 * What only the kernel's own structures tell of a first thread that has ended; by one thread, for all tasks one after
 * the other.
 */
void task_look_ended_leader(struct dump *d, const struct task *task);

/* Likewise how low a process may take its OOM score adjustment again. */
void task_look_oom_score_adj_min(struct dump *d, const struct task *task);

/* By ptrace: in the tracer's thread only. Not at the thread that waits for the end of its vfork. */
int task_look_traced(struct dump *d, struct task *task, struct error *err);

/* Which timers wait for a time, and the id of the next one: by one thread, before the process can be changed. */
void timers_look(struct dump *d, struct task *task);

/*
 * True for a signal that came from a timer and that the timer, as the task has told of it, is still going to send: it
 * came later than that.
 */
bool timers_send_again(const struct task *task, const uint8_t *info);

/* Save stage: the infected tasks have asked for their timers. */
void timers_look_again(struct dump *d);

void task_look_free(struct task *task);
