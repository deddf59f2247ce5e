/*
 * inotify and fanotify on an overlay, which opens nothing by a handle: a directory that was renamed since it is
 * watched, a file of the lower layer, one that lost the name it was watched by to another link of it, and one that is
 * only seen where a part of the overlay is mounted.
 */
#include "zdtmlib.h"

#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void put(const char *name)
{
	int fd = MUST(open(name, O_WRONLY | O_CREAT | O_APPEND, 0600));

	EXPECT_EQ(write(fd, "x", 1), 1);
	MUST(close(fd));
}

static void expect_event(int fd, int number, uint32_t mask, const char *name)
{
	char buffer[4096] __attribute__((aligned(8)));
	const struct inotify_event *event = (void *)buffer;

	MUST(read(fd, buffer, sizeof(struct inotify_event) + (name ? 16 : 0)));
	EXPECT_EQ(event->wd, number);
	EXPECT_EQ(event->mask, mask);
	if (name)
		EXPECT_STR(event->name, name);
}

int main(void)
{
	struct fanotify_event_metadata event;
	int directory, lower, linked, part, fd, marks;

	test_start();
	MUST(mkdir("lower", 0700));
	MUST(mkdir("upper", 0700));
	MUST(mkdir("work", 0700));
	MUST(mkdir("merged", 0700));
	MUST(mkdir("part", 0700));
	put("lower/file");
	if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0)
		test_skip("no overlayfs: %s", strerror(errno));
	MUST(mkdir("merged/inside", 0700));
	put("merged/inside/hidden");
	MUST(mount("merged/inside", "part", NULL, MS_BIND, NULL));
	MUST(mount("none", "merged/inside", "tmpfs", 0, NULL));
	MUST(mkdir("merged/old", 0700));
	put("merged/first");
	fd = MUST(inotify_init1(IN_NONBLOCK));
	directory = MUST(inotify_add_watch(fd, "merged/old", IN_CREATE));
	lower = MUST(inotify_add_watch(fd, "merged/file", IN_ATTRIB));
	linked = MUST(inotify_add_watch(fd, "merged/first", IN_MODIFY));
	part = MUST(inotify_add_watch(fd, "part/hidden", IN_MODIFY));
	MUST(rename("merged/old", "merged/new"));
	MUST(link("merged/first", "merged/second"));
	MUST(unlink("merged/first"));
	marks = fanotify_init(FAN_NONBLOCK, O_RDONLY);
	if (marks < 0)
		test_skip("fanotify_init: %s", strerror(errno));
	MUST(fanotify_mark(marks, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, "merged/second"));
	test_wait();
	EXPECT_EQ(read(fd, &event, sizeof(event)), -1);
	put("merged/new/made");
	expect_event(fd, directory, IN_CREATE, "made");
	MUST(chmod("merged/file", 0640));
	expect_event(fd, lower, IN_ATTRIB, NULL);
	put("merged/second");
	expect_event(fd, linked, IN_MODIFY, NULL);
	put("part/hidden");
	expect_event(fd, part, IN_MODIFY, NULL);
	EXPECT_EQ(read(marks, &event, sizeof(event)), sizeof(event));
	EXPECT_EQ(event.mask, FAN_MODIFY);
	return test_pass();
}
