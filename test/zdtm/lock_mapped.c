/*
 * Locks of flock(2) that only a mapping keeps: their descriptors are closed. A JVM has one for its performance data.
 * They are there until the last of the mapping is gone. Another one, of a file without a name that two processes map,
 * nobody can ask for.
 */
#include "zdtmlib.h"

#include <sys/file.h>
#include <sys/mman.h>

static void *map_locked(const char *name, int operation)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT, 0600));
	void *mapped;

	MUST(ftruncate(fd, 2 * 4096));
	MUST(flock(fd, operation));
	mapped = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(mapped != MAP_FAILED);
	MUST(close(fd));
	return mapped;
}

static bool can_lock(const char *name, int operation)
{
	int fd = MUST(open(name, O_RDWR)), r = flock(fd, operation | LOCK_NB);

	EXPECT(r == 0 || errno == EWOULDBLOCK);
	MUST(close(fd));
	return r == 0;
}

static void sleep_on(void *arg)
{
	child_wait();
	EXPECT_EQ(*(char *)arg, 'x');
}

int main(void)
{
	char *alone, *shared, *nameless;
	pid_t pid;

	test_start();
	nameless = map_locked("nameless", LOCK_EX);
	MUST(unlink("nameless"));
	pid = test_fork(sleep_on, nameless);
	*nameless = 'x';
	alone = map_locked("exclusive", LOCK_EX);
	shared = map_locked("shared", LOCK_SH);
	test_wait();
	EXPECT(!can_lock("exclusive", LOCK_SH));
	EXPECT(can_lock("shared", LOCK_SH));
	EXPECT(!can_lock("shared", LOCK_EX));
	MUST(munmap(alone, 4096));
	EXPECT(!can_lock("exclusive", LOCK_SH));
	MUST(munmap(alone + 4096, 4096));
	EXPECT(can_lock("exclusive", LOCK_EX));
	MUST(munmap(shared, 2 * 4096));
	EXPECT(can_lock("shared", LOCK_EX));
	test_end_child(pid);
	return test_pass();
}
