/* Records /proc of a whole pid namespace field by field, and compares two records; see the header. */
#include "snapshot.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FILE_BYTES (4u << 20)

/* One /proc file being read: whose it is, and its text. */
struct source {
	struct snapshot *shot;
	int pid, tid;
	const char *file;
	char *text;
	size_t bytes;
	char state; /* R, S, T, Z ... */
};

static const char *const stat_fields[] = {
	"pid",        "comm",        "state",       "ppid",      "pgrp",        "session",     "tty_nr",
	"tpgid",      "flags",       "minflt",      "cminflt",   "majflt",      "cmajflt",     "utime",
	"stime",      "cutime",      "cstime",      "priority",  "nice",        "num_threads", "itrealvalue",
	"starttime",  "vsize",       "rss",         "rsslim",    "startcode",   "endcode",     "startstack",
	"kstkesp",    "kstkeip",     "signal",      "blocked",   "sigignore",   "sigcatch",    "wchan",
	"nswap",      "cnswap",      "exit_signal", "processor", "rt_priority", "policy",      "blkio_ticks",
	"guest_time", "cguest_time", "start_data",  "end_data",  "start_brk",   "arg_start",   "arg_end",
	"env_start",  "env_end",     "exit_code",
};

/* A stopped task may be just before its system call instead of in it. */
static bool is_recorded(const struct source *src)
{
	return src->state != 'T' || strcmp(src->file, "syscall") != 0;
}

static void add_line(struct source *src, const char *field, const char *value)
{
	struct snapshot *shot = src->shot;
	char *line;

	if (!is_recorded(src))
		return;
	if (shot->count == shot->capacity) {
		size_t more = shot->capacity ? shot->capacity * 2 : 1024;
		char **lines = realloc(shot->lines, more * sizeof(*lines));

		if (!lines)
			abort();
		shot->lines = lines;
		shot->capacity = more;
	}
	if (asprintf(&line, "%d %d %s %s\t%s", src->pid, src->tid, src->file, field, value) < 0)
		abort();
	shot->lines[shot->count++] = line;
}

/* The order number of an inode; seen for the first time it gets the next one when `add` is set, else -1. */
static long inode_order(struct snapshot *shot, unsigned long inode, bool add)
{
	unsigned long *inodes;

	for (size_t i = 0; i < shot->inode_count; i++) {
		if (shot->inodes[i] == inode)
			return (long)i;
	}
	if (!add)
		return -1;
	inodes = realloc(shot->inodes, (shot->inode_count + 1) * sizeof(*inodes));
	if (!inodes)
		abort();
	shot->inodes = inodes;
	inodes[shot->inode_count] = inode;
	return (long)shot->inode_count++;
}

/* What was made by O_TMPFILE is called by the number of its inode, which is a new one. */
static void normalise_deleted(char *path)
{
	char *mark = strstr(path, "/#"), *end;

	end = mark ? mark + 2 + strspn(mark + 2, "0123456789") : NULL;
	if (end && strcmp(end, " (deleted)") == 0)
		memmove(mark + 2, end, strlen(end) + 1);
}

static bool is_deleted(const char *path)
{
	size_t bytes = strlen(path);

	return bytes > 10 && strcmp(path + bytes - 10, " (deleted)") == 0;
}

static char *next_line(char **cursor)
{
	char *line = *cursor, *end;

	if (!line || !*line)
		return NULL;
	end = strchr(line, '\n');
	if (end)
		*end++ = 0;
	*cursor = end;
	return line;
}

static char *skip_space(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* The stop in "KEY : value" where KEY may have blanks behind it; NULL when the line has no key. */
static char *split_key(char *line)
{
	char *colon = strchr(line, ':'), *end;

	if (!colon)
		return NULL;
	for (end = colon; end > line && isspace((unsigned char)end[-1]); end--)
		;
	*end = 0;
	return skip_space(colon + 1);
}

static void parse_lines(struct source *src)
{
	char *cursor = src->text, *line, field[32];

	for (int i = 0; (line = next_line(&cursor)); i++) {
		snprintf(field, sizeof(field), "%d", i);
		add_line(src, field, line);
	}
}

static void parse_keys(struct source *src)
{
	char *cursor = src->text, *line, field[128];

	for (int i = 0; (line = next_line(&cursor)); i++) {
		char *value = split_key(line);

		if (value) {
			for (char *c = line; *c; c++) {
				if (*c == ' ')
					*c = '_';
			}
			add_line(src, line, value);
		} else {
			snprintf(field, sizeof(field), "line%d", i);
			add_line(src, field, line);
		}
	}
}

/* "events: 19 data: 5 pos:0 ino:61 sdev:5" and the like: each pair is a field of its own. */
static void parse_many_pairs(struct source *src, const char *key, int order, char *value)
{
	char field[128], name[32] = "";

	for (char *word = strtok(value, " \t"); word; word = strtok(NULL, " \t")) {
		char *colon = strchr(word, ':');

		if (!colon) {
			snprintf(field, sizeof(field), "%s#%d.%s", key, order, name);
			add_line(src, field, word);
			continue;
		}
		*colon = 0;
		snprintf(name, sizeof(name), "%s", word);
		if (colon[1]) {
			snprintf(field, sizeof(field), "%s#%d.%s", key, order, name);
			add_line(src, field, colon + 1);
		}
	}
}

/* What an epoll watches; the kernel lists it in the order of addresses of its own. */
static void parse_target(struct source *src, char *value)
{
	char key[64], data[32] = "", *at = strstr(value, "data:");
	char *blank = strchr(skip_space(value), ' ');
	int fd = atoi(value);

	if (at)
		(void)sscanf(at, "data: %31s", data);
	snprintf(key, sizeof(key), "tfd[%s]", data);
	if (blank)
		parse_many_pairs(src, key, fd, blank);
}

static void parse_fdinfo(struct source *src)
{
	char *cursor = src->text, *line, text[64];
	int order = 0;

	while ((line = next_line(&cursor))) {
		char *value = split_key(line);

		if (!value) {
			char *blank = strchr(line, ' ');

			if (blank) { /* inotify wd:1 ino:2 ... */
				*blank = 0;
				parse_many_pairs(src, line, order++, blank + 1);
			}
		} else if (strcmp(line, "tfd") == 0) {
			parse_target(src, value);
		} else if (strcmp(line, "ino") == 0) {
			long number = inode_order(src->shot, strtoul(value, NULL, 10), false);

			snprintf(text, sizeof(text), "[%ld]", number);
			add_line(src, line, number < 0 ? value : text);
		} else {
			add_line(src, line, value);
		}
	}
}

static void parse_stat(struct source *src)
{
	char *open = strchr(src->text, '('), *close = strrchr(src->text, ')');
	size_t i = 2;

	if (!open || !close)
		return;
	*close = 0;
	add_line(src, "comm", open + 1);
	for (char *word = strtok(close + 1, " \n"); word; word = strtok(NULL, " \n"), i++) {
		char field[32];

		snprintf(field, sizeof(field), "field%zu", i + 1);
		add_line(src, i < sizeof(stat_fields) / sizeof(stat_fields[0]) ? stat_fields[i] : field, word);
	}
}

static void parse_limits(struct source *src)
{
	char *cursor = src->text, *line, field[32];

	while ((line = next_line(&cursor))) {
		if (strlen(line) < 26)
			continue;
		snprintf(field, sizeof(field), "%.25s", line);
		for (size_t end = strlen(field); end > 0 && field[end - 1] == ' '; end--)
			field[end - 1] = 0;
		for (char *c = field; *c; c++) {
			if (*c == ' ')
				*c = '_';
		}
		add_line(src, field, skip_space(line + 25));
	}
}

/* "rw-s 00000000 00:01 49367   /dev/zero (deleted)": the inode of what has no name is the kernel's to choose. */
static void add_mapping(struct source *src, const char *field, char *value)
{
	char rights[8], device[16], text[4400];
	unsigned long offset, inode;
	int path = 0;

	if ((!is_deleted(value) && !strstr(value, " anon_inode:[io_uring]")) ||
	    sscanf(value, "%7s %lx %15s %lu %n", rights, &offset, device, &inode, &path) != 4 || !path) {
		add_line(src, field, value);
		return;
	}
	normalise_deleted(value + path);
	snprintf(text, sizeof(text), "%s %08lx %s [%ld] %s", rights, offset, device,
		 inode_order(src->shot, inode, true), value + path);
	add_line(src, field, text);
}

/* Whether memory that cannot be written was writable once, and so is accounted, is no more than a number of the
 * system's. */
static void forget_accounting(char *flags)
{
	char *found = strstr(flags, " ac");

	if (found && !strstr(flags, "wr "))
		memmove(found, found + 3, strlen(found + 3) + 1);
}

/* maps, and smaps where "KEY: value" lines follow each mapping: KEY@ADDRESSES is the field. */
static void parse_maps(struct source *src)
{
	char *cursor = src->text, *line, range[64] = "", field[128];

	while ((line = next_line(&cursor))) {
		char *blank = strchr(line, ' ');

		if (isxdigit((unsigned char)line[0]) && blank && memchr(line, '-', blank - line)) {
			*blank = 0;
			snprintf(range, sizeof(range), "%s", line);
			snprintf(field, sizeof(field), "@%s", range);
			add_mapping(src, field, blank + 1);
		} else {
			char *value = split_key(line);

			snprintf(field, sizeof(field), "%.48s@%s", line, range);
			if (value && strcmp(line, "VmFlags") == 0)
				forget_accounting(value);
			add_line(src, field, value ? value : "");
		}
	}
}

/* A call that was stopped in the middle goes on as restart_syscall(2), with the arguments it had. */
static void parse_syscall(struct source *src)
{
	static const int restarted[] = { SYS_poll, SYS_nanosleep, SYS_futex, SYS_clock_nanosleep, SYS_restart_syscall };
	const int number = atoi(src->text);
	const char *arguments = strchr(src->text, ' ');

	for (size_t i = 0; arguments && i < sizeof(restarted) / sizeof(restarted[0]); i++) {
		if (number != restarted[i])
			continue;
		add_line(src, "0", "a call with a timeout");
		add_line(src, "1", arguments);
		return;
	}
	parse_lines(src);
}

/* Only the policy: the page counts behind it say how much is resident. */
static void parse_numa_maps(struct source *src)
{
	char *cursor = src->text, *line;

	while ((line = next_line(&cursor))) {
		char *address = strtok(line, " "), *policy = strtok(NULL, " ");

		if (address && policy)
			add_line(src, address, policy);
	}
}

static void parse_timers(struct source *src)
{
	char *cursor = src->text, *line, id[32] = "", field[128];

	while ((line = next_line(&cursor))) {
		char *value = split_key(line);

		if (!value)
			continue;
		if (strcmp(line, "ID") == 0)
			snprintf(id, sizeof(id), "%s", value);
		snprintf(field, sizeof(field), "%s.%.60s", id, line);
		add_line(src, field, value);
	}
}

static void parse_auxv(struct source *src)
{
	const Elf64_auxv_t *entry = (const void *)src->text;
	char field[32], value[32];

	for (size_t i = 0; i < src->bytes / sizeof(*entry); i++) {
		snprintf(field, sizeof(field), "%llu", (unsigned long long)entry[i].a_type);
		snprintf(value, sizeof(value), "%#llx", (unsigned long long)entry[i].a_un.a_val);
		add_line(src, field, value);
	}
}

static void parse_strings(struct source *src)
{
	for (size_t i = 0; i + 1 < src->bytes; i++) {
		if (!src->text[i])
			src->text[i] = '|';
	}
	add_line(src, "text", src->text);
}

static void parse_words(struct source *src)
{
	char field[32];
	int i = 0;

	for (char *word = strtok(src->text, " \n"); word; word = strtok(NULL, " \n")) {
		snprintf(field, sizeof(field), "%d", i++);
		add_line(src, field, word);
	}
}

static const struct parser {
	const char *file;
	void (*parse)(struct source *src);
} parsers[] = {
	{ "status", parse_keys },       { "stat", parse_stat },           { "statm", parse_words },
	{ "limits", parse_limits },     { "maps", parse_maps },           { "smaps", parse_maps },
	{ "smaps_rollup", parse_maps }, { "numa_maps", parse_numa_maps }, { "timers", parse_timers },
	{ "children", parse_words },    { "auxv", parse_auxv },           { "cmdline", parse_strings },
	{ "environ", parse_strings },   { "sched", parse_keys },          { "io", parse_keys },
	{ "fdinfo", parse_fdinfo },     { "syscall", parse_syscall },
};

/* Not text, endless, or not this process's own. */
static const char *const not_read[] = { "mem", "pagemap", "clear_refs", "mountinfo",    "mounts",  "mountstats",
					"net", "attr",    "task",       "make-it-fail", "fail-nth" };

/* Threads of a process have one address space: it is read once, of the process. */
static const char *const not_read_of_threads[] = { "maps", "smaps", "smaps_rollup", "numa_maps" };

static int read_file(struct source *src, int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	src->bytes = 0;
	if (fd < 0)
		return -errno;
	while (src->bytes < FILE_BYTES - 1 && (n = read(fd, src->text + src->bytes, FILE_BYTES - 1 - src->bytes)) > 0)
		src->bytes += n;
	close(fd);
	src->text[src->bytes] = 0;
	return 0;
}

static void record_file(struct source *src, int dirfd, const char *name, const char *kind)
{
	if (read_file(src, dirfd, name) < 0)
		return;
	for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++) {
		if (strcmp(parsers[i].file, kind) == 0) {
			parsers[i].parse(src);
			return;
		}
	}
	parse_lines(src);
}

static void record_link(struct source *src, int dirfd, const char *name)
{
	char target[4096], text[64], *bracket;
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);
	struct stat st;

	if (n < 0)
		return;
	target[n] = 0;
	bracket = strchr(target, '[');
	if (bracket && (strncmp(target, "pipe:", 5) == 0 || strncmp(target, "socket:", 7) == 0)) {
		snprintf(text, sizeof(text), "[%ld]", inode_order(src->shot, strtoul(bracket + 1, NULL, 10), true));
		strcpy(bracket, text);
	} else if (strcmp(target, "anon_inode:[pidfd]") == 0 || strcmp(target, "anon_inode:[io_uring]") == 0) {
		if (fstatat(dirfd, name, &st, 0) == 0)
			(void)inode_order(src->shot, st.st_ino, true);
	} else if ((is_deleted(target) || strncmp(target, "/proc/", 6) == 0) && fstatat(dirfd, name, &st, 0) == 0) {
		(void)inode_order(src->shot, st.st_ino, true);
		normalise_deleted(target);
	}
	add_line(src, "link", target);
}

static int compare_names(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	long i = strtol(x, NULL, 10), j = strtol(y, NULL, 10);

	return i != j ? (i > j) - (i < j) : strcmp(x, y);
}

/* Calls act for each entry, numbers in their order. */
static void each_entry(int parent, const char *name, void (*act)(void *, int dirfd, const char *entry), void *arg)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char **names = NULL;
	size_t count = 0;
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		names = realloc(names, (count + 1) * sizeof(*names));
		if (!names || !(names[count++] = strdup(entry->d_name)))
			abort();
	}
	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		act(arg, dirfd(dir), names[i]);
		free(names[i]);
	}
	free(names);
	closedir(dir);
}

static void record_fd(void *arg, int dirfd, const char *entry)
{
	struct source src = *(struct source *)arg;
	char file[64];

	snprintf(file, sizeof(file), "%s/%.40s", src.file, entry);
	src.file = file;
	if (strncmp(file, "fdinfo", 6) == 0)
		record_file(&src, dirfd, entry, "fdinfo");
	else
		record_link(&src, dirfd, entry);
}

static void record_entry(void *arg, int dirfd, const char *entry)
{
	static const char *const directories[] = { "fd", "ns", "map_files", "fdinfo" };
	static const char *const links[] = { "exe", "cwd", "root" };
	struct source *src = arg;

	src->file = entry;
	for (size_t i = 0; i < sizeof(not_read) / sizeof(not_read[0]); i++) {
		if (strcmp(entry, not_read[i]) == 0)
			return;
	}
	for (size_t i = 0; src->tid && i < sizeof(not_read_of_threads) / sizeof(not_read_of_threads[0]); i++) {
		if (strcmp(entry, not_read_of_threads[i]) == 0)
			return;
	}
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		if (strcmp(entry, directories[i]) == 0) {
			each_entry(dirfd, entry, record_fd, src);
			return;
		}
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (strcmp(entry, links[i]) == 0) {
			record_link(src, dirfd, entry);
			return;
		}
	}
	record_file(src, dirfd, entry, entry);
}

static char read_state(int dirfd, const char *entry)
{
	char path[64], text[512], *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.20s/stat", entry);
	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	end = strrchr(text, ')');
	return end ? end[2] : '?';
}

static void record_thread(void *arg, int dirfd, const char *entry)
{
	struct source *src = arg;

	src->tid = atoi(entry);
	src->state = read_state(dirfd, entry);
	each_entry(dirfd, entry, record_entry, src);
}

static void record_process(void *arg, int dirfd, const char *entry)
{
	struct source *src = arg;
	char path[64];

	src->pid = atoi(entry);
	if (src->pid <= 1 || src->pid == getpid())
		return;
	src->tid = 0;
	src->state = read_state(dirfd, entry);
	each_entry(dirfd, entry, record_entry, src);
	snprintf(path, sizeof(path), "%.20s/task", entry);
	each_entry(dirfd, path, record_thread, src);
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int snapshot_take(struct snapshot *shot)
{
	struct source src = { .shot = shot, .text = malloc(FILE_BYTES) };

	if (!src.text)
		return -ENOMEM;
	each_entry(AT_FDCWD, "/proc", record_process, &src);
	free(src.text);
	if (shot->count)
		qsort(shot->lines, shot->count, sizeof(*shot->lines), compare_lines);
	return 0;
}

void snapshot_done(struct snapshot *shot)
{
	for (size_t i = 0; i < shot->count; i++)
		free(shot->lines[i]);
	free(shot->lines);
	free(shot->inodes);
	memset(shot, 0, sizeof(*shot));
}

int may_differ_read(struct may_differ *may, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[512];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file) && may->count < sizeof(may->rows) / sizeof(may->rows[0])) {
		if (line[0] == '#')
			continue;
		if (sscanf(line, "%63s %63s", may->rows[may->count].file, may->rows[may->count].field) == 2)
			may->count++;
	}
	fclose(file);
	return 0;
}

void may_differ_add(struct may_differ *may, const char *rows)
{
	while (*rows && may->count < sizeof(may->rows) / sizeof(may->rows[0])) {
		if (sscanf(rows, "%63[^:,]:%63[^:,]", may->rows[may->count].file, may->rows[may->count].field) == 2)
			may->count++;
		rows += strcspn(rows, ",");
		rows += *rows == ',';
	}
}

static bool may(const struct may_differ *list, const char *line)
{
	char file[128], field[256];

	if (sscanf(line, "%*d %*d %127s %255[^\t]", file, field) != 2)
		return false;
	for (size_t i = 0; i < list->count; i++) {
		if (fnmatch(list->rows[i].file, file, 0) == 0 && fnmatch(list->rows[i].field, field, 0) == 0)
			return true;
	}
	return false;
}

static int compare_keys(const char *a, const char *b)
{
	size_t i = strcspn(a, "\t"), j = strcspn(b, "\t"), least = i < j ? i : j;
	int order = strncmp(a, b, least);

	return order ? order : (i > j) - (i < j);
}

size_t snapshot_diff(const struct snapshot *before, const struct snapshot *after, const struct may_differ *list,
		     FILE *out, size_t most)
{
	size_t i = 0, j = 0, found = 0;

	while (i < before->count || j < after->count) {
		const char *old = i < before->count ? before->lines[i] : NULL;
		const char *new = j < after->count ? after->lines[j] : NULL;
		int order = !old ? 1 : !new ? -1 : compare_keys(old, new);

		i += order <= 0;
		j += order >= 0;
		if (order == 0 && strcmp(old, new) == 0)
			continue;
		if (may(list, order <= 0 ? old : new))
			continue;
		if (found++ >= most)
			continue;
		if (order == 0)
			fprintf(out, "%.*s: before \"%s\", after \"%s\"\n", (int)strcspn(old, "\t"), old,
				old + strcspn(old, "\t") + 1, new + strcspn(new, "\t") + 1);
		else if (order < 0)
			fprintf(out, "only before: %s\n", old);
		else
			fprintf(out, "only after: %s\n", new);
	}
	return found;
}
