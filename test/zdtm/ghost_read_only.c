/*
 * Files on a filesystem that was mounted read-only after they were opened: one with its name, open and mapped; one
 * without, in a directory that is gone too. Nothing can be written there afterwards.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int make(const char *name)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_EXCL, 0640));

	EXPECT_EQ(write(fd, name, 4), 4);
	close(fd);
	return MUST(open(name, O_RDONLY));
}

int main(void)
{
	int named, unnamed, deep, directory;
	const char *mapped;
	char text[8];
	struct stat st;

	test_start();
	MUST(mkdir("mounted", 0700));
	if (mount("ghosts", "mounted", "tmpfs", 0, "mode=700") < 0)
		test_skip("mount: %s", strerror(errno));
	MUST(chdir("mounted"));
	named = make("named");
	unnamed = make("unnamed");
	mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, named, 0);
	EXPECT(mapped != MAP_FAILED);
	MUST(mkdir("above", 0700));
	deep = make("above/deep");
	directory = MUST(open("above", O_RDONLY | O_DIRECTORY));
	MUST(unlink("above/deep"));
	MUST(rmdir("above"));
	MUST(unlink("unnamed"));
	MUST(mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	test_wait();
	EXPECT_MEM(mapped, "name", 4);
	EXPECT_EQ(pread(named, text, 8, 0), 4);
	EXPECT_EQ(pread(unnamed, text, 8, 0), 4);
	EXPECT_MEM(text, "unna", 4);
	EXPECT_EQ(pread(deep, text, 8, 0), 4);
	EXPECT_MEM(text, "abov", 4);
	MUST(fstat(deep, &st));
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_EQ(st.st_mode & 07777, 0640);
	MUST(fstat(directory, &st));
	EXPECT_EQ(st.st_nlink, 0);
	EXPECT_EQ(open("new", O_WRONLY | O_CREAT, 0600), -1);
	EXPECT_EQ(errno, EROFS);
	EXPECT_EQ(fchmod(unnamed, 0600), -1);
	EXPECT_EQ(errno, EROFS);
	EXPECT_EQ(access("above", F_OK), -1);
	return test_pass();
}
