/*
 * Which mappings are rings shows their name. That a ring is a context of the task itself (a child has its parent's
 * rings mapped, but no contexts), how large it was asked for, and how many of its requests are in flight no interface
 * tells: it is read from the kernel's own structures, see kernel/aio-context.h.
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
#include "kernel/aio-context.h"
#include "kernel/proc-maps.h"
#include "mm/restore-area.h"

#define RING_PATH   "/[aio] (deleted)"
#define EVENT_BYTES sizeof(struct io_event)
#define LIMIT_SLOTS (1u << 26) /* more would be nonsense */
#define LOOK_US     1000       /* between two looks at a context that is busy */

/* The kernel's struct aio_ring, without the events. */
struct ring_head {
	uint32_t id, slots, head, tail, magic, compat_features, incompat_features, header_bytes;
};

/* --- dump ----------------------------------------------------------------------------------------------------- */

bool is_aio_ring(const struct proc_vma *vma, const char *path)
{
	return vma->shared && vma->dev_major == 0 && !strcmp(path, RING_PATH);
}

/* Requests to a disk complete while the task stands still. */
static int wait_for_requests(const struct dump *d, struct kernel_memory *km, uint64_t context, int64_t *ret_count)
{
	const uint64_t deadline_ns = now_ns() + d->opts->io_wait_sec * (uint64_t)NS_PER_SEC;
	int r;

	for (;;) {
		r = aio_context_in_flight(km, context, ret_count);
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
	uint64_t context = 0, bytes = 0;
	int64_t in_flight = 0;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = aio_context_find(km, task->pidfd, vma->start, &context);
	if (r < 0)
		return failed(err, r, task, vma);
	if (!context)
		return refuse(err, task, vma,
			      "only its ring is here, of a context that another process made before the fork");
	r = aio_context_size(km, context, &bytes, ret_requests);
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
