/*
 * fanotify: marks on a directory (with an ignored set) and on a mount, and events after the restore; what fdinfo shows
 * of the flags it was made with, whatever the descriptor's have become.
 */
#include "zdtmlib.h"

#include <sys/fanotify.h>
#include <sys/stat.h>

static int next_event(int fd, unsigned long long *ret_mask)
{
	char buffer[4096] __attribute__((aligned(8)));
	const struct fanotify_event_metadata *event = (void *)buffer;
	ssize_t bytes = read(fd, buffer, sizeof(buffer));

	if (bytes < 0)
		return -1;
	EXPECT(FAN_EVENT_OK(event, bytes));
	*ret_mask = event->mask;
	close(event->fd);
	return 0;
}

static void read_flags(int fd, unsigned int *ret_made, unsigned int *ret_events)
{
	const char *text;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	text = strstr(test_slurp(path), "fanotify flags:");
	EXPECT(text && sscanf(text, "fanotify flags:%x event-flags:%x", ret_made, ret_events) == 2);
}

int main(void)
{
	unsigned int made[2], events[2], flags, event_flags;
	unsigned long long mask;
	const char *text;
	char path[64];
	int fd, others[2];

	test_start();
	MUST(mkdir("watched", 0700));
	close(MUST(open("watched/quiet", O_RDWR | O_CREAT, 0600)));
	fd = fanotify_init(FAN_CLASS_CONTENT | FAN_UNLIMITED_MARKS | FAN_NONBLOCK, O_RDONLY | O_LARGEFILE);
	if (fd < 0)
		test_skip("fanotify_init: %s", strerror(errno));
	MUST(fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD, AT_FDCWD, "watched"));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY,
			   AT_FDCWD, "watched/quiet"));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, AT_FDCWD, "/proc"));
	others[0] = MUST(fanotify_init(FAN_NONBLOCK, O_RDONLY));
	MUST(fcntl(others[0], F_SETFD, FD_CLOEXEC));
	others[1] = MUST(fanotify_init(FAN_CLOEXEC, O_RDWR));
	MUST(fcntl(others[1], F_SETFD, 0));
	MUST(fcntl(others[1], F_SETFL, O_NONBLOCK));
	for (int i = 0; i < 2; i++)
		read_flags(others[i], &made[i], &events[i]);
	test_wait();
	for (int i = 0; i < 2; i++) {
		read_flags(others[i], &flags, &event_flags);
		EXPECT_EQ(flags, made[i]);
		EXPECT_EQ(event_flags, events[i]);
		EXPECT_EQ(fcntl(others[i], F_GETFD), i == 0 ? FD_CLOEXEC : 0);
		EXPECT(fcntl(others[i], F_GETFL) & O_NONBLOCK);
	}
	EXPECT_EQ(next_event(fd, &mask), -1);
	EXPECT_EQ(write(MUST(open("watched/quiet", O_WRONLY)), "x", 1), 1);
	EXPECT_EQ(next_event(fd, &mask), -1);
	EXPECT_EQ(write(MUST(open("watched/loud", O_WRONLY | O_CREAT, 0600)), "x", 1), 1);
	EXPECT_EQ(next_event(fd, &mask), 0);
	EXPECT_EQ(mask, FAN_MODIFY);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	text = test_slurp(path);
	EXPECT(text && strstr(text, "fanotify mnt_id:"));
	return test_pass();
}
