#include "kernel/bpf-files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"

#define VMLINUX_BTF "/sys/kernel/btf/vmlinux"
#define TARGET      "bpf_iter_task_file"

/* Kinds that older headers lack. */
#define KIND_DECL_TAG 17
#define KIND_ENUM64   19

/* --- the target's number in the kernel's type information
 * -------------------------------------------------------------- */

struct btf {
	const char *types, *types_end;
	const char *strings;
	size_t string_bytes;
};

static int open_btf(const char *data, size_t bytes, struct btf *ret)
{
	struct btf_header header;

	if (bytes < sizeof(header))
		return -EINVAL;
	memcpy(&header, data, sizeof(header));
	if (header.magic != BTF_MAGIC || header.hdr_len > bytes || header.type_off > bytes - header.hdr_len ||
	    header.type_len > bytes - header.hdr_len - header.type_off || header.str_off > bytes - header.hdr_len ||
	    header.str_len > bytes - header.hdr_len - header.str_off)
		return -EINVAL;
	ret->types = data + header.hdr_len + header.type_off;
	ret->types_end = ret->types + header.type_len;
	ret->strings = data + header.hdr_len + header.str_off;
	ret->string_bytes = header.str_len;
	return 0;
}

/* The offset of a whole string, 0 when there is none. */
static uint32_t find_string(const struct btf *btf, const char *name)
{
	size_t bytes = strlen(name) + 1;
	const char *at = btf->strings, *end = btf->strings + btf->string_bytes;

	while ((at = memmem(at, (size_t)(end - at), name, bytes))) {
		if (at > btf->strings && at[-1] == '\0')
			return (uint32_t)(at - btf->strings);
		at++;
	}
	return 0;
}

static size_t type_bytes(const struct btf_type *type)
{
	size_t members = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case KIND_DECL_TAG:
		return sizeof(*type) + 4;
	case BTF_KIND_ARRAY:
		return sizeof(*type) + 12;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case KIND_ENUM64:
		return sizeof(*type) + 12 * members;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return sizeof(*type) + 8 * members;
	default:
		return sizeof(*type);
	}
}

static int find_function(const struct btf *btf, uint32_t name)
{
	int id = 1;

	for (const char *at = btf->types; at + sizeof(struct btf_type) <= btf->types_end; id++) {
		struct btf_type type;

		memcpy(&type, at, sizeof(type));
		if (BTF_INFO_KIND(type.info) == BTF_KIND_FUNC && type.name_off == name)
			return id;
		at += type_bytes(&type);
	}
	return -ENOENT;
}

static int find_target(void)
{
	AUTO_BUFFER struct buffer text = { 0 };
	struct btf btf = { 0 };
	uint32_t name;
	int r = buffer_read_at(&text, AT_FDCWD, VMLINUX_BTF);

	if (r == 0)
		r = open_btf(text.data, text.bytes, &btf);
	if (r < 0)
		return r;
	name = find_string(&btf, TARGET);
	return name ? find_function(&btf, name) : -ENOENT;
}

/* --- the program
 * -------------------------------------------------------------------------------------------------------- */

#define CTX_META 0 /* struct bpf_iter__task_file: meta, task, fd, file */
#define CTX_FD   16
#define CTX_FILE 24
#define META_SEQ 0

/* clang-format off */
static const struct bpf_insn program[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 7, .src_reg = 6, .off = CTX_FILE },
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 7, .imm = 0, .off = 9 }, /* the end of the walk: no file */
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 7, .off = -8 },
	{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 6, .off = CTX_FD },
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 1, .off = -16 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = CTX_META },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 1, .off = META_SEQ },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -16 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = sizeof(struct bpf_file) },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};
/* clang-format on */

static int bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

int bpf_files_open(void)
{
	union bpf_attr attr;
	int target = find_target();

	if (target < 0)
		return target;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_TRACING;
	attr.expected_attach_type = BPF_TRACE_ITER;
	attr.attach_btf_id = (uint32_t)target;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = ARRAY_SIZE(program);
	attr.license = (uintptr_t) "GPL"; /* of these instructions: the helper asks for it */
	return bpf(BPF_PROG_LOAD, &attr);
}

static int open_iterator(int program_fd, int pidfd)
{
	union bpf_iter_link_info info;
	union bpf_attr attr;
	AUTO_CLOSE int link = -1;

	memset(&info, 0, sizeof(info));
	info.task.pid_fd = (uint32_t)pidfd;
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program_fd;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	attr.link_create.iter_info = (uintptr_t)&info;
	attr.link_create.iter_info_len = sizeof(info);
	link = bpf(BPF_LINK_CREATE, &attr);
	if (link < 0)
		return link;
	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)link;
	return bpf(BPF_ITER_CREATE, &attr);
}

int bpf_files_list(int program_fd, int pidfd, struct bpf_file **ret, size_t *ret_count)
{
	AUTO_CLOSE int iterator = open_iterator(program_fd, pidfd);
	AUTO_BUFFER struct buffer data = { 0 };
	int r;

	if (iterator < 0)
		return iterator;
	r = buffer_read_fd(&data, iterator);
	if (r < 0)
		return r;
	if (data.bytes % sizeof(struct bpf_file))
		return -EIO;
	*ret_count = data.bytes / sizeof(struct bpf_file);
	*ret = (struct bpf_file *)(void *)TAKE_PTR(data.data);
	return 0;
}
