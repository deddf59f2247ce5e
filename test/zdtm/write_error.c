/*
 * Data that could not be written to the disk, of which one descriptor has been told and another one not yet: refused,
 * and told by fsync(2) as if nothing had happened. "small": of a small file, with a large one beside it. With a number
 * there are so many descriptors more. "told": once all have been told there is nothing to keep.
 */
#include "zdtmlib.h"

#include <sys/resource.h>

#define PIECE 65536

/* A disk that has less space than it says. */
static void mount_disk(void)
{
	if (system("exec >/dev/null 2>&1; PATH=$PATH:/usr/sbin:/sbin; mkdir behind mounted && "
		   "mount -t tmpfs -o size=3m none behind && truncate -s 64M behind/disk && "
		   "mkfs.ext4 -q -F -O ^has_journal -E nodiscard behind/disk && mount -o loop behind/disk mounted") !=
	    0)
		test_skip("cannot make and mount a filesystem");
}

static int open_file(const char *name)
{
	return MUST(open(name, O_RDWR | O_CREAT, 0600));
}

static void fill(int fd, int pieces)
{
	static char data[PIECE];

	memset(data, 7, sizeof(data));
	for (int i = 0; i < pieces; i++)
		EXPECT_EQ(write(fd, data, sizeof(data)), sizeof(data));
}

/* True: it was told of an error. */
static bool is_told(int fd)
{
	return fsync(fd) < 0 && (errno == EIO || errno == ENOSPC);
}

static void make_many(int count)
{
	struct rlimit limit = { (rlim_t)count + 100, (rlim_t)count + 100 };

	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < count; i++)
		MUST(open("/dev/null", O_RDONLY));
}

int main(int argc, char **argv)
{
	const char *arg = argc > 1 ? argv[1] : "";
	int told, untold, other = -1, other_untold = -1;

	test_start();
	mount_disk();
	told = open_file("mounted/file");
	untold = open_file("mounted/file");
	if (strcmp(arg, "small") == 0) {
		other = open_file("mounted/small");
		other_untold = open_file("mounted/small");
	}
	make_many(atoi(arg));
	fill(told, 128);
	if (!is_told(told))
		test_skip("everything can be written back here");
	if (other >= 0) {
		EXPECT_EQ(write(other, "small", 5), 5);
		if (!is_told(other))
			test_skip("a small file can be written back here");
		MUST(close(untold));
		untold = other_untold;
	}
	if (strcmp(arg, "told") == 0)
		EXPECT(is_told(untold));

	test_wait();
	if (strcmp(arg, "told") != 0 && strcmp(arg, "lost") != 0)
		EXPECT(is_told(untold));
	return test_pass();
}
