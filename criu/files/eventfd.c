/*
 * Eventfds: a counter, and whether reads take one or all of it (EFD_SEMAPHORE). The kernel tells both in fdinfo, the
 * latter since Linux 6.5; images of other programs do not have it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/eventfd.pb-c.h"
#include "kernel/bpf-files.h"
#include "kernel/features.h"
#include "kernel/kernel-memory.h"

struct eventfd_data {
	uint64_t counter;
	bool semaphore;
	bool semaphore_is_hidden; /* fdinfo does not tell */
};

static bool is_eventfd(const struct dump *d, const struct open_file *file)
{
	return file->link && !strcmp(file->link, "anon_inode:[eventfd]");
}

static int read_eventfd(struct open_file *file, const struct fdinfo *info)
{
	struct eventfd_data *data = calloc(1, sizeof(*data));
	uint64_t semaphore = 0;
	int r;

	file->kind_data = data;
	if (!data)
		return -ENOMEM;
	r = fdinfo_number(info, "eventfd-count", 16, &data->counter);
	data->semaphore_is_hidden =
	    feature_is_masked("fdinfo_semaphore") || fdinfo_number(info, "eventfd-semaphore", 10, &semaphore) < 0;
	data->semaphore = !data->semaphore_is_hidden && semaphore;
	return r;
}

static int find_semaphore(struct dump *d, const struct open_file *file, bool *ret)
{
	struct kernel_memory *km;
	uint64_t address, event;
	uint32_t flags = 0;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = kernel_memory_file(km, file->task->pidfd, file->fd, &address);
	if (r == 0)
		r = KERNEL_MEMBER(km, address, "file", "private_data", &event);
	if (r == 0)
		r = KERNEL_MEMBER(km, event, "eventfd_ctx", "flags", &flags);
	*ret = flags & EFD_SEMAPHORE;
	return r;
}

static void look_for_semaphore(struct dump *d, const struct open_file *file, struct eventfd_data *data)
{
	char place[ERROR_WHOLE_BYTES];
	int r = data->semaphore_is_hidden ? find_semaphore(d, file, &data->semaphore) : 0;

	if (r < 0)
		log_warn("%s: neither this kernel nor a BPF program tells whether it is a semaphore (EFD_SEMAPHORE), "
			 "it comes back as none: %s\n",
			 open_file_describe(file, place, sizeof(place)), strerror(-r));
}

static int read_eventfd_facts(struct open_file *file)
{
	struct eventfd_data *data = calloc(1, sizeof(*data));

	file->kind_data = data;
	if (!data)
		return -ENOMEM;
	data->counter = file->facts->event_count;
	data->semaphore = file->facts->event_flags & EFD_SEMAPHORE;
	return 0;
}

static int save_eventfd(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	struct eventfd_data *data = file->kind_data;
	EventfdFileEntry *event = files_scratch(d, sizeof(*event));

	if (!event)
		return open_file_error(file, err, -ENOMEM, "save");
	look_for_semaphore(d, file, data);
	eventfd_file_entry__init(event);
	event->id = file->id;
	event->flags = file->flags;
	event->counter = data->counter;
	event->has_semaphore = data->semaphore;
	event->semaphore = data->semaphore;
	event->fown = fown_save(d, file);
	if (!event->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->efd = event;
	return 0;
}

static int open_eventfd(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	const EventfdFileEntry *event = file->entry->efd;
	uint32_t flags = (event->flags & O_NONBLOCK) | file->cloexec;
	AUTO_CLOSE int fd = -1;

	if (event->has_semaphore && event->semaphore)
		flags |= EFD_SEMAPHORE;
	fd = eventfd(event->counter <= UINT32_MAX ? (unsigned int)event->counter : 0, (int)flags);
	if (fd < 0)
		return error_set(err, -errno, "make an eventfd");
	if (event->counter > UINT32_MAX && write(fd, &event->counter, sizeof(event->counter)) < 0)
		return error_set(err, -errno, "set an eventfd to %llu", (unsigned long long)event->counter);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int check_eventfd(struct restore *r, struct restore_file *file, struct error *err)
{
	/* A write of this value would block for ever. */
	if (file->entry->efd->counter == UINT64_MAX)
		return restore_refuse(r, file, err, "the counter of an eventfd cannot be that large");
	return 0;
}

static const FownEntry *eventfd_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->efd->flags;
	return entry->efd->fown;
}

const struct file_kind eventfd_kind = {
	.name = "eventfd",
	.type = FD_TYPES__EVENTFD,
	.is = is_eventfd,
	.read = read_eventfd,
	.read_facts = read_eventfd_facts,
	.save = save_eventfd,
	.check = check_eventfd,
	.open = open_eventfd,
	.owner = eventfd_owner,
};
