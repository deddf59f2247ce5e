#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define DOTS       "..."
#define DOTS_BYTES (sizeof(DOTS) - 1)
#define WORD_BYTES 40 /* what is left of a word at least */

static size_t longest_word(const char *text, size_t *ret_bytes)
{
	size_t start = 0;

	*ret_bytes = 0;
	for (size_t at = 0; text[at];) {
		size_t bytes = strcspn(text + at, " \n");

		if (bytes > *ret_bytes) {
			start = at;
			*ret_bytes = bytes;
		}
		at += bytes;
		at += strspn(text + at, " \n");
	}
	return start;
}

/* Inside of a character of several bytes. */
static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Takes at least so many bytes out of the middle of a part of the text, which has more, for the dots. */
static void cut_middle(char *part, size_t part_bytes, size_t surplus)
{
	size_t from = (part_bytes - surplus - DOTS_BYTES) / 2, to = from + surplus + DOTS_BYTES;

	while (from > 0 && is_continuation(part[from]))
		from--;
	while (to < part_bytes && is_continuation(part[to]))
		to++;
	memcpy(part + from, DOTS, DOTS_BYTES);
	memmove(part + from + DOTS_BYTES, part + to, strlen(part + to) + 1);
}

void error_shorten(char *text, size_t bytes)
{
	for (size_t used = strlen(text); used >= bytes; used = strlen(text)) {
		size_t surplus = used - bytes + 1, word_bytes, start = longest_word(text, &word_bytes);
		size_t spare = word_bytes > WORD_BYTES + DOTS_BYTES ? word_bytes - WORD_BYTES - DOTS_BYTES : 0;

		if (spare)
			cut_middle(text + start, word_bytes, surplus < spare ? surplus : spare);
		else if (used > surplus + DOTS_BYTES)
			cut_middle(text, used, surplus);
		else
			text[bytes - 1] = '\0';
	}
}

static void take_short(char *to, size_t bytes, char *whole)
{
	make_printable(whole);
	error_shorten(whole, bytes);
	memcpy(to, whole, strlen(whole) + 1);
}

void error_set_text(struct error *err, int r, const char *format, ...)
{
	const char *reason = strerror(-r);
	char whole[ERROR_WHOLE_BYTES];
	size_t used;
	va_list args;

	if (error_is_set(err))
		return;
	err->code = r;
	va_start(args, format);
	(void)vsnprintf(whole, sizeof(whole), format, args);
	va_end(args);
	error_shorten(whole, sizeof(err->text) - strlen(": ") - strlen(reason));
	used = strlen(whole);
	(void)snprintf(whole + used, sizeof(whole) - used, ": %s", reason);
	take_short(err->text, sizeof(err->text), whole);
	if (r == -EMFILE)
		error_hint(err, "raise the limit of open files (ulimit -n)");
	if (r == -ENOMEM)
		error_hint(err,
			   "there has to be more memory, also within the limits of ulimit -v, -d and of the cgroup");
}

static void __attribute__((format(printf, 3, 0))) print_short(char *to, size_t bytes, const char *format, va_list args)
{
	char whole[ERROR_WHOLE_BYTES];

	(void)vsnprintf(whole, sizeof(whole), format, args);
	take_short(to, bytes, whole);
}

void error_say_text(struct error *err, int r, const char *format, ...)
{
	va_list args;

	if (error_is_set(err))
		return;
	err->code = r;
	va_start(args, format);
	print_short(err->text, sizeof(err->text), format, args);
	va_end(args);
}

void error_prefix(struct error *err, const char *format, ...)
{
	char whole[ERROR_WHOLE_BYTES + sizeof(err->text)];
	size_t used;
	va_list args;

	if (!error_is_set(err))
		return;
	va_start(args, format);
	(void)vsnprintf(whole, ERROR_WHOLE_BYTES, format, args);
	va_end(args);
	used = strlen(whole);
	(void)snprintf(whole + used, sizeof(whole) - used, ": %s", err->text);
	take_short(err->text, sizeof(err->text), whole);
}

void error_hint(struct error *err, const char *format, ...)
{
	va_list args;

	if (err->hint[0])
		return;
	va_start(args, format);
	print_short(err->hint, sizeof(err->hint), format, args);
	va_end(args);
}
