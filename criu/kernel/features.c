#include "kernel/features.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "kernel/feature-probes.h"

static const struct feature features[] = {
	{ "external_net_ns", FEATURE_EXTRA, "network namespaces that stay outside the image", "external net namespaces",
	  probe_always },
};

/* Answers are kept as they come; two threads asking at once may both probe and then agree. */
static atomic_int answers[ARRAY_SIZE(features)];
static atomic_bool answered[ARRAY_SIZE(features)];

const struct feature *feature_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(features);
	return features;
}

const struct feature *feature_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (strcmp(features[i].name, name) == 0)
			return &features[i];
	return NULL;
}

bool feature_is_masked(const char *name)
{
	const char *at = getenv("CRIU_MASK_FEATURES");
	size_t bytes = strlen(name);

	while (at && *at) {
		size_t word = strcspn(at, ",");

		if (word == bytes && memcmp(at, name, bytes) == 0)
			return true;
		at += word + (at[word] == ',');
	}
	return false;
}

int feature_available(const char *name)
{
	const struct feature *feature = feature_find(name);
	size_t i;
	int answer;

	if (!feature)
		return -ENOENT;
	if (feature_is_masked(name))
		return 0;
	i = (size_t)(feature - features);
	if (atomic_load(&answered[i]))
		return atomic_load(&answers[i]);
	answer = feature->probe();
	log_debug("feature %s: %d", name, answer);
	atomic_store(&answers[i], answer);
	atomic_store(&answered[i], true);
	return answer;
}
