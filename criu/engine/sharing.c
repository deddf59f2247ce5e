/*
 * Memory and directories (working directory, root, umask) are each process's own, and all threads of a process have the
 * same ones, the same descriptor table and the same namespaces: that is what images say. The kernel allows more
 * (CLONE_VM, CLONE_FS without CLONE_THREAD; unshare(2) and setns(2) in a thread). Who shares need be no relative: a
 * process outside of the tree would go on in the same memory while it is saved, and be left with what is no longer the
 * tree's.
 *
 * Objects are sorted in the order of kcmp(2), behind cheap figures that are equal where the object is the same one.
 * Without kcmp the facts about all tasks of the machine tell, where they are known; else there is no finding out, and
 * the tree is refused.
 */
#include "engine/sharing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "engine/tree-tasks.h"
#include "engine/tree-vfork.h"
#include "kernel/kcmp.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "kernel/thread-facts.h"
#include "task/task-look.h"

static void refuse(struct dump *d, const struct error *reason)
{
	refusals_add(&d->refusals, reason);
}

static bool is_same(enum kcmp_kind kind, pid_t one, pid_t other)
{
	int order;

	return kcmp_object(kind, one, other, &order) == 0 && order == 0;
}

/* --- between processes ------------------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_kernel(enum kcmp_kind kind, const struct task *a, const struct task *b)
{
	const struct task_facts *one = a->threads[0].facts, *other = b->threads[0].facts;
	int order = 0;

	if (one && other && kind == KCMP_KIND_VM)
		return compare_numbers(one->mm, other->mm);
	if (one && other && kind == KCMP_KIND_FS)
		return compare_numbers(one->fs, other->fs);
	/* What cannot be compared is taken for different, in the order of its pids. */
	if (kcmp_object(kind, a->acting_tid, b->acting_tid, &order) < 0)
		return a->host_pid - b->host_pid;
	return order;
}

static int compare_memory(const void *x, const void *y)
{
	const struct task *a = *(const struct task *const *)x, *b = *(const struct task *const *)y;
	int order = compare_numbers(a->stat.vm_size_bytes, b->stat.vm_size_bytes);

	if (!order)
		order = compare_numbers(a->stat.rss_pages, b->stat.rss_pages);
	if (!order)
		order = compare_numbers(a->stat.start_stack, b->stat.start_stack);
	return order ? order : compare_kernel(KCMP_KIND_VM, a, b);
}

static int compare_directories(const void *x, const void *y)
{
	const struct task *a = *(const struct task *const *)x, *b = *(const struct task *const *)y;
	int order = a->threads[0].status.umask - b->threads[0].status.umask;

	return order ? order : compare_kernel(KCMP_KIND_FS, a, b);
}

static const struct shared_kind {
	enum kcmp_kind kind;
	int (*compare)(const void *x, const void *y); /* NULL: the tree may share it */
	size_t fact;
	const char *what, *how;
} shared_kinds[] = {
	{ KCMP_KIND_VM, compare_memory, offsetof(struct task_facts, mm), "memory", "vfork or CLONE_VM" },
	{ KCMP_KIND_FS, compare_directories, offsetof(struct task_facts, fs), "working directory", "CLONE_FS" },
	{ KCMP_KIND_FILES, NULL, offsetof(struct task_facts, files), "descriptor table", "CLONE_FILES" },
};

/* Until its end, or until it executes a program, a child of vfork has its parent's memory. */
static bool is_vfork(const struct dump *d, const struct task *one, const struct task *other)
{
	if (d->is_live)
		return tree_waits_in_vfork(one, other) || tree_waits_in_vfork(other, one);
	return one->vfork_child == other || other->vfork_child == one;
}

static void refuse_shared(struct dump *d, const struct shared_kind *kind, const struct task *task, pid_t other)
{
	const bool is_parent = other == task->stat.ppid;
	struct error reason = { 0 };

	(void)error_say(&reason, -ENOTSUP, TASK_FORMAT ": shares its %s with %spid %d (%s)", TASK_ARGS(task),
			kind->what, is_parent ? "its parent, " : "", other, kind->how);
	refuse(d, &reason);
}

/* Of two that share, the younger one is named: mostly it is a child of the other. */
static void look_among_processes(struct dump *d, const struct shared_kind *kind, struct task **sorted, size_t count)
{
	qsort(sorted, count, sizeof(*sorted), kind->compare);
	for (size_t i = 1; i < count; i++) {
		const struct task *one = sorted[i - 1], *other = sorted[i];

		if (kind->compare(&one, &other) != 0 || (kind->kind == KCMP_KIND_VM && is_vfork(d, one, other)))
			continue;
		if (one->parent == other || (other->parent != one && one->host_pid > other->host_pid))
			refuse_shared(d, kind, one, other->host_pid);
		else
			refuse_shared(d, kind, other, one->host_pid);
	}
}

/* --- with processes outside of the tree -------------------------------------------------------------------------- */

static uint64_t fact_of(const struct task_facts *facts, const struct shared_kind *kind)
{
	uint64_t value;

	memcpy(&value, (const char *)facts + kind->fact, sizeof(value));
	return value;
}

static int compare_facts(const void *x, const void *y, void *kind)
{
	const struct task *a = *(const struct task *const *)x, *b = *(const struct task *const *)y;

	return compare_numbers(fact_of(a->threads[0].facts, kind), fact_of(b->threads[0].facts, kind));
}

static int compare_order(const void *x, const void *y, void *ctx)
{
	const struct task *a = *(const struct task *const *)x, *b = *(const struct task *const *)y;
	const struct shared_kind *kind = ctx;

	return compare_kernel(kind->kind, a, b);
}

/* 0 when the task has the same object as the stranger: by the facts of that, or NULL: by asking. Or -errno. */
static int compare_stranger(const struct shared_kind *kind, const struct task *task, const struct task_facts *stranger,
			    pid_t pid, int *ret_order)
{
	if (!stranger)
		return kcmp_object(kind->kind, task->acting_tid, pid, ret_order);
	*ret_order = compare_numbers(fact_of(task->threads[0].facts, kind), fact_of(stranger, kind));
	return 0;
}

/* Kernel threads work in the memory of processes for a while. */
static bool is_kernel_thread(pid_t pid)
{
	AUTO_CLOSE int procfd = proc_open(pid);
	struct proc_stat stat;

	return procfd < 0 || proc_stat_read(procfd, "stat", &stat) < 0 || stat.flags & 0x00200000 /* PF_KTHREAD */;
}

static bool look_at_stranger(struct dump *d, const struct shared_kind *kind, struct task *const *sorted, size_t count,
			     const struct task_facts *facts, pid_t pid)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order;

		if (compare_stranger(kind, sorted[middle], facts, pid, &order) < 0)
			return false;
		if (order == 0) {
			if (is_kernel_thread(pid))
				return false;
			refuse_shared(d, kind, sorted[middle], pid);
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static void look_at_strangers_by_facts(struct dump *d, const struct shared_kind *kind, struct task **sorted,
				       size_t count)
{
	pid_t named = 0;

	qsort_r(sorted, count, sizeof(*sorted), compare_facts, (void *)kind);
	for (size_t i = 0; i < d->facts.count; i++) {
		const struct task_facts *facts = &d->facts.items[i];

		if (facts->tgid == named || facts->has_ended || !fact_of(facts, kind) || tree_has(d, facts->tgid))
			continue;
		if (look_at_stranger(d, kind, sorted, count, facts, facts->tgid))
			named = facts->tgid;
	}
}

static void look_at_strangers_by_asking(struct dump *d, const struct shared_kind *kind, struct task **sorted,
					size_t count)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");
	const struct dirent *entry;

	qsort_r(sorted, count, sizeof(*sorted), compare_order, (void *)kind);
	while (dir && (entry = readdir(dir))) {
		const pid_t pid = atoi(entry->d_name);

		if (pid > 0 && !tree_has(d, pid))
			(void)look_at_stranger(d, kind, sorted, count, NULL, pid);
	}
}

static bool has_facts(const struct dump *d)
{
	for_each_task (d, task)
		for (size_t i = 0; !task->is_zombie && i < task->thread_count; i++)
			if (!task->threads[i].facts)
				return false;
	return true;
}

static void look_at_processes(struct dump *d)
{
	AUTO_FREE struct task **sorted = calloc(d->task_count + 1, sizeof(*sorted));

	for (size_t k = 0; sorted && k < ARRAY_SIZE(shared_kinds); k++) {
		const struct shared_kind *kind = &shared_kinds[k];
		size_t count = 0;

		for_each_task (d, task)
			if (!task->is_zombie && task->state)
				sorted[count++] = task;
		if (kind->compare)
			look_among_processes(d, kind, sorted, count);
		if (has_facts(d))
			look_at_strangers_by_facts(d, kind, sorted, count);
		else
			look_at_strangers_by_asking(d, kind, sorted, count);
	}
}

/* --- within a process -------------------------------------------------------------------------------------------- */

static void refuse_own(struct dump *d, const struct task *task, const struct task_thread *thread, const char *what,
		       const char *hint)
{
	struct error reason = { 0 };

	if (hint)
		error_hint(&reason, "%s", hint);
	(void)error_say(&reason, -ENOTSUP, TASK_FORMAT ", thread %d: has %s", TASK_ARGS(task), thread->tid, what);
	refuse(d, &reason);
}

/* A thread cannot leave its user namespace, and has left its mount namespace with directories of its own only. */
static const char *const thread_namespaces[] = {
	"net", "uts", "ipc", "cgroup", "pid_for_children", "time_for_children"
};

static uint64_t namespace_inode(const struct task *task, pid_t tid, const char *name)
{
	struct stat st;
	char path[64];

	(void)snprintf(path, sizeof(path), "task/%d/ns/%s", tid, name);
	return fstatat(task->procfd, path, &st, 0) < 0 ? 0 : st.st_ino;
}

static void look_at_namespaces(struct dump *d, const struct task *task, const uint64_t *leaders,
			       const struct task_thread *thread)
{
	const struct task_facts *leader = task->threads[0].facts, *facts = thread->facts;

	if (leader && facts && leader->namespaces == facts->namespaces)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(thread_namespaces); i++) {
		const uint64_t inode = leaders[i] ? namespace_inode(task, thread->tid, thread_namespaces[i]) : 0;
		char what[64];

		if (!inode || inode == leaders[i])
			continue;
		(void)snprintf(what, sizeof(what), "a %s namespace of its own", thread_namespaces[i]);
		refuse_own(d, task, thread, what, NULL);
	}
}

/* A dump asks the thread itself, once it can. */
static bool has_own_personality(const struct task *task, pid_t tid)
{
	AUTO_CLOSE int procfd = -1;
	uint32_t leaders, own;
	char path[32];

	(void)snprintf(path, sizeof(path), "task/%d", tid);
	procfd = openat(task->procfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return procfd >= 0 && proc_read_personality(task->procfd, &leaders) == 0 &&
	       proc_read_personality(procfd, &own) == 0 && own != leaders;
}

static void look_at_thread(struct dump *d, const struct task *task, const struct task_thread *thread)
{
	const struct task_facts *leader = task->threads[0].facts, *facts = thread->facts;
	const bool is_known = leader && facts;

	if (is_known ? leader->fs != facts->fs : !is_same(KCMP_KIND_FS, task->acting_tid, thread->tid))
		refuse_own(d, task, thread, "a working directory of its own (unshare)", NULL);
	if (is_known ? leader->files != facts->files : !is_same(KCMP_KIND_FILES, task->acting_tid, thread->tid))
		refuse_own(d, task, thread, "a descriptor table of its own (unshare)", NULL);
	if ((is_known && leader->has_loginuid && leader->loginuid != facts->loginuid) ||
	    (task->thread_facts &&
	     task->thread_facts[0].likeness.loginuid != task->thread_facts[thread - task->threads].likeness.loginuid))
		refuse_own(d, task, thread, "a login uid of its own", NULL);
	if (d->is_live && has_own_personality(task, thread->tid))
		refuse_own(d, task, thread, "a personality of its own", NULL);
}

static void look_at_threads(struct dump *d, const struct task *task)
{
	uint64_t leaders[ARRAY_SIZE(thread_namespaces)];

	for (size_t i = 0; task->thread_count > 1 && i < ARRAY_SIZE(thread_namespaces); i++)
		leaders[i] = namespace_inode(task, task->acting_tid, thread_namespaces[i]);
	for (size_t i = 1; i < task->thread_count; i++) {
		if (task->threads[i].facts_own)
			continue;
		look_at_thread(d, task, &task->threads[i]);
		look_at_namespaces(d, task, leaders, &task->threads[i]);
	}
}

/* Without kcmp every thread would seem to have everything of its own. */
static int check_kcmp(const struct dump *d)
{
	const struct task *root = d->tasks[0];
	int order, r = kcmp_object(KCMP_KIND_FILES, root->acting_tid, root->acting_tid, &order);

	return r < 0 && has_facts(d) ? 0 : r;
}

static void refuse_unknown(struct dump *d, int r)
{
	const struct task *root = d->tasks[0];
	struct error reason = { 0 };

	error_hint(&reason, "a kernel without CONFIG_KCMP lacks it, and filters of containers deny it");
	(void)error_set(&reason, r, TASK_FORMAT ": cannot tell what its processes and threads share: kcmp",
			TASK_ARGS(root));
	refuse(d, &reason);
}

void sharing_look(struct dump *d)
{
	int r = check_kcmp(d);

	/* What has ended while it was looked at alive shares nothing any more. */
	if (r < 0 && r != -ESRCH)
		refuse_unknown(d, r);
	if (r < 0)
		return;
	look_at_processes(d);
	for_each_task (d, task)
		if (!task->is_zombie && task->state)
			look_at_threads(d, task);
}
