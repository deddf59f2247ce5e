#include "kernel/net-sysctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

#define VALUE_MAX 256

static const char *const groups[] = { "ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh" };

static int open_group(const char *group, const char *interface)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/%s", group, interface);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Without the newline. */
static int read_value(int dirfd, const char *name, char value[VALUE_MAX])
{
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, value, VALUE_MAX - 1);

	if (n < 0)
		return -errno;
	while (n > 0 && value[n - 1] == '\n')
		n--;
	value[n] = '\0';
	return 0;
}

static bool can_be_set(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IWUSR;
}

/* Some cannot be set, some cannot be read because they never were set. */
static int add_setting(const char *group, int dirfd, const char *name, struct buffer *ret)
{
	char value[VALUE_MAX], text[NAME_MAX + VALUE_MAX + 32];

	if (!can_be_set(dirfd, name) || read_value(dirfd, name, value) < 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%s/%s=%s", group, name, value);
	return buffer_append(ret, text, strlen(text) + 1);
}

static DIR *open_names(int dirfd)
{
	AUTO_CLOSE int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir)
		(void)take_fd(&fd);
	return dir;
}

/* It comes first: setting it changes another one. */
static const char secret[] = "stable_secret";

static int read_group(const char *group, const char *interface, struct buffer *ret)
{
	AUTO_CLOSE int fd = open_group(group, interface);
	const struct dirent *entry;
	DIR *dir;
	int r;

	if (fd < 0) /* a protocol that this kernel, or an interface with packets so small, has not */
		return fd == -ENOENT ? 0 : fd;
	dir = open_names(fd);
	if (!dir)
		return -errno;
	r = add_setting(group, fd, secret, ret);
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, secret) != 0)
			r = add_setting(group, fd, entry->d_name, ret);
	(void)closedir(dir);
	return r;
}

int net_sysctls_read(const char *interface, struct buffer *ret)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups) && r == 0; i++)
		r = read_group(groups[i], interface, ret);
	return r;
}

static const char *find_group(const char *setting)
{
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (!strncmp(setting, groups[i], strlen(groups[i])) && setting[strlen(groups[i])] == '/')
			return groups[i];
	return NULL;
}

int net_sysctl_set(const char *interface, const char *setting)
{
	const char *group = find_group(setting), *equals = strchr(setting, '=');
	char name[NAME_MAX + 1], value[VALUE_MAX];
	AUTO_CLOSE int dirfd = -1, fd = -1;
	const char *start;

	if (!group || !equals || strlen(equals + 1) >= sizeof(value))
		return -EBADMSG;
	start = setting + strlen(group) + 1;
	if (start >= equals || (size_t)(equals - start) >= sizeof(name) || memchr(start, '/', (size_t)(equals - start)))
		return -EBADMSG;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - start), start);
	dirfd = open_group(group, interface);
	if (dirfd < 0)
		return dirfd;
	if (read_value(dirfd, name, value) == 0 && !strcmp(value, equals + 1))
		return 0;
	fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 || write(fd, equals + 1, strlen(equals + 1)) < 0 ? -errno : 0;
}
