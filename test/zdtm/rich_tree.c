/*
 * A bit of everything at once, as a real program has it: threads, a child in a session of its own, a zombie, pipes and
 * a fifo with data, shared and unlinked memory, a terminal, ghosts, watches, timers, signals, locks, a seccomp filter.
 * Each has a behaviour of its own; here their images have to fit together.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <pthread.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>

enum { BYTES = 65536, GHOST_BYTES = 20000 };

static volatile int *shared; /* word 0: for the thread, word 1: for the child */
static char *copied;

static void *thread(void *arg)
{
	(void)arg;
	MUST(prctl(PR_SET_NAME, "another"));
	test_post(&shared[2], (int)syscall(SYS_gettid));
	test_await(&shared[0], 1);
	EXPECT_EQ(syscall(SYS_gettid), shared[2]);
	return NULL;
}

/* getppid() fails with EPERM, whatever else works. */
static void restrict_calls(void)
{
	struct sock_filter code[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 0 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW },
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void child(void *arg)
{
	const int *pipe_fds = arg;
	char text[16] = "";

	MUST(setsid());
	restrict_calls();
	test_pattern(copied, BYTES, 2);
	child_wait();
	EXPECT_PATTERN(copied, BYTES, 2);
	EXPECT_EQ(syscall(SYS_getppid), -1);
	EXPECT_EQ(read(pipe_fds[0], text, sizeof(text)), 6);
	EXPECT_STR(text, "queued");
	EXPECT_EQ(getsid(0), getpid());
	test_await(&shared[1], 1);
}

static void finished(void *arg)
{
	_exit((int)(intptr_t)arg);
}

static int make_ghost(void)
{
	static char text[GHOST_BYTES];
	int fd = MUST(open("ghost", O_RDWR | O_CREAT | O_EXCL, 0640));

	test_pattern(text, sizeof(text), 3);
	EXPECT_EQ(write(fd, text, sizeof(text)), (ssize_t)sizeof(text));
	MUST(unlink("ghost"));
	return fd;
}

static void check_ghost(int fd)
{
	static char text[GHOST_BYTES];

	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), (off_t)sizeof(text));
	EXPECT_EQ(pread(fd, text, sizeof(text), 0), (ssize_t)sizeof(text));
	EXPECT_PATTERN(text, sizeof(text), 3);
}

/* The other end; the terminal holds a line that nobody has read. */
static int make_terminal(int *ret_slave)
{
	int number, unlocked = 0, master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	char path[32];

	MUST(ioctl(master, TIOCGPTN, &number));
	MUST(ioctl(master, TIOCSPTLCK, &unlocked));
	snprintf(path, sizeof(path), "/dev/pts/%d", number);
	*ret_slave = MUST(open(path, O_RDWR | O_NOCTTY));
	EXPECT_EQ(write(master, "a line\n", 7), 7);
	return master;
}

static timer_t make_timers(int *ret_fd)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	struct itimerspec far = { .it_value.tv_sec = 100000, .it_interval.tv_nsec = 5 };
	timer_t timer;

	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
	MUST(timer_settime(timer, 0, &far, NULL));
	*ret_fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	MUST(timerfd_settime(*ret_fd, 0, &far, NULL));
	return timer;
}

static void check_timers(timer_t timer, int fd)
{
	struct itimerspec left;

	MUST(timer_gettime(timer, &left));
	EXPECT(left.it_value.tv_sec > 90000 && left.it_value.tv_sec <= 100000);
	EXPECT_EQ(left.it_interval.tv_nsec, 5);
	MUST(timerfd_gettime(fd, &left));
	EXPECT(left.it_value.tv_sec > 90000 && left.it_value.tv_sec <= 100000);
}

static int make_locked_file(void)
{
	int fd = MUST(open("locked", O_RDWR | O_CREAT, 0600));

	MUST(flock(fd, LOCK_EX));
	return fd;
}

static void check_lock(void)
{
	int other = MUST(open("locked", O_RDWR));

	EXPECT_EQ(flock(other, LOCK_EX | LOCK_NB), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	close(other);
}

int main(void)
{
	int pipe_fds[2], fifo, ghost, master, slave, timer_fd, event, poll_fd, watches, signals, memory, status;
	struct epoll_event found, wanted = { .events = EPOLLIN, .data.u64 = 0x1234567890abcdefULL };
	struct signalfd_siginfo info;
	union sigval value = { .sival_int = 77 };
	pid_t pid, zombie;
	pthread_t other;
	timer_t timer;
	sigset_t usr1;
	char text[64] = "";
	char *mapped;

	test_start();
	shared = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	copied = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = MUST(memfd_create("rich", MFD_ALLOW_SEALING));
	MUST(ftruncate(memory, BYTES));
	mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	EXPECT(shared != MAP_FAILED && copied != MAP_FAILED && mapped != MAP_FAILED);
	test_pattern(copied, BYTES, 1);
	test_pattern(mapped + BYTES / 2, BYTES / 4, 4);
	MUST(pipe2(pipe_fds, O_CLOEXEC));
	EXPECT_EQ(write(pipe_fds[1], "queued", 6), 6);
	MUST(mkfifo("fifo", 0600));
	fifo = MUST(open("fifo", O_RDWR | O_NONBLOCK));
	EXPECT_EQ(write(fifo, "also", 4), 4);
	ghost = make_ghost();
	master = make_terminal(&slave);
	timer = make_timers(&timer_fd);
	event = MUST(eventfd(3, EFD_NONBLOCK));
	poll_fd = MUST(epoll_create1(0));
	MUST(epoll_ctl(poll_fd, EPOLL_CTL_ADD, event, &wanted));
	watches = MUST(inotify_init1(IN_NONBLOCK));
	MUST(inotify_add_watch(watches, ".", IN_CREATE));
	MUST(sigemptyset(&usr1));
	MUST(sigaddset(&usr1, SIGUSR1));
	MUST(sigprocmask(SIG_BLOCK, &usr1, NULL));
	MUST(sigqueue(getpid(), SIGUSR1, value));
	signals = MUST(signalfd(-1, &usr1, SFD_NONBLOCK));
	(void)make_locked_file();
	while (read(watches, text, sizeof(text)) > 0)
		;
	pid = test_fork(child, pipe_fds);
	zombie = test_fork(finished, (void *)(intptr_t)9);
	EXPECT_EQ(pthread_create(&other, NULL, thread, NULL), 0);
	test_await(&shared[2], 1);
	test_until_asleep(getpid(), shared[2]);

	test_wait();

	memset(text, 0, sizeof(text));
	EXPECT_EQ(read(fifo, text, sizeof(text)), 4);
	EXPECT_STR(text, "also");
	check_ghost(ghost);
	EXPECT_EQ(read(slave, text, sizeof(text)), 7);
	EXPECT_MEM(text, "a line\n", 7);
	EXPECT_EQ(write(slave, "x", 1), 1);
	EXPECT(read(master, text, sizeof(text)) > 0);
	check_timers(timer, timer_fd);
	EXPECT_EQ(epoll_wait(poll_fd, &found, 1, 0), 1);
	EXPECT_EQ(found.data.u64, wanted.data.u64);
	EXPECT_EQ(close(MUST(open("made", O_CREAT | O_WRONLY, 0600))), 0);
	EXPECT(read(watches, text, sizeof(text)) > 0);
	EXPECT_EQ(read(signals, &info, sizeof(info)), (ssize_t)sizeof(info));
	EXPECT_EQ(info.ssi_int, 77);
	check_lock();
	EXPECT_PATTERN(copied, BYTES, 1);
	EXPECT_PATTERN(mapped + BYTES / 2, BYTES / 4, 4);
	EXPECT_EQ(mapped[0], 0);
	test_post(&shared[0], 1);
	EXPECT_EQ(pthread_join(other, NULL), 0);
	test_post(&shared[1], 1);
	test_end_child(pid);
	status = test_reap(zombie);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	return test_pass();
}
