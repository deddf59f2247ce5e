/*
 * Locks: a file that several have open, with record locks of processes, locks of descriptions (OFD and flock). A lock
 * conflicts with those of others and not with one's own.
 */
#include "world.h"

#include <sys/file.h>

enum { BYTES = 16, MOST_OWNERS = 40 };

/* What each owner has of each byte: nothing, F_RDLCK + 1 or F_WRLCK + 1. Tables own record locks, descriptions OFD. */
struct locked {
	char by_table[MOST_TASKS][BYTES], by_description[MOST_OWNERS][BYTES];
	char flocks[MOST_OWNERS]; /* 0, LOCK_SH, LOCK_EX */
	int owners;
};

static bool conflicts(char held, char wanted)
{
	return held && wanted && (held == F_WRLCK + 1 || wanted == F_WRLCK + 1);
}

/* As a range of bytes: those of others that are in the way. */
static bool is_free(const struct locked *locked, const char *mine, int from, int to, char wanted)
{
	for (int byte = from; byte < to; byte++) {
		for (int i = 0; i < MOST_TASKS; i++)
			if (locked->by_table[i] != mine && conflicts(locked->by_table[i][byte], wanted))
				return false;
		for (int i = 0; i < locked->owners; i++)
			if (locked->by_description[i] != mine && conflicts(locked->by_description[i][byte], wanted))
				return false;
	}
	return true;
}

static void lock_range(struct locked *locked, const struct description *d)
{
	struct flock *lock = (void *)scratch;
	const struct handle *handle = any_handle(d);
	int task = task_with_table(handle->table), from = (int)below(BYTES), to = from + 1 + (int)below(BYTES);
	bool of_description = one_in(2);
	char *mine = of_description ? locked->by_description[d->role] : locked->by_table[handle->table];
	int type = one_in(4) ? F_UNLCK : one_in(2) ? F_RDLCK : F_WRLCK;
	char wanted = type == F_UNLCK ? 0 : (char)(type + 1);
	bool only_ask = one_in(4) && type != F_UNLCK;
	long r;

	if (to > BYTES)
		to = BYTES;
	*lock = (struct flock){ .l_type = (short)type, .l_start = from, .l_len = to - from };
	r = call(task, SYS_fcntl, handle->fd,
		 of_description ? (only_ask ? F_OFD_GETLK : F_OFD_SETLK) : (only_ask ? F_GETLK : F_SETLK), P(lock));
	if (only_ask) {
		EXPECT_EQ(r, 0);
		EXPECT_EQ(lock->l_type == F_UNLCK, is_free(locked, mine, from, to, wanted));
		return;
	}
	EXPECT_EQ(r, is_free(locked, mine, from, to, wanted) ? 0 : -EAGAIN);
	if (r == 0)
		memset(mine + from, wanted, (size_t)(to - from));
}

static void lock_all(struct locked *locked, const struct description *d)
{
	int how = one_in(4) ? LOCK_UN : one_in(2) ? LOCK_SH : LOCK_EX;
	bool is_free_now = true;
	long r;

	for (int i = 0; i < locked->owners; i++)
		if (i != d->role && locked->flocks[i] && (locked->flocks[i] == LOCK_EX || how == LOCK_EX))
			is_free_now = how == LOCK_UN;
	r = at(d, SYS_flock, how | LOCK_NB);
	EXPECT_EQ(r, is_free_now ? 0 : -EAGAIN);
	/* A change that cannot be made loses the lock there was. */
	locked->flocks[d->role] = (char)(r < 0 || how == LOCK_UN ? 0 : how);
}

static void open_once(struct object *object, int task)
{
	struct locked *locked = object->model;
	long fd;

	if (locked->owners == MOST_OWNERS)
		return;
	fd = call(task, SYS_openat, AT_FDCWD, path_of("locked%d", object->number), O_RDWR | some_of(O_CLOEXEC));
	/* To be given another number is to be closed once. */
	if (any_handle(adopt(object, task, fd, locked->owners++))->fd != fd)
		memset(locked->by_table[tasks[task].table], 0, BYTES);
}

static void make(struct object *object, int task)
{
	object->model = calloc(1, sizeof(struct locked));
	EXPECT_EQ(call(task, SYS_mknodat, AT_FDCWD, path_of("locked%d", object->number), S_IFREG | 0600, 0), 0);
	open_once(object, task);
	open_once(object, any_task());
	for (int i = 0; i < 4; i++)
		lock_range(object->model, pick(object, -1));
}

static void act(struct object *object)
{
	const struct description *d = pick(object, -1);

	if (one_in(6))
		open_once(object, any_task());
	for (int i = 0; i < 3; i++) {
		if (one_in(3))
			lock_all(object->model, d);
		else
			lock_range(object->model, d);
	}
}

/* Every byte, asked for by everybody. */
static void check(struct object *object)
{
	struct locked *locked = object->model;
	struct flock *lock = (void *)scratch;

	for (int i = 0; i < handle_count; i++) {
		const struct handle *handle = &handles[i];

		if (!handle->of || handle->of->object != object)
			continue;
		for (int byte = 0; byte < BYTES; byte++) {
			*lock = (struct flock){ .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };
			EXPECT_EQ(call(task_with_table(handle->table), SYS_fcntl, handle->fd, F_GETLK, P(lock)), 0);
			if ((lock->l_type == F_UNLCK) !=
			    is_free(locked, locked->by_table[handle->table], byte, byte + 1, F_WRLCK + 1))
				FAIL("byte %d for table %d: found lock %d", byte, handle->table, lock->l_type);
			*lock = (struct flock){ .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };
			EXPECT_EQ(call(task_with_table(handle->table), SYS_fcntl, handle->fd, F_OFD_GETLK, P(lock)), 0);
			if ((lock->l_type == F_UNLCK) !=
			    is_free(locked, locked->by_description[handle->of->role], byte, byte + 1, F_WRLCK + 1))
				FAIL("byte %d for description %d: found lock %d", byte, handle->of->role, lock->l_type);
		}
	}
}

/* A process loses its record locks with any descriptor of the file, a description its own with the last one. */
static void closed(struct description *d, int table)
{
	struct locked *locked = d->object->model;

	memset(locked->by_table[table], 0, BYTES);
	if (d->open)
		return;
	memset(locked->by_description[d->role], 0, BYTES);
	locked->flocks[d->role] = 0;
}

const struct kind lock_kind = { .name = "a locked file", .make = make, .act = act, .check = check, .closed = closed };
