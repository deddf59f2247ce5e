/*
 * F_GETFL of every kind of file, as it is opened and with all flags that F_SETFL can set on it, O_LARGEFILE included:
 * the kernel sets that for whatever is opened by a path, but not for what it opens itself.
 */
#include "zdtmlib.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

enum { LIMIT = 64, KERNEL_LARGEFILE = 0100000 };

static struct {
	const char *what;
	int fd, flags;
} files[LIMIT];
static int count;

static void add(const char *what, int fd)
{
	if (fd < 0)
		FAIL("%s: %s", what, strerror(errno));
	files[count].what = what;
	files[count++].fd = fd;
}

/* Once as it is, once with what F_SETFL takes. */
static void add_both(const char *what, int fd, int again)
{
	static const int flags[] = { O_NONBLOCK, O_APPEND, O_NOATIME, O_DIRECT };

	add(what, fd);
	add(what, again);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (flags[i] != O_DIRECT || strstr(what, "file"))
			(void)fcntl(again, F_SETFL, fcntl(again, F_GETFL) | flags[i]);
}

static int memory(int mode)
{
	int fd = MUST(memfd_create("memory", 0));
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, mode);
}

static void add_terminal(void)
{
	int master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), zero = 0;
	char path[32];

	MUST(ioctl(master, TIOCSPTLCK, &zero));
	add("master", master);
	add("slave without O_LARGEFILE", ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	add("slave that is read", ioctl(master, TIOCGPTPEER, O_RDONLY | O_NOCTTY | O_NONBLOCK));
	add("slave with O_LARGEFILE", ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | KERNEL_LARGEFILE));
	MUST(ioctl(master, TIOCGPTN, &zero));
	snprintf(path, sizeof(path), "/dev/pts/%d", zero);
	add("slave by its path", open(path, O_WRONLY | O_NOCTTY));
}

static void add_pipes(int flags)
{
	int ends[2];

	MUST(pipe2(ends, flags));
	add("pipe to read", ends[0]);
	add("pipe to write", ends[1]);
}

int main(void)
{
	sigset_t set;
	int fd;

	test_start();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(mkfifo("fifo", 0600));
	close(MUST(open("file", O_WRONLY | O_CREAT, 0600)));
	close(MUST(open("deleted", O_WRONLY | O_CREAT, 0600)));
	add_terminal();
	add_pipes(0);
	add_pipes(O_DIRECT | O_NONBLOCK);
	add_both("file", open("file", O_RDWR), open("file", O_WRONLY | O_SYNC));
	add("file", open("file", O_RDONLY | O_DSYNC | O_NOFOLLOW));
	add_both("directory", open(".", O_RDONLY | O_DIRECTORY), open(".", O_RDONLY));
	add("path", open("file", O_PATH));
	add("temporary file", open(".", O_TMPFILE | O_RDWR, 0600));
	add_both("deleted file", open("deleted", O_RDWR), open("deleted", O_RDONLY));
	MUST(unlink("deleted"));
	add_both("fifo", open("fifo", O_RDWR), open("fifo", O_RDONLY | O_NONBLOCK));
	add_both("device", open("/dev/null", O_RDWR), open("/dev/zero", O_RDONLY));
	add_both("eventfd", eventfd(0, 0), eventfd(0, EFD_SEMAPHORE));
	add_both("epoll", epoll_create1(0), epoll_create1(0));
	add_both("signalfd", signalfd(-1, &set, 0), signalfd(-1, &set, SFD_NONBLOCK));
	add_both("timerfd", timerfd_create(CLOCK_MONOTONIC, 0), timerfd_create(CLOCK_REALTIME, 0));
	add_both("inotify", inotify_init1(0), inotify_init1(IN_NONBLOCK));
	fd = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
	if (fd >= 0)
		add_both("fanotify", fd, fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_WRONLY));
	add_both("memfd", memory(O_RDWR), memory(O_RDONLY));
	add("memfd as it is made", memfd_create("other", MFD_ALLOW_SEALING));
	fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (fd >= 0)
		add_both("pidfd", fd, (int)syscall(SYS_pidfd_open, getpid(), O_NONBLOCK));
	add("file of /proc", open("/proc/self/status", O_RDONLY));
	add("namespace", open("/proc/self/ns/net", O_RDONLY));
	for (int i = 0; i < count; i++)
		files[i].flags = MUST(fcntl(files[i].fd, F_GETFL));
	test_wait();
	for (int i = 0; i < count; i++)
		if (fcntl(files[i].fd, F_GETFL) != files[i].flags)
			FAIL("%s, fd %d: flags %#x, were %#x", files[i].what, files[i].fd, fcntl(files[i].fd, F_GETFL),
			     files[i].flags);
	return test_pass();
}
