/*
 * Pseudo terminals without a line discipline to speak of: what waits in them each way, the size of their window, packet
 * mode, exclusive use, ends that are opened again and ends that are closed.
 */
#include "world.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <asm/termbits.h>

enum { MASTER, SLAVE, MOST_WAITING = 1000 };

struct terminal {
	char waiting[2][MOST_WAITING]; /* for the master, for the slave */
	int count[2], number;
	int rows;
	bool is_lost; /* one end is gone: what becomes of the bytes is the kernel's */
};

static void set_raw(const struct description *slave)
{
	struct termios *modes = (void *)scratch;

	EXPECT_EQ(at(slave, SYS_ioctl, TCGETS, P(scratch)), 0);
	modes->c_iflag = modes->c_oflag = modes->c_lflag = 0;
	modes->c_cc[VMIN] = (cc_t)below(2);
	EXPECT_EQ(at(slave, SYS_ioctl, TCSETS, P(scratch)), 0);
}

static void open_slave(struct object *object, int task)
{
	const struct terminal *terminal = object->model;
	int flags = O_RDWR | O_NOCTTY | some_of(O_NONBLOCK | O_CLOEXEC);

	adopt(object, task, call(task, SYS_openat, AT_FDCWD, path_of("/dev/pts/%d", terminal->number), flags), SLAVE);
}

static void make(struct object *object, int task)
{
	struct terminal *terminal = object->model = calloc(1, sizeof(*terminal));
	const struct description *master;
	long fd =
	    call(task, SYS_openat, AT_FDCWD, path_of("/dev/ptmx"), O_RDWR | O_NOCTTY | some_of(O_NONBLOCK | O_CLOEXEC));

	master = adopt(object, task, fd, MASTER);
	*(int *)scratch = 0;
	EXPECT_EQ(at(master, SYS_ioctl, TIOCSPTLCK, P(scratch)), 0);
	EXPECT_EQ(at(master, SYS_ioctl, TIOCGPTN, P(scratch)), 0);
	terminal->number = *(int *)scratch;
	open_slave(object, task);
	set_raw(pick(object, SLAVE));
}

static void write_to(struct terminal *terminal, const struct description *d)
{
	int to = d->role == MASTER ? 1 : 0, bytes = 1 + (int)below(100);

	if (terminal->count[to] + bytes > MOST_WAITING)
		return;
	for (int i = 0; i < bytes; i++)
		scratch[i] = (char)below(256);
	memcpy(terminal->waiting[to] + terminal->count[to], scratch, (size_t)bytes);
	EXPECT_EQ(at(d, SYS_write, P(scratch), bytes), bytes);
	terminal->count[to] += bytes;
}

/* The kernel hands bytes from one end to the other by a worker. */
static void await_bytes(const struct terminal *terminal, const struct description *d)
{
	int waiting = 0;

	for (int i = 0; i < 1000 && waiting != terminal->count[d->role]; i++) {
		if (i)
			usleep(2000);
		EXPECT_EQ(at(d, SYS_ioctl, FIONREAD, P(scratch)), 0);
		waiting = *(int *)scratch;
	}
	EXPECT_EQ(waiting, terminal->count[d->role]);
}

static void read_from(struct terminal *terminal, const struct description *d)
{
	int *count = &terminal->count[d->role], bytes = 1 + (int)below(200);
	char *waiting = terminal->waiting[d->role];

	await_bytes(terminal, d);
	if (!*count)
		return;
	if (bytes > *count)
		bytes = *count;
	EXPECT_EQ(at(d, SYS_read, P(scratch), bytes), bytes);
	EXPECT_MEM(scratch, waiting, (size_t)bytes);
	memmove(waiting, waiting + bytes, (size_t)(*count -= bytes));
}

static void set_window(struct terminal *terminal, const struct description *d)
{
	terminal->rows = (int)below(500);
	*(struct winsize *)scratch = (struct winsize){ .ws_row = (unsigned short)terminal->rows, .ws_col = 80 };
	EXPECT_EQ(at(d, SYS_ioctl, TIOCSWINSZ, P(scratch)), 0);
}

static void act(struct object *object)
{
	struct terminal *terminal = object->model;
	const struct description *d = pick(object, -1);

	if (terminal->is_lost)
		return;
	switch (below(8)) {
	case 0:
		set_window(terminal, d);
		break;
	case 1:
		open_slave(object, any_task());
		break;
	case 2:
	case 3:
	case 4:
		read_from(terminal, d);
		break;
	default:
		write_to(terminal, d);
	}
}

static void check(struct object *object)
{
	struct terminal *terminal = object->model;
	const struct description *d = pick(object, -1);

	if (!d || terminal->is_lost)
		return;
	EXPECT_EQ(at(d, SYS_ioctl, TIOCGWINSZ, P(scratch)), 0);
	EXPECT_EQ(((struct winsize *)scratch)->ws_row, terminal->rows);
	await_bytes(terminal, d);
	EXPECT_EQ(poll_events(d) & POLLIN, terminal->count[d->role] ? POLLIN : 0);
}

static void closed(struct description *d, int table)
{
	struct terminal *terminal = d->object->model;

	(void)table;
	if (!count_open(d->object, MASTER) || !count_open(d->object, SLAVE))
		terminal->is_lost = true;
}

/* What waits for a slave that nobody has open is refused. */
static void settle(struct object *object)
{
	if (!((const struct terminal *)object->model)->is_lost)
		return;
	for (int i = 0; i < handle_count; i++)
		if (handles[i].of && handles[i].of->object == object)
			handle_close(&handles[i]);
}

const struct kind terminal_kind = {
	.name = "a terminal", .make = make, .act = act, .settle = settle, .check = check, .closed = closed
};
