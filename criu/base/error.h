/*
 * The reason of a failure: one sentence and, where the user can do something, a hint. Whoever knows the object sets the
 * sentence; those above put context in front. The first reason stays: setting an error that is set already is ignored.
 *
 *	r = fdinfo_read(...);
 *	if (r < 0)
 *		return error_set(err, r, "pid %d, fd %d: cannot read fdinfo", pid, fd);
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

struct error {
	int code; /* negative errno, 0 while nothing is set */
	char text[1024];
	char hint[512];
};

/* Room for a sentence with several paths in it, before what is too long in it gives way to "...". */
#define ERROR_WHOLE_BYTES 16384

/*
 * error_set() sets the sentence and ": " with the text of errno -r behind it; error_say() is the same without the errno
 * text: the sentence already says the reason. Both are r (always negative: -EINVAL for a caller that had no reason), in
 * a form that lets the compiler see so.
 */
#define error_set(err, r, ...)                                                                                         \
	({                                                                                                             \
		int error_r_ = error_negative(r);                                                                      \
		error_set_text((err), error_r_, __VA_ARGS__);                                                          \
		error_r_;                                                                                              \
	})
#define error_say(err, r, ...)                                                                                         \
	({                                                                                                             \
		int error_r_ = error_negative(r);                                                                      \
		error_say_text((err), error_r_, __VA_ARGS__);                                                          \
		error_r_;                                                                                              \
	})

static inline int error_negative(int r)
{
	return r < 0 ? r : -EINVAL;
}

void error_set_text(struct error *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));
void error_say_text(struct error *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the sentence. */
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds what the user can do. The first hint stays. */
void error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Cuts a text to less than bytes: "..." takes the place of the middle of its longest words, which are paths, so that
 * its end, the reason, stays.
 */
void error_shorten(char *text, size_t bytes);

static inline bool error_is_set(const struct error *err)
{
	return err->code != 0;
}
