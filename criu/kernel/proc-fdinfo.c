/* The text is kept and cut in place: lines point into it. */
#include "kernel/proc-fdinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "kernel/proc-parse.h"

static char *trim_front(char *text)
{
	while (is_blank_char(*text))
		text++;
	return text;
}

/* Cuts a NUL terminated line into key and value. A line without any separator is a key with an empty value. */
static struct fdinfo_line split_line(char *line)
{
	char *colon, *key = trim_front(line), *end;

	colon = strchr(key, ':');
	if (colon && (is_blank_char(colon[1]) || colon[1] == '\0')) {
		*colon = '\0';
		return (struct fdinfo_line){ .key = key, .value = trim_front(colon + 1) };
	}
	end = key + strcspn(key, " \t");
	if (*end == '\0')
		return (struct fdinfo_line){ .key = key, .value = end };
	*end = '\0';
	return (struct fdinfo_line){ .key = key, .value = trim_front(end + 1) };
}

static int add_line(struct fdinfo *info, char *line)
{
	int r = array_reserve(&info->lines, &info->line_capacity, info->line_count, sizeof(*info->lines));

	if (r < 0)
		return r;
	info->lines[info->line_count++] = split_line(line);
	return 0;
}

static int split_text(struct fdinfo *info)
{
	char *line = info->text.data, *newline;

	info->line_count = 0;
	while (*line) {
		int r;

		newline = strchrnul(line, '\n');
		if (*newline)
			*newline++ = '\0';
		r = add_line(info, line);
		if (r < 0)
			return r;
		line = newline;
	}
	return 0;
}

static int optional_number(const struct fdinfo *info, const char *key, uint64_t absent, uint64_t *ret)
{
	int r = fdinfo_number(info, key, 10, ret);

	if (r != -ENOENT)
		return r;
	*ret = absent;
	return 0;
}

static int fill_members(struct fdinfo *info)
{
	uint64_t flags, mnt_id;
	int r = fdinfo_number(info, "pos", 10, &info->pos);

	if (r < 0)
		return -EINVAL;
	r = fdinfo_number(info, "flags", 8, &flags);
	if (r < 0)
		return -EINVAL;
	r = optional_number(info, "mnt_id", (uint64_t)-1, &mnt_id);
	if (r < 0)
		return r;
	r = optional_number(info, "ino", 0, &info->inode);
	if (r < 0)
		return r;
	info->flags = (uint32_t)flags;
	info->mnt_id = (int)mnt_id;
	info->has_locks = fdinfo_value(info, "lock") != NULL;
	return 0;
}

static int parse_text(struct fdinfo *info)
{
	int r = split_text(info);

	if (r == 0)
		r = fill_members(info);
	if (r < 0)
		info->line_count = 0;
	return r;
}

int fdinfo_parse(const char *text, struct fdinfo *ret)
{
	int r;

	ret->text.bytes = 0;
	r = buffer_append(&ret->text, text, strlen(text) + 1);
	return r < 0 ? r : parse_text(ret);
}

int fdinfo_read(int procfd, int fd, struct fdinfo *ret)
{
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "fdinfo/%d", fd);
	r = buffer_read_proc(&ret->text, procfd, path);
	if (r < 0) {
		ret->line_count = 0;
		return r;
	}
	return parse_text(ret);
}

void fdinfo_done(struct fdinfo *info)
{
	free(info->lines);
	buffer_done(&info->text);
	*info = (struct fdinfo){ 0 };
}

const char *fdinfo_next(const struct fdinfo *info, const char *key, size_t *cursor)
{
	while (*cursor < info->line_count) {
		const struct fdinfo_line *line = &info->lines[(*cursor)++];

		if (strcmp(line->key, key) == 0)
			return line->value;
	}
	return NULL;
}

const char *fdinfo_value(const struct fdinfo *info, const char *key)
{
	size_t cursor = 0;

	return fdinfo_next(info, key, &cursor);
}

/* Digits up to a blank or the end; negative numbers in base 10 come out in two's complement. */
static int parse_number(const char *at, int base, uint64_t *ret)
{
	bool negative = base == 10 && skip_char(&at, '-');
	uint64_t value;
	int r;

	if (base == 16 && at[0] == '0' && at[1] == 'x')
		at += 2;
	r = scan_u64(&at, base, &value);
	if (r < 0)
		return r;
	if (*at && !is_blank_char(*at))
		return -EINVAL;
	*ret = negative ? 0 - value : value;
	return 0;
}

int fdinfo_number(const struct fdinfo *info, const char *key, int base, uint64_t *ret)
{
	const char *value = fdinfo_value(info, key);

	return value ? parse_number(value, base, ret) : -ENOENT;
}

const char *fdinfo_word(const char *value, const char *word)
{
	size_t bytes = strlen(word);
	const char *at = value;

	while (*at) {
		while (is_blank_char(*at))
			at++;
		if (strncmp(at, word, bytes) == 0 && at[bytes] == ':') {
			at += bytes + 1;
			skip_blanks(&at);
			return at;
		}
		at += strcspn(at, " \t");
	}
	return NULL;
}

int fdinfo_word_number(const char *value, const char *word, int base, uint64_t *ret)
{
	const char *at = fdinfo_word(value, word);

	return at ? parse_number(at, base, ret) : -ENOENT;
}

int fdinfo_parse_epoll(const char *value, struct epoll_target *ret)
{
	struct epoll_target target = { 0 };
	uint64_t events, sdev = 0;
	int r = scan_int(&value, &target.fd);

	if (r < 0 || fdinfo_word_number(value, "events", 16, &events) < 0 ||
	    fdinfo_word_number(value, "data", 16, &target.data) < 0)
		return -EINVAL;
	r = fdinfo_word_number(value, "pos", 10, &target.pos);
	if (r < 0 && r != -ENOENT)
		return r;
	r = fdinfo_word_number(value, "ino", 16, &target.inode);
	if (r < 0 && r != -ENOENT)
		return r;
	r = fdinfo_word_number(value, "sdev", 16, &sdev);
	if (r < 0 && r != -ENOENT)
		return r;
	target.events = (uint32_t)events;
	target.sdev = (uint32_t)sdev;
	*ret = target;
	return 0;
}
