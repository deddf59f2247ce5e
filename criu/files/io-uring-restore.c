/*
 * An io_uring is made again: empty, its heads and tails are counted up to where they were, then the rings get their
 * contents; files and an eventfd are registered when the descriptors are complete. Buffers are planned for the
 * restorer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "files/io-uring-internal.h"
#include "files/io-uring.h"
#include "files/registry.h"
#include "image/vma-status.h"
#include "images/io-uring.pb-c.h"
#include "mm/restore-area.h"

#define NO_NUMBER    (-1)
#define ENTRY_LIMIT  65536u
#define SLOT_LIMIT   (1u << 20)
#define NUMBER_LIMIT 16

static struct restore_task *find_task(const struct restore *r, uint32_t pid)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->image && !r->tasks[i]->is_zombie && r->tasks[i]->pid == (pid_t)pid)
			return r->tasks[i];
	return NULL;
}

static int number_in_images(const struct restore_task *task, uint32_t id)
{
	const struct checked_fd_table *table = task->image->fds;

	for (size_t i = 0; table && i < table->count; i++)
		if (table->entries[i]->id == id && table->entries[i]->type == FD_TYPES__IO_URING)
			return (int)table->entries[i]->fd;
	return NO_NUMBER;
}

static bool is_entry_count(uint32_t count)
{
	return count > 0 && count <= ENTRY_LIMIT && (count & (count - 1)) == 0;
}

static uint32_t word_at(const IoUringFileEntry *uring, size_t offset_index)
{
	uint32_t word;

	memcpy(&word, uring->rings.data + uring->offsets[offset_index], sizeof(word));
	return word;
}

/* Positions in struct io_uring_offsets. */
enum { SQ_HEAD, SQ_TAIL, CQ_HEAD = 7, CQ_TAIL };

static int check_rings(struct restore *r, struct restore_file *file, struct error *err)
{
	const IoUringFileEntry *uring = file->entry->io_uring;

	if (!is_entry_count(uring->sq_entries) || !is_entry_count(uring->cq_entries) ||
	    uring->n_offsets != IO_URING_OFFSETS || uring->setup_flags & ~IO_URING_FLAGS_RESTORED)
		return restore_refuse(r, file, err, "an io_uring of an impossible shape");
	for (size_t i = 0; i < IO_URING_OFFSETS; i++)
		if (uring->offsets[i] % sizeof(uint32_t) || uring->rings.len < sizeof(uint32_t) ||
		    uring->offsets[i] > uring->rings.len - sizeof(uint32_t))
			return restore_refuse(r, file, err, "the rings of an io_uring are cut short");
	if (word_at(uring, SQ_HEAD) > IO_URING_COUNT_LIMIT || word_at(uring, CQ_TAIL) > IO_URING_COUNT_LIMIT ||
	    word_at(uring, CQ_TAIL) - word_at(uring, CQ_HEAD) > uring->cq_entries)
		return restore_refuse(r, file, err, "the counters of an io_uring are out of range");
	return 0;
}

static int check_registered(struct restore *r, struct restore_file *file, struct error *err)
{
	const IoUringFileEntry *uring = file->entry->io_uring;

	if (uring->file_slots > SLOT_LIMIT || uring->buffer_slots > SLOT_LIMIT)
		return restore_refuse(r, file, err, "an io_uring has too many slots");
	for (size_t i = 0; i < uring->n_files; i++)
		if (uring->files[i]->slot >= uring->file_slots)
			return restore_refuse(r, file, err, "file slot %u of an io_uring is out of range",
					      uring->files[i]->slot);
	for (size_t i = 0; i < uring->n_buffers; i++)
		if (uring->buffers[i]->slot >= uring->buffer_slots)
			return restore_refuse(r, file, err, "buffer slot %u of an io_uring is out of range",
					      uring->buffers[i]->slot);
	return 0;
}

/* The task whose thread that is. */
static const struct restore_task *find_thread(const struct restore *r, uint32_t tid)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const struct checked_task *image = r->tasks[i]->is_zombie ? NULL : r->tasks[i]->image;

		for (size_t k = 0; image && k < image->thread_count; k++)
			if (image->threads[k].tid == tid)
				return r->tasks[i];
	}
	return NULL;
}

static int check_numbers(struct restore *r, struct restore_file *file, struct error *err)
{
	const IoUringFileEntry *uring = file->entry->io_uring;

	for (size_t i = 0; i < uring->n_numbers; i++) {
		const struct restore_task *task = find_thread(r, uring->numbers[i]->tid);

		if (!task || number_in_images(task, file->id) < 0)
			return restore_refuse(r, file, err,
					      "thread %u has a number for an io_uring that it has not open",
					      uring->numbers[i]->tid);
		if (uring->numbers[i]->number >= NUMBER_LIMIT)
			return restore_refuse(r, file, err, "thread %u has an impossible number for an io_uring",
					      uring->numbers[i]->tid);
	}
	return 0;
}

/* A process may have a ring mapped and not open. */
static void add_mapping_users(struct restore *r, struct restore_file *file)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const MmEntry *mm = r->tasks[i]->image ? r->tasks[i]->image->mm : NULL;

		for (size_t k = 0; mm && k < mm->n_vmas; k++) {
			if (mm->vmas[k]->shmid != file->id || !(mm->vmas[k]->status & VMA_FILE_SHARED))
				continue;
			restore_add_user(r, file, r->tasks[i]);
			break;
		}
	}
}

int io_uring_check(struct restore *r, struct restore_file *file, struct error *err)
{
	const IoUringFileEntry *uring = file->entry->io_uring;
	const struct restore_task *owner = find_task(r, uring->owner_pid);
	int result = check_rings(r, file, err);

	if (result == 0)
		result = check_registered(r, file, err);
	if (result == 0)
		result = check_numbers(r, file, err);
	if (result < 0)
		return result;
	if (!owner || number_in_images(owner, file->id) < 0)
		return restore_refuse(r, file, err, "the process that made an io_uring, pid %u, does not have it open",
				      uring->owner_pid);
	add_mapping_users(r, file);
	if (uring->setup_flags & IORING_SETUP_SINGLE_ISSUER && file->owner != owner)
		return restore_refuse(r, file, err, "an io_uring that only pid %u may use would be made by pid %d",
				      uring->owner_pid, file->owner->pid);
	file->finish_in_each_user = true; /* in the owner, to be precise, whatever the order of processes */
	return 0;
}

static int put_contents(const IoUringFileEntry *uring, int fd, const struct io_uring_params *params, struct error *err)
{
	struct io_uring_memory memory = { 0 };
	struct io_uring_offsets offsets;
	int r;

	io_uring_get_offsets(params, &offsets);
	if (memcmp(&offsets, uring->offsets, sizeof(offsets)) != 0)
		return error_say(err, -EOPNOTSUPP, "this kernel lays the rings of an io_uring out in another way");
	r = io_uring_map(fd, params, &memory);
	if (r < 0)
		return error_set(err, r, "map the rings of an io_uring");
	if (memory.ring_bytes != uring->rings.len || memory.sqe_bytes != uring->sqes.len)
		r = error_say(err, -EBADMSG, "the rings of an io_uring have another size");
	if (r == 0 && (word_at(uring, SQ_HEAD) || word_at(uring, CQ_TAIL))) {
		r = io_uring_advance(fd, &memory, word_at(uring, SQ_HEAD), word_at(uring, CQ_TAIL),
				     word_at(uring, CQ_HEAD));
		if (r < 0)
			(void)error_set(err, r, "set the counters of an io_uring");
	}
	if (r == 0) {
		memcpy(memory.rings, uring->rings.data, memory.ring_bytes);
		memcpy(memory.sqes, uring->sqes.data, memory.sqe_bytes);
	}
	io_uring_unmap(&memory);
	return r;
}

int io_uring_open(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	const IoUringFileEntry *uring = file->entry->io_uring;
	/* It keeps the flags it was made with: the usual size is not asked for. */
	const bool is_usual = uring->cq_entries == 2 * uring->sq_entries;
	struct io_uring_params params = {
		.flags = uring->setup_flags | (is_usual ? 0 : IORING_SETUP_CQSIZE),
		.cq_entries = uring->cq_entries,
	};
	AUTO_CLOSE int fd = io_uring_make(uring->sq_entries, &params);
	int result;

	if (fd == -EPERM)
		error_hint(err, "kernel.io_uring_disabled may forbid it");
	if (fd < 0)
		return error_set(err, fd, "make an io_uring of %u entries", uring->sq_entries);
	result = put_contents(uring, fd, &params, err);
	if (result < 0)
		return result;
	if (fcntl(fd, F_SETFD, file->cloexec ? FD_CLOEXEC : 0) < 0 ||
	    (uring->flags & O_NONBLOCK && fcntl(fd, F_SETFL, O_NONBLOCK) < 0))
		return error_set(err, -errno, "set the flags of an io_uring");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* --- what is registered ------------------------------------------------------------------------------------------ */

static int register_files(const IoUringFileEntry *uring, int fd, struct error *err)
{
	AUTO_FREE int32_t *files = calloc(uring->file_slots + 1ul, sizeof(*files));
	AUTO_FREE uint64_t *tags = calloc(uring->file_slots + 1ul, sizeof(*tags));
	struct io_uring_rsrc_register request = { .nr = uring->file_slots,
						  .data = (uintptr_t)files,
						  .tags = (uintptr_t)tags };
	int r;

	if (!uring->has_file_slots)
		return 0;
	if (!files || !tags)
		return error_set(err, -ENOMEM, "register files");
	for (uint32_t i = 0; i < uring->file_slots; i++)
		files[i] = -1;
	for (size_t i = 0; i < uring->n_files; i++) {
		files[uring->files[i]->slot] = (int32_t)uring->files[i]->fd;
		tags[uring->files[i]->slot] = uring->files[i]->tag;
	}
	r = io_uring_register_with(fd, IORING_REGISTER_FILES2, &request, sizeof(request));
	if (r == 0 && uring->has_alloc_start) {
		const struct io_uring_file_index_range range = {
			.off = uring->alloc_start,
			.len = uring->alloc_end - uring->alloc_start,
		};

		r = io_uring_register_with(fd, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0);
	}
	return r < 0 ? error_set(err, r, "register %u files in an io_uring", uring->file_slots) : 0;
}

static int register_eventfd(const IoUringFileEntry *uring, int fd, struct error *err)
{
	const int32_t event = (int32_t)uring->eventfd;
	const unsigned int operation = uring->eventfd_async ? IORING_REGISTER_EVENTFD_ASYNC : IORING_REGISTER_EVENTFD;
	int r = uring->has_eventfd ? io_uring_register_with(fd, operation, &event, 1) : 0;

	return r < 0 ? error_set(err, r, "register eventfd %d in an io_uring", event) : 0;
}

static int set_numbers(const IoUringFileEntry *uring, int fd, struct error *err)
{
	uint32_t workers[2] = { uring->bounded_workers, uring->unbounded_workers };
	const uint32_t clock[4] = { uring->clock_id };
	int r = 0;

	if (workers[0] || workers[1])
		r = io_uring_register_with(fd, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2);
	if (r < 0)
		return error_set(err, r, "limit the workers of an io_uring");
	if (uring->has_clock_id)
		r = io_uring_register_with(fd, IO_URING_REGISTER_CLOCK, clock, 0);
	return r < 0 ? error_set(err, r, "set the clock of an io_uring to %u", uring->clock_id) : 0;
}

int io_uring_finish(struct restore *r, struct restore_task *task, struct restore_file *file, int fd, struct error *err)
{
	const IoUringFileEntry *uring = file->entry->io_uring;
	int result;

	if (find_task(r, uring->owner_pid)->files_owner != task)
		return 0;
	result = register_files(uring, fd, err);
	if (result == 0)
		result = register_eventfd(uring, fd, err);
	return result < 0 ? result : set_numbers(uring, fd, err);
}

int io_uring_open_for_mapping(struct restore *r, struct restore_task *task, uint32_t file_id, int *ret_fd,
			      struct error *err)
{
	const struct restore_file *file = restore_find_file(r, FD_TYPES__IO_URING, file_id);
	int fd = number_in_images(task, file_id);

	if (fd < 0 && file)
		fd = file->fd;
	fd = service_fds_copy(r, fd);
	if (fd < 0)
		return error_set(err, fd, "pid %d: borrow io_uring %u to map it", task->pid, file_id);
	*ret_fd = fd;
	return 0;
}

static bool is_thread_of(const struct restore *r, uint32_t pid, uint32_t tid)
{
	const struct checked_task *task = checked_set_find_task(r->images, pid);

	for (size_t i = 0; task && i < task->thread_count; i++)
		if (task->threads[i].tid == tid)
			return true;
	return false;
}

/* One array for each number at most. */
static uint64_t numbers_room(const struct restore *r, uint32_t pid)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < r->images->file_count; i++) {
		const IoUringFileEntry *uring = r->images->files[i].entry->io_uring;

		for (size_t k = 0; uring && k < uring->n_numbers; k++)
			if (is_thread_of(r, pid, uring->numbers[k]->tid))
				bytes += area_room(1, sizeof(struct restorer_ring_number));
	}
	return bytes;
}

uint64_t io_uring_room(const struct restore *r, uint32_t pid)
{
	uint64_t bytes = 0, rings = 0;

	for (size_t i = 0; i < r->images->file_count; i++) {
		const IoUringFileEntry *uring = r->images->files[i].entry->io_uring;

		if (!uring || uring->owner_pid != pid)
			continue;
		rings++;
		bytes += area_room(uring->buffer_slots, sizeof(struct restorer_iovec)) +
			 area_room(uring->buffer_slots, sizeof(uint64_t));
	}
	return bytes + area_room(rings, sizeof(struct restorer_buffers)) + numbers_room(r, pid);
}

static int plan_buffers(struct restore *r, const struct restore_task *task, const struct restore_file *file,
			struct error *err)
{
	const IoUringFileEntry *uring = file->entry->io_uring;
	struct restorer_task *restorer = task->restorer;
	struct restorer_iovec *iov = area_alloc(r, uring->buffer_slots * sizeof(*iov));
	uint64_t *tags = area_alloc(r, uring->buffer_slots * sizeof(*tags));

	if (!iov || !tags)
		return error_set(err, -ENOMEM, "buffers of an io_uring");
	for (size_t i = 0; i < uring->n_buffers; i++) {
		const IoUringBuffer *buffer = uring->buffers[i];

		iov[buffer->slot] = (struct restorer_iovec){ buffer->address, buffer->bytes };
		tags[buffer->slot] = buffer->tag;
	}
	restorer->buffers[restorer->buffers_count++] = (struct restorer_buffers){
		.fd = number_in_images(task, file->id),
		.count = uring->buffer_slots,
		.iov = iov,
		.tags = tags,
	};
	return 0;
}

/* In the order of files; the last one found comes first in the list. */
static int plan_numbers(struct restore *r, struct restore_task *task, struct restorer_thread *thread,
			const struct restore_file *file, struct error *err)
{
	const IoUringFileEntry *uring = file->entry->io_uring;

	for (size_t i = 0; i < uring->n_numbers; i++) {
		struct restorer_ring_number *number;

		if (uring->numbers[i]->tid != (uint32_t)thread->tid)
			continue;
		number = area_alloc(r, sizeof(*number));
		if (!number)
			return error_set(err, -ENOMEM, "numbers of an io_uring");
		*number = (struct restorer_ring_number){
			.number = uring->numbers[i]->number,
			.fd = (uint64_t)number_in_images(task, file->id),
			.next = thread->ring_numbers,
		};
		thread->ring_numbers = number;
	}
	return 0;
}

static int plan_all_numbers(struct restore *r, struct restore_task *task, struct error *err)
{
	int result = 0;

	for (size_t i = 0; i < r->file_count; i++) {
		const IoUringFileEntry *uring = r->files[i]->entry->io_uring;

		for (size_t k = 0; uring && uring->n_numbers && k < task->image->thread_count && result == 0; k++)
			result = plan_numbers(r, task, &task->restorer->threads[k], r->files[i], err);
	}
	return result;
}

int io_uring_plan(struct restore *r, struct restore_task *task, struct error *err)
{
	size_t count = 0;
	int result = plan_all_numbers(r, task, err);

	if (result < 0)
		return result;

	for (size_t i = 0; i < r->file_count; i++) {
		const IoUringFileEntry *uring = r->files[i]->entry->io_uring;

		count += uring && uring->owner_pid == (uint32_t)task->pid;
	}
	if (count == 0)
		return 0;
	task->restorer->buffers = area_alloc(r, count * sizeof(*task->restorer->buffers));
	if (!task->restorer->buffers)
		return error_set(err, -ENOMEM, "buffers of an io_uring");
	for (size_t i = 0; result == 0 && i < r->file_count; i++) {
		const IoUringFileEntry *uring = r->files[i]->entry->io_uring;

		if (uring && uring->owner_pid == (uint32_t)task->pid && uring->has_buffer_slots)
			result = plan_buffers(r, task, r->files[i], err);
	}
	return result;
}
