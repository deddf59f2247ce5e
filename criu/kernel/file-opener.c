#include "kernel/file-opener.h"

#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/kernel-memory.h"

#define STRUCTURE_BYTES 512 /* at most so many of struct cred are looked at */

enum member { EUID, EGID, FSUID, FSGID, CAP_EFFECTIVE, USER_NS, GROUP_INFO, MEMBERS };

static const struct {
	const char *name;
	size_t bytes;
} members[MEMBERS] = {
	[EUID] = { "euid", 4 },
	[EGID] = { "egid", 4 },
	[FSUID] = { "fsuid", 4 },
	[FSGID] = { "fsgid", 4 },
	[CAP_EFFECTIVE] = { "cap_effective", 8 },
	[USER_NS] = { "user_ns", 8 },
	[GROUP_INFO] = { "group_info", 8 },
};

/* All at once. */
static int read_members(struct kernel_memory *km, uint64_t cred, uint64_t values[MEMBERS])
{
	unsigned char structure[STRUCTURE_BYTES];
	size_t end = 0;
	int r;

	for (int i = 0; i < MEMBERS; i++) {
		int offset = kernel_memory_offset(km, "cred", members[i].name);

		if (offset < 0)
			return offset;
		if ((size_t)offset + members[i].bytes > sizeof(structure))
			return -EOPNOTSUPP;
		if ((size_t)offset + members[i].bytes > end)
			end = (size_t)offset + members[i].bytes;
	}
	r = kernel_memory_read(km, cred, structure, end);
	for (int i = 0; i < MEMBERS && r == 0; i++) {
		values[i] = 0;
		memcpy(&values[i], structure + kernel_memory_offset(km, "cred", members[i].name), members[i].bytes);
	}
	return r;
}

static int read_groups(struct kernel_memory *km, uint64_t info, struct file_opener *ret)
{
	const int numbers = kernel_memory_offset(km, "group_info", "gid");
	AUTO_FREE uint32_t *groups = NULL;
	uint32_t count = 0;
	int r = numbers < 0 ? numbers : KERNEL_MEMBER(km, info, "group_info", "ngroups", &count);

	if (r < 0)
		return r;
	if (count > NGROUPS_MAX)
		return -EIO;
	groups = calloc(count + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	r = kernel_memory_read(km, info + (uint64_t)numbers, groups, count * sizeof(*groups));
	if (r < 0)
		return r;
	ret->groups = TAKE_PTR(groups);
	ret->group_count = count;
	return 0;
}

int file_opener_read(struct kernel_memory *km, uint64_t file, struct file_opener *ret)
{
	uint64_t cred, values[MEMBERS];
	int r = KERNEL_MEMBER(km, file, "file", "f_cred", &cred);

	if (r == 0)
		r = read_members(km, cred, values);
	if (r < 0)
		return r;
	*ret = (struct file_opener){
		.euid = (uint32_t)values[EUID],
		.egid = (uint32_t)values[EGID],
		.fsuid = (uint32_t)values[FSUID],
		.fsgid = (uint32_t)values[FSGID],
		.cap_eff = values[CAP_EFFECTIVE],
		.user_ns = values[USER_NS],
	};
	return read_groups(km, values[GROUP_INFO], ret);
}

int file_opener_is_thread(struct kernel_memory *km, uint64_t file, uint64_t thread, bool *ret)
{
	uint64_t opener, own;
	int r = KERNEL_MEMBER(km, file, "file", "f_cred", &opener);

	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "cred", &own);
	if (r == 0)
		*ret = opener == own;
	return r;
}

void file_opener_done(struct file_opener *opener)
{
	free(opener->groups);
	opener->groups = NULL;
}
