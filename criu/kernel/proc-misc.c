/* Small files are read in one piece into a buffer on the stack; links are read, not followed. */
#include "kernel/proc-misc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/missing-pidfd.h"
#include "kernel/proc-parse.h"
#include "kernel/proc-pid.h"

int proc_read_auxv(int procfd, uint64_t **ret, size_t *ret_word_count)
{
	AUTO_BUFFER struct buffer file = { 0 };
	AUTO_FREE uint64_t *words = NULL;
	int r = buffer_read_proc(&file, procfd, "auxv");

	if (r < 0)
		return r;
	if (file.bytes % sizeof(uint64_t))
		return -EINVAL;
	words = malloc(file.bytes ? file.bytes : 1);
	if (!words)
		return -ENOMEM;
	memcpy(words, file.data, file.bytes);
	*ret = TAKE_PTR(words);
	*ret_word_count = file.bytes / sizeof(uint64_t);
	return 0;
}

/* A file of one number and a newline. */
static int read_number(int procfd, const char *path, int base, int64_t *ret)
{
	char text[64];
	const char *at = text;
	int bytes = proc_read_text(procfd, path, text, sizeof(text));
	uint64_t value;
	int r;

	if (bytes < 0)
		return bytes;
	if (base == 10)
		return scan_s64(&at, ret);
	r = scan_u64(&at, base, &value);
	if (r == 0)
		*ret = (int64_t)value;
	return r;
}

static int read_u32(int procfd, const char *path, int base, uint32_t *ret)
{
	int64_t value;
	int r = read_number(procfd, path, base, &value);

	if (r == 0)
		*ret = (uint32_t)value;
	return r;
}

int proc_read_loginuid(int procfd, uint32_t *ret)
{
	return read_u32(procfd, "loginuid", 10, ret);
}

int proc_read_sessionid(int procfd, uint32_t *ret)
{
	return read_u32(procfd, "sessionid", 10, ret);
}

int proc_read_oom_score_adj(int procfd, int *ret)
{
	int64_t value;
	int r = read_number(procfd, "oom_score_adj", 10, &value);

	if (r == 0)
		*ret = (int)value;
	return r;
}

int proc_read_coredump_filter(int procfd, uint32_t *ret)
{
	return read_u32(procfd, "coredump_filter", 16, ret);
}

int proc_read_personality(int procfd, uint32_t *ret)
{
	return read_u32(procfd, "personality", 16, ret);
}

int proc_parse_call(const char *text, struct proc_call *ret)
{
	uint64_t *args = ret->args;
	int64_t number;

	if (sscanf(text,
		   "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		   " %" SCNx64,
		   &number, &args[0], &args[1], &args[2], &args[3], &args[4], &args[5], &ret->stack_pointer,
		   &ret->instruction_pointer) != 9 ||
	    number < 0)
		return -EAGAIN;
	ret->number = (uint64_t)number;
	return 0;
}

int proc_read_call(int procfd, pid_t tid, struct proc_call *ret)
{
	char path[48], text[256];
	int r;

	(void)snprintf(path, sizeof(path), "task/%d/syscall", tid);
	r = proc_read_text(procfd, path, text, sizeof(text));
	return r < 0 ? r : proc_parse_call(text, ret);
}

#define LIMIT_NAME_BYTES 26
#define LIMITS_BYTES     4096

static int parse_limit(const char **at, uint64_t *ret)
{
	static const char unlimited[] = "unlimited";
	char *end;

	*at += strspn(*at, " ");
	if (strncmp(*at, unlimited, strlen(unlimited)) == 0) {
		*at += strlen(unlimited);
		*ret = UINT64_MAX;
		return 0;
	}
	errno = 0;
	*ret = strtoull(*at, &end, 10);
	if (errno || end == *at)
		return -EINVAL;
	*at = end;
	return 0;
}

/* A heading, then "Max cpu time              unlimited            unlimited            seconds". */
int proc_parse_limits(const char *text, struct proc_limit *ret, size_t count)
{
	const char *line = strchr(text, '\n');

	for (size_t i = 0; i < count; i++) {
		const char *at = line ? line + 1 : "";
		int r;

		line = strchr(at, '\n');
		if (!line || line - at <= LIMIT_NAME_BYTES)
			return -EINVAL;
		at += LIMIT_NAME_BYTES;
		r = parse_limit(&at, &ret[i].current);
		if (r == 0)
			r = parse_limit(&at, &ret[i].maximum);
		if (r < 0)
			return r;
	}
	return 0;
}

int proc_read_limits(int procfd, struct proc_limit *ret, size_t count)
{
	char text[LIMITS_BYTES];
	int bytes = proc_read_text(procfd, "limits", text, sizeof(text));

	return bytes < 0 ? bytes : proc_parse_limits(text, ret, count);
}

/* "/autogroup-123 nice 5" */
int proc_read_autogroup_nice(int procfd, int *ret)
{
	static const char key[] = " nice ";
	char text[64];
	int bytes = proc_read_text(procfd, "autogroup", text, sizeof(text));
	const char *at = bytes < 0 ? NULL : strstr(text, key);
	int64_t value;
	int r;

	if (!at)
		return bytes < 0 ? bytes : -ENOENT;
	at += strlen(key);
	r = scan_s64(&at, &value);
	if (r == 0)
		*ret = (int)value;
	return r;
}

int proc_open_timer_slack_in(int dirfd, pid_t tid)
{
	char path[48];
	int fd;

	(void)snprintf(path, sizeof(path), "%d/timerslack_ns", tid);
	fd = openat(dirfd, path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int proc_open_timer_slack(pid_t tid)
{
	AUTO_CLOSE int dirfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dirfd < 0 ? -errno : proc_open_timer_slack_in(dirfd, tid);
}

int proc_read_timer_slack(int fd, uint64_t *ret_ns)
{
	char text[32];
	ssize_t bytes = pread(fd, text, sizeof(text) - 1, 0);

	if (bytes < 0)
		return -errno;
	text[bytes] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, 10, ret_ns);
}

int proc_write_timer_slack(int fd, uint64_t ns)
{
	char text[32];
	int bytes = snprintf(text, sizeof(text), "%llu", (unsigned long long)ns);

	return write(fd, text, (size_t)bytes) == bytes ? 0 : -errno;
}

int proc_read_comm(int procfd, const char *path, char ret[64])
{
	char text[128];
	int bytes = proc_read_text(procfd, path, text, sizeof(text));

	if (bytes < 0)
		return bytes;
	/* The name itself may contain newlines. */
	if (bytes && text[bytes - 1] == '\n')
		bytes--;
	if (bytes > 63)
		bytes = 63;
	memcpy(ret, text, (size_t)bytes);
	ret[bytes] = '\0';
	return 0;
}

int proc_read_cgroup(int procfd, const char *path, struct buffer *ret)
{
	return buffer_read_proc(ret, procfd, path);
}

/* --- namespaces -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint64_t clone_flag;
} namespaces[PROC_NS_COUNT] = {
	[PROC_NS_PID] = { "pid", CLONE_NEWPID },
	[PROC_NS_PID_FOR_CHILDREN] = { "pid_for_children", CLONE_NEWPID },
	[PROC_NS_MNT] = { "mnt", CLONE_NEWNS },
	[PROC_NS_NET] = { "net", CLONE_NEWNET },
	[PROC_NS_UTS] = { "uts", CLONE_NEWUTS },
	[PROC_NS_IPC] = { "ipc", CLONE_NEWIPC },
	[PROC_NS_USER] = { "user", CLONE_NEWUSER },
	[PROC_NS_CGROUP] = { "cgroup", CLONE_NEWCGROUP },
	[PROC_NS_TIME] = { "time", CLONE_NEWTIME },
	[PROC_NS_TIME_FOR_CHILDREN] = { "time_for_children", CLONE_NEWTIME },
};

const char *proc_ns_name(enum proc_ns ns)
{
	return namespaces[ns].name;
}

uint64_t proc_ns_clone_flag(enum proc_ns ns)
{
	return namespaces[ns].clone_flag;
}

static int link_path(char *ret, size_t capacity, const char *task, enum proc_ns ns)
{
	int n = snprintf(ret, capacity, "%s%sns/%s", task ? task : "", task ? "/" : "", namespaces[ns].name);

	return n < 0 || (size_t)n >= capacity ? -ENAMETOOLONG : 0;
}

/* The link's text holds the inode ("net:[4026531833]"): cheaper than a stat, and enough. */
static int read_ns_inode(int procfd, const char *path, uint64_t *ret)
{
	char text[64];
	const char *at;
	ssize_t bytes = readlinkat(procfd, path, text, sizeof(text) - 1);

	if (bytes < 0)
		return -errno;
	text[bytes] = '\0';
	at = strchr(text, '[');
	if (!at)
		return -EINVAL;
	at++;
	return scan_u64(&at, 10, ret);
}

int proc_ns_inode(int procfd, enum proc_ns ns, uint64_t *ret)
{
	char path[64];
	int r = link_path(path, sizeof(path), NULL, ns);

	return r < 0 ? r : read_ns_inode(procfd, path, ret);
}

int proc_ns_read(int procfd, const char *task, struct proc_ns_ids *ret)
{
	struct proc_ns_ids ids = { 0 };
	int ns;

	for (ns = 0; ns < PROC_NS_COUNT; ns++) {
		char path[64];
		int r = link_path(path, sizeof(path), task, ns);

		if (r < 0)
			return r;
		r = read_ns_inode(procfd, path, &ids.inode[ns]);
		/* A missing link is a missing kind; the other links tell a missing task. */
		if (r == -ENOENT && ns != PROC_NS_MNT)
			continue;
		if (r < 0)
			return r;
	}
	*ret = ids;
	return 0;
}

/* --- links ------------------------------------------------------------------------------------------------------- */

int proc_open_link(int procfd, const char *path, int open_flags)
{
	int fd = openat(procfd, path, open_flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int proc_read_link(int procfd, const char *path, char **ret)
{
	/* The kernel refuses to print longer targets than a page. */
	char text[PATH_MAX + 1];
	ssize_t bytes = readlinkat(procfd, path, text, sizeof(text));
	char *copy;

	if (bytes < 0)
		return -errno;
	if ((size_t)bytes == sizeof(text))
		return -ENAMETOOLONG;
	copy = strndup(text, (size_t)bytes);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

char *proc_own_fd_name(int fd)
{
	char path[64], *name;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return proc_read_link(AT_FDCWD, path, &name) == 0 ? name : NULL;
}

static void fd_path(char ret[32], int fd)
{
	(void)snprintf(ret, 32, "fd/%d", fd);
}

static void map_path(char ret[64], uint64_t start, uint64_t end)
{
	(void)snprintf(ret, 64, "map_files/%llx-%llx", (unsigned long long)start, (unsigned long long)end);
}

int proc_open_fd(int procfd, int fd, int open_flags)
{
	char path[32];

	fd_path(path, fd);
	return proc_open_link(procfd, path, open_flags);
}

int proc_open_map(int procfd, uint64_t start, uint64_t end, int open_flags)
{
	char path[64];

	map_path(path, start, end);
	return proc_open_link(procfd, path, open_flags);
}

char *proc_map_name(int procfd, uint64_t start, uint64_t end, const char *path)
{
	char link[64], *name;

	map_path(link, start, end);
	return strchr(path, '\n') && proc_read_link(procfd, link, &name) == 0 ? name : strdup(path);
}

/* --- mountinfo --------------------------------------------------------------------------------------------------- */

/* Ends the word at the cursor with a NUL and moves behind it; NULL at the end of the line. */
static char *cut_word(char **at)
{
	char *word = *at, *end = strchrnul(word, ' ');

	if (word == end)
		return NULL;
	*at = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

static char *cut_escaped_word(char **at)
{
	char *word = cut_word(at);

	if (word)
		(void)unescape_octal(word, -1);
	return word;
}

static bool cut_number(char **at, char stop, int *ret)
{
	const char *from = *at;

	if (scan_int(&from, ret) < 0 || !skip_char(&from, stop))
		return false;
	*at += from - *at;
	return true;
}

static int parse_propagation(const char *word, struct proc_mount *mount)
{
	const char *colon = strchr(word, ':');
	int id = 0;

	if (strcmp(word, "unbindable") == 0) {
		mount->unbindable = true;
		return 0;
	}
	/* Fields that are not known yet are to be ignored. */
	if (!colon)
		return 0;
	colon++;
	if (scan_int(&colon, &id) < 0)
		return -EINVAL;
	if (strncmp(word, "shared:", 7) == 0)
		mount->shared_id = id;
	else if (strncmp(word, "master:", 7) == 0)
		mount->master_id = id;
	else if (strncmp(word, "propagate_from:", 15) == 0)
		mount->propagate_from = id;
	return 0;
}

static int parse_mount(char *at, struct proc_mount *mount)
{
	int major_number, minor_number;
	char *word;

	if (!cut_number(&at, ' ', &mount->mnt_id) || !cut_number(&at, ' ', &mount->parent_mnt_id) ||
	    !cut_number(&at, ':', &major_number) || !cut_number(&at, ' ', &minor_number))
		return -EINVAL;
	mount->dev_major = (uint32_t)major_number;
	mount->dev_minor = (uint32_t)minor_number;
	mount->root = cut_escaped_word(&at);
	mount->mountpoint = cut_escaped_word(&at);
	mount->options = cut_word(&at);
	if (!mount->root || !mount->mountpoint || !mount->options)
		return -EINVAL;
	for (;;) {
		int r;

		word = cut_word(&at);
		if (!word)
			return -EINVAL;
		if (strcmp(word, "-") == 0)
			break;
		r = parse_propagation(word, mount);
		if (r < 0)
			return r;
	}
	mount->fstype = cut_escaped_word(&at);
	if (!mount->fstype)
		return -EINVAL;
	/* The source may be an empty string: then two blanks follow each other. */
	if (*at == ' ') {
		*at++ = '\0';
		mount->source = at - 1;
	} else {
		mount->source = cut_escaped_word(&at);
	}
	mount->sb_options = at;
	(void)unescape_octal(at, -1);
	return mount->source ? 0 : -EINVAL;
}

static int add_mount(struct proc_mounts *mounts, char *line)
{
	struct proc_mount mount = { 0 };
	int r = parse_mount(line, &mount);

	if (r < 0)
		return r;
	r = array_reserve(&mounts->mounts, &mounts->capacity, mounts->count, sizeof(*mounts->mounts));
	if (r < 0)
		return r;
	mounts->mounts[mounts->count++] = mount;
	return 0;
}

static int parse_mount_lines(struct proc_mounts *mounts)
{
	char *line = mounts->text.data;

	mounts->count = 0;
	while (*line) {
		char *newline = strchrnul(line, '\n');
		char *next = *newline ? newline + 1 : newline;
		int r;

		*newline = '\0';
		r = add_mount(mounts, line);
		if (r < 0) {
			mounts->count = 0;
			return r;
		}
		line = next;
	}
	return 0;
}

int proc_mounts_parse(const char *text, struct proc_mounts *ret)
{
	int r;

	ret->text.bytes = 0;
	r = buffer_append(&ret->text, text, strlen(text) + 1);
	return r < 0 ? r : parse_mount_lines(ret);
}

int proc_mounts_read(int procfd, struct proc_mounts *ret)
{
	int r = buffer_read_proc(&ret->text, procfd, "mountinfo");

	if (r < 0) {
		ret->count = 0;
		return r;
	}
	return parse_mount_lines(ret);
}

const struct proc_mount *proc_mounts_find(const struct proc_mounts *mounts, int mnt_id)
{
	size_t i;

	for (i = 0; i < mounts->count; i++)
		if (mounts->mounts[i].mnt_id == mnt_id)
			return &mounts->mounts[i];
	return NULL;
}

void proc_mounts_done(struct proc_mounts *mounts)
{
	free(mounts->mounts);
	buffer_done(&mounts->text);
	*mounts = (struct proc_mounts){ 0 };
}

/* --- time -------------------------------------------------------------------------------------------------------- */

static int read_time_offsets(int dirfd, const char *path, struct proc_time_offsets *ret)
{
	long long sec[2], nsec[2];
	char text[256];
	int bytes = proc_read_text(dirfd, path, text, sizeof(text));

	if (bytes < 0)
		return bytes;
	if (sscanf(text, "monotonic %lld %lld boottime %lld %lld", &sec[0], &nsec[0], &sec[1], &nsec[1]) != 4)
		return -EINVAL;
	*ret = (struct proc_time_offsets){
		.monotonic_ns = sec[0] * NS_PER_SEC + nsec[0],
		.boottime_ns = sec[1] * NS_PER_SEC + nsec[1],
	};
	return 0;
}

int proc_read_time_offsets(int procfd, struct proc_time_offsets *ret)
{
	return read_time_offsets(procfd, "timens_offsets", ret);
}

int proc_read_own_time_offsets(struct proc_time_offsets *ret)
{
	int r = read_time_offsets(AT_FDCWD, "/proc/self/timens_offsets", ret);

	if (r != -ENOENT)
		return r;
	*ret = (struct proc_time_offsets){ 0 };
	return 0;
}
