/* Reading and writing another process's memory. */
#include "internal.h"

#include <string.h>
#include <sys/uio.h>

int read_memory(pid_t pid, uint64_t from, void *to, size_t bytes)
{
	while (bytes) {
		struct iovec local = { to, bytes }, remote = { (void *)from, bytes };
		ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

		if (n <= 0)
			return n < 0 ? -errno : -EFAULT;
		to = (char *)to + n;
		from += (size_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int write_memory(pid_t pid, uint64_t to, const void *from, size_t bytes)
{
	while (bytes) {
		struct iovec local = { (void *)from, bytes }, remote = { (void *)to, bytes };
		ssize_t n = process_vm_writev(pid, &local, 1, &remote, 1, 0);

		if (n <= 0)
			return n < 0 ? -errno : -EFAULT;
		from = (const char *)from + n;
		to += (size_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

int poke_memory(pid_t tid, uint64_t to, const void *from, size_t bytes)
{
	for (size_t done = 0; done < bytes; done += 8) {
		uint64_t word;
		int r;

		memcpy(&word, (const char *)from + done, 8);
		r = ptrace_poke_word(tid, to + done, word);
		if (r < 0)
			return r;
	}
	return 0;
}

int compel_read(const struct compel_task *task, struct remote_addr from, void *to, size_t bytes)
{
	return read_memory(acting_tid(task), from.value, to, bytes);
}

int flush_code(const struct compel_task *task)
{
	struct task_state *state = task_state(task);
	const void *code = state->pending_code;

	state->pending_code = NULL;
	return code ? write_memory(acting_tid(task), state->pending_addr, code, state->pending_bytes) : 0;
}

int compel_write(const struct compel_task *task, struct remote_addr to, const void *from, size_t bytes)
{
	struct task_state *state = task_state(task);
	const struct iovec local[2] = { { (void *)state->pending_code, state->pending_bytes },
					{ (void *)from, bytes } };
	const struct iovec remote[2] = { { (void *)state->pending_addr, state->pending_bytes },
					 { (void *)to.value, bytes } };
	int r;

	if (state->pending_code &&
	    process_vm_writev(acting_tid(task), local, 2, remote, 2, 0) == (ssize_t)(state->pending_bytes + bytes)) {
		state->pending_code = NULL;
		return 0;
	}
	r = flush_code(task);
	return r < 0 ? r : write_memory(acting_tid(task), to.value, from, bytes);
}
