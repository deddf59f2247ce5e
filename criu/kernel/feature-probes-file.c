/* Probes of descriptors, fdinfo and mounts. */
#include "kernel/feature-probes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/missing-fs.h"
#include "kernel/probe-child.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc-pid.h"

/* --- fdinfo ------------------------------------------------------------------------------------------------------ */

static int read_own_fdinfo(int fd, struct fdinfo *info)
{
	AUTO_CLOSE int procfd = proc_open(0);

	if (procfd < 0)
		return procfd;
	return fdinfo_read(procfd, fd, info);
}

/* Whether fdinfo of a descriptor has a line with this key. */
static int has_key(int fd, const char *key)
{
	AUTO_FDINFO struct fdinfo info = { 0 };
	int r;

	if (fd < 0)
		return probe_answer(-1);
	r = read_own_fdinfo(fd, &info);
	return r < 0 ? r : fdinfo_value(&info, key) != NULL;
}

int probe_mnt_id(void)
{
	AUTO_CLOSE int fd = memfd_create("probe", MFD_CLOEXEC);

	return has_key(fd, "mnt_id");
}

int probe_fdinfo_eventfd(void)
{
	AUTO_CLOSE int fd = eventfd(0, EFD_CLOEXEC);

	return has_key(fd, "eventfd-count");
}

int probe_fdinfo_semaphore(void)
{
	AUTO_CLOSE int fd = eventfd(0, EFD_CLOEXEC);

	return has_key(fd, "eventfd-semaphore");
}

int probe_fdinfo_epoll(void)
{
	AUTO_CLOSE int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	AUTO_CLOSE int event_fd = eventfd(0, EFD_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_fd < 0 || event_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) < 0)
		return probe_answer(-1);
	return has_key(epoll_fd, "tfd");
}

int probe_fdinfo_signalfd(void)
{
	AUTO_CLOSE int fd = -1;
	sigset_t mask;

	(void)sigemptyset(&mask);
	fd = signalfd(-1, &mask, SFD_CLOEXEC);
	return has_key(fd, "sigmask");
}

int probe_fdinfo_inotify(void)
{
	AUTO_CLOSE int fd = inotify_init1(IN_CLOEXEC);

	if (fd < 0 || inotify_add_watch(fd, "/", IN_ONLYDIR | IN_DELETE_SELF) < 0)
		return probe_answer(-1);
	return has_key(fd, "inotify");
}

int probe_fdinfo_lock(void)
{
	AUTO_CLOSE int fd = memfd_create("probe", MFD_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return has_key(fd, "lock");
}

/* --- descriptors ------------------------------------------------------------------------------------------------- */

int probe_timerfd(void)
{
	AUTO_CLOSE int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	uint64_t ticks = 3, seen = 0;

	if (fd < 0 || ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0)
		return probe_answer(-1);
	if (read(fd, &seen, sizeof(seen)) != sizeof(seen))
		return -errno;
	return seen == ticks;
}

int probe_getowner_uids(void)
{
	AUTO_CLOSE int fd = memfd_create("probe", MFD_CLOEXEC);
	uint32_t uids[2];

	if (fd < 0)
		return -errno;
	return probe_answer(fcntl(fd, F_GETOWNER_UIDS, uids));
}

int probe_openat2(void)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	AUTO_CLOSE int fd = (int)syscall(__NR_openat2, AT_FDCWD, "/", &how, sizeof(how));

	return probe_answer(fd);
}

int probe_vmsplice_unaligned(void)
{
	char page[64] = "content", back[8];
	struct iovec piece = { .iov_base = page + 3, .iov_len = 5 };
	AUTO_CLOSE int read_fd = -1;
	AUTO_CLOSE int write_fd = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	if (vmsplice(write_fd, &piece, 1, SPLICE_F_NONBLOCK) < 0)
		return probe_answer(-1);
	return read(read_fd, back, sizeof(back)) == 5 && memcmp(back, page + 3, 5) == 0;
}

int probe_pty_lock(void)
{
	AUTO_CLOSE int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int lock = 1, seen = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, TIOCSPTLCK, &lock) < 0 || ioctl(fd, TIOCGPTLCK, &seen) < 0)
		return probe_answer(-1);
	return seen == lock;
}

/* --- mounts ------------------------------------------------------------------------------------------------------ */

/* Two mounts of one filesystem: /sys joins the peer group of /dev. Both are in a namespace of the probe's own. */
static int join_peer_group(void)
{
	if (mount("probe", "/dev", "tmpfs", 0, NULL) < 0 || mount("/dev", "/sys", NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, "/dev", NULL, MS_SHARED, NULL) < 0)
		return -errno;
	return probe_answer(syscall(SYS_move_mount, AT_FDCWD, "/dev", AT_FDCWD, "/sys", MOVE_MOUNT_SET_GROUP));
}

int probe_move_mount_set_group(void)
{
	return probe_in_namespaces(CLONE_NEWNS, join_peer_group);
}

/* --- AppArmor ---------------------------------------------------------------------------------------------------- */

static int starts_with(const char *path, const char *expected)
{
	char text[64];
	int bytes = proc_read_text(AT_FDCWD, path, text, sizeof(text));

	if (bytes == -ENOENT || bytes == -ENOTDIR)
		return 0;
	return bytes < 0 ? bytes : strncmp(text, expected, strlen(expected)) == 0;
}

int probe_apparmor_stacking(void)
{
	int r = starts_with("/sys/module/apparmor/parameters/enabled", "Y");

	if (r <= 0)
		return r;
	r = starts_with("/sys/kernel/security/apparmor/features/domain/stack", "yes");
	if (r <= 0)
		return r;
	if (access("/sys/kernel/security/apparmor/policy/namespaces", R_OK | X_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	return 1;
}
