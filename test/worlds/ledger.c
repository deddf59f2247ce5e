/* The record of which descriptor stands for which description of an open file, in which table, and its checks. */
#include "world.h"

#include <poll.h>
#include <linux/kcmp.h>

struct object objects[MOST_OBJECTS];
int object_count;
struct description descriptions[MOST_DESCRIPTIONS];
int description_count;
struct handle handles[MOST_HANDLES];
int handle_count;
int last_task, last_fd;

struct object *object_make(const struct kind *kind, int task)
{
	struct object *object = &objects[object_count];

	EXPECT(object_count < MOST_OBJECTS);
	*object = (struct object){ .kind = kind, .number = object_count++ };
	kind->make(object, task);
	return object;
}

bool object_is_open(const struct object *object)
{
	return count_open(object, -1) > 0;
}

int count_open(const struct object *object, int role)
{
	int count = 0;

	for (int i = 0; i < description_count; i++) {
		const struct description *each = &descriptions[i];

		count += each->object == object && each->open && (role < 0 || each->role == role);
	}
	return count;
}

struct description *pick(const struct object *object, int role)
{
	int skip = count_open(object, role);

	if (!skip)
		return NULL;
	skip = (int)below((unsigned int)skip);
	for (int i = 0;; i++) {
		struct description *each = &descriptions[i];

		if (each->object == object && each->open && (role < 0 || each->role == role) && skip-- == 0)
			return each;
	}
}

/* --- descriptors ------------------------------------------------------------------------------------------------- */

int task_with_table(int table)
{
	int task;

	do {
		task = any_task();
	} while (tasks[task].table != table);
	return task;
}

struct handle *find_handle(int table, int fd)
{
	for (int i = 0; i < handle_count; i++)
		if (handles[i].of && handles[i].table == table && handles[i].fd == fd)
			return &handles[i];
	return NULL;
}

struct handle *any_handle(const struct description *description)
{
	int skip;

	EXPECT(description->open > 0);
	skip = (int)below((unsigned int)description->open);
	for (int i = 0;; i++)
		if (handles[i].of == description && skip-- == 0)
			return &handles[i];
}

struct description *pick_any(void)
{
	int open = 0, skip;

	for (int i = 0; i < description_count; i++)
		open += descriptions[i].open > 0;
	if (!open)
		return NULL;
	skip = (int)below((unsigned int)open);
	for (int i = 0;; i++)
		if (descriptions[i].open && skip-- == 0)
			return &descriptions[i];
}

static struct handle *new_handle(struct description *description, int task, long fd)
{
	struct handle *handle = &handles[handle_count];
	long flags;

	EXPECT(fd >= 0);
	EXPECT(!find_handle(tasks[task].table, (int)fd));
	for (handle = handles; handle->of; handle++)
		;
	if (handle == &handles[handle_count])
		EXPECT(++handle_count < MOST_HANDLES);
	flags = call(task, SYS_fcntl, fd, F_GETFD);
	EXPECT(flags >= 0);
	*handle = (struct handle){ description, tasks[task].table, (int)fd, flags & FD_CLOEXEC };
	description->open++;
	return handle;
}

/* Low and high ones. */
static int free_number(int table)
{
	int fd;

	do {
		fd = one_in(3) ? 100 + (int)below(MOST_NUMBER - 100) : 3 + (int)below(50);
	} while (find_handle(table, fd) || call(task_with_table(table), SYS_fcntl, fd, F_GETFD) != -EBADF);
	return fd;
}

struct description *adopt(struct object *object, int task, long fd, int role)
{
	struct description *description = &descriptions[description_count++];

	if (fd < 0)
		FAIL("%s %d: %s", object->kind->name, object->number, strerror((int)-fd));
	EXPECT(description_count < MOST_DESCRIPTIONS);
	*description = (struct description){ .object = object, .role = role };
	if (one_in(3)) {
		int number = free_number(tasks[task].table);

		EXPECT_EQ(call(task, SYS_dup3, fd, number, one_in(2) ? O_CLOEXEC : 0), number);
		EXPECT_EQ(call(task, SYS_close, fd), 0);
		fd = number;
	}
	new_handle(description, task, fd);
	return description;
}

long at_with(const struct description *description, long number, const long args[5])
{
	const struct handle *handle = any_handle(description);
	const long all[6] = { handle->fd, args[0], args[1], args[2], args[3], args[4] };

	last_task = task_with_table(handle->table);
	last_fd = handle->fd;
	return call_with(last_task, number, all);
}

struct handle *handle_dup(struct handle *handle)
{
	int task = task_with_table(handle->table), number = free_number(handle->table);
	long fd;

	if (one_in(3))
		fd = call(task, SYS_dup, handle->fd);
	else if (one_in(2))
		fd = call(task, SYS_fcntl, handle->fd, one_in(2) ? F_DUPFD : F_DUPFD_CLOEXEC, number);
	else
		fd = call(task, SYS_dup3, handle->fd, number, one_in(2) ? O_CLOEXEC : 0);
	return new_handle(handle->of, task, fd);
}

/* As by SCM_RIGHTS, without a socket. */
struct handle *handle_take(struct description *description, int task)
{
	const struct handle *handle = any_handle(description);
	long pidfd, fd;

	if (description->is_private || handle->table == tasks[task].table)
		return NULL;
	pidfd = call(task, SYS_pidfd_open, tasks[task_with_table(handle->table)].pid, 0);
	EXPECT(pidfd >= 0);
	fd = call(task, SYS_pidfd_getfd, pidfd, handle->fd, 0);
	EXPECT_EQ(call(task, SYS_close, pidfd), 0);
	return new_handle(description, task, fd);
}

static void forget_handle(struct handle *handle)
{
	struct description *description = handle->of;

	handle->of = NULL;
	description->open--;
	if (description->object->kind->closed)
		description->object->kind->closed(description, handle->table);
}

void handle_close(struct handle *handle)
{
	EXPECT_EQ(call(task_with_table(handle->table), SYS_close, handle->fd), 0);
	forget_handle(handle);
}

void table_fork(int from, int to)
{
	for (int i = 0, count = handle_count; i < count; i++) {
		struct handle *free = handles;

		if (!handles[i].of || handles[i].table != from)
			continue;
		while (free->of)
			free++;
		if (free == &handles[handle_count])
			EXPECT(++handle_count < MOST_HANDLES);
		*free = handles[i];
		free->table = to;
		free->of->open++;
	}
}

void table_drop(int table)
{
	for (int i = 0; i < handle_count; i++)
		if (handles[i].of && handles[i].table == table)
			forget_handle(&handles[i]);
}

int poll_events(const struct description *description)
{
	struct pollfd *entry = (void *)(scratch + SCRATCH_BYTES - sizeof(*entry));
	const struct handle *handle = any_handle(description);

	*entry = (struct pollfd){ .fd = handle->fd, .events = POLLIN | POLLOUT | POLLPRI };
	EXPECT(call(task_with_table(handle->table), SYS_poll, P(entry), 1, 0) >= 0);
	return entry->revents;
}

/* --- before and after -------------------------------------------------------------------------------------------- */

struct owner {
	int type, pid;
};

static void read_facts(const struct description *d, struct description *facts)
{
	struct owner *owner = (void *)scratch;

	facts->flags = (int)at(d, SYS_fcntl, F_GETFL);
	EXPECT_EQ(at(d, SYS_fstat, P(scratch)), 0);
	memcpy(&facts->stat, scratch, sizeof(facts->stat));
	if (d->is_path)
		return;
	EXPECT_EQ(at(d, SYS_fcntl, F_GETOWN_EX, P(owner)), 0);
	facts->owner_type = owner->type;
	facts->owner = owner->pid;
	facts->owner_signal = (int)at(d, SYS_fcntl, F_GETSIG);
}

void ledger_settle(void)
{
	for (int i = 0; i < object_count; i++)
		if (objects[i].kind->settle)
			objects[i].kind->settle(&objects[i]);
	for (int i = 0; i < description_count; i++)
		if (descriptions[i].open)
			read_facts(&descriptions[i], &descriptions[i]);
}

static long compare_files(const struct handle *a, const struct handle *b)
{
	return syscall(SYS_kcmp, tasks[task_with_table(a->table)].pid, tasks[task_with_table(b->table)].pid, KCMP_FILE,
		       a->fd, b->fd);
}

#define EXPECT_SAME(member) EXPECT_EQ(now.member, d->member)

static void check_facts(const struct description *d)
{
	struct description now = *d;

	note("%s %d, role %d: facts", d->object->kind->name, d->object->number, d->role);
	read_facts(d, &now);
	EXPECT_SAME(flags);
	EXPECT_SAME(owner_type);
	EXPECT_SAME(owner);
	EXPECT_SAME(owner_signal);
	EXPECT_SAME(stat.st_mode);
	EXPECT_SAME(stat.st_uid);
	EXPECT_SAME(stat.st_nlink);
	EXPECT_SAME(stat.st_rdev);
	EXPECT_SAME(stat.st_size);
	if (!d->object->kind->has_times)
		return;
	EXPECT_SAME(stat.st_mtim.tv_sec);
	EXPECT_SAME(stat.st_mtim.tv_nsec);
	if (d->object->was_mapped)
		return;
	EXPECT_SAME(stat.st_atim.tv_sec);
	EXPECT_SAME(stat.st_atim.tv_nsec);
}

/* Each description is one, and another than all others. */
static void check_sharing(void)
{
	const struct handle *firsts[MOST_DESCRIPTIONS] = { NULL };

	for (int i = 0; i < handle_count; i++) {
		const struct handle *handle = &handles[i];
		long index = handle->of ? handle->of - descriptions : 0, flags;

		if (!handle->of)
			continue;
		note("%s %d, role %d, fd %d of table %d", handle->of->object->kind->name, handle->of->object->number,
		     handle->of->role, handle->fd, handle->table);
		flags = call(task_with_table(handle->table), SYS_fcntl, handle->fd, F_GETFD);
		EXPECT_EQ(flags, handle->cloexec ? FD_CLOEXEC : 0);
		if (!firsts[index])
			firsts[index] = handle;
		else
			EXPECT_EQ(compare_files(firsts[index], handle), 0);
	}
	for (int i = 0; i < description_count; i++)
		for (int j = 0; j < i; j++)
			if (firsts[i] && firsts[j])
				EXPECT(compare_files(firsts[i], firsts[j]) > 0);
}

static void check_tables(void)
{
	note("tables");
	for (int i = 0; i < task_count; i++)
		for (int j = 0; j < i; j++)
			if (tasks[i].alive && tasks[j].alive)
				EXPECT_EQ(syscall(SYS_kcmp, tasks[i].tid, tasks[j].tid, KCMP_FILES, 0, 0) == 0,
					  tasks[i].table == tasks[j].table);
}

void ledger_check(void)
{
	check_tables();
	check_sharing();
	for (int i = 0; i < description_count; i++)
		if (descriptions[i].open)
			check_facts(&descriptions[i]);
}
