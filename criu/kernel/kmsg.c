#include "kernel/kmsg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"
#include "kernel/features.h"

#define CTX_FD      16 /* struct bpf_iter__task_file: meta, task, fd, file */
#define CTX_FILE    24
#define RECORD_ROOM 8192 /* the kernel's longest */

struct found {
	uint64_t fd;
	uint64_t position;
};

/* Writes for each descriptor what its private data has at an offset: only of /dev/kmsg it is the position. */
static int load(const struct btf *btf)
{
	int private_data = btf_member_offset(btf, "file", "private_data");
	int position = btf_member_offset(btf, "devkmsg_user", "seq");
	/* clang-format off */
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 6, .off = CTX_FILE },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 7, .imm = 0, .off = 14 }, /* the end: no file */
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 3, .src_reg = 7, .off = (int16_t)private_data },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = position },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 8 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 6, .off = CTX_FD },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 1, .off = -16 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = BPF_CONTEXT_META },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = BPF_META_SEQ },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -16 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = sizeof(struct found) },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	/* clang-format on */

	if (private_data < 0 || position < 0)
		return private_data < 0 ? private_data : position;
	return bpf_iterator_load(btf, "bpf_iter_task_file", program, ARRAY_SIZE(program));
}

int kmsg_position(int pidfd, int fd, uint64_t *ret_position)
{
	const struct btf *btf;
	AUTO_BUFFER struct buffer data = { 0 };
	const struct found *found;
	int program, r;

	if (feature_is_masked("bpf_kmsg"))
		return -EOPNOTSUPP;
	r = btf_get(&btf);
	program = r < 0 ? r : load(btf);
	if (program < 0)
		return program;
	r = bpf_iterator_run(program, pidfd, &data);
	(void)close(program);
	if (r < 0)
		return r;
	found = (const void *)data.data;
	for (size_t i = 0; i < data.bytes / sizeof(*found); i++)
		if (found[i].fd == (uint64_t)fd) {
			*ret_position = found[i].position;
			return 0;
		}
	return -ENOENT;
}

/* "PRIORITY,NUMBER,...": one read gives one record. -ENOENT behind the last. */
static int read_number(int fd, uint64_t *ret_number)
{
	char record[RECORD_ROOM + 1];
	const char *comma;
	ssize_t n;

	do
		n = read(fd, record, RECORD_ROOM);
	while (n < 0 && (errno == EPIPE || errno == EINTR)); /* EPIPE: records were overwritten */
	if (n < 0)
		return errno == EAGAIN ? -ENOENT : -errno;
	record[n] = '\0';
	comma = strchr(record, ',');
	if (!comma)
		return -EBADMSG;
	*ret_number = strtoull(comma + 1, NULL, 10);
	return 0;
}

/* How many records from the start of the log have smaller numbers; -ENOENT: all have. */
static int count_before(int fd, uint64_t position, size_t *ret_count)
{
	uint64_t number = 0;
	size_t count = 0;
	int r;

	while ((r = read_number(fd, &number)) == 0 && number < position)
		count++;
	*ret_count = count;
	return r;
}

int kmsg_seek(int fd, uint64_t position)
{
	uint64_t number;
	size_t count;
	int r;

	if (position == KMSG_END)
		return lseek(fd, 0, SEEK_END) < 0 ? -errno : 0;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = count_before(fd, position, &count);
	if (r == -ENOENT)
		return 0; /* it stands at the end */
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while (r == 0 && count-- > 0)
		r = read_number(fd, &number);
	return r == -ENOENT ? 0 : r;
}
