/* A memfd: open twice, mapped shared and private, seals, size, offset, name, and shared with a child. */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/stat.h>

static char *shared;

static void child(void *arg)
{
	(void)arg;
	child_wait();
	shared[100] = 'c';
}

int main(void)
{
	const struct timespec times[2] = { { 1000000000, 123456789 }, { 1100000000, 987654321 } };
	char *private, link[64];
	struct stat st, again;
	int fd, copy, reopened, sealed;
	pid_t pid;
	ssize_t n;

	test_start();
	fd = MUST(memfd_create("a name", MFD_ALLOW_SEALING | MFD_CLOEXEC));
	MUST(ftruncate(fd, 3 * 65536 + 5));
	MUST(fchmod(fd, 0640));
	copy = MUST(dup(fd));
	reopened = MUST(open("/proc/self/fd/3", O_RDONLY));
	shared = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	private = MUST(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 65536));
	test_pattern(shared, 8192, 1);
	test_pattern(private, 4096, 2);
	EXPECT_EQ(pwrite(fd, "0123456789", 10, 3 * 65536 - 5), 10);
	MUST(lseek(fd, 77, SEEK_SET));
	MUST(lseek(reopened, 99, SEEK_SET));
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
	sealed = MUST(memfd_create("little", MFD_ALLOW_SEALING));
	EXPECT_EQ(pwrite(sealed, "little", 6, 0), 6);
	MUST(futimens(sealed, times));
	MUST(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
	MUST(futimens(fd, times));
	pid = test_fork(child, NULL);
	test_wait();
	MUST(fstat(sealed, &st));
	EXPECT_EQ(st.st_atim.tv_sec, times[0].tv_sec);
	EXPECT_EQ(st.st_atim.tv_nsec, times[0].tv_nsec);
	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_mtim.tv_sec, times[1].tv_sec);
	EXPECT_EQ(st.st_mtim.tv_nsec, times[1].tv_nsec);
	EXPECT_PATTERN(shared, 8192, 1);
	EXPECT_PATTERN(private, 4096, 2);
	EXPECT_EQ(private[4096], 0);
	test_end_child(pid);
	EXPECT_EQ(shared[100], 'c');
	EXPECT_EQ(lseek(copy, 0, SEEK_CUR), 77);
	EXPECT_EQ(lseek(reopened, 0, SEEK_CUR), 99);
	MUST(fstat(fd, &st));
	MUST(fstat(reopened, &again));
	EXPECT_EQ(st.st_size, 3 * 65536 + 5);
	EXPECT_EQ(st.st_mode & 07777, 0640);
	EXPECT_EQ(again.st_ino, st.st_ino);
	EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
	EXPECT_EQ(fcntl(sealed, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SEAL);
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(copy, F_GETFD), 0);
	EXPECT_EQ(fcntl(reopened, F_GETFL) & O_ACCMODE, O_RDONLY);
	n = readlink("/proc/self/fd/3", link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	EXPECT_STR(link, "/memfd:a name (deleted)");
	return test_pass();
}
