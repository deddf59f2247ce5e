/* Threads that know io_urings by numbers of their own (IORING_REGISTER_RING_FDS), chosen by them and by the kernel. */
#include "uring.h"

#include <pthread.h>

#ifndef IORING_REGISTER_RING_FDS
#define IORING_REGISTER_RING_FDS     20
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif

static struct uring first, second;

static int give_number(const struct uring *u, unsigned int wanted)
{
	struct io_uring_rsrc_update update = { .offset = wanted, .data = (uint64_t)u->fd };
	int r = (int)syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_RING_FDS, &update, 1);

	if (r < 0 && errno == EINVAL)
		test_skip("no numbers for rings here");
	EXPECT_EQ(MUST(r), 1);
	return (int)update.offset;
}

/* -1 where the number stands for none. */
static int enter_number(int number)
{
	return (int)syscall(SYS_io_uring_enter, number, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0);
}

static void check_numbers(const int *used, size_t count)
{
	for (int i = 0; i < 16; i++) {
		int expected = -1;

		for (size_t k = 0; k < count; k++)
			if (used[k] == i)
				expected = 0;
		EXPECT_EQ(enter_number(i), expected);
	}
}

static void other(void)
{
	int number = give_number(&second, 15);

	EXPECT_EQ(number, 15);
	thread_wait();
	check_numbers(&number, 1);
}

int main(void)
{
	pthread_t thread;
	int numbers[3];

	test_start();
	EXPECT(uring_set_up(&first, 4, 0, 0));
	EXPECT(uring_set_up(&second, 8, 0, 0));
	numbers[0] = give_number(&first, 7);
	numbers[1] = give_number(&first, -1U);
	numbers[2] = give_number(&second, 3);
	uring_nop(&first, 1);
	thread = test_thread(other);
	test_wait();
	check_numbers(numbers, 3);
	uring_nop(&first, 2);
	uring_reap(&first, 1, 0);
	uring_reap(&first, 2, 0);
	test_end_thread(thread);
	return test_pass();
}
