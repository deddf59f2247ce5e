/*
 * Semaphores that a process takes with SEM_UNDO get back what it took when it ends, and a dump ends it. "held": one is
 * held. "thread": a thread without the adjustments of the first one holds it, "many": and so many that facts are
 * gathered about them. "given_back": all were given back, which leaves adjustments of 0 in the kernel's list;
 * "removed": the set is gone.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#define MANY 20

static int sem;
static volatile int step;

static int change(unsigned short number, short by)
{
	struct sembuf operation = { .sem_num = number, .sem_op = by, .sem_flg = SEM_UNDO };

	return semop(sem, &operation, 1);
}

static void *wait_on(void *arg)
{
	(void)arg;
	test_await(&step, 2);
	return NULL;
}

static void *hold(void *arg)
{
	(void)arg;
	MUST(unshare(CLONE_SYSVSEM));
	MUST(change(1, 3));
	MUST(change(1, -1));
	test_post(&step, 1);
	test_await(&step, 2);
	return NULL;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "given_back";
	const bool is_removed = !strcmp(what, "removed");
	const bool is_many = !strcmp(what, "many");
	pthread_t thread = 0, other;

	test_start();
	sem = MUST(semget(IPC_PRIVATE, 3, IPC_CREAT | 0600));
	for (int i = 0; is_many && i < MANY; i++)
		EXPECT_EQ(pthread_create(&other, NULL, wait_on, NULL), 0);
	if (is_many || !strcmp(what, "thread")) {
		EXPECT_EQ(pthread_create(&thread, NULL, hold, NULL), 0);
		test_await(&step, 1);
	} else {
		MUST(change(2, 5));
		if (strcmp(what, "held") != 0)
			MUST(change(2, -5));
		if (is_removed)
			MUST(semctl(sem, 0, IPC_RMID));
	}
	test_wait();
	if (thread) {
		EXPECT_EQ(semctl(sem, 1, GETVAL), 2);
		test_post(&step, 2);
		EXPECT_EQ(pthread_join(thread, NULL), 0);
	} else if (!is_removed)
		EXPECT_EQ(semctl(sem, 2, GETVAL), strcmp(what, "held") ? 0 : 5);
	if (!is_removed)
		MUST(semctl(sem, 0, IPC_RMID));
	return test_pass();
}
