/*
 * A System V shared memory segment of the namespace of criu, which is neither saved nor left out silently; with the
 * argument huge one of huge pages, with the argument first that of number 0, which is the first one of a namespace.
 */
#include "zdtmlib.h"

#include <sys/ipc.h>
#include <sys/shm.h>

static void want_first_number(void)
{
	int fd = open("/proc/sys/kernel/shm_next_id", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		test_skip("no kernel.shm_next_id: %s", strerror(errno));
	MUST(close(fd));
}

int main(int argc, char **argv)
{
	const bool is_first = argc > 1 && strcmp(argv[1], "first") == 0;
	const bool is_huge = argc > 1 && strcmp(argv[1], "huge") == 0;
	const size_t bytes = is_huge ? 2 << 20 : 65536;
	char *memory;
	int shm;

	test_start();
	if (is_first)
		want_first_number();
	shm = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600 | (is_huge ? SHM_HUGETLB : 0));
	if (shm < 0)
		test_skip("shmget: %s", strerror(errno));
	if (is_first && shm != 0) {
		MUST(shmctl(shm, IPC_RMID, NULL));
		test_skip("segment 0 is there already");
	}
	memory = MUST((char *)shmat(shm, NULL, 0));
	MUST(shmctl(shm, IPC_RMID, NULL));
	test_pattern(memory, bytes, 1);
	test_wait();
	EXPECT_PATTERN(memory, bytes, 1);
	return test_pass();
}
