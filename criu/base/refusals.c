#include "base/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

/* The first becomes the sentence; where the log is what the user sees with it, the others are for those who ask for
 * more. */
static void log_another(const struct error *reason)
{
	enum log_level level = log_get_fd() == STDERR_FILENO ? LOG_INFO : LOG_ERROR;

	log_line(level, __FILE__, __LINE__, "%s", reason->text);
	if (reason->hint[0])
		log_line(level, __FILE__, __LINE__, "hint: %s", reason->hint);
}

void refusals_add(struct refusals *refusals, const struct error *reason)
{
	(void)pthread_mutex_lock(&refusals->lock);
	if (!error_is_set(&refusals->first))
		refusals->first = *reason;
	else if (!refusals->is_quiet)
		log_another(reason);
	if (array_reserve(&refusals->list, &refusals->capacity, refusals->count, sizeof(*refusals->list)) == 0)
		refusals->list[refusals->count++] = *reason;
	(void)pthread_mutex_unlock(&refusals->lock);
}

int refusals_report(const struct refusals *refusals, struct error *err)
{
	size_t used;

	if (!error_is_set(&refusals->first))
		return 0;
	*err = refusals->first;
	used = strlen(err->text);
	if (refusals->count > 1)
		(void)snprintf(err->text + used, sizeof(err->text) - used, " (and %zu more, see the log)",
			       refusals->count - 1);
	return err->code;
}

void refusals_done(struct refusals *refusals)
{
	free(refusals->list);
	refusals->list = NULL;
	refusals->count = refusals->capacity = 0;
}
