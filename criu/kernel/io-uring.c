#include "kernel/io-uring.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

#define SENDER_ENTRIES 128

int io_uring_make(uint32_t entries, struct io_uring_params *params)
{
	long fd = syscall(SYS_io_uring_setup, entries, params);

	return fd < 0 ? -errno : (int)fd;
}

int io_uring_register_with(int fd, unsigned int operation, const void *argument, unsigned int count)
{
	long r = syscall(SYS_io_uring_register, fd, operation, argument, count);

	return r < 0 ? -errno : (int)r;
}

static int enter(int fd, uint32_t to_submit, uint32_t flags)
{
	long r;

	do
		r = syscall(SYS_io_uring_enter, fd, to_submit, 0, flags, NULL, 0);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : (int)r;
}

static size_t cqe_bytes(const struct io_uring_params *params)
{
	return params->flags & IORING_SETUP_CQE32 ? 32 : 16;
}

static size_t sqe_bytes(const struct io_uring_params *params)
{
	return params->flags & IORING_SETUP_SQE128 ? 128 : 64;
}

int io_uring_map(int fd, const struct io_uring_params *params, struct io_uring_memory *ret)
{
	const size_t completions = params->cq_off.cqes + params->cq_entries * cqe_bytes(params);
	const size_t array =
	    params->flags & IORING_SETUP_NO_SQARRAY ? 0 : params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	struct io_uring_memory memory = {
		.params = *params,
		.ring_bytes = array > completions ? array : completions,
		.sqe_bytes = params->sq_entries * sqe_bytes(params),
	};

	memory.rings =
	    mmap(NULL, memory.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	if (memory.rings == MAP_FAILED)
		return -errno;
	memory.sqes =
	    mmap(NULL, memory.sqe_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
	if (memory.sqes == MAP_FAILED) {
		int r = -errno;

		(void)munmap(memory.rings, memory.ring_bytes);
		return r;
	}
	*ret = memory;
	return 0;
}

void io_uring_unmap(struct io_uring_memory *memory)
{
	if (!memory->rings)
		return;
	(void)munmap(memory->rings, memory->ring_bytes);
	(void)munmap(memory->sqes, memory->sqe_bytes);
	memory->rings = memory->sqes = NULL;
}

/* --- counting ---------------------------------------------------------------------------------------------------- */

static struct io_uring_sqe *sqe_of(const struct io_uring_memory *memory, uint32_t index)
{
	return (void *)(memory->sqes + index * sqe_bytes(&memory->params));
}

static void fill(struct io_uring_memory *memory, const struct io_uring_sqe *sqe)
{
	uint32_t *array = (void *)(memory->rings + memory->params.sq_off.array);

	for (uint32_t i = 0; i < memory->params.sq_entries; i++) {
		memset(sqe_of(memory, i), 0, sqe_bytes(&memory->params));
		*sqe_of(memory, i) = *sqe;
		if (!(memory->params.flags & IORING_SETUP_NO_SQARRAY))
			array[i] = i;
	}
}

/*
 * The kernel may put completions where it saw room when it last looked at the head: the head must not be further than
 * it will be in the end, or completions that nobody has fetched would be written over.
 */
static void fetch(const struct io_uring_memory *memory, uint32_t limit)
{
	const uint32_t tail = *io_uring_word(memory, memory->params.cq_off.tail);
	volatile uint32_t *head = io_uring_word(memory, memory->params.cq_off.head);

	*head = (int32_t)(tail - limit) < 0 ? tail : limit;
}

static int submit(int fd, struct io_uring_memory *memory, uint32_t count, uint32_t cq_head)
{
	volatile uint32_t *tail = io_uring_word(memory, memory->params.sq_off.tail);

	while (count) {
		const uint32_t batch = count < memory->params.sq_entries ? count : memory->params.sq_entries;
		int r;

		fetch(memory, cq_head);
		__atomic_store_n(tail, *tail + batch, __ATOMIC_RELEASE);
		r = enter(fd, batch, IORING_ENTER_GETEVENTS);
		if (r != (int)batch)
			return r < 0 ? r : -EIO;
		count -= batch;
	}
	return 0;
}

/* Completions that no submission of the ring stands for: messages from another ring. */
static int send_completions(int fd, struct io_uring_memory *memory, uint32_t count, uint32_t cq_head)
{
	const struct io_uring_sqe message = { .opcode = IORING_OP_MSG_RING, .fd = fd, .flags = IOSQE_CQE_SKIP_SUCCESS };
	struct io_uring_params params = { 0 };
	struct io_uring_memory sender = { 0 };
	AUTO_CLOSE int sender_fd = io_uring_make(SENDER_ENTRIES, &params);
	int r = sender_fd < 0 ? sender_fd : io_uring_map(sender_fd, &params, &sender);

	if (r < 0)
		return r;
	fill(&sender, &message);
	while (count && r >= 0) {
		/* Half of the ring at a time: there is always that much room. */
		uint32_t batch = (memory->params.cq_entries + 1) / 2;

		batch = batch < SENDER_ENTRIES ? batch : SENDER_ENTRIES;
		batch = batch < count ? batch : count;
		fetch(memory, cq_head);
		r = submit(sender_fd, &sender, batch, UINT32_MAX / 2);
		if (r == 0)
			r = enter(fd, 0, IORING_ENTER_GETEVENTS);
		count -= batch;
	}
	io_uring_unmap(&sender);
	return r < 0 ? r : 0;
}

static int nothing(int fd, struct io_uring_memory *memory, uint32_t count, bool silent, uint32_t cq_head)
{
	const struct io_uring_sqe nop = { .opcode = IORING_OP_NOP, .flags = silent ? IOSQE_CQE_SKIP_SUCCESS : 0 };

	if (count == 0)
		return 0;
	fill(memory, &nop);
	return submit(fd, memory, count, cq_head);
}

int io_uring_advance(int fd, struct io_uring_memory *memory, uint32_t sq_count, uint32_t cq_count, uint32_t cq_head)
{
	const struct io_uring_params *params = &memory->params;
	const uint32_t both = sq_count < cq_count ? sq_count : cq_count;
	int r = nothing(fd, memory, both, false, cq_head);

	if (r == 0)
		r = nothing(fd, memory, sq_count - both, true, cq_head);
	if (r == 0 && cq_count > both)
		r = send_completions(fd, memory, cq_count - both, cq_head);
	if (r < 0)
		return r;
	return *io_uring_word(memory, params->sq_off.head) == sq_count &&
		       *io_uring_word(memory, params->cq_off.tail) == cq_count
		   ? 0
		   : -EIO;
}
