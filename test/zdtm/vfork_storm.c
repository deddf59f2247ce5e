/*
 * Programs are started all the time, by posix_spawn() and popen() and from several threads at once, and by a process
 * that does so while its own parent waits in a vfork. Each of these vforks is short: the tree is stopped behind it.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>

enum { THREADS = 3, CODE = 7 };

static volatile int *stop;
extern char **environ;

static void spawn_once(void)
{
	char *args[] = { "sh", "-c", "exit 7", NULL };
	pid_t pid;

	EXPECT_EQ(posix_spawn(&pid, "/bin/sh", NULL, NULL, args, environ), 0);
	EXPECT_EQ(test_reap(pid), CODE << 8);
}

static void *spawn(void *arg)
{
	while (!*stop)
		spawn_once();
	return arg;
}

static void spawners(void *arg)
{
	pthread_t threads[THREADS];

	child_ready();
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, spawn, arg), 0);
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
}

static void pipes(void *arg)
{
	(void)arg;
	child_ready();
	while (!*stop) {
		FILE *file = popen("echo word", "re");
		char text[16] = "";

		EXPECT(file && fgets(text, sizeof(text), file));
		EXPECT_STR(text, "word\n");
		EXPECT_EQ(pclose(file), 0);
	}
}

/* A vfork in a vfork. */
static void nested(void *arg)
{
	(void)arg;
	child_ready();
	while (!*stop) {
		pid_t pid = vfork();

		if (pid == 0) {
			pid_t inner = vfork();

			if (inner == 0) {
				usleep(40000);
				execl("/bin/sh", "sh", "-c", "exit 7", NULL);
				_exit(127);
			}
			execl("/bin/sh", "sh", "-c", "wait; exit 7", NULL);
			_exit(127);
		}
		EXPECT(pid > 0);
		EXPECT_EQ(test_reap(pid), CODE << 8);
	}
}

int main(void)
{
	void (*const storms[])(void *) = { spawners, pipes, nested };
	pid_t pids[sizeof(storms) / sizeof(storms[0])];

	test_start();
	stop = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++)
		pids[i] = test_fork(storms[i], NULL);
	test_wait();
	*stop = 1;
	for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++)
		EXPECT_EQ(test_reap(pids[i]), 0);
	return test_pass();
}
