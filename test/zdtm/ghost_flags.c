/*
 * Flags of chattr(1) that nameless files and directories have: those of any use before, and those that forbid to open
 * the file again the way it is open. "project": in a filesystem with project numbers; "encrypted": what cannot be given
 * to another inode.
 */
#include "zdtmlib.h"

#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CHOSEN (FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_DIRSYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL)

static bool has_flags;

static void add(int fd, unsigned int flags)
{
	unsigned int now;

	if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
		test_skip("no flags here: %s", strerror(errno));
	now |= flags;
	if (ioctl(fd, FS_IOC_SETFLAGS, &now) == 0)
		has_flags = true;
	else if (errno != EOPNOTSUPP)
		FAIL("set flags 0x%x: %s", flags, strerror(errno));
}

static unsigned int chosen(int fd)
{
	unsigned int now;

	MUST(ioctl(fd, FS_IOC_GETFLAGS, &now));
	return now & CHOSEN;
}

static int make(const char *name, unsigned int flags, int open_flags)
{
	int fd = MUST(open(name, open_flags | O_CREAT, 0600));

	MUST(unlink(name));
	EXPECT_EQ(write(fd, "content", 7), open_flags & O_WRONLY || open_flags & O_RDWR ? 7 : -1);
	add(fd, flags);
	return fd;
}

static void child(void *arg)
{
	(void)arg;
	child_wait();
}

/* A filesystem with what the one around it need not have. */
static void mount_image(const char *make_filesystem)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "exec >/dev/null 2>&1; PATH=$PATH:/usr/sbin:/sbin; truncate -s 300M image && %s image && "
		 "mkdir mounted && mount -o loop image mounted",
		 make_filesystem);
	if (system(command) != 0)
		test_skip("cannot make and mount a filesystem: %s", make_filesystem);
}

static int test_project(void)
{
	const unsigned int wanted = 4711;
	struct fsxattr more;
	int file, directory;

	mount_image("mkfs.xfs -q");
	file = make("mounted/file", 0, O_RDWR);
	MUST(mkdir("mounted/directory", 0700));
	directory = MUST(open("mounted/directory", O_RDONLY | O_DIRECTORY));
	MUST(rmdir("mounted/directory"));
	MUST(ioctl(file, FS_IOC_FSGETXATTR, &more));
	more.fsx_projid = wanted;
	if (ioctl(file, FS_IOC_FSSETXATTR, &more) < 0)
		test_skip("no project numbers: %s", strerror(errno));
	MUST(ioctl(directory, FS_IOC_FSGETXATTR, &more));
	more.fsx_projid = wanted + 1;
	more.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	MUST(ioctl(directory, FS_IOC_FSSETXATTR, &more));
	test_wait();
	MUST(ioctl(file, FS_IOC_FSGETXATTR, &more));
	EXPECT_EQ(more.fsx_projid, wanted);
	EXPECT_EQ(more.fsx_xflags & FS_XFLAG_PROJINHERIT, 0);
	MUST(ioctl(directory, FS_IOC_FSGETXATTR, &more));
	EXPECT_EQ(more.fsx_projid, wanted + 1);
	EXPECT_EQ(more.fsx_xflags & FS_XFLAG_PROJINHERIT, FS_XFLAG_PROJINHERIT);
	return test_pass();
}

static int test_encrypted(void)
{
	enum { KEY_BYTES = 64 };
	union {
		struct fscrypt_add_key_arg head;
		unsigned char bytes[sizeof(struct fscrypt_add_key_arg) + KEY_BYTES];
	} key = { .head = { .key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER, .raw_size = KEY_BYTES } };
	struct fscrypt_policy_v2 policy = { .version = FSCRYPT_POLICY_V2,
					    .contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
					    .filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
					    .flags = FSCRYPT_POLICY_FLAGS_PAD_32 };
	int directory;

	memcpy(key.bytes + sizeof(key.head), "\1\2\3", 3);
	mount_image("mkfs.ext4 -q -O encrypt");
	MUST(mkdir("mounted/directory", 0700));
	directory = MUST(open("mounted/directory", O_RDONLY | O_DIRECTORY));
	if (ioctl(directory, FS_IOC_ADD_ENCRYPTION_KEY, &key) < 0)
		test_skip("no encryption: %s", strerror(errno));
	memcpy(policy.master_key_identifier, key.head.key_spec.u.identifier, sizeof(policy.master_key_identifier));
	if (ioctl(directory, FS_IOC_SET_ENCRYPTION_POLICY, &policy) < 0)
		test_skip("no encryption: %s", strerror(errno));
	close(directory);
	make("mounted/directory/file", 0, O_RDWR);
	test_wait();
	return test_pass();
}

int main(int argc, char **argv)
{
	enum { PLAIN, IMMUTABLE, APPEND, DIRECTORY, MAPPED, ONLY_MAPPED, COUNT };
	unsigned int before[COUNT];
	int fds[COUNT], path_fd, again;
	char link[64], *map;
	pid_t pid;

	test_start();
	if (argc > 1)
		return strcmp(argv[1], "project") == 0 ? test_project() : test_encrypted();
	MUST(mkdir("directory", 0700));
	fds[PLAIN] = make("plain", FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL, O_RDWR);
	fds[IMMUTABLE] = make("immutable", FS_IMMUTABLE_FL | FS_NODUMP_FL, O_RDWR);
	fds[APPEND] = make("append", FS_APPEND_FL, O_WRONLY);
	fds[DIRECTORY] = MUST(open("directory", O_RDONLY | O_DIRECTORY));
	path_fd = MUST(open("directory", O_PATH));
	MUST(rmdir("directory"));
	add(fds[DIRECTORY], FS_DIRSYNC_FL | FS_NOATIME_FL);
	fds[MAPPED] = make("mapped", 0, O_RDWR);
	MUST(ftruncate(fds[MAPPED], 4096));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[MAPPED], 0);
	EXPECT(map != MAP_FAILED);
	add(fds[MAPPED], FS_IMMUTABLE_FL);
	close(fds[MAPPED]);
	fds[ONLY_MAPPED] = make("ordinary", 0, O_RDWR);
	for (int i = 0; i < COUNT; i++)
		before[i] = i == MAPPED ? FS_IMMUTABLE_FL : chosen(fds[i]);
	if (!has_flags)
		test_skip("this filesystem has no flags to set");
	pid = test_fork(child, NULL);
	test_wait();
	snprintf(link, sizeof(link), "/proc/self/map_files/%lx-%lx", (unsigned long)map, (unsigned long)map + 4096);
	fds[MAPPED] = MUST(open(link, O_RDONLY));
	for (int i = 0; i < COUNT; i++)
		EXPECT_EQ(chosen(fds[i]), before[i]);
	EXPECT_EQ(fcntl(path_fd, F_GETFL) & O_PATH, O_PATH);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fds[IMMUTABLE]);
	again = open(link, O_RDWR);
	EXPECT_EQ(again, -1);
	EXPECT_EQ(errno, EPERM);
	EXPECT_EQ(pwrite(fds[PLAIN], "C", 1, 0), 1);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fds[APPEND]);
	again = open(link, O_WRONLY);
	EXPECT_EQ(again, -1);
	MUST(open(link, O_WRONLY | O_APPEND));
	EXPECT_EQ(map[0], 'c');
	test_end_child(pid);
	return test_pass();
}
