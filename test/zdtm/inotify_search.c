/*
 * inotify: watches of files and directories that only a search finds (--irmap-scan-path), as in a filesystem without
 * file handles; two instances, and a file with two names.
 */
#include "zdtmlib.h"

#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { FILES = 30 };

static const char root[] = "/mnt";

static void name_of(int i, char name[32])
{
	(void)snprintf(name, 32, "%s/%d", i % 3 ? "one" : "one/other", i);
}

static void expect_event(int fd, int wd, uint32_t mask)
{
	char buffer[4096] __attribute__((aligned(8)));
	const struct inotify_event *event = (void *)buffer;

	EXPECT(read(fd, buffer, sizeof(buffer)) > 0);
	EXPECT_EQ(event->wd, wd);
	EXPECT_EQ(event->mask, mask);
	EXPECT_EQ(read(fd, buffer, sizeof(buffer)), -1);
}

int main(void)
{
	int fd, other, wds[FILES], directory;
	char name[32];

	test_start();
	if (mount("zdtm", root, "tmpfs", 0, "size=1m") < 0)
		test_skip("mount a tmpfs: %s", strerror(errno));
	MUST(chdir(root));
	MUST(mkdir("one", 0700));
	MUST(mkdir("one/other", 0700));
	fd = MUST(inotify_init1(IN_NONBLOCK));
	other = MUST(inotify_init1(IN_NONBLOCK));
	for (int i = 0; i < FILES; i++) {
		name_of(i, name);
		close(MUST(open(name, O_RDWR | O_CREAT, 0600)));
		wds[i] = MUST(inotify_add_watch(fd, name, IN_MODIFY));
	}
	MUST(link(name, "one/again"));
	directory = MUST(inotify_add_watch(other, "one/other", IN_CREATE));
	test_wait();
	for (int i = 0; i < FILES; i++) {
		int file;

		name_of(i, name);
		file = MUST(open(name, O_WRONLY));
		EXPECT_EQ(write(file, "x", 1), 1);
		close(file);
		expect_event(fd, wds[i], IN_MODIFY);
	}
	close(MUST(open("one/other/new", O_RDWR | O_CREAT, 0600)));
	expect_event(other, directory, IN_CREATE);
	return test_pass();
}
