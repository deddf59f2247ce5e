/*
 * compel: stop a task with all its threads, run system calls and position-independent code inside it, and leave
 * no trace.
 *
 * The order of use, for one process or for many at once (each step is batched, so that waiting is shared):
 *
 *	compel_task_new()        nothing is touched
 *	compel_seize()           PTRACE_SEIZE + PTRACE_INTERRUPT of every thread; again until it finds no new one
 *	compel_wait_stopped()    every thread stands still, its registers and signal mask are known
 *	compel_inject()          a stub in never-executed padding, a private mapping with the blob and its data
 *	compel_syscall()         one system call on one thread (needs the stub only)
 *	compel_start(), compel_finish()   all threads run the blob's entry at the same time
 *	compel_cure()            mapping and stub are gone, registers and masks are as they were
 *	compel_detach()          the task runs on, or stays stopped
 *
 * Dying in the middle. Every intrusion is written to a journal before it happens. The journal lives in memory that the
 * caller shares with another process; when the tracer dies, that process calls compel_rescue() and everything is
 * undone. For this no thread with borrowed registers ever stands where running on would hurt: injected calls are
 * "syscall; jmp ." in padding that no thread executes, the blob sleeps in a loop once its work is done, and
 * single-stepping and breakpoints are never used. A thread's signals are blocked only after its registers point at
 * the stub.
 *
 * Threads: ptrace binds a tracee to the calling thread, so all functions on one task are called by one thread.
 * Errors: functions return 0 or -errno and fill *err (sentence without newline). x86-64 tasks only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct compel_error {
	int code;
	char text[512];
};

/* An address in the target: cannot be dereferenced here. */
struct remote_addr {
	uint64_t value;
};

/* --- the journal: fixed layout, in MAP_SHARED memory, zero-filled by its owner ---------------------------------------
 */

#define COMPEL_STUB_BYTES 8

enum compel_thread_state {
	COMPEL_THREAD_FREE,   /* not ours, or given back */
	COMPEL_THREAD_SEIZED, /* attached; registers and mask are the task's own: its tracer's death frees it unharmed
			       */
	/*
	 * Registers and mask are on their way to us, ours, or on their way back: both changes are made while the thread
	 * still has (or has again) its own mask, so that a thread that stands outside of stub and blob is its own.
	 */
	COMPEL_THREAD_BORROWED,
};

enum compel_operation {
	COMPEL_OP_NONE,
	COMPEL_OP_MMAP,   /* if the calling thread has executed it, its rax is the address of a mapping of ours */
	COMPEL_OP_MUNMAP, /* if the calling thread has executed it, the mapping is gone */
	COMPEL_OP_OTHER,
};

/* Layout of the kernel's struct ptrace_sud_config: system calls that the task catches itself. */
struct compel_user_dispatch {
	uint64_t mode; /* 0: it does not */
	uint64_t selector, offset, length;
};

struct compel_journal_thread {
	int32_t tid;
	uint32_t state; /* enum compel_thread_state */
	uint32_t task;  /* index of the task it belongs to */
	/* Rights by which the thread cannot reach our memory: opened while it is borrowed. 0: it can. */
	uint32_t key_rights;
	/*
	 * r14 of the thread while it stands in the stub: a signal frame on its stack that leads back there belongs to
	 * this borrowing if it holds one of these, and is a leftover otherwise.
	 */
	uint64_t episode, next_episode;
	uint64_t signal_mask;
	struct compel_user_dispatch dispatch; /* switched off while it is borrowed */
	struct user_regs_struct regs;
};

struct compel_journal_task {
	int32_t pid;
	uint32_t first_thread; /* index into the journal's threads; the others may stand anywhere behind it */
	uint32_t thread_count;
	int32_t caller_tid; /* the thread that runs injected system calls */
	uint64_t stub_addr; /* 0: none poked */
	uint8_t stub_saved[COMPEL_STUB_BYTES];
	uint64_t blob_addr; /* 0: none mapped */
	uint64_t blob_bytes;
	uint32_t operation; /* enum compel_operation under way on caller_tid */
	uint32_t keep;      /* set by the owner: nothing is undone for this task (it is about to be killed) */
	uint64_t cookie;    /* r15 of caller_tid, once its registers have been set for this operation */
};

struct compel_journal {
	uint32_t task_count, task_limit;
	uint32_t thread_count, thread_limit;
	uint64_t threads_offset; /* bytes from the start of this struct; tasks follow the struct directly */
	struct compel_journal_task tasks[];
};

/* Bytes of a journal for so many tasks and threads; pages that are never used are never touched. */
size_t compel_journal_bytes(uint32_t task_limit, uint32_t thread_limit);
void compel_journal_init(struct compel_journal *journal, uint32_t task_limit, uint32_t thread_limit);

/*
 * Called by a surviving process after the tracer's death: seizes what is still borrowed, undoes it, lets it run. A
 * thread that is inside a signal handler on top of the stub is waited for. Returns the number of tasks that could not
 * be given back (0 is success); tasks that have died meanwhile are no failure.
 */
int compel_rescue(struct compel_journal *journal, struct compel_error *err);

/* --- tasks -----------------------------------------------------------------------------------------------------------
 */

struct compel_thread {
	pid_t tid;
	bool stopped;
	int stop_signal;      /* != 0: the thread is in a group stop by this signal */
	uint64_t signal_mask; /* its own mask; where a call has swapped it (sigsuspend), the one to come back to */
	/*
	 * Set by the caller: where in the task's memory the mask stands that the thread waits with and that is to be in
	 * force again once it is cured. 0: its own mask is, until it makes its call again.
	 */
	struct remote_addr waiting_mask;
	struct user_regs_struct regs; /* as at the stop, orig_rax and a pending restart code (-ERESTART*) included */
	struct compel_journal_thread *journal;
};

struct compel_task {
	pid_t pid;
	/*
	 * In order of /proc/PID/task. threads[0] is the leader, or, where that has ended while others live on, the
	 * oldest of these: it makes the calls.
	 */
	struct compel_thread *threads;
	size_t thread_count;
	struct compel_journal_task *journal;
	void *internal;
};

/* The journal may be NULL: then there is no protection against our death. Owned by the caller of _free. */
int compel_task_new(struct compel_journal *journal, pid_t pid, struct compel_task **ret_task, struct compel_error *err);
void compel_task_free(struct compel_task *task);

/*
 * Tried; where the kernel refuses, filters stay in force, and injecting into a thread that has one is refused (-EPERM).
 * The kernel takes the suspension back when the tracer dies: a tracer that is killed at the very moment at which a
 * thread is about to make a system call of ours leaves that call to the filter. Threads that sleep in the blob or that
 * compel_finish() has stopped are not exposed.
 */
#define COMPEL_SEIZE_SUSPEND_SECCOMP 0x1

/*
 * Seizes and interrupts all threads that /proc/PID/task shows and that are not seized yet; *ret_new counts them.
 * Threads that the kernel made for itself (io_uring) are left alone: no code of the program runs there. Threads that
 * end meanwhile are skipped, and so is a leader that has ended while others live on, which nobody can trace; -ESRCH
 * when the process is gone, -EPERM with the tracer's pid in the text when it is traced.
 *
 * -EAGAIN, from here on until the last call of compel_wait_stopped(): the process lives, but none of its threads is
 * seized any more, for one of them has executed a program or all have made others and ended. It is to be seized anew.
 */
int compel_seize(struct compel_task *task, unsigned int flags, size_t *ret_new, struct compel_error *err);

/*
 * Waits until every seized thread has stopped, at most until deadline_ns (CLOCK_MONOTONIC; -ETIMEDOUT), and reads
 * registers and masks. Threads that have died are removed from the list. A signal that arrives for a thread between its
 * interruption and its stop is taken by the thread, which then stops at the first instruction of its handler; later
 * ones stay pending. So none is lost or doubled. Seize and wait in turn until compel_seize() finds nothing new.
 *
 * In regs, calls that the stop would make fail with EINTR although they have no timeout (epoll_wait, semop, sigwaitinfo
 * ...) carry -ERESTARTNOHAND instead; with a timeout they fail, as after any stop. A thread inside a restartable
 * sequence is shown at its abort handler, where the kernel would resume it.
 */
int compel_wait_stopped(struct compel_task *task, uint64_t deadline_ns, struct compel_error *err);

/*
 * When all stand still and nothing new is found: -EAGAIN if a thread that was never seized has executed a program
 * meanwhile, which ends all others. Then seize and wait once more.
 */
int compel_confirm_stopped(struct compel_task *task, struct compel_error *err);

/*
 * Where the stub goes: [start, end) is an executable private mapping whose last bytes are zero padding (the vdso). The
 * caller may offer one it knows from /proc/PID/maps, and its contents if it has read them since the task stands still
 * (or NULL); otherwise inject and syscall look themselves.
 */
void compel_offer_stub(struct compel_task *task, uint64_t start, uint64_t end, const void *contents);

/* Runs one system call on threads[0]. *ret_value is what the kernel returned (-errno inside). */
int compel_syscall(struct compel_task *task, long number, const uint64_t args[6], int64_t *ret_value,
		   struct compel_error *err);

/*
 * Maps code_bytes + data_bytes (page aligned each) into the task and copies the code there; the task may refuse memory
 * that is both writable and executable, so the code must not write to itself. The data area follows the code at
 * *ret_data. Entry point is the first byte. code must stay valid until the first compel_write() or compel_start(),
 * along with which it is written.
 */
int compel_inject(struct compel_task *task, const void *code, size_t code_bytes, size_t data_bytes,
		  struct remote_addr *ret_code, struct remote_addr *ret_data, struct compel_error *err);

/*
 * The same for many tasks at once: they do their part side by side. data_bytes, ret_codes and ret_datas have count
 * elements; on failure *ret_failed is the index of the task that *err is about, and others may hold mappings of ours,
 * which compel_cure() takes away.
 */
int compel_inject_all(struct compel_task *const *tasks, size_t count, const void *code, size_t code_bytes,
		      const size_t *data_bytes, struct remote_addr *ret_codes, struct remote_addr *ret_datas,
		      size_t *ret_failed, struct compel_error *err);

/* process_vm_readv/writev of the task's memory: 0 or -errno. */
int compel_read(const struct compel_task *task, struct remote_addr from, void *to, size_t bytes);
int compel_write(const struct compel_task *task, struct remote_addr to, const void *from, size_t bytes);

/*
 * Starts thread i at the blob's entry with rdi = arg (an address in the data area) and rsp = stack_top. The blob must
 * set the 32-bit word at done to a value other than 0 when it is finished, and then sleep for ever with compel's own
 * convention: a loop around the pause system call. All signals are blocked meanwhile.
 */
int compel_start(struct compel_task *task, size_t thread, struct remote_addr entry, uint64_t arg, uint64_t stack_top,
		 struct compel_error *err);

/* Waits until the word at done is not 0, then stops the started threads again. Start all tasks before finishing one. */
int compel_finish(struct compel_task *task, const struct remote_addr *done, size_t done_count, uint64_t deadline_ns,
		  struct compel_error *err);

/*
 * Waits in the same way, and copies bytes at from, as they are by then. The threads sleep on in the blob: compel_cure()
 * stops them, as does compel_finish() without words, before they can be started again. Most tasks cost one system call.
 */
int compel_collect(struct compel_task *task, const struct remote_addr *done, size_t done_count, uint64_t deadline_ns,
		   struct remote_addr from, void *to, size_t bytes, struct compel_error *err);

/* Unmaps, takes the stub out, gives every thread its registers and mask back. The task stays seized and stopped. */
int compel_cure(struct compel_task *task, struct compel_error *err);

/*
 * Lets all threads go: they run on, or stay in the group stop they were in. A task that has been killed is let go as
 * well: its dead threads are collected here, and its parent hears of its end only after that (or after this process's
 * end). -EBUSY: a thread could not be stopped (state D) and stays traced until the tracing process ends.
 */
int compel_detach(struct compel_task *task, struct compel_error *err);

/*
 * For a task of which nothing was borrowed, and some of whose threads do not come to a stop: these run on, interrupted
 * as soon as they could stop, until the tracing process ends, whose end takes the interruption back. The others are let
 * go.
 */
void compel_leave(struct compel_task *task);

/* --- registers -------------------------------------------------------------------------------------------------------
 */

/* The xsave area in the kernel's standard format: bytes used, or -errno. */
ssize_t compel_get_xstate(pid_t tid, void *area, size_t bytes);
int compel_set_xstate(pid_t tid, const void *area, size_t bytes);
/*
 * Of protection keys: two bits for each, the lower one denies every access, the upper one writing. Without such keys
 * (a processor or kernel that has none) all is allowed: 0. -EOPNOTSUPP: the kernel does not let them be set.
 */
#define COMPEL_KEY_0_RIGHTS 0x3u /* memory without a key, as ours is */
int compel_get_key_rights(pid_t tid, uint32_t *ret_rights);
int compel_set_key_rights(pid_t tid, uint32_t rights);
int compel_set_regs(pid_t tid, const struct user_regs_struct *regs);
int compel_get_regs(pid_t tid, struct user_regs_struct *ret_regs);
int compel_get_signal_mask(pid_t tid, uint64_t *ret_mask);
int compel_set_signal_mask(pid_t tid, uint64_t mask);
