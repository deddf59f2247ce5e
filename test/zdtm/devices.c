/* Memory devices: null, zero, full, random, urandom; each still does what it does. Private and shared mappings of zero.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

int main(void)
{
	int null, zero, full, random, urandom;
	char *private, *shared;
	uint64_t words[2] = { 0 };

	test_start();
	null = MUST(open("/dev/null", O_RDWR));
	zero = MUST(open("/dev/zero", O_RDWR));
	full = MUST(open("/dev/full", O_RDWR | O_CLOEXEC));
	random = MUST(open("/dev/random", O_RDONLY | O_NONBLOCK));
	urandom = MUST(open("/dev/urandom", O_RDONLY));
	private = MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0));
	shared = MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0));
	test_pattern(private, 4096, 1);
	test_pattern(shared, 4096, 2);
	test_wait();
	EXPECT_EQ(write(null, words, 8), 8);
	EXPECT_EQ(read(null, words, 8), 0);
	words[0] = 1;
	EXPECT_EQ(read(zero, words, 8), 8);
	EXPECT_EQ(words[0], 0);
	EXPECT_EQ(write(full, words, 8), -1);
	EXPECT_EQ(errno, ENOSPC);
	EXPECT_EQ(fcntl(full, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(read(urandom, words, 16), 16);
	EXPECT(words[0] != words[1]);
	EXPECT(read(random, words, 8) > 0);
	EXPECT_EQ(fcntl(random, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_PATTERN(private, 4096, 1);
	EXPECT_PATTERN(shared, 4096, 2);
	EXPECT_EQ(private[4096], 0);
	return test_pass();
}
