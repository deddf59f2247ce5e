/*
 * What this kernel, and this process's rights on it, can do. Each feature is a row with a probe that really tries it,
 * leaves no trace and keeps no descriptor. Nothing is probed before someone asks.
 *
 * CRIU_MASK_FEATURES="pagemap_scan,pidfd_store" makes the named ones answer "missing", so that tests can exercise each
 * fallback.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum feature_category {
	FEATURE_NEEDED = 1,   /* hardly anything works without it: "check" alone complains */
	FEATURE_EXTRA,        /* check --extra */
	FEATURE_EXPERIMENTAL, /* check --experimental */
};

struct feature {
	const char *name; /* as in check --feature NAME */
	enum feature_category category;
	const char *description; /* what is tried, in the words of a user */
	const char *needed_for;  /* what is lost without it */
	int (*probe)(void);      /* 1 yes, 0 missing, -errno could not find out */
};

const struct feature *feature_table(size_t *ret_count);

/* NULL for a name that the table lacks. */
const struct feature *feature_find(const char *name);

/*
 * 1 yes, 0 missing or masked, -errno could not find out; -ENOENT for an unknown name. The first answer is kept for the
 * life of the process. Safe to call from several threads.
 */
int feature_available(const char *name);

/*
 * Whether a test has masked the feature: for code that tries the kernel's interface itself and falls back when the
 * attempt fails, so that no probe is needed.
 */
bool feature_is_masked(const char *name);
