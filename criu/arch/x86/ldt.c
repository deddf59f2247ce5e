#include "arch/x86/ldt.h"

#include <string.h>

#define DESCRIPTOR_BYTES LDT_ENTRY_SIZE

static uint64_t descriptor_at(const void *descriptors, size_t number)
{
	uint64_t word;

	memcpy(&word, (const char *)descriptors + number * DESCRIPTOR_BYTES, sizeof(word));
	return word;
}

static unsigned int bits(uint64_t word, unsigned int from, unsigned int count)
{
	return (unsigned int)(word >> from & ((1ull << count) - 1));
}

static struct user_desc describe(uint64_t word, size_t number)
{
	return (struct user_desc){
		.entry_number = (unsigned int)number,
		.base_addr = bits(word, 16, 24) | bits(word, 56, 8) << 24,
		.limit = bits(word, 0, 16) | bits(word, 48, 4) << 16,
		.seg_32bit = bits(word, 54, 1),
		.contents = bits(word, 42, 2),
		.read_exec_only = !bits(word, 41, 1),
		.limit_in_pages = bits(word, 55, 1),
		.seg_not_present = !bits(word, 47, 1),
		.useable = bits(word, 52, 1),
	};
}

size_t ldt_used_bytes(const void *descriptors, size_t bytes)
{
	size_t count = bytes / DESCRIPTOR_BYTES;

	while (count && !descriptor_at(descriptors, count - 1))
		count--;
	return count * DESCRIPTOR_BYTES;
}

size_t ldt_descriptors(const void *descriptors, size_t bytes, struct user_desc *ret)
{
	size_t used = 0;

	for (size_t i = 0; i < bytes / DESCRIPTOR_BYTES && i < LDT_ENTRIES; i++) {
		uint64_t word = descriptor_at(descriptors, i);

		if (word && ret)
			ret[used] = describe(word, i);
		used += word != 0;
	}
	return used;
}
