/*
 * Epolls and what they watch. A target is an open file together with the number it was added under: fdinfo lists
 * number, events, data, and since Linux 4.13 device, inode and offset. The number means something in the table of
 * whoever added it, and only as long as the descriptor is not closed: while the file is open elsewhere, the epoll goes
 * on watching it. kcmp(2) tells whether a descriptor is the target. Where none of the epoll's process is, the image
 * also says which file it was, and the restore puts that file under the old number for the moment of adding it.
 *
 * A one-shot target that has fired waits for nothing until it is armed again. It cannot be added like that, the kernel
 * would add EPOLLERR and EPOLLHUP: it is added armed and made to fire, which takes a file that is ready for anything: a
 * pipe that is not is made so for the moment. For other files the two remain; most kinds never report them.
 *
 * An edge-triggered target whose file was ready and that had nothing to report is added before the others, and what it
 * reports then is thrown away. That it had nothing to report is known when nothing of the whole epoll had; otherwise
 * the kernel's list has to be looked at, and where it cannot be, such a target reports once more.
 *
 * What is ready is reported in the order in which it became so, or was reported last: that of the kernel's list. The
 * image has the targets in this order, and adding those that are ready puts them on the list. Where the list cannot be
 * read the order is that of fdinfo.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/epoll-targets.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "files/thread-files.h"
#include "images/eventpoll.pb-c.h"
#include "kernel/epoll-ready.h"
#include "kernel/kernel-memory.h"
#include "kernel/missing-epoll.h"

/* In an image that other programs read: no descriptor can have this number. */
#define NO_NUMBER    ((1 << 30) - 1)
#define MANY_TARGETS 64
#define PIPEFS_MAGIC 0x50495045

/* --- dump ----------------------------------------------------------------------------------------------------- */

struct target {
	struct epoll_target shown;
	unsigned int nth;             /* of those that have this number, in the order of fdinfo */
	bool is_repeated;             /* others have it */
	const struct open_file *file; /* NULL: it is what the number means in the epoll's process */
	int number_now;               /* of file there, or NO_NUMBER */
	bool is_reported;             /* ready, edge-triggered, and nothing to report */
	struct open_file *watched;
	uint64_t address; /* of its file in the kernel; 0: not asked for, as no other has its number */
	size_t rank;      /* its place in the image */
};

struct epoll_targets {
	struct epoll_params params;
	size_t count, capacity;
	struct target targets[];
};

static bool is_epoll(const struct dump *d, const struct open_file *file)
{
	return file->link && !strcmp(file->link, "anon_inode:[eventpoll]");
}

/* In the table in which the file was seen first that is its lowest one. */
static int number_in(const struct task *task, const struct open_file *file)
{
	if (file->task == task->files_owner)
		return file->fd;
	for (size_t i = 0; i < task->files_owner->fd_count; i++)
		if (task->files_owner->fds[i].file == file)
			return task->files_owner->fds[i].fd;
	return NO_NUMBER;
}

static int find_target(struct dump *d, struct open_file *epoll, struct target *target, struct error *err)
{
	const struct task_fd *same_number = fd_table_find(epoll->task->files_owner, target->shown.fd);

	target->watched = epoll_target_find(d, epoll, &target->shown, target->nth, target->is_repeated);
	if (!target->watched)
		return open_file_refuse(epoll, err,
					"watches a file, once descriptor %d, that no task of the tree has open",
					target->shown.fd);
	if (same_number && same_number->file == target->watched)
		return 0;
	target->file = target->watched;
	target->number_now = number_in(epoll->task, target->watched);
	return 0;
}

static int add_target(struct open_file *file, const char *line, struct epoll_targets **data)
{
	struct epoll_targets *grown = *data;
	struct target target = { 0 };
	int r = fdinfo_parse_epoll(line, &target.shown);

	if (r < 0)
		return r;
	if (grown->count == grown->capacity) {
		size_t capacity = grown->capacity ? 2 * grown->capacity : 8;

		grown = realloc(grown, sizeof(*grown) + capacity * sizeof(target));
		if (!grown)
			return -ENOMEM;
		grown->capacity = capacity;
		*data = grown;
		file->kind_data = grown;
	}
	grown->targets[grown->count++] = target;
	return 0;
}

static int read_epoll(struct open_file *file, const struct fdinfo *info)
{
	struct epoll_targets *data = calloc(1, sizeof(*data));
	const char *line;
	size_t at = 0;
	int r = data ? 0 : -ENOMEM;

	file->kind_data = data;
	while (r == 0 && (line = fdinfo_next(info, "tfd", &at)))
		r = add_target(file, line, &data);
	return r;
}

/* By number, and in the order in which they stand. */
static int compare_numbers(const void *a, const void *b)
{
	const struct target *x = *(struct target *const *)a, *y = *(struct target *const *)b;

	if (x->shown.fd != y->shown.fd)
		return x->shown.fd < y->shown.fd ? -1 : 1;
	return (x > y) - (x < y);
}

/* Pointers to all targets; NULL when there is no memory. */
static struct target **sort_by_number(struct epoll_targets *data)
{
	struct target **sorted = calloc(data->count + 1, sizeof(*sorted));

	for (size_t i = 0; sorted && i < data->count; i++)
		sorted[i] = &data->targets[i];
	if (sorted)
		qsort(sorted, data->count, sizeof(*sorted), compare_numbers);
	return sorted;
}

static struct target *find_ready(struct target *const *sorted, size_t count, const struct epoll_ready *ready)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sorted[middle]->shown.fd < ready->number)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < count && sorted[low]->shown.fd == ready->number; low++)
		if (!sorted[low]->is_repeated || sorted[low]->address == ready->file)
			return sorted[low];
	return NULL;
}

/* The kernel lists and counts the targets of one number in the same order. */
static int count_repeated(struct epoll_targets *data)
{
	AUTO_FREE struct target **sorted = sort_by_number(data);

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 1; i < data->count; i++) {
		if (sorted[i]->shown.fd != sorted[i - 1]->shown.fd)
			continue;
		sorted[i]->nth = sorted[i - 1]->nth + 1;
		sorted[i]->is_repeated = sorted[i - 1]->is_repeated = true;
	}
	return 0;
}

/* Targets of one number are told apart by their files. */
static int find_addresses(struct dump *d, struct epoll_targets *data)
{
	struct kernel_memory *km;
	int r = dump_kernel_memory(d, &km);

	for (size_t i = 0; i < data->count && r == 0; i++) {
		struct target *target = &data->targets[i];

		if (target->is_repeated)
			r = kernel_memory_file(km, target->watched->task->pidfd, target->watched->fd, &target->address);
	}
	return r;
}

/* What is not ready, or cannot be asked: false. */
static bool is_ready(struct dump *d, struct open_file *file, uint32_t events)
{
	struct pollfd poll_fd = { .fd = open_file_local(d, file), .events = (short)events };
	bool ready = poll_fd.fd >= 0 && poll(&poll_fd, 1, 0) > 0;

	open_file_release(d, file);
	return ready;
}

/* mounts, swaps and the like of /proc: poll(2) tells of a change once, whoever asks. */
static bool tells_once(const struct open_file *file)
{
	return S_ISREG(file->st.st_mode) && file->link && !strncmp(file->link, "/proc/", 6);
}

static bool has_any_that_tells_once(const struct dump *d)
{
	enum { UNKNOWN, NONE, SOME };
	struct file_registry *registry = d->files;

	for (size_t i = 0; i < registry->count && registry->tells_once == UNKNOWN; i++)
		if (tells_once(registry->files[i]))
			registry->tells_once = SOME;
	if (registry->tells_once == UNKNOWN)
		registry->tells_once = NONE;
	return registry->tells_once == SOME;
}

/* Asking an epoll what is ready asks the ready ones of what it watches, and so on. */
static bool would_take(const struct dump *d, const struct open_file *watched)
{
	return watched->kind == &epoll_kind ? has_any_that_tells_once(d) : tells_once(watched);
}

static bool waits_for_edge(const struct target *target)
{
	return target->shown.events & EPOLLET && !(target->shown.events & EPOLLONESHOT);
}

static void read_params(struct dump *d, struct open_file *file, struct epoll_params *params)
{
	int fd = open_file_local(d, file);

	/* A kernel that does not know the request polls no devices for epolls. */
	if (fd < 0 || ioctl(fd, EPIOCGPARAMS, params) < 0)
		*params = (struct epoll_params){ 0 };
	open_file_release(d, file);
}

struct ready_list {
	struct epoll_ready *targets;
	size_t count;
	bool is_known;
};

static struct ready_list read_ready_list(struct dump *d, const struct open_file *file)
{
	struct ready_list list = { 0 };
	struct kernel_memory *km;

	list.is_known = dump_kernel_memory(d, &km) == 0 &&
			epoll_ready_list(km, file->task->pidfd, file->fd, &list.targets, &list.count) == 0;
	return list;
}

static void report_all(struct epoll_targets *data)
{
	for (size_t i = 0; i < data->count; i++)
		data->targets[i].is_reported = false;
}

/* Reading the list takes milliseconds: a few targets are asked whether there is an order at all. */
static bool has_order(struct dump *d, const struct epoll_targets *data)
{
	size_t ready = 0;

	if (data->count > MANY_TARGETS)
		return true;
	for (size_t i = 0; i < data->count && ready < 2; i++)
		ready += is_ready(d, data->targets[i].watched, data->targets[i].shown.events);
	return ready >= 2;
}

static int compare_ranks(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Those on the list come first, in its order, and are yet to be reported. */
static int put_ready_first(struct epoll_targets *data, const struct ready_list *list)
{
	AUTO_FREE struct target **sorted = sort_by_number(data);

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < data->count; i++)
		data->targets[i].rank = list->count + i;
	for (size_t n = 0; n < list->count; n++) {
		struct target *target = find_ready(sorted, data->count, &list->targets[n]);

		if (!target)
			continue;
		target->rank = n;
		target->is_reported = false;
	}
	qsort(data->targets, data->count, sizeof(*data->targets), compare_ranks);
	return 0;
}

static bool may_be_asked(const struct dump *d, const struct epoll_targets *data)
{
	for (size_t i = 0; i < data->count; i++)
		if (would_take(d, data->targets[i].watched))
			return false;
	return true;
}

/* Where it cannot be told what is yet to be reported everything is. */
static int look_at_pending(struct dump *d, struct open_file *file, struct epoll_targets *data, bool any_reported)
{
	struct ready_list list;
	int r = 0;

	if (!any_reported && data->count < 2)
		return 0;
	if (may_be_asked(d, data) && (!is_ready(d, file, POLLIN) || (!any_reported && !has_order(d, data))))
		return 0;
	list = read_ready_list(d, file);
	if (!list.is_known || find_addresses(d, data) < 0)
		report_all(data);
	if (list.is_known)
		r = put_ready_first(data, &list);
	free(list.targets);
	return r;
}

static int look_epoll(struct dump *d, struct open_file *file, struct error *err)
{
	struct epoll_targets *data = file->kind_data;
	bool any = false;
	int r = count_repeated(data);

	if (r < 0)
		return open_file_error(file, err, r, "look at what it watches");
	read_params(d, file, &data->params);
	for (size_t i = 0; i < data->count; i++) {
		struct target *target = &data->targets[i];

		r = find_target(d, file, target, err);
		if (r < 0)
			return r;
		if (pidfd_is_of_thread(d, target->watched) && (target->file || target->watched->task != file->task))
			return open_file_refuse(file, err,
						"watches a pidfd of a thread, once descriptor %d, that the process "
						"does not have under that number",
						target->shown.fd);
		target->is_reported = waits_for_edge(target) && !would_take(d, target->watched) &&
				      is_ready(d, target->watched, target->shown.events);
		any |= target->is_reported;
	}
	r = look_at_pending(d, file, data, any);
	return r < 0 ? open_file_error(file, err, r, "look at what it is going to report") : 0;
}

static void fill_target(const struct target *target, EventpollTfdEntry *entry)
{
	eventpoll_tfd_entry__init(entry);
	entry->tfd = (uint32_t)target->shown.fd;
	entry->events = target->shown.events;
	entry->data = target->shown.data;
	entry->has_dev = entry->has_inode = entry->has_pos = target->shown.inode != 0;
	entry->dev = target->shown.sdev;
	entry->inode = target->shown.inode;
	entry->pos = target->shown.pos;
	entry->has_reported = entry->reported = target->is_reported;
	if (target->file) {
		entry->has_target_id = entry->has_number = true;
		entry->target_id = target->file->id;
		entry->number = (uint32_t)target->shown.fd;
		entry->tfd = (uint32_t)target->number_now;
	}
}

static int save_epoll(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	const struct epoll_targets *data = file->kind_data;
	EventpollFileEntry *epoll = files_scratch(d, sizeof(*epoll));
	EventpollTfdEntry *entries = files_scratch(d, data->count * sizeof(*entries));
	EventpollTfdEntry **targets = files_scratch(d, data->count * sizeof(*targets));

	if (!epoll || !entries || !targets)
		return open_file_error(file, err, -ENOMEM, "save");
	eventpoll_file_entry__init(epoll);
	epoll->id = file->id;
	epoll->flags = file->flags;
	epoll->tfd = targets;
	epoll->n_tfd = data->count;
	for (size_t i = 0; i < data->count; i++) {
		fill_target(&data->targets[i], &entries[i]);
		targets[i] = &entries[i];
	}
	epoll->has_busy_poll_usecs = data->params.busy_poll_usecs != 0;
	epoll->busy_poll_usecs = data->params.busy_poll_usecs;
	epoll->has_busy_poll_budget = data->params.busy_poll_budget != 0;
	epoll->busy_poll_budget = data->params.busy_poll_budget;
	epoll->has_prefer_busy_poll = epoll->prefer_busy_poll = data->params.prefer_busy_poll;
	epoll->fown = fown_save(d, file);
	if (!epoll->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->epfd = epoll;
	return 0;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

static int check_epoll(struct restore *r, struct restore_file *file, struct error *err)
{
	const EventpollFileEntry *epoll = file->entry->epfd;

	for (size_t i = 0; i < epoll->n_tfd && file->first_user; i++) {
		struct restore_file *target;

		if (!epoll->tfd[i]->has_target_id)
			continue;
		target = restore_find_file(r, FD_TYPES__UND, epoll->tfd[i]->target_id);
		if (!target || target->first_fd < 0)
			return restore_refuse(r, file, err, "an epoll watches file %u, which nobody has open",
					      epoll->tfd[i]->target_id);
		restore_add_user(r, target, file->first_user);
	}
	return 0;
}

static int set_params(const EventpollFileEntry *epoll, int fd, struct error *err)
{
	struct epoll_params params = {
		.busy_poll_usecs = epoll->busy_poll_usecs,
		.busy_poll_budget = (uint16_t)epoll->busy_poll_budget,
		.prefer_busy_poll = epoll->prefer_busy_poll,
	};

	if (!epoll->has_busy_poll_usecs && !epoll->has_busy_poll_budget && !epoll->has_prefer_busy_poll)
		return 0;
	if (ioctl(fd, EPIOCSPARAMS, &params) == 0)
		return 0;
	if (errno == EPERM)
		error_hint(err, "such a budget takes CAP_NET_ADMIN");
	return error_set(err, -errno, "make an epoll that polls network devices for %u us, %u packets at once",
			 epoll->busy_poll_usecs, epoll->busy_poll_budget);
}

static int open_epoll(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	int fd = epoll_create1(file->cloexec ? EPOLL_CLOEXEC : 0);

	if (fd < 0)
		return error_set(err, -errno, "make an epoll");
	*ret_fd = fd;
	return set_params(file->entry->epfd, fd, err);
}

static int add(int epoll, int fd, const EventpollTfdEntry *target)
{
	struct epoll_event event = { .events = target->events, .data.u64 = target->data };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Puts the file under a number that is free or another file's for the moment, or where it happens to be already. */
static int add_under_number(const struct restore *r, int epoll, int fd, int number, const EventpollTfdEntry *target)
{
	int flags = fcntl(number, F_GETFD), other = -1, result;

	if (fd == number)
		return add(epoll, number, target);
	if (flags >= 0) {
		other = service_fds_copy(r, number);
		if (other < 0)
			return other;
	}
	/* Which may be that of the epoll. */
	result = dup3(fd, number, O_CLOEXEC) < 0 ? -errno : add(epoll == number ? other : epoll, number, target);
	if (other < 0) {
		(void)close(number);
		return result;
	}
	if (dup3(other, number, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0 && result == 0)
		result = -errno;
	(void)close(other);
	return result;
}

static int add_any(const struct restore *r, int epoll, const EventpollTfdEntry *target)
{
	const int number = (int)(target->has_number ? target->number : target->tfd);
	const struct restore_file *file;
	AUTO_CLOSE int borrowed = -1;

	if (!target->has_target_id)
		return add(epoll, (int)target->tfd, target);
	file = restore_find_file(r, FD_TYPES__UND, target->target_id);
	if (!file->is_late)
		return add_under_number(r, epoll, file->fd, number, target);
	borrowed = restore_borrow_late(file);
	return borrowed < 0 ? borrowed : add_under_number(r, epoll, borrowed, number, target);
}

static bool has_fired(const EventpollTfdEntry *target)
{
	return target->events & EPOLLONESHOT &&
	       !(target->events & ~(uint32_t)(EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE));
}

static bool takes_event(int epoll)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, 0) == 1;
}

/* A full pipe has room for the moment in which it is larger. */
static bool fire_writer(int epoll, int fd)
{
	int bytes = fcntl(fd, F_GETPIPE_SZ);
	bool has_fired;

	if (bytes <= 0 || bytes > INT_MAX / 2 || fcntl(fd, F_SETPIPE_SZ, 2 * bytes) < 0)
		return false;
	has_fired = takes_event(epoll);
	(void)fcntl(fd, F_SETPIPE_SZ, bytes);
	return has_fired;
}

/* An empty pipe has a byte to read for the moment. */
static bool fire_reader(int epoll, int fd)
{
	AUTO_CLOSE int writer = restore_reopen(fd, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	bool has_fired;
	char byte = 0;

	if (writer < 0 || write(writer, &byte, 1) != 1)
		return false;
	has_fired = takes_event(epoll);
	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	return has_fired;
}

/*
 * Of pipes that nobody outside can have: where the user has given some, which of them these are is not known here. With
 * O_ASYNC the program would get a signal.
 */
static bool fire_pipe(const struct restore *r, int epoll, int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	struct statfs fs;

	if (flags < 0 || flags & O_ASYNC || r->opts->inherit_fd_count || fstatfs(fd, &fs) < 0 ||
	    fs.f_type != PIPEFS_MAGIC)
		return false;
	return (flags & O_ACCMODE) == O_RDONLY ? fire_reader(epoll, fd) : fire_writer(epoll, fd);
}

/* Nothing else is in the epoll yet: the only event there can be is the one that is wanted. */
static int add_fired(const struct restore *r, int epoll, const EventpollTfdEntry *target)
{
	EventpollTfdEntry armed = *target;
	const struct restore_file *file;
	struct epoll_event event;
	int result;

	armed.events |= EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
	result = add_any(r, epoll, &armed);
	if (result < 0 || takes_event(epoll))
		return result;
	file = target->has_target_id ? restore_find_file(r, FD_TYPES__UND, target->target_id) : NULL;
	if (fire_pipe(r, epoll, file ? file->fd : (int)target->tfd))
		return 0;
	if (target->has_target_id)
		return 0; /* it has no number to change it by; it was not ready for anything */
	event = (struct epoll_event){ .events = target->events, .data.u64 = target->data };
	return epoll_ctl(epoll, EPOLL_CTL_MOD, (int)target->tfd, &event) < 0 ? -errno : 0;
}

/* What is in the epoll now reports once and no more. */
static int throw_away(int epoll)
{
	struct epoll_event events[64];
	int n;

	do
		n = epoll_wait(epoll, events, ARRAY_SIZE(events), 0);
	while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/* In this order: the earlier ones need an epoll that has nothing else to report. */
enum add_pass { ADD_FIRED, ADD_REPORTED, ADD_REST, ADD_PASSES };

static enum add_pass pass_of(const EventpollTfdEntry *target)
{
	if (has_fired(target))
		return ADD_FIRED;
	return target->has_reported && target->reported && target->events & EPOLLET ? ADD_REPORTED : ADD_REST;
}

static int finish_epoll(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			struct error *err)
{
	const EventpollFileEntry *epoll = file->entry->epfd;

	for (enum add_pass pass = 0; pass < ADD_PASSES; pass++) {
		size_t added = 0;
		int result = 0;

		for (size_t i = 0; i < epoll->n_tfd; i++) {
			const EventpollTfdEntry *target = epoll->tfd[i];

			if (pass_of(target) != pass || thread_file_watched(r, task, target))
				continue;
			added++;
			result = pass == ADD_FIRED ? add_fired(r, fd, target) : add_any(r, fd, target);
			if (result < 0)
				return error_set(err, result, "epoll, fd %d: watch descriptor %u", file->first_fd,
						 target->tfd);
		}
		if (pass == ADD_REPORTED && added)
			result = throw_away(fd);
		if (result < 0)
			return error_set(err, result, "epoll, fd %d: wait", file->first_fd);
	}
	return 0;
}

static const FownEntry *epoll_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->epfd->flags;
	return entry->epfd->fown;
}

const struct file_kind epoll_kind = {
	.name = "epoll",
	.type = FD_TYPES__EVENTPOLL,
	.is = is_epoll,
	.read = read_epoll,
	.look = look_epoll,
	.save = save_epoll,
	.check = check_epoll,
	.open = open_epoll,
	.finish = finish_epoll,
	.owner = epoll_owner,
	.finish_last = true,
};
