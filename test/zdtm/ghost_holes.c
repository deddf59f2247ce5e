/* Nameless files with holes: what is data and what is a hole stays that, whatever the shape and size. */
#include "zdtmlib.h"

#include <sys/stat.h>

enum { PIECES = 64, FILES = 7 };

struct map {
	off_t ends[PIECES]; /* of holes and data in turn, beginning with data (perhaps none) */
	int count;
};

static void read_map(int fd, struct map *ret)
{
	struct stat st;
	off_t at = 0;

	memset(ret, 0, sizeof(*ret));
	MUST(fstat(fd, &st));
	while (at < st.st_size && ret->count < PIECES) {
		off_t next = lseek(fd, at, ret->count % 2 ? SEEK_DATA : SEEK_HOLE);

		if (next < 0) {
			EXPECT_EQ(errno, ENXIO);
			next = st.st_size;
		}
		ret->ends[ret->count++] = at = next;
	}
}

static int make(const char *name, off_t size)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT, 0600));

	MUST(ftruncate(fd, size));
	MUST(unlink(name));
	return fd;
}

/* Once it is written, which for many pieces takes blocks of its own to say where they are. */
static struct stat look(int fd)
{
	struct stat st;

	MUST(fsync(fd));
	MUST(fstat(fd, &st));
	return st;
}

static void put(int fd, off_t at)
{
	EXPECT_EQ(pwrite(fd, "data", 4, at), 4);
}

int main(void)
{
	struct map before[FILES], after;
	off_t sizes[FILES];
	blkcnt_t blocks[FILES];
	struct stat st;
	int fds[FILES];
	char text[4];

	test_start();
	fds[0] = make("small, hole first", 8192);
	put(fds[0], 4096);
	fds[1] = make("nothing but a hole", 100000);
	fds[2] = make("in turns", 1 << 20);
	for (int i = 0; i < 20; i++)
		put(fds[2], i * 32768 + 4096);
	fds[3] = make("hole at the end", 70001);
	put(fds[3], 0);
	fds[4] = make("data at the far end", ((off_t)1 << 33) + 4);
	put(fds[4], (off_t)1 << 33);
	fds[5] = make("no hole", 0);
	for (int i = 0; i < 20000; i += 4)
		put(fds[5], i);
	fds[6] = make("empty", 0);
	for (int i = 0; i < FILES; i++) {
		read_map(fds[i], &before[i]);
		st = look(fds[i]);
		sizes[i] = st.st_size;
		blocks[i] = st.st_blocks;
		MUST(lseek(fds[i], 0, SEEK_SET));
	}
	test_wait();
	for (int i = 0; i < FILES; i++) {
		st = look(fds[i]);
		EXPECT_EQ(st.st_size, sizes[i]);
		EXPECT_EQ(st.st_blocks, blocks[i]);
		read_map(fds[i], &after);
		EXPECT_EQ(after.count, before[i].count);
		for (int k = 0; k < after.count; k++)
			EXPECT_EQ(after.ends[k], before[i].ends[k]);
	}
	EXPECT_EQ(pread(fds[0], text, 4, 4096), 4);
	EXPECT_MEM(text, "data", 4);
	EXPECT_EQ(pread(fds[4], text, 4, (off_t)1 << 33), 4);
	EXPECT_MEM(text, "data", 4);
	return test_pass();
}
