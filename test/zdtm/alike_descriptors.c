/*
 * Hundreds of descriptors, each like many others but for one thing: place, flags, owner, which of two names, content,
 * size, owner and permissions of a pipe. A child has inherited them, but for some numbers where it has something else
 * that looks alike.
 */
#include "zdtmlib.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

enum { ROUNDS = 40, KINDS = 12, COUNT = ROUNDS * KINDS, FIRST = 10 };
#define KERNEL_LARGEFILE 0100000

enum { PLAIN, APPENDS, OTHER_NAME, PATH_ONLY, OWNED, NOTHING, ZERO, EVENT, EMPTY_PIPE, FULL_PIPE, SMALL_PIPE, PACKETS };

static int ends[COUNT]; /* that pipes are written to by */

static int number(int i)
{
	return FIRST + i;
}

static int make_pipe(int i, int flags, int pages)
{
	int pair[2];

	MUST(pipe2(pair, flags | O_NONBLOCK));
	ends[i] = pair[1];
	if (pages)
		MUST(fcntl(pair[1], F_SETPIPE_SZ, pages * 4096));
	return pair[0];
}

static int make(int i)
{
	struct f_owner_ex owner = { .type = F_OWNER_PID, .pid = getpid() };
	int fd;

	switch (i % KINDS) {
	case PLAIN:
		fd = MUST(open("file", O_RDWR));
		MUST(lseek(fd, i, SEEK_SET));
		return fd;
	case APPENDS:
		return MUST(open("file", O_WRONLY | O_APPEND));
	case OTHER_NAME:
		return MUST(open("name", O_RDONLY));
	case PATH_ONLY:
		return MUST(open("file", O_PATH));
	case OWNED:
		fd = MUST(open("file", O_RDWR));
		MUST(fcntl(fd, F_SETOWN_EX, &owner));
		return fd;
	case NOTHING:
		return MUST(open("/dev/null", i % 2 ? O_RDWR : O_WRONLY | O_NONBLOCK));
	case ZERO:
		return MUST(open("/dev/zero", O_RDONLY));
	case EVENT:
		return MUST(eventfd(i, i % 5 ? EFD_NONBLOCK : EFD_NONBLOCK | EFD_SEMAPHORE));
	case EMPTY_PIPE:
		return make_pipe(i, 0, 0);
	case FULL_PIPE:
		fd = make_pipe(i, 0, 0);
		EXPECT_EQ(write(ends[i], &i, sizeof(i)), sizeof(i));
		return fd;
	case SMALL_PIPE:
		fd = make_pipe(i, 0, 2);
		MUST(fchown(fd, (uid_t)i, (gid_t)i + 1));
		MUST(fchmod(fd, 0640));
		return fd;
	default:
		fd = make_pipe(i, O_DIRECT, 0);
		EXPECT_EQ(write(ends[i], "ab", 2), 2);
		EXPECT_EQ(write(ends[i], "c", 1), 1);
		return fd;
	}
}

static void check_pipe(int i, const void *content, size_t bytes, int pages)
{
	char found[64];

	EXPECT_EQ(fcntl(number(i), F_GETPIPE_SZ), pages * 4096);
	if (bytes) {
		EXPECT_EQ(read(number(i), found, sizeof(found)), bytes);
		EXPECT_MEM(found, content, bytes);
	}
	EXPECT_EQ(read(number(i), found, sizeof(found)), -1);
	EXPECT_EQ(write(ends[i], "x", 1), 1);
	EXPECT_EQ(read(number(i), found, sizeof(found)), 1);
}

static void check_pipe_owner(int i, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	MUST(fstat(number(i), &st));
	EXPECT_EQ(st.st_uid, uid);
	EXPECT_EQ(st.st_gid, gid);
	EXPECT_EQ(st.st_mode, S_IFIFO | mode);
}

static void check_packets(int i)
{
	char found[64];

	EXPECT_EQ(read(number(i), found, sizeof(found)), 2);
	EXPECT_EQ(read(number(i), found, sizeof(found)), 1);
}

static void check_path(int fd, const char *name)
{
	char link[32], found[512], here[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = MUST(readlink(link, found, sizeof(found) - 1));
	found[n] = '\0';
	EXPECT(getcwd(here, sizeof(here) - 16) != NULL);
	strcat(strcat(here, "/"), name);
	EXPECT_STR(found, here);
}

static void check_description(int i, int flags, int pos)
{
	EXPECT_EQ(fcntl(number(i), F_GETFL) & ~KERNEL_LARGEFILE, flags);
	if (pos >= 0)
		EXPECT_EQ(lseek(number(i), 0, SEEK_CUR), pos);
}

static void check_owner(int i, pid_t pid)
{
	struct f_owner_ex owner;

	MUST(fcntl(number(i), F_GETOWN_EX, &owner));
	EXPECT_EQ(owner.pid, pid);
}

static void check(int i, bool is_first)
{
	uint64_t value;

	switch (i % KINDS) {
	case PLAIN:
		check_description(i, O_RDWR, i);
		check_owner(i, 0);
		return check_path(number(i), "file");
	case APPENDS:
		return check_description(i, O_WRONLY | O_APPEND, 0);
	case OTHER_NAME:
		check_description(i, O_RDONLY, 0);
		return check_path(number(i), "name");
	case PATH_ONLY:
		return check_description(i, O_PATH, -1);
	case OWNED:
		check_owner(i, is_first ? getpid() : getppid());
		return check_description(i, O_RDWR, 0);
	case NOTHING:
		return check_description(i, i % 2 ? O_RDWR : O_WRONLY | O_NONBLOCK, 0);
	case ZERO:
		return check_description(i, O_RDONLY, 0);
	default:
		break;
	}
	if (!is_first)
		return;
	if (i % KINDS == EVENT) {
		EXPECT_EQ(read(number(i), &value, sizeof(value)), sizeof(value));
		EXPECT_EQ(value, i % 5 ? i : 1);
	} else if (i % KINDS == EMPTY_PIPE) {
		check_pipe(i, NULL, 0, 16);
		check_pipe_owner(i, 0, 0, 0600);
	} else if (i % KINDS == FULL_PIPE) {
		check_pipe(i, &i, sizeof(i), 16);
	} else if (i % KINDS == SMALL_PIPE) {
		check_pipe(i, NULL, 0, 2);
		check_pipe_owner(i, (uid_t)i, (gid_t)i + 1, 0640);
	} else {
		check_packets(i);
	}
}

static bool is_replaced(int i)
{
	return i % KINDS == PLAIN && i / KINDS % 4 == 0;
}

static void child(void *arg)
{
	(void)arg;
	for (int i = 0; i < COUNT; i++) {
		int fd;

		if (!is_replaced(i))
			continue;
		fd = MUST(open("file", O_RDWR));
		MUST(dup2(fd, number(i)));
		MUST(lseek(number(i), i, SEEK_SET));
	}
	child_wait();
	for (int i = 0; i < COUNT; i++) {
		check(i, false);
		/* The parent sees it where the description is the same one. */
		if (i % KINDS == PLAIN)
			MUST(lseek(number(i), i + 1, SEEK_SET));
	}
}

int main(void)
{
	pid_t pid;

	test_start();
	close(MUST(open("file", O_WRONLY | O_CREAT, 0600)));
	MUST(link("file", "name"));
	for (int i = 0; i < COUNT; i++) {
		int fd = make(i);

		if (fd != number(i)) {
			EXPECT_EQ(fcntl(number(i), F_GETFD), -1);
			MUST(dup2(fd, number(i)));
			close(fd);
		}
		if (ends[i]) {
			int moved = MUST(fcntl(ends[i], F_DUPFD, FIRST + COUNT));

			close(ends[i]);
			ends[i] = moved;
		}
	}
	pid = test_fork(child, NULL);
	test_wait();
	for (int i = 0; i < COUNT; i++)
		check(i, true);
	test_end_child(pid);
	for (int i = PLAIN; i < COUNT; i += KINDS)
		EXPECT_EQ(lseek(number(i), 0, SEEK_CUR), is_replaced(i) ? i : i + 1);
	return test_pass();
}
