/*
 * A probe replaces the first byte of an instruction by a trap, or where that instruction is a nop of five bytes, since
 * Linux 6.18, all of it by a call to the mapping [uprobes-trampoline]. That such a call is a probe's its target tells.
 * A trap could be the program's own: it counts as a probe's in an address space that the kernel has marked as one with
 * probes, where the file has another byte. The mark is a flag that only the kernel's own structures show; the mapping
 * [uprobes], which is made when a trap is hit, shows as much.
 *
 * A function whose return is traced too has been given another return address, in [uprobes].
 */
#include "mm/uprobes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "image/vma-status.h"
#include "kernel/features.h"
#include "kernel/kernel-memory.h"
#include "kernel/proc-misc.h"
#include "kernel/uprobe-state.h"
#include "mm/mm-internal.h"

#define TRAP       0xcc
#define CALL       0xe8
#define CALL_BYTES 5

static const char trampoline[] = "[uprobes-trampoline]";
static const uint8_t nop[CALL_BYTES] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

bool is_uprobes_area(const char *path)
{
	return !strcmp(path, "[uprobes]") || !strcmp(path, trampoline);
}

/* --- what threads are about to do -------------------------------------------------------------------------------- */

static const struct proc_vma *find_area(const struct task *task, uint64_t address)
{
	for (size_t i = 0; i < task->maps.count; i++)
		if (address >= task->maps.vmas[i].start && address < task->maps.vmas[i].end)
			return &task->maps.vmas[i];
	return NULL;
}

static bool is_in_uprobes_area(const struct task *task, uint64_t address)
{
	const struct proc_vma *vma = find_area(task, address);

	return vma && is_uprobes_area(proc_vma_path(&task->maps, vma));
}

static int count_traced_returns(struct dump *d, const struct task *task, unsigned int *ret)
{
	struct kernel_memory *km;
	int r = dump_kernel_memory(d, &km);

	return r < 0 ? r : uprobe_state_traced_returns(km, task->pidfd, ret);
}

/* One that waits for the end of its vfork has been read by nobody yet. */
static uint64_t instruction_of(const struct task *task, const struct task_thread *thread)
{
	struct proc_call call;

	if (thread->tid != task->vfork_tid)
		return thread->regs.rip;
	return proc_read_call(task->procfd, thread->tid, &call) == 0 ? call.instruction_pointer : 0;
}

/* The memory is the owner's as well, whose mappings are known. */
static int look_at_threads(struct dump *d, const struct task *owner, const struct task *task, struct error *err)
{
	unsigned int count = 0;
	int r;

	for (size_t i = 0; !d->is_live && i < task->thread_count; i++)
		if (is_in_uprobes_area(owner, instruction_of(task, &task->threads[i]))) {
			error_hint(err, "try again, or remove the probe first");
			return error_say(err, -EAGAIN,
					 TASK_FORMAT ", thread %d: is executing an instruction that a uprobe is on",
					 TASK_ARGS(task), task->threads[i].tid);
		}
	r = count_traced_returns(d, task, &count);
	if (r < 0)
		log_warn(TASK_FORMAT
			 ": whether it is in a function whose return is traced by a uprobe cannot be told: %s",
			 TASK_ARGS(task), strerror(-r));
	if (r < 0 || !count)
		return 0;
	error_hint(err, "try again when they have returned: removing the probe does not change what they return to");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ": %u of its threads are in functions whose return is traced by a uprobe",
			 TASK_ARGS(task), count);
}

int uprobes_look(struct dump *d, const struct task *task, struct error *err)
{
	int r = look_at_threads(d, task, task, err);

	return r < 0 || !task->vfork_parent ? r : look_at_threads(d, task, task->vfork_parent, err);
}

/* --- pages ------------------------------------------------------------------------------------------------------- */

bool uprobes_can_be_in(const struct area *area)
{
	/* The kernel puts none into what can be written to. */
	return area->vma && area->entry.status & VMA_FILE_PRIVATE && !(area->entry.flags & MAP_HUGETLB) &&
	       (area->entry.prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC;
}

static int read_mark(const struct task *task, bool *ret)
{
	struct kernel_memory *km = NULL;
	int r = feature_is_masked("kernel_memory") ? -EOPNOTSUPP : kernel_memory_open(&km);

	if (r == 0)
		r = uprobe_state_is_marked(km, task->pidfd, ret);
	kernel_memory_free(km);
	return r;
}

static bool has_traps(const struct task *task)
{
	bool is_marked = false;
	int r;

	for (size_t i = 0; i < task->maps.count; i++)
		if (is_uprobes_area(proc_vma_path(&task->maps, &task->maps.vmas[i])))
			return true;
	r = read_mark(task, &is_marked);
	if (r < 0)
		log_warn(TASK_FORMAT
			 ": there are trap instructions in its text, and whether they are those of uprobes cannot "
			 "be told: %s",
			 TASK_ARGS(task), strerror(-r));
	return r == 0 && is_marked;
}

/* Behind the end of the file are zeros. */
static int read_file_page(const struct uprobes_text *text, uint64_t address, char *to)
{
	const struct proc_vma *vma = text->area->vma;
	ssize_t bytes = pread(text->file_fd, to, PAGE_BYTES, (off_t)(vma->offset + (address - vma->start)));

	if (bytes < 0)
		return -errno;
	memset(to + bytes, 0, PAGE_BYTES - (size_t)bytes);
	return 0;
}

static bool is_probing_call(const struct task *task, uint64_t address, const uint8_t *at, const uint8_t *original)
{
	const struct proc_vma *vma;
	int32_t distance;

	if (at[0] != CALL || memcmp(original, nop, sizeof(nop)) != 0)
		return false;
	memcpy(&distance, at + 1, sizeof(distance));
	vma = find_area(task, address + CALL_BYTES + (uint64_t)(int64_t)distance);
	return vma && !strcmp(proc_vma_path(&task->maps, vma), trampoline);
}

/* Two probes may stand side by side, but what else is changed in the text, such as an address, has more bytes. */
static bool may_be_probing_trap(const uint8_t *page, const uint8_t *original, size_t at)
{
	return page[at] == TRAP && (at == 0 || page[at - 1] == original[at - 1]) &&
	       (at + 1 == PAGE_BYTES || page[at + 1] == original[at + 1] || page[at + 1] == TRAP);
}

/* Puts the file's bytes in place of those that probes put there. */
static bool clean(const struct task *task, uint64_t address, uint8_t *page, const uint8_t *original)
{
	bool is_changed = false, trap_is_probe = false, is_asked = false;

	for (size_t i = 0; i < PAGE_BYTES; i++) {
		size_t bytes = 0;

		if (page[i] == original[i])
			continue;
		if (i + CALL_BYTES <= PAGE_BYTES && is_probing_call(task, address + i, page + i, original + i))
			bytes = CALL_BYTES;
		else if (may_be_probing_trap(page, original, i)) {
			if (!is_asked)
				trap_is_probe = has_traps(task);
			is_asked = true;
			bytes = trap_is_probe;
		}
		memcpy(page + i, original + i, bytes);
		is_changed |= bytes != 0;
	}
	return is_changed;
}

int uprobes_text_open(const struct task *task, const struct area *area, struct uprobes_text *ret)
{
	AUTO_CLOSE int mem_fd = openat(task->procfd, "mem", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int file_fd = -1;

	if (mem_fd < 0)
		return -errno;
	file_fd = proc_open_map(task->procfd, area->vma->start, area->vma->end, O_RDONLY | O_CLOEXEC);
	if (file_fd < 0)
		return file_fd;
	*ret = (struct uprobes_text){ task, area, take_fd(&mem_fd), take_fd(&file_fd) };
	return 0;
}

int uprobes_clean_page(const struct uprobes_text *text, uint64_t address, char **ret_page, bool *ret_is_file_page)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* BPF programs are dear, and few need them */
	AUTO_FREE char *page = malloc(PAGE_BYTES);
	char original[PAGE_BYTES];
	bool is_changed;
	int r = page ? pread_all(text->mem_fd, page, PAGE_BYTES, address) : -ENOMEM;

	if (r == 0)
		r = read_file_page(text, address, original);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&lock);
	is_changed = clean(text->task, address, (uint8_t *)page, (const uint8_t *)original);
	(void)pthread_mutex_unlock(&lock);
	*ret_is_file_page = is_changed && memcmp(page, original, PAGE_BYTES) == 0;
	*ret_page = is_changed ? TAKE_PTR(page) : NULL;
	return 0;
}

void uprobes_text_close(struct uprobes_text *text)
{
	close_fd(&text->mem_fd);
	close_fd(&text->file_fd);
}
