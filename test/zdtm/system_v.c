/* System V objects: a shared memory segment attached twice, a semaphore with an undo, a message queue with messages. */
#include "zdtmlib.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct message {
	long type;
	char text[32];
};

int main(void)
{
	struct message message = { .type = 5, .text = "a message" }, found;
	struct sembuf up = { .sem_num = 1, .sem_op = 4 };
	int shm, sem, msg;
	char *first, *second;

	test_start();
	MUST(unshare(CLONE_NEWIPC));
	shm = MUST(shmget(0x1234, 65536, IPC_CREAT | 0640));
	sem = MUST(semget(IPC_PRIVATE, 3, IPC_CREAT | 0600));
	msg = MUST(msgget(0x77, IPC_CREAT | 0600));
	first = MUST((char *)shmat(shm, NULL, 0));
	second = MUST((char *)shmat(shm, NULL, SHM_RDONLY));
	test_pattern(first, 65536, 1);
	MUST(semop(sem, &up, 1));
	MUST(msgsnd(msg, &message, sizeof(message.text), 0));
	test_wait();
	EXPECT_PATTERN(second, 65536, 1);
	first[5] = 'x';
	EXPECT_EQ(second[5], 'x');
	EXPECT_EQ(shmget(0x1234, 0, 0), shm);
	EXPECT_EQ(semctl(sem, 1, GETVAL), 4);
	EXPECT_EQ(msgrcv(msg, &found, sizeof(found.text), 5, IPC_NOWAIT), 32);
	EXPECT_STR(found.text, "a message");
	return test_pass();
}
