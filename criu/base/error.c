#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Whatever was to be done, some reasons have a remedy of their own. */
static void hint_at_reason(struct error *err, int r)
{
	if (r == -EMFILE)
		error_hint(err, "more descriptors are needed than this shell allows: ulimit -n");
}

void error_set_text(struct error *err, int r, const char *format, ...)
{
	size_t used;
	va_list args;

	if (error_is_set(err))
		return;
	err->code = r;
	va_start(args, format);
	(void)vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	used = strlen(err->text);
	(void)snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(-r));
	hint_at_reason(err, r);
}

void error_say_text(struct error *err, int r, const char *format, ...)
{
	va_list args;

	if (error_is_set(err))
		return;
	err->code = r;
	va_start(args, format);
	(void)vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	hint_at_reason(err, r);
}

void error_prefix(struct error *err, const char *format, ...)
{
	char before[sizeof(err->text)];
	char context[256];
	va_list args;

	if (!error_is_set(err))
		return;
	va_start(args, format);
	(void)vsnprintf(context, sizeof(context), format, args);
	va_end(args);
	memcpy(before, err->text, sizeof(before));
	(void)snprintf(err->text, sizeof(err->text), "%s: %.*s", context,
		       (int)(sizeof(err->text) - sizeof(context) - 3), before);
}

void error_hint(struct error *err, const char *format, ...)
{
	va_list args;

	if (err->hint[0])
		return;
	va_start(args, format);
	(void)vsnprintf(err->hint, sizeof(err->hint), format, args);
	va_end(args);
}
