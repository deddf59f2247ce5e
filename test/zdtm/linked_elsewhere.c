/*
 * Files whose name was removed and that have another one in another directory: --link-remap links them for the dump,
 * and no such link is there afterwards. One of them by two descriptors, one mapped only, one below a directory that is
 * gone.
 */
#include "zdtmlib.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>

static void hide(const char *name, const char *other)
{
	MUST(linkat(AT_FDCWD, name, AT_FDCWD, other, 0));
	MUST(unlink(name));
}

static void expect_no_links(void)
{
	DIR *dir = opendir(".");
	const struct dirent *entry;

	EXPECT(dir);
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "link_remap.", 11))
			FAIL("%s is left", entry->d_name);
	closedir(dir);
}

int main(void)
{
	int fd, again, deep;
	const char *mapped;
	struct stat before, st;

	test_start();
	MUST(mkdir("elsewhere", 0700));
	MUST(mkdir("gone", 0700));
	fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(fd, "content", 7), 7);
	again = MUST(open("file", O_RDONLY));
	hide("file", "elsewhere/file");
	deep = MUST(open("gone/deep", O_RDWR | O_CREAT, 0600));
	hide("gone/deep", "elsewhere/deep");
	MUST(rmdir("gone"));
	close(MUST(open("mapped", O_RDWR | O_CREAT, 0600)));
	MUST(truncate("mapped", 4096));
	{
		int map_fd = MUST(open("mapped", O_RDONLY));

		mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, map_fd, 0);
		EXPECT(mapped != MAP_FAILED);
		close(map_fd);
	}
	hide("mapped", "elsewhere/mapped");
	MUST(fstat(fd, &before));
	test_wait();
	expect_no_links();
	MUST(fstat(fd, &st));
	EXPECT_EQ(st.st_ino, before.st_ino);
	EXPECT_EQ(st.st_nlink, 1);
	MUST(fstat(again, &st));
	EXPECT_EQ(st.st_ino, before.st_ino);
	MUST(fstat(deep, &st));
	MUST(stat("elsewhere/deep", &before));
	EXPECT_EQ(st.st_ino, before.st_ino);
	fd = MUST(open("elsewhere/mapped", O_WRONLY));
	EXPECT_EQ(pwrite(fd, "seen", 4, 0), 4);
	EXPECT_MEM(mapped, "seen", 4);
	return test_pass();
}
