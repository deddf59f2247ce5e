/*
 * The restore engine. The stages are the table at the end; each works on the struct restore_run and says what went
 * wrong in one sentence. Up to the commit point a failure, a signal, or the death of this process kills the new tree;
 * from there on the rest is carried to its end, by the rescuer if need be.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/actions.h"
#include "engine/engine.h"
#include "engine/pidfile.h"
#include "engine/restore-check.h"
#include "engine/restore-fork.h"
#include "engine/restore-heap.h"
#include "engine/restore-plan.h"
#include "engine/restore-rescue.h"
#include "engine/restore-resume.h"
#include "engine/restore-sync.h"
#include "engine/restore-vfork.h"
#include "engine/restore.h"
#include "engine/service-fds.h"
#include "engine/stats.h"
#include "engine/tree-plan.h"
#include "engine/undo.h"
#include "files/file-kind.h"
#include "files/files.h"
#include "files/mount-list.h"
#include "kernel/proc-misc.h"
#include "mm/restore-area.h"
#include "mm/restore-fill.h"
#include "mm/restore-memory.h"
#include "mm/restore-shmem.h"
#include "mm/vdso.h"
#include "ns/time-ns.h"
#include "security/keyring.h"
#include "security/restore-keyring.h"
#include "security/session-keyring.h"
#include "task/other-readers.h"
#include "task/restore-creds.h"
#include "task/restore-limits.h"
#include "task/restore-loginuid.h"

#define MANY_TASKS   16 /* that inherit the worker's memory */
#define MANY_THREADS 8  /* that it pays to let go at once */

struct restore_run {
	struct restore r;
	struct image_set set;
	struct own_creds own_creds;
	struct own_limits own_limits;
	struct rlimit saved_nofile;
	bool nofile_raised;
	bool committed;
	uint64_t forked_us;
};

/* --- open -------------------------------------------------------------------------------------------------------- */

static int read_own_state(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	int result = own_creds_read(&run->own_creds);

	if (result == 0)
		result = own_limits_read(&run->own_limits);
	if (result == 0)
		result = vdso_read_own(&r->vdso);
	if (result < 0)
		return error_set(err, result, "look at the restorer's own state");
	r->own_creds = &run->own_creds;
	r->own_limits = &run->own_limits;
	r->caller_sid = getsid(0);
	r->caller_pgid = getpgrp();
	r->caller_leads_session = r->caller_sid == getpid();
	return 0;
}

static int open_set(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	int result;

	result = action_scripts_run(r->opts, "pre-restore", 0);
	if (result != 0)
		return action_scripts_failed("pre-restore", result, err);
	run->set.path = proc_own_fd_name(r->opts->images_dir_fd);
	result = image_set_open(&run->set, r->opts->images_dir_fd, NULL, err);
	if (result == 0)
		result = image_check(r->set, &r->images, err);
	if (result == 0)
		result = read_own_state(run, err);
	if (result == 0)
		result = restore_collect_tasks(r, err);
	return result;
}

static int check_plugins(const PluginsEntry *plugins, struct error *err)
{
	for (size_t i = 0; plugins && i < plugins->n_plugins; i++)
		if (!other_readers_is_need(plugins->plugins[i]))
			return error_say(err, -EOPNOTSUPP,
					 "the set was made with the plugin %s: plugins are not supported yet",
					 plugins->plugins[i]);
	return 0;
}

/* What the dump was allowed, or used, has to be there again. */
static int check_inventory(const struct restore *r, struct error *err)
{
	const InventoryEntry *inventory = r->images->inventory;

	if (inventory->has_tcp_close && inventory->tcp_close && !r->opts->tcp_close)
		return error_say(err, -EINVAL, "the set was dumped with --tcp-close, the restore needs it too");
	if (inventory->has_allow_uprobes && inventory->allow_uprobes && !r->opts->allow_uprobes)
		return error_say(
		    err, -EINVAL,
		    "the tree was traced by uprobes when it was dumped, the restore needs --allow-uprobes");
	return check_plugins(inventory->plugins_entry, err);
}

static int check_set(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	int result = check_inventory(r, err);

	if (result == 0)
		result = restore_check(r, err);
	return result < 0 ? result : time_ns_check(r, err);
}

static bool pid_in_use(pid_t pid)
{
	return restore_pid_is_taken(pid);
}

/* Tables are shared from creator to created; the first user in the list owns it. */
static int find_table_owners(struct restore *r, struct error *err)
{
	for (size_t i = 1; i < r->task_count; i++) {
		struct restore_task *task = r->tasks[i], *first = NULL;

		if (!task->image || task->is_zombie)
			continue;
		for (size_t k = 0; !first && k < i; k++)
			if (r->tasks[k]->image && !r->tasks[k]->is_zombie &&
			    r->tasks[k]->image->fds == task->image->fds && task->image->fds)
				first = r->tasks[k];
		if (!first)
			continue;
		if (task->vfork_parent || (task->creator != first && task->creator->files_owner != first))
			return error_say(err, -EOPNOTSUPP,
					 "pid %d shares its descriptor table with pid %d, which is not "
					 "the one that creates it",
					 task->pid, first->pid);
		task->files_owner = first;
	}
	return 0;
}

static int plan_tree(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	int result = tree_plan_make(r, pid_in_use, err);

	if (result == 0)
		result = find_table_owners(r, err);
	if (result == 0)
		result = restore_loginuid_plan(r, err);
	if (result == 0)
		result = restore_keyrings_plan(r, session_keyring_own(), err);
	if (result == 0)
		tree_plan_log(r);
	return result < 0 ? result : restore_vfork_check(r, err);
}

/* --- plan -------------------------------------------------------------------------------------------------------- */

static bool raise_to(struct restore_run *run, rlim_t wanted)
{
	const struct rlimit raised = { .rlim_cur = wanted, .rlim_max = wanted };

	if (run->saved_nofile.rlim_cur >= wanted)
		return true;
	if (setrlimit(RLIMIT_NOFILE, &raised) < 0)
		return false;
	run->nofile_raised = true;
	run->own_limits.limits[RLIMIT_NOFILE] = raised;
	return true;
}

/* Restored descriptors and ours must fit below the limit together. */
static int raise_descriptor_limit(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_set(err, -errno, "read RLIMIT_NOFILE");
	run->saved_nofile = limit;
	/* Above the hard limit only with CAP_SYS_RESOURCE; deleted files may be held besides. */
	if (!raise_to(run, max_u64(limit.rlim_max, service_fds_wish(r) + files_count_deleted(r->images))) &&
	    !raise_to(run, max_u64(limit.rlim_max, service_fds_wish(r))))
		(void)raise_to(run, limit.rlim_max);
	if (run->nofile_raised)
		limit = run->own_limits.limits[RLIMIT_NOFILE];
	return service_fds_place(r, limit.rlim_cur, err);
}

static int move_up(const struct restore *r, int *fd, struct error *err)
{
	int moved = service_fds_copy(r, *fd);

	if (moved < 0)
		return error_set(err, moved, "move a descriptor out of the way");
	(void)close(*fd);
	*fd = moved;
	return 0;
}

static int move_service_descriptors(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	int result = 0;

	for (struct image_set *set = r->set; result == 0 && set; set = set->parent)
		result = service_fds_has(r, set->dirfd) ? 0 : move_up(r, &set->dirfd, err);
	if (result < 0)
		return result;
	r->log_fd = service_fds_copy(r, log_get_fd());
	/* Without a log there is nothing to keep. */
	if (r->log_fd < 0 && r->log_fd != -EBADF)
		return error_set(err, r->log_fd, "move the log out of the way");
	if (!r->opts->log_pid)
		return 0;
	r->log_dirfd = service_fds_copy(r, r->opts->work_dir_fd);
	return r->log_dirfd < 0 ? error_set(err, r->log_dirfd, "move the work directory out of the way") : 0;
}

static int check_files(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	int result = raise_descriptor_limit(run, err);

	if (result == 0)
		result = move_service_descriptors(run, err);
	if (result == 0)
		result = files_check(r, err);
	for (size_t i = 0; result == 0 && i < r->task_count; i++)
		if (r->tasks[i]->vfork_parent)
			result = files_check_lent(r, r->tasks[i], err);
	if (result < 0)
		return result;
	r->files_need_all = files_need_all_tasks(r);
	for (size_t i = 0; i < r->file_count; i++)
		if (r->files[i]->is_shared && r->files[i]->owner)
			r->files[i]->owner->owns_shared_files = true;
	/* Whatever is made once for all is made by the root. */
	r->tasks[0]->owns_shared_files = true;
	return 0;
}

static int plan_tasks(struct restore_run *run, struct error *err)
{
	return restore_plan_tasks(&run->r, err);
}

/* --- build ------------------------------------------------------------------------------------------------------- */

static int start_rescuer(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	AUTO_FREE pid_t *pids = NULL;
	size_t count;
	int result = undo_new(r->set->dirfd, 1, 1, &r->undo, err);

	if (result < 0)
		return result;
	undo_set_callbacks(r->undo, restore_roll_back, restore_carry_on, r->shared);
	result = restore_list_pids(r, &pids, &count);
	if (result < 0)
		return error_set(err, result, "list of pids");
	undo_keep_free(r->undo, pids, count);
	return undo_start(r->undo, err);
}

static int make_room_for_pids(struct restore_run *run, struct error *err)
{
	return restore_make_room_for_pids(&run->r, err);
}

static int make_shared_memory(struct restore_run *run, struct error *err)
{
	return shmem_restore_prepare(&run->r, err);
}

static int fork_tree(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	uint64_t start_us = now_us();
	AUTO_CLOSE int time_ns = -1;
	int result;

	if (r->shared->words.forking >= MANY_TASKS)
		restore_make_heap_cheap();
	result = time_ns_enter(r, &time_ns, err);
	if (result == 0)
		result = restore_fork_root(r, err);
	time_ns_leave(&time_ns);
	if (result == 0)
		result = restore_wait_for(r, &r->shared->words.forking, err);
	run->forked_us = now_us() - start_us;
	return result;
}

static bool is_filtered(const struct restorer_task *task)
{
	return task->threads[task->acting].is_filtered;
}

static int install_filters(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	int result;

	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->restorer && is_filtered(r->tasks[i]->restorer))
			goto needed;
	return 0;
needed:
	result = restore_wait_for(r, &r->shared->words.filtering, err);
	return result < 0 ? result : restore_trace_filtered(r, err);
}

static int make_vforked(struct restore_run *run, struct error *err)
{
	return restore_vfork_all(&run->r, err);
}

static int wait_until_ready(struct restore_run *run, struct error *err)
{
	int result = restore_wait_for(&run->r, &run->r.shared->words.preparing, err);

	if (result == 0)
		result = restore_wait_for_ended_leaders(&run->r, err);
	if (result == 0)
		files_remove_own_links(&run->r);
	return result;
}

static int set_from_outside(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	int result = shmem_restore_seal(r, err);

	if (result == 0)
		result = files_own_by_threads(r, err);
	for (size_t i = 0; result == 0 && i < r->task_count; i++)
		if (r->tasks[i]->restorer)
			result = restore_limits_apply(r->own_limits, r->tasks[i], err);
	return result < 0 ? result : files_settle(r, err);
}

static int run_post_restore(struct restore_run *run, struct error *err)
{
	const struct restore *r = &run->r;

	int result = action_scripts_run(r->opts, "post-restore", r->tasks[0]->pid);

	return result == 0 ? 0 : action_scripts_failed("post-restore", result, err);
}

/* --- resume ------------------------------------------------------------------------------------------------------ */

static int take_over(struct restore_run *run, struct error *err)
{
	return restore_take_over(&run->r, err);
}

static int write_pidfile(struct restore_run *run, struct error *err)
{
	return pidfile_write(run->r.opts, run->r.tasks[0]->pid, run->r.undo, err);
}

static int commit(struct restore_run *run, struct error *err)
{
	if (undo_interrupted(run->r.undo))
		return error_say(err, -EINTR, "interrupted by a signal");
	undo_set_phase(run->r.undo, UNDO_COMMITTED);
	run->committed = true;
	return 0;
}

static int hand_over(struct restore_run *run, struct error *err)
{
	const struct options *opts = run->r.opts;
	const pid_t pid = run->r.tasks[0]->pid;
	struct error ignored = { 0 };
	int result;

	(void)err;
	(void)action_scripts_run(opts, "pre-resume", pid);
	/* There is no way back: what did not work is in the log, the tree runs. */
	result = restore_hand_over(&run->r, &ignored);
	undo_set_phase(run->r.undo, UNDO_DONE);
	if (result < 0)
		log_error("%s\n", ignored.text);
	return 0;
}

static int report(struct restore_run *run, struct error *err)
{
	struct restore *r = &run->r;
	RestoreStatsEntry stats = RESTORE_STATS_ENTRY__INIT;
	struct error ignored = { 0 };

	(void)err;
	files_remove_links(r);
	mount_lists_tell(r);
	if (r->opts->auto_dedup)
		restore_punch_pages(r);
	stats.forking_time = (uint32_t)run->forked_us;
	stats.restore_time = (uint32_t)(now_us() - r->start_us);
	stats.has_pages_restored = 1;
	stats.pages_restored = r->pages_restored;
	if (stats_write_restore(r->opts, &stats, &ignored) < 0)
		log_warn("%s\n", ignored.text);
	(void)action_scripts_run(r->opts, "post-resume", r->tasks[0]->pid);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct restore_run *run, struct error *err);
	bool may_trace;
} stages[] = {
	{ "open: read the set", open_set },
	{ "open: check it", check_set },
	{ "open: plan the tree", plan_tree },
	{ "open: check files", check_files },
	{ "plan: memory and state of each task", plan_tasks },
	{ "fork: rescuer", start_rescuer },
	{ "fork: room for pids", make_room_for_pids },
	{ "memory: shared objects", make_shared_memory },
	{ "fork: the tree", fork_tree },
	{ "switch: seccomp filters", install_filters, .may_trace = true },
	{ "switch: children of vforks", make_vforked, .may_trace = true },
	{ "switch: wait until all are ready", wait_until_ready, .may_trace = true },
	{ "switch: limits, seals and owners of files", set_from_outside, .may_trace = true },
	{ "switch: post-restore hook", run_post_restore, .may_trace = true },
	{ "resume: take over", take_over, .may_trace = true },
	{ "resume: pidfile", write_pidfile, .may_trace = true },
	{ "resume: commit", commit, .may_trace = true },
	{ "resume: hand over", hand_over, .may_trace = true },
	{ "resume: report", report },
};

static int run_some_stages(struct restore_run *run, size_t first, size_t end, struct error *err)
{
	for (size_t i = first; i < end; i++) {
		int result;

		log_debug("restore: %s\n", stages[i].name);
		result = stages[i].run(run, err);
		if (result < 0) {
			log_debug("restore: %s: failed: %s\n", stages[i].name, strerror(-result));
			return result;
		}
	}
	return 0;
}

/*
 * The threads of the new tree are traced by one of ours that ends behind these stages: the end of a tracer lets all go
 * that it traces, at once, however many there are.
 */
struct tracing {
	struct restore_run *run;
	size_t first, end;
	struct error *err;
	pid_t tid;
	int result;
};

static void *trace_threads(void *arg)
{
	struct tracing *tracing = arg;

	tracing->tid = gettid();
	tracing->result = run_some_stages(tracing->run, tracing->first, tracing->end, tracing->err);
	return NULL;
}

/* A thread can be joined a moment before it lets go; its number is free when it has. */
static void wait_until_gone(pid_t tid)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 };

	while (tgkill(getpid(), tid, 0) == 0)
		(void)nanosleep(&pause, NULL);
}

/* Signals that ask to stop are taken by the thread that has something to stop. */
static int run_in_thread(struct restore_run *run, size_t first, size_t end, struct error *err)
{
	struct tracing tracing = { .run = run, .first = first, .end = end, .err = err };
	sigset_t all, saved;
	pthread_t thread;

	run->r.shared->words.tracer_ends = 1;
	if (pthread_create(&thread, NULL, trace_threads, &tracing) != 0) {
		run->r.shared->words.tracer_ends = 0;
		return run_some_stages(run, first, end, err);
	}
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &saved);
	(void)pthread_join(thread, NULL);
	wait_until_gone(tracing.tid);
	(void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return tracing.result;
}

static size_t count_threads(const struct restore *r)
{
	size_t count = 0;

	for (size_t i = 0; i < r->images->task_count; i++)
		count += r->images->tasks[i].thread_count;
	return count;
}

static int run_stages(struct restore_run *run, struct error *err)
{
	size_t first = 0, end;
	int result;

	while (!stages[first].may_trace)
		first++;
	for (end = first; stages[end].may_trace; end++)
		;
	result = run_some_stages(run, 0, first, err);
	if (result == 0 && count_threads(&run->r) >= MANY_THREADS)
		result = run_in_thread(run, first, end, err);
	else if (result == 0)
		result = run_some_stages(run, first, end, err);
	return result < 0 ? result : run_some_stages(run, end, ARRAY_SIZE(stages), err);
}

static void take_back(struct restore_run *run)
{
	struct restore *r = &run->r;

	if (run->committed)
		return;
	if (r->undo)
		(void)undo_rollback(r->undo);
}

static void release(struct restore_run *run)
{
	struct restore *r = &run->r;

	undo_dismiss(r->undo);
	for (size_t i = 0; i < r->task_count; i++) {
		restore_memory_free(r->tasks[i]);
		restore_vfork_free(r->tasks[i]);
	}
	shmem_restore_done(r);
	files_restore_free(r);
	restore_area_unmap(r);
	restore_keyrings_free(r);
	tree_plan_free(r);
	checked_set_free(r->images);
	image_set_done(&run->set);
	own_creds_done(&run->own_creds);
	own_limits_done(&run->own_limits);
	undo_finish(r->undo);
	close_fd(&r->log_fd);
	close_fd(&r->log_dirfd);
	if (run->nofile_raised)
		(void)setrlimit(RLIMIT_NOFILE, &run->saved_nofile);
}

int restore_run(const struct options *opts, pid_t *ret_root_pid, struct error *err)
{
	struct restore_run run = {
		.r = { .opts = opts, .start_us = now_us(), .log_fd = -1, .log_dirfd = -1 },
		.set = IMAGE_SET_INIT,
	};
	int result;

	run.r.set = &run.set;
	result = run_stages(&run, err);
	if (result == 0)
		*ret_root_pid = run.r.tasks[0]->pid;
	else
		take_back(&run);
	release(&run);
	return result;
}
