/*
 * Reasons gathered instead of reported one by one: whoever looks at many objects notes what is wrong with each and goes
 * on, so that the user learns all of it at once. Any thread may add.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct refusals {
	struct error *list; /* in the order in which they were found */
	size_t count, capacity;
	struct error first;
	bool is_quiet; /* whoever asked lists them: they are not logged as errors */
	pthread_mutex_t lock;
};

#define REFUSALS_INIT                                                                                                  \
	{                                                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER                                                                      \
	}

/* Logs the reason and keeps a copy, in first alone when there is no memory for it. */
void refusals_add(struct refusals *refusals, const struct error *reason);

/*
 * 0 while there is none; else the code of the first one, and in *err one sentence: so many of them as far as they fit,
 * and how many more there are.
 */
int refusals_report(const struct refusals *refusals, size_t named_at_most, struct error *err);

void refusals_done(struct refusals *refusals);
