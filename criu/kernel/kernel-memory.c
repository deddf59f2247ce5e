#include "kernel/kernel-memory.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"

#define WINDOW_BYTES 4096

/* What the programs get and give. */
struct request {
	uint64_t address, bytes;
	uint64_t cpu;
	uint64_t slot, map; /* out */
};

/* Looking through the type information takes a millisecond for each structure. */
struct known_offset {
	const char *structure, *member; /* literals of the callers */
	int offset;
};

struct known_structure {
	const char *name;
	const char *record; /* of its type, NULL when there is none */
};

struct kernel_memory {
	const struct btf *btf;
	struct known_offset *known;
	size_t known_count, known_capacity;
	struct known_structure *structures;
	size_t structure_count, structure_capacity;
	int window_map, cpu_map; /* what is read goes to the first; the second is there to find the areas by */
	int read_program, cpu_program, threads_program;
	const void *window;
	uint64_t *cpu_bases; /* what a per-processor address is relative to; NULL: not asked yet */
	size_t cpu_count;
};

static int bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

/* --- programs ---------------------------------------------------------------------------------------------------- */

static int create_map(uint32_t type, uint32_t value_bytes, uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = 4;
	attr.value_size = value_bytes;
	attr.max_entries = 1;
	attr.map_flags = flags;
	return bpf(BPF_MAP_CREATE, &attr);
}

static int load_program(const struct bpf_insn *program, size_t count)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SYSCALL;
	attr.prog_flags = BPF_F_SLEEPABLE;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = (uint32_t)count;
	attr.license = (uintptr_t) "GPL"; /* of these instructions: the helpers ask for it */
	return bpf_load(&attr);
}

static int load_read(int window_map)
{
	/* clang-format off */
	const struct bpf_insn program[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct request, bytes) },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 3, .src_reg = 1, .off = offsetof(struct request, address) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -EINVAL },
		{ .code = BPF_JMP | BPF_JGT | BPF_K, .dst_reg = 2, .imm = WINDOW_BYTES, .off = 3 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = window_map },
		{ 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	/* clang-format on */

	return load_program(program, ARRAY_SIZE(program));
}

/* Where the map's value of one processor is, and where the map itself is. */
static int load_cpu(int cpu_map)
{
	/* clang-format off */
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 0 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = cpu_map },
		{ 0 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 1, .off = offsetof(struct request, map) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 3, .src_reg = 6, .off = offsetof(struct request, cpu) },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_percpu_elem },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 0, .off = offsetof(struct request, slot) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	/* clang-format on */

	return load_program(program, ARRAY_SIZE(program));
}

static int load_threads(const struct btf *btf)
{
	/* clang-format off */
	static const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 6, .off = BPF_CONTEXT_OBJECT },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 7, .imm = 0, .off = 7 }, /* the end of the walk */
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 7, .off = -8 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = BPF_CONTEXT_META },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = BPF_META_SEQ },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 8 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	/* clang-format on */

	return bpf_iterator_load(btf, "bpf_iter_task", program, ARRAY_SIZE(program));
}

static int run_program(int program, struct request *request)
{
	union bpf_attr attr;
	int r;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)program;
	attr.test.ctx_in = (uintptr_t)request;
	attr.test.ctx_size_in = sizeof(*request);
	r = bpf(BPF_PROG_TEST_RUN, &attr);
	return r < 0 ? r : (int)attr.test.retval;
}

/* --- the interface ----------------------------------------------------------------------------------------------- */

static int start(struct kernel_memory *km)
{
	void *window;
	int r = btf_get(&km->btf);

	if (r == 0)
		r = km->window_map = create_map(BPF_MAP_TYPE_ARRAY, WINDOW_BYTES, BPF_F_MMAPABLE);
	if (r >= 0)
		r = km->read_program = load_read(km->window_map);
	if (r >= 0)
		r = km->threads_program = load_threads(km->btf);
	if (r < 0)
		return r;
	window = mmap(NULL, WINDOW_BYTES, PROT_READ, MAP_SHARED, km->window_map, 0);
	if (window == MAP_FAILED)
		return -errno;
	km->window = window;
	return 0;
}

int kernel_memory_open(struct kernel_memory **ret)
{
	struct kernel_memory *km = calloc(1, sizeof(*km));
	int r;

	if (!km)
		return -ENOMEM;
	km->window_map = km->cpu_map = km->read_program = km->cpu_program = km->threads_program = -1;
	r = start(km);
	if (r < 0)
		kernel_memory_free(km);
	else
		*ret = km;
	return r;
}

void kernel_memory_free(struct kernel_memory *km)
{
	if (!km)
		return;
	if (km->window)
		(void)munmap((void *)(uintptr_t)km->window, WINDOW_BYTES);
	close_fd(&km->window_map);
	close_fd(&km->cpu_map);
	close_fd(&km->read_program);
	close_fd(&km->cpu_program);
	close_fd(&km->threads_program);
	free(km->known);
	free(km->structures);
	free(km->cpu_bases);
	free(km);
}

/* A first thread that has ended is listed as long as others live on. */
static int leave_out_ended(struct kernel_memory *km, uint64_t *threads, size_t *count)
{
	int state = 0;
	int r = kernel_memory_member(km, threads[0], "task_struct", "exit_state", &state, sizeof(state));

	if (r == 0 && state && *count > 1)
		memmove(threads, threads + 1, --*count * sizeof(*threads));
	return r;
}

static int list_threads(struct kernel_memory *km, int pidfd, struct buffer *ret)
{
	int r = bpf_iterator_run(km->threads_program, pidfd, ret);

	if (r < 0)
		return r;
	return ret->bytes == 0 || ret->bytes % sizeof(uint64_t) ? -ESRCH : 0;
}

int kernel_memory_ended_leader(struct kernel_memory *km, int pidfd, uint64_t *ret_address)
{
	AUTO_BUFFER struct buffer data = { 0 };
	int r = list_threads(km, pidfd, &data);

	if (r == 0)
		memcpy(ret_address, data.data, sizeof(*ret_address));
	return r;
}

int kernel_memory_threads(struct kernel_memory *km, int pidfd, uint64_t **ret_addresses, size_t *ret_count)
{
	AUTO_BUFFER struct buffer data = { 0 };
	int r = list_threads(km, pidfd, &data);

	if (r < 0)
		return r;
	*ret_count = data.bytes / sizeof(uint64_t);
	r = leave_out_ended(km, (uint64_t *)(void *)data.data, ret_count);
	if (r == 0)
		*ret_addresses = (uint64_t *)(void *)TAKE_PTR(data.data);
	return r;
}

/* Which of its pid namespaces is ours is not asked: within one process its numbers do not collide with others. */
static int has_number(struct kernel_memory *km, uint64_t thread, pid_t tid)
{
	const int numbers = kernel_memory_offset(km, "pid", "numbers");
	struct {
		int32_t number;
		uint64_t ns;
	} levels[33];
	uint32_t level = 0;
	uint64_t pid;
	int r =
	    numbers < 0 ? numbers : kernel_memory_member(km, thread, "task_struct", "thread_pid", &pid, sizeof(pid));

	if (r == 0)
		r = kernel_memory_member(km, pid, "pid", "level", &level, sizeof(level));
	if (r == 0 && level >= ARRAY_SIZE(levels))
		return -ERANGE;
	if (r == 0)
		r = kernel_memory_read(km, pid + (uint64_t)numbers, levels, (level + 1) * sizeof(levels[0]));
	for (uint32_t i = 0; r == 0 && i <= level; i++)
		if (levels[i].number == tid)
			return 1;
	return r;
}

int kernel_memory_find_thread(struct kernel_memory *km, const uint64_t *addresses, size_t count, pid_t tid,
			      uint64_t *ret_address)
{
	for (size_t i = 0; i < count; i++) {
		int r = has_number(km, addresses[i], tid);

		if (r < 0)
			return r;
		if (r > 0) {
			*ret_address = addresses[i];
			return 0;
		}
	}
	return -ESRCH;
}

int kernel_memory_thread(struct kernel_memory *km, int pidfd, pid_t tid, uint64_t *ret_address)
{
	AUTO_FREE uint64_t *addresses = NULL;
	size_t count = 0;
	int r = kernel_memory_threads(km, pidfd, &addresses, &count);

	return r < 0 ? r : kernel_memory_find_thread(km, addresses, count, tid, ret_address);
}

int kernel_memory_read(struct kernel_memory *km, uint64_t address, void *to, size_t bytes)
{
	for (size_t done = 0; done < bytes; done += WINDOW_BYTES) {
		size_t part = bytes - done < WINDOW_BYTES ? bytes - done : WINDOW_BYTES;
		struct request request = { .address = address + done, .bytes = part };
		int r = run_program(km->read_program, &request);

		if (r < 0)
			return r;
		memcpy((char *)to + done, km->window, part);
	}
	return 0;
}

static const char *find_record(struct kernel_memory *km, const char *structure)
{
	const char *record;

	for (size_t i = 0; i < km->structure_count; i++)
		if (!strcmp(km->structures[i].name, structure))
			return km->structures[i].record;
	record = btf_find_structure(km->btf, structure);
	if (array_reserve(&km->structures, &km->structure_capacity, km->structure_count, sizeof(*km->structures)) == 0)
		km->structures[km->structure_count++] = (struct known_structure){ structure, record };
	return record;
}

static int look_up(struct kernel_memory *km, const char *structure, const char *member)
{
	const char *record = find_record(km, structure);
	int r = record ? btf_offset_in(km->btf, record, member) : -ENOENT;

	/* There may be others of that name. */
	return r == -ENOENT ? btf_member_offset(km->btf, structure, member) : r;
}

int kernel_memory_offset(struct kernel_memory *km, const char *structure, const char *member)
{
	int r;

	for (size_t i = 0; i < km->known_count; i++)
		if (!strcmp(km->known[i].structure, structure) && !strcmp(km->known[i].member, member))
			return km->known[i].offset;
	r = array_reserve(&km->known, &km->known_capacity, km->known_count, sizeof(*km->known));
	if (r < 0)
		return r;
	r = look_up(km, structure, member);
	km->known[km->known_count++] = (struct known_offset){ structure, member, r };
	return r;
}

int kernel_memory_bytes(struct kernel_memory *km, const char *structure)
{
	return btf_structure_bytes(km->btf, structure);
}

int kernel_memory_member(struct kernel_memory *km, uint64_t address, const char *structure, const char *member,
			 void *to, size_t bytes)
{
	int offset = kernel_memory_offset(km, structure, member);

	return offset < 0 ? offset : kernel_memory_read(km, address + (uint64_t)offset, to, bytes);
}

/*
 * Per-processor memory is known by one address, to which each processor adds a base of its own. No interface tells the
 * bases, but a map that has a value per processor is found at both.
 */
static int find_cpu_bases(struct kernel_memory *km)
{
	long count = sysconf(_SC_NPROCESSORS_CONF);
	AUTO_FREE uint64_t *bases = calloc((size_t)count + 1, sizeof(*bases));
	uint64_t relative = 0;
	int r;

	if (!bases)
		return -ENOMEM;
	r = km->cpu_map = create_map(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint64_t), 0);
	if (r >= 0)
		r = km->cpu_program = load_cpu(km->cpu_map);
	for (long cpu = 0; r >= 0 && cpu < count; cpu++) {
		struct request request = { .cpu = (uint64_t)cpu };

		r = run_program(km->cpu_program, &request);
		if (r == 0 && !relative)
			r = KERNEL_MEMBER(km, request.map, "bpf_array", "pptrs", &relative);
		if (r == 0 && !request.slot)
			r = -ENOENT;
		bases[cpu] = request.slot - relative;
	}
	if (r < 0)
		return r;
	km->cpu_bases = TAKE_PTR(bases);
	km->cpu_count = (size_t)count;
	return 0;
}

int kernel_memory_sum(struct kernel_memory *km, uint64_t percpu_address, int64_t *ret_sum)
{
	int64_t sum = 0;
	int r = km->cpu_bases ? 0 : find_cpu_bases(km);

	for (size_t cpu = 0; r == 0 && cpu < km->cpu_count; cpu++) {
		int32_t word = 0;

		r = kernel_memory_read(km, km->cpu_bases[cpu] + percpu_address, &word, sizeof(word));
		sum += word;
	}
	if (r == 0)
		*ret_sum = sum;
	return r;
}

int kernel_memory_mm(struct kernel_memory *km, int pidfd, uint64_t *ret_address)
{
	AUTO_FREE uint64_t *threads = NULL;
	size_t count;
	int r = kernel_memory_threads(km, pidfd, &threads, &count);

	return r < 0 ? r : KERNEL_MEMBER(km, threads[0], "task_struct", "mm", ret_address);
}

int kernel_memory_table(struct kernel_memory *km, int pidfd, uint64_t *ret_table)
{
	AUTO_FREE uint64_t *threads = NULL;
	uint64_t files, table;
	size_t count;
	int r = kernel_memory_threads(km, pidfd, &threads, &count);

	if (r == 0)
		r = KERNEL_MEMBER(km, threads[0], "task_struct", "files", &files);
	if (r == 0)
		r = KERNEL_MEMBER(km, files, "files_struct", "fdt", &table);
	return r < 0 ? r : KERNEL_MEMBER(km, table, "fdtable", "fd", ret_table);
}

int kernel_memory_table_file(struct kernel_memory *km, uint64_t table, int fd, uint64_t *ret_address)
{
	uint64_t file;
	int r = kernel_memory_read(km, table + (uint64_t)fd * sizeof(file), &file, sizeof(file));

	if (r < 0)
		return r;
	if (!file)
		return -EBADF;
	*ret_address = file;
	return 0;
}

int kernel_memory_file(struct kernel_memory *km, int pidfd, int fd, uint64_t *ret_address)
{
	uint64_t table;
	int r = kernel_memory_table(km, pidfd, &table);

	return r < 0 ? r : kernel_memory_table_file(km, table, fd, ret_address);
}
