/* Writes cpuinfo.img and compares it with the processor at hand. */
#include "engine/cpuinfo.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/x86/cpuinfo.h"
#include "base/error.h"
#include "base/util.h"
#include "engine/options.h"
#include "image/image-read.h"
#include "image/image-write.h"

int cpuinfo_dump(struct image_set *set, struct error *err)
{
	CpuinfoEntry entry = CPUINFO_ENTRY__INIT;
	struct cpu_info info;
	AUTO_MESSAGE CpuinfoX86Entry *x86 = NULL;

	cpu_info_read(&info);
	x86 = cpu_info_to_image(&info);
	if (!x86)
		return error_set(err, -ENOMEM, "cpuinfo.img");
	entry.n_x86_entry = 1;
	entry.x86_entry = &x86;
	return image_write_one(set, IMAGE_CPUINFO, 0, &entry, err);
}

struct comparison {
	unsigned int cap;
	enum cpu_compare how;
	const char *what;
};

/* One asked for explicitly includes those after it, so the first that is asked for is enough. */
static const struct comparison comparisons[] = {
	{ CPU_CAP_CPU, CPU_COMPARE_EXACT, "differs in" },
	{ CPU_CAP_INS, CPU_COMPARE_INS, "lacks" },
	{ CPU_CAP_FPU, CPU_COMPARE_FPU, "lacks" },
};

static int compare(const struct options *opts, const struct cpu_info *wanted, struct error *err)
{
	struct cpu_info have;
	char names[512] = "";

	cpu_info_read(&have);
	for (size_t i = 0; i < ARRAY_SIZE(comparisons); i++) {
		const struct comparison *c = &comparisons[i];

		if (!(opts->cpu_cap & c->cap) || !cpu_info_missing(wanted, &have, c->how, names, sizeof(names)))
			continue;
		error_say(err, -ENOTSUP, "this processor %s: %s", c->what, names);
		error_hint(err, "--cpu-cap says what must match; programs may have found these features already");
		return -ENOTSUP;
	}
	return 0;
}

int cpuinfo_check(const struct options *opts, const struct image_set *set, struct error *err)
{
	AUTO_MESSAGE CpuinfoEntry *entry = NULL;
	struct cpu_info wanted;
	int r = image_read_required(set, IMAGE_CPUINFO, 0, &cpuinfo_entry__descriptor, &entry, err);

	if (r < 0)
		return r;
	if (entry->n_x86_entry != 1)
		return error_say(err, -EINVAL, "cpuinfo.img describes no x86 processor");
	if (cpu_info_from_image(entry->x86_entry[0], &wanted) < 0)
		return error_say(err, -EINVAL, "cpuinfo.img has version %u with %zu words, which is unknown",
				 entry->x86_entry[0]->capability_ver, entry->x86_entry[0]->n_capability);
	return compare(opts, &wanted, err);
}
