/*
 * Processes that execute a program all the time: by their only thread, by one of several, by one that has outlived the
 * first, and in children. An execution ends all other threads and gives the first one's number to the thread that made
 * it, so that threads disappear and change their numbers while the tree is being stopped. Each takes place exactly
 * once, and each end is the right one.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>

#define PAUSE_US 500

enum { LAST_CODE = 6, CHILD_CODE = 7 };

/* What they share has to outlive an execution: it is a file. */
struct shared {
	int stop;
	int turns[4];
};

static struct shared *shared;
static char *program;
static int number;

static void map_shared(int flags)
{
	int fd = MUST(open("shared", O_RDWR | O_CLOEXEC | flags, 0600));

	if (flags)
		MUST(ftruncate(fd, 4096));
	shared = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	MUST(close(fd));
}

static void *execute(void *arg)
{
	char which[16], turn[16], *args[] = { program, "storm", which, turn, NULL };

	(void)arg;
	snprintf(which, sizeof(which), "%d", number);
	snprintf(turn, sizeof(turn), "%d", ++shared->turns[number]);
	execv(program, args);
	FAIL("execv: %s", strerror(errno));
}

static void *sleep_on(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void one_thread(void)
{
	execute(NULL);
}

static void one_of_several(void)
{
	pthread_t thread;

	EXPECT_EQ(pthread_create(&thread, NULL, sleep_on, NULL), 0);
	EXPECT_EQ(pthread_create(&thread, NULL, sleep_on, NULL), 0);
	EXPECT_EQ(pthread_create(&thread, NULL, execute, NULL), 0);
	sleep_on(NULL);
}

static void one_that_is_left(void)
{
	pthread_t thread;

	EXPECT_EQ(pthread_create(&thread, NULL, sleep_on, NULL), 0);
	EXPECT_EQ(pthread_create(&thread, NULL, execute, NULL), 0);
	syscall(SYS_exit, 0);
}

static void children(void)
{
	char *args[] = { program, "end", NULL };
	pid_t pid;

	while (!shared->stop) {
		EXPECT_EQ(posix_spawn(&pid, program, NULL, NULL, args, args + 2), 0);
		EXPECT_EQ(test_reap(pid), CHILD_CODE << 8);
	}
	_exit(LAST_CODE);
}

static void (*const acts[])(void) = { one_thread, one_of_several, one_that_is_left, children };
enum { STORMS = sizeof(acts) / sizeof(acts[0]) };

/* What an execution arrives in. */
static void storm(const char *which, const char *turn)
{
	number = atoi(which);
	EXPECT(number >= 0 && number < STORMS);
	map_shared(0);
	EXPECT_EQ(shared->turns[number], atoi(turn));
	if (shared->stop)
		_exit(LAST_CODE);
	usleep(PAUSE_US);
	acts[number]();
}

static void begin(void *arg)
{
	number = (int)(long)arg;
	child_ready();
	execute(NULL);
}

int main(int argc, char **argv)
{
	pid_t pids[STORMS];
	int before;

	program = argv[0];
	if (argc == 2)
		_exit(CHILD_CODE);
	if (argc == 4)
		storm(argv[2], argv[3]);
	test_start();
	map_shared(O_CREAT);
	for (long i = 0; i < STORMS; i++)
		pids[i] = test_fork(begin, (void *)i);
	test_wait();
	for (int i = 0; i + 1 < STORMS; i++) {
		before = shared->turns[i];
		for (int k = 0; k < 60000 && shared->turns[i] < before + 5; k++)
			usleep(1000);
		EXPECT(shared->turns[i] >= before + 5);
	}
	shared->stop = 1;
	for (int i = 0; i < STORMS; i++)
		EXPECT_EQ(test_reap(pids[i]), LAST_CODE << 8);
	return test_pass();
}
