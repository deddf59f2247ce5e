/*
 * Files of old versions. What they kept in files of their own is moved to where current versions have it: open files by
 * type become file_entry records, and process state goes into the core and mm messages. The rest of the check, and the
 * restore, knows only the current form.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "image/image-check-private.h"
#include "images/eventpoll.pb-c.h"
#include "images/fsnotify.pb-c.h"

#define ROW(file_type, member, entry_type, descriptor_, kind)                                                          \
	{                                                                                                              \
		FD_TYPES__##file_type, offsetof(FileEntry, member), offsetof(entry_type, id), &descriptor_, kind       \
	}

static const struct file_row rows[] = {
	ROW(REG, reg, RegFileEntry, reg_file_entry__descriptor, IMAGE_OLD_REG_FILES),
	ROW(PIPE, pipe, PipeEntry, pipe_entry__descriptor, IMAGE_OLD_PIPES),
	ROW(FIFO, fifo, FifoEntry, fifo_entry__descriptor, IMAGE_OLD_FIFO),
	ROW(INETSK, isk, InetSkEntry, inet_sk_entry__descriptor, IMAGE_OLD_INETSK),
	ROW(UNIXSK, usk, UnixSkEntry, unix_sk_entry__descriptor, IMAGE_OLD_UNIXSK),
	ROW(EVENTFD, efd, EventfdFileEntry, eventfd_file_entry__descriptor, IMAGE_OLD_EVENTFD),
	ROW(EVENTPOLL, epfd, EventpollFileEntry, eventpoll_file_entry__descriptor, IMAGE_OLD_EVENTPOLL),
	ROW(INOTIFY, ify, InotifyFileEntry, inotify_file_entry__descriptor, IMAGE_OLD_INOTIFY),
	ROW(SIGNALFD, sgfd, SignalfdEntry, signalfd_entry__descriptor, IMAGE_OLD_SIGNALFD),
	ROW(PACKETSK, psk, PacketSockEntry, packet_sock_entry__descriptor, IMAGE_OLD_PACKETSK),
	ROW(TTY, tty, TtyFileEntry, tty_file_entry__descriptor, IMAGE_OLD_TTY),
	ROW(FANOTIFY, ffy, FanotifyFileEntry, fanotify_file_entry__descriptor, IMAGE_OLD_FANOTIFY),
	ROW(NETLINKSK, nlsk, NetlinkSkEntry, netlink_sk_entry__descriptor, IMAGE_OLD_NETLINKSK),
	ROW(NS, nsf, NsFileEntry, ns_file_entry__descriptor, IMAGE_OLD_NS_FILES),
	ROW(TUNF, tunf, TunfileEntry, tunfile_entry__descriptor, IMAGE_OLD_TUNFILE),
	ROW(EXT, ext, ExtFileEntry, ext_file_entry__descriptor, IMAGE_OLD_EXT_FILES),
	ROW(TIMERFD, tfd, TimerfdEntry, timerfd_entry__descriptor, IMAGE_OLD_TIMERFD),
	/* these are younger than files.img */
	ROW(MEMFD, memfd, MemfdFileEntry, memfd_file_entry__descriptor, IMAGE_KINDS),
	ROW(BPFMAP, bpf, BpfmapFileEntry, bpfmap_file_entry__descriptor, IMAGE_KINDS),
	ROW(PIDFD, pidfd, PidfdEntry, pidfd_entry__descriptor, IMAGE_OLD_PIDFD),
	/* of this program alone */
	ROW(IO_URING, io_uring, IoUringFileEntry, io_uring_file_entry__descriptor, IMAGE_KINDS),
};

const struct file_row *file_rows(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(rows);
	return rows;
}

const struct file_row *file_row_of(FdTypes type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].type == type)
			return &rows[i];
	}
	return NULL;
}

/* A file_entry that takes over the message; NULL when out of memory. */
static FileEntry *wrap_file(const struct file_row *row, void *message)
{
	FileEntry *entry = malloc(sizeof(*entry));

	if (!entry)
		return NULL;
	file_entry__init(entry);
	entry->type = row->type;
	memcpy(&entry->id, (char *)message + row->id_offset, sizeof(entry->id));
	memcpy((char *)entry + row->member_offset, &message, sizeof(message));
	return entry;
}

static int wrap_list(const struct file_row *row, struct image_list *old, struct image_list *files, size_t *capacity)
{
	for (size_t i = 0; i < old->count; i++) {
		int r = array_reserve(&files->items, capacity, files->count, sizeof(*files->items));

		if (r < 0)
			return r;
		files->items[files->count] = wrap_file(row, old->items[i]);
		if (!files->items[files->count])
			return -ENOMEM;
		old->items[i] = NULL;
		files->count++;
	}
	return 0;
}

static FileEntry *find_entry(const struct image_list *files, FdTypes type, uint32_t id)
{
	for (size_t i = 0; i < files->count; i++) {
		FileEntry *entry = files->items[i];

		if (entry->type == type && entry->id == id)
			return entry;
	}
	return NULL;
}

static int append_message(void *array, size_t *count, void *message)
{
	void **items;

	memcpy(&items, array, sizeof(items));
	items = reallocarray(items, *count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	items[(*count)++] = message;
	memcpy(array, &items, sizeof(items));
	return 0;
}

/* What an epoll, inotify or fanotify descriptor watches was in a file of its own, under the id of the descriptor. */
static int attach_watch(const struct image_list *files, enum image_kind kind, void *message)
{
	FileEntry *entry;

	switch (kind) {
	case IMAGE_OLD_EVENTPOLL_TFD:
		entry = find_entry(files, FD_TYPES__EVENTPOLL, ((EventpollTfdEntry *)message)->id);
		return entry ? append_message(&entry->epfd->tfd, &entry->epfd->n_tfd, message) : -ENOENT;
	case IMAGE_OLD_INOTIFY_WD:
		entry = find_entry(files, FD_TYPES__INOTIFY, ((InotifyWdEntry *)message)->id);
		return entry ? append_message(&entry->ify->wd, &entry->ify->n_wd, message) : -ENOENT;
	default:
		entry = find_entry(files, FD_TYPES__FANOTIFY, ((FanotifyMarkEntry *)message)->id);
		return entry ? append_message(&entry->ffy->mark, &entry->ffy->n_mark, message) : -ENOENT;
	}
}

static int load_watches(struct checked_set *cs, enum image_kind kind, const struct image_list *files, struct error *err)
{
	const struct check_place at = { kind, 0, err };
	struct image_list list;
	int r = image_read_list(cs->set, kind, 0, image_type(kind)->message, &list, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < list.count && r == 0; i++) {
		r = attach_watch(files, kind, list.items[i]);
		if (r == 0)
			list.items[i] = NULL;
	}
	image_list_done(&list);
	if (r == -ENOENT)
		return check_bad(&at, "a watch of a file that is not there");
	return r < 0 ? error_set(err, r, "read old file images") : 0;
}

int load_old_files(struct checked_set *cs, struct image_list *ret_files, struct error *err)
{
	static const enum image_kind watches[] = { IMAGE_OLD_EVENTPOLL_TFD, IMAGE_OLD_INOTIFY_WD,
						   IMAGE_OLD_FANOTIFY_MARK };
	size_t capacity = 0;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows) && r == 0; i++) {
		struct image_list old = { 0 };

		if (rows[i].old_kind == IMAGE_KINDS)
			continue;
		r = image_read_list(cs->set, rows[i].old_kind, 0, rows[i].descriptor, &old, err);
		if (r == 0) {
			r = wrap_list(&rows[i], &old, ret_files, &capacity);
			image_list_done(&old);
			if (r < 0)
				(void)error_set(err, r, "read old file images");
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(watches) && r == 0; i++)
		r = load_watches(cs, watches[i], ret_files, err);
	return r;
}

/* Moves the records of an old file into a repeated field that is empty. */
static int adopt(struct checked_set *cs, enum image_kind kind, uint64_t id, void *array, size_t *count,
		 struct error *err)
{
	struct image_list list;
	int r = image_read_list(cs->set, kind, id, image_type(kind)->message, &list, err);

	if (r < 0)
		return r;
	if (list.count == 0) {
		free(list.items);
		return 0;
	}
	memcpy(array, &list.items, sizeof(list.items));
	*count = list.count;
	return 0;
}

static int adopt_rlimits(struct checked_set *cs, uint32_t pid, TaskCoreEntry *tc, struct error *err)
{
	tc->rlimits = malloc(sizeof(*tc->rlimits));
	if (!tc->rlimits)
		return error_set(err, -ENOMEM, "read resource limits");
	task_rlimits_entry__init(tc->rlimits);
	return adopt(cs, IMAGE_OLD_RLIMIT, pid, &tc->rlimits->rlimits, &tc->rlimits->n_rlimits, err);
}

static int adopt_signals(struct checked_set *cs, enum image_kind kind, uint32_t id, SignalQueueEntry **queue,
			 struct error *err)
{
	*queue = malloc(sizeof(**queue));
	if (!*queue)
		return error_set(err, -ENOMEM, "read pending signals");
	signal_queue_entry__init(*queue);
	return adopt(cs, kind, id, &(*queue)->signals, &(*queue)->n_signals, err);
}

/* Three records: real, virtual, profiling. POSIX timers had a file of their own even before. */
static int adopt_timers(struct checked_set *cs, uint32_t pid, TaskCoreEntry *tc, struct error *err)
{
	const struct check_place at = { IMAGE_OLD_ITIMERS, pid, err };
	struct image_list list;
	int r = image_read_list(cs->set, IMAGE_OLD_ITIMERS, pid, &itimer_entry__descriptor, &list, err);

	if (r < 0)
		return r;
	if (list.count != 3) {
		r = list.count ? check_bad(&at, "%zu interval timers, not 3", list.count) : 0;
		image_list_done(&list);
		return r;
	}
	tc->timers = malloc(sizeof(*tc->timers));
	if (!tc->timers) {
		image_list_done(&list);
		return error_set(err, -ENOMEM, "read timers");
	}
	task_timers_entry__init(tc->timers);
	tc->timers->real = list.items[0];
	tc->timers->virt = list.items[1];
	tc->timers->prof = list.items[2];
	free(list.items);
	return adopt(cs, IMAGE_OLD_POSIX_TIMERS, pid, &tc->timers->posix, &tc->timers->n_posix, err);
}

static int adopt_creds(struct checked_set *cs, uint32_t pid, ThreadCoreEntry *thread, struct error *err)
{
	int r = image_read_one(cs->set, IMAGE_OLD_CREDS, pid, &creds_entry__descriptor, &thread->creds, err);

	return r == -ENOENT && !error_is_set(err) ? 0 : r;
}

int load_old_task_parts(struct checked_set *cs, struct checked_task *task, struct error *err)
{
	CoreEntry *core = task->threads[0].core;
	TaskCoreEntry *tc = core->tc;
	uint32_t pid = task->entry->pid;
	int r = 0;

	if (!tc || !core->thread_core)
		return 0;
	if (tc->n_sigactions == 0)
		r = adopt(cs, IMAGE_OLD_SIGACTS, pid, &tc->sigactions, &tc->n_sigactions, err);
	if (r == 0 && !tc->rlimits)
		r = adopt_rlimits(cs, pid, tc, err);
	if (r == 0 && !tc->timers)
		r = adopt_timers(cs, pid, tc, err);
	if (r == 0 && !core->thread_core->creds)
		r = adopt_creds(cs, pid, core->thread_core, err);
	if (r == 0 && !tc->signals_s)
		r = adopt_signals(cs, IMAGE_OLD_SIGNAL_S, pid, &tc->signals_s, err);
	return r;
}

/* Once it was of the process: all its threads are under the same filters. */
static void adopt_seccomp(const TaskCoreEntry *process, ThreadCoreEntry *thread)
{
	if (!process || !process->has_old_seccomp_mode || thread->has_seccomp_mode)
		return;
	thread->has_seccomp_mode = true;
	thread->seccomp_mode = process->old_seccomp_mode;
	if (!process->has_old_seccomp_filter || thread->has_seccomp_filter)
		return;
	thread->has_seccomp_filter = true;
	thread->seccomp_filter = process->old_seccomp_filter;
}

int load_old_thread_parts(struct checked_set *cs, const struct checked_task *task, const struct checked_thread *thread,
			  struct error *err)
{
	ThreadCoreEntry *tc = thread->core->thread_core;

	if (!tc)
		return 0;
	adopt_seccomp(task->threads[0].core->tc, tc);
	if (tc->signals_p)
		return 0;
	return adopt_signals(cs, IMAGE_OLD_SIGNAL_P, thread->tid, &tc->signals_p, err);
}

int load_old_vmas(struct checked_set *cs, struct checked_task *task, struct error *err)
{
	return adopt(cs, IMAGE_OLD_VMAS, task->entry->pid, &task->mm->vmas, &task->mm->n_vmas, err);
}
