/* A directory watched by F_NOTIFY: refused, and the watch goes on. */
#include "zdtmlib.h"

#include <sys/stat.h>

static volatile int notified;

static void on_notify(int signal)
{
	(void)signal;
	notified = 1;
}

int main(void)
{
	int fd;

	test_start();
	signal(SIGIO, on_notify);
	MUST(mkdir("watched", 0755));
	fd = MUST(open("watched", O_RDONLY | O_DIRECTORY));
	MUST(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	test_wait();
	MUST(open("watched/new", O_RDWR | O_CREAT, 0600));
	for (int i = 0; i < 60000 && !notified; i++)
		usleep(1000);
	EXPECT(notified);
	return test_pass();
}
