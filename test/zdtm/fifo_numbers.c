/* Two fifos with one inode number, on two filesystems: the image could not tell them apart. */
#include "zdtmlib.h"

#include <sys/mount.h>
#include <sys/stat.h>

static ino_t open_fifo(const char *directory)
{
	struct stat st;
	int fd;

	MUST(mkdir(directory, 0700));
	if (mount("zdtm", directory, "tmpfs", 0, "size=64k") < 0)
		test_skip("mount a tmpfs: %s", strerror(errno));
	MUST(chdir(directory));
	MUST(mkfifo("fifo", 0600));
	fd = MUST(open("fifo", O_RDWR | O_NONBLOCK));
	MUST(chdir(".."));
	MUST(fstat(fd, &st));
	return st.st_ino;
}

int main(void)
{
	ino_t first, second;

	test_start();
	first = open_fifo("one");
	second = open_fifo("other");
	if (first != second)
		test_skip("inodes of a new tmpfs are numbered %lu and %lu", first, second);
	test_wait();
	return test_pass();
}
