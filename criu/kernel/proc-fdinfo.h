/*
 * /proc/PID/fdinfo/N: four members that every descriptor has and lines of the kind of object. Lines are split into key
 * and value once, and each kind of file asks for its own. The key is what stands before the first colon, blanks kept
 * ("settime flags"); where no blank follows that colon the line is a row of words and the key is the first of them
 * ("inotify", value "wd:1 ino:..."; "fanotify").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct fdinfo_line {
	const char *key, *value;
};

struct fdinfo {
	uint64_t pos;
	uint32_t flags;            /* open flags including O_CLOEXEC of this descriptor */
	int mnt_id;                /* -1: not printed */
	uint64_t inode;            /* 0: not printed (before 5.14) */
	bool has_locks;            /* there are "lock" lines */
	struct fdinfo_line *lines; /* all lines, also those of the members above */
	size_t line_count;
	size_t line_capacity;
	struct buffer text;
};

struct epoll_target {
	int fd;
	uint32_t events;
	uint64_t data, pos, inode;
	uint32_t sdev; /* kernel-internal encoding, 20 minor bits; inode and sdev are 0 before 4.13 */
};

/* A struct fdinfo is zeroed before its first use and may be filled again and again, which keeps its memory. */
int fdinfo_read(int procfd, int fd, struct fdinfo *ret);
int fdinfo_parse(const char *text, struct fdinfo *ret);
void fdinfo_done(struct fdinfo *info);

/* The value of the first line with this key, or NULL. */
const char *fdinfo_value(const struct fdinfo *info, const char *key);

/* The first value as a number: 0, -ENOENT or -EINVAL. */
int fdinfo_number(const struct fdinfo *info, const char *key, int base, uint64_t *ret);

/*
 * Walks the lines with a key, in order; *cursor is 0 before the first call:
 *	for (size_t at = 0; (value = fdinfo_next(info, "tfd", &at));)
 */
const char *fdinfo_next(const struct fdinfo *info, const char *key, size_t *cursor);

/* The value of a "tfd" line. */
int fdinfo_parse_epoll(const char *value, struct epoll_target *ret);

/* "word:VALUE" inside a row of words: points behind the colon ("wd" in "wd:1 ino:..."), or NULL. */
const char *fdinfo_word(const char *value, const char *word);

/* The number of such a word: 0, -ENOENT or -EINVAL. */
int fdinfo_word_number(const char *value, const char *word, int base, uint64_t *ret);

#define AUTO_FDINFO __attribute__((cleanup(fdinfo_done)))
