/*
 * A System V shared memory segment of the namespace of criu, which is neither saved nor left out silently; with the
 * argument huge one of huge pages.
 */
#include "zdtmlib.h"

#include <sys/ipc.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
	const bool is_huge = argc > 1 && strcmp(argv[1], "huge") == 0;
	const size_t bytes = is_huge ? 2 << 20 : 65536;
	char *memory;
	int shm;

	test_start();
	shm = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600 | (is_huge ? SHM_HUGETLB : 0));
	if (shm < 0)
		test_skip("shmget: %s", strerror(errno));
	memory = MUST((char *)shmat(shm, NULL, 0));
	MUST(shmctl(shm, IPC_RMID, NULL));
	test_pattern(memory, bytes, 1);
	test_wait();
	EXPECT_PATTERN(memory, bytes, 1);
	return test_pass();
}
