#include "files/thread-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "engine/dump.h"
#include "files/file-kinds.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "image/image-check.h"
#include "images/eventpoll.pb-c.h"
#include "images/pidfd.pb-c.h"
#include "mm/restore-area.h"
#include "pie/restorer-border.h"

/* The numbers of "/proc/A" and "/proc/A/task/B" and what is below; 0: there is none. */
static void parse_path(const char *path, pid_t *ret_process, pid_t *ret_thread)
{
	char *end;

	*ret_process = *ret_thread = 0;
	if (strncmp(path, "/proc/", strlen("/proc/")) != 0 || path[6] < '1' || path[6] > '9')
		return;
	*ret_process = (pid_t)strtoul(path + 6, &end, 10);
	if (strncmp(end, "/task/", strlen("/task/")) == 0 && end[6] >= '1' && end[6] <= '9')
		*ret_thread = (pid_t)strtoul(end + 6, NULL, 10);
}

/* --- dump ----------------------------------------------------------------------------------------------------- */

static const struct task *find_process(const struct dump *d, pid_t tid)
{
	for_each_task (d, task)
		for (size_t i = 0; i < task->thread_count; i++)
			if (task->threads[i].tid == tid && tid != task->host_pid)
				return task;
	return NULL;
}

bool thread_is_of_tree(const struct dump *d, pid_t tid)
{
	return find_process(d, tid) != NULL;
}

pid_t thread_of_path(const struct dump *d, const char *path)
{
	pid_t process, thread;

	parse_path(path, &process, &thread);
	if (thread && thread_is_of_tree(d, thread))
		return thread;
	return process && thread_is_of_tree(d, process) ? process : 0;
}

static bool has_file(const struct task *task, const struct open_file *file)
{
	const struct task *owner = task->files_owner;

	for (size_t i = 0; owner && i < owner->fd_count; i++)
		if (owner->fds[i].file == file)
			return true;
	return false;
}

int thread_file_look(const struct dump *d, const struct open_file *file, pid_t tid, struct error *err)
{
	const struct task *process = find_process(d, tid);

	for_each_task (d, task) {
		if (task == process || !has_file(task, file))
			continue;
		error_hint(err, "have the program close it before the dump and make it again after the restore");
		return open_file_refuse(file, err,
					"stands for thread %d of process %d, and process %d has it, too: only the "
					"thread's own process may",
					tid, process ? process->host_pid : 0, task->host_pid);
	}
	return 0;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

static const struct checked_task *find_restored(const struct restore *r, pid_t tid)
{
	for (size_t i = 0; i < r->images->task_count; i++) {
		const struct checked_task *task = &r->images->tasks[i];

		for (size_t k = 1; k < task->thread_count; k++)
			if (task->threads[k].tid == (uint32_t)tid)
				return task;
	}
	return NULL;
}

pid_t thread_of_images(const struct restore *r, const char *path)
{
	pid_t process, thread;

	parse_path(path, &process, &thread);
	if (thread && find_restored(r, thread))
		return thread;
	return process && find_restored(r, process) ? process : 0;
}

static size_t count_users(const struct restore *r, const struct restore_file *file)
{
	size_t count = 0;

	for (size_t i = 0; i < r->images->task_count; i++) {
		const struct checked_fd_table *table = r->images->tasks[i].fds;

		for (size_t k = 0; table && k < table->count; k++)
			if (table->entries[k]->id == file->id && table->entries[k]->type == file->entry->type) {
				count++;
				break;
			}
	}
	return count;
}

int thread_file_check(struct restore *r, struct restore_file *file, pid_t tid, struct error *err)
{
	const struct checked_task *process = find_restored(r, tid);

	if (!process)
		return restore_refuse(r, file, err, "stands for thread %d, which is not in the images", tid);
	if (!file->first_user || file->first_user->image != process || count_users(r, file) != 1)
		return restore_refuse(r, file, err, "stands for thread %d, and is not of the thread's process alone",
				      tid);
	file->is_late = true;
	file->thread = tid;
	return 0;
}

static bool is_of_thread(const struct restore *r, const FdinfoEntry *entry)
{
	const struct restore_file *file = restore_find_file(r, entry->type, entry->id);

	return file && file->thread;
}

static size_t count_files(const struct restore *r, const struct checked_task *task, size_t *ret_path_bytes)
{
	size_t count = 0;

	*ret_path_bytes = 0;
	for (size_t i = 0; task->fds && i < task->fds->count; i++) {
		const FdinfoEntry *entry = task->fds->entries[i];

		if (!is_of_thread(r, entry))
			continue;
		count++;
		if (entry->type == FD_TYPES__REG)
			*ret_path_bytes +=
			    area_room(1, strlen(restore_find_file(r, entry->type, entry->id)->entry->reg->name) + 1);
	}
	return count;
}

/* Of its epolls at most so many can be for such files. */
static size_t count_watches(const struct restore *r, const struct checked_task *task)
{
	size_t count = 0;

	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *file = r->files[i];

		if (file->kind == &epoll_kind && file->first_user && file->first_user->image == task)
			count += file->entry->epfd->n_tfd;
	}
	return count;
}

uint64_t thread_files_room(const struct restore *r, const struct checked_task *task)
{
	size_t path_bytes, count = count_files(r, task, &path_bytes);

	if (count == 0)
		return 0;
	return area_room(count, sizeof(struct restorer_thread_file)) + path_bytes +
	       area_room(count_watches(r, task), sizeof(struct restorer_watch));
}

static int plan_file(struct restore *r, const struct restore_file *file, const FdinfoEntry *entry,
		     struct restorer_thread_file *to)
{
	*to = (struct restorer_thread_file){
		.fd = (int32_t)entry->fd,
		.fd_flags = entry->flags ? O_CLOEXEC : 0,
		.same_as = -1,
		.tid = file->thread,
	};
	if (file->first_fd != (int)entry->fd) {
		to->same_as = file->first_fd;
	} else if (file->entry->type == FD_TYPES__PIDFD) {
		to->flags = file->entry->pidfd->flags;
	} else {
		const RegFileEntry *reg = file->entry->reg;
		const char *path = area_memdup(r, reg->name, strlen(reg->name) + 1);

		if (!path)
			return -ENOMEM;
		to->path = (uint64_t)(uintptr_t)path;
		to->flags = restore_open_flags(reg->flags);
	}
	return 0;
}

bool thread_file_watched(const struct restore *r, const struct restore_task *task, const EventpollTfdEntry *target)
{
	const struct restore_file *file = target->has_target_id ? NULL : restore_file_of_fd(r, task, (int)target->tfd);

	return file && file->thread;
}

static void plan_watches(struct restore *r, const struct restore_task *task, struct restorer_watch *watches,
			 uint64_t *ret_count)
{
	*ret_count = 0;
	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *epoll = r->files[i];

		if (epoll->kind != &epoll_kind || epoll->first_user != task)
			continue;
		for (size_t k = 0; k < epoll->entry->epfd->n_tfd; k++) {
			const EventpollTfdEntry *target = epoll->entry->epfd->tfd[k];

			if (thread_file_watched(r, task, target))
				watches[(*ret_count)++] = (struct restorer_watch){
					.epoll = epoll->first_fd,
					.fd = (int32_t)target->tfd,
					.events = target->events,
					.data = target->data,
				};
		}
	}
}

int thread_files_plan(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	size_t path_bytes, count = count_files(r, task->image, &path_bytes);

	if (count == 0)
		return 0;
	restorer->thread_files = area_alloc(r, count * sizeof(*restorer->thread_files));
	restorer->watches = area_alloc(r, count_watches(r, task->image) * sizeof(*restorer->watches));
	if (!restorer->thread_files || !restorer->watches)
		return error_set(err, -ENOMEM, "restore area");
	for (size_t i = 0; i < task->image->fds->count; i++) {
		const FdinfoEntry *entry = task->image->fds->entries[i];
		int result;

		if (!is_of_thread(r, entry))
			continue;
		result = plan_file(r, restore_find_file(r, entry->type, entry->id), entry,
				   &restorer->thread_files[restorer->thread_file_count++]);
		if (result < 0)
			return error_set(err, result, "restore area");
	}
	plan_watches(r, task, restorer->watches, &restorer->watch_count);
	return 0;
}
