#include "files/file-facts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "kernel/features.h"

struct listed {
	const struct task *task;
	struct bpf_file *files;
	size_t count;
	struct listed *next;
};

struct file_facts {
	pthread_t thread;
	bool is_running;
	sem_t go_on;              /* for the thread, when it has made everything ready */
	bool is_told;             /* to go on */
	const struct task *first; /* to be listed by the thread */
	int result;               /* -errno: nothing can be had */
	int program_fd;
	uint64_t event_operations, anonymous_inode, pipe_superblock;
	struct stat anonymous, pipe;
	int anonymous_mnt_id, pipe_mnt_id;
	bool asked_watchers, knows_watchers;
	struct listed *lists;
};

/* --- files of our own -------------------------------------------------------------------------------------------- */

enum specimen { EVENT, OWNED_EVENT, PIPE, FILLED_PIPE, PLAIN, LOCKED, SPECIMENS };

#define EVENT_COUNT  0x1234567
#define POSITION     0x89abc
#define FILLED_SLOTS 2
#define FILLED_UID   1
#define FILLED_GID   2

static const struct bpf_file *find(const struct bpf_file *files, size_t count, int fd)
{
	for (size_t i = 0; i < count; i++)
		if (files[i].fd == (uint64_t)fd)
			return &files[i];
	return NULL;
}

static int make_pipe(int *ret_fd, bool filled)
{
	AUTO_CLOSE int other_end = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*ret_fd = ends[0];
	other_end = ends[1];
	if (filled && (fcntl(other_end, F_SETPIPE_SZ, FILLED_SLOTS * PAGE_BYTES) < 0 || write(other_end, "", 1) != 1 ||
		       fchown(other_end, FILLED_UID, FILLED_GID) < 0))
		return -errno;
	return 0;
}

static int make_specimens(int fds[SPECIMENS])
{
	int r;

	fds[EVENT] = eventfd(EVENT_COUNT, EFD_CLOEXEC | EFD_SEMAPHORE);
	fds[OWNED_EVENT] = eventfd(0, EFD_CLOEXEC);
	fds[PLAIN] = memfd_create("plain", MFD_CLOEXEC);
	fds[LOCKED] = memfd_create("locked", MFD_CLOEXEC);
	r = make_pipe(&fds[PIPE], false);
	if (r == 0)
		r = make_pipe(&fds[FILLED_PIPE], true);
	if (r < 0)
		return r;
	for (int i = 0; i < SPECIMENS; i++)
		if (fds[i] < 0)
			return -errno;
	if (fcntl(fds[OWNED_EVENT], F_SETOWN, getpid()) < 0 || lseek(fds[PLAIN], POSITION, SEEK_SET) < 0 ||
	    flock(fds[LOCKED], LOCK_EX) < 0 || flock(fds[PLAIN], LOCK_EX) < 0 || flock(fds[PLAIN], LOCK_UN) < 0 ||
	    fcntl(fds[PIPE], F_SETFD, 0) < 0)
		return -errno;
	return 0;
}

static int stat_specimen(int fd, struct stat *ret_st, int *ret_mnt_id)
{
	struct statx sx;

	if (fstat(fd, ret_st) < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) < 0)
		return -errno;
	*ret_mnt_id = sx.stx_mask & STATX_MNT_ID ? (int)sx.stx_mnt_id : -1;
	return 0;
}

static bool is_true(const struct bpf_file *const found[SPECIMENS], const struct file_facts *facts)
{
	const struct bpf_file *event = found[EVENT], *owned = found[OWNED_EVENT], *pipe = found[PIPE];
	const struct bpf_file *plain = found[PLAIN], *locked = found[LOCKED], *filled = found[FILLED_PIPE];

	return event->flags == O_RDWR && event->event_count == EVENT_COUNT && event->event_flags & EFD_SEMAPHORE &&
	       !(owned->event_flags & EFD_SEMAPHORE) && event->operations == owned->operations && event->operations &&
	       event->inode == owned->inode && event->inode && event->id != owned->id && !event->owner &&
	       owned->owner && BPF_FILE_CLOSES(event) && BPF_FILE_CLOSES(filled) && !BPF_FILE_CLOSES(pipe) &&
	       pipe->flags == (O_RDONLY | O_NONBLOCK) && pipe->operations != event->operations &&
	       pipe->inode_number == facts->pipe.st_ino && pipe->mode == facts->pipe.st_mode && pipe->superblock &&
	       pipe->superblock != event->superblock && plain->position == POSITION && !plain->locks &&
	       !locked->position && locked->locks && plain->superblock == locked->superblock &&
	       plain->superblock != pipe->superblock && S_ISREG(plain->mode) && plain->entry && plain->mount &&
	       plain->entry != locked->entry && plain->mount == locked->mount && pipe->pipe_head == pipe->pipe_tail &&
	       filled->pipe_head == filled->pipe_tail + 1 && filled->pipe_slots == FILLED_SLOTS &&
	       filled->uid == FILLED_UID && filled->gid == FILLED_GID;
}

static int learn_from(struct file_facts *facts, const int fds[SPECIMENS])
{
	AUTO_FREE struct bpf_file *files = NULL;
	const struct bpf_file *found[SPECIMENS];
	size_t count = 0;
	int r = bpf_files_list(facts->program_fd, getpid(), &files, &count);

	if (r == 0)
		r = stat_specimen(fds[EVENT], &facts->anonymous, &facts->anonymous_mnt_id);
	if (r == 0)
		r = stat_specimen(fds[PIPE], &facts->pipe, &facts->pipe_mnt_id);
	if (r < 0)
		return r;
	for (int i = 0; i < SPECIMENS; i++) {
		found[i] = find(files, count, fds[i]);
		if (!found[i])
			return -EIO;
	}
	if (!is_true(found, facts))
		return -EIO;
	facts->event_operations = found[EVENT]->operations;
	facts->anonymous_inode = found[EVENT]->inode;
	facts->pipe_superblock = found[PIPE]->superblock;
	return 0;
}

static int learn(struct file_facts *facts)
{
	int fds[SPECIMENS] = { -1, -1, -1, -1, -1, -1 };
	int r = make_specimens(fds);

	if (r == 0)
		r = learn_from(facts, fds);
	for (int i = 0; i < SPECIMENS; i++)
		close_fd(&fds[i]);
	return r;
}

/* --- epolls of our own, which watch each other and an eventfd ---------------------------------------------------- */

/* The last one is watched more often than is told. */
enum watching { EPOLL, OTHER_EPOLL, UNWATCHED, ONCE, OFTEN, WATCHING };

#define OTHER_NUMBERS 6 /* one is closed again, the others are copies of OFTEN */

static int add(int epoll, int fd)
{
	struct epoll_event event = { .events = 0 };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int make_watching(int fds[WATCHING], int others[OTHER_NUMBERS])
{
	int r = 0;

	fds[EPOLL] = epoll_create1(EPOLL_CLOEXEC);
	fds[OTHER_EPOLL] = epoll_create1(EPOLL_CLOEXEC);
	for (int i = UNWATCHED; i < WATCHING; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	for (int i = 0; i < WATCHING; i++)
		if (fds[i] < 0)
			return -errno;
	for (int i = 0; i < OTHER_NUMBERS && r == 0; i++) {
		others[i] = fcntl(fds[i ? OFTEN : ONCE], F_DUPFD_CLOEXEC, 0);
		r = others[i] < 0 ? -errno : add(fds[EPOLL], others[i]);
	}
	if (r == 0)
		r = add(fds[OTHER_EPOLL], fds[EPOLL]);
	return r;
}

static bool is_watched_by(const struct bpf_file *file, const struct bpf_file *epoll, int number)
{
	for (int i = 0; i < BPF_FILE_WATCHERS; i++)
		if (file->watchers[i].epoll == epoll->private_data && file->watchers[i].number == (uint64_t)number)
			return true;
	return false;
}

static int count_watchers(const struct bpf_file *file)
{
	int count = 0;

	while (count < BPF_FILE_WATCHERS && file->watchers[count].epoll)
		count++;
	return count;
}

static bool are_watchers_true(const struct bpf_file *const found[WATCHING], const int fds[WATCHING],
			      const int others[OTHER_NUMBERS])
{
	const struct bpf_file *epoll = found[EPOLL], *other = found[OTHER_EPOLL], *often = found[OFTEN];
	int told = 0;

	for (int i = 1; i < OTHER_NUMBERS; i++)
		told += is_watched_by(often, epoll, others[i]);
	return epoll->private_data && other->private_data && epoll->private_data != other->private_data &&
	       count_watchers(found[UNWATCHED]) == 0 && count_watchers(other) == 0 && count_watchers(epoll) == 1 &&
	       is_watched_by(epoll, other, fds[EPOLL]) && count_watchers(found[ONCE]) == 1 &&
	       is_watched_by(found[ONCE], epoll, others[0]) && told == BPF_FILE_WATCHERS;
}

static int learn_watchers_from(struct file_facts *facts, const int fds[WATCHING], const int others[OTHER_NUMBERS])
{
	AUTO_FREE struct bpf_file *files = NULL;
	const struct bpf_file *found[WATCHING];
	size_t count = 0;
	int r = bpf_files_list(facts->program_fd, getpid(), &files, &count);

	if (r < 0)
		return r;
	for (int i = 0; i < WATCHING; i++) {
		found[i] = find(files, count, fds[i]);
		if (!found[i])
			return -EIO;
	}
	return are_watchers_true(found, fds, others) ? 0 : -EIO;
}

static int learn_watchers(struct file_facts *facts)
{
	int fds[WATCHING] = { -1, -1, -1, -1, -1 }, others[OTHER_NUMBERS] = { -1, -1, -1, -1, -1, -1 };
	int r = make_watching(fds, others);

	if (others[0] >= 0)
		(void)close(others[0]); /* its number goes on being told */
	if (r == 0)
		r = learn_watchers_from(facts, fds, others);
	for (int i = 0; i < WATCHING; i++)
		close_fd(&fds[i]);
	for (int i = 1; i < OTHER_NUMBERS; i++)
		close_fd(&others[i]);
	return r;
}

/* --- those of tasks ---------------------------------------------------------------------------------------------- */

static int check_ascending(const struct listed *list)
{
	for (size_t i = 1; i < list->count; i++)
		if (list->files[i].fd <= list->files[i - 1].fd)
			return -EBUSY;
	return 0;
}

static int list_task(struct file_facts *facts, const struct task *task)
{
	struct listed *list = calloc(1, sizeof(*list));
	int r = list ? bpf_files_list(facts->program_fd, task->acting_tid, &list->files, &list->count) : -ENOMEM;

	if (r == 0)
		r = check_ascending(list);
	if (r < 0) {
		if (list)
			free(list->files);
		free(list);
		return r;
	}
	list->task = task;
	list->next = facts->lists;
	facts->lists = list;
	return 0;
}

int file_facts_list(struct file_facts *facts, const struct task *task, const struct bpf_file **ret_files,
		    size_t *ret_count)
{
	int r = facts->lists && facts->lists->task == task ? 0 : list_task(facts, task);

	if (r < 0)
		return r;
	*ret_files = facts->lists->files;
	*ret_count = facts->lists->count;
	return 0;
}

int file_facts_list_own(const struct file_facts *facts, struct bpf_file **ret_files, size_t *ret_count)
{
	return bpf_files_list(facts->program_fd, getpid(), ret_files, ret_count);
}

static void make_ready(struct file_facts *facts)
{
	facts->program_fd = bpf_files_open();
	facts->result = facts->program_fd < 0 ? facts->program_fd : learn(facts);
	if (facts->result < 0)
		log_debug("files: asked one by one, the kernel's own records cannot be read: %s",
			  strerror(-facts->result));
}

static void *run_ahead(void *arg)
{
	struct file_facts *facts = arg;

	make_ready(facts);
	while (sem_wait(&facts->go_on) < 0)
		; /* a signal: it is noted by whoever it was for */
	if (facts->result == 0 && facts->first)
		(void)list_task(facts, facts->first);
	return NULL;
}

struct file_facts *file_facts_start(bool in_thread)
{
	struct file_facts *facts = feature_is_masked("bpf_files") ? NULL : calloc(1, sizeof(*facts));

	if (!facts)
		return NULL;
	if (in_thread && sem_init(&facts->go_on, 0, 0) == 0)
		facts->is_running = pthread_create(&facts->thread, NULL, run_ahead, facts) == 0;
	if (!facts->is_running)
		make_ready(facts);
	return facts;
}

static void go_on(struct file_facts *facts, const struct task *task)
{
	if (facts->is_told)
		return;
	facts->is_told = true;
	facts->first = task;
	(void)sem_post(&facts->go_on);
}

void file_facts_list_ahead(struct file_facts *facts, const struct task *task)
{
	if (facts && facts->is_running)
		go_on(facts, task);
}

static void wait_ready(struct file_facts *facts)
{
	if (!facts->is_running)
		return;
	go_on(facts, NULL);
	(void)pthread_join(facts->thread, NULL);
	facts->is_running = false;
}

bool file_facts_are_ready(struct file_facts *facts)
{
	if (!facts)
		return false;
	wait_ready(facts);
	return facts->result == 0;
}

void file_facts_free(struct file_facts *facts)
{
	if (!facts)
		return;
	wait_ready(facts);
	close_fd(&facts->program_fd);
	while (facts->lists) {
		struct listed *list = facts->lists;

		facts->lists = list->next;
		free(list->files);
		free(list);
	}
	free(facts);
}

bool file_facts_fill(const struct file_facts *facts, const struct bpf_file *from, struct open_file *file)
{
	if (from->owner)
		return false;
	if (from->inode == facts->anonymous_inode) {
		file->st = facts->anonymous;
		file->mnt_id = facts->anonymous_mnt_id;
		return true;
	}
	if (from->superblock == facts->pipe_superblock) {
		file->st = facts->pipe;
		file->st.st_ino = from->inode_number;
		file->st.st_mode = (mode_t)from->mode;
		file->st.st_uid = (uid_t)from->uid;
		file->st.st_gid = (gid_t)from->gid;
		file->mnt_id = facts->pipe_mnt_id;
		return true;
	}
	return false;
}

bool file_facts_is_eventfd(const struct file_facts *facts, const struct bpf_file *from)
{
	return from->operations == facts->event_operations;
}

bool file_facts_know_watchers(struct file_facts *facts)
{
	int r;

	if (!file_facts_are_ready(facts))
		return false;
	if (facts->asked_watchers)
		return facts->knows_watchers;
	facts->asked_watchers = true;
	r = learn_watchers(facts);
	facts->knows_watchers = r == 0;
	if (r < 0)
		log_debug("files: what epolls watch is asked one by one: %s", strerror(-r));
	return facts->knows_watchers;
}
