/*
 * Files made by O_TMPFILE: linkat(2) gives them a name once, whoever has them open or mapped; not those made with
 * O_EXCL, and not those that had a name which was taken away. "unprivileged": who lacks CAP_DAC_READ_SEARCH finds them
 * in /proc.
 */
#include "zdtmlib.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { PLAIN, EXCLUSIVE, REOPENED, REOPENED_EXCLUSIVE, UNLINKED, ORDINARY, CHILDS, COUNT };

static int make(int flags)
{
	int fd = open(".", O_TMPFILE | O_RDWR | flags, 0640);

	if (fd < 0)
		test_skip("O_TMPFILE: %s", strerror(errno));
	EXPECT_EQ(write(fd, "content", 7), 7);
	return fd;
}

static int reopen(int fd)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = MUST(open(path, O_RDONLY));
	close(fd);
	return again;
}

static bool is_unprivileged;

static int try_link(int fd, const char *name)
{
	char path[32];

	if (!is_unprivileged)
		return linkat(fd, "", AT_FDCWD, name, AT_EMPTY_PATH) == 0 ? 0 : errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

static int fds[COUNT];

static void child(void *arg)
{
	char text[8] = "";

	(void)arg;
	child_wait();
	EXPECT_EQ(pread(fds[CHILDS], text, 7, 0), 7);
	EXPECT_STR(text, "content");
	EXPECT_EQ(try_link(fds[CHILDS], "by child"), 0);
}

static void drop_capability(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	MUST(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1u << CAP_DAC_READ_SEARCH);
	MUST(syscall(SYS_capset, &header, data));
	is_unprivileged = true;
}

int main(int argc, char **argv)
{
	char link[64], *map;
	struct stat st;
	int fd;
	pid_t pid;

	test_start();
	if (argc > 1)
		drop_capability();
	fds[PLAIN] = make(0);
	fds[EXCLUSIVE] = make(O_EXCL);
	fds[REOPENED] = reopen(make(0));
	fds[REOPENED_EXCLUSIVE] = reopen(make(O_EXCL));
	fds[UNLINKED] = make(0);
	EXPECT_EQ(try_link(fds[UNLINKED], "unlinked"), 0);
	MUST(unlink("unlinked"));
	fds[ORDINARY] = MUST(open("#77", O_RDWR | O_CREAT, 0600));
	MUST(unlink("#77"));
	fds[CHILDS] = make(0);
	fd = make(0);
	MUST(ftruncate(fd, 4096));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(map != MAP_FAILED);
	close(fd);
	pid = test_fork(child, NULL);
	test_wait();
	EXPECT_EQ(fcntl(fds[PLAIN], F_GETFL) & O_TMPFILE, O_TMPFILE);
	EXPECT_EQ(fcntl(fds[EXCLUSIVE], F_GETFL) & O_TMPFILE, O_TMPFILE);
	EXPECT_EQ(fcntl(fds[REOPENED], F_GETFL) & (O_TMPFILE | O_ACCMODE), O_RDONLY);
	EXPECT_EQ(try_link(fds[PLAIN], "plain"), 0);
	EXPECT_EQ(try_link(fds[PLAIN], "again"), 0);
	EXPECT_EQ(try_link(fds[EXCLUSIVE], "exclusive"), ENOENT);
	EXPECT_EQ(try_link(fds[REOPENED], "reopened"), 0);
	EXPECT_EQ(try_link(fds[REOPENED_EXCLUSIVE], "reopened exclusive"), ENOENT);
	EXPECT_EQ(try_link(fds[UNLINKED], "unlinked"), ENOENT);
	EXPECT_EQ(try_link(fds[ORDINARY], "ordinary"), ENOENT);
	test_end_child(pid);
	MUST(stat("by child", &st));
	EXPECT_EQ(st.st_mode & 07777, 0640);
	snprintf(link, sizeof(link), "/proc/self/map_files/%lx-%lx", (unsigned long)map, (unsigned long)map + 4096);
	MUST(linkat(AT_FDCWD, link, AT_FDCWD, "mapped", AT_SYMLINK_FOLLOW));
	MUST(stat("mapped", &st));
	EXPECT_EQ(st.st_size, 4096);
	EXPECT_EQ(st.st_nlink, 1);
	return test_pass();
}
