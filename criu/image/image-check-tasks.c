/*
 * The process tree: pstree.img, one core image per thread, the ids of each living process; and seccomp filters, which
 * threads refer to by index.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-check-private.h"

#define LEADER_HAS_ENDED 1000 /* a task_state */

/* Limits of the kernel: instructions of one filter, and of a whole chain with four more for each filter. */
#define FILTER_INSNS_MAX   4096
#define CHAIN_INSNS_MAX    32768
#define FILTER_INSN_BYTES  8
#define FILTER_FLAGS_KNOWN 0x3fu

static int check_filter(const SeccompFilter *filter, size_t index, uint64_t *insns, const struct check_place *at)
{
	size_t own = filter->filter.len / FILTER_INSN_BYTES;

	if (filter->filter.len == 0 || filter->filter.len % FILTER_INSN_BYTES || own > FILTER_INSNS_MAX)
		return check_bad(at, "filter %zu is %zu bytes long", index, filter->filter.len);
	if (filter->has_flags && filter->flags & ~FILTER_FLAGS_KNOWN)
		return check_bad(at, "filter %zu has unknown flags 0x%x", index, filter->flags);
	/* Only backwards: so a chain has an end. */
	if (filter->has_prev && filter->prev >= index)
		return check_bad(at, "filter %zu follows filter %u, which is not before it", index, filter->prev);
	insns[index] = own + 4 + (filter->has_prev ? insns[filter->prev] : 0);
	if (insns[index] > CHAIN_INSNS_MAX)
		return check_bad(at, "the chain of filter %zu is too long", index);
	return 0;
}

int check_seccomp(struct checked_set *cs, struct error *err)
{
	const struct check_place at = { IMAGE_SECCOMP, 0, err };
	AUTO_FREE uint64_t *insns = NULL;
	int r = image_read_one(cs->set, IMAGE_SECCOMP, 0, &seccomp_entry__descriptor, &cs->seccomp, err);

	if (r == -ENOENT && !error_is_set(err))
		return 0;
	if (r < 0)
		return r;
	insns = calloc(cs->seccomp->n_seccomp_filters + 1, sizeof(*insns));
	if (!insns)
		return error_set(err, -ENOMEM, "check seccomp.img");
	for (size_t i = 0; i < cs->seccomp->n_seccomp_filters && r == 0; i++)
		r = check_filter(cs->seccomp->seccomp_filters[i], i, insns, &at);
	return r;
}

static int compare_task_pids(const void *a, const void *b)
{
	const struct checked_task *left = *(struct checked_task *const *)a, *right = *(struct checked_task *const *)b;

	return (left->entry->pid > right->entry->pid) - (left->entry->pid < right->entry->pid);
}

/* Moves the records of pstree.img into cs->tasks. */
static int load_tree(struct checked_set *cs, struct error *err)
{
	struct image_list list;
	int r = image_read_list(cs->set, IMAGE_PSTREE, 0, &pstree_entry__descriptor, &list, err);

	if (r < 0)
		return r;
	cs->tasks = calloc(list.count + 1, sizeof(*cs->tasks));
	cs->tasks_by_pid = calloc(list.count + 1, sizeof(struct checked_task *));
	if (!cs->tasks || !cs->tasks_by_pid) {
		image_list_done(&list);
		return error_set(err, -ENOMEM, "check pstree.img");
	}
	for (size_t i = 0; i < list.count; i++) {
		cs->tasks[i].entry = list.items[i];
		cs->tasks_by_pid[i] = &cs->tasks[i];
	}
	cs->task_count = list.count;
	free(list.items);
	qsort(cs->tasks_by_pid, cs->task_count, sizeof(struct checked_task *), compare_task_pids);
	return 0;
}

static bool is_pid(uint32_t pid)
{
	return pid > 0 && pid < CHECK_PID_LIMIT;
}

static int check_tree_entry(struct checked_set *cs, size_t index, const struct check_place *at)
{
	struct checked_task *task = &cs->tasks[index];
	const PstreeEntry *entry = task->entry;
	const struct checked_task *parent;

	if (!is_pid(entry->pid))
		return check_bad(at, "pid %u is out of range", entry->pid);
	/* 0: led from outside the pid namespace, a shell job. */
	if (entry->sid >= CHECK_PID_LIMIT || entry->pgid >= CHECK_PID_LIMIT)
		return check_bad(at, "pid %u: session %u or process group %u is out of range", entry->pid, entry->sid,
				 entry->pgid);
	if (index == 0)
		return entry->ppid == 0 ? 0 : check_bad(at, "pid %u comes first and is not the root", entry->pid);
	if (entry->ppid == 0)
		return check_bad(at, "pid %u is a second root", entry->pid);
	parent = checked_set_find_task(cs, entry->ppid);
	if (!parent || parent >= task)
		return check_bad(at, "pid %u: its parent %u does not come before it", entry->pid, entry->ppid);
	task->parent = &cs->tasks[parent - cs->tasks];
	return 0;
}

static int check_tree(struct checked_set *cs, const struct check_place *at)
{
	int r = 0;

	if (cs->task_count == 0)
		return check_bad(at, "holds no process");
	for (size_t i = 1; i < cs->task_count; i++) {
		if (cs->tasks_by_pid[i - 1]->entry->pid == cs->tasks_by_pid[i]->entry->pid)
			return check_bad(at, "pid %u is there twice", cs->tasks_by_pid[i]->entry->pid);
	}
	for (size_t i = 0; i < cs->task_count && r == 0; i++)
		r = check_tree_entry(cs, i, at);
	return r;
}

/* From here on a process whose first thread has ended has the state of the others. */
static void read_task_state(struct checked_task *task, TaskCoreEntry *tc)
{
	if (!tc)
		return;
	task->is_zombie = tc->task_state == 2;
	task->leader_has_ended = tc->task_state == LEADER_HAS_ENDED && tc->has_leader_exit_code &&
				 tc->has_leader_task_state && task->entry->n_threads > 1;
	if (task->leader_has_ended)
		tc->task_state = tc->leader_task_state;
}

static int load_core(struct checked_set *cs, struct checked_task *task, size_t thread, struct image_closing *closing,
		     struct error *err)
{
	struct checked_thread *t = &task->threads[thread];
	const struct check_place at = { IMAGE_CORE, t->tid, err };
	int r =
	    image_read_required_of_many(cs->set, IMAGE_CORE, t->tid, &core_entry__descriptor, closing, &t->core, err);

	if (r == 0 && thread == 0)
		read_task_state(task, t->core->tc);
	if (r == 0 && thread == 0 && !task->is_zombie)
		r = load_old_task_parts(cs, task, err);
	if (r == 0 && !task->is_zombie)
		r = load_old_thread_parts(cs, task, t, err);
	return r < 0 ? r : check_core(cs, task, thread, &at);
}

/* What a zombie has for threads means nothing. */
static int load_leader(struct checked_set *cs, struct checked_task *task, struct error *err)
{
	size_t count = task->entry->n_threads;

	task->threads = calloc(count + 1, sizeof(*task->threads));
	if (!task->threads)
		return error_set(err, -ENOMEM, "check pid %u", task->entry->pid);
	task->threads[0].tid = task->entry->pid;
	task->thread_count = 1;
	return load_core(cs, task, 0, NULL, err);
}

static int load_threads(struct checked_set *cs, struct checked_task *task, const struct check_place *at)
{
	AUTO_IMAGE_CLOSING struct image_closing closing = { 0 };
	const PstreeEntry *entry = task->entry;
	int r = 0;

	if (entry->n_threads == 0 || entry->threads[0] != entry->pid)
		return check_bad(at, "pid %u: its leader does not come first among its threads", entry->pid);
	for (size_t i = 1; i < entry->n_threads && r == 0; i++) {
		if (!is_pid(entry->threads[i]))
			return check_bad(at, "pid %u: tid %u is out of range", entry->pid, entry->threads[i]);
		task->threads[i].tid = entry->threads[i];
		task->thread_count = i + 1;
		r = load_core(cs, task, i, &closing, at->err);
	}
	return r;
}

/* Before the core images of threads are read: a list that names one thread many times would cost as many. */
static int check_unique_tids(const struct checked_set *cs, const struct check_place *at)
{
	AUTO_FREE uint32_t *tids = NULL;
	size_t count = 0;
	uint32_t tid;

	for (size_t i = 0; i < cs->task_count; i++)
		count += cs->tasks[i].is_zombie ? 1 : cs->tasks[i].entry->n_threads + 1;
	tids = calloc(count + 1, sizeof(*tids));
	if (!tids)
		return error_set(at->err, -ENOMEM, "check pstree.img");
	count = 0;
	for (size_t i = 0; i < cs->task_count; i++) {
		const PstreeEntry *entry = cs->tasks[i].entry;

		tids[count++] = entry->pid;
		for (size_t k = 1; k < entry->n_threads && !cs->tasks[i].is_zombie; k++)
			tids[count++] = entry->threads[k];
	}
	return find_duplicate(tids, count, &tid) ? check_bad(at, "thread %u is there twice", tid) : 0;
}

struct thread_place {
	uint32_t tid;
	uint32_t index;
	const struct checked_task *task;
};

static int compare_thread_places(const void *a, const void *b)
{
	const struct thread_place *left = a, *right = b;

	return (left->tid > right->tid) - (left->tid < right->tid);
}

static size_t list_thread_places(const struct checked_set *cs, struct thread_place *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < cs->task_count; i++)
		for (size_t k = 0; k < cs->tasks[i].thread_count; k++)
			ret[count++] = (struct thread_place){ cs->tasks[i].threads[k].tid, (uint32_t)k, &cs->tasks[i] };
	qsort(ret, count, sizeof(*ret), compare_thread_places);
	return count;
}

/* Whose children the processes are; most sets have none of another than the first thread. */
static int find_parent_threads(struct checked_set *cs, const struct check_place *at)
{
	AUTO_FREE struct thread_place *places = NULL;
	size_t count = 0, wanted = 0;

	for (size_t i = 0; i < cs->task_count; i++) {
		count += cs->tasks[i].thread_count;
		wanted += cs->tasks[i].entry->has_parent_tid;
	}
	if (!wanted)
		return 0;
	places = calloc(count + 1, sizeof(*places));
	if (!places)
		return error_set(at->err, -ENOMEM, "check pstree.img");
	count = list_thread_places(cs, places);
	for (size_t i = 0; i < cs->task_count; i++) {
		struct checked_task *task = &cs->tasks[i];
		const struct thread_place key = { .tid = task->entry->parent_tid }, *found;

		if (!task->entry->has_parent_tid)
			continue;
		found = bsearch(&key, places, count, sizeof(*places), compare_thread_places);
		if (!found || found->task != task->parent)
			return check_bad(at, "pid %u: %u is not a thread of its parent", task->entry->pid, key.tid);
		task->parent_thread = found->index;
	}
	return 0;
}

/* The leader of a session stays in it. */
static int check_session(const struct checked_set *cs, const struct checked_task *task, const struct check_place *at)
{
	const struct checked_task *leader = checked_set_find_task(cs, task->entry->sid);

	if (task->parent && task->parent->is_zombie)
		return check_bad(at, "pid %u: its parent %u is a zombie", task->entry->pid, task->entry->ppid);
	if (leader && !leader->is_zombie && leader->entry->sid != leader->entry->pid)
		return check_bad(at, "pid %u: process %u is not the leader of session %u", task->entry->pid,
				 leader->entry->pid, task->entry->sid);
	return 0;
}

static int compare_groups(const void *a, const void *b)
{
	const PstreeEntry *left = *(PstreeEntry *const *)a, *right = *(PstreeEntry *const *)b;

	return (left->pgid > right->pgid) - (left->pgid < right->pgid);
}

/* A process group is within one session, and who leads a session leads a group. 0: led from outside the pid namespace.
 */
static int check_groups(const struct checked_set *cs, const struct check_place *at)
{
	AUTO_FREE PstreeEntry **entries = calloc(cs->task_count, sizeof(*entries));

	if (!entries)
		return error_set(at->err, -ENOMEM, "check pstree.img");
	for (size_t i = 0; i < cs->task_count; i++)
		entries[i] = cs->tasks[i].entry;
	qsort(entries, cs->task_count, sizeof(*entries), compare_groups);
	for (size_t i = 0; i < cs->task_count; i++) {
		const PstreeEntry *entry = entries[i], *before = i ? entries[i - 1] : entry;

		if (entry->sid == entry->pid && entry->pgid != entry->pid)
			return check_bad(at, "pid %u: leads its session and is in process group %u", entry->pid,
					 entry->pgid);
		if (entry->pgid && entry->pgid == before->pgid && entry->sid != before->sid)
			return check_bad(at, "process group %u: pid %u and pid %u of it are in different sessions",
					 entry->pgid, before->pid, entry->pid);
	}
	return 0;
}

/* The oldest sets have the ids in the core image. */
static int load_ids(struct checked_set *cs, struct checked_task *task, struct error *err)
{
	CoreEntry *core = task->threads[0].core;
	int r = image_read_one(cs->set, IMAGE_IDS, task->entry->pid, &task_kobj_ids_entry__descriptor, &task->ids, err);

	if (r != -ENOENT || error_is_set(err))
		return r;
	if (!core->ids)
		return error_say(err, -EBADMSG, "ids-%u.img is missing", task->entry->pid);
	task->ids = TAKE_PTR(core->ids);
	return 0;
}

static int check_unique_vms(const struct checked_set *cs, struct error *err)
{
	AUTO_FREE uint32_t *ids = calloc(cs->task_count + 1, sizeof(*ids));
	size_t count = 0;
	uint32_t id;

	if (!ids)
		return error_set(err, -ENOMEM, "check ids of processes");
	for (size_t i = 0; i < cs->task_count; i++) {
		if (!cs->tasks[i].is_zombie && !cs->tasks[i].vfork_child)
			ids[count++] = cs->tasks[i].ids->vm_id;
	}
	if (find_duplicate(ids, count, &id))
		return error_say(err, -EINVAL,
				 "two processes share one address space (vm_id %u), which cannot be restored", id);
	return 0;
}

static bool has_children(const struct checked_set *cs, const struct checked_task *task)
{
	for (size_t i = 0; i < cs->task_count; i++)
		if (cs->tasks[i].parent == task)
			return true;
	return false;
}

/* Who waits for the end of a vfork, and who is to end it. */
static int find_vforks(struct checked_set *cs, const struct check_place *at)
{
	for (size_t i = 0; i < cs->task_count; i++) {
		struct checked_task *task = &cs->tasks[i], *child;
		const TaskCoreEntry *tc = task->threads[0].core->tc;

		if (task->is_zombie || !tc->has_vfork_child)
			continue;
		child = (struct checked_task *)checked_set_find_task(cs, tc->vfork_child);
		if (!child || child->is_zombie || child->parent != task || child->thread_count != 1 ||
		    has_children(cs, child) || child->threads[0].core->tc->has_vfork_child ||
		    child->ids->vm_id != task->ids->vm_id || child->ids->files_id == task->ids->files_id ||
		    task->leader_has_ended)
			return check_bad(at, "pid %u waits for the end of its vfork by %u, which cannot be",
					 task->entry->pid, tc->vfork_child);
		task->vfork_child = child;
		child->vfork_parent = task;
	}
	return 0;
}

int check_tasks(struct checked_set *cs, struct error *err)
{
	const struct check_place at = { IMAGE_PSTREE, 0, err };
	int r = load_tree(cs, err);

	if (r == 0)
		r = check_tree(cs, &at);
	for (size_t i = 0; i < cs->task_count && r == 0; i++)
		r = load_leader(cs, &cs->tasks[i], err);
	if (r == 0)
		r = check_unique_tids(cs, &at);
	for (size_t i = 0; i < cs->task_count && r == 0; i++) {
		if (!cs->tasks[i].is_zombie)
			r = load_threads(cs, &cs->tasks[i], &at);
		if (r == 0 && !cs->tasks[i].is_zombie)
			r = load_ids(cs, &cs->tasks[i], err);
	}
	for (size_t i = 0; i < cs->task_count && r == 0; i++)
		r = check_session(cs, &cs->tasks[i], &at);
	if (r == 0)
		r = check_groups(cs, &at);
	if (r == 0)
		r = find_parent_threads(cs, &at);
	if (r == 0 && cs->tasks[0].is_zombie)
		return check_bad(&at, "the root of the tree is a zombie");
	if (r == 0)
		r = find_vforks(cs, &at);
	return r < 0 ? r : check_unique_vms(cs, err);
}
