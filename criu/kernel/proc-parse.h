/*
 * Scanning of the numbers and words in proc files, for the parsers of proc-*.c: a cursor walks over NUL terminated text
 * and never passes its end. No locale, no allocation; overflow wraps silently, since only the kernel writes this text.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool is_blank_char(char c)
{
	return c == ' ' || c == '\t';
}

static inline void skip_blanks(const char **at)
{
	while (is_blank_char(**at))
		(*at)++;
}

static inline bool skip_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* Moves behind the next newline; false at the end of the text. */
static inline bool skip_line(const char **at)
{
	while (**at && **at != '\n')
		(*at)++;
	return skip_char(at, '\n') && **at;
}

static inline int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* Digits of the base at the cursor: 0 or -EINVAL when there are none. */
static inline int scan_u64(const char **at, int base, uint64_t *ret)
{
	const char *from = *at;
	uint64_t value = 0;

	for (; digit_value(**at) < base; (*at)++)
		value = value * (uint64_t)base + (uint64_t)digit_value(**at);
	if (*at == from)
		return -EINVAL;
	*ret = value;
	return 0;
}

/* The same with a minus sign allowed. */
static inline int scan_s64(const char **at, int64_t *ret)
{
	bool negative = skip_char(at, '-');
	uint64_t value;
	int r = scan_u64(at, 10, &value);

	if (r < 0)
		return r;
	*ret = (int64_t)(negative ? 0 - value : value);
	return 0;
}

static inline int scan_int(const char **at, int *ret)
{
	int64_t value;
	int r = scan_s64(at, &value);

	if (r < 0)
		return r;
	*ret = (int)value;
	return 0;
}

/* Copies up to a character of stop, the newline or the end; cut to fit. */
static inline void scan_word(const char **at, char stop, char *ret, size_t capacity)
{
	size_t bytes = 0;

	for (; **at && **at != stop && **at != '\n'; (*at)++)
		if (bytes + 1 < capacity)
			ret[bytes++] = **at;
	ret[bytes] = '\0';
}

/*
 * Undoes the kernel's "\ooo" escapes in place; with only >= 0 just those of that character, for files where a lone
 * backslash is not escaped itself. Returns the new length.
 */
static inline size_t unescape_octal(char *text, int only)
{
	char *from = text, *to = text;

	while (*from) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && digit_value(from[2]) < 8 &&
		    digit_value(from[3]) < 8) {
			int c = digit_value(from[1]) * 64 + digit_value(from[2]) * 8 + digit_value(from[3]);

			if (only < 0 || c == only) {
				*to++ = (char)c;
				from += 4;
				continue;
			}
		}
		*to++ = *from++;
	}
	*to = '\0';
	return (size_t)(to - text);
}
