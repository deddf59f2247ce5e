/*
 * With whose rights files were opened, where the kernel asks for these and not for those of who uses them: page frames
 * in /proc/PID/pagemap and addresses in /proc/kallsyms are shown to who was allowed to see them when he opened the
 * file. With the argument "cgroup" that of processes that are moved by cgroup.procs.
 */
#include "zdtmlib.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#define PAGE   4096
#define USER   1000
#define GROUP  2000
#define MEMBER 2001

static volatile char page[PAGE] __attribute__((aligned(PAGE)));

/* --- what a file shows ------------------------------------------------------------------------------------------- */

static bool shows_frames(int fd)
{
	uint64_t entry = 0;

	EXPECT_EQ(pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE * sizeof(entry))), sizeof(entry));
	EXPECT(entry >> 63); /* it is there */
	return entry << 9 != 0;
}

static bool shows_addresses(int fd)
{
	char text[16384], *line = text;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	EXPECT(n > 0);
	text[n] = '\0';
	for (; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strtoull(line, NULL, 16))
			return true;
	return false;
}

/* --- rights ------------------------------------------------------------------------------------------------------ */

static void set_effective(uint64_t clear)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	MUST(syscall(SYS_capget, &header, data));
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted & ~(uint32_t)(clear >> 32 * i);
	MUST(syscall(SYS_capset, &header, data));
}

static void become_user(void)
{
	const gid_t groups[] = { GROUP, MEMBER };

	MUST(setgroups(2, groups));
	MUST(setresgid(GROUP, GROUP, GROUP));
	MUST(setresuid(USER, USER, USER));
	MUST(prctl(PR_SET_DUMPABLE, 1)); /* the files of its process are its own */
}

/* --- processes --------------------------------------------------------------------------------------------------- */

struct shown {
	int fd;
	bool (*shows)(int fd);
	bool before;
};

static struct shown files[8];
static int file_count;

static void note(int fd, bool (*shows)(int fd), bool expected)
{
	EXPECT_EQ(shows(fd), expected);
	files[file_count++] = (struct shown){ fd, shows, expected };
}

static void check(void)
{
	for (int i = 0; i < file_count; i++)
		if (files[i].shows(files[i].fd) != files[i].before)
			FAIL("file %d (descriptor %d) shows %s than before", i, files[i].fd,
			     files[i].before ? "less" : "more");
}

static void quiet_child(void *arg)
{
	(void)arg;
	page[0] = 2;
	child_wait();
}

/* Has one of root's, and looks at its own pages and those of its child. */
static void user(void *arg)
{
	char path[64];
	pid_t child;

	(void)arg;
	file_count = 0;
	page[0] = 1;
	note(MUST(open("/proc/self/pagemap", O_RDONLY)), shows_frames, true);
	become_user();
	note(MUST(open("/proc/self/pagemap", O_RDONLY)), shows_frames, false);
	note(MUST(open("/proc/kallsyms", O_RDONLY)), shows_addresses, false);
	child = test_fork(quiet_child, NULL);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", child);
	note(MUST(open(path, O_RDONLY)), shows_frames, false);
	child_wait();
	check();
	test_end_child(child);
}

static int show(void)
{
	pid_t child;

	page[0] = 3;
	note(MUST(open("/proc/self/pagemap", O_RDONLY)), shows_frames, true);
	MUST(seteuid(USER));
	MUST(prctl(PR_SET_DUMPABLE, 1));
	note(MUST(open("/proc/kallsyms", O_RDONLY)), shows_addresses, false);
	MUST(seteuid(0));
	set_effective(1ull << CAP_SYS_ADMIN);
	note(MUST(open("/proc/self/pagemap", O_RDONLY)), shows_frames, false);
	set_effective(0);
	(void)setfsuid(USER); /* of capabilities it costs those of files only */
	note(MUST(open("/proc/kallsyms", O_RDONLY)), shows_addresses, true);
	(void)setfsuid(0);
	MUST(prctl(PR_SET_DUMPABLE, 1));
	child = test_fork(user, NULL);
	test_wait();
	check();
	test_end_child(child);
	return test_pass();
}

/* --- moving processes -------------------------------------------------------------------------------------------- */

static char group_path[128];

static void remove_group(void)
{
	(void)rmdir(group_path);
}

static void make_group(void)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char path[192];
	struct statfs fs;

	for (int i = 0; i < 2 && !group_path[0]; i++)
		if (statfs(places[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			snprintf(group_path, sizeof(group_path), "%s/zdtm-openers-%lld", places[i],
				 (long long)time(NULL));
	if (!group_path[0] || mkdir(group_path, 0755) < 0)
		test_skip("no cgroup can be made");
	snprintf(path, sizeof(path), "%s/cgroup.procs", group_path);
	MUST(chown(path, 0, MEMBER));
	MUST(chmod(path, 0660));
}

static int move(int fd)
{
	return pwrite(fd, "0", 1, 0) < 0 ? errno : 0;
}

static void mover(void *arg)
{
	char path[192];
	int of_root, of_user;

	(void)arg;
	snprintf(path, sizeof(path), "%s/cgroup.procs", group_path);
	of_root = MUST(open(path, O_WRONLY));
	become_user();
	of_user = MUST(open(path, O_WRONLY));
	EXPECT_EQ(move(of_user), EACCES);
	child_wait();
	EXPECT_EQ(move(of_user), EACCES);
	EXPECT_EQ(move(of_root), 0);
}

static int move_by_cgroup(void)
{
	pid_t child;

	make_group();
	EXPECT_EQ(atexit(remove_group), 0);
	child = test_fork(mover, NULL);
	test_wait();
	kill(child, SIGTERM);
	EXPECT_EQ(test_reap(child), 0);
	return test_pass();
}

/* --- what is refused --------------------------------------------------------------------------------------------- */

static pid_t other_thread;

static void other(void)
{
	__atomic_store_n(&other_thread, gettid(), __ATOMIC_RELEASE);
	thread_wait();
}

static int have_file_of_thread(void)
{
	pthread_t thread = test_thread(other);
	char path[64];
	int fd;

	page[0] = 4;
	MUST(seteuid(USER));
	MUST(prctl(PR_SET_DUMPABLE, 1));
	snprintf(path, sizeof(path), "/proc/self/task/%d/pagemap", other_thread);
	fd = MUST(open(path, O_RDONLY));
	MUST(seteuid(0));
	test_wait();
	EXPECT(!shows_frames(fd));
	test_end_thread(thread);
	return test_pass();
}

static int have_file_of_namespace(void)
{
	pid_t pid = (pid_t)MUST(syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL));

	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) < 0)
			_exit(2);
		_exit(open("/proc/sys/kernel/ostype", O_RDONLY) < 0);
	}
	if (test_reap(pid) != 0)
		test_skip("no user namespace can be made");
	test_wait();
	return test_pass();
}

int main(int argc, char **argv)
{
	test_start();
	if (argc > 1 && !strcmp(argv[1], "cgroup"))
		return move_by_cgroup();
	if (argc > 1 && !strcmp(argv[1], "thread"))
		return have_file_of_thread();
	return argc > 1 ? have_file_of_namespace() : show();
}
