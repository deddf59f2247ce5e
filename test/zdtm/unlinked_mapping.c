/* Mappings of a file that was removed and is open nowhere: shared and private contents live on. */
#include "zdtmlib.h"

#include <sys/mman.h>

int main(void)
{
	char *shared, *private;
	int fd;

	test_start();
	fd = MUST(open("doomed", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(fd, 65536));
	shared = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	private = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	test_pattern(shared, 16384, 1);
	test_pattern(private + 8192, 4096, 2);
	close(fd);
	MUST(unlink("doomed"));
	test_wait();
	EXPECT_PATTERN(shared, 16384, 1);
	EXPECT_PATTERN(private + 8192, 4096, 2);
	shared[20000] = 'z';
	EXPECT_EQ(private[20000], 'z');
	EXPECT_EQ(access("doomed", F_OK), -1);
	EXPECT_EQ(errno, ENOENT);
	return test_pass();
}
