/*
 * Code of ours inside the task: one private anonymous mapping, code first and data behind it, written from outside;
 * threads run it freely, all at once, and sleep in it until they are taken away. Giving back goes in an order in which
 * a thread never stands on something that is already gone: first all other threads, then the mapping, then the leader,
 * then the stub.
 */
#include "internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define RETURN_MS   5000
#define POLL_MAX_NS 200000
#define MAX_WORDS   64 /* read by one call */

static uint64_t page_align(size_t bytes)
{
	return (bytes + COMPEL_PAGE_BYTES - 1) & ~(COMPEL_PAGE_BYTES - 1);
}

/* --- mapping ------------------------------------------------------------------------------------------------------ */

static int map(struct compel_task *task, enum compel_operation operation, uint64_t addr, size_t bytes, int protection,
	       int flags, int64_t *ret_addr, struct compel_error *err)
{
	const uint64_t args[6] = {
		addr, bytes, (uint64_t)protection, (uint64_t)(MAP_PRIVATE | MAP_ANONYMOUS | flags), (uint64_t)-1, 0
	};

	return call_on_leader(task, operation, SYS_mmap, args, ret_addr, err);
}

static bool is_error(int64_t value)
{
	return value < 0 && value >= -4095;
}

/*
 * Some tasks may not have memory that is both writable and executable (PR_SET_MDWE, SELinux). Then the code is
 * read-only, written through ptrace, and the data a mapping of its own inside the same range.
 */
static int map_split(struct compel_task *task, size_t code_bytes, size_t data_bytes, int64_t *ret_addr,
		     struct compel_error *err)
{
	int64_t data;
	int r;

	r = map(task, COMPEL_OP_MMAP, 0, code_bytes + data_bytes, PROT_READ | PROT_EXEC, 0, ret_addr, err);
	if (r < 0 || is_error(*ret_addr) || !data_bytes)
		return r;
	r = map(task, COMPEL_OP_OTHER, (uint64_t)*ret_addr + code_bytes, data_bytes, PROT_READ | PROT_WRITE, MAP_FIXED,
		&data, err);
	if (r == 0 && is_error(data))
		*ret_addr = data;
	return r;
}

static int write_code(struct compel_task *task, uint64_t addr, const void *code, size_t bytes, bool writable)
{
	size_t words = bytes & ~7UL;
	uint64_t last = 0;
	int r;

	if (writable) {
		task_state(task)->pending_code = code;
		task_state(task)->pending_bytes = bytes;
		task_state(task)->pending_addr = addr;
		return 0;
	}
	r = poke_memory(task->threads[0].tid, addr, code, words);
	if (r < 0 || words == bytes)
		return r;
	memcpy(&last, (const char *)code + words, bytes - words);
	return poke_memory(task->threads[0].tid, addr + words, &last, sizeof(last));
}

/* A mapping of ours on its way into a task. */
struct injection {
	struct call call;
	uint64_t code_room, data_room;
};

static int begin(struct compel_task *task, struct injection *injection, size_t code_bytes, size_t data_bytes,
		 struct compel_error *err)
{
	uint64_t args[6] = { 0 };
	int r;

	if (task->journal->blob_addr)
		return fail_say(err, -EBUSY, "pid %d: it has a mapping of ours already", task->pid);
	injection->code_room = page_align(code_bytes);
	injection->data_room = page_align(data_bytes);
	task->journal->blob_bytes = injection->code_room + injection->data_room;
	args[1] = task->journal->blob_bytes;
	args[2] = PROT_READ | PROT_WRITE | PROT_EXEC;
	args[3] = MAP_PRIVATE | MAP_ANONYMOUS;
	args[4] = (uint64_t)-1;
	r = call_prepare(task, COMPEL_OP_MMAP, &injection->call, err);
	if (r < 0)
		return r;
	r = call_begin(&injection->call, SYS_mmap, args);
	return r < 0 ? call_error(task, SYS_mmap, r, err) : 0;
}

static int finish(struct compel_task *task, struct injection *injection, const void *code, size_t code_bytes,
		  struct remote_addr *ret_code, struct remote_addr *ret_data, struct compel_error *err)
{
	bool writable = true;
	int64_t addr;
	int r = 0;

	while (r == 0 && !injection->call.finished)
		r = call_advance(&injection->call);
	if (r < 0)
		return call_error(task, SYS_mmap, r, err);
	addr = injection->call.value;
	if (addr == -EACCES || addr == -EPERM) {
		writable = false;
		r = map_split(task, injection->code_room, injection->data_room, &addr, err);
	}
	if (r < 0)
		return r;
	if (is_error(addr))
		return fail(err, (int)addr, "pid %d: cannot map %lu KiB in it", task->pid,
			    task->journal->blob_bytes / 1024);
	r = write_code(task, (uint64_t)addr, code, code_bytes, writable);
	if (r < 0)
		return fail(err, r, "pid %d: cannot write code into it", task->pid);
	ret_code->value = (uint64_t)addr;
	ret_data->value = (uint64_t)addr + injection->code_room;
	return 0;
}

/* One has failed: the others' calls come to their end, so that they can be cured. */
static void leave_none_running(struct call *call)
{
	while (call->running && !call->finished)
		if (call_advance(call) < 0)
			return;
}

/*
 * The tasks do their part side by side: each is let go up to the entry of its system call before the first is waited
 * for, and again up to the exit.
 */
int compel_inject_all(struct compel_task *const *tasks, size_t count, const void *code, size_t code_bytes,
		      const size_t *data_bytes, struct remote_addr *ret_codes, struct remote_addr *ret_datas,
		      size_t *ret_failed, struct compel_error *err)
{
	struct injection *injections = calloc(count + 1, sizeof(*injections));
	int r = injections ? 0 : fail(err, -ENOMEM, "inject");
	size_t i;

	for (i = 0; i < count && r == 0; i++)
		r = begin(tasks[ *ret_failed = i], &injections[i], code_bytes, data_bytes[i], err);
	for (i = 0; i < count && r == 0; i++) {
		r = call_advance(&injections[i].call);
		if (r < 0)
			r = call_error(tasks[ *ret_failed = i], SYS_mmap, r, err);
	}
	for (i = 0; i < count && r == 0; i++)
		r = finish(tasks[ *ret_failed = i], &injections[i], code, code_bytes, &ret_codes[i], &ret_datas[i],
			   err);
	for (i = 0; i < count && r < 0 && injections; i++)
		leave_none_running(&injections[i].call);
	free(injections);
	return r;
}

int compel_inject(struct compel_task *task, const void *code, size_t code_bytes, size_t data_bytes,
		  struct remote_addr *ret_code, struct remote_addr *ret_data, struct compel_error *err)
{
	size_t failed;

	return compel_inject_all(&task, 1, code, code_bytes, &data_bytes, ret_code, ret_data, &failed, err);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

int compel_start(struct compel_task *task, size_t thread, struct remote_addr entry, uint64_t arg, uint64_t stack_top,
		 struct compel_error *err)
{
	struct compel_thread *th = &task->threads[thread];
	struct thread_state *state = &task_state(task)->thread_states[thread];
	struct user_regs_struct regs;
	int r;

	if (!th->stopped || state->started)
		return fail_say(err, -EBUSY, "pid %d, thread %d: it is not stopped", task->pid, th->tid);
	r = check_thread(task, thread, err);
	if (r < 0)
		return r;
	r = flush_code(task);
	if (r < 0)
		return fail(err, r, "pid %d: cannot write code into it", task->pid);
	borrowed_regs(&regs, &th->regs, entry.value);
	regs.rdi = arg;
	regs.rsp = stack_top;
	regs.rbp = 0;
	r = is_borrowed(th) ? compel_set_regs(th->tid, &regs) : borrow_thread(th, &regs, task->journal->stub_addr);
	if (r == 0)
		r = ptrace_cont(th->tid, 0);
	if (r == -ESRCH)
		return fail_gone(err, task->pid);
	if (r < 0)
		return fail(err, r, "pid %d, thread %d: cannot start code in it", task->pid, th->tid);
	state->started = true;
	state->at_syscall_stop = false;
	return 0;
}

/* Drops the leading words that are set; a word that is set stays set. */
static int read_done_words(pid_t pid, const struct remote_addr *done, size_t count, size_t *ret_set)
{
	uint32_t words[MAX_WORDS];
	struct iovec remote[MAX_WORDS] = { 0 }, local = { words, 0 };
	size_t n = count < MAX_WORDS ? count : MAX_WORDS, i;

	for (i = 0; i < n; i++)
		remote[i] = (struct iovec){ (void *)done[i].value, sizeof(words[0]) };
	local.iov_len = n * sizeof(words[0]);
	if (process_vm_readv(pid, &local, 1, remote, n, 0) != (ssize_t)local.iov_len)
		return errno == ESRCH ? -ESRCH : -EFAULT;
	for (i = 0; i < n && words[i]; i++)
		;
	*ret_set = i;
	return 0;
}

/* A thread that is stopped from outside (SIGSTOP, SIGCONT) goes on; its group stop comes into force at detach. */
static int keep_running(struct compel_task *task)
{
	for (size_t i = 0; i < task->thread_count; i++) {
		struct stop stop;
		bool stopped = false;
		int r = 0;

		if (task_state(task)->thread_states[i].started)
			r = poll_stop(task->threads[i].tid, &stopped, &stop);
		if (r < 0)
			return r;
		if (!stopped)
			continue;
		if (stop.kind == STOP_GONE)
			return -ESRCH;
		r = ptrace_cont(task->threads[i].tid, stop.kind == STOP_SIGNAL ? stop.signal : 0);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	return 0;
}

static int wait_done(struct compel_task *task, const struct remote_addr *done, size_t count, uint64_t deadline_ns)
{
	struct patience patience = { 0 };
	int r = 0;

	while (count) {
		size_t set = 0;

		r = read_done_words(acting_tid(task), done, count, &set);
		if (r < 0)
			return r;
		done += set;
		count -= set;
		if (!count)
			break;
		if (set)
			continue;
		if (clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		if (patience.sleep_ns)
			r = keep_running(task);
		if (r < 0)
			return r;
		patience_wait(&patience, POLL_MAX_NS);
	}
	return 0;
}

static int stop_started(struct compel_task *task, uint64_t deadline_ns)
{
	struct thread_state *states = task_state(task)->thread_states;
	int first = 0;

	for (size_t i = 0; i < task->thread_count; i++)
		if (states[i].started)
			(void)ptrace_interrupt(task->threads[i].tid);
	for (size_t i = 0; i < task->thread_count; i++) {
		int r;

		if (!states[i].started)
			continue;
		r = wait_event_stop(task->threads[i].tid, deadline_ns, &task->threads[i].stop_signal);
		if (r == 0)
			states[i].started = false;
		/*
		 * Suspended filters are in force again when the tracer dies, and going on in the blob would repeat its
		 * system call. In the stub it makes none.
		 */
		if (r == 0 && task_state(task)->suspend_asked)
			r = park_again(task->threads[i].journal, task->journal->stub_addr);
		else if (first == 0)
			first = r;
	}
	return first;
}

static int follow_error(const struct compel_task *task, int r, struct compel_error *err)
{
	if (r == -ETIMEDOUT)
		return fail_say(err, r, "pid %d: the code running in it has not finished in time", task->pid);
	if (r == -ESRCH)
		return fail_gone(err, task->pid);
	return r < 0 ? fail(err, r, "pid %d: cannot follow the code running in it", task->pid) : 0;
}

/* Words and area by one call, the words first: false when one is not set or there are too many. */
static bool read_finished(pid_t pid, const struct remote_addr *done, size_t count, const struct iovec *from,
			  const struct iovec *to)
{
	uint32_t words[MAX_WORDS];
	struct iovec remote[MAX_WORDS + 1], local[2];

	if (count > MAX_WORDS)
		return false;
	for (size_t i = 0; i < count; i++)
		remote[i] = (struct iovec){ (void *)done[i].value, sizeof(words[0]) };
	remote[count] = *from;
	local[0] = (struct iovec){ words, count * sizeof(words[0]) };
	local[1] = *to;
	if (process_vm_readv(pid, local, 2, remote, count + 1, 0) != (ssize_t)(local[0].iov_len + local[1].iov_len))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!words[i])
			return false;
	return true;
}

int compel_collect(struct compel_task *task, const struct remote_addr *done, size_t done_count, uint64_t deadline_ns,
		   struct remote_addr from, void *to, size_t bytes, struct compel_error *err)
{
	const struct iovec remote = { (void *)from.value, bytes }, local = { to, bytes };
	int r;

	if (read_finished(acting_tid(task), done, done_count, &remote, &local))
		return 0;
	r = wait_done(task, done, done_count, deadline_ns);
	if (r == 0)
		r = read_memory(acting_tid(task), from.value, to, bytes);
	return follow_error(task, r, err);
}

int compel_finish(struct compel_task *task, const struct remote_addr *done, size_t done_count, uint64_t deadline_ns,
		  struct compel_error *err)
{
	int r = wait_done(task, done, done_count, deadline_ns);
	int stop_r = stop_started(task, deadline_after_ms(RETURN_MS));

	if (r == 0 || stop_r == -ESRCH)
		r = stop_r;
	return follow_error(task, r, err);
}

/* --- taking away -------------------------------------------------------------------------------------------------- */

/* From one stop to that of an interruption, without an instruction of the program in between. */
static int go_to_event_stop(struct compel_thread *thread)
{
	int r = ptrace_interrupt(thread->tid);

	if (r == 0)
		r = ptrace_cont(thread->tid, 0);
	return r < 0 ? r : wait_event_stop(thread->tid, deadline_after_ms(RETURN_MS), &thread->stop_signal);
}

/* A call that the kernel must repeat is repeated only from a stop inside get_signal(). */
static int bring_to_event_stop(struct compel_thread *thread, struct thread_state *state)
{
	int r;

	if (!state->at_syscall_stop)
		return 0;
	r = go_to_event_stop(thread);
	if (r == 0)
		state->at_syscall_stop = false;
	return r;
}

/*
 * A sigsuspend begins, and ends at once by an interruption. The mask to come back to is set when it has begun already:
 * between that and the stop the thread does not look at its signals.
 */
static int wait_with_mask(const struct compel_task *task, struct compel_thread *thread)
{
	struct user_regs_struct regs;
	struct stop stop;
	int r;

	borrowed_regs(&regs, &thread->journal->regs, task->journal->stub_addr + STUB_SYSCALL_OFFSET);
	regs.rax = SYS_rt_sigsuspend;
	regs.rdi = thread->waiting_mask.value;
	regs.rsi = sizeof(thread->signal_mask);
	regs.r14 = thread->journal->episode;
	r = compel_set_regs(thread->tid, &regs);
	do {
		if (r == 0)
			r = ptrace_cont_to_syscall(thread->tid, 0);
		if (r == 0)
			r = wait_stop(thread->tid, deadline_after_ms(RETURN_MS), &stop);
	} while (r == 0 && stop.kind == STOP_EVENT);
	if (r == 0 && stop.kind != STOP_SYSCALL)
		r = -ESRCH;
	if (r == 0)
		r = compel_set_signal_mask(thread->tid, thread->journal->signal_mask);
	if (r == 0)
		r = go_to_event_stop(thread);
	if (r == 0)
		r = compel_get_regs(thread->tid, &regs);
	return r == 0 && (int64_t)regs.rax != -RESTART_NOHAND ? -EPROTO : r;
}

static int give_back(struct compel_task *task, size_t i)
{
	bool is_masked = false;
	struct compel_thread *thread = &task->threads[i];
	int r = 0;

	if (!is_borrowed(thread))
		return 0;
	if (needs_kernel_restart(&thread->journal->regs))
		r = bring_to_event_stop(thread, &task_state(task)->thread_states[i]);
	/* Else it waits with its own mask until the stop is over. */
	if (r == 0 && thread->waiting_mask.value && needs_kernel_restart(&thread->journal->regs))
		is_masked = wait_with_mask(task, thread) == 0;
	if (r == 0)
		r = return_thread(thread->journal, task->journal->stub_addr, !is_masked);
	return r;
}

static int unmap(struct compel_task *task, struct compel_error *err)
{
	const uint64_t args[6] = { task->journal->blob_addr, task->journal->blob_bytes };
	int64_t value;
	int r;

	if (!task->journal->blob_addr)
		return 0;
	r = call_on_leader(task, COMPEL_OP_MUNMAP, SYS_munmap, args, &value, err);
	if (r == 0 && value < 0)
		r = fail(err, (int)value, "pid %d: cannot unmap our code", task->pid);
	return r;
}

/* The process has ended: there is nothing left to be undone. */
static void forget_all(struct compel_task *task)
{
	for (size_t i = 0; i < task->thread_count; i++)
		task->threads[i].journal->state = COMPEL_THREAD_SEIZED;
	task->journal->blob_addr = 0;
	task->journal->stub_addr = 0;
}

int compel_cure(struct compel_task *task, struct compel_error *err)
{
	int r;

	/* Nothing could be seized, so nothing was touched. */
	if (task->thread_count == 0)
		return 0;
	r = stop_started(task, deadline_after_ms(RETURN_MS));
	for (size_t i = 1; r == 0 && i < task->thread_count; i++)
		r = give_back(task, i);
	if (r == 0)
		r = unmap(task, err);
	if (r == 0)
		r = give_back(task, 0);
	if (r == 0)
		r = stub_remove(task->journal, task->threads[0].tid);
	if (r == 0)
		return 0;
	if (r == -ESRCH) {
		forget_all(task);
		return fail_gone(err, task->pid);
	}
	return fail(err, r, "pid %d: cannot take our code out of it", task->pid);
}
