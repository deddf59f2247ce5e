/*
 * The stack is read from where the thread gave up the processor. A struct hrtimer_sleeper is recognised by the pointer
 * to its own thread, by being armed, and by two times of expiry that fit each other.
 */
#include "kernel/sleep-timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"

#define STACK_PART_WORDS 56 /* a program has 512 bytes to work with */
#define STACK_WORDS      (2 * STACK_PART_WORDS)
#define TIMER_IS_ARMED   1 /* HRTIMER_STATE_ENQUEUED */
#define MAX_SLACK_NS     (100 * NS_PER_SEC)

struct record {
	uint64_t tid, switches, task;
	uint64_t stack[STACK_WORDS];
};

#define HEAD_BYTES  offsetof(struct record, stack)
#define PART_BYTES  (STACK_PART_WORDS * sizeof(uint64_t))
#define FIRST_BYTES (HEAD_BYTES + PART_BYTES)

_Static_assert(FIRST_BYTES <= 512, "a BPF program's stack");

/* The instructions that read a member: their offsets are this kernel's. */
#define READ_TID      3
#define READ_SWITCHES 5
#define READ_SP       8

/* clang-format off */
static const struct bpf_insn program[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 6, .off = BPF_CONTEXT_OBJECT },
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 7, .imm = 0, .off = 28 }, /* the end of the walk: no task */
	[READ_TID] = { .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 7 },
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 1, .off = -(short)FIRST_BYTES },
	[READ_SWITCHES] = { .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 7 },
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 1, .off = -(short)FIRST_BYTES + 8 },
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 7, .off = -(short)FIRST_BYTES + 16 },
	[READ_SP] = { .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 8, .src_reg = 7 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = -(int)PART_BYTES },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = PART_BYTES },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 8 },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 9, .src_reg = 6, .off = BPF_CONTEXT_META },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 9, .off = BPF_META_SEQ },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -(int)FIRST_BYTES },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = FIRST_BYTES },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = -(int)PART_BYTES },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = PART_BYTES },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 8 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = PART_BYTES },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 9, .off = BPF_META_SEQ },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -(int)PART_BYTES },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = PART_BYTES },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};
/* clang-format on */

static int first_failure(const int *results, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (results[i] < 0)
			return results[i];
	return 0;
}

int sleep_timer_open(struct sleep_timer_reader *ret)
{
	struct bpf_insn ready[ARRAY_SIZE(program)];
	const struct btf *btf;
	int r = btf_get(&btf);

	if (r < 0)
		return r;
	const int offsets[] = {
		btf_member_offset(btf, "task_struct", "pid"),         btf_member_offset(btf, "task_struct", "nvcsw"),
		btf_member_offset(btf, "task_struct", "thread"),      btf_member_offset(btf, "thread_struct", "sp"),
		btf_member_offset(btf, "hrtimer_sleeper", "task"),    btf_member_offset(btf, "hrtimer", "_softexpires"),
		btf_member_offset(btf, "timerqueue_node", "expires"), btf_member_offset(btf, "hrtimer", "state"),
	};
	r = first_failure(offsets, ARRAY_SIZE(offsets));
	if (r < 0)
		return r;
	memcpy(ready, program, sizeof(ready));
	ready[READ_TID].off = (short)offsets[0];
	ready[READ_SWITCHES].off = (short)offsets[1];
	ready[READ_SP].off = (short)(offsets[2] + offsets[3]);
	ret->task_offset = offsets[4];
	ret->soft_offset = offsets[5];
	ret->hard_offset = offsets[6];
	ret->state_offset = offsets[7];
	ret->program_fd = bpf_iterator_load(btf, "bpf_iter_task", ready, ARRAY_SIZE(ready));
	return ret->program_fd < 0 ? ret->program_fd : 0;
}

static bool read_timer(const struct sleep_timer_reader *reader, const char *timer, struct sleep_timer *out)
{
	uint64_t soft_ns, hard_ns;

	memcpy(&soft_ns, timer + reader->soft_offset, sizeof(soft_ns));
	memcpy(&hard_ns, timer + reader->hard_offset, sizeof(hard_ns));
	if (timer[reader->state_offset] != TIMER_IS_ARMED || hard_ns < soft_ns || hard_ns - soft_ns > MAX_SLACK_NS)
		return false;
	out->deadline_ns = soft_ns;
	return true;
}

static void find_timer(const struct sleep_timer_reader *reader, const struct record *record, struct sleep_timer *out)
{
	const size_t task_word = (size_t)reader->task_offset / sizeof(uint64_t);

	*out = (struct sleep_timer){ .tid = (pid_t)record->tid, .switches = record->switches };
	for (size_t i = task_word; i < STACK_WORDS && !out->is_set; i++)
		if (record->stack[i] == record->task)
			out->is_set = read_timer(reader, (const char *)&record->stack[i - task_word], out);
}

int sleep_timer_list(const struct sleep_timer_reader *reader, int pidfd, struct sleep_timer **ret, size_t *ret_count)
{
	AUTO_BUFFER struct buffer data = { 0 };
	int r = bpf_iterator_run(reader->program_fd, pidfd, &data);
	size_t count = data.bytes / sizeof(struct record);
	struct sleep_timer *timers;

	if (r < 0)
		return r;
	if (data.bytes % sizeof(struct record))
		return -EIO;
	timers = calloc(count + 1, sizeof(*timers));
	if (!timers)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct record record;

		memcpy(&record, data.data + i * sizeof(record), sizeof(record));
		find_timer(reader, &record, &timers[i]);
	}
	*ret = timers;
	*ret_count = count;
	return 0;
}
