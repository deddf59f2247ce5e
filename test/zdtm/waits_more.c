/*
 * More ways to wait, one child each, inside its system call across the dump. Nothing may come back early or with an
 * error: each child is woken afterwards by what it waits for, or by a point in time.
 */
#include "zdtmlib.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

struct futex_waiter {
	uint64_t value, address;
	uint32_t flags, reserved;
};

enum { WORD_WAITV, WORD_PI, WORD_REQUEUE, WORD_REQUEUE_PI, WORD_BITSET, WORD_RAW, WORDS };

/* What each child waits for belongs to the parent. */
static int byte_pipe[2], full_pipe[2], splice_from[2], splice_to[2], event, terminal, terminal_slave, locked, owned;
static uint32_t *words;
static int semaphores = -1, queue = -1;

static struct timespec in_a_while(clockid_t clock)
{
	struct timespec until;

	MUST(clock_gettime(clock, &until));
	until.tv_sec += test_nap_s();
	return until;
}

static void expect_later_than(clockid_t clock, const struct timespec *until)
{
	struct timespec now;

	MUST(clock_gettime(clock, &now));
	EXPECT(now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec));
}

/* --- descriptors ------------------------------------------------------------------------------------------------- */

static void in_eventfd(void)
{
	uint64_t value = 0;

	child_ready();
	EXPECT_EQ(read(event, &value, 8), 8);
	EXPECT_EQ(value, 7);
}

static void in_timerfd(void)
{
	struct itimerspec set = { .it_value.tv_sec = test_nap_s() };
	int fd = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	uint64_t value = 0;

	MUST(timerfd_settime(fd, 0, &set, NULL));
	child_ready();
	EXPECT_EQ(read(fd, &value, 8), 8);
	EXPECT_EQ(value, 1);
}

static void in_signalfd(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	fd = MUST(signalfd(-1, &set, 0));
	child_ready();
	EXPECT_EQ(read(fd, &info, sizeof(info)), sizeof(info));
	EXPECT_EQ(info.ssi_signo, SIGTERM);
}

static void in_inotify(void)
{
	char record[sizeof(struct inotify_event) + 256];
	int fd = MUST(inotify_init1(0));

	MUST(inotify_add_watch(fd, "watched", IN_CREATE));
	child_ready();
	EXPECT(read(fd, record, sizeof(record)) > 0);
	EXPECT_STR(((struct inotify_event *)record)->name, "new");
}

static void in_terminal(void)
{
	char line[16] = "";

	child_ready();
	EXPECT_EQ(read(terminal_slave, line, sizeof(line)), 3);
	EXPECT_STR(line, "ok\n");
}

static void in_write(void)
{
	child_ready();
	EXPECT_EQ(write(full_pipe[1], "more", 4), 4);
}

static void in_readv(void)
{
	char bytes[2] = "";

	child_ready();
	EXPECT_EQ(read(byte_pipe[0], bytes, 1), 1);
	EXPECT_EQ(bytes[0], '!');
}

static void in_splice(void)
{
	child_ready();
	EXPECT_EQ(splice(splice_from[0], NULL, splice_to[1], NULL, 1, 0), 1);
}

static void in_tee(void)
{
	child_ready();
	EXPECT_EQ(tee(splice_to[0], byte_pipe[1], 1, 0), 1);
}

static void in_fifo_open(void)
{
	int fd;

	child_ready();
	fd = open("fifo", O_RDONLY);
	EXPECT(fd >= 0);
}

static void in_flock(void)
{
	int fd = MUST(open("locked", O_RDWR));

	child_ready();
	EXPECT_EQ(flock(fd, LOCK_EX), 0);
}

static void in_posix_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK };

	child_ready();
	EXPECT_EQ(fcntl(owned, F_SETLKW, &lock), 0);
}

static void in_ofd_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	int fd = MUST(open("owned", O_RDWR));

	child_ready();
	EXPECT_EQ(fcntl(fd, F_OFD_SETLKW, &lock), 0);
}

/* --- several descriptors ----------------------------------------------------------------------------------------- */

static void in_raw_poll(void)
{
	struct pollfd entry = { .fd = splice_from[0], .events = POLLIN };

	child_ready();
	EXPECT_EQ(syscall(SYS_poll, &entry, 1, -1), 1);
}

static void in_ppoll(void)
{
	struct pollfd entry = { .fd = splice_from[0], .events = POLLIN };
	sigset_t mask;

	sigfillset(&mask);
	child_ready();
	EXPECT_EQ(ppoll(&entry, 1, NULL, &mask), 1);
}

static void in_pselect(void)
{
	sigset_t mask;
	fd_set set;

	FD_ZERO(&set);
	FD_SET(splice_from[0], &set);
	sigfillset(&mask);
	child_ready();
	EXPECT_EQ(pselect(splice_from[0] + 1, &set, NULL, NULL, NULL, &mask), 1);
	EXPECT(FD_ISSET(splice_from[0], &set));
}

static int make_epoll(void)
{
	struct epoll_event interest = { .events = EPOLLIN, .data.u32 = 5 };
	int fd = MUST(epoll_create1(0));

	MUST(epoll_ctl(fd, EPOLL_CTL_ADD, splice_from[0], &interest));
	return fd;
}

static void in_epoll_wait_long(void)
{
	struct epoll_event found = { 0 };
	int fd = make_epoll();

	child_ready();
	EXPECT_EQ(epoll_wait(fd, &found, 1, 1000000), 1);
	EXPECT_EQ(found.data.u32, 5);
}

static void in_epoll_pwait(void)
{
	struct epoll_event found = { 0 };
	int fd = make_epoll();
	sigset_t mask;

	sigfillset(&mask);
	child_ready();
	EXPECT_EQ(epoll_pwait(fd, &found, 1, -1, &mask), 1);
	EXPECT_EQ(found.data.u32, 5);
}

static void in_epoll_pwait2(void)
{
	struct epoll_event found = { 0 };
	int fd = make_epoll();

	child_ready();
	EXPECT_EQ(syscall(SYS_epoll_pwait2, fd, &found, 1, NULL, NULL, 0), 1);
	EXPECT_EQ(found.data.u32, 5);
}

/* --- futexes ----------------------------------------------------------------------------------------------------- */

static void in_futex_bitset(void)
{
	struct timespec until = in_a_while(CLOCK_REALTIME);

	child_ready();
	EXPECT_EQ(syscall(SYS_futex, &words[WORD_BITSET], FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &until, NULL, 1),
		  -1);
	EXPECT_EQ(errno, ETIMEDOUT);
	expect_later_than(CLOCK_REALTIME, &until);
}

static void in_futex_waitv(void)
{
	struct futex_waiter waiter = { .address = (uintptr_t)&words[WORD_WAITV], .flags = 2 };
	struct timespec until = in_a_while(CLOCK_MONOTONIC);

	child_ready();
	EXPECT_EQ(syscall(SYS_futex_waitv, &waiter, 1, 0, &until, CLOCK_MONOTONIC), -1);
	if (errno != ENOSYS)
		EXPECT_EQ(errno, ETIMEDOUT);
}

static void in_futex_pi(void)
{
	child_ready();
	EXPECT_EQ(syscall(SYS_futex, &words[WORD_PI], FUTEX_LOCK_PI, 0, NULL), 0);
	EXPECT_EQ(words[WORD_PI] & FUTEX_TID_MASK, getpid());
	EXPECT_EQ(syscall(SYS_futex, &words[WORD_PI], FUTEX_UNLOCK_PI, 0, NULL), 0);
}

static void in_futex_requeue_pi(void)
{
	child_ready();
	EXPECT_EQ(syscall(SYS_futex, &words[WORD_REQUEUE], FUTEX_WAIT_REQUEUE_PI, 0, NULL, &words[WORD_REQUEUE_PI], 0),
		  0);
	EXPECT_EQ(words[WORD_REQUEUE_PI] & FUTEX_TID_MASK, getpid());
	EXPECT_EQ(syscall(SYS_futex, &words[WORD_REQUEUE_PI], FUTEX_UNLOCK_PI, 0, NULL), 0);
}

/* --- time -------------------------------------------------------------------------------------------------------- */

static void sleep_until(clockid_t clock)
{
	struct timespec until = in_a_while(clock);

	child_ready();
	EXPECT_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &until, NULL), 0);
	expect_later_than(clock, &until);
}

static void in_sleep_real(void)
{
	sleep_until(CLOCK_REALTIME);
}

static void in_sleep_boot(void)
{
	sleep_until(CLOCK_BOOTTIME);
}

static void in_sleep_tai(void)
{
	sleep_until(CLOCK_TAI);
}

/* --- processes and signals --------------------------------------------------------------------------------------- */

static void in_waitid(void)
{
	pid_t pid = MUST(fork());
	siginfo_t info = { 0 };

	if (pid == 0) {
		sleep(test_nap_s());
		_exit(9);
	}
	child_ready();
	EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED), 0);
	EXPECT_EQ(info.si_pid, pid);
	EXPECT_EQ(info.si_status, 9);
}

static void in_sigsuspend(void)
{
	sigset_t mask;

	test_wait_mask(&mask);
	child_ready();
	EXPECT_EQ(sigsuspend(&mask), -1);
	EXPECT_EQ(errno, EINTR);
	EXPECT(test_told());
}

static void in_sigwait(void)
{
	sigset_t set;
	int signal = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	child_ready();
	EXPECT_EQ(sigwait(&set, &signal), 0);
	EXPECT_EQ(signal, SIGTERM);
}

/* --- System V ---------------------------------------------------------------------------------------------------- */

static void in_semop(void)
{
	struct sembuf down = { .sem_op = -1 };

	child_ready();
	EXPECT_EQ(semop(semaphores, &down, 1), 0);
}

static void in_semtimedop(void)
{
	struct sembuf down = { .sem_op = -1 };

	child_ready();
	EXPECT_EQ(semtimedop(semaphores, &down, 1, NULL), 0);
}

static void in_msgrcv(void)
{
	struct {
		long type;
		char text[8];
	} message = { 0 };

	child_ready();
	EXPECT_EQ(msgrcv(queue, &message, sizeof(message.text), 0, 0), 2);
}

static const struct wait {
	const char *name;
	void (*act)(void);
	bool needs_term;
	bool is_timed; /* may have ended by itself */
} waits[] = {
	{ "read of an eventfd", in_eventfd },
	{ "read of a timerfd", in_timerfd, .is_timed = true },
	{ "read of a signalfd", in_signalfd, true },
	{ "read of an inotify", in_inotify },
	{ "read of a terminal", in_terminal },
	{ "write to a full pipe", in_write },
	{ "read of a pipe", in_readv },
	{ "splice", in_splice },
	{ "tee", in_tee },
	{ "open of a FIFO", in_fifo_open },
	{ "flock", in_flock },
	{ "F_SETLKW", in_posix_lock },
	{ "F_OFD_SETLKW", in_ofd_lock },
	{ "poll by number", in_raw_poll },
	{ "ppoll", in_ppoll },
	{ "pselect", in_pselect },
	{ "epoll_wait with a long limit", in_epoll_wait_long },
	{ "epoll_pwait", in_epoll_pwait },
	{ "epoll_pwait2", in_epoll_pwait2 },
	{ "FUTEX_WAIT_BITSET until", in_futex_bitset, .is_timed = true },
	{ "futex_waitv until", in_futex_waitv, .is_timed = true },
	{ "FUTEX_LOCK_PI", in_futex_pi },
	{ "FUTEX_WAIT_REQUEUE_PI", in_futex_requeue_pi },
	{ "clock_nanosleep until on REALTIME", in_sleep_real, .is_timed = true },
	{ "clock_nanosleep until on BOOTTIME", in_sleep_boot, .is_timed = true },
	{ "clock_nanosleep until on TAI", in_sleep_tai, .is_timed = true },
	{ "waitid", in_waitid, .is_timed = true },
	{ "sigsuspend", in_sigsuspend, true },
	{ "sigwait", in_sigwait, true },
	{ "semop", in_semop },
	{ "semtimedop", in_semtimedop },
	{ "msgrcv", in_msgrcv },
};
enum { COUNT = sizeof(waits) / sizeof(waits[0]) };

static void child(void *arg)
{
	((const struct wait *)arg)->act();
}

static void fill(int fd)
{
	static char bytes[4096];

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	MUST(fcntl(fd, F_SETFL, 0));
}

static void set_up(void)
{
	struct flock lock = { .l_type = F_WRLCK };

	words = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(pipe(byte_pipe));
	MUST(pipe(full_pipe));
	fill(full_pipe[1]);
	MUST(pipe(splice_from));
	MUST(pipe(splice_to));
	event = MUST(eventfd(0, 0));
	MUST(mkdir("watched", 0700));
	MUST(mkfifo("fifo", 0600));
	terminal = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	MUST(grantpt(terminal));
	MUST(unlockpt(terminal));
	terminal_slave = MUST(open(ptsname(terminal), O_RDWR | O_NOCTTY));
	locked = MUST(open("locked", O_RDWR | O_CREAT, 0600));
	MUST(flock(locked, LOCK_EX));
	owned = MUST(open("owned", O_RDWR | O_CREAT, 0600));
	MUST(fcntl(owned, F_SETLK, &lock));
	words[WORD_PI] = (uint32_t)getpid();
	words[WORD_REQUEUE_PI] = 0;
	semaphores = MUST(semget(IPC_PRIVATE, 1, 0600));
	queue = MUST(msgget(IPC_PRIVATE, 0600));
}

static void wake_all(const pid_t *pids)
{
	struct {
		long type;
		char text[2];
	} message = { 1, "m" };
	struct sembuf up = { .sem_op = 2 };
	static char drained[1 << 20];
	uint64_t seven = 7;

	EXPECT_EQ(write(event, &seven, 8), 8);
	EXPECT(open("watched/new", O_CREAT | O_RDWR, 0600) >= 0);
	EXPECT_EQ(write(terminal, "ok\n", 3), 3);
	EXPECT(read(full_pipe[0], drained, sizeof(drained)) > 0);
	EXPECT(open("fifo", O_WRONLY) >= 0);
	MUST(flock(locked, LOCK_UN));
	MUST(fcntl(owned, F_SETLK, &(struct flock){ .l_type = F_UNLCK }));
	EXPECT_EQ(syscall(SYS_futex, &words[WORD_PI], FUTEX_UNLOCK_PI, 0, NULL), 0);
	EXPECT_EQ(syscall(SYS_futex, &words[WORD_REQUEUE], FUTEX_CMP_REQUEUE_PI, 1, NULL, &words[WORD_REQUEUE_PI], 0),
		  1);
	EXPECT_EQ(semop(semaphores, &up, 1), 0);
	EXPECT_EQ(msgsnd(queue, &message, 2, 0), 0);
	/* Several look at this pipe before one takes it: what they look for must be there for all of them. */
	EXPECT_EQ(write(splice_from[1], "!!", 2), 2);
	for (int i = 0; i < COUNT; i++)
		if (waits[i].needs_term)
			MUST(kill(pids[i], SIGTERM));
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid;
}

static void remove_system_v(void)
{
	(void)semctl(semaphores, 0, IPC_RMID);
	(void)msgctl(queue, IPC_RMID, NULL);
}

int main(void)
{
	pid_t pids[COUNT], parent = getpid();

	test_start();
	set_up();
	for (int i = 0; i < COUNT; i++)
		pids[i] = test_fork(child, (void *)&waits[i]);
	for (int i = 0; i < COUNT; i++)
		test_until_asleep(pids[i], pids[i]);
	test_wait();
	EXPECT_EQ(getpid(), parent);
	for (int i = 0; i < COUNT; i++)
		if (!waits[i].is_timed && has_ended(pids[i]))
			FAIL("%s: came back before it was woken", waits[i].name);
	/* Whoever was interrupted has to be on the machine once more to wait again, before anybody can be moved on. */
	for (int i = 0; i < COUNT; i++)
		test_until_asleep(pids[i], pids[i]);
	wake_all(pids);
	for (int i = 0; i < COUNT; i++) {
		int status = test_reap(pids[i]);

		if (status)
			FAIL("%s: expected status 0, found %#x", waits[i].name, status);
	}
	remove_system_v();
	return test_pass();
}
