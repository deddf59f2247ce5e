/*
 * A file that came with an event of fanotify: what the program does with it is no event, but for who opens it by its
 * name. It is refused as long as it is open.
 */
#include "zdtmlib.h"

#include <sys/fanotify.h>

static bool read_event(int group, int *ret_fd)
{
	char buffer[4096] __attribute__((aligned(8)));
	const struct fanotify_event_metadata *event = (void *)buffer;
	ssize_t bytes = read(group, buffer, sizeof(buffer));

	if (bytes < 0)
		return false;
	EXPECT(FAN_EVENT_OK(event, bytes));
	*ret_fd = event->fd;
	return true;
}

int main(void)
{
	int group = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY), named, got, more = -1;
	char text[8];

	test_start();
	if (group < 0)
		test_skip("fanotify_init: %s", strerror(errno));
	named = MUST(open("watched", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(named, "content", 7), 7);
	MUST(fanotify_mark(group, FAN_MARK_ADD, FAN_ACCESS, AT_FDCWD, "watched"));
	EXPECT_EQ(pread(named, text, 7, 0), 7);
	EXPECT(read_event(group, &got));
	test_wait();
	EXPECT_EQ(pread(got, text, 7, 0), 7);
	EXPECT(!read_event(group, &more));
	EXPECT_EQ(pread(named, text, 7, 0), 7);
	EXPECT(read_event(group, &more));
	return test_pass();
}
