#include "kernel/bpf-iterator.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/bpf-program.h"

#define LOAD_TRIES 5

static int bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

/* The verifier gives up when a signal is pending; once its handler has run it goes through. */
int bpf_load(union bpf_attr *attr)
{
	int r = -EAGAIN;

	for (int i = 0; i < LOAD_TRIES && r == -EAGAIN; i++)
		r = bpf(BPF_PROG_LOAD, attr);
	return r;
}

int bpf_iterator_load(const struct btf *btf, const char *target, const struct bpf_insn *program, size_t count)
{
	union bpf_attr attr;
	int type = count > BPF_PROGRAM_MAX ? -E2BIG : btf_find_function(btf, target);

	if (type < 0)
		return type;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_TRACING;
	attr.expected_attach_type = BPF_TRACE_ITER;
	attr.attach_btf_id = (uint32_t)type;
	attr.insns = (uintptr_t)program;
	attr.insn_cnt = (uint32_t)count;
	attr.license = (uintptr_t) "GPL"; /* of these instructions: the helpers ask for it */
	return bpf_load(&attr);
}

/* info: NULL for all there are */
static int open_iterator(int program_fd, const union bpf_iter_link_info *info)
{
	union bpf_attr attr;
	AUTO_CLOSE int link = -1;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program_fd;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	if (info) {
		attr.link_create.iter_info = (uintptr_t)info;
		attr.link_create.iter_info_len = sizeof(*info);
	}
	link = bpf(BPF_LINK_CREATE, &attr);
	if (link < 0)
		return link;
	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)link;
	return bpf(BPF_ITER_CREATE, &attr);
}

static int run(int program_fd, const union bpf_iter_link_info *info, struct buffer *output)
{
	AUTO_CLOSE int iterator = open_iterator(program_fd, info);

	return iterator < 0 ? iterator : buffer_read_fd(output, iterator);
}

int bpf_iterator_run(int program_fd, int pidfd, struct buffer *output)
{
	union bpf_iter_link_info info;

	memset(&info, 0, sizeof(info));
	info.task.pid_fd = (uint32_t)pidfd;
	return run(program_fd, pidfd < 0 ? NULL : &info, output);
}

int bpf_iterator_open_thread(int program_fd, pid_t tid)
{
	union bpf_iter_link_info info;

	memset(&info, 0, sizeof(info));
	info.task.tid = (uint32_t)tid;
	return open_iterator(program_fd, &info);
}

int bpf_iterator_run_thread(int program_fd, pid_t tid, struct buffer *output)
{
	AUTO_CLOSE int iterator = bpf_iterator_open_thread(program_fd, tid);

	return iterator < 0 ? iterator : buffer_read_fd(output, iterator);
}
