/* flock() on files that are no regular ones: a pipe, a fifo, an eventfd, a device; locks on a deleted file. */
#include "zdtmlib.h"

#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>

static int again(int fd, int flags)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return MUST(open(path, flags));
}

static void expect_locked(int fd)
{
	EXPECT_EQ(flock(fd, LOCK_EX | LOCK_NB), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	MUST(close(fd));
}

/* What cannot be opened a second time shows its lock. All eventfds have the same inode: it is one for sharing. */
static void expect_shown(int fd)
{
	char path[64], text[4096];
	ssize_t n;
	int info;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = MUST(open(path, O_RDONLY));
	n = MUST(read(info, text, sizeof(text) - 1));
	text[n] = '\0';
	EXPECT(strstr(text, "FLOCK  ADVISORY  READ") != NULL);
	MUST(close(info));
}

int main(void)
{
	int ends[2], fifo, event, null, gone;

	test_start();
	MUST(pipe(ends));
	MUST(flock(ends[0], LOCK_EX));
	MUST(mkfifo("fifo", 0600));
	fifo = MUST(open("fifo", O_RDWR));
	MUST(flock(fifo, LOCK_SH));
	event = MUST(eventfd(1, 0));
	MUST(flock(event, LOCK_SH));
	null = MUST(open("/dev/null", O_RDWR));
	MUST(flock(null, LOCK_SH));
	gone = MUST(open("gone", O_RDWR | O_CREAT, 0600));
	MUST(flock(gone, LOCK_EX));
	MUST(unlink("gone"));
	test_wait();
	expect_locked(again(ends[0], O_RDONLY | O_NONBLOCK));
	expect_locked(again(fifo, O_RDWR));
	expect_shown(event);
	expect_locked(again(null, O_RDWR));
	expect_locked(again(gone, O_RDWR));
	return test_pass();
}
