/*
 * Each task gets the parasite's code and a data area: the questions and answers of the process, of each thread, and a
 * stack per thread. All are started before one is waited for, so that the tasks answer on all processors at once.
 */
#include "engine/parasite-run.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include "base/util.h"
#include "compel/compel.h"
#include "engine/compel-error.h"
#include "engine/limit-room.h"
#include "kernel/prlimit.h"
#include "kernel/proc-misc.h"
#include "mm/mm.h"
#include "mm/numa-policy.h"
#include "mm/protection-keys.h"
#include "pie/parasite-border.h"
#include "security/keyring.h"
#include "security/session-keyring.h"
#include "security/landlock.h"
#include "task/core-save.h"
#include "task/late-signals.h"
#include "task/likeness.h"
#include "task/process-likeness.h"
#include "task/task-look.h"

#define ANSWER_NS 10000000000ull

extern const char pie_parasite_start[], pie_parasite_end[];

/* Offsets into the data area; its first part, up to stacks, is copied there and back. */
#define KEY_BYTES 32768 /* the most that one of type user holds, and one more */

struct layout {
	size_t timers, mappings, fds, children, threads, stacks, ldt, bytes;
};

/* Where a task's parasite lives. */
struct place {
	struct layout layout;
	struct remote_addr code, data;
};

static size_t count_children(const struct task *task)
{
	size_t count = 0;

	for (const struct task *child = task->first_child; child; child = child->next_sibling)
		count++;
	return count;
}

static size_t count_fds_to_ask(const struct task *task)
{
	return task->knows_close_on_exec ? 0 : task->fd_count;
}

static struct layout make_layout(const struct task *task)
{
	struct layout layout;

	layout.timers = sizeof(struct parasite_task);
	layout.mappings = layout.timers + task->state->timer_count * sizeof(struct parasite_posix_timer);
	layout.fds = layout.mappings + task->maps.count * sizeof(struct parasite_mapping);
	layout.children = layout.fds + count_fds_to_ask(task) * sizeof(int32_t);
	layout.threads = (layout.children + count_children(task) * sizeof(int32_t) + 63) & ~(size_t)63;
	layout.stacks = (layout.threads + task->thread_count * sizeof(struct parasite_thread) + 63) & ~(size_t)63;
	layout.ldt = page_align_up(layout.stacks + task->thread_count * PARASITE_STACK_BYTES);
	/* Untouched where nothing is large: for a key of a keyring. */
	layout.bytes = layout.ldt + (task->state->has_ldt ? PARASITE_LDT_BYTES : KEY_BYTES);
	return layout;
}

static struct parasite_thread *local_threads(const struct task *task, const struct layout *layout)
{
	return (struct parasite_thread *)((char *)task->parasite + layout->threads);
}

/* Builds the questions in a local copy of the area. */
static int prepare(struct task *task, const struct layout *layout, uint64_t remote)
{
	struct parasite_task *area = calloc(1, layout->stacks);
	struct parasite_posix_timer *timers;
	int32_t *fds, *children;
	struct parasite_mapping *mappings;

	if (!area)
		return -ENOMEM;
	free(task->parasite);
	task->parasite = area;
	area->version = BORDER_VERSION;
	area->posix_timer_count = (uint32_t)task->state->timer_count;
	area->fd_count = (uint32_t)count_fds_to_ask(task);
	area->posix_timers = remote + layout->timers;
	area->fds = remote + layout->fds;
	area->ldt = task->state->has_ldt ? remote + layout->ldt : 0;
	timers = (void *)((char *)area + layout->timers);
	for (size_t i = 0; i < task->state->timer_count; i++)
		timers[i].id = task->state->timers[i].id;
	area->mapping_count = (uint32_t)task->maps.count;
	area->mappings = remote + layout->mappings;
	area->asks_keys = protection_keys_are_to_be_asked(task);
	mappings = (void *)((char *)area + layout->mappings);
	for (size_t i = 0; i < task->maps.count; i++)
		mappings[i].start = task->maps.vmas[i].has_no_policy ? 0 : task->maps.vmas[i].start;
	fds = (void *)((char *)area + layout->fds);
	for (size_t i = 0; i < count_fds_to_ask(task); i++)
		fds[i] = task->fds[i].fd;
	area->child_count = (uint32_t)count_children(task);
	area->children = remote + layout->children;
	children = (void *)((char *)area + layout->children);
	for (const struct task *child = task->first_child; child; child = child->next_sibling)
		*children++ = child->host_pid;
	for (size_t i = 0; i < task->thread_count; i++) {
		struct parasite_thread *thread = &local_threads(task, layout)[i];

		thread->is_leader = i == 0;
		thread->task = remote;
		thread->probe_pid = task->threads[i].probe_pid;
		thread->asks_port_level = task->threads[i].state->port_level < 0 &&
					  !(task->threads[i].status.cap_eff & 1ull << CAP_SYS_RAWIO);
		session_keyring_name(task->threads[i].status.uid[UID_REAL], thread->user_session,
				     sizeof(thread->user_session));
		task->threads[i].parasite = thread;
	}
	return 0;
}

static void offer_vdso(const struct task *task)
{
	uint64_t start, end;
	const void *contents = mm_vdso(task, &start, &end);

	if (contents)
		compel_offer_stub(task->compel, start, end, contents);
}

static int ask(struct task *task, const struct place *place, struct error *err)
{
	const struct layout *layout = &place->layout;
	struct compel_error compel_err = { 0 };
	int r = compel_write(task->compel, place->data, task->parasite, layout->stacks);

	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": hand the parasite its questions", TASK_ARGS(task));
	for (size_t i = 0; i < task->thread_count; i++) {
		if (task->threads[i].facts_own)
			continue;
		uint64_t arg = place->data.value + layout->threads + i * sizeof(struct parasite_thread);
		uint64_t stack_top = place->data.value + layout->stacks + (i + 1) * PARASITE_STACK_BYTES;

		r = compel_start(task->compel, i, place->code, arg, stack_top, &compel_err);
		if (r < 0)
			return compel_error_pass(err, task, &compel_err, r);
	}
	return 0;
}

/* Why a process cannot map what we put into it: it lacks room, ... */
static void hint_at_limit(const struct task *task, size_t bytes, struct error *err)
{
	const uint64_t wanted = bytes + (size_t)(pie_parasite_end - pie_parasite_start);
	const struct {
		__rlimit_resource_t resource;
		uint64_t wanted;
		const char *what, *option;
	} limits[] = {
		{ RLIMIT_AS, task->stat.vm_size_bytes + wanted, "address space (RLIMIT_AS)", "as" },
		{ RLIMIT_DATA, task->threads[0].status.vm_data_kb * 1024 + bytes, "data (RLIMIT_DATA)", "data" },
	};
	struct rlimit limit;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		/* That of a process of mixed ids only who may exceed limits can ask for. */
		if (prlimit_of(task->acting_tid, limits[i].resource, NULL, &limit) < 0) {
			error_hint(err, "do its limits of address space and data (RLIMIT_AS, RLIMIT_DATA) leave room, "
					"and vm.max_map_count?");
			return;
		}
		if (limits[i].wanted <= limit.rlim_cur)
			continue;
		error_hint(err,
			   "its limit of %llu KiB of %s leaves no room: raise it, for instance with "
			   "prlimit --pid %d --%s=unlimited",
			   (unsigned long long)limit.rlim_cur / 1024, limits[i].what, task->host_pid, limits[i].option);
		return;
	}
	error_hint(err, "it may have as many mappings as vm.max_map_count allows");
}

/* ... all that it maps is locked, ... */
static void hint_at_locked(const struct task *task, struct error *err)
{
	struct rlimit limit;

	if (prlimit_of(task->acting_tid, RLIMIT_MEMLOCK, NULL, &limit) < 0)
		error_hint(err, "does its limit of locked memory (RLIMIT_MEMLOCK) leave room?");
	else
		error_hint(err,
			   "it locks all memory to come (MCL_FUTURE), and its limit of %llu KiB of locked memory "
			   "(RLIMIT_MEMLOCK) leaves no room: raise it, for instance with prlimit --pid %d "
			   "--memlock=unlimited",
			   (unsigned long long)limit.rlim_cur / 1024, task->host_pid);
}

static bool maps_all_executable(const struct task *task)
{
	uint32_t personality;

	return proc_read_personality(task->procfd, &personality) == 0 && personality & READ_IMPLIES_EXEC;
}

/* ... or may not. */
static void hint_at_refused_mapping(const struct task *task, size_t bytes, int result, struct error *err)
{
	if (result == -ENOMEM)
		hint_at_limit(task, bytes, err);
	else if (result == -EAGAIN)
		hint_at_locked(task, err);
	else if (result == -EACCES && maps_all_executable(task))
		error_hint(err, "what it maps is executable by its personality (READ_IMPLIES_EXEC), and must not be "
				"by PR_SET_MDWE: it can map nothing itself any more");
	else if (result == -EACCES)
		error_hint(err, "does a security module forbid it to map executable memory (SELinux: execmem)?");
}

/* Puts the parasite's code and room for its answers into all tasks. */
static int inject(struct dump *d, struct task *const *tasks, struct place *places, size_t count, struct error *err)
{
	struct compel_task **targets = calloc(count + 1, sizeof(*targets));
	struct remote_addr *addresses = calloc(2 * count + 1, sizeof(*addresses));
	size_t *bytes = calloc(count + 1, sizeof(*bytes));
	struct compel_error compel_err = { 0 };
	size_t failed = 0;
	int r = targets && addresses && bytes ? 0 : error_set(err, -ENOMEM, "parasites");

	for (size_t i = 0; i < count && r == 0; i++) {
		offer_vdso(tasks[i]);
		places[i].layout = make_layout(tasks[i]);
		targets[i] = tasks[i]->compel;
		bytes[i] = places[i].layout.bytes;
		limit_room_make(d, tasks[i], bytes[i] + (size_t)(pie_parasite_end - pie_parasite_start));
	}
	if (r == 0) {
		r = compel_inject_all(targets, count, pie_parasite_start,
				      (size_t)(pie_parasite_end - pie_parasite_start), bytes, addresses,
				      addresses + count, &failed, &compel_err);
		if (r < 0)
			hint_at_refused_mapping(tasks[failed], bytes[failed], r, err);
		if (r < 0)
			r = compel_error_pass(err, tasks[failed], &compel_err, r);
	}
	for (size_t i = 0; i < count && r == 0; i++) {
		places[i].code = addresses[i];
		places[i].data = addresses[count + i];
	}
	free(targets);
	free(addresses);
	free(bytes);
	return r;
}

static int start(struct task *task, const struct place *place, struct error *err)
{
	int r = prepare(task, &place->layout, place->data.value);

	return r < 0 ? error_set(err, r, TASK_FORMAT, TASK_ARGS(task)) : ask(task, place, err);
}

static int finish(struct dump *d, struct task *task, const struct place *place, struct error *err)
{
	const struct layout *layout = &place->layout;
	struct compel_error compel_err = { 0 };
	struct remote_addr *done = calloc(task->thread_count, sizeof(*done));
	size_t asked = 0;
	int r;

	if (!done)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	for (size_t i = 0; i < task->thread_count; i++)
		if (!task->threads[i].facts_own)
			done[asked++].value = place->data.value + layout->threads + i * sizeof(struct parasite_thread) +
					      offsetof(struct parasite_thread, done);
	r = compel_collect(task->compel, done, asked, now_ns() + ANSWER_NS, place->data, task->parasite, layout->stacks,
			   &compel_err);
	free(done);
	if (r < 0)
		return compel_error_pass(err, task, &compel_err, r);
	for (size_t i = 0; i < task->thread_count; i++)
		if (!task->threads[i].facts_own)
			session_keyring_correct(d, task, &task->threads[i], &local_threads(task, layout)[i]);
	for (size_t i = 1; i < task->thread_count; i++)
		if (task->threads[i].facts_own)
			likeness_take_answers(&task->threads[0], &task->threads[i], &local_threads(task, layout)[i]);
	return 0;
}

static int stop_parasite(struct task *task, struct error *err)
{
	struct compel_error compel_err = { 0 };
	int r = compel_finish(task->compel, NULL, 0, 0, &compel_err);

	return r < 0 ? compel_error_pass(err, task, &compel_err, r) : 0;
}

static int take_ldt(struct task *task, const struct place *place, struct error *err)
{
	const struct remote_addr from = { place->data.value + place->layout.ldt };
	int64_t bytes = task->parasite->ldt_bytes;
	int r;

	if (!task->state->has_ldt || bytes <= 0 || bytes > PARASITE_LDT_BYTES)
		return 0;
	task->state->ldt = malloc((size_t)bytes);
	if (!task->state->ldt)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	r = compel_read(task->compel, from, task->state->ldt, (size_t)bytes);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read its segment descriptors", TASK_ARGS(task));
	task->state->ldt_bytes = (size_t)bytes;
	return 0;
}

static void take_fd_flags(struct task *task, const struct layout *layout)
{
	const int32_t *flags = (const void *)((char *)task->parasite + layout->fds);

	for (size_t i = 0; i < count_fds_to_ask(task); i++)
		task->fds[i].close_on_exec = flags[i] > 0 && flags[i] & 1;
}

static void take_children(struct task *task, const struct layout *layout)
{
	const int32_t *has_continued = (const void *)((char *)task->parasite + layout->children);

	for (struct task *child = task->first_child; child; child = child->next_sibling)
		child->has_continued = *has_continued++ != 0;
}

/*
 * Whom a thread is told to look at: us, or if it is not root's a process with its own ids. One that may not look at us
 * lacks a capability or is confined: the process with its own ids tells which. The threads are asked again all
 * together, and each may have other ids.
 */
static int ask_with_own_ids(struct dump *d, struct task *task, const struct place *place,
			    struct landlock_probes *probes, struct error *err)
{
	struct parasite_thread *threads = local_threads(task, &place->layout);
	int r;

	for (size_t i = 0; i < task->thread_count; i++) {
		if (threads[i].probe_pid == getpid()) {
			pid_t probe = landlock_probe(probes, &task->threads[i].status, err);

			if (probe < 0)
				return probe;
			threads[i].probe_pid = probe;
		}
		threads[i].done = 0;
	}
	task->parasite->fd_count = task->parasite->child_count = 0; /* answers stand where they stood */
	r = stop_parasite(task, err);
	if (r == 0)
		r = ask(task, place, err);
	return r < 0 ? r : finish(d, task, place, err);
}

static int check_confinement(struct dump *d, struct task *task, const struct place *place, size_t index,
			     struct landlock_probes *probes, struct error *err)
{
	const struct parasite_thread *thread = &local_threads(task, &place->layout)[index];
	int r = 0;

	if (task->threads[index].facts_own || thread->probe_result == 0 || thread->probe_result == -ENOSYS ||
	    thread->probe_pid == 0)
		return 0;
	if (thread->probe_pid == getpid())
		r = ask_with_own_ids(d, task, place, probes, err);
	if (r == 0 && thread->probe_pid && thread->probe_result < 0)
		r = error_say(err, -ENOTSUP,
			      TASK_FORMAT ", thread %d: is confined by a Landlock domain, which the kernel does "
					  "not let us read back",
			      TASK_ARGS(task), task->threads[index].tid);
	return r;
}

static int check_ring_numbers(const struct task *task, const struct task_thread *thread, struct error *err)
{
	if (!(thread->parasite->ring_numbers & ~thread->known_ring_numbers))
		return 0;
	error_hint(err, "the program has to give it back (IORING_UNREGISTER_RING_FDS)");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT
			 ", thread %d: has an io_uring under a number of its own (IORING_REGISTER_RING_FDS), and "
			 "not open",
			 TASK_ARGS(task), thread->tid);
}

static int choose_probes(struct task *task, struct landlock_probes *probes, struct error *err)
{
	for (size_t i = 0; i < task->thread_count; i++) {
		const struct proc_status *status = &task->threads[i].status;
		pid_t probe = 0;

		if (task->threads[i].facts_own)
			continue;
		probe = status->uid[UID_EFFECTIVE] == 0 ? getpid() : landlock_probe(probes, status, err);

		if (probe < 0)
			return probe;
		task->threads[i].probe_pid = probe;
	}
	return 0;
}

static bool is_ancestor(const struct task *ancestor, const struct task *task)
{
	for (; task; task = task->parent)
		if (task == ancestor)
			return true;
	return false;
}

/* Its parent was never in its session, and neither was a child of the thread whose child it is: it was an orphan. */
static bool is_adopted(const struct dump *d, const struct task *task)
{
	if (task->stat.sid == task->parent->stat.sid)
		return false;
	for_each_task (d, leader) {
		if (leader->host_pid != task->stat.sid)
			continue;
		return leader != task && !is_ancestor(leader, task->parent) &&
		       (leader->parent != task->parent || leader->maker_tid != task->maker_tid);
	}
	return false;
}

/*
 * The kernel sends it at the end of the thread whose child the process is. An orphan becomes a child of the first
 * thread again, for a moment only where that is to end: the signal would come then.
 */
static int check_death_signals(const struct dump *d, const struct task *task, struct error *err)
{
	const struct task *parent = task->parent;
	const int signal = switches_death_signal(task);

	if (signal > 0 && parent && parent->ended_leader && is_adopted(d, task))
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ": gets signal %d at the end of thread %d of pid %d, which has adopted it "
					     "in place of the first one: that cannot be restored",
				 TASK_ARGS(task), signal, task->maker_tid, parent->host_pid);
	return 0;
}

/* MCL_FUTURE is seen by what was mapped last. */
static int name_future_locks(struct task *task, const struct place *place, struct error *err)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	const struct proc_vma *ours;
	int r;

	if (task->parasite->locked_here != -EINVAL) {
		task->parasite->locked_here = 0;
		return 0;
	}
	r = proc_maps_read(task->procfd, true, &maps);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read its mappings", TASK_ARGS(task));
	ours = proc_maps_find(&maps, place->data.value);
	task->parasite->locked_here = MCL_FUTURE | (ours && ours->vm_flags & VMF_BIT(LF) ? MCL_ONFAULT : 0);
	return 0;
}

static int check_personalities(const struct task *task, struct error *err)
{
	for (size_t i = 1; i < task->thread_count; i++)
		if (task->threads[i].parasite->personality != task->threads[0].parasite->personality)
			return error_say(err, -ENOTSUP,
					 TASK_FORMAT
					 ", thread %d: has a personality of its own, which is not supported "
					 "yet",
					 TASK_ARGS(task), task->threads[i].tid);
	return 0;
}

static int read_keyrings(struct dump *d, struct task *task, const struct place *place, struct error *err)
{
	int r;

	if (!keyrings_are_to_be_read(d, task))
		return 0;
	r = stop_parasite(task, err);
	return r < 0 ? r : keyrings_read(d, task, place->data, place->layout.bytes, err);
}

static int look_again_at_signals(struct task *task, struct error *err)
{
	int r;

	if (!late_signals_are_possible(task))
		return 0;
	r = stop_parasite(task, err);
	return r < 0 ? r : late_signals_look(task, err);
}

static int take_answers(struct dump *d, struct task *task, const struct place *place, struct landlock_probes *probes,
			struct error *err)
{
	int r = finish(d, task, place, err);

	if (r < 0)
		return r;
	take_fd_flags(task, &place->layout);
	take_children(task, &place->layout);
	r = numa_policies_take(d, task, (void *)((char *)task->parasite + place->layout.mappings), err);
	for (size_t i = 0; i < task->thread_count && r == 0; i++)
		r = check_confinement(d, task, place, i, probes, err);
	limit_room_correct(d, task);
	for (size_t i = 0; i < task->thread_count && r == 0; i++)
		r = keyrings_check(task, &task->threads[i], err);
	for (size_t i = 0; i < task->thread_count && r == 0; i++)
		r = check_ring_numbers(task, &task->threads[i], err);
	if (r == 0)
		r = check_personalities(task, err);
	if (r == 0)
		r = check_death_signals(d, task, err);
	if (r == 0)
		r = registers_check(task, err);
	if (r == 0)
		r = take_ldt(task, place, err);
	if (r == 0)
		r = name_future_locks(task, place, err);
	if (r == 0)
		r = read_keyrings(d, task, place, err);
	return r < 0 ? r : look_again_at_signals(task, err);
}

/* Everything that holds of its model holds of it; what has to be looked at is what is its own. */
static int take_models_answers(const struct dump *d, struct task *task, struct error *err)
{
	int r = process_likeness_take_answers(d, task, err);

	if (r == 0)
		r = check_death_signals(d, task, err);
	return r < 0 ? r : registers_check(task, err);
}

static int run_all(struct dump *d, struct task *const *tasks, struct place *places, size_t count,
		   struct landlock_probes *probes, struct error *err)
{
	int r = inject(d, tasks, places, count, err);

	for (size_t i = 0; i < count && r == 0; i++) {
		r = choose_probes(tasks[i], probes, err);
		if (r == 0)
			r = start(tasks[i], &places[i], err);
	}
	for (size_t i = 0; i < count && r == 0; i++)
		r = take_answers(d, tasks[i], &places[i], probes, err);
	return r;
}

/* Segment descriptors take more room than all else, and hardly anybody has any: those who have are visited again. */
static int visit_again(struct dump *d, struct task **tasks, struct place *places, size_t count,
		       struct landlock_probes *probes, struct error *err)
{
	struct compel_error compel_err = { 0 };
	size_t again = 0;

	for (size_t i = 0; i < count; i++) {
		int r;

		if (tasks[i]->parasite->ldt_bytes <= 0)
			continue;
		r = compel_cure(tasks[i]->compel, &compel_err);
		if (r < 0)
			return compel_error_pass(err, tasks[i], &compel_err, r);
		tasks[i]->state->has_ldt = true;
		tasks[again++] = tasks[i];
	}
	return again ? run_all(d, tasks, places, again, probes, err) : 0;
}

int parasites_run(struct dump *d, struct error *err)
{
	struct landlock_probes probes = { 0 };
	struct place *places = calloc(d->task_count + 1, sizeof(*places));
	struct task **tasks = calloc(d->task_count + 1, sizeof(*tasks));
	size_t count = 0;
	int r = places && tasks ? 0 : error_set(err, -ENOMEM, "parasites");

	process_likeness_choose(d);
	for (size_t i = 0; i < d->task_count && r == 0; i++)
		if (!d->tasks[i]->is_zombie && !d->tasks[i]->like)
			tasks[count++] = d->tasks[i];
	if (r == 0)
		r = run_all(d, tasks, places, count, &probes, err);
	if (r == 0)
		r = visit_again(d, tasks, places, count, &probes, err);
	for (size_t i = 0; i < d->task_count && r == 0; i++)
		if (d->tasks[i]->like)
			r = take_models_answers(d, d->tasks[i], err);
	if (r == 0)
		r = numa_policies_check(d, err);
	landlock_probes_done(&probes);
	free(tasks);
	free(places);
	return r;
}
