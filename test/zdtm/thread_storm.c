/*
 * Threads and processes that begin and end all the time, also while the tree is being stopped: none is lost, each does
 * its work exactly once, and each pid that was waited for had the right end.
 */
#include "zdtmlib.h"

#include <pthread.h>

enum { MAKERS = 4 };

static uint64_t started[MAKERS], done[MAKERS];
static volatile int stop;

static void *work(void *arg)
{
	__atomic_add_fetch((uint64_t *)arg, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void fork_once(uint64_t turn)
{
	const int code = (int)(turn % 200);
	pid_t pid = MUST(fork());

	if (pid == 0)
		_exit(code);
	EXPECT_EQ(test_reap(pid), code << 8);
}

static void *make(void *arg)
{
	const long number = (long)arg;

	for (uint64_t turn = 0; !stop; turn++) {
		pthread_t threads[3];
		void *value;

		if (number == 0) {
			fork_once(turn);
			continue;
		}
		for (int i = 0; i < 3; i++, started[number]++)
			EXPECT_EQ(pthread_create(&threads[i], NULL, work, &done[number]), 0);
		for (int i = 0; i < 3; i++) {
			EXPECT_EQ(pthread_join(threads[i], &value), 0);
			EXPECT(value == &done[number]);
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t makers[MAKERS];

	test_start();
	for (long i = 0; i < MAKERS; i++)
		EXPECT_EQ(pthread_create(&makers[i], NULL, make, (void *)i), 0);
	while (done[1] < 30 || done[2] < 30 || done[3] < 30)
		usleep(1000);
	test_wait();
	for (int i = 1; i < MAKERS; i++) {
		const uint64_t before = __atomic_load_n(&done[i], __ATOMIC_SEQ_CST);

		for (int k = 0; k < 60000 && __atomic_load_n(&done[i], __ATOMIC_SEQ_CST) < before + 10; k++)
			usleep(1000);
		EXPECT(done[i] >= before + 10);
	}
	stop = 1;
	for (int i = 0; i < MAKERS; i++) {
		EXPECT_EQ(pthread_join(makers[i], NULL), 0);
		EXPECT_EQ(done[i], started[i]);
	}
	return test_pass();
}
