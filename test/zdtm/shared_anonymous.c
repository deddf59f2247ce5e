/* Shared anonymous memory between parent, child and grandchild, at different places, and shared by nobody else. */
#include "zdtmlib.h"

#include <sys/mman.h>

enum { BYTES = 1 << 20 };

struct shared {
	int words[16];
	int turn;
};

static struct shared *shared;
static char *alone;

static void take_turn(int mine)
{
	while (__atomic_load_n(&shared->turn, __ATOMIC_SEQ_CST) != mine)
		usleep(1000);
	shared->words[mine] = mine * 111 + 7;
	__atomic_add_fetch(&shared->turn, 1, __ATOMIC_SEQ_CST);
}

static void grandchild(void *arg)
{
	(void)arg;
	shared = MUST(mremap(shared, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)0x200000000000));
	child_wait();
	take_turn(3);
	EXPECT_EQ(shared->words[1], 118);
}

static void child(void *arg)
{
	pid_t pid;

	(void)arg;
	pid = test_fork(grandchild, NULL);
	MUST(mprotect(shared, BYTES, PROT_READ));
	child_wait();
	MUST(mprotect(shared, BYTES, PROT_READ | PROT_WRITE));
	take_turn(2);
	test_end_child(pid);
	EXPECT_PATTERN((char *)shared + 4096, BYTES - 8192, 5);
}

int main(void)
{
	pid_t pid;

	test_start();
	shared = MUST(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	alone = MUST(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	test_pattern((char *)shared + 4096, BYTES - 8192, 5);
	test_pattern(alone + BYTES / 2, BYTES / 4, 6);
	MUST(munmap(alone + 4096, 4096));
	pid = test_fork(child, NULL);
	MUST(munmap(alone + BYTES - 65536, 65536));
	test_wait();
	shared->turn = 1;
	take_turn(1);
	test_end_child(pid);
	EXPECT_EQ(shared->turn, 4);
	for (int i = 1; i < 4; i++)
		EXPECT_EQ(shared->words[i], i * 111 + 7);
	EXPECT_PATTERN((char *)shared + 4096, BYTES - 8192, 5);
	EXPECT_PATTERN(alone + BYTES / 2, BYTES / 4, 6);
	EXPECT_EQ(alone[0], 0);
	return test_pass();
}
