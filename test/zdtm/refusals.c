/* What cannot be saved and is refused by name, one each: the argument says which. The refusal harms nothing. */
#include "zdtmlib.h"

#include <linux/aio_abi.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>

#define PIDFD_THREAD_FLAG O_EXCL

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static int held = -1, other = -1;
static char buffer[32768];

/* --- files without a name -------------------------------------------------------------------------------------- */

static void memfd_path(void)
{
	int fd = MUST(memfd_create("path", MFD_CLOEXEC));
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	held = MUST(open(path, O_PATH));
	close(fd);
}

static void ghost_socket(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	MUST(bind(fd, (struct sockaddr *)&name, sizeof(name)));
	held = MUST(open("socket", O_PATH));
	close(fd);
	MUST(unlink("socket"));
}

static void mount_small(void)
{
	MUST(mkdir("mounted", 0700));
	MUST(mount("small", "mounted", "tmpfs", 0, NULL));
}

static void ghost_detached(void)
{
	mount_small();
	held = MUST(open("mounted/file", O_RDWR | O_CREAT, 0600));
	MUST(unlink("mounted/file"));
	MUST(umount2("mounted", MNT_DETACH));
}

static void check_written(void)
{
	EXPECT_EQ(pwrite(held, "x", 1, 0), 1);
}

/* --- watches ----------------------------------------------------------------------------------------------------- */

/* The mark stays as long as the mount, which somebody has open. */
static void mark_detached(void)
{
	held = MUST(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));
	mount_small();
	MUST(fanotify_mark(held, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CLOSE_WRITE, AT_FDCWD, "mounted"));
	other = MUST(open("mounted/file", O_RDWR | O_CREAT, 0600));
	MUST(umount2("mounted", MNT_DETACH));
}

static void mark_permission(void)
{
	held = MUST(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
	mount_small();
	MUST(fanotify_mark(held, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_PERM, AT_FDCWD, "mounted"));
}

static void sleep_here(void)
{
	test_post((volatile int *)&other, gettid());
	thread_wait();
}

/* Watched under a number that is gone; what it stands for is a thread. */
static void epoll_thread(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int pidfd;

	(void)test_thread(sleep_here);
	held = MUST(epoll_create1(0));
	pidfd = (int)syscall(SYS_pidfd_open, other, PIDFD_THREAD_FLAG);
	if (pidfd < 0)
		test_skip("pidfds of threads: %s", strerror(errno));
	other = MUST(dup(pidfd));
	MUST(epoll_ctl(held, EPOLL_CTL_ADD, pidfd, &event));
	close(pidfd);
}

/* --- terminals ---------------------------------------------------------------------------------------------------- */

static int open_master(void)
{
	int fd = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), zero = 0;

	MUST(ioctl(fd, TIOCSPTLCK, &zero));
	return fd;
}

static void open_raw_pair(void)
{
	struct termios settings;

	held = open_master();
	other = MUST(ioctl(held, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	MUST(tcgetattr(other, &settings));
	cfmakeraw(&settings);
	MUST(tcsetattr(other, TCSANOW, &settings));
}

/* Until nothing more is taken. */
static void fill(int fd)
{
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	while (write(fd, buffer, sizeof(buffer)) > 0)
		;
	EXPECT_EQ(errno, EAGAIN);
}

static void drain(int fd, size_t least)
{
	size_t bytes = 0;
	ssize_t n;

	MUST(fcntl(fd, F_SETFL, O_NONBLOCK));
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		bytes += (size_t)n;
	EXPECT(bytes >= least);
}

static void much_output(void)
{
	open_raw_pair();
	fill(other);
}

static void check_output(void)
{
	drain(held, 5000);
}

static void much_input(void)
{
	open_raw_pair();
	fill(held);
}

static void check_input(void)
{
	drain(other, 5000);
}

static void input_for_nobody(void)
{
	int waiting = 0;

	open_raw_pair();
	EXPECT_EQ(write(held, "unread", 6), 6);
	while (MUST(ioctl(other, FIONREAD, &waiting)) == 0 && waiting < 6)
		usleep(1000);
	close(other);
}

static void check_input_for_nobody(void)
{
	other = MUST(ioctl(held, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	drain(other, 6);
}

static void high_number(void)
{
	const struct rlimit limit = { 2048, 2048 };
	static int masters[1100];
	unsigned int number = 0;
	size_t count = 0;

	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	while (count < 1100 && number <= 1000) {
		masters[count] = open("/dev/ptmx", O_RDWR | O_NOCTTY);
		if (masters[count] < 0)
			test_skip("%zu terminals: %s", count, strerror(errno));
		MUST(ioctl(masters[count++], TIOCGPTN, &number));
	}
	while (count-- > 1)
		close(masters[count - 1]);
	EXPECT(number > 1000);
}

/* What was hung up and what has been opened since go by one number. */
static void hung_up(void)
{
	char path[32];
	unsigned int number;

	open_raw_pair();
	MUST(ioctl(held, TIOCGPTN, &number));
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	MUST(ioctl(other, TIOCSCTTY, 0));
	EXPECT(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	if (vhangup() < 0)
		test_skip("vhangup: %s", strerror(errno));
	MUST(open(path, O_RDWR | O_NOCTTY));
}

/* Whose other end is held by a process that is not of the tree. */
static int half_a_terminal(void)
{
	int master = open_master(), slave = MUST(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	pid_t pid = MUST(fork());

	if (pid == 0) {
		close(slave);
		if (fork() == 0)
			for (;;)
				(void)pause();
		_exit(0);
	}
	EXPECT_EQ(test_reap(pid), 0);
	close(master);
	return slave;
}

static void two_outside(void)
{
	held = half_a_terminal();
	other = half_a_terminal();
}

/* It controls the session of somebody else. */
static void session_outside(void)
{
	int slave, ready[2];
	char byte;
	pid_t pid;

	held = open_master();
	MUST(pipe(ready));
	pid = MUST(fork());
	if (pid == 0) {
		if (fork() != 0)
			_exit(0);
		MUST(setsid());
		slave = MUST(ioctl(held, TIOCGPTPEER, O_RDWR));
		close(held);
		MUST(ioctl(slave, TIOCSCTTY, 0));
		close(ready[0]);
		close(ready[1]);
		for (;;)
			(void)pause();
	}
	EXPECT_EQ(test_reap(pid), 0);
	close(ready[1]);
	EXPECT_EQ(read(ready[0], &byte, 1), 0);
	close(ready[0]);
}

static void two_consoles(void)
{
	held = open("/dev/tty60", O_RDWR | O_NOCTTY);
	other = open("/dev/tty61", O_RDWR | O_NOCTTY);
	if (held < 0 || other < 0)
		test_skip("consoles: %s", strerror(errno));
}

static pid_t child;

static void sleep_on(void *arg)
{
	(void)arg;
	child_wait();
}

static void sleep_without_terminal(void *arg)
{
	(void)arg;
	MUST(setsid());
	child_wait();
}

/* Whether both have it by one description nobody tells. */
static void lock_mapped(void)
{
	int fd = MUST(open("locked", O_RDWR | O_CREAT, 0600));

	EXPECT_EQ(write(fd, "x", 1), 1);
	MUST(flock(fd, LOCK_EX));
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	MUST(close(fd));
	child = test_fork(sleep_on, NULL);
}

static void check_lock_mapped(void)
{
	test_end_child(child);
	EXPECT_EQ(flock(MUST(open("locked", O_RDWR)), LOCK_SH | LOCK_NB), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
}

/* Nobody else has it. */
static void description_lock_mapped(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	int fd = MUST(open("locked", O_RDWR | O_CREAT, 0600));

	EXPECT_EQ(write(fd, "x", 1), 1);
	MUST(fcntl(fd, F_OFD_SETLK, &lock));
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	MUST(close(fd));
}

/* It has no path. */
static void lock_pipe(void)
{
	int ends[2];

	MUST(pipe(ends));
	MUST(flock(ends[0], LOCK_SH));
}

static int leased = -1;

static void ghost_leased(void)
{
	leased = MUST(open("leased", O_WRONLY | O_CREAT, 0600));
	EXPECT_EQ(write(leased, "x", 1), 1);
	MUST(unlink("leased"));
	MUST(fcntl(leased, F_SETLEASE, F_WRLCK));
}

static void check_leased(void)
{
	EXPECT_EQ(fcntl(leased, F_GETLEASE), F_WRLCK);
}

/* /dev/tty, held by who has no controlling terminal. */
static void tty_without_terminal(void)
{
	open_raw_pair();
	MUST(ioctl(other, TIOCSCTTY, 0));
	held = MUST(open("/dev/tty", O_RDWR));
	child = test_fork(sleep_without_terminal, NULL);
	close(held);
}

static void check_child(void)
{
	test_end_child(child);
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

static void *live_on(void *arg)
{
	test_wait();
	exit(test_pass());
	return arg;
}

/* The first thread is ended by its filter, as if it had been killed alone. */
static void killed_leader(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, code };
	pthread_t thread;

	EXPECT_EQ(pthread_create(&thread, NULL, live_on, NULL), 0);
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	(void)syscall(SYS_getppid);
	FAIL("the filter ends nobody");
}

static void have_inherited(void *arg)
{
	(void)arg;
	child_wait();
}

/* Whoever is forked by a thread with such a setting has it, and no keyring. */
static void *hand_down(void *arg)
{
	if (syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_THREAD_KEYRING) < 0)
		return arg;
	child = test_fork(have_inherited, NULL);
	return NULL;
}

static void request_keyring(void)
{
	pthread_t thread;
	void *failed = NULL;

	EXPECT_EQ(pthread_create(&thread, NULL, hand_down, buffer), 0);
	EXPECT_EQ(pthread_join(thread, &failed), 0);
	if (failed)
		test_skip("KEYCTL_SET_REQKEY_KEYRING");
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* A ring of several pages, of which the last one is not mapped any more. */
static void aio_part(void)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 1000, &context) < 0)
		test_skip("io_setup: %s", strerror(errno));
	MUST(munmap((void *)(context + 4096), 4096));
}

/* What the driver shows there is no memory. */
static void map_device(void)
{
	struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(event) };

	held = (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, 0);
	if (held < 0 || mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, held, 0) == MAP_FAILED)
		test_skip("perf_event_open: %s", strerror(errno));
	close(held);
}

static void map_packets(void)
{
	struct tpacket_req ring = { .tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2 };

	held = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (held < 0 || setsockopt(held, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)) < 0 ||
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, held, 0) == MAP_FAILED)
		test_skip("packet sockets: %s", strerror(errno));
	close(held);
}

/* --- files of the kernel ------------------------------------------------------------------------------------------ */

static void cgroup_gone(void)
{
	static const char *const roots[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup" };
	char directory[64], path[96];

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		snprintf(directory, sizeof(directory), "%s/zdtm-refusals.%d.%ld", roots[i], getpid(), (long)time(NULL));
		if (mkdir(directory, 0700) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
		held = open(path, O_RDONLY);
		MUST(rmdir(directory));
		if (held >= 0)
			return;
	}
	test_skip("no cgroup can be made");
}

static void namespace_gone(void)
{
	int own = MUST(open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));

	MUST(unshare(CLONE_NEWUTS));
	held = MUST(open("/proc/self/ns/uts", O_RDONLY));
	MUST(setns(own, CLONE_NEWUTS));
	close(own);
}

/* --- others ------------------------------------------------------------------------------------------------------- */

static void owner_outside(void)
{
	held = MUST(eventfd(0, EFD_CLOEXEC));
	MUST(fcntl(held, F_SETOWN, getppid()));
}

static void time_of_children(void)
{
	if (unshare(CLONE_NEWTIME) < 0)
		test_skip("no time namespaces");
}

static void wait_to_be_told(void *arg)
{
	(void)arg;
	child_wait();
}

static void time_apart(void)
{
	int own = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);

	time_of_children();
	child = test_fork(wait_to_be_told, NULL);
	MUST(setns(own, CLONE_NEWTIME));
	close(own);
}

/* --- process groups --------------------------------------------------------------------------------------------- */

/* Its child stays behind in the group that it has made. */
static void leave_group(void *arg)
{
	MUST(setpgid(0, 0));
	(void)test_fork(wait_to_be_told, arg);
	MUST(setpgid(0, getppid()));
	child_wait();
}

static void group_left(void)
{
	child = test_fork(leave_group, NULL);
}

/* The root leaves the group of its session's leader, which has ended, to its child. */
static void group_ended(void)
{
	child = test_fork(wait_to_be_told, NULL);
	MUST(setpgid(0, 0));
}

static const struct {
	const char *name;
	void (*set_up)(void);
	void (*check)(void);
} variants[] = {
	{ "memfd_path", memfd_path, NULL },
	{ "ghost_socket", ghost_socket, NULL },
	{ "ghost_detached", ghost_detached, check_written },
	{ "mark_detached", mark_detached, NULL },
	{ "mark_permission", mark_permission, NULL },
	{ "epoll_thread", epoll_thread, NULL },
	{ "much_output", much_output, check_output },
	{ "much_input", much_input, check_input },
	{ "input_for_nobody", input_for_nobody, check_input_for_nobody },
	{ "high_number", high_number, NULL },
	{ "hung_up", hung_up, NULL },
	{ "two_outside", two_outside, NULL },
	{ "session_outside", session_outside, NULL },
	{ "two_consoles", two_consoles, NULL },
	{ "lock_mapped", lock_mapped, check_lock_mapped },
	{ "description_lock_mapped", description_lock_mapped, NULL },
	{ "lock_pipe", lock_pipe, NULL },
	{ "ghost_leased", ghost_leased, check_leased },
	{ "tty_without_terminal", tty_without_terminal, check_child },
	{ "killed_leader", killed_leader, NULL },
	{ "request_keyring", request_keyring, check_child },
	{ "aio_part", aio_part, NULL },
	{ "map_device", map_device, NULL },
	{ "map_packets", map_packets, NULL },
	{ "cgroup_gone", cgroup_gone, NULL },
	{ "namespace_gone", namespace_gone, NULL },
	{ "owner_outside", owner_outside, NULL },
	{ "time_of_children", time_of_children, NULL },
	{ "time_apart", time_apart, check_child },
	{ "group_left", group_left, check_child },
	{ "group_ended", group_ended, check_child },
};

int main(int argc, char **argv)
{
	size_t i = 0;

	test_start();
	while (i < sizeof(variants) / sizeof(*variants) && (argc != 2 || strcmp(argv[1], variants[i].name) != 0))
		i++;
	if (i == sizeof(variants) / sizeof(*variants))
		FAIL("which one?");
	variants[i].set_up();
	test_wait();
	if (variants[i].check)
		variants[i].check();
	return test_pass();
}
