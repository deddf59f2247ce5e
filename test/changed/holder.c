/*
 * holder KIND [ARGUMENT ...]: holds files while the world around them is changed. Says READY on descriptor 1, then
 * waits for SIGTERM, checks itself and says PASS or what it found.
 *
 *	files MODE:NAME ...	each open for reading (r), reading and writing (w) or appending (a), or only mapped (m)
 *			or watched by inotify (i)
 *	nameless		things without a name, in a directory that is gone and in a read-only mount
 *	paths			in its working directory: a file, one without a name, a directory, a fifo with something
 *			in it, a mapping, a watch on the directory "watched"; a child whose root is the directory "jail"
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../lib/told.h"

static int fifo, ghost, watch;
static const char *mapped;

static void fail(const char *what)
{
	say("FAIL ");
	say(what);
	say(": ");
	say(strerror(errno));
	say("\n");
	_exit(1);
}

static int must_open(const char *name, int flags)
{
	int fd = open(name, flags, 0600);

	if (fd < 0)
		fail(name);
	return fd;
}

static void *map(const char *name)
{
	int fd = must_open(name, O_RDONLY);
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	if (at == MAP_FAILED)
		fail(name);
	close(fd);
	return at;
}

static void watch_file(const char *name)
{
	if (inotify_add_watch(inotify_init1(IN_NONBLOCK), name, IN_MODIFY) < 0)
		fail(name);
}

static void hold_files(char **arguments, int count)
{
	for (int i = 0; i < count; i++) {
		const char *name = arguments[i] + 2;

		if (arguments[i][0] == 'm')
			(void)map(name);
		else if (arguments[i][0] == 'i')
			watch_file(name);
		else
			(void)must_open(name, arguments[i][0] == 'r'   ? O_RDONLY
					      : arguments[i][0] == 'w' ? O_RDWR
								       : O_WRONLY | O_APPEND);
	}
}

static void live_in_jail(void)
{
	int fd;

	if (mkdir("jail", 0700) < 0 || mkdir("jail/cell", 0700) < 0 || chroot("jail") < 0 || chdir("/cell") < 0)
		fail("jail");
	fd = must_open("/cell/file", O_RDWR | O_CREAT);
	while (!told)
		pause();
	if (access("/cell/file", F_OK) < 0 || access("file", F_OK) < 0 || write(fd, "jail", 4) != 4)
		fail("in jail");
	_exit(0);
}

static pid_t hold_paths(void)
{
	pid_t child;

	if (write(must_open("file", O_RDWR | O_CREAT), "content", 7) != 7)
		fail("file");
	ghost = must_open("ghost", O_RDWR | O_CREAT);
	if (write(ghost, "nameless", 8) != 8 || unlink("ghost") < 0)
		fail("ghost");
	(void)must_open(".", O_RDONLY | O_DIRECTORY);
	if (mkfifo("fifo", 0600) < 0)
		fail("mkfifo");
	fifo = must_open("fifo", O_RDWR);
	if (write(fifo, "in it", 5) != 5)
		fail("fifo");
	if (write(must_open("mapped", O_RDWR | O_CREAT), "mapped", 6) != 6)
		fail("mapped");
	mapped = map("mapped");
	watch = inotify_init1(IN_NONBLOCK);
	if (mkdir("watched", 0700) < 0 || inotify_add_watch(watch, "watched", IN_CREATE) < 0)
		fail("watched");
	child = fork();
	if (child == 0)
		live_in_jail();
	while (access("jail/cell/file", F_OK) < 0)
		usleep(1000);
	return child;
}

static void hold_nameless(void)
{
	if (mkdir("gone", 0700) < 0 || mkdir("gone/deep", 0700) < 0)
		fail("gone");
	(void)must_open("gone/deep/file", O_RDWR | O_CREAT);
	if (link("gone/deep/file", "second") < 0)
		fail("second");
	(void)must_open("second", O_RDONLY | O_NOFOLLOW);
	if (mkfifo("fifo", 0600) < 0 || symlink("target", "link") < 0)
		fail("fifo");
	(void)must_open("fifo", O_RDWR);
	(void)must_open("link", O_PATH | O_NOFOLLOW);
	(void)must_open("gone", O_RDONLY | O_DIRECTORY);
	close(must_open("mounted/file", O_WRONLY | O_CREAT));
	(void)must_open("mounted/file", O_RDONLY);
	if (unlink("gone/deep/file") < 0 || unlink("second") < 0 || unlink("fifo") < 0 || unlink("link") < 0 ||
	    rmdir("gone/deep") < 0 || rmdir("gone") < 0 || unlink("mounted/file") < 0)
		fail("unlink");
}

static void check_paths(pid_t child)
{
	char text[4096];
	int status;

	if (read(fifo, text, sizeof(text)) != 5 || memcmp(text, "in it", 5) != 0)
		fail("the fifo's content");
	if (pread(ghost, text, sizeof(text), 0) != 8 || memcmp(text, "nameless", 8) != 0)
		fail("the nameless file's content");
	if (memcmp(mapped, "mapped", 6) != 0)
		fail("the mapping");
	if (read(watch, text, sizeof(text)) <= 0)
		fail("the watch");
	if (access("file", F_OK) < 0)
		fail("the working directory");
	kill(child, SIGTERM);
	if (waitpid(child, &status, 0) != child || status != 0)
		fail("the child");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_term };
	pid_t child = 0;
	sigset_t mask, old;

	sigaction(SIGTERM, &action, NULL);
	if (argc > 2 && strcmp(argv[1], "files") == 0)
		hold_files(argv + 2, argc - 2);
	else if (argc == 2 && strcmp(argv[1], "paths") == 0)
		child = hold_paths();
	else if (argc == 2 && strcmp(argv[1], "nameless") == 0)
		hold_nameless();
	else
		fail("which kind?");
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, &old);
	say_ready_and_wait(&old);
	if (child)
		check_paths(child);
	say("PASS\n");
	return 0;
}
