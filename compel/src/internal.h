/*
 * Private header of the library: the state behind struct compel_task and the steps that the public functions are made
 * of. Layers, each using only those above it: error, clock, ptrace wrappers and waits; journal; stub; borrowing; system
 * calls; then seize, inject and rescue side by side.
 */
#pragma once

#include <compel/compel.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>

#define COMPEL_PAGE_BYTES 4096UL

/* All signals; the kernel leaves SIGKILL and SIGSTOP out by itself. */
#define ALL_SIGNALS (~0ULL)

/* The kernel's restart codes, visible to a tracer only. */
#define RESTART_SYS          512
#define RESTART_NOINTR       513
#define RESTART_NOHAND       514
#define RESTART_RESTARTBLOCK 516

/* The 64-bit user code segment. */
#define USER_CS 0x33

/* "syscall; jmp ." */
#define STUB_CODE           0xfeeb050fU
#define STUB_CODE_BYTES     4
#define STUB_SYSCALL_OFFSET 0
#define STUB_PARKED_OFFSET  2

/* How far the search for a place goes back below the stubs of others. */
#define STUB_SEARCH_WORDS 8

enum stop_kind {
	STOP_EVENT,   /* PTRACE_EVENT_STOP: inside get_signal(), where registers may be given back */
	STOP_SYSCALL, /* entry or exit of a system call */
	STOP_SIGNAL,  /* about to take a signal */
	STOP_GONE,    /* the thread has ended */
};

struct stop {
	enum stop_kind kind;
	int signal;
	bool is_unreported; /* gone without a report of its end: no tracee of ours has this number */
};

/* What the public struct compel_thread does not show; same index. */
struct thread_state {
	bool at_syscall_stop; /* its last stop was a system call's */
	bool started;         /* runs the blob, not stopped again yet */
};

struct task_state {
	int task_dirfd; /* /proc/PID/task: also pins the identity of the process */
	uint32_t journal_index;
	struct compel_journal *journal;
	size_t private_journal_bytes; /* != 0: journal is ours */
	struct thread_state *thread_states;
	size_t thread_capacity;
	bool suspend_asked;
	bool seccomp_suspended; /* for every thread seized so far */
	bool leader_is_traced;  /* although it has ended: the process's end is reported to us then */
	uint64_t offered_start, offered_end;
	bool offered_words_known;
	uint64_t offered_words[STUB_SEARCH_WORDS]; /* what the offered mapping ends in */
	/* code that is written along with the first data; NULL: none */
	const void *pending_code;
	size_t pending_bytes;
	uint64_t pending_addr;
};

static inline struct task_state *task_state(const struct compel_task *task)
{
	return task->internal;
}

/* --- error.c --- */

/* Sets the sentence, with the text of errno behind it unless r is 0 or the format ends in a full reason. Returns r. */
int fail(struct compel_error *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));
int fail_say(struct compel_error *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));
int fail_gone(struct compel_error *err, pid_t pid);

/* --- clock.c --- */

uint64_t clock_ns(void);
uint64_t deadline_after_ms(uint64_t ms);

/* Patience that grows: yields first, then short sleeps up to max_ns. */
struct patience {
	unsigned int turns;
	uint64_t sleep_ns;
};
void patience_wait(struct patience *patience, uint64_t max_ns);

/* --- ptrace.c: one request each, 0 or -errno --- */

int ptrace_seize(pid_t tid, unsigned long options);
int ptrace_interrupt(pid_t tid);
int ptrace_cont(pid_t tid, int signal);
int ptrace_cont_to_syscall(pid_t tid, int signal);
int ptrace_detach(pid_t tid);
int ptrace_peek_rax(pid_t tid, int64_t *ret_value);
int ptrace_poke_rax(pid_t tid, int64_t value);
int ptrace_poke_word(pid_t tid, uint64_t addr, uint64_t word);
int ptrace_get_user_dispatch(pid_t tid, struct compel_user_dispatch *ret_dispatch);
int ptrace_set_user_dispatch(pid_t tid, const struct compel_user_dispatch *dispatch);

/* --- proc.c --- */

/* State letter of a thread, 0 when it does not exist. */
char proc_thread_state(pid_t pid, pid_t tid);
/* Whether it is one that the kernel made in the process for itself (io_uring): it runs no code of the program. */
bool proc_thread_is_worker(pid_t pid, pid_t tid);
/* A decimal field of /proc/PID/task/TID/status: -ENOENT when there is none. */
int proc_status_number(pid_t pid, pid_t tid, const char *name, long *ret_value);

/* --- wait.c --- */

/* The next stop of one tracee; -ETIMEDOUT. */
int wait_stop(pid_t tid, uint64_t deadline_ns, struct stop *ret_stop);
/* *ret_stopped false: has not stopped yet. Never sleeps. */
int poll_stop(pid_t tid, bool *ret_stopped, struct stop *ret_stop);
/*
 * Waits for the stop inside get_signal() after ptrace_interrupt(); a signal that comes first is taken by the thread, a
 * system call stop is passed. -ESRCH when the thread has ended.
 */
int wait_event_stop(pid_t tid, uint64_t deadline_ns, int *ret_stop_signal);
/* The same; -ECHILD when it has disappeared: it has ended, or executed a program and has the first one's number now. */
int wait_seized_stop(pid_t tid, uint64_t deadline_ns, int *ret_stop_signal);
/*
 * A tracee that dies stays a zombie until its tracer has waited for it, and its process's parent hears nothing before
 * that: waits for one that has been found dead or dying. One that lives after all is let go.
 */
void collect_dead(pid_t pid, pid_t tid);

/* --- exec-watch.c --- */

/* Zeroed at first. progress is counted up by whoever seizes: standing still for long it means that something is wrong.
 */
struct exec_watch {
	pid_t pid;
	unsigned int progress;
	bool running, ended;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

/* Does nothing when it runs already, and without memory: then there is no watch. */
void exec_watch_start(struct exec_watch *w, pid_t pid);
void exec_watch_end(struct exec_watch *w);

/* --- journal.c --- */

struct compel_journal_thread *journal_threads(struct compel_journal *journal);
int journal_add_task(struct compel_journal *journal, pid_t pid, uint32_t *ret_index);
int journal_add_thread(struct compel_journal *journal, uint32_t task, pid_t tid,
		       struct compel_journal_thread **ret_thread);
/* An order that the rescuer relies on: what is written before is seen before. */
static inline void journal_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* --- memory.c --- */

int read_memory(pid_t pid, uint64_t from, void *to, size_t bytes);
/* Writes the code of an injection that still waits for it. */
int flush_code(const struct compel_task *task);
/* Through a stopped tracee, also into what the task itself may not write; bytes is a multiple of 8. */
int poke_memory(pid_t tid, uint64_t to, const void *from, size_t bytes);

/* --- restart.c, rseq.c: registers as the task itself would go on with them --- */

/* A call that the stop made return EINTR although it can be repeated from its registers: makes the kernel repeat it. */
int keep_call_waiting(pid_t tid, struct user_regs_struct *regs);
bool needs_kernel_restart(const struct user_regs_struct *regs);
/* Inside a restartable sequence the next instruction is its abort handler, as after any preemption. */
int leave_restartable_sequence(pid_t tid, struct user_regs_struct *regs);

/* --- stub.c --- */

int stub_put(struct compel_task *task, struct compel_error *err);
/* Takes it out through a stopped tracee. */
int stub_remove(struct compel_journal_task *journal, pid_t tid);
bool stub_is_ours(const struct compel_journal_task *journal);
bool is_borrowed_address(const struct compel_journal_task *journal, uint64_t addr);

/* --- borrow.c --- */

/* Registers for code of ours: everything neutral but rip and rsp. */
void borrowed_regs(struct user_regs_struct *ret_regs, const struct user_regs_struct *own, uint64_t rip);
/*
 * Sets the registers, blocks all signals, has system calls reach the kernel. thread->regs and ->signal_mask are what is
 * given back.
 */
int borrow_thread(struct compel_thread *thread, const struct user_regs_struct *regs, uint64_t stub_addr);
/* Into the stub's "jmp .", as a borrowing of its own: signal frames of the one before no longer count. */
int park_again(struct compel_journal_thread *journal, uint64_t stub_addr);
/* To be called in a stop inside get_signal(), where a restart code needs it. Not with_mask: that is right already. */
int return_thread(struct compel_journal_thread *journal, uint64_t stub_addr, bool with_mask);
bool is_borrowed(const struct compel_thread *thread);
/* Refuses a thread that code of ours would kill: 32-bit, filters in force. */
int check_thread(struct compel_task *task, size_t thread, struct compel_error *err);

/* --- syscall.c --- */

/* What an injected call works on: of a task under way, or of a journal that is being walked back. */
struct caller {
	struct compel_journal_task *journal;
	struct compel_journal_thread *thread;
	struct compel_thread *to_borrow; /* NULL: borrowed already */
};
int inject_call(struct caller *caller, enum compel_operation operation, long number, const uint64_t args[6],
		int64_t *ret_value);

/* A call under way: begun, driven from stop to stop, over when finished. Several tasks' calls can be driven side by
 * side. */
struct call {
	struct caller caller;
	enum compel_operation operation;
	bool running, entered, interrupted, finished;
	int signal; /* to be delivered when the thread goes on */
	uint64_t deadline_ns;
	int64_t value; /* what the kernel returned, once finished */
};

/* Sets the registers and lets the thread go up to the call's entry. */
int call_begin(struct call *call, long number, const uint64_t args[6]);

/* Waits for the next stop, and lets the thread go on unless the call is finished. */
int call_advance(struct call *call);

/* The same on the leader of a task: everything that must be checked and put in place before a call can begin. */
int call_prepare(struct compel_task *task, enum compel_operation operation, struct call *ret_call,
		 struct compel_error *err);
int call_error(const struct compel_task *task, long number, int r, struct compel_error *err);
/* Writes into the journal what an executed call has done. */
void conclude_call(struct compel_journal_task *journal, enum compel_operation operation, int64_t value);
int call_on_leader(struct compel_task *task, enum compel_operation operation, long number, const uint64_t args[6],
		   int64_t *ret_value, struct compel_error *err);

/* --- the list of threads --- */

/* Through whom /proc and memory of the process are reached: those of a leader that has ended are empty. */
static inline pid_t acting_tid(const struct compel_task *task)
{
	return task->thread_count ? task->threads[0].tid : task->pid;
}
