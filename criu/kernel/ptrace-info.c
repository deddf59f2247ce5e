/* Layouts and error codes of the requests; older kernels answer unknown ones with EIO. */
#include "kernel/ptrace-info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"
#include "kernel/missing-ptrace.h"

/* Layout of the kernel's struct ptrace_rseq_configuration. */
struct kernel_rseq_config {
	uint64_t pointer;
	uint32_t size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

/* Unknown requests end in -EIO. */
static int request_error(void)
{
	return errno == EIO ? -EOPNOTSUPP : -errno;
}

int ptrace_read_rseq_config(pid_t tid, struct rseq_config *ret)
{
	struct kernel_rseq_config config = { 0 };

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(config), &config) < 0)
		return request_error();
	*ret = (struct rseq_config){
		.address = config.pointer,
		.size = config.size,
		.signature = config.signature,
		.flags = config.flags,
	};
	return 0;
}

int robust_list_read(pid_t tid, uint64_t *ret_head, uint64_t *ret_bytes)
{
	unsigned long head = 0, bytes = 0;

	if (syscall(SYS_get_robust_list, tid, &head, &bytes) < 0)
		return -errno;
	*ret_head = head;
	*ret_bytes = bytes;
	return 0;
}

#define SIGINFOS_PER_REQUEST 32

int ptrace_read_siginfo_queue(pid_t tid, bool shared, struct siginfo_queue *ret)
{
	struct siginfo_queue queue = { 0 };
	size_t capacity = 0;
	int r;

	for (;;) {
		uint8_t infos[SIGINFOS_PER_REQUEST][SIGINFO_BYTES];
		struct __ptrace_peeksiginfo_args args = {
			.off = queue.count,
			.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
			.nr = SIGINFOS_PER_REQUEST,
		};
		long n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, infos);
		long i;

		r = n < 0 ? request_error() : 0;
		if (n <= 0)
			break;
		for (i = 0; i < n && r == 0; i++) {
			r = array_reserve(&queue.infos, &capacity, queue.count, SIGINFO_BYTES);
			if (r == 0)
				memcpy(queue.infos[queue.count++], infos[i], SIGINFO_BYTES);
		}
		if (r < 0)
			break;
	}
	if (r < 0) {
		siginfo_queue_done(&queue);
		return r;
	}
	*ret = queue;
	return 0;
}

int siginfo_queue_add_bare(struct siginfo_queue *queue, uint64_t pending)
{
	size_t capacity = queue->count;

	for (size_t i = 0; i < queue->count; i++) {
		int32_t signal;

		memcpy(&signal, queue->infos[i], sizeof(signal));
		if (signal > 0 && signal <= 64)
			pending &= ~(1ull << (signal - 1));
	}
	for (int32_t signal = 1; pending; signal++, pending >>= 1) {
		int r;

		if (!(pending & 1))
			continue;
		r = array_reserve(&queue->infos, &capacity, queue->count, SIGINFO_BYTES);
		if (r < 0)
			return r;
		memset(queue->infos[queue->count], 0, SIGINFO_BYTES);
		memcpy(queue->infos[queue->count++], &signal, sizeof(signal));
	}
	return 0;
}

void siginfo_queue_done(struct siginfo_queue *queue)
{
	free(queue->infos);
	*queue = (struct siginfo_queue){ 0 };
}

int ptrace_read_user_dispatch(pid_t tid, struct syscall_user_dispatch *ret)
{
	struct syscall_user_dispatch config = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(config), &config) < 0)
		return request_error();
	*ret = config;
	return 0;
}

int ptrace_write_user_dispatch(pid_t tid, const struct syscall_user_dispatch *config)
{
	if (ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(*config), config) < 0)
		return request_error();
	return 0;
}

int ptrace_read_sigmask(pid_t tid, uint64_t *ret)
{
	uint64_t mask;

	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(mask), &mask) < 0)
		return request_error();
	*ret = mask;
	return 0;
}
