/*
 * A counter reaches zero once; a gate is a word that turns from 0 to 1. The worker sleeps on one word, which everybody
 * who changes something bumps. When that stays the same for a while it looks whether somebody has died.
 */
#include "engine/restore-sync.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/restore-failure.h"
#include "engine/restore-vfork.h"
#include "engine/restore.h"
#include "engine/undo.h"
#include "kernel/pidfd.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "kernel/process-end.h"
#include "mm/restore-area.h"
#include "mm/restore-fill.h"

#define LOOK_AFTER_NS    (100 * 1000 * 1000)
#define DEATH_TIMEOUT_MS 5000
#define DEATH_POLL_MS    5
#define ABORT_PASSES     64
#define LEADER_NS        10000000000ull
#define LEADER_LOOK_US   50

static void futex_wake(uint32_t *word, int count)
{
	(void)syscall(__NR_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static int futex_wait(uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	return syscall(__NR_futex, word, FUTEX_WAIT, value, timeout, NULL, 0) < 0 ? -errno : 0;
}

static void report_progress(struct restorer_shared *words)
{
	__atomic_add_fetch(&words->progress, 1, __ATOMIC_RELEASE);
	futex_wake(&words->progress, 1);
}

void restore_open_gate(uint32_t *gate)
{
	__atomic_store_n(gate, 1, __ATOMIC_RELEASE);
	futex_wake(gate, INT32_MAX);
}

void restore_wait_gate(uint32_t *gate)
{
	while (__atomic_load_n(gate, __ATOMIC_ACQUIRE) == 0)
		(void)futex_wait(gate, 0, NULL);
}

void restore_arrive(uint32_t *left, uint32_t *gate)
{
	if (__atomic_sub_fetch(left, 1, __ATOMIC_ACQ_REL) == 0)
		restore_open_gate(gate);
}

void restore_ask_worker(const struct restore *r, uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	report_progress(&r->shared->words);
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		(void)futex_wait(word, value, NULL);
}

void restore_answer(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	futex_wake(word, INT32_MAX);
}

void restore_report_failure(struct restore *r, const struct restore_task *task, const struct error *err)
{
	struct restore_shared *shared = r->shared;
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(&shared->words.failed, &none, (uint32_t)task->index + 1, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	shared->error = *err;
	shared->error_is_sentence = 1;
	__atomic_store_n(&shared->words.error_ready, 1, __ATOMIC_RELEASE);
	report_progress(&shared->words);
}

/* --- the worker's watch ------------------------------------------------------------------------------------------ */

/* A first thread may have ended to be like it was. Others that we trace are there until we collect them. */
static bool is_dead(const struct restorer_task *restorer, pid_t pid)
{
	AUTO_CLOSE int procfd = proc_open(pid);
	struct proc_stat stat;

	if (procfd < 0 || proc_stat_read(procfd, "stat", &stat) < 0 || stat.state == 'X')
		return true;
	if (stat.state != 'Z' || stat.thread_count <= 1)
		return stat.state == 'Z';
	return restorer && thread_has_ended(restorer->threads[restorer->acting].tid);
}

int restore_look_after(const struct restore *r, struct error *err)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const struct restorer_slot *slot = &r->shared->words.slots[i];

		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != SLOT_ALIVE ||
		    !is_dead(r->tasks[i]->restorer, slot->pid))
			continue;
		/* It may just have said that it ends. */
		if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SLOT_ALIVE)
			return restore_death_describe(r, r->tasks[i], err);
	}
	return 0;
}

/* What can be seen of the process by its pid is what it was at the dump: nothing but a zombie. */
static int wait_for_zombie(pid_t pid, struct error *err)
{
	const uint64_t deadline_ns = now_ns() + LEADER_NS;
	AUTO_CLOSE int procfd = proc_open(pid);
	struct proc_stat stat = { 0 };
	int result = procfd < 0 ? procfd : 0;

	while (result == 0 && stat.state != 'Z') {
		result = proc_stat_read(procfd, "stat", &stat);
		if (result == 0 && stat.state != 'Z' && now_ns() > deadline_ns)
			result = -ETIMEDOUT;
		if (result == 0 && stat.state != 'Z')
			(void)usleep(LEADER_LOOK_US);
	}
	return result < 0 ? error_set(err, result, "pid %d: wait for the end of its first thread", pid) : 0;
}

int restore_wait_for_ended_leaders(const struct restore *r, struct error *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < r->task_count; i++)
		if (r->tasks[i]->restorer && r->tasks[i]->restorer->acting)
			result = wait_for_zombie(r->tasks[i]->pid, err);
	return result;
}

static int fill_one(struct restore *r, struct restore_task *task, const struct restorer_slot *slot, struct error *err)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(task->pid);
	AUTO_CLOSE int uffd = -1;

	if (pidfd < 0)
		return error_set(err, pidfd, "pid %d: fill its memory", task->pid);
	uffd = pidfd_getfd_from(pidfd, slot->fill_uffd);
	if (uffd < 0)
		return error_set(err, uffd, "pid %d: take over its userfaultfd", task->pid);
	return restore_fill_task(r, task, uffd, err);
}

/*
 * A task that is not served reads its pages itself; not when a signal asks to stop: it is to be killed, and a large
 * read would have to come to its end first.
 */
static void serve_fills(struct restore *r)
{
	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *task = r->tasks[i];
		struct restorer_slot *slot = &r->shared->words.slots[i];
		struct error reason = { 0 };

		if (!task->restorer || !task->restorer->large_read_count ||
		    __atomic_load_n(&slot->fill_state, __ATOMIC_ACQUIRE) != FILL_WANTED)
			continue;
		if (fill_one(r, task, slot, &reason) == -EINTR)
			return;
		if (error_is_set(&reason))
			log_warn("%s; it reads its memory itself\n", reason.text);
		__atomic_store_n(&slot->fill_state, error_is_set(&reason) ? FILL_FAILED : FILL_DONE, __ATOMIC_RELEASE);
		futex_wake(&slot->fill_state, 1);
	}
}

static int collect_failure(const struct restore *r, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };

	/* Whoever failed is writing down why; should it be killed in that, something is said anyway. */
	for (int i = 0; i < 1000 && !__atomic_load_n(&r->shared->words.error_ready, __ATOMIC_ACQUIRE); i++)
		(void)nanosleep(&pause, NULL);
	return restore_failure_describe(r, err);
}

int restore_wait_for(struct restore *r, const uint32_t *left, struct error *err)
{
	const struct timespec timeout = { .tv_nsec = LOOK_AFTER_NS };
	struct restorer_shared *words = &r->shared->words;

	for (;;) {
		uint32_t progress = __atomic_load_n(&words->progress, __ATOMIC_ACQUIRE);
		int result;

		if (__atomic_load_n(&words->failed, __ATOMIC_ACQUIRE))
			return collect_failure(r, err);
		if (__atomic_load_n(left, __ATOMIC_ACQUIRE) == 0)
			return 0;
		serve_fills(r);
		result = restore_vfork_serve(r, err);
		if (result < 0)
			return __atomic_load_n(&words->failed, __ATOMIC_ACQUIRE) ? collect_failure(r, err) : result;
		if (undo_interrupted(r->undo))
			return error_say(err, -EINTR, "interrupted by a signal");
		if (futex_wait(&words->progress, progress, &timeout) != -ETIMEDOUT)
			continue;
		result = restore_look_after(r, err);
		if (result < 0)
			return __atomic_load_n(&words->failed, __ATOMIC_ACQUIRE) ? collect_failure(r, err) : result;
	}
}

/* --- the end of a half-built tree -------------------------------------------------------------------------------- */

static bool may_be_there(const struct restorer_slot *slot)
{
	uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);

	return slot->pid > 0 && (state == SLOT_FORKING || state == SLOT_ALIVE || state == SLOT_ENDED);
}

/* A process descriptor of a living process of ours, or negative. */
static int kill_if_ours(const struct restore_shared *shared, const struct restorer_slot *slot)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(slot->pid);

	if (pidfd < 0 || !pidfd_is_alive(pidfd) || !restore_area_is_mapped(shared, slot->pid))
		return -ESRCH;
	if (pidfd_send_signal_to(pidfd, SIGKILL) < 0)
		return -ESRCH;
	return take_fd(&pidfd);
}

static void reap(const struct restore_shared *shared, uint32_t slot)
{
	const struct restorer_task *task = shared->restorers[slot];

	(void)waitpid(shared->words.slots[slot].pid, NULL, WNOHANG | __WALL);
	for (uint64_t i = 0; task && i < task->thread_count; i++)
		(void)waitpid(task->threads[i].tid, NULL, WNOHANG | __WALL);
}

/* A child of ours whose memory is gone already is about to end: its pid is to be free when we are gone. */
static void reap_ending(const struct restore_shared *shared, uint32_t slot)
{
	for (int waited_ms = 0; waited_ms < DEATH_TIMEOUT_MS; waited_ms += DEATH_POLL_MS) {
		reap(shared, slot);
		if (waitpid(shared->words.slots[slot].pid, NULL, WNOHANG | __WALL) != 0)
			return;
		(void)poll(NULL, 0, DEATH_POLL_MS);
	}
}

/* Threads that we trace are ours to reap, or the process does not end. */
static void wait_for_death(const struct restore_shared *shared, uint32_t slot, int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	for (int waited_ms = 0; waited_ms < DEATH_TIMEOUT_MS; waited_ms += DEATH_POLL_MS) {
		reap(shared, slot);
		if (poll(&poll_fd, 1, DEATH_POLL_MS) > 0)
			break;
	}
	reap(shared, slot);
}

/*
 * Those higher up come first and are waited for, so that nobody is left who could create another one; what was being
 * created meanwhile is found by the next pass.
 */
int restore_abort(struct restore_shared *shared)
{
	for (int pass = 0; pass < ABORT_PASSES; pass++) {
		bool found = false;

		for (uint32_t i = 0; i < shared->slot_count; i++) {
			const struct restorer_slot *slot = &shared->words.slots[i];
			AUTO_CLOSE int pidfd = may_be_there(slot) ? kill_if_ours(shared, slot) : -ESRCH;

			if (pidfd < 0)
				continue;
			found = true;
			wait_for_death(shared, i, pidfd);
		}
		if (!found)
			break;
	}
	for (uint32_t i = 0; i < shared->slot_count; i++)
		if (may_be_there(&shared->words.slots[i]))
			reap_ending(shared, i);
	return 0;
}
