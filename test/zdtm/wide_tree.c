/*
 * Children of one parent, a hundred or as many as the argument says, each with a page of its own. With a second
 * argument so many threads make them in turn, and some want to hear of the end of theirs.
 */
#include "zdtmlib.h"

#include <sys/prctl.h>

static char page[4096];
static long count = 100, thread_count;
static pid_t *pids;
static volatile int next; /* child to be made */

static void child(void *arg)
{
	pid_t parent = getppid(), self = getpid();

	test_pattern(page, sizeof(page), (long)arg);
	if (thread_count && (long)arg % 3 == 0)
		MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	child_wait();
	EXPECT_PATTERN(page, sizeof(page), (long)arg);
	EXPECT_EQ(getppid(), parent);
	EXPECT_EQ(getpid(), self);
}

static void make_children(long first, long step)
{
	for (long i = first; i < count; i += step) {
		test_await(&next, (int)i);
		pids[i] = test_fork(child, (void *)i);
		test_post(&next, (int)i + 1);
	}
}

static void *act(void *arg)
{
	make_children((long)arg, thread_count);
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	test_start();
	if (argc > 1)
		count = atol(argv[1]);
	if (argc > 2)
		thread_count = atol(argv[2]);
	pids = calloc((size_t)count, sizeof(*pids));
	EXPECT(pids);
	for (long i = 0; i < thread_count; i++)
		EXPECT_EQ(pthread_create(&thread, NULL, act, (void *)i), 0);
	if (!thread_count)
		make_children(0, 1);
	test_await(&next, (int)count);
	test_wait();
	for (long i = 0; i < count; i++)
		test_end_child(pids[i]);
	return test_pass();
}
