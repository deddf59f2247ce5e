/* A table says which field of the line is which member; all fields are numbers but two. */
#include "kernel/proc-stat.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/util.h"
#include "kernel/proc-parse.h"
#include "kernel/proc-pid.h"

/* Where field N (counted from 1 as in proc(5), those behind the state) goes. */
enum member_type { MEMBER_NONE, MEMBER_INT, MEMBER_U32, MEMBER_U64 };

struct stat_member {
	enum member_type type;
	size_t offset;
};

#define MEMBER(kind, name)                                                                                             \
	{                                                                                                              \
		MEMBER_##kind, offsetof(struct proc_stat, name)                                                        \
	}

static const struct stat_member members[] = {
	[4] = MEMBER(INT, ppid),           [5] = MEMBER(INT, pgid),          [6] = MEMBER(INT, sid),
	[7] = MEMBER(INT, tty_nr),         [8] = MEMBER(INT, tty_pgrp),      [9] = MEMBER(U32, flags),
	[14] = MEMBER(U64, user_ticks),    [15] = MEMBER(U64, system_ticks), [18] = MEMBER(INT, priority),
	[19] = MEMBER(INT, nice),          [20] = MEMBER(INT, thread_count), [22] = MEMBER(U64, start_time_ticks),
	[23] = MEMBER(U64, vm_size_bytes), [24] = MEMBER(U64, rss_pages),    [26] = MEMBER(U64, start_code),
	[27] = MEMBER(U64, end_code),      [28] = MEMBER(U64, start_stack),  [38] = MEMBER(INT, exit_signal),
	[39] = MEMBER(INT, processor),     [40] = MEMBER(INT, rt_priority),  [41] = MEMBER(U32, policy),
	[45] = MEMBER(U64, start_data),    [46] = MEMBER(U64, end_data),     [47] = MEMBER(U64, start_brk),
	[48] = MEMBER(U64, arg_start),     [49] = MEMBER(U64, arg_end),      [50] = MEMBER(U64, env_start),
	[51] = MEMBER(U64, env_end),       [52] = MEMBER(INT, exit_code),
};

static void store_member(struct proc_stat *stat, const struct stat_member *member, int64_t value)
{
	void *to = (char *)stat + member->offset;

	switch (member->type) {
	case MEMBER_INT:
		*(int *)to = (int)value;
		break;
	case MEMBER_U32:
		*(uint32_t *)to = (uint32_t)value;
		break;
	case MEMBER_U64:
		*(uint64_t *)to = (uint64_t)value;
		break;
	case MEMBER_NONE:
		break;
	}
}

/* The comm ends at the last closing parenthesis: everything behind it is digits and one letter. */
static int parse_comm(const char **at, char *ret, size_t capacity)
{
	const char *open = *at, *close;
	size_t bytes;

	if (*open != '(')
		return -EINVAL;
	close = strrchr(open, ')');
	if (!close)
		return -EINVAL;
	bytes = (size_t)(close - open) - 1;
	if (bytes >= capacity)
		bytes = capacity - 1;
	memcpy(ret, open + 1, bytes);
	ret[bytes] = '\0';
	*at = close + 1;
	return 0;
}

static int parse_numbers(const char **at, struct proc_stat *stat)
{
	size_t field;

	for (field = 4; field < ARRAY_SIZE(members); field++) {
		int64_t value;

		skip_blanks(at);
		if (scan_s64(at, &value) < 0)
			return -EINVAL;
		store_member(stat, &members[field], value);
	}
	return 0;
}

int proc_stat_parse(const char *text, struct proc_stat *ret)
{
	struct proc_stat stat = { 0 };
	int r = scan_int(&text, &stat.pid);

	if (r < 0)
		return r;
	skip_blanks(&text);
	r = parse_comm(&text, stat.comm, sizeof(stat.comm));
	if (r < 0)
		return r;
	skip_blanks(&text);
	if (!*text)
		return -EINVAL;
	stat.state = *text++;
	r = parse_numbers(&text, &stat);
	if (r < 0)
		return r;
	*ret = stat;
	return 0;
}

int proc_stat_read(int procfd, const char *path, struct proc_stat *ret)
{
	char text[2048];
	int bytes = proc_read_text(procfd, path, text, sizeof(text));

	if (bytes < 0)
		return bytes;
	return proc_stat_parse(text, ret);
}
