/* What nameless files, directories, fifos and symbolic links are besides their content: owner, mode, times, attributes.
 */
#include "zdtmlib.h"

#include <sys/stat.h>
#include <sys/xattr.h>

enum { KINDS = 4 };

static const unsigned char access_list[] = {
	2,    0, 0, 0,                                                        /* version */
	1,    0, 6, 0, 255, 255, 255, 255,                                    /* the owner: rw */
	2,    0, 4, 0, 77,  0,   0,   0,                                      /* user 77: r */
	4,    0, 4, 0, 255, 255, 255, 255, 0x10, 0, 4, 0, 255, 255, 255, 255, /* group, mask */
	0x20, 0, 0, 0, 255, 255, 255, 255,                                    /* others */
};

/* cap_net_raw, permitted and effective */
static const unsigned char capability[] = { 1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

static bool has_attributes;

static const char *by_fd(int fd)
{
	static char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void set(int fd, const char *name, const void *value, size_t bytes)
{
	if (setxattr(by_fd(fd), name, value, bytes, 0) == 0)
		has_attributes = true;
	else if (errno != EOPNOTSUPP && errno != EPERM)
		FAIL("%s: %s", name, strerror(errno));
}

/* Their names and values, one behind the other. */
static size_t read_all(int fd, char *text, size_t room)
{
	char names[1024];
	ssize_t bytes = listxattr(by_fd(fd), names, sizeof(names));
	size_t used = 0;

	if (bytes < 0 && errno == EOPNOTSUPP)
		return 0;
	MUST(bytes);
	for (const char *name = names; name < names + bytes; name += strlen(name) + 1) {
		used += (size_t)snprintf(text + used, room - used, "%s=", name);
		used += (size_t)MUST(getxattr(by_fd(fd), name, text + used, room - used));
	}
	return used;
}

int main(void)
{
	static const char *const names[KINDS] = { "file", "directory", "fifo", "link" };
	static const mode_t modes[KINDS] = { 04750, 02771, 0620, 0777 };
	const struct timespec times[2] = { { 1000000001, 123456789 }, { -77, 987654321 } };
	static char before[KINDS][4096], after[4096];
	size_t sizes[KINDS];
	struct stat st;
	int fds[KINDS];

	test_start();
	close(MUST(open("file", O_RDWR | O_CREAT, 0600)));
	MUST(mkdir("directory", 0700));
	MUST(mkfifo("fifo", 0600));
	MUST(symlink("where it leads", "link"));
	for (int i = 0; i < KINDS; i++) {
		fds[i] = MUST(open(names[i], O_PATH | O_NOFOLLOW));
		MUST(fchownat(AT_FDCWD, names[i], 1000 + i, 2000 + i, AT_SYMLINK_NOFOLLOW));
		if (i < 3)
			MUST(chmod(names[i], modes[i]));
		if (i < 2)
			set(fds[i], "user.origin", "somewhere\0else", 14);
		set(fds[i], "trusted.empty", "", 0);
		if (i == 0)
			set(fds[i], "security.capability", capability, sizeof(capability));
		if (i == 2)
			set(fds[i], "system.posix_acl_access", access_list, sizeof(access_list));
		MUST(utimensat(AT_FDCWD, names[i], times, AT_SYMLINK_NOFOLLOW));
		MUST(unlinkat(AT_FDCWD, names[i], i == 1 ? AT_REMOVEDIR : 0));
		if (i == 1)
			MUST(utimensat(AT_FDCWD, by_fd(fds[i]), times, 0));
		sizes[i] = read_all(fds[i], before[i], sizeof(before[i]));
	}
	test_wait();
	for (int i = 0; i < KINDS; i++) {
		MUST(fstat(fds[i], &st));
		EXPECT_EQ(st.st_uid, 1000 + i);
		EXPECT_EQ(st.st_gid, 2000 + i);
		if (i != 2)
			EXPECT_EQ(st.st_mode & 07777, modes[i]);
		EXPECT_EQ(st.st_mtim.tv_sec, times[1].tv_sec);
		EXPECT_EQ(st.st_mtim.tv_nsec, times[1].tv_nsec);
		EXPECT_EQ(st.st_atim.tv_sec, times[0].tv_sec);
		EXPECT_EQ(st.st_atim.tv_nsec, times[0].tv_nsec);
		EXPECT_EQ(read_all(fds[i], after, sizeof(after)), sizes[i]);
		EXPECT_MEM(after, before[i], sizes[i]);
	}
	EXPECT_EQ(readlinkat(fds[3], "", after, sizeof(after)), 14);
	EXPECT_MEM(after, "where it leads", 14);
	return test_pass();
}
