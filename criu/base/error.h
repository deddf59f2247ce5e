/*
 * The reason of a failure: one sentence and, where the user can do something, a hint. Whoever knows the object sets the
 * sentence; those above put context in front. The first reason stays: setting an error that is set already is ignored.
 *
 *	r = fdinfo_read(...);
 *	if (r < 0)
 *		return error_set(err, r, "pid %d, fd %d: cannot read fdinfo", pid, fd);
 */
#pragma once

#include <stdbool.h>

struct error {
	int code; /* negative errno, 0 while nothing is set */
	char text[1024];
	char hint[512];
};

/* Sets the sentence and ": " with the text of errno -r behind it. Returns r. */
int error_set(struct error *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same without the errno text: the sentence already says the reason. Returns r. */
int error_say(struct error *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the sentence. */
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds what the user can do. The first hint stays. */
void error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline bool error_is_set(const struct error *err)
{
	return err->code != 0;
}
