#include "base/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

/* The first becomes the sentence; all others are only here. A hint that many share is said once. */
static void log_another(const struct refusals *refusals, const struct error *reason)
{
	const struct error *before = refusals->count ? &refusals->list[refusals->count - 1] : &refusals->first;

	log_error("%s", reason->text);
	if (reason->hint[0] && strcmp(reason->hint, before->hint) != 0)
		log_error("hint: %s", reason->hint);
}

void refusals_add(struct refusals *refusals, const struct error *reason)
{
	(void)pthread_mutex_lock(&refusals->lock);
	if (!error_is_set(&refusals->first))
		refusals->first = *reason;
	else if (!refusals->is_quiet)
		log_another(refusals, reason);
	if (array_reserve(&refusals->list, &refusals->capacity, refusals->count, sizeof(*refusals->list)) == 0)
		refusals->list[refusals->count++] = *reason;
	(void)pthread_mutex_unlock(&refusals->lock);
}

#define MORE_BYTES sizeof(" (and 18446744073709551615 more, see the log)")

/* Appends "; TEXT" while there is room for what comes behind it. */
static bool add_sentence(struct error *err, const char *text)
{
	const size_t room = sizeof(err->text) - MORE_BYTES;
	size_t used = strlen(err->text);

	if (used + strlen(text) + 2 > room)
		return false;
	(void)snprintf(err->text + used, sizeof(err->text) - used, "; %s", text);
	return true;
}

int refusals_report(const struct refusals *refusals, size_t named_at_most, struct error *err)
{
	const size_t room = sizeof(err->text) - MORE_BYTES;
	const char *where = log_get_fd() == STDERR_FILENO ? "above" : "the log";
	size_t used, named = 1;

	if (!error_is_set(&refusals->first))
		return 0;
	*err = refusals->first;
	while (named < named_at_most && named < refusals->count && add_sentence(err, refusals->list[named].text)) {
		error_hint(err, "%s", refusals->list[named].hint);
		named++;
	}
	if (refusals->count > named)
		error_shorten(err->text, room);
	used = strlen(err->text);
	if (refusals->count > named)
		(void)snprintf(err->text + used, sizeof(err->text) - used, " (and %zu more, see %s)",
			       refusals->count - named, where);
	return err->code;
}

void refusals_done(struct refusals *refusals)
{
	free(refusals->list);
	refusals->list = NULL;
	refusals->count = refusals->capacity = 0;
}
