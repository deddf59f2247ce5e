/*
 * Which mappings are rings shows their name. That a ring is a context of the task itself (a child has its parent's
 * rings mapped, but no contexts), how large it was asked for, and how many of its requests are in flight no interface
 * tells: it is read from the kernel's own structures. A request holds a slot of the ring from its submission until its
 * event was fetched: what is neither free nor complete is in flight.
 *
 * Restore: the restorer makes the context with io_setup(), moves the ring to its address and brings head and tail to
 * where they were by requests that complete at once; the contents of the ring are put in as those of any memory.
 */
#include "mm/aio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "engine/restore.h"
#include "engine/undo.h"
#include "image/pagemap.h"
#include "image/vma-status.h"
#include "kernel/kernel-memory.h"
#include "kernel/proc-maps.h"
#include "mm/restore-area.h"

#define RING_PATH   "/[aio] (deleted)"
#define EVENT_BYTES sizeof(struct io_event)
#define LIMIT_TABLE (1u << 20) /* contexts of a process, and slots of a ring: more would be nonsense */
#define LIMIT_SLOTS (1u << 26)
#define LOOK_US     1000 /* between two looks at a context that is busy */

/* The kernel's struct aio_ring, without the events. */
struct ring_head {
	uint32_t id, slots, head, tail, magic, compat_features, incompat_features, header_bytes;
};

/* --- dump ----------------------------------------------------------------------------------------------------- */

bool is_aio_ring(const struct proc_vma *vma, const char *path)
{
	return vma->shared && vma->dev_major == 0 && !strcmp(path, RING_PATH);
}

static int find_mm(struct kernel_memory *km, const struct task *task, uint64_t *ret_mm)
{
	AUTO_FREE uint64_t *threads = NULL;
	size_t count;
	int r = kernel_memory_threads(km, task->pidfd, &threads, &count);

	return r < 0 ? r : kernel_memory_member(km, threads[0], "task_struct", "mm", ret_mm, sizeof(*ret_mm));
}

/* The address of the context whose ring is there; 0: there is none. */
static int find_context(struct kernel_memory *km, uint64_t mm, uint64_t ring, uint64_t *ret_context)
{
	int contexts = kernel_memory_offset(km, "kioctx_table", "table");
	uint64_t table = 0, context = 0, at = 0;
	uint32_t count = 0;
	int r =
	    contexts < 0 ? contexts : kernel_memory_member(km, mm, "mm_struct", "ioctx_table", &table, sizeof(table));

	*ret_context = 0;
	if (r < 0 || !table)
		return r;
	r = kernel_memory_member(km, table, "kioctx_table", "nr", &count, sizeof(count));
	for (uint32_t i = 0; r == 0 && i < count && i < LIMIT_TABLE; i++) {
		r = kernel_memory_read(km, table + (uint64_t)contexts + i * sizeof(context), &context, sizeof(context));
		if (r < 0 || !context)
			continue;
		r = kernel_memory_member(km, context, "kioctx", "user_id", &at, sizeof(at));
		if (r == 0 && at == ring) {
			*ret_context = context;
			return 0;
		}
	}
	return r;
}

/* Of all slots but one, which tells a full ring from an empty one, those that are taken and not complete. */
static int count_in_flight(struct kernel_memory *km, uint64_t context, int64_t *ret_count)
{
	uint32_t slots = 0, complete = 0;
	int32_t available = 0;
	int64_t cached = 0;
	uint64_t percpu = 0;
	int r = kernel_memory_member(km, context, "kioctx", "nr_events", &slots, sizeof(slots));

	if (r == 0)
		r = kernel_memory_member(km, context, "kioctx", "completed_events", &complete, sizeof(complete));
	if (r == 0)
		r = kernel_memory_member(km, context, "kioctx", "reqs_available", &available, sizeof(available));
	if (r == 0)
		r = kernel_memory_member(km, context, "kioctx", "cpu", &percpu, sizeof(percpu));
	if (r == 0)
		r = kernel_memory_sum(km, percpu, &cached);
	if (r == 0)
		*ret_count = (int64_t)slots - 1 - available - cached - complete;
	return r;
}

/* Requests to a disk complete while the task stands still. */
static int wait_for_requests(const struct dump *d, struct kernel_memory *km, uint64_t context, int64_t *ret_count)
{
	const uint64_t deadline_ns = now_ns() + d->opts->io_wait_sec * 1000000000ull;
	int r;

	for (;;) {
		r = count_in_flight(km, context, ret_count);
		if (r < 0 || *ret_count == 0 || now_ns() >= deadline_ns)
			return r;
		if (!d->is_live && undo_interrupted(d->undo))
			return -EINTR;
		(void)usleep(LOOK_US);
	}
}

static int refuse(struct error *err, const struct task *task, const struct proc_vma *vma, const char *reason)
{
	return error_say(err, -ENOTSUP, TASK_FORMAT ", AIO context 0x%llx: %s", TASK_ARGS(task),
			 (unsigned long long)vma->start, reason);
}

static int failed(struct error *err, int r, const struct task *task, const struct proc_vma *vma)
{
	if (r == -EINTR)
		return error_say(err, r, "interrupted");
	error_hint(err,
		   "whether requests are in flight is read from the kernel's memory, which needs CAP_BPF, CAP_PERFMON "
		   "and CONFIG_DEBUG_INFO_BTF");
	return error_set(err, r, TASK_FORMAT ", AIO context 0x%llx: find out whether it is idle", TASK_ARGS(task),
			 (unsigned long long)vma->start);
}

int aio_look(struct dump *d, struct task *task, const struct proc_vma *vma, uint32_t *ret_requests, struct error *err)
{
	struct kernel_memory *km;
	uint64_t mm = 0, context = 0, bytes = 0;
	int64_t in_flight = 0;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = find_mm(km, task, &mm);
	if (r == 0)
		r = find_context(km, mm, vma->start, &context);
	if (r < 0)
		return failed(err, r, task, vma);
	if (!context)
		return refuse(err, task, vma,
			      "only its ring is here, of a context that another process made before the fork");
	r = kernel_memory_member(km, context, "kioctx", "mmap_size", &bytes, sizeof(bytes));
	if (r == 0)
		r = kernel_memory_member(km, context, "kioctx", "max_reqs", ret_requests, sizeof(*ret_requests));
	if (r < 0)
		return failed(err, r, task, vma);
	if (bytes != vma->end - vma->start)
		return refuse(err, task, vma, "only a part of its ring is mapped");
	r = wait_for_requests(d, km, context, &in_flight);
	if (r < 0)
		return failed(err, r, task, vma);
	if (in_flight == 0)
		return 0;
	error_hint(err, "--io-wait gives them more time to complete");
	return error_say(err, -EBUSY, TASK_FORMAT ", AIO context 0x%llx: %lld request%s in flight", TASK_ARGS(task),
			 (unsigned long long)vma->start, (long long)in_flight, in_flight == 1 ? " is" : "s are");
}

/* --- restore -------------------------------------------------------------------------------------------------- */

static const VmaEntry *find_ring(const MmEntry *mm, uint64_t id)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->start == id && mm->vmas[i]->status & VMA_AIORING)
			return mm->vmas[i];
	return NULL;
}

static int read_head(const struct checked_task *task, const AioRingEntry *aio, struct ring_head *ret, struct error *err)
{
	const struct pagemap *map = task->pagemap;
	const struct page_extent *extent;
	size_t at;
	int fd;

	if (!map)
		return -ENODATA;
	at = pagemap_find_extent(map, aio->id);
	extent = at < map->extent_count ? &map->extents[at] : NULL;
	if (!extent || extent->vaddr > aio->id)
		return -ENODATA;
	fd = pagemap_pages_fd(extent->source, O_RDONLY, err);
	return fd < 0 ? fd : pread_all(fd, ret, sizeof(*ret), extent->offset + (aio->id - extent->vaddr));
}

static int check_ring(const struct checked_task *task, const AioRingEntry *aio, struct ring_head *ret,
		      struct error *err)
{
	int r = read_head(task, aio, ret, err);

	if (r < 0)
		return error_is_set(err) ? r
					 : error_set(err, r, "pid %u, AIO context 0x%llx: read its ring from the image",
						     task->entry->pid, (unsigned long long)aio->id);
	if (aio->ring_len < PAGE_BYTES || (ret->slots + 1ull) * EVENT_BYTES != aio->ring_len ||
	    ret->slots > LIMIT_SLOTS || ret->head >= ret->slots || ret->tail >= ret->slots)
		return error_say(err, -EBADMSG, "pid %u, AIO context 0x%llx: its ring is damaged", task->entry->pid,
				 (unsigned long long)aio->id);
	return 0;
}

int aio_check(const struct checked_task *task, struct error *err)
{
	struct ring_head head;
	int r = 0;

	for (size_t i = 0; task->mm && i < task->mm->n_aios && r == 0; i++)
		r = check_ring(task, task->mm->aios[i], &head, err);
	return r;
}

uint64_t aio_room(const struct checked_task *task)
{
	return area_room(task->mm->n_aios, sizeof(struct restorer_aio));
}

int aio_plan(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	const MmEntry *mm = task->image->mm;

	restorer->aios = area_alloc(r, mm->n_aios * sizeof(*restorer->aios));
	if (!restorer->aios)
		return error_set(err, -ENOMEM, "AIO contexts");
	for (size_t i = 0; i < mm->n_aios; i++) {
		const AioRingEntry *aio = mm->aios[i];
		struct ring_head head;
		int result = check_ring(task->image, aio, &head, err);

		if (result < 0)
			return result;
		if (!find_ring(mm, aio->id))
			return error_say(err, -EBADMSG, "AIO context 0x%llx has no mapping",
					 (unsigned long long)aio->id);
		restorer->aios[restorer->aio_count++] = (struct restorer_aio){
			.start = aio->id,
			.bytes = aio->ring_len,
			.requests = aio->nr_req,
			.slots = head.slots,
			.head = head.head,
			.tail = head.tail,
		};
	}
	return 0;
}
