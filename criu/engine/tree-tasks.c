/*
 * Tasks of a dump: each is held by pidfd and by its directory in /proc, and is found by its pid.
 */
#include "engine/tree-tasks.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/compel-error.h"
#include "engine/tree.h"
#include "kernel/pidfd.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"

#define PID_INDEX_BYTES ((size_t)TREE_PID_LIMIT * sizeof(uint32_t))

void tree_task_free(struct task *task)
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

static int tree_task_open(struct task *task, struct error *err)
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

int tree_task_set_acting(struct task *task, pid_t tid, struct error *err)
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

void tree_task_name(struct task *task)
{
	if (!task->comm[0] && proc_read_comm(task->procfd, "comm", task->comm) < 0)
		(void)strcpy(task->comm, "?");
}

int tree_task_let_run(struct task *task, struct error *err)
{
	struct compel_error compel_err = { 0 };
	int r = compel_detach(task->compel, &compel_err);

	if (r < 0 && r != -ESRCH) {
		tree_task_name(task);
		return compel_error_pass(err, task, &compel_err, r);
	}
	compel_task_free(task->compel);
	task->compel = NULL;
	return 0;
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

int tree_task_read_stat(struct task *task, struct error *err)
{
	int r = proc_stat_read(task->procfd, "stat", &task->stat);

	if (r == 0 && task->acting_tid != task->host_pid)
		r = read_stat_of_leader(task);
	if (r < 0)
		return error_set(err, r, "pid %d: read its stat", task->host_pid);
	(void)strcpy(task->comm, task->stat.comm);
	return 0;
}

void tree_append(struct dump *d, struct task *task)
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

int tree_add(struct dump *d, pid_t pid, struct task *parent, pid_t maker_tid, struct error *err)
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
	r = tree_task_open(task, &own);
	if (r == 0)
		r = tree_insert(d, task);
	if (r == 0)
		return 0;
	tree_task_free(task);
	if (r == -ESRCH || r == -ENOENT)
		return -ESRCH;
	if (r == -EMFILE) {
		error_hint(err, "raise the limit of open files (ulimit -n): each process needs several");
		return error_say(err, r,
				 "pid %d: no descriptors are left for it, after %zu other processes (RLIMIT_NOFILE)",
				 pid, d->task_count);
	}
	return own.code ? error_say(err, r, "%s", own.text) : error_set(err, r, "pid %d", pid);
}

bool tree_has(const struct dump *d, pid_t pid)
{
	return d->task_by_pid[pid] != 0;
}

int tree_task_add_ended_leader(struct task *task)
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

void tree_free(struct dump *d)
{
	for (size_t i = 0; i < d->task_count; i++)
		tree_task_free(d->tasks[i]);
	free(d->tasks);
	task_facts_done(&d->facts);
	process_facts_done(&d->process_facts);
	process_facts_done(&d->vfork_facts);
	if (d->task_by_pid)
		(void)munmap(d->task_by_pid, PID_INDEX_BYTES);
	d->tasks = NULL;
	d->task_count = 0;
}
