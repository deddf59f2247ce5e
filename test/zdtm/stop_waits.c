/*
 * Stopped inside of calls that wait with a signal mask of their own, by processes and by a second thread: that mask is
 * what is seen of them as long as they are stopped, and behind the call they have their other one again.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>

static volatile sig_atomic_t taken;

static struct word {
	volatile int tid;
} * words;

static void take(int signo)
{
	taken = signo;
}

static uint64_t bit(int signo)
{
	return 1ull << (signo - 1);
}

static void in_sigsuspend(const sigset_t *mask)
{
	(void)sigsuspend(mask);
}

static void in_ppoll(const sigset_t *mask)
{
	EXPECT_EQ(ppoll(NULL, 0, NULL, mask), -1);
}

static void in_ppoll_limited(const sigset_t *mask)
{
	const struct timespec limit = { .tv_sec = 1000 };

	EXPECT_EQ(ppoll(NULL, 0, &limit, mask), -1);
}

static void in_pselect(const sigset_t *mask)
{
	EXPECT_EQ(pselect(0, NULL, NULL, NULL, NULL, mask), -1);
}

static void in_epoll_pwait(const sigset_t *mask)
{
	struct epoll_event event;

	EXPECT_EQ(epoll_pwait(MUST(epoll_create1(0)), &event, 1, -1, mask), -1);
}

static void (*const waits[])(const sigset_t *mask) = { in_sigsuspend, in_ppoll, in_ppoll_limited, in_pselect,
						       in_epoll_pwait };
enum { COUNT = sizeof(waits) / sizeof(waits[0]), WITH_THREAD = COUNT };

/* Waits for SIGUSR1, which is blocked outside of the call; SIGUSR2 is inside. */
static void wait_for_signal(void (*wait)(const sigset_t *mask), struct word *word)
{
	sigset_t outside, inside;

	sigemptyset(&outside);
	sigaddset(&outside, SIGTERM);
	sigaddset(&outside, SIGUSR1);
	EXPECT_EQ(pthread_sigmask(SIG_SETMASK, &outside, NULL), 0);
	inside = outside;
	sigdelset(&inside, SIGUSR1);
	sigaddset(&inside, SIGUSR2);
	test_post(&word->tid, gettid());
	wait(&inside);
	EXPECT_EQ(errno, EINTR);
	EXPECT_EQ(taken, SIGUSR1);
	EXPECT_EQ(pthread_sigmask(SIG_SETMASK, NULL, &inside), 0);
	EXPECT_MEM(&inside, &outside, sizeof(uint64_t));
}

static void child(void *arg)
{
	const long i = (long)arg;

	signal(SIGUSR1, take);
	child_ready();
	wait_for_signal(waits[i], &words[i]);
}

static void *act(void *arg)
{
	wait_for_signal(in_sigsuspend, &words[WITH_THREAD]);
	return arg;
}

static void child_with_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	signal(SIGUSR1, take);
	EXPECT_EQ(pthread_create(&thread, NULL, act, NULL), 0);
	child_ready();
	EXPECT_EQ(pthread_join(thread, NULL), 0);
}

static uint64_t mask_of(pid_t pid, pid_t tid)
{
	char path[64], text[32] = "";
	const char *found;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	found = strstr(test_slurp(path), "SigBlk:");
	EXPECT(found && sscanf(found, "SigBlk: %31s", text) == 1);
	return strtoull(text, NULL, 16);
}

static void check_masks(const pid_t *pids)
{
	for (int i = 0; i <= COUNT; i++)
		EXPECT_EQ(mask_of(pids[i], words[i].tid), bit(SIGTERM) | bit(SIGUSR2));
	EXPECT_EQ(mask_of(pids[WITH_THREAD], pids[WITH_THREAD]), bit(SIGTERM));
}

int main(void)
{
	pid_t pids[COUNT + 1];
	int status;

	test_start();
	words = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (long i = 0; i <= COUNT; i++) {
		pids[i] = i == WITH_THREAD ? test_fork(child_with_thread, NULL) : test_fork(child, (void *)i);
		test_await(&words[i].tid, 1);
		test_until_asleep(pids[i], words[i].tid);
	}
	test_until_asleep(pids[WITH_THREAD], pids[WITH_THREAD]);
	for (int i = 0; i <= COUNT; i++) {
		MUST(kill(pids[i], SIGSTOP));
		EXPECT_EQ(waitpid(pids[i], &status, WUNTRACED), pids[i]);
		EXPECT(WIFSTOPPED(status));
	}
	check_masks(pids);
	test_wait();
	check_masks(pids);
	for (int i = 0; i <= COUNT; i++) {
		MUST(kill(pids[i], SIGCONT));
		MUST(syscall(SYS_tgkill, pids[i], words[i].tid, SIGUSR1));
		EXPECT_EQ(test_reap(pids[i]), 0);
	}
	return test_pass();
}
