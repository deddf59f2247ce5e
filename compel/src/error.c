/* One sentence per failure, in the caller's struct compel_error; a NULL pointer means that nobody wants to know. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

static void fill(struct compel_error *err, int r, const char *format, va_list args, bool with_errno)
{
	size_t used;
	int n;

	err->code = r;
	n = vsnprintf(err->text, sizeof(err->text), format, args);
	used = n < 0 ? 0 : (size_t)n;
	if (with_errno && used < sizeof(err->text))
		(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(-r));
}

int fail(struct compel_error *err, int r, const char *format, ...)
{
	va_list args;

	if (!err)
		return r;
	va_start(args, format);
	fill(err, r, format, args, true);
	va_end(args);
	return r;
}

int fail_say(struct compel_error *err, int r, const char *format, ...)
{
	va_list args;

	if (!err)
		return r;
	va_start(args, format);
	fill(err, r, format, args, false);
	va_end(args);
	return r;
}

int fail_gone(struct compel_error *err, pid_t pid)
{
	return fail_say(err, -ESRCH, "pid %d: the process has ended", pid);
}
