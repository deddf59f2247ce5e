/*
 * victim KIND [ARGUMENT ...]: a process to try wrong things on. Says READY on descriptor 1, then waits for SIGTERM,
 * checks itself and says PASS or what it found.
 *
 *	plain		two threads and a child, a megabyte with a pattern
 *	files A B C	A and B open (descriptors 3 and 4), C mapped and not open
 *	many N		N files in the directory "many", used by three processes in turn: open or only mapped; one of
 *			them works there
 *	objects		of each kind of file one or two: removed, shared, terminals, epoll, memfd, pipes with data ...;
 *			a child has them too
 *	socket		a socket of a family that is not dumped (AF_ALG, AF_VSOCK or else AF_UNIX) at descriptor 5
 *	aio		an AIO context without requests
 *	async		an AIO context and an io_uring that have been used, and a child without them
 *	waiting WHAT	a request that does not complete: of an AIO context ("aio") or an io_uring ("uring")
 *	everything	whatever cannot be saved, with the words that have to be said of it
 *	zombie		has a child that has ended: prints its process id
 *	trace PID	attaches to PID with ptrace and lets it run
 *	unstoppable	reads into memory that a userfaultfd is to fill, which nobody does
 *	large MIB	so much memory of its own, all of it written to
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/aio_abi.h>
#include <linux/kvm.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "../lib/told.h"

enum { WORDS = 1 << 18 };

static uint32_t *memory;

static void fail(const char *what)
{
	say("FAIL ");
	say(what);
	say("\n");
	_exit(1);
}

static void *sleep_on(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void fill(void)
{
	memory = mmap(NULL, WORDS * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("mmap");
	for (uint32_t i = 0; i < WORDS; i++)
		memory[i] = i * 2654435761u;
}

static void check(void)
{
	for (uint32_t i = 0; i < WORDS; i++) {
		if (memory[i] != i * 2654435761u)
			fail("memory changed");
	}
}

static void become_plain(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, sleep_on, NULL) || pthread_create(&thread, NULL, sleep_on, NULL))
		fail("pthread_create");
	if (fork() == 0)
		sleep_on(NULL);
}

static void become_files(char **names)
{
	int fd;

	if (open(names[0], O_RDONLY) != 3 || open(names[1], O_RDWR) != 4)
		fail("open");
	fd = open(names[2], O_RDONLY);
	if (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		fail("mmap");
	close(fd);
}

/* Every third file: 0, 2, 4 ... are open, the others mapped and not open. */
static void use_some_files(int first, int count)
{
	char name[32];

	for (int i = first; i < count; i += 3) {
		int fd;

		snprintf(name, sizeof(name), "many/%03d", i);
		fd = open(name, O_RDWR | O_CREAT, 0600);
		if (fd < 0 || ftruncate(fd, 4096) < 0)
			fail("open");
		if (i % 2 == 0)
			continue;
		if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
			fail("mmap");
		close(fd);
	}
}

static void become_many(int count)
{
	int ready[2];
	char byte;

	if ((mkdir("many", 0700) < 0 && errno != EEXIST) || pipe(ready) < 0)
		fail("mkdir");
	for (int i = 1; i < 3; i++) {
		if (fork() != 0)
			continue;
		close(ready[0]);
		use_some_files(i, count);
		if (i == 1 && chdir("many") < 0)
			fail("chdir");
		close(ready[1]);
		sleep_on(NULL);
	}
	close(ready[1]);
	use_some_files(0, count);
	if (read(ready[0], &byte, 1) != 0)
		fail("read");
	close(ready[0]);
}

static void become_large(size_t bytes)
{
	char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		fail("mmap");
	memset(area, 'L', bytes);
}

static void need(int fd)
{
	if (fd < 0)
		fail("an object");
}

static void become_objects(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1 };
	struct itimerspec in_an_hour = { .it_value.tv_sec = 3600 };
	int ends[2], zero = 0, master, slave, epoll, fd;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	fd = open("removed", O_RDWR | O_CREAT, 0600);
	if (fd < 0 || write(fd, "removed contents", 16) != 16 || unlink("removed") < 0)
		fail("removed");
	fd = open("linked", O_RDWR | O_CREAT, 0600);
	need(fd);
	if (mkfifo("fifo", 0600) < 0 && errno != EEXIST)
		fail("fifo");
	fd = open("fifo", O_RDWR);
	if (pipe(ends) < 0 || fd < 0 || write(ends[1], "in the pipe", 11) != 11 || write(fd, "in the fifo", 11) != 11)
		fail("pipe");
	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	need(master);
	need(ioctl(master, TIOCSPTLCK, &zero));
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	need(slave);
	fd = memfd_create("object", MFD_ALLOW_SEALING);
	if (fd < 0 || write(fd, "in memory", 9) != 9 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		fail("memfd");
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
		fail("mmap");
	*(char *)mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) = 's';
	epoll = epoll_create1(0);
	need(epoll);
	need(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
	need(epoll_ctl(epoll, EPOLL_CTL_ADD, eventfd(5, 0), &event));
	fd = timerfd_create(CLOCK_MONOTONIC, 0);
	need(timerfd_settime(fd, 0, &in_an_hour, NULL));
	need(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	need(signalfd(-1, &set, 0));
	need(inotify_add_watch(inotify_init(), ".", IN_CREATE));
	if (geteuid() == 0) /* nobody else may watch a mount */
		need(fanotify_mark(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY), FAN_MARK_ADD | FAN_MARK_MOUNT,
				   FAN_CLOSE_WRITE, AT_FDCWD, "/proc"));
	need((int)syscall(SYS_pidfd_open, getpid(), 0));
	need(open("/proc/self/ns/net", O_RDONLY));
	become_plain();
}

static void become_socket(void)
{
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);

	if (fd < 0)
		fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || dup2(fd, 5) != 5)
		fail("socket");
	if (fd != 5)
		close(fd);
}

/* Says what a refusal has to name, where this kernel has the object at all. */
static void expect(int fd, const char *words)
{
	char text[128];

	if (fd < 0)
		return;
	snprintf(text, sizeof(text), "expect fd %d,.*%s\n", fd, words);
	say(text);
}

static int userfault(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	void *area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || area == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) < 0)
		return fd;
	range.range.start = (uintptr_t)area;
	range.range.len = 8192;
	if (ioctl(fd, UFFDIO_REGISTER, &range) == 0)
		say("expect mapping [0-9a-f]+-[0-9a-f]+: is watched by a userfaultfd\n");
	return fd;
}

static int performance_event(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr) };

	attr.config = PERF_COUNT_SW_TASK_CLOCK;
	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static int ruleset(void)
{
	uint64_t handled = 1;

	return (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
}

static int filesystem_mark(void)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);

	if (fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, AT_FDCWD, "/proc") < 0)
		return -1;
	return fd;
}

/* A terminal whose other end is held by a process that is not of the tree. */
static int half_a_terminal(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), slave, zero = 0;
	pid_t pid;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &zero) < 0)
		return -1;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	pid = fork();
	if (pid == 0) {
		close(slave);
		if (fork() == 0)
			sleep_on(NULL);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close(master);
	return slave;
}

static void become_aio(void)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 10, &context) < 0)
		fail("io_setup");
}

/* A context and an io_uring that have been used, with what is registered in the latter. */
static void become_async(void)
{
	static char buffer[4096];
	const struct iovec iov = { buffer, sizeof(buffer) };
	struct io_uring_params params = { 0 };
	aio_context_t context = 0;
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_PREAD };
	struct iocb *list[] = { &request };
	const int null = open("/dev/null", O_RDWR);
	const int ring = (int)syscall(SYS_io_uring_setup, 8, &params);
	char *words;

	if (fork() == 0) {
		close(ring);
		sleep_on(NULL);
	}
	request.aio_fildes = (uint32_t)null;
	if (ring < 0 || syscall(SYS_io_setup, 10, &context) < 0 || syscall(SYS_io_submit, context, 1, list) != 1 ||
	    syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &null, 1) < 0 ||
	    syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1) < 0)
		fail("asynchronous I/O");
	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	if (words == MAP_FAILED)
		fail("map the rings");
	/* Five times the first entry, which is a request that does nothing. */
	*(volatile uint32_t *)(void *)(words + params.sq_off.tail) = 5;
	if (syscall(SYS_io_uring_enter, ring, 5, 0, 0, NULL, 0) != 5)
		fail("io_uring_enter");
}

/* A request that stays in flight. */
static void busy_aio(void)
{
	aio_context_t context = 0;
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN };
	struct iocb *list[] = { &request };
	char text[128];
	int ends[2];

	if (syscall(SYS_io_setup, 10, &context) < 0 || pipe(ends) < 0)
		return;
	request.aio_fildes = (uint32_t)ends[0];
	if (syscall(SYS_io_submit, context, 1, list) != 1)
		return;
	snprintf(text, sizeof(text), "expect AIO context %#lx: 1 request is in flight\n", (unsigned long)context);
	say(text);
}

static void busy_uring(void)
{
	struct io_uring_params params = { 0 };
	const int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	struct io_uring_sqe *request;
	char *words;
	int ends[2];

	if (ring < 0 || pipe(ends) < 0)
		fail("io_uring");
	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	request = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (words == MAP_FAILED || request == MAP_FAILED)
		fail("map the rings");
	request->opcode = IORING_OP_POLL_ADD;
	request->fd = ends[0];
	request->poll32_events = POLLIN;
	*(volatile uint32_t *)(void *)(words + params.sq_off.tail) = 1;
	if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
		fail("io_uring_enter");
}

static void expect_sockets(void)
{
	static const struct {
		int family, type, protocol;
		const char *words;
	} sockets[] = {
		{ AF_UNIX, SOCK_STREAM, 0, "unix socket" },   { AF_INET, SOCK_STREAM, 0, "tcp socket" },
		{ AF_INET6, SOCK_DGRAM, 0, "udp socket" },    { AF_INET, SOCK_DGRAM, 136, "udplite socket" },
		{ AF_INET, SOCK_STREAM, 132, "sctp socket" }, { AF_INET6, SOCK_STREAM, 262, "multipath tcp socket" },
		{ AF_INET, SOCK_RAW, 1, "raw socket" },       { AF_NETLINK, SOCK_RAW, 0, "netlink socket" },
		{ AF_PACKET, SOCK_RAW, 0, "packet socket" },  { AF_VSOCK, SOCK_STREAM, 0, "vsock socket" },
		{ AF_XDP, SOCK_RAW, 0, "XDP socket" },        { AF_ALG, SOCK_SEQPACKET, 0, "crypto socket" },
	};

	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++)
		expect(socket(sockets[i].family, sockets[i].type, sockets[i].protocol), sockets[i].words);
}

/* What has a name, and what had one. */
static void expect_files(void)
{
	static char block[4096];
	int fd = open(".", O_RDONLY), memfd = memfd_create("path", 0);
	char path[32];

	if (fcntl(fd, F_NOTIFY, DN_RENAME) == 0)
		expect(fd, "is watched by F_NOTIFY");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	expect(open(path, O_PATH), "a memfd that is open with O_PATH");
	close(memfd);
	fd = open("large", O_RDWR | O_CREAT, 0600);
	for (int i = 0; i < 512; i++)
		if (write(fd, block, sizeof(block)) != sizeof(block))
			fail("large");
	expect(unlink("large") == 0 ? fd : -1, "more than --ghost-limit");
	fd = open("linked-here", O_RDWR | O_CREAT, 0600);
	if (mkdir("elsewhere", 0700) < 0 || link("linked-here", "elsewhere/link") < 0 || unlink("linked-here") < 0)
		fail("linked-here");
	expect(fd, "the file has other links");
	expect(open("/proc/pressure/cpu", O_RDWR), "a trigger for pressure");
	fd = eventfd(0, 0);
	if (fcntl(fd, F_SETOWN, getppid()) == 0)
		expect(fd, "its signals go to process");
	expect((int)syscall(SYS_pidfd_open, getppid(), 0), "pidfd: stands for process");
	expect((int)syscall(428 /* open_tree */, AT_FDCWD, "/proc", 1), "detached mount");
	expect((int)syscall(SYS_mq_open, "victim", O_RDWR | O_CREAT, 0600, NULL), "POSIX message queue");
	(void)syscall(SYS_mq_unlink, "victim");
	expect((int)syscall(447 /* memfd_secret */, 0), "secret memory");
	expect(open("/dev/autofs", O_RDONLY), "autofs");
}

static void become_everything(void)
{
	struct io_uring_params polled = { .flags = IORING_SETUP_SQPOLL };
	int kvm;

	expect_sockets();
	expect_files();

	busy_aio();
	expect(userfault(), "userfaultfd");
	expect(performance_event(), "perf event");
	expect((int)syscall(SYS_io_uring_setup, 8, &polled), "io_uring: a thread of the kernel submits for it");
	expect((int)syscall(SYS_fsopen, "tmpfs", 0), "filesystem context");
	expect(ruleset(), "landlock ruleset");
	expect(filesystem_mark(), "fanotify: marks on whole filesystems");
	expect(half_a_terminal(), "its other end is open in no process");
	kvm = open("/dev/kvm", O_RDWR);
	expect(kvm >= 0 ? ioctl(kvm, KVM_CREATE_VM, 0) : -1, "KVM");
	if (kvm >= 0)
		close(kvm);
	expect(open("/dev/mem", O_RDONLY), "physical memory");
	expect(open("/dev/fuse", O_RDWR), "FUSE server");
	expect(open("/dev/loop0", O_RDONLY), "block device");
}

static void become_zombie_parent(void)
{
	char text[32];
	pid_t pid = fork();

	if (pid == 0)
		_exit(7);
	siginfo_t info;
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	snprintf(text, sizeof(text), "zombie %d\n", pid);
	say(text);
}

/* Inside the kernel, which tries again and again when there is a signal: only SIGKILL ends it. */
static void become_unstoppable(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC), ends[2];
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (uffd < 0 || page == MAP_FAILED || ioctl(uffd, UFFDIO_API, &api) < 0)
		fail("no userfaultfd");
	range.range = (struct uffdio_range){ (uintptr_t)page, 4096 };
	if (ioctl(uffd, UFFDIO_REGISTER, &range) < 0 || pipe(ends) < 0 || write(ends[1], "x", 1) != 1)
		fail("no userfaultfd");
	say("READY\n");
	if (read(ends[0], page, 1))
		fail("it was filled");
}

static void become_tracer(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		fail("PTRACE_SEIZE");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_term };
	const char *kind = argc > 1 ? argv[1] : "";
	sigset_t mask, old;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, &old);
	sigaction(SIGTERM, &action, NULL);
	fill();
	if (strcmp(kind, "plain") == 0)
		become_plain();
	else if (strcmp(kind, "files") == 0 && argc == 5)
		become_files(argv + 2);
	else if (strcmp(kind, "many") == 0 && argc == 3)
		become_many(atoi(argv[2]));
	else if (strcmp(kind, "large") == 0 && argc == 3)
		become_large((size_t)atoi(argv[2]) << 20);
	else if (strcmp(kind, "objects") == 0)
		become_objects();
	else if (strcmp(kind, "socket") == 0)
		become_socket();
	else if (strcmp(kind, "aio") == 0)
		become_aio();
	else if (strcmp(kind, "async") == 0)
		become_async();
	else if (strcmp(kind, "waiting") == 0 && argc == 3)
		strcmp(argv[2], "aio") == 0 ? busy_aio() : busy_uring();
	else if (strcmp(kind, "everything") == 0)
		become_everything();
	else if (strcmp(kind, "zombie") == 0)
		become_zombie_parent();
	else if (strcmp(kind, "unstoppable") == 0)
		become_unstoppable();
	else if (strcmp(kind, "trace") == 0 && argc == 3)
		become_tracer(atoi(argv[2]));
	else
		fail("which kind?");
	sigdelset(&old, SIGTERM);
	say_ready_and_wait(&old);
	check();
	say("PASS\n");
	return 0;
}
