/*
 * Readers of named pipes without a writer: one that none has come to yet, one that has lost its last one. A writer
 * without a reader, with and without data; packets. None of the dumps may come to a fifo as a reader or writer.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/stat.h>

static int events(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	MUST(poll(&poll_fd, 1, 0));
	return poll_fd.revents;
}

static int lone_writer(const char *name, const char *text)
{
	int reader, writer;

	MUST(mkfifo(name, 0600));
	reader = MUST(open(name, O_RDONLY | O_NONBLOCK));
	writer = MUST(open(name, O_WRONLY));
	EXPECT_EQ(write(writer, text, strlen(text)), (ssize_t)strlen(text));
	MUST(close(reader));
	return writer;
}

static void waits_for_reader(void *arg)
{
	(void)arg;
	child_ready();
	/* Comes back when somebody reads, and nobody is to. */
	(void)open("empty", O_WRONLY);
	_exit(1);
}

int main(void)
{
	int waiting, blocking, left, writer, full, empty, packets;
	char text[32];
	pid_t pid;

	test_start();
	(void)signal(SIGPIPE, SIG_IGN);
	MUST(mkfifo("waiting", 0600));
	waiting = MUST(open("waiting", O_RDONLY | O_NONBLOCK));
	blocking = MUST(open("waiting", O_RDONLY | O_NONBLOCK));
	MUST(fcntl(blocking, F_SETFL, 0));
	MUST(mkfifo("left", 0600));
	left = MUST(open("left", O_RDONLY | O_NONBLOCK));
	writer = MUST(open("left", O_WRONLY));
	MUST(close(writer));
	full = lone_writer("full", "kept");
	empty = lone_writer("empty", "");
	MUST(mkfifo("packets", 0600));
	packets = MUST(open("packets", O_RDWR | O_NONBLOCK));
	MUST(fcntl(packets, F_SETFL, O_NONBLOCK | O_DIRECT));
	EXPECT_EQ(write(packets, "one", 3), 3);
	EXPECT_EQ(write(packets, "two", 3), 3);
	pid = test_fork(waits_for_reader, NULL);
	EXPECT_EQ(events(waiting), 0);
	EXPECT_EQ(events(blocking), 0);
	EXPECT_EQ(events(left), POLLHUP);
	test_wait();
	EXPECT_EQ(events(waiting), 0);
	EXPECT_EQ(events(blocking), 0);
	EXPECT_EQ(fcntl(blocking, F_GETFL) & O_NONBLOCK, 0);
	EXPECT_EQ(fcntl(waiting, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(events(left), POLLHUP);
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	MUST(kill(pid, SIGKILL));
	EXPECT_EQ(waitpid(pid, NULL, 0), pid);
	EXPECT_EQ(write(full, "x", 1), -1);
	EXPECT_EQ(errno, EPIPE);
	EXPECT_EQ(write(empty, "x", 1), -1);
	EXPECT_EQ(errno, EPIPE);
	writer = MUST(open("full", O_RDONLY | O_NONBLOCK));
	EXPECT_EQ(read(writer, text, sizeof(text)), 4);
	EXPECT_MEM(text, "kept", 4);
	EXPECT_EQ(fcntl(packets, F_GETFL) & (O_DIRECT | O_NONBLOCK), O_DIRECT | O_NONBLOCK);
	EXPECT_EQ(read(packets, text, sizeof(text)), 3);
	EXPECT_EQ(read(packets, text, sizeof(text)), 3);
	EXPECT_MEM(text, "two", 3);
	return test_pass();
}
