/* By openat2(2), which the C library does not wrap. A walk goes through one component after the other. */
#include "kernel/linkless-path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/missing-fs.h"

#define LINKS_MAX 40 /* the kernel's own limit */
#define NOBODY    ((uid_t)-1)

/* open(2) leaves out what means nothing there, openat2(2) refuses it. */
static int meaningful(int flags)
{
	return flags & O_PATH ? flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : flags;
}

int linkless_path_open(const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned int)meaningful(flags), .resolve = RESOLVE_NO_SYMLINKS };
	int fd = (int)syscall(__NR_openat2, AT_FDCWD, path, &how, sizeof(how));

	/* Filters of old containers deny what they do not know. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL))
		fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

struct walk {
	char rest[2 * PATH_MAX]; /* what is still to go */
	unsigned int links;
	uid_t stranger;
	int at;
};

static int go_to_root(struct walk *walk)
{
	close_fd(&walk->at);
	walk->at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return walk->at < 0 ? -errno : 0;
}

/* Its text takes its place in what is to go. */
static int take_link(struct walk *walk, int link, const struct stat *st, const char *behind)
{
	char text[2 * PATH_MAX];
	ssize_t bytes = readlinkat(link, "", text, PATH_MAX);

	if (bytes < 0)
		return -errno;
	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		if (walk->stranger != NOBODY && walk->stranger != st->st_uid)
			return -ELOOP;
		walk->stranger = st->st_uid;
	}
	if ((size_t)bytes + strlen(behind) >= PATH_MAX)
		return -ENAMETOOLONG;
	(void)strcpy(text + bytes, behind);
	(void)strcpy(walk->rest, text);
	return text[0] == '/' ? go_to_root(walk) : 0;
}

static int step(struct walk *walk)
{
	char *name = walk->rest + strspn(walk->rest, "/"), *behind = name + strcspn(name, "/");
	AUTO_CLOSE int next = -1;
	char component[NAME_MAX + 1];
	struct stat st;

	if (behind - name > NAME_MAX)
		return -ENAMETOOLONG;
	(void)snprintf(component, sizeof(component), "%.*s", (int)(behind - name), name);
	next = openat(walk->at, component, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 || fstat(next, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return take_link(walk, next, &st, behind);
	memmove(walk->rest, behind, strlen(behind) + 1);
	close_fd(&walk->at);
	walk->at = take_fd(&next);
	return 0;
}

int linkless_path_walk(const char *path, uid_t *ret_stranger)
{
	struct walk walk = { .stranger = NOBODY, .at = -1 };
	int r = strlen(path) < PATH_MAX ? go_to_root(&walk) : -ENAMETOOLONG;

	if (r == 0)
		(void)strcpy(walk.rest, path);
	while (r == 0 && walk.rest[strspn(walk.rest, "/")])
		r = step(&walk);
	if (r < 0) {
		close_fd(&walk.at);
		return r;
	}
	*ret_stranger = walk.stranger;
	return walk.at;
}
