/*
 * Space that was reserved by fallocate(2) in memory: of memfds, and of deleted files on tmpfs; of some pages, of all,
 * and behind the end.
 */
#include "zdtmlib.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define PAGE  4096
#define FILES 6

static int make_deleted(const char *name)
{
	char path[64];
	struct statfs fs;
	int fd;

	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		test_skip("/dev/shm is no tmpfs");
	snprintf(path, sizeof(path), "/dev/shm/zdtm.%s.%d", name, getpid());
	fd = MUST(open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
	MUST(unlink(path));
	return fd;
}

static void fill(int fd, int kind)
{
	MUST(ftruncate(fd, 64 * PAGE));
	EXPECT_EQ(pwrite(fd, "data", 4, 20 * PAGE), 4);
	if (kind == 0)
		MUST(fallocate(fd, 0, 0, 64 * PAGE));
	if (kind == 1) {
		MUST(fallocate(fd, 0, 3 * PAGE, 2 * PAGE));
		MUST(fallocate(fd, 0, 19 * PAGE, 7 * PAGE));
		MUST(fallocate(fd, 0, 40 * PAGE, PAGE));
	}
	if (kind == 2)
		MUST(fallocate(fd, FALLOC_FL_KEEP_SIZE, 60 * PAGE, 12 * PAGE));
}

static void check(int fd, const struct stat *before)
{
	char data[5] = "";
	struct stat st;

	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_blocks, before->st_blocks);
	EXPECT_EQ(st.st_size, before->st_size);
	EXPECT_EQ(pread(fd, data, 4, 20 * PAGE), 4);
	EXPECT_STR(data, "data");
	for (int i = 0; i < 64; i++) {
		char page[PAGE];

		if (i == 20)
			continue;
		EXPECT_EQ(pread(fd, page, PAGE, i * PAGE), PAGE);
		for (int k = 0; k < PAGE; k++)
			EXPECT_EQ(page[k], 0);
	}
}

int main(void)
{
	static const char *const names[] = { "all", "some", "behind" };
	struct stat before[FILES];
	int fds[FILES];

	test_start();
	for (int i = 0; i < FILES; i++) {
		fds[i] = i < 3 ? (int)MUST(memfd_create(names[i], 0)) : make_deleted(names[i - 3]);
		fill(fds[i], i % 3);
		MUST(fstat(fds[i], &before[i]));
		EXPECT(before[i].st_blocks > PAGE / 512);
	}
	test_wait();
	for (int i = 0; i < FILES; i++)
		check(fds[i], &before[i]);
	return test_pass();
}
