/* A private mapping of a file: some pages copied by a write, others still the file's; offset and length not the whole
 * file. */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE 4096UL

int main(void)
{
	static char contents[16 * PAGE];
	struct stat before, after;
	char *base, *ro;
	int fd;

	test_start();
	test_pattern(contents, sizeof(contents), 1);
	fd = MUST(open("data", O_RDWR | O_CREAT | O_TRUNC, 0640));
	EXPECT_EQ(write(fd, contents, sizeof(contents) - 100), sizeof(contents) - 100);
	base = MUST(mmap(NULL, 12 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4 * PAGE));
	ro = MUST(mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
	for (int i = 0; i < 12; i += 2)
		test_pattern(base + i * PAGE, PAGE, 10 + i);
	EXPECT_EQ(ro[0], contents[0]);
	MUST(fstat(fd, &before));
	close(fd);
	test_wait();
	for (int i = 0; i < 11; i++) {
		if (i % 2 == 0)
			EXPECT_PATTERN(base + i * PAGE, PAGE, 10 + i);
		else
			EXPECT_MEM(base + i * PAGE, contents + (4 + i) * PAGE, PAGE);
	}
	EXPECT_MEM(base + 11 * PAGE, contents + 15 * PAGE, PAGE - 100);
	EXPECT_MEM(ro, contents, 4 * PAGE);
	fd = MUST(open("data", O_RDWR));
	MUST(fstat(fd, &after));
	EXPECT_EQ(after.st_ino, before.st_ino);
	EXPECT_EQ(after.st_size, before.st_size);
	/* A page that is still the file's follows the file; a copied one does not. */
	EXPECT_EQ(pwrite(fd, "#", 1, 5 * PAGE), 1);
	EXPECT_EQ(pwrite(fd, "#", 1, 4 * PAGE), 1);
	EXPECT_EQ(base[PAGE], '#');
	EXPECT_PATTERN(base, PAGE, 10);
	return test_pass();
}
