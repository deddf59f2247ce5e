/* A thousand threads that wait for one condition and then each do a share of a sum. */
#include "zdtmlib.h"

#include <pthread.h>

enum { THREADS = 1000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool go;
static int waiting;
static long sum;

static void *act(void *arg)
{
	long number = (long)arg, mine = number * 3 + 1;

	pthread_mutex_lock(&lock);
	waiting++;
	while (!go)
		pthread_cond_wait(&changed, &lock);
	sum += mine;
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	static pthread_t threads[THREADS];
	pthread_attr_t attributes;
	long expected = 0;

	test_start();
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (long i = 0; i < THREADS; i++) {
		EXPECT_EQ(pthread_create(&threads[i], &attributes, act, (void *)i), 0);
		expected += i * 3 + 1;
	}
	for (;;) {
		pthread_mutex_lock(&lock);
		int now = waiting;
		pthread_mutex_unlock(&lock);
		if (now == THREADS)
			break;
		usleep(1000);
	}
	test_wait();
	pthread_mutex_lock(&lock);
	go = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
	EXPECT_EQ(sum, expected);
	return test_pass();
}
