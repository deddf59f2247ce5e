/*
 * Memory devices: null, zero, full, random, urandom; each still does what it does, also by a node of another name and
 * by one that was unlinked. Private and shared mappings of zero. Loop control and KVM, which only make other files.
 */
#include "zdtmlib.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int main(void)
{
	int null, zero, full, random, urandom, node, gone, loop, kvm;
	struct stat st;
	char *private, *shared;
	uint64_t words[2] = { 0 };

	test_start();
	null = MUST(open("/dev/null", O_RDWR));
	zero = MUST(open("/dev/zero", O_RDWR));
	full = MUST(open("/dev/full", O_RDWR | O_CLOEXEC));
	random = MUST(open("/dev/random", O_RDONLY | O_NONBLOCK));
	urandom = MUST(open("/dev/urandom", O_RDONLY));
	MUST(mknod("node", S_IFCHR | 0600, makedev(1, 7)));
	MUST(mknod("gone", S_IFCHR | 0640, makedev(1, 5)));
	node = MUST(open("node", O_RDWR | O_APPEND));
	gone = MUST(open("gone", O_RDONLY));
	MUST(unlink("gone"));
	loop = open("/dev/loop-control", O_RDWR);
	kvm = open("/dev/kvm", O_RDWR);
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
	EXPECT_EQ(write(node, words, 8), -1);
	EXPECT_EQ(errno, ENOSPC);
	EXPECT_EQ(fcntl(node, F_GETFL) & (O_ACCMODE | O_APPEND), O_RDWR | O_APPEND);
	EXPECT_EQ(read(gone, words, 8), 8);
	EXPECT_EQ(words[0], 0);
	MUST(fstat(gone, &st));
	EXPECT_EQ(st.st_rdev, makedev(1, 5));
	EXPECT_EQ(st.st_mode, S_IFCHR | 0640);
	EXPECT_EQ(st.st_nlink, 0);
	if (loop >= 0) {
		MUST(fstat(loop, &st));
		EXPECT_EQ(st.st_rdev, makedev(10, 237));
	}
	if (kvm >= 0)
		EXPECT_EQ(ioctl(kvm, KVM_GET_API_VERSION, 0), 12);
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
