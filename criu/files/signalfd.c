/*
 * Signalfds: a set of signals. What is queued belongs to the processes and comes back with their pending signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files/registry.h"
#include "files/restore-files.h"
#include "images/signalfd.pb-c.h"

static bool is_signalfd(const struct dump *d, const struct open_file *file)
{
	return file->link && !strcmp(file->link, "anon_inode:[signalfd]");
}

static int read_signalfd(struct open_file *file, const struct fdinfo *info)
{
	uint64_t *mask = calloc(1, sizeof(*mask));

	file->kind_data = mask;
	return mask ? fdinfo_number(info, "sigmask", 16, mask) : -ENOMEM;
}

static int save_signalfd(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	const uint64_t *mask = file->kind_data;
	SignalfdEntry *signals = files_scratch(d, sizeof(*signals));

	if (!signals)
		return open_file_error(file, err, -ENOMEM, "save");
	signalfd_entry__init(signals);
	signals->id = file->id;
	signals->flags = file->flags;
	signals->sigmask = *mask;
	signals->fown = fown_save(d, file);
	if (!signals->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->sgfd = signals;
	return 0;
}

static int open_signalfd(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	const SignalfdEntry *signals = file->entry->sgfd;
	uint64_t mask = signals->sigmask; /* the kernel's set: the C library's has more bits than the call takes */
	long fd = syscall(SYS_signalfd4, -1, &mask, sizeof(mask), (signals->flags & O_NONBLOCK) | file->cloexec);

	if (fd < 0)
		return error_set(err, -errno, "make a signalfd");
	*ret_fd = (int)fd;
	return 0;
}

static const FownEntry *signalfd_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->sgfd->flags;
	return entry->sgfd->fown;
}

const struct file_kind signalfd_kind = {
	.name = "signalfd",
	.type = FD_TYPES__SIGNALFD,
	.is = is_signalfd,
	.read = read_signalfd,
	.save = save_signalfd,
	.open = open_signalfd,
	.owner = signalfd_owner,
};
