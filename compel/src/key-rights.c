/*
 * The rights of a thread to memory under protection keys: the register PKRU, two bits for each key, and memory without
 * a key is under key 0. It is part of the xsave area, and can only be set along with the rest of it.
 */
#include "internal.h"

#include <cpuid.h>
#include <string.h>

#define COMPONENT          9
#define COMPONENT_BYTES    4
#define HEADER             512 /* begins with the word that says which components are in use */
#define AREA_ROOM          16384
#define EXTENDED_STATE     0xd /* CPUID leaf */
#define STANDARD_OFFSET(b) ((b) > HEADER && (b) + COMPONENT_BYTES <= AREA_ROOM ? (b) : 0)

/* offset 0: this processor, or its kernel, has no protection keys. */
static struct {
	size_t offset, bytes;
} layout;

static void read_layout(void)
{
	unsigned int a, b, c, d, bytes;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		return;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	if (!(a & 1u << COMPONENT))
		return;
	__cpuid_count(EXTENDED_STATE, 0, a, bytes, c, d);
	__cpuid_count(EXTENDED_STATE, COMPONENT, a, b, c, d);
	layout.offset = STANDARD_OFFSET(b);
	layout.bytes = bytes;
}

static bool has_keys(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, read_layout);
	return layout.offset != 0;
}

static int get_area(pid_t tid, char *area)
{
	ssize_t bytes = layout.bytes <= AREA_ROOM ? compel_get_xstate(tid, area, layout.bytes) : -E2BIG;

	if (bytes < 0)
		return (int)bytes;
	return (size_t)bytes < layout.offset + COMPONENT_BYTES ? -EIO : 0;
}

int compel_get_key_rights(pid_t tid, uint32_t *ret_rights)
{
	_Alignas(64) char area[AREA_ROOM];
	uint32_t rights = 0;
	int r = has_keys() ? get_area(tid, area) : 0;

	if (r < 0)
		return r;
	if (has_keys())
		memcpy(&rights, area + layout.offset, COMPONENT_BYTES);
	*ret_rights = rights;
	return 0;
}

/* Some kernels (5.14 to 6.1) take the area and leave the rights as they were. */
int compel_set_key_rights(pid_t tid, uint32_t rights)
{
	_Alignas(64) char area[AREA_ROOM];
	uint64_t in_use;
	uint32_t found;
	int r;

	if (!has_keys())
		return rights ? -EOPNOTSUPP : 0;
	r = get_area(tid, area);
	if (r < 0)
		return r;
	memcpy(&in_use, area + HEADER, sizeof(in_use));
	in_use |= 1u << COMPONENT;
	memcpy(area + HEADER, &in_use, sizeof(in_use));
	memcpy(area + layout.offset, &rights, COMPONENT_BYTES);
	r = compel_set_xstate(tid, area, layout.bytes);
	if (r == 0)
		r = compel_get_key_rights(tid, &found);
	if (r < 0)
		return r;
	return found == rights ? 0 : -EOPNOTSUPP;
}
