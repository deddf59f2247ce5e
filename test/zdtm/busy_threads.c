/* A busy multi-threaded program with shared counters under a mutex: no tick lost or counted twice. */
#include "zdtmlib.h"

#include <pthread.h>

enum { THREADS = 6 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total, mine[THREADS];
static volatile int stop;

static void *act(void *arg)
{
	long number = (long)arg;

	while (!stop) {
		pthread_mutex_lock(&lock);
		total++;
		pthread_mutex_unlock(&lock);
		mine[number]++;
		if (mine[number] % 1000 == 0)
			usleep(100);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	long sum = 0, before;

	test_start();
	for (long i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, act, (void *)i), 0);
	test_wait();
	before = mine[0];
	for (int i = 0; i < 60000 && mine[0] == before; i++)
		usleep(1000);
	EXPECT(mine[0] > before);
	stop = 1;
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
		sum += mine[i];
	}
	EXPECT_EQ(total, sum);
	return test_pass();
}
