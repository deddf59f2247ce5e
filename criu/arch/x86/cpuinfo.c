/*
 * Words are in the order of the kernel's x86_capability, of which only those that are a CPUID register as it stands are
 * filled: the kernel's own inventions (words 3, 7, 8) and words 11 and 12, which changed their meaning between kernels,
 * stay 0 here and are not compared. Of the operating system's part only XSAVE counts: a program asks for it by
 * OSXSAVE and XCR0.
 */
#include "arch/x86/cpuinfo.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/xstate.h"
#include "base/util.h"

enum { REG_A, REG_B, REG_C, REG_D };

/* Where each word comes from. */
static const struct capability_source {
	unsigned word, leaf, subleaf, reg;
} sources[] = {
	{ 0, 0x1, 0, REG_D },         { 1, 0x80000001, 0, REG_D }, { 2, 0x80860001, 0, REG_D },  { 4, 0x1, 0, REG_C },
	{ 5, 0xc0000001, 0, REG_D },  { 6, 0x80000001, 0, REG_C }, { 9, 0x7, 0, REG_B },         { 10, 0xd, 1, REG_A },
	{ 13, 0x80000008, 0, REG_B }, { 14, 0x6, 0, REG_A },       { 15, 0x8000000a, 0, REG_D }, { 16, 0x7, 0, REG_C },
	{ 17, 0x80000007, 0, REG_B }, { 18, 0x7, 0, REG_D },
};

/* Instructions a program may use once CPUID shows them. What only a kernel can use is not here. */
static const struct instruction_bit {
	unsigned char word, bit;
	const char *name;
} instructions[] = {
	{ 0, 0, "fpu" },
	{ 0, 4, "tsc" },
	{ 0, 8, "cx8" },
	{ 0, 15, "cmov" },
	{ 0, 19, "clflush" },
	{ 0, 23, "mmx" },
	{ 0, 24, "fxsr" },
	{ 0, 25, "sse" },
	{ 0, 26, "sse2" },
	{ 1, 11, "syscall" },
	{ 1, 22, "mmxext" },
	{ 1, 25, "fxsr_opt" },
	{ 1, 27, "rdtscp" },
	{ 1, 29, "lm" },
	{ 1, 30, "3dnowext" },
	{ 1, 31, "3dnow" },
	{ 4, 0, "pni" },
	{ 4, 1, "pclmulqdq" },
	{ 4, 9, "ssse3" },
	{ 4, 12, "fma" },
	{ 4, 13, "cx16" },
	{ 4, 19, "sse4_1" },
	{ 4, 20, "sse4_2" },
	{ 4, 22, "movbe" },
	{ 4, 23, "popcnt" },
	{ 4, 25, "aes" },
	{ 4, 26, "xsave" },
	{ 4, 27, "osxsave" },
	{ 4, 28, "avx" },
	{ 4, 29, "f16c" },
	{ 4, 30, "rdrand" },
	{ 6, 0, "lahf_lm" },
	{ 6, 5, "abm" },
	{ 6, 6, "sse4a" },
	{ 6, 7, "misalignsse" },
	{ 6, 8, "3dnowprefetch" },
	{ 6, 11, "xop" },
	{ 6, 15, "lwp" },
	{ 6, 16, "fma4" },
	{ 6, 21, "tbm" },
	{ 6, 29, "mwaitx" },
	{ 9, 0, "fsgsbase" },
	{ 9, 3, "bmi1" },
	{ 9, 4, "hle" },
	{ 9, 5, "avx2" },
	{ 9, 8, "bmi2" },
	{ 9, 9, "erms" },
	{ 9, 11, "rtm" },
	{ 9, 14, "mpx" },
	{ 9, 16, "avx512f" },
	{ 9, 17, "avx512dq" },
	{ 9, 18, "rdseed" },
	{ 9, 19, "adx" },
	{ 9, 21, "avx512ifma" },
	{ 9, 23, "clflushopt" },
	{ 9, 24, "clwb" },
	{ 9, 26, "avx512pf" },
	{ 9, 27, "avx512er" },
	{ 9, 28, "avx512cd" },
	{ 9, 29, "sha_ni" },
	{ 9, 30, "avx512bw" },
	{ 9, 31, "avx512vl" },
	{ 10, 0, "xsaveopt" },
	{ 10, 1, "xsavec" },
	{ 10, 2, "xgetbv1" },
	{ 13, 0, "clzero" },
	{ 13, 4, "rdpru" },
	{ 13, 9, "wbnoinvd" },
	{ 16, 1, "avx512vbmi" },
	{ 16, 3, "pku" },
	{ 16, 4, "ospke" },
	{ 16, 5, "waitpkg" },
	{ 16, 6, "avx512_vbmi2" },
	{ 16, 8, "gfni" },
	{ 16, 9, "vaes" },
	{ 16, 10, "vpclmulqdq" },
	{ 16, 11, "avx512_vnni" },
	{ 16, 12, "avx512_bitalg" },
	{ 16, 14, "avx512_vpopcntdq" },
	{ 16, 22, "rdpid" },
	{ 16, 25, "cldemote" },
	{ 16, 27, "movdiri" },
	{ 16, 28, "movdir64b" },
	{ 16, 29, "enqcmd" },
	{ 18, 2, "avx512_4vnniw" },
	{ 18, 3, "avx512_4fmaps" },
	{ 18, 4, "fsrm" },
	{ 18, 8, "avx512_vp2intersect" },
	{ 18, 14, "serialize" },
	{ 18, 16, "tsxldtrk" },
	{ 18, 22, "amx_bf16" },
	{ 18, 23, "avx512_fp16" },
	{ 18, 24, "amx_tile" },
	{ 18, 25, "amx_int8" },
};

/* What decides whether the registers can be saved and loaded at all. */
static const struct instruction_bit fpu_bits[] = {
	{ 0, 0, "fpu" },    { 0, 24, "fxsr" },    { 0, 25, "sse" }, { 0, 26, "sse2" },
	{ 4, 26, "xsave" }, { 4, 27, "osxsave" }, { 4, 28, "avx" }, { 9, 16, "avx512f" },
};

/* --- reading ----------------------------------------------------------------------------------------------------- */

static uint32_t read_source(const struct capability_source *source)
{
	unsigned regs[4] = { 0 }, top[4] = { 0 };

	/* Ranges that a processor does not have answer with garbage. */
	__cpuid(source->leaf & 0xffff0000, top[REG_A], top[REG_B], top[REG_C], top[REG_D]);
	if (top[REG_A] < source->leaf || (top[REG_A] & 0xffff0000) != (source->leaf & 0xffff0000))
		return 0;
	__cpuid_count(source->leaf, source->subleaf, regs[REG_A], regs[REG_B], regs[REG_C], regs[REG_D]);
	return regs[source->reg];
}

static void read_vendor(struct cpu_info *info)
{
	unsigned a;
	uint32_t name[4] = { 0 };

	__cpuid(0, a, name[0], name[2], name[1]);
	if (memcmp(name, "GenuineIntel", 12) == 0)
		info->vendor = CPUINFO_X86_ENTRY__VENDOR__INTEL;
	else if (memcmp(name, "AuthenticAMD", 12) == 0)
		info->vendor = CPUINFO_X86_ENTRY__VENDOR__AMD;
	else
		info->vendor = CPUINFO_X86_ENTRY__VENDOR__UNKNOWN;
}

static void read_signature(struct cpu_info *info)
{
	unsigned a, b, c, d;

	__cpuid(1, a, b, c, d);
	info->family = (a >> 8) & 0xf;
	info->model = (a >> 4) & 0xf;
	info->stepping = a & 0xf;
	if (info->family == 0xf)
		info->family += (a >> 20) & 0xff;
	if (info->family >= 6)
		info->model += ((a >> 16) & 0xf) << 4;
}

static void read_model_id(struct cpu_info *info)
{
	unsigned top, b, c, d, i;
	uint32_t words[12] = { 0 };

	__cpuid(0x80000000, top, b, c, d);
	if (top < 0x80000004)
		return;
	for (i = 0; i < 3; i++)
		__cpuid(0x80000002 + i, words[i * 4], words[i * 4 + 1], words[i * 4 + 2], words[i * 4 + 3]);
	memcpy(info->model_id, words, sizeof(words));
}

static void read_xsave_sizes(struct cpu_info *info)
{
	unsigned a, b, c, d;

	info->xfeatures_mask = xstate_enabled_components();
	info->xsave_bytes = info->xsave_bytes_max = (uint32_t)xstate_bytes();
	if (!(info->capability[4] & bit_OSXSAVE))
		return;
	__cpuid_count(0xd, 0, a, b, c, d);
	info->xsave_bytes_max = c;
}

void cpu_info_read(struct cpu_info *ret)
{
	struct cpu_info info = { 0 };
	size_t i;

	read_vendor(&info);
	read_signature(&info);
	read_model_id(&info);
	for (i = 0; i < ARRAY_SIZE(sources); i++)
		info.capability[sources[i].word] = read_source(&sources[i]);
	read_xsave_sizes(&info);
	*ret = info;
}

/* --- the image --------------------------------------------------------------------------------------------------- */

#define CAPABILITY_VERSION 2
#define CAPABILITY_WORDS_1 12

CpuinfoX86Entry *cpu_info_to_image(const struct cpu_info *info)
{
	CpuinfoX86Entry *entry = malloc(sizeof(*entry));

	if (!entry)
		return NULL;
	cpuinfo_x86_entry__init(entry);
	entry->vendor_id = (CpuinfoX86Entry__Vendor)info->vendor;
	entry->cpu_family = info->family;
	entry->model = info->model;
	entry->stepping = info->stepping;
	entry->capability_ver = CAPABILITY_VERSION;
	entry->capability = malloc(sizeof(info->capability));
	entry->model_id = strdup(info->model_id);
	if (!entry->capability || !entry->model_id) {
		free(entry->capability);
		free(entry->model_id);
		free(entry);
		return NULL;
	}
	memcpy(entry->capability, info->capability, sizeof(info->capability));
	entry->n_capability = CPU_CAPABILITY_WORDS;
	entry->has_xfeatures_mask = entry->has_xsave_size = entry->has_xsave_size_max = 1;
	entry->xfeatures_mask = info->xfeatures_mask;
	entry->xsave_size = info->xsave_bytes;
	entry->xsave_size_max = info->xsave_bytes_max;
	return entry;
}

int cpu_info_from_image(const CpuinfoX86Entry *entry, struct cpu_info *ret)
{
	struct cpu_info info = {
		.vendor = (int)entry->vendor_id,
		.family = entry->cpu_family,
		.model = entry->model,
		.stepping = entry->stepping,
		.xfeatures_mask = entry->has_xfeatures_mask ? entry->xfeatures_mask : 0,
		.xsave_bytes = entry->has_xsave_size ? entry->xsave_size : 0,
		.xsave_bytes_max = entry->has_xsave_size_max ? entry->xsave_size_max : 0,
	};

	if (!(entry->capability_ver == 1 && entry->n_capability == CAPABILITY_WORDS_1) &&
	    !(entry->capability_ver == 2 && entry->n_capability == CPU_CAPABILITY_WORDS))
		return -EINVAL;
	memcpy(info.capability, entry->capability, entry->n_capability * sizeof(uint32_t));
	if (entry->model_id)
		(void)snprintf(info.model_id, sizeof(info.model_id), "%s", entry->model_id);
	*ret = info;
	return 0;
}

/* --- comparing --------------------------------------------------------------------------------------------------- */

struct name_list {
	char *text;
	size_t bytes, capacity, count;
};

static void add_name(struct name_list *list, const char *name)
{
	size_t left = list->capacity - list->bytes;
	int n;

	list->count++;
	if (left < 8)
		return;
	n = snprintf(list->text + list->bytes, left, "%s%s", list->bytes ? ", " : "", name);
	if (n >= 0 && (size_t)n < left - 5) {
		list->bytes += (size_t)n;
		return;
	}
	(void)snprintf(list->text + list->bytes, left, "...");
	list->bytes = list->capacity;
}

static bool has_bit(const struct cpu_info *info, const struct instruction_bit *bit)
{
	return info->capability[bit->word] & (UINT32_C(1) << bit->bit);
}

static void add_missing_bits(const struct cpu_info *wanted, const struct cpu_info *have,
			     const struct instruction_bit *bits, size_t count, struct name_list *list)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (has_bit(wanted, &bits[i]) && !has_bit(have, &bits[i]))
			add_name(list, bits[i].name);
}

static void add_missing_components(const struct cpu_info *wanted, const struct cpu_info *have, struct name_list *list)
{
	uint64_t missing = wanted->xfeatures_mask & ~have->xfeatures_mask;
	unsigned i;

	for (i = 0; i < 64; i++)
		if (missing & (UINT64_C(1) << i))
			add_name(list, xstate_component_name(i));
}

static const char *instruction_name(unsigned word, unsigned bit)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(instructions); i++)
		if (instructions[i].word == word && instructions[i].bit == bit)
			return instructions[i].name;
	return NULL;
}

static void add_differing_bits(const struct cpu_info *wanted, const struct cpu_info *have, struct name_list *list)
{
	size_t i;
	unsigned bit;

	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		unsigned word = sources[i].word;
		uint32_t differing = wanted->capability[word] ^ have->capability[word];

		for (bit = 0; bit < 32; bit++) {
			const char *name = instruction_name(word, bit);
			char number[32];

			if (!(differing & (UINT32_C(1) << bit)))
				continue;
			(void)snprintf(number, sizeof(number), "capability %u:%u", word, bit);
			add_name(list, name ? name : number);
		}
	}
}

static void add_exact_differences(const struct cpu_info *wanted, const struct cpu_info *have, struct name_list *list)
{
	if (wanted->vendor != have->vendor)
		add_name(list, "vendor");
	if (wanted->family != have->family)
		add_name(list, "family");
	if (wanted->model != have->model)
		add_name(list, "model");
	add_differing_bits(wanted, have, list);
	if (wanted->xfeatures_mask && wanted->xfeatures_mask != have->xfeatures_mask)
		add_name(list, "extended state components");
}

size_t cpu_info_missing(const struct cpu_info *wanted, const struct cpu_info *have, enum cpu_compare how, char *text,
			size_t text_bytes)
{
	struct name_list list = { .text = text, .capacity = text_bytes };

	if (text_bytes)
		text[0] = '\0';
	if (how == CPU_COMPARE_EXACT) {
		add_exact_differences(wanted, have, &list);
	} else if (how == CPU_COMPARE_INS) {
		add_missing_bits(wanted, have, instructions, ARRAY_SIZE(instructions), &list);
	} else {
		add_missing_bits(wanted, have, fpu_bits, ARRAY_SIZE(fpu_bits), &list);
		add_missing_components(wanted, have, &list);
	}
	return list.count;
}
