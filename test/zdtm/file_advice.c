/*
 * Advice of posix_fadvise(2), which belongs to an open file: of what is read at random nothing is read ahead, of what
 * is read in sequence twice as much, what is used once is not marked as used. With a number as argument there are so
 * many descriptors more; with "overlay" the file lies on an overlay.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PAGE  4096
#define PAGES 2048

#define CALL_CACHESTAT 451

static char name[] = "advised";

static void make_file(const char *path)
{
	char page[PAGE];
	int fd = MUST(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));

	for (int i = 0; i < PAGES; i++) {
		memset(page, i, sizeof(page));
		EXPECT_EQ(write(fd, page, sizeof(page)), sizeof(page));
	}
	MUST(fsync(fd));
	MUST(close(fd));
}

static int advised(const char *path, int advice, int more)
{
	int fd = MUST(open(path, O_RDONLY));

	EXPECT_EQ(posix_fadvise(fd, 0, 0, advice), 0);
	if (more)
		EXPECT_EQ(posix_fadvise(fd, 0, 0, more), 0);
	return fd;
}

/* How many pages of a file are in memory, or on their way there. */
static int count_cached(int fd)
{
	const struct {
		uint64_t offset, bytes;
	} range = { 0, 0 };
	uint64_t found[5]; /* cached, dirty, being written, evicted, evicted of late */

	if (syscall(CALL_CACHESTAT, fd, &range, found, 0) < 0)
		test_skip("no cachestat(2): %s", strerror(errno));
	return (int)found[0];
}

/* Without the file's pages in memory it reads its beginning, in pieces of so many pages; so many are there then. */
static int read_ahead(const char *path, int fd, int bytes, int pieces)
{
	int other = MUST(open(path, O_RDONLY)), count;
	static char data[PAGES * PAGE];

	/* What is on its way cannot be dropped yet; what has no other place than memory never can. */
	for (int i = 0; i == 0 || count_cached(other); i++) {
		if (i == 5000)
			test_skip("the pages of a file are kept in memory here");
		EXPECT_EQ(posix_fadvise(other, 0, 0, POSIX_FADV_DONTNEED), 0);
		if (i > 10)
			usleep(1000);
	}
	for (int i = 0; i < pieces; i++)
		EXPECT_EQ(pread(fd, data, (size_t)bytes, (off_t)i * bytes), bytes);
	count = count_cached(other);
	MUST(close(other));
	return count;
}

static int read_pages(const char *path, int fd)
{
	return read_ahead(path, fd, PAGE, 10);
}

static int read_piece(const char *path, int fd, int pages)
{
	return read_ahead(path, fd, pages * PAGE, 1);
}

/* Whether a page that was mapped and read there counts as used (KPF_REFERENCED, KPF_ACTIVE) when it is not any more. */
static bool marks(const char *path, int fd)
{
	const int pagemap = MUST(open("/proc/self/pagemap", O_RDONLY)), other = MUST(open(path, O_RDONLY));
	const int flags = open("/proc/kpageflags", O_RDONLY);
	uint64_t entry, bits = 0;
	volatile char *mapped;

	if (flags < 0)
		test_skip("no /proc/kpageflags: %s", strerror(errno));
	EXPECT_EQ(posix_fadvise(other, 0, 0, POSIX_FADV_DONTNEED), 0);
	mapped = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	(void)*mapped;
	EXPECT_EQ(pread(pagemap, &entry, 8, (off_t)((uintptr_t)mapped / PAGE * 8)), 8);
	MUST(munmap((void *)mapped, PAGE));
	EXPECT_EQ(pread(flags, &bits, 8, (off_t)((entry & ((1ull << 55) - 1)) * 8)), 8);
	MUST(close(pagemap));
	MUST(close(other));
	MUST(close(flags));
	return bits >> 2 & 1 || bits >> 6 & 1;
}

static void have_descriptors(int count)
{
	struct rlimit limit;

	MUST(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < count; i++)
		MUST(open("/dev/null", O_RDONLY));
}

static void mount_overlay(void)
{
	MUST(mkdir("lower", 0755));
	MUST(mkdir("upper", 0755));
	MUST(mkdir("work", 0755));
	MUST(mkdir("merged", 0755));
	make_file("lower/advised");
	if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0)
		test_skip("no overlayfs: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	const bool overlay = argc > 1 && !strcmp(argv[1], "overlay");
	const char *path = overlay ? "merged/advised" : name;
	const char *behind = overlay ? "lower/advised" : name;
	int plain, random, sequential, both, once, far, near, piece = 1;

	test_start();
	if (overlay)
		mount_overlay();
	else
		make_file(path);
	if (argc > 1 && !overlay)
		have_descriptors(atoi(argv[1]));
	plain = advised(path, POSIX_FADV_NORMAL, 0);
	random = advised(path, POSIX_FADV_RANDOM, 0);
	sequential = advised(path, POSIX_FADV_SEQUENTIAL, 0);
	both = advised(path, POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM);
	once = advised(path, POSIX_FADV_NOREUSE, 0);
	while (piece < PAGES / 2 && read_piece(behind, plain, piece) == read_piece(behind, sequential, piece))
		piece *= 2;
	near = read_piece(behind, plain, piece);
	far = read_piece(behind, sequential, piece);
	if (near == far || read_pages(behind, plain) == 10)
		test_skip("nothing is read ahead here");
	EXPECT_EQ(read_pages(behind, random), 10);
	EXPECT_EQ(marks(behind, plain), true);
	if (marks(behind, once))
		test_skip("POSIX_FADV_NOREUSE does nothing");
	test_wait();
	EXPECT_EQ(read_pages(behind, random), 10);
	EXPECT_EQ(read_pages(behind, both), 10);
	EXPECT(read_pages(behind, plain) > 10);
	EXPECT(read_pages(behind, once) > 10);
	EXPECT_EQ(read_piece(behind, plain, piece), near);
	EXPECT_EQ(read_piece(behind, sequential, piece), far);
	EXPECT_EQ(posix_fadvise(random, 0, 0, POSIX_FADV_NORMAL), 0);
	EXPECT(read_pages(behind, random) > 10);
	EXPECT_EQ(marks(behind, plain), true);
	EXPECT_EQ(marks(behind, once), false);
	return test_pass();
}
