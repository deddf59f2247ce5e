/*
 * The whole-set check: inventory, files, process tree, memory, in the order in which they refer to each other.
 */
#include "image/image-check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-check-private.h"

int check_bad(const struct check_place *at, const char *format, ...)
{
	char name[IMAGE_NAME_MAX], reason[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	image_name(at->kind, at->id, name);
	return error_say(at->err, -EBADMSG, "%s: %s", name, reason);
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

bool find_duplicate(uint32_t *numbers, size_t count, uint32_t *ret_number)
{
	if (count < 2)
		return false;
	qsort(numbers, count, sizeof(*numbers), compare_u32);
	for (size_t i = 1; i < count; i++) {
		if (numbers[i] == numbers[i - 1]) {
			*ret_number = numbers[i];
			return true;
		}
	}
	return false;
}

static int check_inventory(const struct checked_set *cs, struct error *err)
{
	const InventoryEntry *inventory = cs->inventory;
	const struct check_place at = { IMAGE_INVENTORY, 0, err };

	if (inventory->img_version == 0)
		return error_say(err, -EINVAL,
				 "this image set is of a pre-dump: only the dump that follows it can be restored");
	if (inventory->img_version > 2)
		return error_say(err, -EINVAL, "inventory.img: image version %u is not known", inventory->img_version);
	if (!inventory->fdinfo_per_id)
		return error_say(err, -EINVAL, "inventory.img: this image set is too old: fdinfo images by process");
	if (!inventory->root_ids)
		return check_bad(&at, "the ids of the dumping process are missing");
	if (inventory->has_root_cg_set && inventory->root_cg_set == 0)
		return check_bad(&at, "cgroup set 0 does not exist");
	if (inventory->has_lsmtype && inventory->lsmtype != LSMTYPE__NO_LSM && inventory->lsmtype != LSMTYPE__SELINUX &&
	    inventory->lsmtype != LSMTYPE__APPARMOR)
		return error_say(err, -EINVAL, "inventory.img: security module %d is not known", inventory->lsmtype);
	if (inventory->has_network_lock_method && inventory->network_lock_method > 2)
		return error_say(err, -EINVAL, "inventory.img: network lock method %u is not known",
				 inventory->network_lock_method);
	return 0;
}

/* Without a time namespace of its own the tree's clocks are in timens-0; older sets have no such image. */
static int check_timens(struct checked_set *cs, struct error *err)
{
	const TaskKobjIdsEntry *ids = cs->tasks[0].ids, *outside = cs->inventory->root_ids;
	struct check_place at = { IMAGE_TIMENS, 0, err };
	int r;

	if (ids && ids->has_time_ns_id && outside->has_time_ns_id && ids->time_ns_id != outside->time_ns_id)
		at.id = ids->time_ns_id;
	r = image_read_one(cs->set, IMAGE_TIMENS, at.id, &timens_entry__descriptor, &cs->timens, err);
	if (r == -ENOENT && !error_is_set(err))
		return 0;
	if (r < 0)
		return r;
	if (cs->timens->monotonic->tv_nsec >= NS_PER_SEC || cs->timens->boottime->tv_nsec >= NS_PER_SEC ||
	    cs->timens->monotonic->tv_sec > INT64_MAX / NS_PER_SEC ||
	    cs->timens->boottime->tv_sec > INT64_MAX / NS_PER_SEC)
		return check_bad(&at, "a clock reading is out of range");
	return 0;
}

static void cleanup_checked(struct checked_set **checked)
{
	checked_set_free(*checked);
}

static void lend_memory(struct checked_set *cs)
{
	for (size_t i = 0; i < cs->task_count; i++) {
		struct checked_task *task = &cs->tasks[i];

		if (!task->vfork_child)
			continue;
		task->mm = task->vfork_child->mm;
		task->pagemap = task->vfork_child->pagemap;
	}
}

int image_check(struct image_set *set, struct checked_set **ret_checked, struct error *err)
{
	__attribute__((cleanup(cleanup_checked))) struct checked_set *cs = calloc(1, sizeof(*cs));
	int r;

	if (!cs)
		return error_set(err, -ENOMEM, "check the image set");
	cs->set = set;
	cs->inventory = set->inventory;
	if (!cs->inventory)
		return error_say(err, -EINVAL, "an image set without an inventory");
	r = check_inventory(cs, err);
	if (r == 0)
		r = check_files(cs, err);
	if (r == 0)
		r = check_seccomp(cs, err);
	if (r == 0)
		r = check_tasks(cs, err);
	if (r == 0)
		r = check_timens(cs, err);
	if (r == 0)
		r = check_fs(cs, err);
	if (r == 0)
		r = check_fd_tables(cs, err);
	if (r == 0)
		r = check_mm(cs, err);
	if (r == 0)
		r = check_shmems(cs, err);
	if (r == 0)
		r = check_lost_pages(cs, err);
	if (r == 0)
		lend_memory(cs);
	if (r == 0)
		r = check_absent_parts(cs, err);
	if (r == 0)
		*ret_checked = TAKE_PTR(cs);
	return r;
}

static void free_task(struct checked_task *task)
{
	for (size_t i = 0; i < task->thread_count; i++)
		image_message_free(task->threads[i].core);
	free(task->threads);
	image_message_free(task->entry);
	image_message_free(task->ids);
	image_message_free(task->fs);
	if (task->vfork_child)
		return;
	image_message_free(task->mm);
	pagemap_free(task->pagemap);
}

static void free_pipes(struct checked_pipe_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		image_message_free(list->items[i].entry);
		free(list->items[i].data);
	}
	free(list->items);
}

static void free_files(struct checked_set *cs)
{
	for (size_t i = 0; i < cs->fd_table_count; i++)
		free(cs->fd_tables[i].entries);
	free(cs->fd_tables);
	for (size_t i = 0; i < cs->file_count && !cs->files_in_arena; i++)
		image_message_free(cs->files[i].entry);
	free(cs->files);
	image_list_done(&cs->remaps);
	for (size_t i = 0; i < cs->memfd_inode_count; i++)
		image_message_free(cs->memfd_inodes[i]);
	free(cs->memfd_inodes);
	free_pipes(&cs->pipes);
	free_pipes(&cs->fifos);
}

void checked_set_free(struct checked_set *cs)
{
	if (!cs)
		return;
	for (size_t i = 0; i < cs->task_count; i++)
		free_task(&cs->tasks[i]);
	free(cs->tasks);
	free(cs->tasks_by_pid);
	free_files(cs);
	for (size_t i = 0; i < cs->shmem_count; i++)
		pagemap_free(cs->shmems[i].pagemap);
	free(cs->shmems);
	image_message_free(cs->seccomp);
	image_message_free(cs->timens);
	arena_done(&cs->arena);
	free(cs);
}

/* bsearch() wants an array even when nothing is in it. */
static void *find_in(const void *key, const void *array, size_t count, size_t bytes,
		     int (*compare)(const void *, const void *))
{
	return count ? bsearch(key, array, count, bytes, compare) : NULL;
}

/* The first file with the id, or the file before which it would be. */
static size_t find_first_file(const struct checked_set *cs, uint32_t id)
{
	size_t low = 0, high = cs->file_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cs->files[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct checked_file *checked_set_find_file(const struct checked_set *cs, uint32_t id)
{
	size_t i = find_first_file(cs, id);

	return i < cs->file_count && cs->files[i].id == id ? &cs->files[i] : NULL;
}

const struct checked_file *checked_set_find_typed_file(const struct checked_set *cs, FdTypes type, uint32_t id)
{
	for (size_t i = find_first_file(cs, id); i < cs->file_count && cs->files[i].id == id; i++) {
		if (cs->files[i].entry->type == type)
			return &cs->files[i];
	}
	return NULL;
}

static int compare_pid(const void *pid, const void *task)
{
	return compare_u32(pid, &(*(struct checked_task *const *)task)->entry->pid);
}

const struct checked_task *checked_set_find_task(const struct checked_set *cs, uint32_t pid)
{
	struct checked_task **found =
	    find_in(&pid, cs->tasks_by_pid, cs->task_count, sizeof(*cs->tasks_by_pid), compare_pid);

	return found ? *found : NULL;
}

static int compare_shmid(const void *shmid, const void *shmem)
{
	uint64_t left = *(const uint64_t *)shmid, right = ((const struct checked_shmem *)shmem)->shmid;

	return (left > right) - (left < right);
}

const struct checked_shmem *checked_set_find_shmem(const struct checked_set *cs, uint64_t shmid)
{
	return find_in(&shmid, cs->shmems, cs->shmem_count, sizeof(*cs->shmems), compare_shmid);
}

static int compare_inode_id(const void *inode_id, const void *inode)
{
	uint64_t left = *(const uint64_t *)inode_id, right = (*(MemfdInodeEntry *const *)inode)->inode_id;

	return (left > right) - (left < right);
}

MemfdInodeEntry *checked_set_find_memfd_inode(const struct checked_set *cs, uint64_t inode_id)
{
	MemfdInodeEntry **found =
	    find_in(&inode_id, cs->memfd_inodes, cs->memfd_inode_count, sizeof(*cs->memfd_inodes), compare_inode_id);

	return found ? *found : NULL;
}

static int compare_pipe_id(const void *pipe_id, const void *data)
{
	return compare_u32(pipe_id, &((const struct checked_pipe_data *)data)->entry->pipe_id);
}

const struct checked_pipe_data *checked_set_find_fifo_data(const struct checked_set *cs, uint32_t pipe_id)
{
	return find_in(&pipe_id, cs->fifos.items, cs->fifos.count, sizeof(*cs->fifos.items), compare_pipe_id);
}

const struct checked_pipe_data *checked_set_find_pipe_data(const struct checked_set *cs, uint32_t pipe_id)
{
	return find_in(&pipe_id, cs->pipes.items, cs->pipes.count, sizeof(*cs->pipes.items), compare_pipe_id);
}
