/*
 * Descriptions that processes have without having inherited them: passed between siblings and from a child to its
 * parent over a socket that is closed again. A position that one moves is moved for the other.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/socket.h>

static int ends[2];
static volatile int *stage;

static void send_fd(int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	EXPECT_EQ(sendmsg(ends[0], &message, 0), 1);
}

static int receive_fd(void)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	int fd;

	EXPECT_EQ(recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

static void close_ends(void)
{
	close(ends[0]);
	close(ends[1]);
}

static void sender(void *arg)
{
	int fd = MUST(open("shared", O_RDWR | O_CREAT, 0600)), append = MUST(open("shared", O_WRONLY | O_APPEND));

	(void)arg;
	EXPECT_EQ(write(fd, "0123456789", 10), 10);
	MUST(lseek(fd, 3, SEEK_SET));
	send_fd(fd);
	send_fd(append);
	close(append);
	close_ends();
	child_wait();
	test_await(stage, 1);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 7);
	MUST(lseek(fd, 1, SEEK_SET));
	test_post(stage, 2);
}

static void receiver(void *arg)
{
	int fd = receive_fd();
	char text[4];

	(void)arg;
	close_ends();
	child_wait();
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(read(fd, text, 4), 4);
	EXPECT_MEM(text, "3456", 4);
	test_post(stage, 1);
	test_await(stage, 2);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 1);
}

int main(void)
{
	pid_t pids[2];
	int append;

	test_start();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	pids[0] = test_fork(sender, NULL);
	pids[1] = test_fork(receiver, NULL);
	append = receive_fd();
	close_ends();
	test_wait();
	EXPECT_EQ(fcntl(append, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
	EXPECT_EQ(write(append, "x", 1), 1);
	EXPECT_EQ(lseek(append, 0, SEEK_CUR), 11);
	for (int i = 0; i < 2; i++)
		MUST(kill(pids[i], SIGTERM));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(test_reap(pids[i]), 0);
	return test_pass();
}
