/* A System V shared memory segment of the namespace of criu, which is neither saved nor left out silently. */
#include "zdtmlib.h"

#include <sys/ipc.h>
#include <sys/shm.h>

int main(void)
{
	char *memory;
	int shm;

	test_start();
	shm = MUST(shmget(IPC_PRIVATE, 65536, IPC_CREAT | 0600));
	memory = MUST((char *)shmat(shm, NULL, 0));
	MUST(shmctl(shm, IPC_RMID, NULL));
	test_pattern(memory, 65536, 1);
	test_wait();
	EXPECT_PATTERN(memory, 65536, 1);
	return test_pass();
}
