/*
 * Attaching to all threads of a process, bringing them to a stop and letting them go. PTRACE_SEIZE and PTRACE_INTERRUPT
 * send no signal, so nothing of the task's own signal state is touched; when the tracer dies the kernel detaches all.
 * Threads are found in /proc/PID/task, which is kept open: it stays empty when the pid is given to another process.
 */
#include "internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A thread that has been interrupted but does not stop holds up a detach for so long, */
#define DETACH_MS 100
/* one that does not wait for anything but a processor for so long. */
#define DETACH_READY_MS 5000
/* Attempts to seize a thread that may not be traced: it may be about to disappear. */
#define SEIZE_ATTEMPTS 3
/* How long one thread that does not stop is waited for before the others have their turn. */
#define TURN_MS 10
/* Threads of a journal of our own; pages that are not used are not touched. */
#define PRIVATE_THREADS 65536

#define DIRENTS_BYTES 32768

struct dirent64_record {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

/* --- making and freeing ------------------------------------------------------------------------------------------- */

static int make_private_journal(struct task_state *state)
{
	size_t bytes = compel_journal_bytes(1, PRIVATE_THREADS);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	state->journal = p;
	state->private_journal_bytes = bytes;
	compel_journal_init(state->journal, 1, PRIVATE_THREADS);
	return 0;
}

static int open_task_dir(pid_t pid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

int compel_task_new(struct compel_journal *journal, pid_t pid, struct compel_task **ret_task, struct compel_error *err)
{
	struct task_state *state = calloc(1, sizeof(*state));
	struct compel_task *task = calloc(1, sizeof(*task));
	int r = -ENOMEM;

	if (!state || !task)
		goto free_memory;
	task->pid = pid;
	task->internal = state;
	state->seccomp_suspended = true;
	state->task_dirfd = r = open_task_dir(pid);
	if (r < 0)
		goto free_memory;
	state->journal = journal;
	r = journal ? 0 : make_private_journal(state);
	if (r < 0)
		goto close_dir;
	r = journal_add_task(state->journal, pid, &state->journal_index);
	if (r < 0)
		goto free_journal;
	task->journal = &state->journal->tasks[state->journal_index];
	*ret_task = task;
	return 0;

free_journal:
	if (state->private_journal_bytes)
		(void)munmap(state->journal, state->private_journal_bytes);
close_dir:
	(void)close(state->task_dirfd);
free_memory:
	free(state);
	free(task);
	return r == -ESRCH ? fail_say(err, r, "pid %d: no such process", pid)
			   : fail(err, r, "pid %d: cannot prepare for tracing it", pid);
}

void compel_task_free(struct compel_task *task)
{
	struct task_state *state;

	if (!task)
		return;
	state = task_state(task);
	if (!task->journal->keep) {
		for (size_t i = 0; i < task->thread_count; i++)
			if (!is_borrowed(&task->threads[i]))
				task->threads[i].journal->state = COMPEL_THREAD_FREE;
		if (!task->journal->stub_addr && !task->journal->blob_addr)
			task->journal->pid = 0;
	}
	if (state->private_journal_bytes)
		(void)munmap(state->journal, state->private_journal_bytes);
	(void)close(state->task_dirfd);
	free(state->thread_states);
	free(state);
	free(task->threads);
	free(task);
}

void compel_offer_stub(struct compel_task *task, uint64_t start, uint64_t end, const void *contents)
{
	struct task_state *state = task_state(task);

	state->offered_start = start;
	state->offered_end = end;
	state->offered_words_known = contents && end - start >= sizeof(state->offered_words);
	if (state->offered_words_known)
		memcpy(state->offered_words, (const char *)contents + (end - start) - sizeof(state->offered_words),
		       sizeof(state->offered_words));
}

/* --- the list of threads ------------------------------------------------------------------------------------------ */

static int reserve_thread(struct compel_task *task)
{
	struct task_state *state = task_state(task);
	size_t capacity = state->thread_capacity ? state->thread_capacity * 2 : 4;
	struct compel_thread *threads;
	struct thread_state *states;

	if (task->thread_count < state->thread_capacity)
		return 0;
	threads = reallocarray(task->threads, capacity, sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	task->threads = threads;
	states = reallocarray(state->thread_states, capacity, sizeof(*states));
	if (!states)
		return -ENOMEM;
	state->thread_states = states;
	state->thread_capacity = capacity;
	return 0;
}

/* Takes a thread that has ended off the list. */
static void forget_thread(struct compel_task *task, size_t thread)
{
	struct task_state *state = task_state(task);
	size_t behind = task->thread_count - thread - 1;

	task->threads[thread].journal->state = COMPEL_THREAD_FREE;
	memmove(&task->threads[thread], &task->threads[thread + 1], behind * sizeof(task->threads[0]));
	memmove(&state->thread_states[thread], &state->thread_states[thread + 1],
		behind * sizeof(state->thread_states[0]));
	task->thread_count--;
	task->journal->caller_tid = acting_tid(task);
}

/* The directory lists threads by age, as we do, so that the search mostly ends at *hint. */
static bool is_listed(const struct compel_task *task, pid_t tid, size_t *hint)
{
	size_t i;

	for (i = *hint; i < task->thread_count; i++)
		if (task->threads[i].tid == tid)
			goto found;
	for (i = 0; i < *hint; i++)
		if (task->threads[i].tid == tid)
			goto found;
	return false;
found:
	*hint = i + 1;
	return true;
}

/*
 * A thread of the kernel's own could be traced, but interrupting it would make the request fail that it works on. Most
 * others have a list of robust futexes, which is cheaper to ask for than what it is.
 */
static bool is_worker(const struct compel_task *task, pid_t tid)
{
	void *head = NULL;
	size_t bytes;

	return tid != task->pid && syscall(SYS_get_robust_list, tid, &head, &bytes) == 0 && !head &&
	       proc_thread_is_worker(task->pid, tid);
}

/* --- what an execution leaves ------------------------------------------------------------------------------------- */

/* The directory is empty once the process has ended. A first thread alone may have. */
static bool is_alive(const struct compel_task *task)
{
	char letter = proc_thread_state(task->pid, task->pid), name[16];
	long threads = 0;

	(void)snprintf(name, sizeof(name), "%d", task->pid);
	if (!letter || faccessat(task_state(task)->task_dirfd, name, F_OK, 0) < 0)
		return false;
	if (letter != 'Z' && letter != 'X')
		return true;
	return proc_status_number(task->pid, task->pid, "Threads", &threads) == 0 && threads > 1;
}

/* No thread is left on the list: all that were have ended, as all but one do when that one executes a program. */
static int fail_emptied(struct compel_task *task, struct compel_error *err)
{
	if (!is_alive(task))
		return fail_gone(err, task->pid);
	task_state(task)->leader_is_traced = false;
	return fail_say(err, -EAGAIN, "pid %d: its threads end, or execute programs, faster than they can be stopped",
			task->pid);
}

/* Whatever is known of them was of another thread, or of another program: they are waited for anew. */
static void doubt_all(struct compel_task *task)
{
	for (size_t i = 0; i < task->thread_count; i++)
		task->threads[i].stopped = false;
}

/* --- seizing ------------------------------------------------------------------------------------------------------ */

static int explain_refusal(const struct compel_task *task, pid_t tid, struct compel_error *err)
{
	long tracer = 0;

	if (proc_status_number(task->pid, tid, "TracerPid", &tracer) == 0 && tracer)
		return fail_say(err, -EPERM, "pid %d, thread %d: it is already traced by pid %ld", task->pid, tid,
				tracer);
	return fail(err, -EPERM, "pid %d, thread %d: cannot trace it", task->pid, tid);
}

static int attach(struct task_state *state, pid_t tid, unsigned int flags)
{
	int r = -EPERM;

	if ((flags & COMPEL_SEIZE_SUSPEND_SECCOMP) && state->seccomp_suspended)
		r = ptrace_seize(tid, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP);
	/* Suspending filters needs more rights (and a kernel option) than tracing does. */
	if (r == -EPERM || r == -EINVAL) {
		r = ptrace_seize(tid, PTRACE_O_TRACESYSGOOD);
		if (r == 0)
			state->seccomp_suspended = false;
	}
	return r;
}

static bool is_dead(const struct compel_task *task, pid_t tid)
{
	char letter = proc_thread_state(task->pid, tid);

	return letter == 0 || letter == 'Z' || letter == 'X';
}

/*
 * A thread of ours that executed a program comes back under the first one's number: it is seized, and only has to be
 * interrupted. A first thread may end in favour of such a one at the very moment: the next attempt meets that one. One
 * of ours that has ended can be interrupted as well, to no end.
 */
static int seize_and_interrupt(struct compel_task *task, pid_t tid, unsigned int flags)
{
	int r = -EPERM;

	for (int i = 0; i < SEIZE_ATTEMPTS && r == -EPERM; i++) {
		r = attach(task_state(task), tid, flags);
		/* Fails only for one that is dying: the wait for its stop will see that. */
		if (r == 0)
			(void)ptrace_interrupt(tid);
		if (r == -EPERM && !is_dead(task, tid) && ptrace_interrupt(tid) == 0)
			r = 0;
	}
	return r;
}

/* 1: one more thread, 0: it has ended meanwhile. */
static int seize_thread(struct compel_task *task, pid_t tid, unsigned int flags, struct compel_error *err)
{
	struct task_state *state = task_state(task);
	struct compel_journal_thread *journal;
	int r;

	r = reserve_thread(task);
	if (r < 0)
		return fail(err, r, "pid %d: cannot list its threads", task->pid);
	r = journal_add_thread(state->journal, state->journal_index, tid, &journal);
	if (r < 0)
		return fail(err, r, "pid %d: the journal has no room for its threads", task->pid);
	r = seize_and_interrupt(task, tid, flags);
	if (r == 0) {
		task->threads[task->thread_count] = (struct compel_thread){ .tid = tid, .journal = journal };
		state->thread_states[task->thread_count] = (struct thread_state){ 0 };
		task->thread_count++;
		return 1;
	}
	journal->state = COMPEL_THREAD_FREE;
	if (r == -ESRCH || (r == -EPERM && is_dead(task, tid)))
		return 0;
	if (r == -EPERM)
		return explain_refusal(task, tid, err);
	return fail(err, r, "pid %d, thread %d: cannot trace it", task->pid, tid);
}

static int seize_listed(struct compel_task *task, const char *dirents, size_t bytes, unsigned int flags, size_t *hint,
			size_t *count, struct exec_watch *watch, struct compel_error *err)
{
	for (size_t at = 0; at < bytes;) {
		const struct dirent64_record *record = (const void *)(dirents + at);
		pid_t tid = atoi(record->name);
		int r;

		at += record->reclen;
		if (tid <= 0 || is_listed(task, tid, hint) || is_worker(task, tid))
			continue;
		if (task->thread_count)
			exec_watch_start(watch, task->pid);
		(void)__atomic_add_fetch(&watch->progress, 1, __ATOMIC_RELAXED);
		r = seize_thread(task, tid, flags, err);
		if (r < 0)
			return r;
		*count += (size_t)r;
		*hint = task->thread_count;
	}
	return 0;
}

int compel_seize(struct compel_task *task, unsigned int flags, size_t *ret_new, struct compel_error *err)
{
	struct task_state *state = task_state(task);
	char dirents[DIRENTS_BYTES] __attribute__((aligned(8)));
	struct exec_watch watch = { 0 };
	size_t count = 0, hint = 0;
	int r = 0;
	long n;

	state->suspend_asked |= (flags & COMPEL_SEIZE_SUSPEND_SECCOMP) != 0;
	if (lseek(state->task_dirfd, 0, SEEK_SET) < 0)
		return fail(err, -errno, "pid %d: cannot list its threads", task->pid);
	while (r == 0 && (n = syscall(SYS_getdents64, state->task_dirfd, dirents, sizeof(dirents))) > 0)
		r = seize_listed(task, dirents, (size_t)n, flags, &hint, &count, &watch, err);
	if (r == 0 && n < 0 && errno != ENOENT && errno != ESRCH)
		r = fail(err, -errno, "pid %d: cannot list its threads", task->pid);
	exec_watch_end(&watch);
	if (r < 0)
		return r;
	if (task->thread_count == 0)
		return fail_emptied(task, err);
	task->journal->caller_tid = acting_tid(task);
	*ret_new = count;
	return 0;
}

/* --- stopping ----------------------------------------------------------------------------------------------------- */

static int explain_timeout(const struct compel_task *task, pid_t tid, struct compel_error *err)
{
	char letter = proc_thread_state(task->pid, tid);

	return fail_say(err, -ETIMEDOUT, "pid %d, thread %d: it does not stop (state %c%s)", task->pid, tid,
			letter ? letter : '?',
			letter == 'D' ? ": it waits for a device, a frozen cgroup or the end of a vfork" : "");
}

/* Its stop, its registers, its mask. -ECHILD: no tracee of ours has this number. */
static int stop_thread(struct compel_task *task, struct compel_thread *thread, uint64_t deadline_ns)
{
	bool is_stopped;
	int r;

	r = wait_seized_stop(thread->tid, deadline_ns, &thread->stop_signal);
	is_stopped = r == 0;
	if (r == 0)
		r = compel_get_regs(thread->tid, &thread->regs);
	if (r == 0)
		r = compel_get_signal_mask(thread->tid, &thread->signal_mask);
	if (r == 0)
		r = keep_call_waiting(thread->tid, &thread->regs);
	if (r == 0)
		r = leave_restartable_sequence(thread->tid, &thread->regs);
	if (r == 0)
		thread->stopped = true;
	/* Killed behind its stop: its end is still to be reported. */
	return r == -ESRCH && is_stopped ? -ETIMEDOUT : r;
}

/*
 * While others live on its end is not reported. Asked when these stand still: as long as one does not, it may be about
 * to take the leader's place by execve.
 */
static bool is_ended_leader(const struct compel_task *task, const struct compel_thread *thread)
{
	return thread->tid == task->pid && task->thread_count > 1 && proc_thread_state(task->pid, task->pid) == 'Z';
}

/* The process has ended, so all its threads have or will. */
static void collect_threads(struct compel_task *task)
{
	while (task->thread_count) {
		size_t last = task->thread_count - 1;

		collect_dead(task->pid, task->threads[last].tid);
		forget_thread(task, last);
	}
}

/* One whose end has been reported; that of the leader comes last. */
static int drop_ended(struct compel_task *task, size_t index, struct compel_error *err)
{
	pid_t tid = task->threads[index].tid;

	if (tid != task->pid)
		collect_dead(task->pid, tid);
	forget_thread(task, index);
	if (tid != task->pid)
		return 0;
	collect_threads(task);
	collect_dead(task->pid, task->pid);
	return fail_emptied(task, err);
}

/*
 * One walk over all that do not stand still; *ret_slow is one that still does not, 0 for none. The one that was
 * interrupted last is waited for first, by then most others have stopped. None holds up the walk for long: it may be
 * one that waits for the others' ends to be collected, as the leader does when all end, and who executes a program.
 */
static int stop_threads(struct compel_task *task, uint64_t deadline_ns, pid_t *ret_slow, struct compel_error *err)
{
	*ret_slow = 0;
	for (size_t i = task->thread_count; i-- > 0;) {
		struct compel_thread *thread = &task->threads[i];
		const uint64_t turn_ns = deadline_after_ms(TURN_MS);
		int r = thread->stopped ? 0 : stop_thread(task, thread, turn_ns < deadline_ns ? turn_ns : deadline_ns);

		if (r == -ETIMEDOUT && !*ret_slow && is_ended_leader(task, thread)) {
			task_state(task)->leader_is_traced = true;
			forget_thread(task, i);
			continue;
		}
		if (r == -ETIMEDOUT) {
			*ret_slow = thread->tid;
			/* A thread that executed a program takes the leader's place, and has not been interrupted. */
			if (thread->tid == task->pid)
				(void)ptrace_interrupt(thread->tid);
		} else if (r < 0 && r != -ESRCH && r != -ECHILD)
			return fail(err, r, "pid %d, thread %d: cannot stop it", task->pid, thread->tid);
		/* Not ended but disappeared: another one may be meant by the first one's number now. */
		if (r == -ECHILD)
			doubt_all(task);
		r = r == -ESRCH || r == -ECHILD ? drop_ended(task, i, err) : 0;
		if (r < 0)
			return r;
	}
	if (task->thread_count)
		return 0;
	if (task_state(task)->leader_is_traced)
		collect_dead(task->pid, task->pid);
	return fail_emptied(task, err);
}

int compel_wait_stopped(struct compel_task *task, uint64_t deadline_ns, struct compel_error *err)
{
	pid_t slow;
	int r;

	do
		r = stop_threads(task, deadline_ns, &slow, err);
	while (r == 0 && slow && clock_ns() < deadline_ns);
	return r == 0 && slow ? explain_timeout(task, slow, err) : r;
}

/* An execution ends the oldest of its threads whichever makes it. */
int compel_confirm_stopped(struct compel_task *task, struct compel_error *err)
{
	bool is_stopped = false;
	struct stop stop;
	int r = task->thread_count ? poll_stop(acting_tid(task), &is_stopped, &stop) : 0;

	if (r < 0)
		return fail(err, r, "pid %d: cannot see whether it stands still", task->pid);
	if (is_stopped && stop.kind == STOP_EVENT)
		return 0;
	doubt_all(task);
	return fail_say(err, -EAGAIN, "pid %d: a thread of it that ran has ended all others", task->pid);
}

/* --- letting go --------------------------------------------------------------------------------------------------- */

/* Whether it is going to stop: nothing but an uninterruptible sleep holds up an interruption for long. */
static bool is_ready(pid_t pid, pid_t tid)
{
	char letter = proc_thread_state(pid, tid);

	return letter != 0 && letter != 'D';
}

/* A thread can only be detached in a stop; one that does not come to one is freed by the kernel when the tracer ends.
 */
static int detach_running(pid_t pid, pid_t tid, uint64_t deadline_ns)
{
	const uint64_t ready_deadline_ns = deadline_ns + (DETACH_READY_MS - DETACH_MS) * 1000000ull;
	int stop_signal, r;

	r = ptrace_interrupt(tid);
	if (r == 0)
		r = wait_event_stop(tid, deadline_ns, &stop_signal);
	while (r == -ETIMEDOUT && is_ready(pid, tid) && clock_ns() < ready_deadline_ns)
		r = wait_event_stop(tid, deadline_after_ms(DETACH_MS), &stop_signal);
	if (r == 0)
		r = ptrace_detach(tid);
	return r;
}

int compel_detach(struct compel_task *task, struct compel_error *err)
{
	uint64_t deadline_ns = 0;
	bool dead = false;
	int first = 0;

	for (size_t i = 0; i < task->thread_count; i++)
		if (is_borrowed(&task->threads[i])) {
			first = compel_cure(task, err);
			break;
		}
	if (first < 0 && first != -ESRCH)
		return first;
	first = 0;
	for (size_t i = 0; i < task->thread_count; i++)
		if (task->threads[i].stopped)
			dead |= ptrace_detach(task->threads[i].tid) == -ESRCH;
	for (size_t i = 0; i < task->thread_count; i++) {
		struct compel_thread *thread = &task->threads[i];
		int r = 0;

		if (!thread->stopped) {
			if (!deadline_ns)
				deadline_ns = deadline_after_ms(DETACH_MS);
			r = detach_running(task->pid, thread->tid, deadline_ns);
		}
		dead |= r == -ESRCH;
		thread->journal->state = COMPEL_THREAD_FREE;
		if (r < 0 && r != -ESRCH && first == 0)
			first =
			    fail_say(err, -EBUSY,
				     "pid %d, thread %d: it does not stop, so it stays traced until this process ends",
				     task->pid, thread->tid);
	}
	if (dead)
		collect_threads(task);
	if (dead && task_state(task)->leader_is_traced)
		collect_dead(task->pid, task->pid);
	task->thread_count = 0;
	return first;
}

void compel_leave(struct compel_task *task)
{
	for (size_t i = 0; i < task->thread_count; i++) {
		if (task->threads[i].stopped)
			(void)ptrace_detach(task->threads[i].tid);
		task->threads[i].journal->state = COMPEL_THREAD_FREE;
	}
	task->thread_count = 0;
}
