/* inotify: watches with their descriptors and masks, and events after the restore. */
#include "zdtmlib.h"

#include <sys/inotify.h>
#include <sys/stat.h>

int main(void)
{
	char buffer[4096] __attribute__((aligned(8)));
	const struct inotify_event *event = (void *)buffer;
	int fd, first, second;

	test_start();
	MUST(mkdir("watched", 0700));
	close(MUST(open("file", O_RDWR | O_CREAT, 0600)));
	fd = MUST(inotify_init1(IN_NONBLOCK));
	first = MUST(inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE));
	MUST(inotify_rm_watch(fd, first));
	EXPECT(read(fd, buffer, sizeof(buffer)) > 0);
	first = MUST(inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE));
	second = MUST(inotify_add_watch(fd, "file", IN_MODIFY | IN_ONESHOT));
	test_wait();
	EXPECT_EQ(read(fd, buffer, sizeof(buffer)), -1);
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
