/*
 * io_uring instances; io-uring-look.c and io-uring-restore.c have the two directions. What an instance is set up with
 * and what is registered in it no interface tells: it is read from the kernel's own structures
 * (kernel/io-uring-context.h); its rings are mapped by ourselves, from a duplicate of the descriptor. Requests in
 * flight cannot be saved: they are waited for.
 *
 * Restore: the first of its processes makes a new one, and counts its heads and tails up to where they were by requests
 * that do nothing; then the rings get their old contents. Files and the eventfd are registered when the descriptors are
 * complete, buffers by the restorer when the memory is in place; it also maps the rings, see pie/restorer-rings.c.
 *
 * Refused: what the kernel does not let us make again (see refusals), rings that only another than the first thread of
 * a process may use, more submissions than can be counted in a reasonable time.
 */
#include "files/io-uring.h"

#include <string.h>
#include <sys/sysmacros.h>

#include "engine/dump.h"
#include "files/io-uring-internal.h"
#include "files/registry.h"
#include "images/io-uring.pb-c.h"

#define LINK "anon_inode:[io_uring]"

void io_uring_get_offsets(const struct io_uring_params *params, struct io_uring_offsets *ret)
{
	const struct io_sqring_offsets *sq = &params->sq_off;
	const struct io_cqring_offsets *cq = &params->cq_off;

	*ret = (struct io_uring_offsets){
		.sq = { sq->head, sq->tail, sq->ring_mask, sq->ring_entries, sq->flags, sq->dropped, sq->array },
		.cq = { cq->head, cq->tail, cq->ring_mask, cq->ring_entries, cq->overflow, cq->cqes, cq->flags },
	};
}

bool is_io_uring_mapping(const char *path)
{
	return !strcmp(path, LINK);
}

bool io_uring_is_offset(uint64_t offset)
{
	return offset == IORING_OFF_SQ_RING || offset == IORING_OFF_CQ_RING || offset == IORING_OFF_SQES;
}

static bool is_io_uring(const struct dump *d, const struct open_file *file)
{
	return file->link && !strcmp(file->link, LINK);
}

const struct open_file *io_uring_find(const struct dump *d, const struct proc_vma *vma)
{
	const struct open_file *found = NULL;

	for (size_t i = 0; i < d->files->count; i++) {
		const struct open_file *file = d->files->files[i];

		if (!is_io_uring(d, file) || file->fd < 0 || file->st.st_ino != vma->inode ||
		    file->st.st_dev != makedev(vma->dev_major, vma->dev_minor))
			continue;
		if (found)
			return NULL; /* an old kernel has one inode for all */
		found = file;
	}
	return found;
}

static const FownEntry *io_uring_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->io_uring->flags;
	return entry->io_uring->fown;
}

const struct file_kind io_uring_kind = {
	.name = "io_uring",
	.type = FD_TYPES__IO_URING,
	.is = is_io_uring,
	.look = io_uring_look,
	.save = io_uring_save,
	.check = io_uring_check,
	.open = io_uring_open,
	.finish = io_uring_finish,
	.owner = io_uring_owner,
};
