/*
 * Files that chattr(1) has made immutable or append-only: what is open in a way in which it cannot be opened again is
 * refused; the rest is kept. A trigger for pressure cannot be kept, for it is not shown.
 */
#include "zdtmlib.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

static int file;

static void set_flags(int flags)
{
	if (ioctl(file, FS_IOC_SETFLAGS, &flags) < 0)
		test_skip("no inode flags here: %s", strerror(errno));
}

static int open_trigger(void)
{
	static const char trigger[] = "some 500000 2000000";
	int fd = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK);

	if (fd < 0 || write(fd, trigger, sizeof(trigger)) < 0)
		test_skip("no pressure information here: %s", strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "kept";
	int log = -1, reader = -1, trigger = -1;
	char text[8];

	test_start();
	file = MUST(open("file", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(file, "text", 4), 4);
	if (!strcmp(what, "immutable")) {
		set_flags(FS_IMMUTABLE_FL);
	} else if (!strcmp(what, "append")) {
		set_flags(FS_APPEND_FL);
	} else if (!strcmp(what, "pressure")) {
		trigger = open_trigger();
	} else {
		set_flags(0);
		log = MUST(open("file", O_WRONLY | O_APPEND));
		reader = MUST(open("file", O_RDONLY));
		set_flags(FS_APPEND_FL);
		MUST(close(file));
	}
	test_wait();
	if (log >= 0) {
		file = reader;
		EXPECT_EQ(write(log, "more", 4), 4);
		EXPECT_EQ(read(reader, text, sizeof(text)), 8);
	}
	if (trigger < 0)
		set_flags(0);
	return test_pass();
}
