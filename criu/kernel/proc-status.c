/* A table says which key is which member and how its value reads; keys that nobody needs are passed over. */
#include "kernel/proc-status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/proc-parse.h"
#include "kernel/proc-pid.h"

#define NS_LEVELS ((int)ARRAY_SIZE(((struct proc_status *)0)->ns_pids))

/* Each parses the value of one key, the cursor on its first character. */
static int parse_int(const char **at, void *to)
{
	return scan_int(at, to);
}

static int parse_octal(const char **at, void *to)
{
	uint64_t value;
	int r = scan_u64(at, 8, &value);

	if (r == 0)
		*(int *)to = (int)value;
	return r;
}

static int parse_hex(const char **at, void *to)
{
	return scan_u64(at, 16, to);
}

static int parse_decimal(const char **at, void *to)
{
	return scan_u64(at, 10, to);
}

static int parse_flag(const char **at, void *to)
{
	uint64_t value;
	int r = scan_u64(at, 10, &value);

	if (r == 0)
		*(bool *)to = value != 0;
	return r;
}

static int parse_state(const char **at, void *to)
{
	if (**at == '\0' || **at == '\n')
		return -EINVAL;
	*(char *)to = **at;
	return 0;
}

static int parse_words(const char **at, void *to)
{
	scan_word(at, '\n', to, sizeof(((struct proc_status *)0)->speculation_store_bypass));
	return 0;
}

static int parse_four_ids(const char **at, void *to)
{
	uint32_t *ids = to;
	int i;

	for (i = 0; i < UID_COUNT; i++) {
		uint64_t id;

		skip_blanks(at);
		if (scan_u64(at, 10, &id) < 0)
			return -EINVAL;
		ids[i] = (uint32_t)id;
	}
	return 0;
}

/* "queued/limit" */
static int parse_signal_queue(const char **at, void *to)
{
	struct proc_status *status = container_of(to, struct proc_status, sig_queued);

	if (scan_u64(at, 10, &status->sig_queued) < 0 || !skip_char(at, '/') ||
	    scan_u64(at, 10, &status->sig_queue_limit) < 0)
		return -EINVAL;
	return 0;
}

static int parse_pid_list(const char **at, pid_t *pids, int *ret_count)
{
	int count = 0;

	for (;;) {
		skip_blanks(at);
		if (**at == '\n' || **at == '\0')
			break;
		if (count == NS_LEVELS)
			return -E2BIG;
		if (scan_int(at, &pids[count]) < 0)
			return -EINVAL;
		count++;
	}
	*ret_count = count;
	return 0;
}

static int parse_ns_pids(const char **at, void *to)
{
	struct proc_status *status = container_of((pid_t(*)[NS_LEVELS])to, struct proc_status, ns_pids);

	return parse_pid_list(at, status->ns_pids, &status->ns_pid_count);
}

static int parse_ns_pgids(const char **at, void *to)
{
	struct proc_status *status = container_of((pid_t(*)[NS_LEVELS])to, struct proc_status, ns_pgids);

	return parse_pid_list(at, status->ns_pgids, &status->ns_pgid_count);
}

static int parse_ns_sids(const char **at, void *to)
{
	struct proc_status *status = container_of((pid_t(*)[NS_LEVELS])to, struct proc_status, ns_sids);

	return parse_pid_list(at, status->ns_sids, &status->ns_sid_count);
}

static int parse_groups(const char **at, void *to)
{
	struct proc_status *status = container_of((uint32_t **)to, struct proc_status, groups);
	size_t capacity = 0;

	free(TAKE_PTR(status->groups));
	status->group_count = 0;
	for (;;) {
		uint64_t id;
		int r;

		skip_blanks(at);
		if (**at == '\n' || **at == '\0')
			return 0;
		r = scan_u64(at, 10, &id);
		if (r < 0)
			return r;
		r = array_reserve(&status->groups, &capacity, status->group_count, sizeof(*status->groups));
		if (r < 0)
			return r;
		status->groups[status->group_count++] = (uint32_t)id;
	}
}

static int parse_name(const char **at, void *to)
{
	char *name = to;
	char *from;

	scan_word(at, '\n', name, sizeof(((struct proc_status *)0)->name));
	/* Newline and backslash are escaped with letters, not in octal. */
	for (from = name; *from; from++) {
		if (*from == '\\' && from[1] == 'n')
			*name++ = '\n', from++;
		else if (*from == '\\' && from[1] == '\\')
			*name++ = '\\', from++;
		else
			*name++ = *from;
	}
	*name = '\0';
	return 0;
}

struct status_key {
	const char *key;
	int (*parse)(const char **at, void *to);
	size_t offset;
};

#define KEY(text, parser, member)                                                                                      \
	{                                                                                                              \
		text, parser, offsetof(struct proc_status, member)                                                     \
	}

/* In the order in which the kernel prints them, so that the search goes on where it ended. */
static const struct status_key keys[] = {
	KEY("Name", parse_name, name),
	KEY("Umask", parse_octal, umask),
	KEY("State", parse_state, state),
	KEY("Tgid", parse_int, tgid),
	KEY("Pid", parse_int, pid),
	KEY("PPid", parse_int, ppid),
	KEY("TracerPid", parse_int, tracer_pid),
	KEY("Uid", parse_four_ids, uid),
	KEY("Gid", parse_four_ids, gid),
	KEY("FDSize", parse_int, fd_table_size),
	KEY("Groups", parse_groups, groups),
	KEY("NSpid", parse_ns_pids, ns_pids),
	KEY("NSpgid", parse_ns_pgids, ns_pgids),
	KEY("NSsid", parse_ns_sids, ns_sids),
	KEY("Kthread", parse_flag, kernel_thread),
	KEY("VmLck", parse_decimal, vm_locked_kb),
	KEY("VmRSS", parse_decimal, vm_rss_kb),
	KEY("VmData", parse_decimal, vm_data_kb),
	KEY("VmSwap", parse_decimal, vm_swap_kb),
	KEY("CoreDumping", parse_flag, core_dumping),
	KEY("THP_enabled", parse_int, thp_enabled),
	KEY("Threads", parse_int, thread_count),
	KEY("SigQ", parse_signal_queue, sig_queued),
	KEY("SigPnd", parse_hex, sig_pending),
	KEY("ShdPnd", parse_hex, sig_shared_pending),
	KEY("SigBlk", parse_hex, sig_blocked),
	KEY("SigIgn", parse_hex, sig_ignored),
	KEY("SigCgt", parse_hex, sig_caught),
	KEY("CapInh", parse_hex, cap_inh),
	KEY("CapPrm", parse_hex, cap_prm),
	KEY("CapEff", parse_hex, cap_eff),
	KEY("CapBnd", parse_hex, cap_bnd),
	KEY("CapAmb", parse_hex, cap_amb),
	KEY("NoNewPrivs", parse_int, no_new_privs),
	KEY("Seccomp", parse_int, seccomp_mode),
	KEY("Seccomp_filters", parse_int, seccomp_filter_count),
	KEY("Speculation_Store_Bypass", parse_words, speculation_store_bypass),
	KEY("SpeculationIndirectBranch", parse_words, speculation_indirect_branch),
	KEY("voluntary_ctxt_switches", parse_decimal, voluntary_switches),
};

static const struct status_key *find_key(const char *text, size_t bytes, size_t *hint)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct status_key *key = &keys[(*hint + i) % ARRAY_SIZE(keys)];

		if (strncmp(key->key, text, bytes) == 0 && key->key[bytes] == '\0') {
			*hint = (size_t)(key - keys) + 1;
			return key;
		}
	}
	return NULL;
}

static int parse_line(const char **at, struct proc_status *status, size_t *hint)
{
	size_t bytes = strcspn(*at, ":\n");
	const struct status_key *key;

	if ((*at)[bytes] != ':')
		return -EINVAL;
	key = find_key(*at, bytes, hint);
	if (!key)
		return 0;
	*at += bytes + 1;
	skip_blanks(at);
	return key->parse(at, (char *)status + key->offset);
}

int proc_status_parse(const char *text, struct proc_status *ret)
{
	struct proc_status status = {
		.no_new_privs = -1,
		.seccomp_mode = -1,
		.seccomp_filter_count = -1,
		.umask = -1,
		.thp_enabled = -1,
	};
	size_t hint = 0;

	do {
		int r = parse_line(&text, &status, &hint);

		if (r < 0) {
			proc_status_done(&status);
			return r;
		}
	} while (skip_line(&text));
	proc_status_done(ret);
	*ret = status;
	return 0;
}

int proc_status_read(int procfd, const char *path, struct proc_status *ret)
{
	char text[4096];
	int bytes = proc_read_text(procfd, path, text, sizeof(text));
	AUTO_BUFFER struct buffer large = { 0 };
	int r;

	if (bytes >= 0)
		return proc_status_parse(text, ret);
	if (bytes != -E2BIG)
		return bytes;
	/* Thousands of supplementary groups, or of processors in the masks. */
	r = buffer_read_proc(&large, procfd, path);
	return r < 0 ? r : proc_status_parse(large.data, ret);
}

void proc_status_done(struct proc_status *status)
{
	free(TAKE_PTR(status->groups));
	status->group_count = 0;
}
