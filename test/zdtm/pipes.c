/*
 * Pipes: both ends here, one end in a child, one end closed, data waiting, a full one, sizes, flags, packets also where
 * the flag is gone and in front of other bytes, pages given by vmsplice and splice, and ends opened again through
 * /proc, with and without packets; what is in one that has no reader.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/uio.h>

static int both[2], across[2], half[2], full[2], sized[2], packet[2], writer_only[2], mixed[2], given[2];
static int by_path[2], by_path_flags[2], unread[2], flagged[2];

static void child(void *arg)
{
	char text[16];

	(void)arg;
	close(across[1]);
	child_wait();
	EXPECT_EQ(read(across[0], text, 8), 8);
	EXPECT_MEM(text, "to child", 8);
	EXPECT_EQ(read(across[0], text, 16), 5);
	EXPECT_EQ(read(across[0], text, 16), 0); /* both writers are gone */
}

/* A page of memory, part of one, and part of a file. */
static void give_pages(void)
{
	char *memory = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	struct iovec pieces[2] = { { memory, 4096 }, { memory + 100, 50 } };
	int fd = MUST(open("given", O_RDWR | O_CREAT, 0600));
	off_t offset = 1000;

	test_pattern(memory, 4096, 7);
	EXPECT_EQ(write(fd, memory, 4096), 4096);
	EXPECT_EQ(vmsplice(given[1], pieces, 2, 0), 4146);
	EXPECT_EQ(splice(fd, &offset, given[1], NULL, 500, 0), 500);
	EXPECT_EQ(write(given[1], "end", 3), 3);
	close(fd);
}

/* A reader that was opened by a path, and so has another flag, beside the end as it was made; the latter alone. */
static void open_more(void)
{
	char path[32];

	MUST(pipe(by_path));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", by_path[0]);
	close(by_path[0]);
	by_path[0] = open(path, O_RDONLY);
	EXPECT_EQ(by_path[0], -1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", by_path[1]);
	by_path[0] = MUST(open(path, O_RDONLY | O_NONBLOCK));
	by_path_flags[0] = MUST(fcntl(by_path[0], F_GETFL));
	by_path_flags[1] = MUST(fcntl(by_path[1], F_GETFL));
	MUST(pipe2(flagged, O_DIRECT | O_NONBLOCK));
	MUST(fcntl(flagged[0], F_SETFL, O_DIRECT | O_NONBLOCK));
	MUST(pipe(unread));
	EXPECT_EQ(write(unread[1], "for later", 9), 9);
	close(unread[0]);
}

static void check_more(void)
{
	char path[32], text[32];

	EXPECT_EQ(fcntl(by_path[0], F_GETFL), by_path_flags[0]);
	EXPECT_EQ(fcntl(by_path[1], F_GETFL), by_path_flags[1]);
	EXPECT_EQ(fcntl(flagged[0], F_GETFL), O_RDONLY | O_DIRECT | O_NONBLOCK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", unread[1]);
	unread[0] = MUST(open(path, O_RDONLY | O_NONBLOCK));
	EXPECT_EQ(read(unread[0], text, sizeof(text)), 9);
	EXPECT_MEM(text, "for later", 9);
}

static void check_given_pages(void)
{
	char found[8192], expected[4096];

	test_pattern(expected, sizeof(expected), 7);
	EXPECT_EQ(read(given[0], found, sizeof(found)), 4096 + 50 + 500 + 3);
	EXPECT_MEM(found, expected, 4096);
	EXPECT_MEM(found + 4096, expected + 100, 50);
	EXPECT_MEM(found + 4146, expected + 1000, 500);
	EXPECT_MEM(found + 4646, "end", 3);
}

int main(void)
{
	static char data[65536], found[65536];
	int reopened, packet_again;
	char text[64];
	pid_t pid;

	test_start();
	MUST(pipe(both));
	MUST(pipe2(across, O_CLOEXEC));
	MUST(pipe(half));
	MUST(pipe2(full, O_NONBLOCK));
	MUST(pipe(sized));
	MUST(pipe2(packet, O_DIRECT | O_NONBLOCK));
	MUST(pipe(writer_only));
	MUST(pipe(mixed));
	MUST(pipe(given));
	give_pages();
	open_more();
	test_pattern(data, sizeof(data), 1);
	EXPECT_EQ(write(both[1], "hello", 5), 5);
	EXPECT_EQ(write(half[1], "the end", 7), 7);
	close(half[1]);
	close(writer_only[0]);
	EXPECT_EQ(write(full[1], data, sizeof(data)), sizeof(data));
	EXPECT_EQ(fcntl(sized[1], F_SETPIPE_SZ, 262144), 262144);
	EXPECT_EQ(write(sized[1], data, 65536), 65536);
	EXPECT_EQ(write(sized[1], data, 65536), 65536);
	EXPECT_EQ(write(packet[1], "one", 3), 3);
	EXPECT_EQ(write(packet[1], "second", 6), 6);
	MUST(fcntl(mixed[1], F_SETFL, O_DIRECT));
	EXPECT_EQ(write(mixed[1], "a packet", 8), 8);
	EXPECT_EQ(write(mixed[1], "another", 7), 7);
	MUST(fcntl(mixed[1], F_SETFL, 0));
	EXPECT_EQ(write(mixed[1], data, 5000), 5000);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", both[0]);
	reopened = MUST(open(text, O_RDONLY | O_NONBLOCK));
	snprintf(text, sizeof(text), "/proc/self/fd/%d", packet[0]);
	packet_again = MUST(open(text, O_RDWR));
	MUST(fcntl(packet_again, F_SETFL, O_DIRECT));
	pid = test_fork(child, NULL);
	close(across[0]);
	EXPECT_EQ(write(across[1], "to child", 8), 8);
	test_wait();
	EXPECT_EQ(fcntl(across[1], F_GETFD), FD_CLOEXEC);
	test_until_asleep(pid, pid);
	EXPECT_EQ(read(both[0], text, 2), 2);
	EXPECT_EQ(read(reopened, text + 2, 60), 3);
	EXPECT_MEM(text, "hello", 5);
	EXPECT_EQ(read(reopened, text, 1), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(fcntl(both[0], F_GETFL) & O_NONBLOCK, 0);
	EXPECT_EQ(read(half[0], text, 64), 7);
	EXPECT_EQ(read(half[0], text, 64), 0);
	EXPECT_EQ(write(full[1], "x", 1), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(read(full[0], found, sizeof(found)), sizeof(found));
	EXPECT_MEM(found, data, sizeof(data));
	EXPECT_EQ(fcntl(sized[0], F_GETPIPE_SZ), 262144);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(read(sized[0], found, sizeof(found)), sizeof(found));
		EXPECT_MEM(found, data, sizeof(data));
	}
	EXPECT_EQ(read(packet[0], text, 64), 3);
	EXPECT_EQ(read(packet[0], text, 64), 6);
	EXPECT_EQ(fcntl(packet[1], F_GETFL), O_WRONLY | O_DIRECT | O_NONBLOCK);
	EXPECT_EQ(fcntl(packet_again, F_GETFL) & (O_ACCMODE | O_DIRECT), O_RDWR | O_DIRECT);
	EXPECT_EQ(write(packet_again, "third", 5), 5);
	EXPECT_EQ(read(packet[0], text, 2), 2);
	EXPECT_EQ(read(packet[0], &text[2], 1), -1);
	EXPECT_EQ(read(mixed[0], text, 60), 8);
	EXPECT_MEM(text, "a packet", 8);
	EXPECT_EQ(read(mixed[0], text, 3), 3); /* the rest of a packet is lost */
	EXPECT_MEM(text, "ano", 3);
	EXPECT_EQ(read(mixed[0], found, sizeof(found)), 5000);
	EXPECT_MEM(found, data, 5000);
	check_given_pages();
	check_more();
	signal(SIGPIPE, SIG_IGN);
	EXPECT_EQ(write(writer_only[1], "x", 1), -1);
	EXPECT_EQ(errno, EPIPE);
	MUST(kill(pid, SIGTERM));
	EXPECT_EQ(write(across[1], "more!", 5), 5);
	close(across[1]);
	EXPECT_EQ(test_reap(pid), 0);
	return test_pass();
}
