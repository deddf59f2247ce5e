/*
 * A group of core scheduling is refused: of the whole process ("process"), of a thread ("thread"), of one among so many
 * that facts are gathered about them ("many").
 */
#include "zdtmlib.h"

#include <linux/prctl.h>
#include <pthread.h>
#include <sys/prctl.h>

#define MANY 20

static volatile int step;

static void *wait_on(void *arg)
{
	(void)arg;
	test_await(&step, 2);
	return NULL;
}

static void join_group(int scope)
{
	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, scope, 0) == 0)
		return;
	if (errno == EINVAL || errno == ENODEV)
		test_skip("no core scheduling here");
	MUST(-1);
}

static void *wait_in_group(void *arg)
{
	join_group(PR_SCHED_CORE_SCOPE_THREAD);
	test_post(&step, 1);
	return wait_on(arg);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "process";
	pthread_t thread = 0, other;

	test_start();
	for (int i = 0; !strcmp(what, "many") && i < MANY; i++)
		EXPECT_EQ(pthread_create(&other, NULL, wait_on, NULL), 0);
	if (strcmp(what, "process") != 0) {
		EXPECT_EQ(pthread_create(&thread, NULL, wait_in_group, NULL), 0);
		test_await(&step, 1);
	} else {
		join_group(PR_SCHED_CORE_SCOPE_THREAD_GROUP);
	}
	test_wait();
	test_post(&step, 2);
	return test_pass();
}
