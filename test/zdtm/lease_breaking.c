/*
 * Leases: kept, and being broken. Who holds one that is being broken was told before the dump and is not told again,
 * and who breaks it still waits for it to be given up.
 */
#include "zdtmlib.h"

#include <sys/wait.h>

static int new_lease(const char *name, int flags, int type, int broken_by)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT, 0600));

	MUST(close(fd));
	fd = MUST(open(name, flags));
	MUST(fcntl(fd, F_SETLEASE, type));
	MUST(fcntl(fd, F_SETSIG, SIGRTMIN));
	if (broken_by < 0)
		return fd;
	EXPECT_EQ(open(name, broken_by | O_NONBLOCK), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	return fd;
}

/* The signal that tells of the break of fd, or none. */
static int told_of(const sigset_t *signals)
{
	struct timespec at_once = { 0 };
	siginfo_t info;

	return sigtimedwait(signals, &info, &at_once) < 0 ? -1 : info.si_fd;
}

static void expect_breaking(const char *name, int fd, int type, int flags)
{
	EXPECT_EQ(fcntl(fd, F_GETLEASE), type);
	EXPECT_EQ(open(name, flags | O_NONBLOCK), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	MUST(fcntl(fd, F_SETLEASE, F_UNLCK));
	MUST(open(name, flags | O_NONBLOCK));
}

int main(void)
{
	int kept, to_read, to_none, told;
	struct f_owner_ex owner;
	sigset_t signals;

	test_start();
	MUST(sigemptyset(&signals));
	MUST(sigaddset(&signals, SIGRTMIN));
	MUST(sigprocmask(SIG_BLOCK, &signals, NULL));
	kept = new_lease("kept", O_RDONLY, F_RDLCK, -1);
	to_read = new_lease("to-read", O_RDWR, F_WRLCK, O_RDONLY);
	told = new_lease("told", O_RDONLY, F_RDLCK, O_WRONLY);
	EXPECT_EQ(told_of(&signals), to_read);
	EXPECT_EQ(told_of(&signals), told);
	to_none = new_lease("to-none", O_RDWR, F_WRLCK, O_WRONLY);
	test_wait();
	EXPECT_EQ(told_of(&signals), to_none);
	EXPECT_EQ(told_of(&signals), -1);
	EXPECT_EQ(fcntl(kept, F_GETLEASE), F_RDLCK);
	MUST(fcntl(told, F_GETOWN_EX, &owner));
	EXPECT_EQ(owner.pid, getpid());
	EXPECT_EQ(fcntl(told, F_GETSIG), SIGRTMIN);
	expect_breaking("to-read", to_read, F_RDLCK, O_RDONLY);
	expect_breaking("to-none", to_none, F_UNLCK, O_WRONLY);
	expect_breaking("told", told, F_UNLCK, O_WRONLY);
	EXPECT_EQ(told_of(&signals), -1);
	return test_pass();
}
