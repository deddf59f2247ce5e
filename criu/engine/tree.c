/*
 * Finding and freezing a tree. Every task is seized and interrupted as soon as it is seen, its children are read from
 * /proc and seized in turn; when all stand still the walk is repeated until it finds no new thread and no new child,
 * for only a task that still ran could have made one. A thread in a vfork stops when its child has executed another
 * program: that child runs until then.
 */
#include "engine/tree.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/compel-error.h"
#include "engine/undo.h"
#include "files/files.h"
#include "kernel/pidfd.h"
#include "kernel/proc-list.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "mm/map-flags.h"
#include "task/ended-call.h"

#define PID_LIMIT        (1 << 22) /* the kernel's PID_MAX_LIMIT on 64-bit */
#define PID_INDEX_BYTES  ((size_t)PID_LIMIT * sizeof(uint32_t))
#define MANY_THREADS     16             /* fewer are walked faster than a look at all there is takes */
#define VFORK_SEEN_NS    20000000ull    /* how long a task may take to stop before it is asked what it waits for */
#define VFORK_NS         500000000ull   /* how long the child of a vfork may sleep before its exec */
#define VFORK_IDLE_LOOKS 2              /* so often: one that could not run before may have gone to sleep just now */
#define SETTLE_NS        10000000000ull /* without --timeout: how long all tasks may take to stop */

/* --- tasks ------------------------------------------------------------------------------------------------------- */

static void task_free(struct task *task)
{
	if (!task)
		return;
	if (task->acting_pidfd != task->pidfd)
		close_fd(&task->acting_pidfd);
	close_fd(&task->pidfd);
	close_fd(&task->procfd);
	compel_task_free(task->compel);
	free(task->threads);
	free(task->ended_leader);
	free(task->parasite);
	free(task);
}

static int task_open(struct task *task, struct error *err)
{
	task->procfd = proc_open(task->host_pid);
	if (task->procfd < 0)
		return error_set(err, task->procfd, "pid %d", task->host_pid);
	task->pidfd = pidfd_open_pid(task->host_pid);
	if (task->pidfd < 0)
		return error_set(err, task->pidfd, "pid %d", task->host_pid);
	task->acting_tid = task->host_pid;
	task->acting_pidfd = task->pidfd;
	task->id.levels = 1;
	task->id.ns_pids[0] = task->host_pid;
	return 0;
}

/* Another thread than the one so far stands for the process. */
static int task_set_acting(struct task *task, pid_t tid, struct error *err)
{
	AUTO_CLOSE int procfd = -1, pidfd = -1;

	if (tid == task->acting_tid)
		return 0;
	procfd = proc_open(tid);
	if (procfd < 0)
		return error_set(err, procfd, TASK_FORMAT ", thread %d", TASK_ARGS(task), tid);
	pidfd = pidfd_open_tid(tid);
	if (pidfd == -EINVAL)
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ": its first thread has ended while others live on: that takes pidfds of "
					     "threads, which this kernel does not have (Linux 6.9 has them)",
				 TASK_ARGS(task));
	if (pidfd < 0)
		return error_set(err, pidfd, TASK_FORMAT ", thread %d", TASK_ARGS(task), tid);
	if (task->acting_pidfd != task->pidfd)
		close_fd(&task->acting_pidfd);
	close_fd(&task->procfd);
	task->acting_tid = tid;
	task->procfd = take_fd(&procfd);
	task->acting_pidfd = take_fd(&pidfd);
	return 0;
}

/* For sentences about a task that has not been looked at yet. */
static void name_task(struct task *task)
{
	if (!task->comm[0] && proc_read_comm(task->procfd, "comm", task->comm) < 0)
		(void)strcpy(task->comm, "?");
}

/* What only the first thread has, dead or alive. */
static int read_stat_of_leader(struct task *task)
{
	struct proc_stat leader;
	char path[48];
	int r;

	(void)snprintf(path, sizeof(path), "task/%d/stat", task->host_pid);
	r = proc_stat_read(task->procfd, path, &leader);
	if (r < 0)
		return r;
	task->stat.pid = leader.pid;
	task->stat.start_time_ticks = leader.start_time_ticks;
	task->stat.flags = leader.flags;
	task->stat.exit_signal = leader.exit_signal;
	(void)strcpy(task->stat.comm, leader.comm);
	return 0;
}

static int task_read_stat(struct task *task, struct error *err)
{
	int r = proc_stat_read(task->procfd, "stat", &task->stat);

	if (r == 0 && task->acting_tid != task->host_pid)
		r = read_stat_of_leader(task);
	if (r < 0)
		return error_set(err, r, "pid %d: read its stat", task->host_pid);
	(void)strcpy(task->comm, task->stat.comm);
	return 0;
}

/* There is room. */
static void tree_append(struct dump *d, struct task *task)
{
	struct task *parent = task->parent;

	d->tasks[d->task_count++] = task;
	d->task_by_pid[task->host_pid] = (uint32_t)d->task_count;
	if (!parent)
		return;
	if (parent->last_child)
		parent->last_child->next_sibling = task;
	else
		parent->first_child = task;
	parent->last_child = task;
}

static int tree_insert(struct dump *d, struct task *task)
{
	int r = array_reserve(&d->tasks, &d->task_capacity, d->task_count, sizeof(struct task *));

	if (r < 0)
		return r;
	if (!d->task_by_pid) {
		void *index = mmap(NULL, PID_INDEX_BYTES, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (index == MAP_FAILED)
			return -ENOMEM;
		d->task_by_pid = index;
	}
	tree_append(d, task);
	return 0;
}

/* -ESRCH without a sentence when the process is gone. */
static int tree_add(struct dump *d, pid_t pid, struct task *parent, pid_t maker_tid, struct error *err)
{
	struct task *task = calloc(1, sizeof(*task));
	struct error own = { 0 };
	int r;

	if (!task)
		return error_set(err, -ENOMEM, "pid %d", pid);
	task->host_pid = pid;
	task->parent = parent;
	task->maker_tid = maker_tid;
	task->pidfd = task->acting_pidfd = task->procfd = -1;
	r = task_open(task, &own);
	if (r == 0)
		r = tree_insert(d, task);
	if (r == 0)
		return 0;
	task_free(task);
	if (r == -ESRCH || r == -ENOENT)
		return -ESRCH;
	return own.code ? error_say(err, r, "%s", own.text) : error_set(err, r, "pid %d", pid);
}

static bool tree_has(const struct dump *d, pid_t pid)
{
	return d->task_by_pid[pid] != 0;
}

/* --- collect ----------------------------------------------------------------------------------------------------- */

static int check_not_ancestor(const struct task *root, struct error *err)
{
	pid_t pid = getpid();
	struct proc_stat stat;

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

static int check_root(struct task *root, size_t *ret_table_size, struct error *err)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	int r = task_read_stat(root, err);

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
	return check_not_ancestor(root, err);
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
	int r = d->opts->pid < PID_LIMIT ? tree_add(d, d->opts->pid, NULL, 0, &own) : -ESRCH;
	size_t table_size = 0;

	if (r < 0)
		return explain_no_process(d->opts->pid, r, &own, err);
	r = check_root(d->tasks[0], &table_size, err);
	if (r == 0)
		files_prepare(d, table_size);
	return r;
}

/* --- freeze ------------------------------------------------------------------------------------------------------ */

/* Who traces it, what we lack: EPERM alone helps nobody. */
static int explain_eperm(const struct task *task, const struct compel_error *compel_err, struct error *err)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	AUTO_CLOSE int tracer = -1;
	char comm[64] = "?";

	if (proc_status_read(task->procfd, "status", &status) == 0 && status.tracer_pid) {
		tracer = proc_open(status.tracer_pid);
		if (tracer >= 0)
			(void)proc_read_comm(tracer, "comm", comm);
		error_hint(err, "detach the tracer first");
		return error_say(err, -EPERM, TASK_FORMAT ": is traced by pid %d (%s) already", TASK_ARGS(task),
				 status.tracer_pid, comm);
	}
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
	name_task(task);
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
	int r = task_read_stat(task, &ignored);

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

	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": list its children", TASK_ARGS(task));
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

/* clone3(2) is told where its flags stand. */
static bool is_vfork(pid_t tid, long number, unsigned long argument)
{
	uint64_t flags = argument;
	struct iovec local = { &flags, sizeof(flags) }, remote = { (void *)argument, sizeof(flags) };

	if (number == SYS_clone3 && process_vm_readv(tid, &local, 1, &remote, 1, 0) != (ssize_t)sizeof(flags))
		return false;
	return number == SYS_vfork || ((number == SYS_clone || number == SYS_clone3) && flags & CLONE_VFORK);
}

static bool waits_for_vfork(const struct task *task, pid_t tid)
{
	char path[48], text[160];
	long number = -1;
	unsigned long argument = 0;

	(void)snprintf(path, sizeof(path), "task/%d/syscall", tid);
	return proc_read_text(task->procfd, path, text, sizeof(text)) > 0 &&
	       sscanf(text, "%ld %lx", &number, &argument) == 2 && is_vfork(tid, number, argument);
}

/* A task that runs on for a while: the next walk seizes it anew. */
static int let_run(struct task *task, struct error *err)
{
	struct compel_error compel_err = { 0 };
	int r = compel_detach(task->compel, &compel_err);

	if (r < 0 && r != -ESRCH) {
		name_task(task);
		return compel_error_pass(err, task, &compel_err, r);
	}
	compel_task_free(task->compel);
	task->compel = NULL;
	return 0;
}

/* One that sleeps may do so for ever. */
static bool is_some_child_busy(const struct task *task)
{
	struct proc_stat stat;

	for (const struct task *child = task->first_child; child; child = child->next_sibling)
		if (!child->compel && proc_stat_read(child->procfd, "stat", &stat) == 0 && strchr("RD", stat.state))
			return true;
	return false;
}

/* Its vfork is over, and it waits for a processor. */
static bool is_ready(const struct task *task, pid_t tid)
{
	struct proc_stat stat;
	char path[48];

	(void)snprintf(path, sizeof(path), "task/%d/stat", tid);
	return proc_stat_read(task->procfd, path, &stat) == 0 && stat.state == 'R';
}

static int wait_for_vfork(struct task *task, pid_t tid, uint64_t deadline_ns, struct error *err)
{
	struct compel_error compel_err;
	uint64_t until_ns;
	int r, idle = 0;

	do {
		until_ns = min_u64(deadline_ns, now_ns() + VFORK_NS);
		compel_err = (struct compel_error){ 0 };
		r = compel_wait_stopped(task->compel, until_ns, &compel_err);
		idle = is_some_child_busy(task) || is_ready(task, tid) ? 0 : idle + 1;
	} while (r == -ETIMEDOUT && until_ns < deadline_ns && idle < VFORK_IDLE_LOOKS);
	if (r < 0 && r != -ETIMEDOUT)
		return compel_error_pass(err, task, &compel_err, r);
	if (r == 0)
		return task_set_acting(task, task->compel->threads[0].tid, err);
	name_task(task);
	error_hint(err, "try again: a vfork mostly ends with the next exec");
	return error_say(err, -ENOTSUP, TASK_FORMAT ", thread %d: waits for the end of its vfork", TASK_ARGS(task),
			 tid);
}

static int let_vforked_run(struct task *task, pid_t *ret_tid, uint64_t deadline_ns, struct error *err);

/* One that has been made by a vfork, and may wait in one itself: such a one can be let go only when that is over. */
static int let_child_run(struct task *child, uint64_t deadline_ns, struct error *err)
{
	pid_t tid = 0;
	int r = let_vforked_run(child, &tid, deadline_ns, err);

	if (r == 0 && tid && child->compel)
		r = wait_for_vfork(child, tid, deadline_ns, err);
	if (r == 0 || r == -EAGAIN)
		r = child->compel ? let_run(child, err) : 0;
	return r;
}

static bool is_in_vfork(const struct task *task, pid_t tid)
{
	const struct compel_task *compel = task->compel;

	if (!compel)
		return true;
	for (size_t i = 0; i < compel->thread_count; i++)
		if (compel->threads[i].tid == tid)
			return !compel->threads[i].stopped && waits_for_vfork(task, tid);
	return false;
}

/*
 * The children of its threads that stand in a vfork, of which *ret_tid is one, 0 if there is none: they would stand
 * still like all others, and the threads wait for ever.
 */
static int let_vforked_run(struct task *task, pid_t *ret_tid, uint64_t deadline_ns, struct error *err)
{
	int r = 0;

	*ret_tid = 0;
	for (size_t i = 0; task->compel && i < task->compel->thread_count && !*ret_tid; i++)
		if (is_in_vfork(task, task->compel->threads[i].tid))
			*ret_tid = task->compel->threads[i].tid;
	if (task->compel && !*ret_tid)
		return 0;
	for (struct task *child = task->first_child; child && r == 0; child = child->next_sibling)
		if (!child->is_zombie && is_in_vfork(task, child->maker_tid))
			r = let_child_run(child, deadline_ns, err);
	return r;
}

static int wait_for_task(struct task *task, uint64_t deadline_ns, struct error *err)
{
	struct compel_error compel_err = { 0 };
	int r = compel_wait_stopped(task->compel, min_u64(deadline_ns, now_ns() + VFORK_SEEN_NS), &compel_err);
	pid_t tid = 0;

	if (r == -ETIMEDOUT && let_vforked_run(task, &tid, deadline_ns, err) < 0)
		return err->code;
	if (tid)
		return wait_for_vfork(task, tid, deadline_ns, err);
	if (r == -ETIMEDOUT) {
		compel_err = (struct compel_error){ 0 };
		r = compel_wait_stopped(task->compel, deadline_ns, &compel_err);
	}
	if (r == -ETIMEDOUT)
		error_hint(err,
			   "--timeout SECONDS allows more time; a task in uninterruptible sleep cannot be stopped");
	if (r < 0)
		name_task(task);
	return r < 0 ? compel_error_pass(err, task, &compel_err, r)
		     : task_set_acting(task, task->compel->threads[0].tid, err);
}

/* *ret_again counts those that have to be seized anew. */
static int wait_all(struct dump *d, uint64_t deadline_ns, size_t *ret_again, struct error *err)
{
	*ret_again = 0;
	for_each_task (d, task) {
		struct error own = { 0 };
		int r = task->is_zombie || !task->compel ? 0 : wait_for_task(task, deadline_ns, &own);

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
		int r = task->is_zombie || !task->compel ? 0 : compel_confirm_stopped(task->compel, &compel_err);

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
	int r = task_read_stat(task, &own);

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
			r = let_run(d->tasks[i], err);
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
		task_free(task);
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

/* Of the first thread, when it has ended. */
static int add_ended_leader(struct task *task)
{
	if (task->acting_tid == task->host_pid)
		return 0;
	task->ended_leader = calloc(1, sizeof(*task->ended_leader));
	if (!task->ended_leader)
		return -ENOMEM;
	task->ended_leader->tid = task->host_pid;
	task->ended_leader->id = task->id;
	return 0;
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
	if (!task->threads || add_ended_leader(task) < 0)
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
	uint64_t limit_ns = d->opts->timeout_sec ? d->opts->timeout_sec * 1000000000ull : SETTLE_NS;
	uint64_t deadline_ns = now_ns() + limit_ns;
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
	if (task_set_acting(task, tids[0], &ignored) < 0 || task_read_stat(task, &ignored) < 0)
		return -ESRCH;
	return add_ended_leader(task);
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

/* --- the end ------------------------------------------------------------------------------------------------------ */

void tree_free(struct dump *d)
{
	for (size_t i = 0; i < d->task_count; i++)
		task_free(d->tasks[i]);
	free(d->tasks);
	task_facts_done(&d->facts);
	process_facts_done(&d->process_facts);
	if (d->task_by_pid)
		(void)munmap(d->task_by_pid, PID_INDEX_BYTES);
	d->tasks = NULL;
	d->task_count = 0;
}
