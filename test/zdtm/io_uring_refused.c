/* io_urings with what cannot be restored, one each: the argument says which. */
#include "uring.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#define NO_MMAP (1U << 14)

enum { REGISTER_NAPI = 27, REGISTER_MEM_REGION = 34 };

static struct uring u;
static char memory[2][16384] __attribute__((aligned(4096)));

static void *make(void *arg)
{
	EXPECT(uring_set_up(&u, 8, IORING_SETUP_SINGLE_ISSUER, 0));
	uring_nop(&u, 1);
	test_post(arg, 1);
	for (;;)
		pause();
	return NULL;
}

static void thread(void)
{
	static volatile int is_made;
	pthread_t id;

	EXPECT_EQ(pthread_create(&id, NULL, make, (void *)&is_made), 0);
	test_await(&is_made, 1);
}

static void sqpoll(void)
{
	u.params = (struct io_uring_params){ .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 10 };
	u.fd = MUST((int)syscall(SYS_io_uring_setup, 8, &u.params));
}

static void no_mmap(void)
{
	u.params = (struct io_uring_params){ .flags = NO_MMAP };
	u.params.sq_off.resv2 = (uintptr_t)memory[0];
	u.params.cq_off.resv2 = (uintptr_t)memory[1];
	u.fd = (int)syscall(SYS_io_uring_setup, 8, &u.params);
	if (u.fd < 0)
		test_skip("the kernel does not take memory of a program");
}

static void restrictions(void)
{
	const struct io_uring_restriction nops = { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_NOP };

	EXPECT(uring_set_up(&u, 8, IORING_SETUP_R_DISABLED, 0));
	MUST(uring_register(&u, IORING_REGISTER_RESTRICTIONS, &nops, 1));
	MUST(uring_register(&u, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
}

static void personality(void)
{
	EXPECT(uring_set_up(&u, 8, 0, 0));
	EXPECT(uring_register(&u, IORING_REGISTER_PERSONALITY, NULL, 0) > 0);
}

static void provided(void)
{
	EXPECT(uring_set_up(&u, 8, 0, 0));
	uring_queue(
	    &u,
	    &(struct io_uring_sqe){
		.opcode = IORING_OP_PROVIDE_BUFFERS, .fd = 1, .addr = (uintptr_t)memory, .len = 4096, .user_data = 1 });
	EXPECT_EQ(uring_enter(&u, 1, 0), 1);
	uring_reap(&u, 1, 0);
}

static void overflow(void)
{
	EXPECT(uring_set_up(&u, 1, 0, 0));
	for (int i = 0; i < 5; i++)
		uring_nop(&u, 1);
}

static void closed(void)
{
	EXPECT(uring_set_up(&u, 8, 0, 0));
	close(u.fd);
}

static void file(void)
{
	int fd = MUST(open("data", O_RDWR | O_CREAT, 0600));

	EXPECT(uring_set_up(&u, 8, 0, 0));
	MUST(uring_register(&u, IORING_REGISTER_FILES, &fd, 1));
	close(fd);
}

static void buffer(void)
{
	struct iovec iov = { MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)), 8192 };

	EXPECT(uring_set_up(&u, 8, 0, 0));
	MUST(uring_register(&u, IORING_REGISTER_BUFFERS, &iov, 1));
	MUST(munmap(iov.iov_base, 8192));
}

/* The ring is known to the thread by a number of its own; no descriptor, no mapping is left. */
static void number(void)
{
	struct io_uring_rsrc_update update = { .offset = -1U };

	EXPECT(uring_set_up(&u, 8, 0, 0));
	update.data = (uint64_t)u.fd;
	EXPECT_EQ(uring_register(&u, IORING_REGISTER_RING_FDS, &update, 1), 1);
	close(u.fd);
	MUST(munmap(u.rings, u.ring_bytes));
	MUST(munmap(u.sqes, u.sqe_bytes));
}

static pid_t child;

static void hold_ring(void *arg)
{
	(void)arg;
	child_wait();
}

/* Its buffers are memory of a process that does not have it open any more. */
static void inherited(void)
{
	struct iovec iov = { memory[0], sizeof(memory[0]) };

	EXPECT(uring_set_up(&u, 8, 0, 0));
	MUST(uring_register(&u, IORING_REGISTER_BUFFERS, &iov, 1));
	child = test_fork(hold_ring, NULL);
	close(u.fd);
	MUST(munmap(u.rings, u.ring_bytes));
	MUST(munmap(u.sqes, u.sqe_bytes));
}

/* A ring of more than a page, of which the first one is not mapped any more. */
static void part(void)
{
	EXPECT(uring_set_up(&u, 512, 0, 0));
	MUST(munmap(u.rings, 4096));
}

/* Its eventfd is told of completions and has no number any more. */
static void eventfd_closed(void)
{
	int fd = MUST(eventfd(0, EFD_CLOEXEC));

	EXPECT(uring_set_up(&u, 8, 0, 0));
	MUST(uring_register(&u, IORING_REGISTER_EVENTFD, &fd, 1));
	close(fd);
}

/* What the kernel counts there, it does not read again. */
static void tail_moved(void)
{
	EXPECT(uring_set_up(&u, 8, 0, 0));
	*uring_word(&u, u.params.cq_off.tail) += 1;
}

static void head_moved(void)
{
	EXPECT(uring_set_up(&u, 8, 0, 0));
	*uring_word(&u, u.params.cq_off.head) += 1;
}

/* Only the process that has made it may use it, and that is not the one that would make it again. */
static void make_for_all(void *arg)
{
	volatile int *number = arg;

	EXPECT(uring_set_up(&u, 8, IORING_SETUP_SINGLE_ISSUER, 0));
	uring_nop(&u, 1);
	test_post(number, u.fd);
	child_wait();
}

static void given_up(void)
{
	volatile int *number = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	int pidfd;

	child = test_fork(make_for_all, (void *)number);
	test_await(number, 1);
	pidfd = MUST((int)syscall(SYS_pidfd_open, child, 0));
	MUST((int)syscall(SYS_pidfd_getfd, pidfd, *number, 0));
	close(pidfd);
}

static void network(void)
{
	struct {
		uint32_t timeout_us;
		uint8_t prefer_busy_poll, opcode, pad[2];
		uint32_t parameter, reserved;
	} napi = { .timeout_us = 50 };

	EXPECT(uring_set_up(&u, 8, 0, 0));
	if (uring_register(&u, REGISTER_NAPI, &napi, 1) < 0)
		test_skip("no busy polling of an io_uring: %s", strerror(errno));
}

/* Arguments of waits that lie in memory known to the kernel. */
static void wait_region(void)
{
	struct {
		uint64_t user_addr, size;
		uint32_t flags, id;
		uint64_t offset, reserved[4];
	} region = { .user_addr = (uintptr_t)memory[0], .size = 4096, .flags = 1 /* memory of the program */ };
	struct {
		uint64_t region, flags, reserved[2];
	} request = { (uintptr_t)&region, 1 /* for waits */, { 0 } };

	EXPECT(uring_set_up(&u, 8, IORING_SETUP_R_DISABLED, 0));
	if (uring_register(&u, REGISTER_MEM_REGION, &request, 1) < 0)
		test_skip("no registered memory for waits: %s", strerror(errno));
	MUST(uring_register(&u, IORING_REGISTER_ENABLE_RINGS, NULL, 0));
}

static const struct {
	const char *name;
	void (*set_up)(void);
} variants[] = {
	{ "thread", thread },
	{ "sqpoll", sqpoll },
	{ "no_mmap", no_mmap },
	{ "restrictions", restrictions },
	{ "personality", personality },
	{ "provided", provided },
	{ "overflow", overflow },
	{ "closed", closed },
	{ "file", file },
	{ "buffer", buffer },
	{ "number", number },
	{ "inherited", inherited },
	{ "part", part },
	{ "eventfd", eventfd_closed },
	{ "tail", tail_moved },
	{ "head", head_moved },
	{ "given_up", given_up },
	{ "network", network },
	{ "wait_region", wait_region },
};

int main(int argc, char **argv)
{
	bool found = false;

	test_start();
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (argc > 1 && !strcmp(argv[1], variants[i].name)) {
			variants[i].set_up();
			found = true;
		}
	EXPECT(found);
	test_wait();
	if (child)
		test_end_child(child);
	return test_pass();
}
