/*
 * inotify: watches with their descriptors and masks, and events after the restore. "numbers": one whose number is too
 * large to be reached again.
 */
#include "zdtmlib.h"

#include <sys/inotify.h>
#include <sys/stat.h>

enum { MOST = 1 << 24 };

static int use_up_numbers(void)
{
	int fd = MUST(inotify_init1(IN_NONBLOCK)), wd;

	do {
		wd = MUST(inotify_add_watch(fd, ".", IN_CREATE));
		if (wd <= MOST)
			MUST(inotify_rm_watch(fd, wd));
	} while (wd <= MOST);
	test_wait();
	return test_pass();
}

int main(int argc, char **argv)
{
	char buffer[4096] __attribute__((aligned(8)));
	const struct inotify_event *event = (void *)buffer;
	int fd, unused, first, second, last;

	test_start();
	if (argc > 1 && strcmp(argv[1], "numbers") == 0)
		return use_up_numbers();
	MUST(mkdir("watched", 0700));
	close(MUST(open("file", O_RDWR | O_CREAT, 0600)));
	fd = MUST(inotify_init1(IN_NONBLOCK));
	first = MUST(inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE));
	MUST(inotify_rm_watch(fd, first));
	EXPECT(read(fd, buffer, sizeof(buffer)) > 0);
	first = MUST(inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE));
	second = MUST(inotify_add_watch(fd, "file", IN_MODIFY | IN_ONESHOT));
	for (int i = 0; i < 20; i++) {
		last = MUST(inotify_add_watch(fd, ".", IN_MODIFY));
		MUST(inotify_rm_watch(fd, last));
	}
	EXPECT(read(fd, buffer, sizeof(buffer)) > 0);
	unused = MUST(inotify_init1(IN_NONBLOCK));
	test_wait();
	EXPECT_EQ(read(fd, buffer, sizeof(buffer)), -1);
	EXPECT_EQ(inotify_add_watch(fd, ".", IN_DELETE_SELF), last + 1);
	EXPECT_EQ(inotify_add_watch(unused, ".", IN_MODIFY), 1);
	close(MUST(open("watched/new", O_RDWR | O_CREAT, 0600)));
	EXPECT(read(fd, buffer, sizeof(buffer)) > 0);
	EXPECT_EQ(event->wd, first);
	EXPECT_EQ(event->mask, IN_CREATE);
	EXPECT_STR(event->name, "new");
	EXPECT_EQ(write(MUST(open("file", O_WRONLY)), "x", 1), 1);
	EXPECT(read(fd, buffer, sizeof(buffer)) > 0);
	EXPECT_EQ(event->wd, second);
	return test_pass();
}
