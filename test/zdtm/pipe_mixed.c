/*
 * Pipes in which bytes of a stream stand before packets (O_DIRECT): what is read of a packet in part is taken away
 * whole, what is read of a stream is not.
 */
#include "zdtmlib.h"

enum { STREAM = 6000, SMALL = 5 };

/* Nothing is added to buffers that came by splice(2). */
static void add_stream(int pipe_fd, int file, size_t bytes)
{
	loff_t offset = 0;

	EXPECT_EQ(splice(file, &offset, pipe_fd, NULL, bytes, 0), bytes);
}

static void add_packet(int fd, const char *text)
{
	MUST(fcntl(fd, F_SETFL, O_DIRECT));
	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	MUST(fcntl(fd, F_SETFL, 0));
}

static void fill(int fd, int file)
{
	add_stream(fd, file, STREAM);
	add_packet(fd, "one");
	add_packet(fd, "packet");
	add_stream(fd, file, SMALL);
	add_packet(fd, "3");
	add_stream(fd, file, 1);
	add_packet(fd, "four");
	EXPECT_EQ(write(fd, "the end", 7), 7);
}

static void expect_read(int fd, size_t bytes, size_t expected)
{
	static char found[STREAM + 100];

	EXPECT_EQ(read(fd, found, bytes), expected);
}

static void expect_whole(int fd)
{
	expect_read(fd, 10000, STREAM + 3);
	expect_read(fd, 10000, 6);
	expect_read(fd, 10000, SMALL + 1);
	expect_read(fd, 10000, 5);
	expect_read(fd, 10000, 7);
}

static void expect_parts(int fd)
{
	expect_read(fd, 1, 1);
	expect_read(fd, STREAM - 2, STREAM - 2);
	expect_read(fd, 2, 2); /* the rest of the packet goes */
	expect_read(fd, 3, 3); /* as here */
	expect_read(fd, SMALL, SMALL);
	expect_read(fd, 9, 1);
	expect_read(fd, 1, 1);
	expect_read(fd, 1, 1);
	expect_read(fd, 3, 3);
	expect_read(fd, 10, 4);
}

int main(void)
{
	static char data[STREAM];
	int whole[2], parts[2], file;

	test_start();
	file = MUST(open("file", O_RDWR | O_CREAT, 0600));
	test_pattern(data, sizeof(data), 1);
	EXPECT_EQ(write(file, data, sizeof(data)), sizeof(data));
	MUST(pipe(whole));
	MUST(pipe(parts));
	fill(whole[1], file);
	fill(parts[1], file);
	test_wait();
	expect_whole(whole[0]);
	expect_parts(parts[0]);
	EXPECT_EQ(write(parts[1], "a", 1), 1);
	EXPECT_EQ(write(parts[1], "b", 1), 1);
	expect_read(parts[0], 10, 2);
	return test_pass();
}
