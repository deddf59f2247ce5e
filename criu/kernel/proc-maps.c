/* The file is read whole and cut in place: the paths of the mappings stay where they were read. */
#include "kernel/proc-maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "kernel/proc-parse.h"

static const char flag_names[VMF_UNKNOWN][3] = {
	[VMF_RD] = "rd", [VMF_WR] = "wr", [VMF_EX] = "ex", [VMF_SH] = "sh", [VMF_MR] = "mr", [VMF_MW] = "mw",
	[VMF_ME] = "me", [VMF_MS] = "ms", [VMF_GD] = "gd", [VMF_PF] = "pf", [VMF_LO] = "lo", [VMF_IO] = "io",
	[VMF_SR] = "sr", [VMF_RR] = "rr", [VMF_DC] = "dc", [VMF_DE] = "de", [VMF_LF] = "lf", [VMF_AC] = "ac",
	[VMF_NR] = "nr", [VMF_HT] = "ht", [VMF_SF] = "sf", [VMF_AR] = "ar", [VMF_WF] = "wf", [VMF_DD] = "dd",
	[VMF_DP] = "dp", [VMF_SD] = "sd", [VMF_MM] = "mm", [VMF_HG] = "hg", [VMF_NH] = "nh", [VMF_MG] = "mg",
	[VMF_BT] = "bt", [VMF_MT] = "mt", [VMF_UM] = "um", [VMF_UW] = "uw", [VMF_UI] = "ui", [VMF_SS] = "ss",
	[VMF_SL] = "sl", [VMF_GU] = "gu",
};

static uint64_t flag_bit(const char name[2])
{
	unsigned i;

	for (i = 0; i < VMF_UNKNOWN; i++)
		if (flag_names[i][0] == name[0] && flag_names[i][1] == name[1])
			return UINT64_C(1) << i;
	return VMF_BIT(UNKNOWN);
}

static uint64_t parse_vm_flags(const char *at)
{
	uint64_t flags = 0;

	for (;;) {
		skip_blanks(&at);
		if (at[0] == '\0' || at[0] == '\n' || at[1] == '\0' || at[1] == '\n')
			return flags;
		flags |= flag_bit(at);
		at += 2;
	}
}

static bool parse_permissions(const char **at, struct proc_vma *vma)
{
	const char *p = *at;

	if (!p[0] || !p[1] || !p[2] || !p[3])
		return false;
	vma->prot = (p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0) | (p[2] == 'x' ? PROT_EXEC : 0);
	vma->shared = p[3] == 's' || p[3] == 'S';
	*at += 4;
	return true;
}

static bool ends_with(const char *text, size_t bytes, const char *suffix)
{
	size_t suffix_bytes = strlen(suffix);

	return bytes >= suffix_bytes && memcmp(text + bytes - suffix_bytes, suffix, suffix_bytes) == 0;
}

/* line ends with a NUL; the path is left where it stands. */
static int parse_header(char *text, char *line, struct proc_vma *vma)
{
	const char *at = line;
	uint64_t major_number, minor_number;
	size_t bytes;

	if (scan_u64(&at, 16, &vma->start) < 0 || !skip_char(&at, '-') || scan_u64(&at, 16, &vma->end) < 0 ||
	    !skip_char(&at, ' ') || !parse_permissions(&at, vma) || !skip_char(&at, ' ') ||
	    scan_u64(&at, 16, &vma->offset) < 0 || !skip_char(&at, ' ') || scan_u64(&at, 16, &major_number) < 0 ||
	    !skip_char(&at, ':') || scan_u64(&at, 16, &minor_number) < 0 || !skip_char(&at, ' ') ||
	    scan_u64(&at, 10, &vma->inode) < 0)
		return -EINVAL;
	if (vma->start >= vma->end)
		return -EINVAL;
	vma->dev_major = (uint32_t)major_number;
	vma->dev_minor = (uint32_t)minor_number;
	vma->protection_key = -1;
	skip_blanks(&at);
	if (at - text > UINT32_MAX)
		return -E2BIG;
	vma->path_offset = (uint32_t)(at - text);
	if (*at) {
		/* Only newlines are escaped in this file. */
		bytes = unescape_octal(text + vma->path_offset, '\n');
		vma->deleted = ends_with(at, bytes, " (deleted)");
	}
	return 0;
}

struct detail_key {
	const char *key;
	size_t key_bytes;
	size_t offset;
};

#define KILOBYTE_KEY(text, member)                                                                                     \
	{                                                                                                              \
		text, sizeof(text) - 1, offsetof(struct proc_vma, member)                                              \
	}

static const struct detail_key kilobyte_keys[] = {
	KILOBYTE_KEY("KernelPageSize", kernel_page_bytes),
	KILOBYTE_KEY("Rss", rss_bytes),
	KILOBYTE_KEY("Private_Dirty", private_dirty_bytes),
	KILOBYTE_KEY("Anonymous", anonymous_bytes),
	KILOBYTE_KEY("Swap", swap_bytes),
	KILOBYTE_KEY("Locked", locked_bytes),
};

/* "Key:   value kB" below the line of a mapping in smaps. */
static int parse_detail(const char *line, struct proc_vma *vma)
{
	const char *at;
	size_t key_bytes, i;
	uint64_t value;

	if (!strchr("KRPASLV", line[0]))
		return 0; /* no key below begins so */
	at = strchr(line, ':');
	if (!at)
		return -EINVAL;
	key_bytes = (size_t)(at++ - line);
	if (key_bytes == 7 && memcmp(line, "VmFlags", 7) == 0) {
		vma->vm_flags = parse_vm_flags(at);
		vma->has_vm_flags = true;
		return 0;
	}
	skip_blanks(&at);
	if (key_bytes == 13 && memcmp(line, "ProtectionKey", 13) == 0)
		return scan_int(&at, &vma->protection_key);
	for (i = 0; i < ARRAY_SIZE(kilobyte_keys); i++) {
		if (kilobyte_keys[i].key_bytes != key_bytes || memcmp(kilobyte_keys[i].key, line, key_bytes) != 0)
			continue;
		if (scan_u64(&at, 10, &value) < 0)
			return -EINVAL;
		*(uint64_t *)((char *)vma + kilobyte_keys[i].offset) = value * 1024;
		return 0;
	}
	return 0;
}

/* Mappings begin with lower case hex digits, details with a capital letter. */
static bool is_detail(const char *line)
{
	return line[0] >= 'A' && line[0] <= 'Z';
}

static int add_vma(struct proc_maps *maps, char *line)
{
	struct proc_vma vma = { 0 };
	int r = parse_header(maps->text, line, &vma);

	if (r < 0)
		return r;
	r = array_reserve(&maps->vmas, &maps->vma_capacity, maps->count, sizeof(*maps->vmas));
	if (r < 0)
		return r;
	maps->vmas[maps->count++] = vma;
	return 0;
}

static int parse_lines(struct proc_maps *maps)
{
	char *line = maps->text, *end = maps->file.data + maps->file.bytes;

	while (line < end) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		int r;

		if (!newline)
			return -EINVAL;
		*newline = '\0';
		if (!is_detail(line))
			r = add_vma(maps, line);
		else if (maps->count)
			r = parse_detail(line, &maps->vmas[maps->count - 1]);
		else
			r = -EINVAL;
		if (r < 0)
			return r;
		line = newline + 1;
	}
	return 0;
}

static int parse_file(struct proc_maps *maps)
{
	int r;

	maps->count = 0;
	maps->text = maps->file.data;
	r = parse_lines(maps);
	if (r < 0)
		maps->count = 0;
	return r;
}

int proc_maps_parse(const char *text, size_t bytes, struct proc_maps *ret)
{
	int r;

	ret->file.bytes = 0;
	r = buffer_append(&ret->file, text, bytes);
	if (r < 0)
		return r;
	r = buffer_append(&ret->file, "", 1);
	if (r < 0)
		return r;
	ret->file.bytes--;
	return parse_file(ret);
}

int proc_maps_read(int procfd, bool with_flags, struct proc_maps *ret)
{
	int r = buffer_read_proc(&ret->file, procfd, with_flags ? "smaps" : "maps");

	if (r < 0) {
		ret->count = 0;
		return r;
	}
	return parse_file(ret);
}

int proc_maps_share(const struct proc_maps *from, struct proc_maps *ret)
{
	struct proc_vma *vmas = malloc(from->count * sizeof(*vmas));

	if (!vmas)
		return -ENOMEM;
	memcpy(vmas, from->vmas, from->count * sizeof(*vmas));
	free(ret->vmas);
	ret->vmas = vmas;
	ret->count = ret->vma_capacity = from->count;
	ret->text = from->text;
	return 0;
}

const char *proc_vma_path(const struct proc_maps *maps, const struct proc_vma *vma)
{
	return maps->text + vma->path_offset;
}

const struct proc_vma *proc_maps_find(const struct proc_maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct proc_vma *vma = &maps->vmas[middle];

		if (address < vma->start)
			high = middle;
		else if (address >= vma->end)
			low = middle + 1;
		else
			return vma;
	}
	return NULL;
}

void proc_maps_done(struct proc_maps *maps)
{
	free(maps->vmas);
	buffer_done(&maps->file);
	*maps = (struct proc_maps){ 0 };
}
