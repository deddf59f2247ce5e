/*
 * Finding and freezing a tree. Every task is seized and interrupted as soon as it is seen, its children are read from
 * /proc and seized in turn; when all stand still the walk is repeated until it finds no new thread and no new child,
 * for only a task that still ran could have made one.
 */
#include "engine/tree.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/compel-error.h"
#include "engine/tree-tasks.h"
#include "engine/tree-vfork.h"
#include "engine/undo.h"
#include "files/files.h"
#include "kernel/proc-list.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "mm/map-flags.h"
#include "task/ended-call.h"

#define MANY_THREADS  16          /* fewer are walked faster than a look at all there is takes */
#define MANY_OTHERS   500         /* fewer are asked faster, what they share with the tree */
#define VFORK_SEEN_NS 20000000ull /* how long a task may take to stop before it is asked what it waits for */

/* --- collect ----------------------------------------------------------------------------------------------------- */

/* Asked first, for it costs less than a look at all ancestors of this process. */
static bool has_no_children(const struct task *task)
{
	AUTO_FREE pid_t *children = NULL;
	size_t count = 0;

	return task->stat.thread_count == 1 &&
	       proc_list_children(task->procfd, &task->host_pid, 1, &children, &count) == 0 && count == 0;
}

static int check_not_ancestor(const struct task *root, struct error *err)
{
	pid_t pid = getpid();
	struct proc_stat stat;

	if (pid != root->host_pid && has_no_children(root))
		return 0;
	while (pid > 0) {
		AUTO_CLOSE int procfd = -1;

		if (pid == root->host_pid) {
			error_hint(err, "start the dump from outside the tree, by setsid or from another terminal");
			return error_say(err, -EINVAL, TASK_FORMAT ": is %s", TASK_ARGS(root),
					 pid == getpid() ? "this process itself" : "an ancestor of this process");
		}
		procfd = proc_open(pid);
		if (procfd < 0 || proc_stat_read(procfd, "stat", &stat) < 0)
			return 0;
		pid = stat.ppid;
	}
	return 0;
}

/* To those in its own namespace it is immune to SIGKILL, and whoever restores there finds that number taken. */
static int check_not_init(const struct task *root, struct error *err)
{
	if (root->host_pid != 1)
		return 0;
	error_hint(err, "dump one of its children with what is below it");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ": is the first process of this pid namespace, which can neither be ended nor "
				     "restored from inside",
			 TASK_ARGS(root));
}

static int check_root(struct task *root, size_t *ret_table_size, struct error *err)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	int r = tree_task_read_stat(root, err);

	if (r < 0)
		return r;
	r = proc_status_read(root->procfd, "status", &status);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read its status", TASK_ARGS(root));
	if (status.kernel_thread || root->stat.flags & 0x00200000 /* PF_KTHREAD */)
		return error_say(err, -EINVAL, TASK_FORMAT ": is a kernel thread", TASK_ARGS(root));
	if (root->stat.state == 'Z' && root->stat.thread_count <= 1) {
		error_hint(err, "its parent, pid %d, has to wait for it", root->stat.ppid);
		return error_say(err, -EINVAL, TASK_FORMAT ": has ended already (a zombie)", TASK_ARGS(root));
	}
	*ret_table_size = (size_t)status.fd_table_size;
	r = check_not_ancestor(root, err);
	return r < 0 ? r : check_not_init(root, err);
}

/* A thread other than the first has an entry in /proc, but the kernel gives no pidfd of a process for it. */
static int explain_no_process(pid_t pid, int r, const struct error *own, struct error *err)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	AUTO_CLOSE int procfd = proc_open(pid);
	char comm[64] = "?";

	if (procfd >= 0 && proc_status_read(procfd, "status", &status) == 0 && status.tgid != pid) {
		(void)proc_read_comm(procfd, "comm", comm);
		error_hint(err, "its process is pid %d", status.tgid);
		return error_say(err, -EINVAL, "pid %d (%s): is a thread, not a process", pid, comm);
	}
	if (r == -ESRCH)
		return error_say(err, r, "pid %d: no such process", pid);
	*err = *own;
	return r;
}

int tree_collect(struct dump *d, struct error *err)
{
	struct error own = { 0 };
	int r = d->opts->pid < TREE_PID_LIMIT ? tree_add(d, d->opts->pid, NULL, 0, &own) : -ESRCH;
	size_t table_size = 0;

	if (r < 0)
		return explain_no_process(d->opts->pid, r, &own, err);
	r = check_root(d->tasks[0], &table_size, err);
	if (r < 0)
		return r;
	files_prepare(d, table_size);
	if (!d->is_live && proc_count_all() >= MANY_OTHERS)
		preparation_start_early(&d->preparation, d->tasks[0]->procfd);
	return 0;
}

/* --- freeze ------------------------------------------------------------------------------------------------------ */

static pid_t read_tracer(const struct task *task, pid_t tid)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/status", tid);
	return proc_status_read(task->procfd, path, &status) == 0 ? status.tracer_pid : 0;
}

int tree_check_tracer(const struct task *task, struct error *err)
{
	AUTO_FREE pid_t *tids = NULL;
	size_t count = 0;

	(void)proc_list_threads(task->procfd, &tids, &count);
	for (size_t i = 0; i < count; i++) {
		const pid_t pid = read_tracer(task, tids[i]);
		AUTO_CLOSE int tracer = -1;
		char comm[64] = "?";

		if (!pid || pid == getpid())
			continue;
		tracer = proc_open(pid);
		if (tracer >= 0)
			(void)proc_read_comm(tracer, "comm", comm);
		error_hint(err, "detach the tracer first");
		if (i == 0)
			return error_say(err, -EPERM, TASK_FORMAT ": is traced by pid %d (%s) already", TASK_ARGS(task),
					 pid, comm);
		return error_say(err, -EPERM, TASK_FORMAT ", thread %d: is traced by pid %d (%s) already",
				 TASK_ARGS(task), tids[i], pid, comm);
	}
	return 0;
}

/* Who traces it, what we lack: EPERM alone helps nobody. */
static int explain_eperm(const struct task *task, const struct compel_error *compel_err, struct error *err)
{
	int r = tree_check_tracer(task, err);

	if (r < 0)
		return r;
	error_hint(err, "run it as root, or with CAP_SYS_PTRACE and CAP_CHECKPOINT_RESTORE");
	return error_say(err, -EPERM, TASK_FORMAT ": may not be traced (CAP_SYS_PTRACE is missing?): %s",
			 TASK_ARGS(task), compel_err->text);
}

/* Seizes what is new in a task: *ret_new counts threads. */
static int seize_task(struct dump *d, struct task *task, size_t *ret_new, struct error *err)
{
	struct compel_error compel_err = { 0 };
	size_t fresh = 0;
	int r = 0;

	if (!task->compel) {
		ended_calls_foresee(d, task);
		r = compel_task_new(undo_journal(d->undo), task->host_pid, &task->compel, &compel_err);
	}
	if (r == 0)
		r = compel_seize(task->compel, COMPEL_SEIZE_SUSPEND_SECCOMP, &fresh, &compel_err);
	*ret_new += fresh;
	if (r == -EAGAIN)
		(*ret_new)++;
	if (r == 0 || r == -EAGAIN)
		return 0;
	tree_task_name(task);
	if (r == -EPERM || r == -EACCES)
		return explain_eperm(task, &compel_err, err);
	return compel_error_pass(err, task, &compel_err, r);
}

/* r: of reading its stat. What nobody collects is dead for a moment before it disappears. */
static bool is_gone(const struct task *task, int r)
{
	return r == -ESRCH || r == -ENOENT || (r == 0 && task->stat.state == 'X');
}

/* True when a process that could not be seized has only ended in the meantime. It may be gone altogether. */
static bool has_ended(struct task *task)
{
	struct error ignored = { 0 };
	int r = tree_task_read_stat(task, &ignored);

	task->is_zombie = is_gone(task, r) || (r == 0 && task->stat.state == 'Z' && task->stat.thread_count <= 1);
	return task->is_zombie;
}

/* The end of a thread gives its children to another one. */
static void note_maker(struct dump *d, pid_t pid, const struct task *parent, pid_t tid)
{
	struct task *task = d->tasks[d->task_by_pid[pid] - 1];

	if (task->parent == parent)
		task->maker_tid = tid;
}

static int add_children_of_thread(struct dump *d, struct task *task, pid_t tid, size_t *ret_new, struct error *err)
{
	AUTO_FREE pid_t *children = NULL;
	size_t child_count = 0;
	int r = proc_list_children(task->procfd, &tid, 1, &children, &child_count);

	if (r < 0) {
		tree_task_name(task);
		return error_set(err, r, TASK_FORMAT ": list its children", TASK_ARGS(task));
	}
	for (size_t i = 0; i < child_count; i++) {
		if (tree_has(d, children[i])) {
			note_maker(d, children[i], task, tid);
			continue;
		}
		r = tree_add(d, children[i], task, tid, err);
		if (r == -ESRCH)
			continue;
		if (r < 0)
			return r;
		(*ret_new)++;
	}
	return 0;
}

static int add_children(struct dump *d, struct task *task, const pid_t *tids, size_t tid_count, size_t *ret_new,
			struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < tid_count && r == 0; i++)
		r = add_children_of_thread(d, task, tids[i], ret_new, err);
	return r;
}

/* Of many threads the first one alone is asked at first: one look at all there is tells whether others have children.
 */
static int add_children_of_seized(struct dump *d, struct task *task, size_t *ret_new, struct error *err)
{
	size_t count = task->compel->thread_count >= MANY_THREADS && !d->is_walked ? 1 : task->compel->thread_count;
	AUTO_FREE pid_t *tids = calloc(count + 1, sizeof(*tids));

	if (!tids)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	for (size_t i = 0; i < count; i++)
		tids[i] = task->compel->threads[i].tid;
	return add_children(d, task, tids, count, ret_new, err);
}

/* One walk over all tasks, those found on the way included. */
static int seize_round(struct dump *d, size_t *ret_new, struct error *err)
{
	size_t seized = 0;

	*ret_new = 0;
	for (size_t i = 0; i < d->task_count; i++) {
		struct task *task = d->tasks[i];
		int r;

		if (task->is_zombie)
			continue;
		r = dump_check_interrupted(d, err);
		if (r < 0)
			return r;
		r = seize_task(d, task, ret_new, err);
		if (r < 0 && task->parent && has_ended(task)) {
			*err = (struct error){ 0 };
			continue;
		}
		if (r == 0)
			r = add_children_of_seized(d, task, ret_new, err);
		if (r < 0)
			return r;
		seized += task->compel->thread_count;
		if (seized >= MANY_THREADS)
			preparation_start(&d->preparation, task->procfd,
					  d->task_count >= MAP_FLAGS_MANY_TASKS ||
					      task->compel->thread_count >= MAP_FLAGS_MANY_THREADS);
	}
	return 0;
}

static int wait_for_task(struct dump *d, struct task *task, uint64_t deadline_ns, struct error *err)
{
	struct compel_error compel_err = { 0 };
	pid_t tid = 0;
	int r;

	r = task->vfork_tid ? tree_look_at_vfork(task, err) : -ETIMEDOUT;
	if (r != -ETIMEDOUT)
		return r;
	r = compel_wait_stopped(task->compel, min_u64(deadline_ns, now_ns() + VFORK_SEEN_NS), &compel_err);

	if (r == -ETIMEDOUT && tree_let_vforked_run(d, task, &tid, deadline_ns, err) < 0)
		return err->code;
	if (tid)
		return tree_wait_for_vfork(d, task, tid, deadline_ns, err);
	if (r == -ETIMEDOUT) {
		compel_err = (struct compel_error){ 0 };
		r = compel_wait_stopped(task->compel, deadline_ns, &compel_err);
	}
	if (r == -ETIMEDOUT)
		error_hint(err,
			   "--timeout SECONDS allows more time; a task in uninterruptible sleep cannot be stopped");
	if (r < 0)
		tree_task_name(task);
	return r < 0 ? compel_error_pass(err, task, &compel_err, r)
		     : tree_task_set_acting(task, task->compel->threads[0].tid, err);
}

/* *ret_again counts those that have to be seized anew. */
static int wait_all(struct dump *d, uint64_t deadline_ns, size_t *ret_again, struct error *err)
{
	*ret_again = 0;
	for_each_task (d, task) {
		struct error own = { 0 };
		int r = task->is_zombie || !task->compel ? 0 : wait_for_task(d, task, deadline_ns, &own);

		*ret_again += r == -EAGAIN || (!task->is_zombie && !task->compel);
		if (r < 0 && r != -EAGAIN && !(task->parent && has_ended(task))) {
			*err = own;
			return r;
		}
	}
	return 0;
}

/* True when a record of the facts shows nothing that the walk has not found. */
static bool is_known(const struct dump *d, const struct task_facts *facts, size_t *seen)
{
	const struct task *task = tree_has(d, facts->tgid) ? d->tasks[d->task_by_pid[facts->tgid] - 1] : NULL;
	const struct compel_thread *threads;
	size_t *at;

	if (!task)
		return !facts->parent || !tree_has(d, facts->parent);
	if (task->is_zombie || facts->has_ended)
		return true;
	if (!task->compel)
		return false;
	/* Both are ascending but for numbers that began anew. */
	threads = task->compel->threads;
	at = &seen[d->task_by_pid[facts->tgid] - 1];
	if (*at < task->compel->thread_count && threads[*at].tid == facts->tid) {
		(*at)++;
		return true;
	}
	for (size_t i = 0; i < task->compel->thread_count; i++)
		if (threads[i].tid == facts->tid)
			return true;
	return false;
}

static void note_makers(struct dump *d)
{
	for_each_task (d, task) {
		const struct task_facts *facts = task->parent ? task_facts_find(&d->facts, task->host_pid) : NULL;

		if (facts && facts->parent == task->parent->host_pid)
			task->maker_tid = facts->parent_tid;
	}
}

/*
 * One look at all there is in place of a walk. False: something is new, or it cannot be told that way. What was read is
 * kept: the tasks stand still.
 */
static bool is_complete(struct dump *d)
{
	AUTO_FREE size_t *seen = calloc(d->task_count, sizeof(*seen));
	int r = preparation_facts_program(&d->preparation);

	if (!seen || !d->preparation.started)
		return false;
	task_facts_done(&d->facts);
	r = r < 0 ? r : task_facts_read(r, &d->facts);
	if (r < 0)
		log_debug("freeze: the tree is walked once more, facts about it cannot be read: errno %d", -r);
	for (size_t i = 0; i < d->facts.count; i++)
		if (!is_known(d, &d->facts.items[i], seen))
			return false;
	note_makers(d);
	return r == 0;
}

static int confirm_all(struct dump *d, size_t *ret_again, struct error *err)
{
	for_each_task (d, task) {
		struct compel_error compel_err = { 0 };
		/* Whether one that is left waiting still is who it was its child tells. */
		const bool is_waiting = task->vfork_tid && task->vfork_tid == task->compel->threads[0].tid;
		int r = task->is_zombie || !task->compel || is_waiting
			    ? 0
			    : compel_confirm_stopped(task->compel, &compel_err);

		if (r == -EAGAIN)
			(*ret_again)++;
		else if (r < 0)
			return compel_error_pass(err, task, &compel_err, r);
	}
	return 0;
}

/* Reads the stat of a task that stands still. Gone, or handed on to another parent: the walk was there too early. */
static int is_stale(struct task *task, bool *ret, struct error *err)
{
	struct error own = { 0 };
	int r = tree_task_read_stat(task, &own);

	*ret = task->parent && (is_gone(task, r) || (r == 0 && task->stat.ppid != task->parent->host_pid));
	if (r < 0 && !*ret)
		*err = own;
	return *ret ? 0 : r;
}

/*
 * While the first of them stood still already others still ran: they collected children that had been found, or left
 * theirs to somebody else by ending. Those are forgotten with all that hangs on them, and *ret_count says how many:
 * what still belongs to the tree is found by another walk.
 */
static int drop_stale(struct dump *d, size_t *ret_count, struct error *err)
{
	AUTO_FREE bool *stale = calloc(d->task_count, sizeof(*stale));
	const size_t count = d->task_count;
	int r = stale ? 0 : error_set(err, -ENOMEM, "process tree");

	*ret_count = 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		const struct task *parent = d->tasks[i]->parent;

		stale[i] = parent && stale[d->task_by_pid[parent->host_pid] - 1];
		if (!stale[i])
			r = is_stale(d->tasks[i], &stale[i], err);
		if (r == 0 && stale[i] && d->tasks[i]->compel)
			r = tree_task_let_run(d->tasks[i], err);
		*ret_count += stale[i];
	}
	if (r < 0 || *ret_count == 0)
		return r;
	for (size_t i = 0; i < count; i++)
		d->tasks[i]->first_child = d->tasks[i]->last_child = d->tasks[i]->next_sibling = NULL;
	d->task_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct task *task = d->tasks[i];

		if (!stale[i]) {
			tree_append(d, task);
			continue;
		}
		d->task_by_pid[task->host_pid] = 0;
		tree_task_free(task);
	}
	return 0;
}

/* Parents before children, siblings in the order of their making, as one walk from the root meets them. */
static void sort_tree(struct dump *d, struct task **sorted)
{
	struct task *task = d->tasks[0];
	size_t count = 0;

	while (task) {
		sorted[count++] = task;
		if (task->first_child) {
			task = task->first_child;
			continue;
		}
		while (task && !task->next_sibling)
			task = task->parent;
		task = task ? task->next_sibling : NULL;
	}
}

/* Children of a thread that has ended, or executed a program, were handed on to the first one. */
static void update_maker(struct task *task)
{
	const struct compel_task *parent = task->parent ? task->parent->compel : NULL;

	for (size_t i = 0; parent && i < parent->thread_count; i++)
		if (parent->threads[i].tid == task->maker_tid)
			return;
	if (parent)
		task->maker_tid = task->parent->host_pid;
}

static int read_frozen(struct dump *d, struct task *task, struct error *err)
{
	update_maker(task);
	task->thread_count = task->compel->thread_count;
	task->threads = calloc(task->thread_count, sizeof(*task->threads));
	if (!task->threads || tree_task_add_ended_leader(task) < 0)
		return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
	for (size_t i = 0; i < task->thread_count; i++) {
		const struct compel_thread *from = &task->compel->threads[i];
		struct task_thread *to = &task->threads[i];

		to->tid = from->tid;
		to->id.levels = 1;
		to->id.ns_pids[0] = from->tid;
		to->regs = from->regs;
		to->signal_mask = from->signal_mask;
		to->facts = task_facts_find(&d->facts, from->tid);
		if (from->stop_signal)
			task->stop_signal = from->stop_signal;
	}
	return 0;
}

int tree_freeze(struct dump *d, struct error *err)
{
	uint64_t deadline_ns = now_ns() + options_timeout_ns(d->opts);
	size_t fresh = 0, stale = 0, again = 0;
	struct task **sorted;
	bool is_settled;
	int r;

	do {
		r = seize_round(d, &fresh, err);
		if (r == 0)
			r = wait_all(d, deadline_ns, &again, err);
		if (r == 0)
			r = dump_check_interrupted(d, err);
		if (r == 0 && now_ns() > deadline_ns)
			r = error_say(err, -ETIMEDOUT, "the tree makes new tasks faster than they can be stopped");
		is_settled = r == 0 && !again && ((!fresh && d->is_walked) || is_complete(d));
		d->is_walked = true;
		if (is_settled)
			r = confirm_all(d, &again, err);
		if (r == 0 && is_settled)
			r = tree_confirm_vforks(d, &again, err);
		if (r == 0 && is_settled && !again)
			r = drop_stale(d, &stale, err);
	} while (r == 0 && !(is_settled && !again && stale == 0));
	if (r < 0)
		return r;
	sorted = calloc(d->task_count, sizeof(*sorted));
	if (!sorted)
		return error_set(err, -ENOMEM, "process tree");
	sort_tree(d, sorted);
	free(d->tasks);
	d->tasks = sorted;
	for_each_task (d, task) {
		r = task->is_zombie ? 0 : read_frozen(d, task, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- a tree that runs on ----------------------------------------------------------------------------------------- */

static int read_live_threads(struct task *task, pid_t *tids, size_t count)
{
	task->threads = calloc(count + 1, sizeof(*task->threads));
	if (!task->threads)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		task->threads[i].tid = tids[i];
		task->threads[i].id.levels = 1;
		task->threads[i].id.ns_pids[0] = tids[i];
	}
	task->thread_count = count;
	return 0;
}

/* Behind a first thread that has ended: who stands for the process. */
static int skip_ended_leader(struct task *task, pid_t *tids, size_t *count)
{
	struct error ignored = { 0 };

	if (task->stat.state != 'Z' || *count < 2 || tids[0] != task->host_pid)
		return 0;
	memmove(tids, tids + 1, --*count * sizeof(*tids));
	if (tree_task_set_acting(task, tids[0], &ignored) < 0 || tree_task_read_stat(task, &ignored) < 0)
		return -ESRCH;
	return tree_task_add_ended_leader(task);
}

static int walk_task(struct dump *d, struct task *task, struct error *err)
{
	AUTO_FREE pid_t *tids = NULL;
	size_t count = 0, fresh = 0;
	int r;

	if (has_ended(task))
		return 0;
	r = proc_list_threads(task->procfd, &tids, &count);
	if (r == 0 && count == 0)
		r = -ESRCH;
	if (r == 0)
		r = skip_ended_leader(task, tids, &count);
	if (r == 0)
		r = read_live_threads(task, tids, count);
	if (r < 0 && task->parent && (r == -ESRCH || r == -ENOENT)) {
		task->is_zombie = true;
		return 0;
	}
	if (r < 0)
		return error_set(err, r, "pid %d: list its threads", task->host_pid);
	return add_children(d, task, tids, count, &fresh, err);
}

int tree_walk(struct dump *d, struct error *err)
{
	for (size_t i = 0; i < d->task_count; i++) {
		int r = walk_task(d, d->tasks[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

/* A leader that has ended is made again at restore; one that lives elsewhere cannot be. 0: in another pid namespace. */
static bool leads_out(const struct dump *d, pid_t leader)
{
	return leader == 0 || (!tree_has(d, leader) && (kill(leader, 0) == 0 || errno == EPERM));
}

int tree_check_sessions(struct dump *d, struct error *err)
{
	if (d->opts->shell_job)
		return 0;
	for_each_task (d, task) {
		bool session = leads_out(d, task->stat.sid);

		if (!session && !leads_out(d, task->stat.pgid))
			continue;
		error_hint(err,
			   "--shell-job takes session and terminal from the caller at restore; setsid starts a program "
			   "in a session of its own");
		return error_say(err, -EINVAL, TASK_FORMAT ": its %s, pid %d, is outside of the tree", TASK_ARGS(task),
				 session ? "session leader" : "process group leader",
				 session ? task->stat.sid : task->stat.pgid);
	}
	return 0;
}
