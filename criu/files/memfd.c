/*
 * Memfds. The memory behind them is shared memory like any other and saved by mm/; here is the open file: flags,
 * offset, owner.
 *
 * The description that memfd_create(2) makes does not count as a writer of the file, so that execve(2) takes it for a
 * program; one that is opened by its link in /proc does. Nothing tells which is which: the first one of an inode that
 * could be of memfd_create is taken for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/memfd.pb-c.h"
#include "kernel/proc-maps.h"
#include "mm/restore-shmem.h"
#include "mm/shared-memory.h"

#define KERNEL_LARGEFILE 0100000 /* O_LARGEFILE is 0 here */

/* What may be of huge pages, by its link: finding out costs more. */
static bool may_be_huge(const struct open_file *file)
{
	return file->link && (!strncmp(file->link, "/memfd:", 7) || !strncmp(file->link, "/anon_hugepage", 14));
}

static bool is_memfd(const struct dump *d, const struct open_file *file)
{
	struct proc_vma vma = {
		.inode = file->st.st_ino,
		.dev_major = major(file->st.st_dev),
		.dev_minor = minor(file->st.st_dev),
		.vm_flags = may_be_huge(file) ? VMF_BIT(HT) : 0,
	};

	return S_ISREG(file->st.st_mode) && !(file->flags & O_PATH) && file->link &&
	       file->name_state != FILE_NAME_GOOD && strncmp(file->link, "/SYSV", 5) != 0 && is_shared_memory_vma(&vma);
}

static int look_memfd(struct dump *d, struct open_file *file, struct error *err)
{
	uint32_t *inode_id = calloc(1, sizeof(*inode_id));
	int fd, r;

	file->kind_data = inode_id;
	if (!inode_id)
		return open_file_error(file, err, -ENOMEM, "look");
	if (file->fd < 0)
		return open_file_refuse(file, err, "a program whose file is a memfd is not supported");
	fd = open_file_local(d, file);
	if (fd < 0)
		return open_file_error(file, err, fd, "borrow the descriptor");
	r = shared_memory_add_file(d, file, inode_id, err);
	open_file_release(d, file);
	return r;
}

static int save_memfd(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	MemfdFileEntry *memfd = files_scratch(d, sizeof(*memfd));

	if (!memfd)
		return open_file_error(file, err, -ENOMEM, "save");
	memfd_file_entry__init(memfd);
	memfd->id = file->id;
	memfd->flags = file->flags;
	memfd->pos = file->pos;
	memfd->inode_id = *(const uint32_t *)file->kind_data;
	memfd->fown = fown_save(d, file);
	if (!memfd->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->memfd = memfd;
	return 0;
}

/* What fcntl(2) can set is no matter. */
static bool may_be_of_create(const MemfdFileEntry *memfd)
{
	const uint32_t settable = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT | O_ASYNC;

	return (restore_open_flags(memfd->flags) & ~(settable | O_NOCTTY | KERNEL_LARGEFILE)) == O_RDWR;
}

static int check_memfd(struct restore *r, struct restore_file *file, struct error *err)
{
	struct key_index *taken = &restore_files_of(r)->memfds_by_inode;
	const MemfdFileEntry *memfd = file->entry->memfd;

	if (!checked_set_find_memfd_inode(r->images, memfd->inode_id))
		return restore_refuse(r, file, err, "memfd.img has no inode %u", memfd->inode_id);
	if (!may_be_of_create(memfd) || key_index_first(taken, memfd->inode_id) != KEY_INDEX_END)
		return 0;
	file->kind_data = file;
	return key_index_add(taken, memfd->inode_id, 0) < 0 ? error_set(err, -ENOMEM, "open files") : 0;
}

static int open_description(struct restore *r, const struct restore_file *file, int *ret_fd, struct error *err)
{
	const MemfdFileEntry *memfd = file->entry->memfd;
	uint32_t flags = restore_open_flags(memfd->flags) | file->cloexec;
	int result;

	if (!file->kind_data)
		return shmem_open_fd(r, memfd->inode_id, (int)flags, ret_fd, err);
	result = shmem_share_fd(r, memfd->inode_id, ret_fd, err);
	if (result == 0 && !file->cloexec && fcntl(*ret_fd, F_SETFD, 0) < 0)
		return error_set(err, -errno, "memfd: keep it open for programs");
	return result;
}

static int open_memfd(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	const MemfdFileEntry *memfd = file->entry->memfd;
	AUTO_CLOSE int fd = -1;
	int result = open_description(r, file, &fd, err);

	if (result < 0)
		return result;
	if (memfd->pos && lseek(fd, (off_t)memfd->pos, SEEK_SET) < 0)
		return error_set(err, -errno, "memfd: seek to %llu", (unsigned long long)memfd->pos);
	*ret_fd = take_fd(&fd);
	return 0;
}

static const FownEntry *memfd_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->memfd->flags;
	return entry->memfd->fown;
}

const struct file_kind memfd_kind = {
	.name = "memfd",
	.type = FD_TYPES__MEMFD,
	.is = is_memfd,
	.look = look_memfd,
	.save = save_memfd,
	.check = check_memfd,
	.open = open_memfd,
	.owner = memfd_owner,
};
