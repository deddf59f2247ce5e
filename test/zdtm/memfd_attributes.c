/*
 * What memfds have besides their content: owner, mode, times, extended attributes, access lists, flags of chattr(1),
 * all seals, names of any characters; open, and only mapped.
 */
#include "zdtmlib.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

static const unsigned char access_list[] = {
	2,    0, 0, 0,                                                        /* version */
	1,    0, 6, 0, 255, 255, 255, 255,                                    /* the owner: rw */
	2,    0, 4, 0, 77,  0,   0,   0,                                      /* user 77: r */
	4,    0, 4, 0, 255, 255, 255, 255, 0x10, 0, 4, 0, 255, 255, 255, 255, /* group, mask */
	0x20, 0, 0, 0, 255, 255, 255, 255,                                    /* others */
};

/* The second one is before 1970. */
static const struct timespec times[2] = { { 1000000001, 123456789 }, { -3, 987654321 } };

static void set(int fd, const char *name, const void *value, size_t bytes)
{
	if (fsetxattr(fd, name, value, bytes, 0) < 0 && errno != EOPNOTSUPP && errno != EPERM)
		FAIL("%s: %s", name, strerror(errno));
}

/* Their names and values, one behind the other. */
static size_t read_all(int fd, char *text, size_t room)
{
	char names[1024];
	ssize_t bytes = MUST(flistxattr(fd, names, sizeof(names)));
	size_t used = 0;

	for (const char *name = names; name < names + bytes; name += strlen(name) + 1) {
		used += (size_t)snprintf(text + used, room - used, "%s=", name);
		used += (size_t)MUST(fgetxattr(fd, name, text + used, room - used));
	}
	return used;
}

static unsigned int flags_of(int fd)
{
	unsigned int flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 ? flags : 0;
}

static void add_flags(int fd, unsigned int flags)
{
	flags |= flags_of(fd);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 && errno != EOPNOTSUPP && errno != ENOTTY)
		FAIL("set flags: %s", strerror(errno));
}

static void expect_stat(int fd, mode_t mode, uid_t uid)
{
	struct stat st;

	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_mode & 07777, mode);
	EXPECT_EQ(st.st_uid, uid);
	EXPECT_EQ(st.st_gid, uid + 1);
	EXPECT_EQ(st.st_atim.tv_sec, times[0].tv_sec);
	EXPECT_EQ(st.st_atim.tv_nsec, times[0].tv_nsec);
	EXPECT_EQ(st.st_mtim.tv_sec, times[1].tv_sec);
	EXPECT_EQ(st.st_mtim.tv_nsec, times[1].tv_nsec);
}

static void expect_link(const char *path, const char *expected)
{
	char link[512];
	ssize_t n = MUST(readlink(path, link, sizeof(link) - 1));

	link[n] = '\0';
	EXPECT_STR(link, expected);
}

int main(void)
{
	static const char odd[] = "new\nline \\012 and\ttab \xff (deleted)";
	char before[4096], after[4096], link[512], expected[512];
	unsigned int immutable_flags, append_flags;
	int fd, immutable, append, sealed, executable, again;
	char *odd_map, *flag_map;
	size_t bytes;

	test_start();
	fd = MUST(memfd_create("attributes", MFD_ALLOW_SEALING));
	MUST(fchown(fd, 1000, 1001));
	MUST(fchmod(fd, 02640));
	set(fd, "user.origin", "somewhere\0else", 14);
	set(fd, "trusted.origin", "nowhere", 7);
	set(fd, "trusted.empty", "", 0);
	set(fd, "system.posix_acl_access", access_list, sizeof(access_list));
	MUST(futimens(fd, times));
	bytes = read_all(fd, before, sizeof(before));
	immutable = MUST(memfd_create("immutable", 0));
	EXPECT_EQ(write(immutable, "content", 7), 7);
	MUST(fchown(immutable, 0, 1));
	MUST(fchmod(immutable, 0600));
	flag_map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, immutable, 0);
	EXPECT(flag_map != MAP_FAILED);
	MUST(futimens(immutable, times));
	add_flags(immutable, FS_IMMUTABLE_FL | FS_NODUMP_FL);
	immutable_flags = flags_of(immutable);
	append = MUST(memfd_create("append", 0));
	add_flags(append, FS_APPEND_FL | FS_NOATIME_FL);
	append_flags = flags_of(append);
	sealed = memfd_create("sealed", MFD_NOEXEC_SEAL);
	if (sealed >= 0) {
		MUST(ftruncate(sealed, 8192));
		MUST(fcntl(sealed, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW));
	}
	executable = MUST(memfd_create("executable", 0));
	MUST(fchown(executable, 5, 6));
	MUST(fchmod(executable, 0755));
	MUST(futimens(executable, times));
	again = MUST(memfd_create(odd, 0));
	MUST(ftruncate(again, 4096));
	odd_map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
	EXPECT(odd_map != MAP_FAILED);
	close(again);
	test_wait();
	EXPECT_EQ(read_all(fd, after, sizeof(after)), bytes);
	EXPECT_MEM(after, before, bytes);
	expect_stat(fd, 02640, 1000);
	expect_stat(immutable, 0600, 0);
	expect_stat(executable, 0755, 5);
	EXPECT_EQ(flags_of(immutable), immutable_flags);
	EXPECT_EQ(flags_of(append), append_flags);
	if (immutable_flags & FS_IMMUTABLE_FL) {
		again = open("/proc/self/fd/4", O_RDWR);
		EXPECT_EQ(again, -1);
		EXPECT_EQ(errno, EPERM);
	}
	flag_map[1] = 'O';
	if (sealed >= 0)
		EXPECT_EQ(fcntl(sealed, F_GET_SEALS), F_SEAL_EXEC | F_SEAL_FUTURE_WRITE | F_SEAL_GROW);
	snprintf(link, sizeof(link), "/proc/self/map_files/%lx-%lx", (unsigned long)odd_map,
		 (unsigned long)odd_map + 4096);
	snprintf(expected, sizeof(expected), "/memfd:%s (deleted)", odd);
	expect_link(link, expected);
	return test_pass();
}
