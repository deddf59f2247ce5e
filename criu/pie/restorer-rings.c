/*
 * Rings that the kernel shares with the task. Neither those of AIO contexts nor those of io_urings can be asked for at
 * an address: the first are moved, the second come where the only gap is.
 */
#include "pie/restorer-rings.h"

#include <linux/aio_abi.h>
#include <linux/mman.h>

#include "pie/restorer-memory.h"
#include "pie/restorer-report.h"

#define CALL_IO_URING_REGISTER 427
#define REGISTER_BUFFERS2      15

#define AIO_BATCH 64
#define CPU_WORDS 128 /* 8192 processors */

/* --- AIO contexts ------------------------------------------------------------------------------------------------ */

/* The head of a ring, as the kernel lays it out. */
struct ring_head {
	uint32_t id, slots, head, tail, magic, compat_features, incompat_features, header_bytes;
};

static struct ring_head *ring_of(const struct restorer_aio *aio)
{
	return (struct ring_head *)aio->start;
}

/*
 * Requests that complete while they are submitted: reads of nothing. Each takes a slot and moves the tail on by one.
 * Those that are dropped are not left in the ring: its head follows.
 */
static void complete_requests(struct restorer_task *task, const struct restorer_aio *aio, uint32_t count, int dropped)
{
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)task->files[task->exe] };
	volatile struct ring_head *ring = ring_of(aio);
	struct iocb *list[AIO_BATCH];

	for (uint32_t i = 0; i < AIO_BATCH; i++)
		list[i] = &request;
	while (count) {
		const uint32_t before = ring->tail;
		const uint32_t batch = count < AIO_BATCH ? count : AIO_BATCH;
		const long result = SYS3(__NR_io_submit, aio->start, batch, list);

		if (result <= 0)
			fail(task, result ? result : -ERROR_AGAIN, aio->start, 0);
		if (ring->tail != (before + (uint32_t)result) % aio->slots)
			fail(task, -ERROR_IO, aio->start, 0);
		if (dropped)
			ring->head = ring->tail;
		count -= (uint32_t)result;
	}
}

/*
 * Each processor keeps some free slots for itself: on another one the last slots of a full ring could not be taken. The
 * thread stays where it is meanwhile.
 */
static void fill_ring(struct restorer_task *task, const struct restorer_aio *aio)
{
	uint64_t allowed[CPU_WORDS], here[CPU_WORDS];
	uint32_t cpu = 0;
	long bytes;

	if (aio->head == 0 && aio->tail == 0)
		return;
	enter(task, STEP_AIO_FILL);
	for (uint32_t i = 0; i < CPU_WORDS; i++)
		allowed[i] = here[i] = 0;
	bytes = SYS3(__NR_sched_getaffinity, 0, sizeof(allowed), allowed);
	if (bytes > 0 && SYS3(__NR_getcpu, &cpu, 0, 0) == 0 && cpu < CPU_WORDS * 64) {
		here[cpu / 64] = 1ull << cpu % 64;
		(void)SYS3(__NR_sched_setaffinity, 0, bytes, here);
	}
	complete_requests(task, aio, aio->head, 1);
	complete_requests(task, aio, (aio->tail + aio->slots - aio->head) % aio->slots, 0);
	if (bytes > 0)
		(void)SYS3(__NR_sched_setaffinity, 0, bytes, allowed);
}

/* The kernel puts the ring where it likes, which is not where something else is. */
void set_up_aio(struct restorer_task *task, struct restorer_aio *aio)
{
	uint64_t context = 0;
	long result;

	enter(task, STEP_AIO_SETUP);
	check(task, SYS2(__NR_io_setup, aio->requests, &context), aio->start);
	if (((struct ring_head *)context)->slots != aio->slots)
		fail(task, -ERROR_INVAL, aio->start, 0);
	enter(task, STEP_AIO_MOVE);
	result = SYS5(__NR_mremap, context, aio->bytes, aio->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, aio->start);
	if ((uint64_t)result != aio->start)
		fail(task, result < 0 ? result : -ERROR_EXIST, aio->start, 0);
	aio->id = ring_of(aio)->id;
	fill_ring(task, aio);
}

/* The contents of the ring came with all others. The kernel finds a context by its own number, which stays. */
void finish_aios(struct restorer_task *task)
{
	for (uint64_t i = 0; i < task->aio_count; i++)
		ring_of(&task->aios[i])->id = task->aios[i].id;
}

/* --- rings of io_urings ------------------------------------------------------------------------------------------ */

static void fill_gaps(struct restorer_task *task)
{
	enter(task, STEP_RING_GAP);
	for (uint64_t i = 0; i < task->gap_count; i++) {
		const struct restorer_range *gap = &task->gaps[i];
		long result = SYS6(__NR_mmap, gap->start, gap->end - gap->start, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

		if ((uint64_t)result != gap->start)
			fail(task, result < 0 ? result : -ERROR_EXIST, gap->start, 0);
	}
}

static void clear_gaps(struct restorer_task *task)
{
	enter(task, STEP_RING_GAP);
	for (uint64_t i = 0; i < task->gap_count; i++)
		check(task, SYS2(__NR_munmap, task->gaps[i].start, task->gaps[i].end - task->gaps[i].start),
		      task->gaps[i].start);
}

/* What kept the place goes, and there is no other. */
static void map_ring(struct restorer_task *task, const struct restorer_vma *vma)
{
	const uint64_t bytes = vma->end - vma->start;
	long result;

	enter(task, STEP_RING_MAP);
	check(task, SYS2(__NR_munmap, vma->start, bytes), vma->start);
	result = SYS6(__NR_mmap, 0, bytes, vma->map_prot, MAP_SHARED, task->files[vma->file], vma->offset);
	if ((uint64_t)result != vma->start)
		fail(task, result < 0 ? result : -ERROR_EXIST, vma->start, 0);
	enter(task, STEP_MADVISE);
	advise_one(task, vma);
}

void map_rings(struct restorer_task *task)
{
	if (!task->ring_count)
		return;
	fill_gaps(task);
	for (uint64_t i = 0; i < task->vma_count; i++)
		if (task->vmas[i].flags & RESTORER_VMA_RING)
			map_ring(task, &task->vmas[i]);
	clear_gaps(task);
}

/* Laid out as the kernel's struct io_uring_rsrc_register. */
struct buffers_record {
	uint32_t count, flags;
	uint64_t reserved;
	const void *iov, *tags;
};

void register_buffers(struct restorer_task *task)
{
	enter(task, STEP_RING_BUFFERS);
	for (uint64_t i = 0; i < task->buffers_count; i++) {
		const struct restorer_buffers *buffers = &task->buffers[i];
		const struct buffers_record record = { .count = buffers->count,
						       .iov = buffers->iov,
						       .tags = buffers->tags };

		check(task, SYS4(CALL_IO_URING_REGISTER, buffers->fd, REGISTER_BUFFERS2, &record, sizeof(record)),
		      (uint64_t)buffers->fd);
	}
}
