/*
 * The dump engine: the stages of engine/dump.h in their order, and what happens when one of them fails. Until the
 * inventory is in place any failure gives the tree back as it was and removes what was written.
 */
#include "engine/dump.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "engine/actions.h"
#include "engine/cpuinfo.h"
#include "engine/engine.h"
#include "engine/look.h"
#include "engine/parasite-run.h"
#include "engine/stats.h"
#include "engine/tree-look.h"
#include "engine/tree-settle.h"
#include "engine/tree.h"
#include "engine/undo.h"
#include "files/files.h"
#include "image/image-set.h"
#include "image/image-write.h"
#include "images/pstree.pb-c.h"
#include "kernel/proc-misc.h"
#include "mm/map-flags.h"
#include "mm/mm.h"
#include "mm/shared-memory.h"
#include "ns/ns-look.h"
#include "ns/time-ns.h"
#include "security/seccomp.h"
#include "task/core-save.h"
#include "task/task-look.h"
#include "task/likeness.h"
#include "task/other-readers.h"

#define TASK_LIMIT    (1u << 17)
#define THREAD_LIMIT  (1u << 19)
#define MAX_WORKERS   8
#define IMAGE_VERSION 2

#define PAGES_BESIDE_BYTES (4ul << 20) /* less is not worth a thread */

int dump_check_interrupted(const struct dump *d, struct error *err)
{
	return undo_interrupted(d->undo) ? error_say(err, -EINTR, "interrupted by a signal") : 0;
}

/* --- work on all tasks by several threads ------------------------------------------------------------------------ */

struct dump_run;

typedef int (*task_work)(struct dump_run *run, struct task *task, struct error *err);

struct dump_run {
	struct dump d;
	struct image_set set;
	struct look_own own;
	uint64_t frozen_at_us, stopped_at_us;
	uint64_t bytes_done, bytes_total;

	struct memory_side memory;

	/* for_all_tasks() */
	task_work work;
	size_t next_task;
	struct error *first_error;
	pthread_mutex_t error_lock;
	int result;
};

static void *work_on_tasks(void *arg)
{
	struct dump_run *run = arg;

	while (!__atomic_load_n(&run->result, __ATOMIC_RELAXED)) {
		size_t at = __atomic_fetch_add(&run->next_task, 1, __ATOMIC_RELAXED);
		struct error err = { 0 };
		int r;

		if (at >= run->d.task_count)
			break;
		r = dump_check_interrupted(&run->d, &err);
		if (r == 0)
			r = run->work(run, run->d.tasks[at], &err);
		if (r == 0)
			continue;
		(void)pthread_mutex_lock(&run->error_lock);
		if (!run->result) {
			*run->first_error = err;
			__atomic_store_n(&run->result, r, __ATOMIC_RELAXED);
		}
		(void)pthread_mutex_unlock(&run->error_lock);
	}
	return NULL;
}

static int for_all_tasks(struct dump_run *run, task_work work, struct error *err)
{
	pthread_t threads[MAX_WORKERS];
	size_t processors = usable_processors();
	size_t wanted = processors < MAX_WORKERS ? processors : MAX_WORKERS;
	size_t started = 0;

	run->work = work;
	run->next_task = 0;
	run->result = 0;
	run->first_error = err;
	if (wanted > run->d.task_count)
		wanted = run->d.task_count;
	while (started + 1 < wanted && pthread_create(&threads[started], NULL, work_on_tasks, run) == 0)
		started++;
	(void)work_on_tasks(run);
	while (started > 0)
		(void)pthread_join(threads[--started], NULL);
	return run->result;
}

/* --- look -------------------------------------------------------------------------------------------------------- */

static int look_at_task(struct dump_run *run, struct task *task, struct error *err)
{
	return look_task(&run->d, &run->own, task, err);
}

static int look(struct dump_run *run, struct error *err)
{
	int r;

	files_look_ahead(&run->d);
	look_sessions(&run->d);
	run->d.map_flags = preparation_take_map_flags(&run->d.preparation);
	map_flags_start(&run->d);
	likeness_look(&run->d);
	r = for_all_tasks(run, look_at_task, err);
	time_ns_look(&run->d, &run->own.ns);
	if (r == 0)
		r = look_tree(&run->d, &run->memory, run->d.task_count > 1 || run->bytes_total >= PAGES_BESIDE_BYTES,
			      err);
	if (r == 0)
		r = refusals_report(&run->d.refusals, 1, err);
	if (r == 0)
		memory_side_save(&run->memory);
	return r;
}

/* --- save -------------------------------------------------------------------------------------------------------- */

static int save_ids(struct dump_run *run, const struct task *task, struct error *err)
{
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;

	ids.vm_id = task->vm_id;
	ids.fs_id = task->fs_id;
	ids.sighand_id = task->sighand_id;
	ids.files_id = task->files_id;
	ns_save_ids(&run->own.ns, &ids);
	if (run->d.has_time_ns)
		ids.time_ns_id = NS_ID_OTHER_TIME;
	return image_write_one(&run->set, IMAGE_IDS, (uint64_t)task_id_own(&task->id), &ids, err);
}

static int save_task(struct dump_run *run, struct task *task, struct error *err)
{
	int r = core_save(&run->d, task, err);

	if (task->is_zombie || r < 0)
		return r;
	r = save_ids(run, task, err);
	if (r == 0)
		r = files_save_task(&run->d, task, err);
	/* That of one who waits in a vfork is its child's. */
	return r < 0 || task->vfork_child ? r : mm_save(&run->d, task, err);
}

/* As it is seen in there; 0: the first one. */
static uint32_t find_parent_tid(const struct task *task)
{
	const struct task *parent = task->parent;

	for (size_t i = 0; parent && task->maker_tid != parent->host_pid && i < parent->thread_count; i++)
		if (parent->threads[i].tid == task->maker_tid)
			return (uint32_t)task_id_own(&parent->threads[i].id);
	return 0;
}

static int save_pstree(struct dump_run *run, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;

	image_writer_open(&w, &run->set, IMAGE_PSTREE, 0);
	for_each_task (&run->d, task) {
		PstreeEntry entry = PSTREE_ENTRY__INIT;
		uint32_t *threads = calloc(task->thread_count + 1, sizeof(*threads));
		size_t first = task->ended_leader ? 1 : 0;
		int r;

		if (!threads)
			return error_set(err, -ENOMEM, TASK_FORMAT, TASK_ARGS(task));
		threads[0] = (uint32_t)task_id_own(&task->id);
		for (size_t i = 0; i < task->thread_count; i++)
			threads[first + i] = (uint32_t)task_id_own(&task->threads[i].id);
		entry.pid = (uint32_t)task_id_own(&task->id);
		entry.ppid = task->parent ? (uint32_t)task_id_own(&task->parent->id) : 0;
		entry.pgid = (uint32_t)task->stat.pgid;
		entry.sid = (uint32_t)task->stat.sid;
		entry.threads = threads;
		entry.n_threads = task->thread_count ? first + task->thread_count : 1;
		entry.parent_tid = find_parent_tid(task);
		entry.has_parent_tid = entry.parent_tid != 0;
		r = image_writer_add(&w, &entry, err);
		free(threads);
		if (r < 0)
			return r;
	}
	return image_writer_finish(&w, err);
}

static int save(struct dump_run *run, struct error *err)
{
	int r = seccomp_save(&run->d, err);

	timers_look_again(&run->d);
	if (r == 0)
		r = for_all_tasks(run, save_task, err);
	if (r == 0)
		r = shared_memory_save(&run->d, err);
	if (r == 0)
		r = files_save(&run->d, err);
	if (r == 0)
		r = save_pstree(run, err);
	if (r == 0)
		r = time_ns_save(&run->d, &run->set, err);
	if (r == 0 && run->d.opts->cpu_cap & CPU_CAP_IMAGE)
		r = cpuinfo_dump(&run->set, err);
	return r;
}

/* --- the commit point --------------------------------------------------------------------------------------------- */

static void make_run_id(char text[37])
{
	uint8_t b[16] = { 0 };

	(void)!getrandom(b, sizeof(b), 0);
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	(void)snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		       b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* What the rescuer has to do should we die between the commit point and the end. */
static void note_ends(const struct dump *d)
{
	if (d->opts->leave == LEAVE_RUNNING)
		return;
	for_each_task (d, task)
		if (!task->is_zombie && !(d->opts->leave == LEAVE_STOPPED && task->stop_signal))
			undo_note_end(d->undo, task->host_pid, task->stat.start_time_ticks,
				      d->opts->leave == LEAVE_STOPPED ? SIGSTOP : SIGKILL);
}

static int commit(struct dump_run *run, struct error *err)
{
	struct dump *d = &run->d;
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;
	PluginsEntry plugins = PLUGINS_ENTRY__INIT;
	const char *needs[OTHER_READERS_NEEDS_MAX];
	char run_id[37];
	int r;

	make_run_id(run_id);
	ids.vm_id = ids.files_id = ids.fs_id = ids.sighand_id = 1;
	ns_save_ids(&run->own.ns, &ids);
	inventory.img_version = IMAGE_VERSION;
	inventory.has_fdinfo_per_id = inventory.fdinfo_per_id = true;
	inventory.has_ns_per_id = inventory.ns_per_id = true;
	inventory.root_ids = &ids;
	inventory.has_root_cg_set = true;
	inventory.root_cg_set = 1;
	inventory.has_lsmtype = true;
	inventory.lsmtype = LSMTYPE__NO_LSM;
	inventory.has_network_lock_method = true;
	inventory.network_lock_method = (uint32_t)d->opts->network_lock;
	inventory.has_allow_uprobes = inventory.allow_uprobes = d->has_uprobes;
	plugins.n_plugins = other_readers_needs(d, needs);
	plugins.plugins = (char **)needs;
	inventory.plugins_entry = &plugins;
	inventory.dump_criu_run_id = run_id;
	note_ends(d);
	undo_set_phase(d->undo, UNDO_COMMITTING);
	r = image_set_commit(&run->set, &inventory, err);
	undo_set_phase(d->undo, r < 0 ? UNDO_OPEN : UNDO_COMMITTED);
	return r;
}

/* --- settle ------------------------------------------------------------------------------------------------------ */

static int settle(struct dump_run *run, struct error *err)
{
	struct dump *d = &run->d;
	int r = 0;

	if (d->opts->leave == LEAVE_RUNNING)
		r = tree_release(d, err);
	else if (d->opts->leave == LEAVE_STOPPED)
		r = tree_stop(d, err);
	else
		tree_kill(d);
	d->stats.frozen_us = now_us() - run->frozen_at_us;
	return r;
}

/* More than an hour does not fit. */
static uint32_t to_stats_us(uint64_t us)
{
	return (uint32_t)min_u64(us, UINT32_MAX);
}

static int write_stats(struct dump_run *run, struct error *err)
{
	const struct dump_stats *stats = &run->d.stats;
	DumpStatsEntry entry = DUMP_STATS_ENTRY__INIT;

	entry.freezing_time = to_stats_us(stats->freezing_us);
	entry.frozen_time = to_stats_us(stats->frozen_us);
	entry.memdump_time = to_stats_us(stats->memdump_us);
	entry.memwrite_time = to_stats_us(stats->memwrite_us);
	entry.pages_scanned = stats->pages_scanned;
	entry.pages_skipped_parent = stats->pages_skipped_parent;
	entry.pages_written = stats->pages_written;
	entry.pages_lazy = stats->pages_lazy;
	/* There are no pipes in between, and no cache of paths. */
	entry.has_irmap_resolve = entry.has_page_pipes = entry.has_page_pipe_bufs = true;
	entry.has_shpages_scanned = entry.has_shpages_skipped_parent = entry.has_shpages_written = true;
	entry.shpages_scanned = stats->shared_pages_scanned;
	entry.shpages_skipped_parent = stats->shared_pages_skipped_parent;
	entry.shpages_written = stats->shared_pages_written;
	return stats_write_dump(run->d.opts, &entry, err);
}

int dump_progress(struct dump *d, uint64_t bytes)
{
	struct dump_run *run = container_of(d, struct dump_run, d);
	uint64_t done = __atomic_add_fetch(&run->bytes_done, bytes, __ATOMIC_RELAXED);

	if (d->opts->progress)
		d->opts->progress->report(d->opts->progress->ctx, "write pages", done, run->bytes_total);
	return undo_interrupted(d->undo) ? -EINTR : 0;
}

/* What is resident is an upper bound of what will be written. */
static void estimate_bytes(struct dump_run *run)
{
	for_each_task (&run->d, task)
		run->bytes_total += task->stat.rss_pages * PAGE_BYTES;
}

/* --- the stages -------------------------------------------------------------------------------------------------- */

static int freeze(struct dump_run *run, struct error *err)
{
	int r;

	run->frozen_at_us = now_us();
	r = tree_freeze(&run->d, err);
	run->stopped_at_us = now_us();
	run->d.stats.freezing_us = run->stopped_at_us - run->frozen_at_us;
	estimate_bytes(run);
	return r;
}

static int infect(struct dump_run *run, struct error *err)
{
	struct error own = { 0 };
	int r = parasites_run(&run->d, err), memory_r;

	if (r == 0)
		r = tree_look_at_keyrings(&run->d, err);
	if (r < 0)
		memory_side_give_up(&run->memory);
	memory_r = memory_side_finish(&run->memory, &own);
	if (r == 0 && memory_r < 0)
		*err = own;
	return r < 0 ? r : memory_r;
}

/* A post-dump script decides whether the tree may go on to its end: its failure resumes the tasks. */
static int post_dump(struct dump_run *run, struct error *err)
{
	int status = action_scripts_run(run->d.opts, "post-dump", run->d.opts->pid);

	if (status > 0)
		(void)error_say(err, -ECANCELED,
				"the images are complete, but a post-dump script failed with status %d: the tasks were "
				"resumed",
				status);
	else if (status < 0)
		(void)action_scripts_failed("post-dump", status, err);
	return status;
}

static const struct {
	const char *name;
	int (*run)(struct dump_run *run, struct error *err);
} stages[] = {
	{ "freeze", freeze }, { "look", look }, { "infect", infect }, { "save", save }, { "commit", commit },
};

static int run_stage(struct dump_run *run, size_t i, struct error *err)
{
	int r = dump_check_interrupted(&run->d, err);
	uint64_t started_us = now_us();

	if (r < 0)
		return r;
	r = stages[i].run(run, err);
	log_info("stage %s: %s after %llu us", stages[i].name, r < 0 ? "failed" : "done",
		 (unsigned long long)(now_us() - started_us));
	return r;
}

static int run_stages(struct dump_run *run, struct error *err)
{
	struct error ignored = { 0 };
	int r = 0, status;

	for (size_t i = 0; i < ARRAY_SIZE(stages) && r == 0; i++)
		r = run_stage(run, i, err);
	if (r < 0) {
		(void)memory_side_finish(&run->memory, &ignored);
		if (tree_release(&run->d, &ignored) < 0)
			log_error("roll back: %s", ignored.text);
		(void)undo_rollback(run->d.undo);
		return r;
	}
	status = post_dump(run, err);
	if (status != 0) {
		undo_forget_ends(run->d.undo);
		(void)tree_release(&run->d, &ignored);
		return status;
	}
	r = settle(run, err);
	/* The set is complete and the tasks have had their end: figures are no reason to call that a failure. */
	if (r == 0 && write_stats(run, &ignored) < 0)
		log_warn("%s", ignored.text);
	return r;
}

/* Every open file of the tree costs a descriptor of ours for a while. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int open_set(struct dump_run *run, struct error *err)
{
	int r;

	run->set.path = proc_own_fd_name(run->d.opts->images_dir_fd);
	r = image_set_create(&run->set, run->d.opts->images_dir_fd, NULL, 0, err);
	if (r < 0)
		return r;
	r = undo_new(run->set.dirfd, TASK_LIMIT, THREAD_LIMIT, &run->d.undo, err);
	if (r < 0)
		return r;
	run->set.created = undo_note_file;
	run->set.created_ctx = run->d.undo;
	return undo_start(run->d.undo, err);
}

static void release(struct dump_run *run)
{
	struct dump *d = &run->d;

	undo_dismiss(d->undo);
	look_free(d);
	preparation_done(&d->preparation);
	tree_wait_killed(d);
	tree_free(d);
	undo_finish(d->undo);
	image_set_done(&run->set);
	look_own_done(&run->own);
	refusals_done(&d->refusals);
}

int dump_run(const struct options *opts, struct error *err)
{
	struct dump_run run = {
		.d = { .opts = opts, .refusals = REFUSALS_INIT },
		.set = IMAGE_SET_INIT,
		.error_lock = PTHREAD_MUTEX_INITIALIZER,
	};
	int r;

	run.d.set = &run.set;
	raise_descriptor_limit();
	r = look_read_own(&run.own, err);
	if (r == 0)
		r = tree_collect(&run.d, err);
	if (r == 0) {
		int status = action_scripts_run(opts, "pre-dump", opts->pid);

		r = status == 0 ? 0 : action_scripts_failed("pre-dump", status, err);
	}
	if (r == 0)
		r = open_set(&run, err);
	if (r == 0)
		r = run_stages(&run, err);
	release(&run);
	return r;
}
