/* Unix socket pairs: stream, datagram and seqpacket with data waiting, one end shut down, one in a child. */
#include "zdtmlib.h"

#include <sys/socket.h>

static int pairs[3][2];

static void child(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		close(pairs[i][0]);
	child_wait();
	for (int i = 0; i < 3; i++) {
		char text[16];

		EXPECT_EQ(read(pairs[i][1], text, 16), 5);
		EXPECT_MEM(text, "hello", 5);
		EXPECT_EQ(write(pairs[i][1], "back", 4), 4);
	}
}

int main(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM | SOCK_NONBLOCK, SOCK_SEQPACKET | SOCK_CLOEXEC };
	pid_t pid;

	test_start();
	for (int i = 0; i < 3; i++)
		MUST(socketpair(AF_UNIX, types[i], 0, pairs[i]));
	pid = test_fork(child, NULL);
	for (int i = 0; i < 3; i++) {
		close(pairs[i][1]);
		EXPECT_EQ(write(pairs[i][0], "hello", 5), 5);
	}
	test_wait();
	test_end_child(pid);
	for (int i = 0; i < 3; i++) {
		char text[16];

		EXPECT_EQ(read(pairs[i][0], text, 16), 4);
		EXPECT_EQ(fcntl(pairs[i][0], F_GETFD), i == 2 ? FD_CLOEXEC : 0);
	}
	return test_pass();
}
