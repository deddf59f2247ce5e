/* What this processor can do, in the kernel's feature words, and what another one had that this one lacks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/cpuinfo.pb-c.h"

#define CPU_CAPABILITY_WORDS 19

struct cpu_info {
	int vendor; /* CPUINFO_X86_ENTRY__VENDOR__xx */
	uint32_t family, model, stepping;
	uint32_t capability[CPU_CAPABILITY_WORDS];
	char model_id[64];
	uint64_t xfeatures_mask;
	uint32_t xsave_bytes, xsave_bytes_max;
};

void cpu_info_read(struct cpu_info *ret);

/* malloc()ed in the way protobuf-c frees; NULL without memory. */
CpuinfoX86Entry *cpu_info_to_image(const struct cpu_info *info);

/* 0, or -EINVAL for a version or a number of words that is not known. */
int cpu_info_from_image(const CpuinfoX86Entry *entry, struct cpu_info *ret);

/* What a comparison looks at. */
enum cpu_compare {
	CPU_COMPARE_FPU,  /* only what decides whether the extended state fits */
	CPU_COMPARE_INS,  /* every instruction a program may have found */
	CPU_COMPARE_EXACT /* no difference either way, vendor, family and model too */
};

/*
 * Appends the names of what wanted has and have lacks, separated by ", ", to text (cut with "..." when it does not
 * fit). Returns how many there are.
 */
size_t cpu_info_missing(const struct cpu_info *wanted, const struct cpu_info *have, enum cpu_compare how, char *text,
			size_t text_bytes);
