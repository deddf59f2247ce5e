/*
 * Leases for writing on files that are mapped as well: the kernel gives one only while nothing else is open of the
 * file, so the mappings are of the description that holds it, in its process and in a child. Neither dump nor restore
 * opens the file and breaks the lease, be it a file with holes that has no name any more, and one for which a build-id
 * is looked for. Once it is given up, the program gets it again.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define BYTES 900000

static struct {
	const char *name;
	int fd, flags, prot;
	const char *memory;
} leased[] = {
	{ .name = "private", .flags = MAP_PRIVATE, .prot = PROT_READ | PROT_EXEC },
	{ .name = "shared", .flags = MAP_SHARED, .prot = PROT_READ | PROT_WRITE },
	{ .name = "gone", .flags = MAP_SHARED, .prot = PROT_READ },
};

#define COUNT (sizeof(leased) / sizeof(leased[0]))

static void child(void *arg)
{
	(void)arg;
	child_wait();
	for (size_t i = 0; i < COUNT; i++)
		EXPECT_EQ(leased[i].memory[4095], 'x');
}

static void make(size_t i)
{
	int fd = leased[i].fd = MUST(open(leased[i].name, O_RDWR | O_CREAT, 0600));

	EXPECT_EQ(pwrite(fd, "x", 1, 4095), 1);
	EXPECT_EQ(pwrite(fd, "y", 1, BYTES - 1), 1);
	leased[i].memory = mmap(NULL, BYTES, leased[i].prot, leased[i].flags, fd, 0);
	EXPECT(leased[i].memory != MAP_FAILED);
	MUST(lseek(fd, 5, SEEK_SET));
}

static int told_of(const sigset_t *signals)
{
	struct timespec at_once = { 0 };
	siginfo_t info;

	return sigtimedwait(signals, &info, &at_once) < 0 ? -1 : info.si_fd;
}

int main(void)
{
	sigset_t signals;
	pid_t pid;

	test_start();
	MUST(sigemptyset(&signals));
	MUST(sigaddset(&signals, SIGRTMIN));
	MUST(sigprocmask(SIG_BLOCK, &signals, NULL));
	for (size_t i = 0; i < COUNT; i++)
		make(i);
	MUST(unlink("gone"));
	pid = test_fork(child, NULL);
	for (size_t i = 0; i < COUNT; i++) {
		MUST(fcntl(leased[i].fd, F_SETSIG, SIGRTMIN));
		MUST(fcntl(leased[i].fd, F_SETLEASE, F_WRLCK));
	}
	test_wait();
	EXPECT_EQ(told_of(&signals), -1);
	for (size_t i = 0; i < COUNT; i++) {
		int fd = leased[i].fd;
		char last = 0;

		EXPECT_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
		EXPECT_EQ(leased[i].memory[4095], 'x');
		EXPECT_EQ(leased[i].memory[BYTES - 1], 'y');
		EXPECT_EQ(pread(fd, &last, 1, BYTES - 1), 1);
		EXPECT_EQ(last, 'y');
		EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 5);
		EXPECT_EQ(fcntl(fd, F_GETSIG), SIGRTMIN);
		MUST(fcntl(fd, F_SETLEASE, F_UNLCK));
		MUST(fcntl(fd, F_SETSIG, SIGRTMIN));
		MUST(fcntl(fd, F_SETLEASE, F_WRLCK));
	}
	EXPECT_EQ(open("shared", O_RDONLY | O_NONBLOCK), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	EXPECT_EQ(told_of(&signals), leased[1].fd);
	test_end_child(pid);
	return test_pass();
}
