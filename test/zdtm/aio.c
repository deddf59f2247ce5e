/*
 * AIO contexts: several sizes, one made before another that is gone, a ring that was moved. Head and tail somewhere in
 * the ring, events not fetched yet (none, some, over the end of the ring, as many as fit), an eventfd that tells of
 * events. Afterwards the events are there in their order, and the contexts work.
 */
#include "zdtmlib.h"

#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define NOWAIT (&(struct timespec){ 0, 0 })

struct ring {
	unsigned int id, slots, head, tail, magic, compat_features, incompat_features, header_bytes;
};

static struct context {
	unsigned int requests;
	int passed, left; /* events fetched before, and left in the ring; -1: as many as fit, -2: over its end */
	aio_context_t id;
	unsigned int slots, head, tail;
} contexts[] = {
	{ .requests = 1, .passed = 0, .left = 0 },    { .requests = 8, .passed = 5, .left = 3 },
	{ .requests = 300, .passed = 0, .left = -1 }, { .requests = 1000, .passed = 700, .left = -2 },
	{ .requests = 20, .passed = 40, .left = 0 },
};
enum { COUNT = sizeof(contexts) / sizeof(contexts[0]) };

static const struct ring *ring_of(aio_context_t id)
{
	return (const void *)id;
}

static unsigned int pending(aio_context_t id)
{
	const struct ring *ring = ring_of(id);

	return (ring->tail + ring->slots - ring->head) % ring->slots;
}

static int file;
static char line[] = "0123456789abcdef";

static long try_to_submit(aio_context_t id, uint64_t data, uint64_t bytes, int event)
{
	static char to[64];
	struct iocb request = { .aio_data = data,
				.aio_lio_opcode = IOCB_CMD_PREAD,
				.aio_fildes = (uint32_t)file,
				.aio_buf = (uintptr_t)to,
				.aio_nbytes = bytes };
	struct iocb *list[] = { &request };

	if (event >= 0) {
		request.aio_flags = IOCB_FLAG_RESFD;
		request.aio_resfd = (uint32_t)event;
	}
	return syscall(SYS_io_submit, id, 1, list);
}

static void submit(aio_context_t id, uint64_t data, uint64_t bytes, int event)
{
	EXPECT_EQ(try_to_submit(id, data, bytes, event), 1);
}

static void fetch(aio_context_t id, uint64_t data, int64_t bytes)
{
	struct io_event event = { 0 };

	EXPECT_EQ(syscall(SYS_io_getevents, id, 1, 1, &event, NOWAIT), 1);
	EXPECT_EQ(event.data, data);
	EXPECT_EQ(event.res, bytes);
	EXPECT_EQ(event.res2, 0);
}

static void set_up(struct context *context)
{
	MUST(syscall(SYS_io_setup, context->requests, &context->id));
	context->slots = ring_of(context->id)->slots;
	for (int i = 0; i < context->passed; i++) {
		submit(context->id, i, 1, -1);
		fetch(context->id, i, 1);
	}
	if (context->left == -1)
		for (context->left = 0; try_to_submit(context->id, 1000 + context->left, context->left % 16, -1) == 1;)
			context->left++;
	else if (context->left == -2)
		context->left = (int)context->slots - context->passed % (int)context->slots + 11;
	for (int i = (int)pending(context->id); i < context->left; i++)
		submit(context->id, 1000 + i, i % 16, -1);
	context->head = ring_of(context->id)->head;
	context->tail = ring_of(context->id)->tail;
}

static void check(struct context *context)
{
	struct io_event event;

	EXPECT_EQ(ring_of(context->id)->slots, context->slots);
	EXPECT_EQ(ring_of(context->id)->head, context->head);
	EXPECT_EQ(ring_of(context->id)->tail, context->tail);
	EXPECT_EQ(ring_of(context->id)->magic, 0xa10a10a1);
	for (int i = 0; i < context->left; i++)
		fetch(context->id, 1000 + i, i % 16);
	EXPECT_EQ(syscall(SYS_io_getevents, context->id, 0, 1, &event, NOWAIT), 0);
	/* Around the ring, and as full as it gets. */
	for (unsigned int i = 0; i < context->slots; i++) {
		submit(context->id, i, 3, -1);
		fetch(context->id, i, 3);
	}
	for (unsigned int i = 0; i < context->slots / 2; i++)
		submit(context->id, 7 + i, 2, -1);
	for (unsigned int i = 0; i < context->slots / 2; i++)
		fetch(context->id, 7 + i, 2);
	EXPECT_EQ(syscall(SYS_io_destroy, context->id), 0);
	EXPECT_EQ(syscall(SYS_io_getevents, context->id, 0, 1, &event, NOWAIT), -1);
	EXPECT_EQ(errno, EINVAL);
}

int main(void)
{
	aio_context_t gone = 0, moved = 0, told = 0;
	size_t bytes;
	void *place;
	int event;
	uint64_t count;

	test_start();
	file = MUST(open("data", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(file, line, sizeof(line)), sizeof(line));
	event = MUST(eventfd(0, EFD_NONBLOCK));
	MUST(syscall(SYS_io_setup, 50, &gone));
	for (int i = 0; i < COUNT; i++)
		set_up(&contexts[i]);
	MUST(syscall(SYS_io_destroy, gone));
	MUST(syscall(SYS_io_setup, 500, &moved));
	bytes = (ring_of(moved)->slots + 1) * sizeof(struct io_event);
	place = MUST(mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT(mremap((void *)moved, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
	moved = (aio_context_t)place;
	MUST(syscall(SYS_io_setup, 4, &told));
	submit(told, 77, 5, event);
	test_wait();
	EXPECT_EQ(read(event, &count, 8), 8);
	EXPECT_EQ(count, 1);
	fetch(told, 77, 5);
	submit(told, 78, 6, event);
	EXPECT_EQ(read(event, &count, 8), 8);
	EXPECT_EQ(count, 1);
	submit(moved, 9, 16, -1);
	fetch(moved, 9, 16);
	for (int i = 0; i < COUNT; i++)
		check(&contexts[i]);
	gone = 0;
	MUST(syscall(SYS_io_setup, 50, &gone));
	return test_pass();
}
