/* Descriptors that the restorer needs for itself: the files it maps and reads from, closed once the memory is there. */
#include "pie/restorer-files.h"

#include <linux/fcntl.h>

#include "pie/restorer-report.h"

#define CALL_PIDFD_OPEN  434
#define CALL_CLOSE_RANGE 436
#define EPOLL_ADD        1

/* The kernel's, without what compilers put between. */
struct epoll_record {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));

/* The images were checked: a file that was exchanged since is noticed when it is read. */
void open_pages(struct restorer_task *heir)
{
	long fd;

	if (heir->pages_file < 0)
		return;
	enter(heir, STEP_OPEN_PAGES);
	fd = SYS4(__NR_openat, heir->images_dirfd, heir->pages_name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	check(heir, fd, 0);
	heir->files[heir->pages_file] = (int32_t)fd;
}

void bequeath_files(const struct restorer_task *task, struct restorer_task *heir)
{
	for (uint64_t i = 0; i < heir->file_count; i++)
		if ((int32_t)i != heir->pages_file)
			heir->files[i] = task->files[heir->files[i]];
}

void close_files(struct restorer_task *task)
{
	/* In a table that others use as well the last one cleans up: until then they need theirs. */
	if (task->table_users && __atomic_sub_fetch(task->table_users, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	for (uint64_t i = 0; i < task->closing_count; i++)
		(void)SYS3(CALL_CLOSE_RANGE, task->closings[i].first, task->closings[i].last, 0);
	enter(task, STEP_FILE_LOCK);
	for (uint64_t i = 0; i < task->file_lock_count; i++)
		check(task, SYS3(__NR_fcntl, task->file_locks[i].fd, F_SETLK, &task->file_locks[i]),
		      task->file_locks[i].fd);
}

static long open_thread_file(const struct restorer_thread_file *file)
{
	if (file->path)
		return SYS4(__NR_openat, AT_FDCWD, file->path, file->flags | O_CLOEXEC, 0);
	return SYS2(CALL_PIDFD_OPEN, file->tid, file->flags);
}

void open_thread_files(struct restorer_task *task)
{
	enter(task, STEP_THREAD_FILE);
	for (uint64_t i = 0; i < task->thread_file_count; i++) {
		const struct restorer_thread_file *file = &task->thread_files[i];
		long fd = file->same_as >= 0 ? file->same_as : open_thread_file(file);

		check(task, fd, file->fd);
		check(task, SYS3(__NR_dup3, fd, file->fd, file->fd_flags), file->fd);
		if (file->same_as < 0)
			(void)SYS1(__NR_close, fd);
	}
	enter(task, STEP_WATCH);
	for (uint64_t i = 0; i < task->watch_count; i++) {
		const struct restorer_watch *watch = &task->watches[i];
		struct epoll_record event = { watch->events, watch->data };

		check(task, SYS4(__NR_epoll_ctl, watch->epoll, EPOLL_ADD, watch->fd, &event), watch->fd);
	}
}
