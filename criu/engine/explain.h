/*
 * What of a running tree could not be saved: the look stage of a dump over processes that are not stopped. Nothing is
 * seized and nothing runs inside them; descriptors are borrowed for a moment. What only a stopped task tells (the
 * programs of seccomp filters, 32-bit code) is not seen.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/refusals.h"

struct options;

struct explanation {
	struct refusals refusals; /* one for each object, with its hint */
	size_t task_count;
	char comm[64]; /* of the root */
};

#define EXPLANATION_INIT                                                                                               \
	{                                                                                                              \
		.refusals = REFUSALS_INIT                                                                              \
	}

/* The tree below opts->pid, judged by opts as a dump would. Fails only when it cannot look. */
int explain_tree(const struct options *opts, struct explanation *ret, struct error *err);
void explanation_done(struct explanation *explanation);
