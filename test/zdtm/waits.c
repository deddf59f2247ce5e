/*
 * One child per way to wait, each inside its system call across the dump. Nothing may come back early, with an error
 * or late: every child is then woken by what it waits for, or by its own timeout that began long before.
 */
#include "zdtmlib.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <time.h>

static int pipe_fds[2];
static uint32_t *word;
static struct timespec begun;

static double since_begun(void)
{
	struct timespec now;

	MUST(clock_gettime(CLOCK_MONOTONIC, &now));
	return now.tv_sec - begun.tv_sec + (now.tv_nsec - begun.tv_nsec) / 1e9;
}

static void in_pause(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	MUST(sigprocmask(SIG_SETMASK, &mask, NULL));
	child_ready();
	EXPECT_EQ(pause(), -1);
	EXPECT_EQ(errno, EINTR);
	EXPECT(test_told());
}

/* Long enough to span the checkpoint on a slow machine, short enough to end by itself. */
static struct timespec nap;

static void in_nanosleep(void)
{
	struct timespec rest = { 0 };

	child_ready();
	EXPECT_EQ(nanosleep(&nap, &rest), 0);
	EXPECT(since_begun() >= nap.tv_sec);
}

static void in_absolute_sleep(void)
{
	struct timespec until = begun;

	until.tv_sec += nap.tv_sec;
	child_ready();
	EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
	EXPECT(since_begun() >= nap.tv_sec);
}

static void in_poll_timeout(void)
{
	struct pollfd entry = { .fd = pipe_fds[1], .events = POLLIN };

	child_ready();
	EXPECT_EQ(poll(&entry, 1, (int)nap.tv_sec * 1000), 0);
	EXPECT(since_begun() >= nap.tv_sec);
}

static void in_poll(void)
{
	struct pollfd entry = { .fd = pipe_fds[0], .events = POLLIN };

	child_ready();
	EXPECT_EQ(poll(&entry, 1, -1), 1);
	EXPECT_EQ(entry.revents & POLLIN, POLLIN);
}

static void in_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(pipe_fds[0], &set);
	child_ready();
	EXPECT_EQ(select(pipe_fds[0] + 1, &set, NULL, NULL, NULL), 1);
	EXPECT(FD_ISSET(pipe_fds[0], &set));
}

static void in_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x1122334455667788 };
	int fd = MUST(epoll_create1(0));

	MUST(epoll_ctl(fd, EPOLL_CTL_ADD, pipe_fds[0], &event));
	event.data.u64 = 0;
	child_ready();
	EXPECT_EQ(epoll_wait(fd, &event, 1, -1), 1);
	EXPECT_EQ(event.data.u64, 0x1122334455667788);
}

static void in_read(void)
{
	char byte = 0;

	child_ready();
	EXPECT_EQ(read(pipe_fds[0], &byte, 1), 1);
	EXPECT_EQ(byte, '!');
}

static void in_futex(void)
{
	child_ready();
	EXPECT_EQ(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL), 0);
	EXPECT_EQ(*word, 1);
}

static void in_futex_timeout(void)
{
	child_ready();
	EXPECT_EQ(syscall(SYS_futex, word + 1, FUTEX_WAIT, 0, &nap), -1);
	EXPECT_EQ(errno, ETIMEDOUT);
	EXPECT(since_begun() >= nap.tv_sec);
}

static void in_sigwait(void)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	child_ready();
	EXPECT_EQ(sigwaitinfo(&set, &info), SIGTERM);
	EXPECT_EQ(info.si_pid, getppid());
}

static void in_waitpid(void)
{
	pid_t pid = MUST(fork());
	int status;

	if (pid == 0) {
		nanosleep(&nap, NULL);
		_exit(23);
	}
	child_ready();
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 23 << 8);
}

static const struct wait {
	void (*act)(void);
	bool needs_term;
} waits[] = {
	{ in_pause, true },  { in_nanosleep, false },     { in_absolute_sleep, false }, { in_poll_timeout, false },
	{ in_poll, false },  { in_select, false },        { in_epoll, false },          { in_read, false },
	{ in_futex, false }, { in_futex_timeout, false }, { in_sigwait, true },         { in_waitpid, false },
};
enum { COUNT = sizeof(waits) / sizeof(waits[0]) };

static void child(void *arg)
{
	const struct wait *wait = arg;

	wait->act();
}

int main(void)
{
	pid_t pids[COUNT];

	test_start();
	nap.tv_sec = test_nap_s();
	MUST(pipe(pipe_fds));
	word = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(clock_gettime(CLOCK_MONOTONIC, &begun));
	for (int i = 0; i < COUNT; i++)
		pids[i] = test_fork(child, (void *)&waits[i]);
	for (int i = 0; i < COUNT; i++)
		test_until_asleep(pids[i], pids[i]);
	test_wait();
	/*
	 * Whoever was interrupted has to be on the machine once more to wait again: neither may the word change before,
	 * nor may a signal come that pause() is to wait for.
	 */
	for (int i = 0; i < COUNT; i++)
		if (waits[i].act == in_futex || waits[i].act == in_pause)
			test_until_asleep(pids[i], pids[i]);
	*word = 1;
	EXPECT_EQ(syscall(SYS_futex, word, FUTEX_WAKE, 100), 1);
	for (int i = 0; i < COUNT; i++) {
		if (waits[i].needs_term)
			MUST(kill(pids[i], SIGTERM));
	}
	EXPECT_EQ(write(pipe_fds[1], "!!!!!!!!", 8), 8);
	for (int i = 0; i < COUNT; i++) {
		int status = test_reap(pids[i]);

		if (status)
			FAIL("wait number %d: expected status 0, found %#x", i, status);
	}
	return test_pass();
}
