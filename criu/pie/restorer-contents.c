/*
 * What is in the mappings: pages are read from the images into place, large areas are filled from outside by the
 * worker's threads meanwhile, and jumps of an old vdso into the new one are written.
 */
#include "pie/restorer-contents.h"

#include <linux/ioctl.h>
#include <linux/userfaultfd.h>

#include "pie/restorer-report.h"

#define UFFD_USER_MODE 1

/* Skips what a short read has already brought. */
static void advance(struct restorer_read *read, uint64_t bytes)
{
	read->offset += bytes;
	while (bytes && read->iov_count) {
		uint64_t part = bytes < read->iov->bytes ? bytes : read->iov->bytes;

		read->iov->base += part;
		read->iov->bytes -= part;
		bytes -= part;
		if (read->iov->bytes == 0) {
			read->iov++;
			read->iov_count--;
		}
	}
}

void read_pages(struct restorer_task *task, struct restorer_read *reads, uint64_t count)
{
	enter(task, STEP_READ_PAGES);
	for (uint64_t i = 0; i < count; i++) {
		struct restorer_read *read = &reads[i];

		while (read->iov_count) {
			uint64_t at = read->iov->base;
			long result =
			    SYS5(__NR_preadv, task->files[read->file], read->iov, read->iov_count, read->offset, 0);

			if (result == -ERROR_INTR || result == -ERROR_AGAIN)
				continue;
			if (result <= 0)
				fail(task, result ? result : -ERROR_IO, at, 0);
			advance(read, (uint64_t)result);
		}
	}
}

static int register_ranges(const struct restorer_task *task, int uffd)
{
	struct uffdio_api api = { .api = UFFD_API };

	if (SYS3(__NR_ioctl, uffd, UFFDIO_API, &api) < 0)
		return 0;
	for (uint64_t i = 0; i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];
		struct uffdio_register range = {
			.range = { vma->start, vma->end - vma->start },
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		if (vma->flags & RESTORER_VMA_FILL && SYS3(__NR_ioctl, uffd, UFFDIO_REGISTER, &range) < 0)
			return 0;
	}
	return 1;
}

/* Closing the descriptor unregisters: nothing of it stays in the mappings. */
static int fill_from_outside(struct restorer_task *task)
{
	struct restorer_slot *slot = task->slot;
	long uffd = SYS1(__NR_userfaultfd, UFFD_USER_MODE);
	int filled = 0;

	if (uffd < 0)
		return 0;
	if (register_ranges(task, (int)uffd)) {
		slot->fill_uffd = (int32_t)uffd;
		__atomic_store_n(&slot->fill_state, FILL_WANTED, __ATOMIC_RELEASE);
		report_progress(task->shared);
		wait_while(&slot->fill_state, FILL_WANTED);
		filled = __atomic_load_n(&slot->fill_state, __ATOMIC_ACQUIRE) == FILL_DONE;
	}
	(void)SYS1(__NR_close, uffd);
	return filled;
}

void fill_large(struct restorer_task *task)
{
	if (!task->large_read_count)
		return;
	enter(task, STEP_USERFAULTFD);
	if (!fill_from_outside(task))
		read_pages(task, task->large_reads, task->large_read_count);
}

/* jmp *0(%rip), and the address right behind it */
void write_jumps(const struct restorer_task *task)
{
	static const uint8_t opcode[6] = { 0xff, 0x25, 0, 0, 0, 0 };

	for (uint32_t i = 0; i < task->jump_count; i++) {
		volatile uint8_t *at = (volatile uint8_t *)task->jumps[i].from;

		for (uint32_t k = 0; k < sizeof(opcode); k++)
			at[k] = opcode[k];
		for (uint32_t k = 0; k < 8; k++)
			at[sizeof(opcode) + k] = (uint8_t)(task->jumps[i].to >> (8 * k));
	}
}
