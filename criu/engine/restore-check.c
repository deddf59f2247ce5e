/*
 * A pid is taken as long as anything is known by that number: a process or thread, a zombie, a process group or session
 * whose leader is dead. The first two are seen by kill(2); for the rest the kernel's clone3 has the last word, and then
 * the holder is looked for in /proc.
 */
#include "engine/restore-check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/cpuinfo.h"
#include "engine/restore.h"
#include "engine/tree-plan.h"
#include "image/image-read.h"
#include "images/cgroup.pb-c.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "mm/restore-area.h"
#include "mm/restore-hugetlb.h"
#include "mm/restore-memory.h"
#include "task/restore-creds.h"
#include "task/restore-limits.h"
#include "task/restore-process.h"

#define ZOMBIE_WAIT_MS 5000
#define NAMED_AT_MOST  8
#define PID_MAX_PATH   "/proc/sys/kernel/pid_max"

/* Of a daemon, mostly: its parent has made the session, and ended. A leader that is alive is that of a shell. */
static pid_t find_ended_session(const struct restore *r)
{
	const struct restore_task *root = r->tasks[0];

	if (r->opts->shell_job || r->opts->restore_sibling || root->sid == root->pid || root->sid == 0 ||
	    kill(root->sid, 0) == 0 || errno != ESRCH)
		return 0;
	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->pid == root->sid)
			return 0;
	return root->sid;
}

int restore_collect_tasks(struct restore *r, struct error *err)
{
	const struct checked_set *images = r->images;

	for (size_t i = 0; i < images->task_count; i++) {
		const struct checked_task *image = &images->tasks[i];
		struct restore_task *task = tree_plan_new_task(r, err);
		const TaskCoreEntry *tc;

		if (!task)
			return err->code;
		task->image = image;
		task->pid = (pid_t)image->entry->pid;
		task->pgid = (pid_t)image->entry->pgid;
		task->sid = (pid_t)image->entry->sid;
		task->is_zombie = image->is_zombie;
		tc = image->threads[0].core->tc;
		if (tc->has_exit_signal)
			task->exit_signal = (int)tc->exit_signal;
		task->has_continued = image->parent && tc->has_continued_uncollected && tc->continued_uncollected;
		if (image->parent)
			task->parent = r->tasks[image->parent - images->tasks];
		if (image->vfork_parent) {
			task->vfork_parent = task->parent;
			task->parent->vfork_child = task;
		}
		task->parent_thread = image->parent_thread;
	}
	r->ended_session = find_ended_session(r);
	if (r->ended_session) {
		r->caller_sid = r->caller_pgid = r->ended_session;
		r->caller_leads_session = false;
	}
	return 0;
}

/* --- pids -------------------------------------------------------------------------------------------------------- */

int restore_pid_is_taken(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH || kill(-pid, 0) == 0 || errno != ESRCH || getsid(pid) >= 0;
}

/* Works for threads as well: /proc has a hidden directory for each. */
static int describe_process(pid_t pid, char *text, size_t bytes)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	AUTO_CLOSE int procfd = proc_open(pid);
	char kind[64] = "";

	if (procfd < 0 || proc_status_read(procfd, "status", &status) < 0)
		return -ENOENT;
	if (status.state == 'Z' && status.thread_count <= 1)
		(void)snprintf(kind, sizeof(kind), ", a zombie until pid %d waits for it", status.ppid);
	if (status.tgid != pid)
		(void)snprintf(text, bytes, "a thread of %d (%s)%s", status.tgid, status.name, kind);
	else
		(void)snprintf(text, bytes, "%d (%s)%s", pid, status.name, kind);
	return 0;
}

static int describe_member(pid_t pid, char *text, size_t bytes)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		AUTO_CLOSE int procfd = -1;
		struct proc_stat stat;
		uint64_t number;

		if (parse_u64(entry->d_name, 10, &number) < 0)
			continue;
		procfd = proc_open((pid_t)number);
		if (procfd < 0 || proc_stat_read(procfd, "stat", &stat) < 0)
			continue;
		if (stat.pgid == pid || stat.sid == pid) {
			(void)snprintf(text, bytes, "the %s of %d (%s)", stat.sid == pid ? "session" : "process group",
				       stat.pid, stat.comm);
			return 0;
		}
	}
	return -ENOENT;
}

int restore_describe_pid_holder(pid_t pid, char *text, size_t bytes)
{
	int r = describe_process(pid, text, bytes);

	return r == 0 ? 0 : describe_member(pid, text, bytes);
}

#define PF_EXITING 0x4u /* of the kernel's task flags: the process runs no more, its memory is being given back */

static bool is_ending(pid_t pid)
{
	AUTO_CLOSE int procfd = proc_open(pid);
	struct proc_stat stat;

	return procfd >= 0 && proc_stat_read(procfd, "stat", &stat) == 0 &&
	       (stat.state == 'Z' || stat.state == 'X' || stat.flags & PF_EXITING);
}

struct pid_list {
	pid_t *pids;
	size_t count;
};

static int list_pids(const struct restore *r, struct pid_list *ret)
{
	size_t count = r->task_count + 1;

	for (size_t i = 0; i < r->images->task_count; i++)
		count += r->images->tasks[i].thread_count;
	ret->pids = calloc(count + 1, sizeof(*ret->pids));
	if (!ret->pids)
		return -ENOMEM;
	if (r->ended_session)
		ret->pids[ret->count++] = r->ended_session;
	for (size_t i = 0; i < r->task_count; i++) {
		const struct checked_task *image = r->tasks[i]->image;

		ret->pids[ret->count++] = r->tasks[i]->pid;
		for (size_t k = 1; image && !image->is_zombie && k < image->thread_count; k++)
			ret->pids[ret->count++] = (pid_t)image->threads[k].tid;
	}
	return 0;
}

int restore_list_pids(const struct restore *r, pid_t **ret_pids, size_t *ret_count)
{
	struct pid_list list = { 0 };
	int result = list_pids(r, &list);

	if (result < 0)
		return result;
	*ret_pids = list.pids;
	*ret_count = list.count;
	return 0;
}

static pid_t highest_pid(const struct pid_list *list)
{
	pid_t highest = 0;

	for (size_t i = 0; i < list->count; i++)
		if (list->pids[i] > highest)
			highest = list->pids[i];
	return highest;
}

static int find_highest_pid(const struct restore *r, pid_t *ret_highest)
{
	struct pid_list list = { 0 };
	int result = list_pids(r, &list);

	if (result == 0)
		*ret_highest = highest_pid(&list);
	free(list.pids);
	return result;
}

static bool wait_until_reaped(pid_t pid, uint64_t deadline_ns)
{
	const struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };

	while (kill(pid, 0) == 0 || errno != ESRCH) {
		if (!is_ending(pid) || now_ns() > deadline_ns)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

static int check_free(const struct pid_list *list, struct error *err)
{
	const uint64_t deadline_ns = now_ns() + ZOMBIE_WAIT_MS * 1000000ull;
	char text[900];
	size_t used = 0, taken = 0;

	for (size_t i = 0; i < list->count; i++) {
		char holder[96];
		pid_t pid = list->pids[i];

		if (kill(pid, 0) < 0 && errno == ESRCH)
			continue;
		if (wait_until_reaped(pid, deadline_ns) || restore_describe_pid_holder(pid, holder, sizeof(holder)) < 0)
			continue;
		if (taken++ < NAMED_AT_MOST && used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%spid %d is taken by %s",
						 used ? ", " : "", pid, holder);
	}
	if (!taken)
		return 0;
	error_hint(err, "end them, or restore in a pid namespace of its own: unshare --pid --fork --mount-proc");
	if (taken > NAMED_AT_MOST)
		return error_say(err, -EEXIST, "%.800s, and %zu more", text, taken - NAMED_AT_MOST);
	return error_say(err, -EEXIST, "%s", text);
}

static int read_pid_max(uint64_t *ret_max)
{
	char text[32];
	ssize_t n = proc_read_text(AT_FDCWD, PID_MAX_PATH, text, sizeof(text));

	if (n <= 0)
		return n < 0 ? (int)n : -EIO;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, 10, ret_max);
}

static int write_pid_max(uint64_t max)
{
	AUTO_CLOSE int fd = open(PID_MAX_PATH, O_WRONLY | O_CLOEXEC);
	char text[32];

	if (fd < 0)
		return -errno;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)max);
	return write_all(fd, text, strlen(text));
}

/*
 * The kernel gives no pid at or above the limit, not even on request. What it was is noted where the rescuer finds it,
 * before it changes.
 */
int restore_make_room_for_pids(struct restore *r, struct error *err)
{
	pid_t highest = 0;
	uint64_t max;
	int result = find_highest_pid(r, &highest);

	if (result < 0)
		return error_set(err, result, "list of pids");
	if (read_pid_max(&max) < 0 || (uint64_t)highest < max)
		return 0;
	r->shared->pid_max_before = max;
	result = write_pid_max((uint64_t)highest + 1);
	if (result < 0) {
		error_hint(err, "sysctl kernel.pid_max=%d", highest + 1);
		return error_set(err, result, "pid %d is above kernel.pid_max (%llu), which cannot be raised", highest,
				 (unsigned long long)max);
	}
	log_info("kernel.pid_max raised from %llu to %d\n", (unsigned long long)max, highest + 1);
	return 0;
}

void restore_put_back_pid_max(const struct restore_shared *shared)
{
	if (shared->pid_max_before)
		(void)write_pid_max(shared->pid_max_before);
}

static int check_pids(const struct restore *r, struct error *err)
{
	struct pid_list list = { 0 };
	int result = list_pids(r, &list);

	if (result < 0)
		return error_set(err, result, "list of pids");
	result = check_free(&list, err);
	free(list.pids);
	return result;
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */

static int check_sessions(const struct restore *r, struct error *err)
{
	const struct restore_task *root = r->tasks[0];

	if (r->opts->shell_job || root->sid == root->pid || r->ended_session)
		return 0;
	error_hint(err, "--shell-job (-j) restores it in the session and process group of this shell");
	return error_say(err, -EINVAL,
			 "the root, pid %d (%s), does not lead its session: the leader %d is not in the set", root->pid,
			 root->image->threads[0].core->tc->comm, root->sid);
}

static const struct {
	size_t has_offset, offset;
	const char *name;
} namespaces[] = {
#define NS_ROW(member, name)                                                                                           \
	{                                                                                                              \
		offsetof(TaskKobjIdsEntry, has_##member), offsetof(TaskKobjIdsEntry, member), name                     \
	}
	NS_ROW(pid_ns_id, "pid"),       NS_ROW(net_ns_id, "network"), NS_ROW(ipc_ns_id, "IPC"),
	NS_ROW(uts_ns_id, "UTS"),       NS_ROW(mnt_ns_id, "mount"),   NS_ROW(user_ns_id, "user"),
	NS_ROW(cgroup_ns_id, "cgroup"), NS_ROW(time_ns_id, "time"),
};

static bool read_id(const TaskKobjIdsEntry *ids, size_t row, uint32_t *ret_id)
{
	const char *base = (const char *)ids;

	if (!*(const protobuf_c_boolean *)(base + namespaces[row].has_offset))
		return false;
	*ret_id = *(const uint32_t *)(const void *)(base + namespaces[row].offset);
	return true;
}

static int check_namespaces(const struct restore *r, const struct checked_task *task, struct error *err)
{
	const TaskKobjIdsEntry *outside = r->images->inventory->root_ids, *first = r->images->tasks[0].ids;

	for (size_t i = 0; task->ids && outside && i < ARRAY_SIZE(namespaces); i++) {
		/* The whole tree may have a time namespace of its own. */
		const TaskKobjIdsEntry *wanted = first && !strcmp(namespaces[i].name, "time") ? first : outside;
		uint32_t own, other;

		if (!read_id(task->ids, i, &own))
			continue;
		if (!read_id(outside, i, &other))
			return error_say(err, -EINVAL,
					 "pid %u (%s): inventory.img does not say which %s namespace the dump was in",
					 task->entry->pid, task->threads[0].core->tc->comm, namespaces[i].name);
		if (!read_id(wanted, i, &other) || own == other)
			continue;
		return error_say(err, -EOPNOTSUPP,
				 "pid %u (%s) is in a %s namespace of its own, which cannot be restored yet",
				 task->entry->pid, task->threads[0].core->tc->comm, namespaces[i].name);
	}
	return 0;
}

/* Where a set of cgroups differs from the dumper's, for the sentence; the whole set is in cgroup.img. */
static void describe_cgroups(const struct restore *r, uint32_t id, char *text, size_t size)
{
	AUTO_MESSAGE CgroupEntry *cgroups = NULL;
	struct error ignored = { 0 };

	(void)snprintf(text, size, "set %u", id);
	if (image_read_one(r->set, IMAGE_CGROUP, 0, &cgroup_entry__descriptor, &cgroups, &ignored) < 0 || !cgroups)
		return;
	for (size_t i = 0; i < cgroups->n_sets; i++) {
		const CgSetEntry *set = cgroups->sets[i];

		for (size_t k = 0; set->id == id && k < set->n_ctls; k++)
			if (strcmp(set->ctls[k]->path, "/") != 0) {
				(void)snprintf(text, size, "%.40s:%.160s", set->ctls[k]->name, set->ctls[k]->path);
				return;
			}
	}
}

/* Everything restored is in the cgroups of whoever restores. */
static int check_cgroups(const struct restore *r, const struct checked_task *task, struct error *err)
{
	const InventoryEntry *inventory = r->images->inventory;
	const TaskCoreEntry *tc = task->threads[0].core->tc;

	if (r->opts->cgroup_mode == CGROUP_IGNORE || r->opts->cgroup_mode == CGROUP_NONE || !inventory->has_root_cg_set)
		return 0;
	for (size_t i = 0; !task->is_zombie && i < task->thread_count; i++) {
		const ThreadCoreEntry *core = task->threads[i].core->thread_core;
		uint32_t id = core->has_cg_set ? core->cg_set : tc->has_cg_set ? tc->cg_set : inventory->root_cg_set;
		char where[256];

		if (id == inventory->root_cg_set)
			continue;
		describe_cgroups(r, id, where, sizeof(where));
		error_hint(err, "--manage-cgroups=ignore restores it in the cgroups of this process");
		return error_say(
		    err, -EOPNOTSUPP,
		    "pid %u (%s), thread %u: was in cgroup %s, not in the one of the dump, which cannot be "
		    "restored yet",
		    task->entry->pid, tc->comm, task->threads[i].tid, where);
	}
	return 0;
}

/* In the memory of a process there is always something else than zeros. */
static int check_holes(struct pagemap *map, bool is_of_task, struct error *err)
{
	uint64_t pages = 0, holes = 0;
	int result = map ? pagemap_count_holes(map, &pages, &holes, err) : 0;

	if (result < 0 || holes == 0)
		return result;
	if (is_of_task && holes == pages) {
		error_hint(err, "a restore with --auto-dedup uses a set up: restore from another copy");
		return error_say(err, -ENODATA, "%s: all of its pages have been given back, nothing is in pages-%u.img",
				 map->name, map->pages_id);
	}
	log_warn("%s: %" PRIu64 " of its %" PRIu64 " pages are holes in the image: they are restored as zeros, whether "
		 "these were left out in copying the set or it was used up by a restore with --auto-dedup\n",
		 map->name, holes, pages);
	return 0;
}

static int check_pages(const struct restore *r, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < r->images->task_count && result == 0; i++)
		result = check_holes(r->images->tasks[i].pagemap, true, err);
	for (size_t i = 0; i < r->images->shmem_count && result == 0; i++)
		result = check_holes(r->images->shmems[i].pagemap, false, err);
	return result;
}

static int check_task(const struct restore *r, const struct checked_task *task, struct error *err)
{
	int result = check_namespaces(r, task, err);

	if (result == 0)
		result = check_cgroups(r, task, err);
	if (result == 0)
		result = restore_process_check(r, r->own_creds, task, err);
	if (result == 0)
		result = restore_limits_check(r->own_limits, task, err);
	if (result == 0)
		result = restore_memory_check(r, task, err);
	return result;
}

int restore_check(const struct restore *r, struct error *err)
{
	int result = check_sessions(r, err);

	if (result == 0 && r->opts->lazy_pages)
		return error_say(err, -EOPNOTSUPP, "--lazy-pages is not supported by restore yet");
	if (result == 0 && r->opts->cpu_cap & CPU_CAP_IMAGE)
		result = cpuinfo_check(r->opts, r->set, err);
	for (size_t i = 0; result == 0 && i < r->images->task_count; i++)
		result = check_task(r, &r->images->tasks[i], err);
	if (result == 0)
		result = check_pages(r, err);
	if (result == 0)
		result = restore_hugetlb_check(r, err);
	return result < 0 ? result : check_pids(r, err);
}
