/*
 * Pipes and fifos: what is in them, packets and bytes, capacity, ends that are closed, ends that were opened again
 * through /proc or by name, fifos without a name.
 */
#include "world.h"

#include <poll.h>
#include <sys/ioctl.h>

enum { READER, WRITER, BOTH, MOST_PIECES = 64, PIECE_BYTES = 4096, PIPE_FLAGS = O_NONBLOCK | O_DIRECT };

/* One write of a packet, or one of bytes. */
struct piece {
	int bytes, at;
	bool is_packet;
	unsigned char seed;
};

struct pipe {
	struct piece pieces[MOST_PIECES];
	int count;
	long capacity;
	char name[32]; /* of a fifo; empty without one */
	bool is_fifo;
	unsigned char next_seed;
};

static unsigned char byte_of(const struct piece *piece, int at)
{
	return (unsigned char)(piece->seed * 31 + at * 7);
}

static bool can_read(const struct description *d)
{
	return d->role != WRITER;
}

static bool can_write(const struct description *d)
{
	return d->role != READER;
}

static int count_ends(const struct object *object, int role)
{
	return count_open(object, role) + count_open(object, BOTH);
}

static int bytes_in(const struct pipe *pipe)
{
	int bytes = 0;

	for (int i = 0; i < pipe->count; i++)
		bytes += pipe->pieces[i].bytes - pipe->pieces[i].at;
	return bytes;
}

/* --- reading and writing ----------------------------------------------------------------------------------------- */

static void drop_piece(struct pipe *pipe)
{
	memmove(pipe->pieces, pipe->pieces + 1, sizeof(pipe->pieces[0]) * (size_t)--pipe->count);
}

/* What a read of so many bytes gives; into `to`. */
static int take_bytes(struct pipe *pipe, char *to, int most)
{
	int taken = 0;

	while (pipe->count && taken < most) {
		struct piece *piece = &pipe->pieces[0];
		bool is_packet = piece->is_packet;

		for (; taken < most && piece->at < piece->bytes; taken++)
			to[taken] = (char)byte_of(piece, piece->at++);
		if (is_packet || piece->at == piece->bytes)
			drop_piece(pipe);
		if (is_packet)
			break;
	}
	return taken;
}

static void read_some(struct object *object, const struct description *d, int most)
{
	static char expected[MOST_PIECES * PIECE_BYTES];
	struct pipe *pipe = object->model;
	int flags = (int)at(d, SYS_fcntl, F_GETFL), bytes;
	long n;

	if (!pipe->count && count_ends(object, WRITER)) {
		if (flags & O_NONBLOCK)
			EXPECT_EQ(at(d, SYS_read, P(scratch), 1), -EAGAIN);
		return;
	}
	bytes = take_bytes(pipe, expected, most);
	n = at(d, SYS_read, P(scratch), most);
	EXPECT_EQ(n, bytes);
	EXPECT_MEM(scratch, expected, (size_t)bytes);
}

static void write_some(struct object *object, const struct description *d)
{
	struct pipe *pipe = object->model;
	struct piece *piece = &pipe->pieces[pipe->count];
	int flags = (int)at(d, SYS_fcntl, F_GETFL);
	long n;

	if (pipe->count == MOST_PIECES)
		return;
	/* The kernel adds a packet to bytes of a stream if their page has room. */
	if (flags & O_DIRECT && pipe->count && !piece[-1].is_packet)
		return;
	*piece = (struct piece){ .bytes = 1 + (int)below(one_in(3) ? PIECE_BYTES : 60), .is_packet = flags & O_DIRECT };
	piece->seed = pipe->next_seed++;
	for (int i = 0; i < piece->bytes; i++)
		scratch[i] = (char)byte_of(piece, i);
	if (count_ends(object, READER) && !(flags & O_NONBLOCK) && !(poll_events(d) & POLLOUT))
		return;
	n = at(d, SYS_write, P(scratch), piece->bytes);
	if (!count_ends(object, READER)) {
		EXPECT_EQ(n, -EPIPE);
		return;
	}
	if (n == -EAGAIN)
		return;
	EXPECT_EQ(n, piece->bytes);
	pipe->count++;
}

static void check_state(struct object *object, const struct description *d)
{
	struct pipe *pipe = object->model;
	int events = poll_events(d);

	EXPECT_EQ(at(d, SYS_fcntl, F_GETPIPE_SZ), pipe->capacity);
	EXPECT_EQ(at(d, SYS_ioctl, FIONREAD, P(scratch)), 0);
	EXPECT_EQ(*(int *)scratch, bytes_in(pipe));
	if (can_read(d))
		EXPECT_EQ(!!(events & POLLIN), pipe->count > 0);
	if (can_read(d) && count_ends(object, WRITER))
		EXPECT_EQ(events & POLLHUP, 0);
	if (d->role == READER && !pipe->is_fifo && !count_ends(object, WRITER))
		EXPECT_EQ(events & POLLHUP, POLLHUP);
	if (can_write(d))
		EXPECT_EQ(!!(events & POLLERR), count_ends(object, READER) == 0);
}

/* --- making ------------------------------------------------------------------------------------------------------ */

static int role_of(int flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return READER;
	case O_WRONLY:
		return WRITER;
	default:
		return BOTH;
	}
}

/* Without waiting for the other side. */
static void open_end(struct object *object, long path, int task)
{
	const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int flags = modes[below(3)] | O_NONBLOCK | some_of(O_CLOEXEC);
	bool is_fifo = ((const struct pipe *)object->model)->is_fifo;
	struct description *d;
	long fd = call(task, SYS_openat, AT_FDCWD, path, flags);

	if (is_fifo && (flags & O_ACCMODE) == O_WRONLY && !count_ends(object, READER)) {
		EXPECT_EQ(fd, -ENXIO);
		return;
	}
	d = adopt(object, task, fd, role_of(flags));
	if (one_in(2))
		EXPECT_EQ(at(d, SYS_fcntl, F_SETFL, some_of(PIPE_FLAGS)), 0);
}

static void make_pipe(struct object *object, int task)
{
	struct pipe *pipe = object->model = calloc(1, sizeof(*pipe));
	int ends[2];

	EXPECT_EQ(call(task, SYS_pipe2, P(scratch), some_of(PIPE_FLAGS | O_CLOEXEC)), 0);
	memcpy(ends, scratch, sizeof(ends));
	adopt(object, task, ends[0], READER);
	adopt(object, task, ends[1], WRITER);
	pipe->capacity = 65536;
}

static void make_fifo(struct object *object, int task)
{
	struct pipe *pipe = object->model = calloc(1, sizeof(*pipe));
	long path = path_of("fifo%d", object->number);

	EXPECT_EQ(call(task, SYS_mknodat, AT_FDCWD, path, S_IFIFO | 0600, 0), 0);
	snprintf(pipe->name, sizeof(pipe->name), "fifo%d", object->number);
	pipe->is_fifo = true;
	pipe->capacity = 65536;
	for (unsigned int i = 1 + below(3); i > 0; i--)
		open_end(object, path, task);
	if (!one_in(3))
		return;
	EXPECT_EQ(call(task, SYS_unlinkat, AT_FDCWD, path, 0), 0);
	pipe->name[0] = 0;
}

/* --- acting ------------------------------------------------------------------------------------------------------ */

static void set_flags(const struct description *d)
{
	int flags = some_of(PIPE_FLAGS);

	EXPECT_EQ(at(d, SYS_fcntl, F_SETFL, flags), 0);
	EXPECT_EQ(at(d, SYS_fcntl, F_GETFL) & PIPE_FLAGS, flags);
}

static void set_capacity(struct pipe *pipe, const struct description *d)
{
	long capacity = 4096L << below(7), r = at(d, SYS_fcntl, F_SETPIPE_SZ, capacity);

	if (r == -EBUSY)
		EXPECT(pipe->count > 0);
	else
		pipe->capacity = r;
}

static void open_again(struct object *object, const struct description *d)
{
	const struct handle *handle = any_handle(d);

	open_end(object, path_of("/proc/self/fd/%d", handle->fd), task_with_table(handle->table));
}

static void act(struct object *object)
{
	struct description *d = pick(object, -1);
	struct pipe *pipe = object->model;

	switch (below(8)) {
	case 0:
		set_flags(d);
		break;
	case 1:
		set_capacity(pipe, d);
		break;
	case 2:
		open_again(object, d);
		break;
	case 3:
	case 4:
		if (can_read(d))
			read_some(object, d, 1 + (int)below(100));
		break;
	default:
		if (can_write(d))
			write_some(object, d);
	}
	check_state(object, d);
}

/* Nobody has it open: what was in it is gone. */
static void closed(struct description *description, int table)
{
	struct pipe *pipe = description->object->model;

	(void)table;
	if (object_is_open(description->object))
		return;
	pipe->count = 0;
	pipe->capacity = 65536;
}

static void check(struct object *object)
{
	for (int i = 0; i < description_count; i++)
		if (descriptions[i].object == object && descriptions[i].open)
			check_state(object, &descriptions[i]);
}

const struct kind pipe_kind = { .name = "a pipe", .make = make_pipe, .act = act, .check = check, .closed = closed };
const struct kind fifo_kind = { .name = "a fifo", .make = make_fifo, .act = act, .check = check, .closed = closed };
