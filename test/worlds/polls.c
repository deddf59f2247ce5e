/*
 * epolls: eventfds of their own and whatever else can be polled, level and edge, one-shot and exclusive, under numbers
 * that are closed and used again, and inside of one another.
 */
#include "world.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { EPOLL, EVENT, MOST_ITEMS = 24 };

/* What is watched is the description, by the number it had. */
struct item {
	const struct description *target;
	int fd;
	uint32_t events;
	uint64_t data;
	bool is_quiet;           /* one-shot, and has fired */
	bool is_fresh, is_plain; /* edge: something came since the last report; an eventfd of this object */
};

struct poller {
	struct item items[MOST_ITEMS];
	int count;
};

extern const struct kind poller_kind, signals_kind;

static const uint32_t all_events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLERR | EPOLLHUP;

static void drop_item(struct poller *poller, int i)
{
	poller->items[i] = poller->items[--poller->count];
}

static void drop_closed(struct poller *poller)
{
	for (int i = poller->count - 1; i >= 0; i--)
		if (!poller->items[i].target->open)
			drop_item(poller, i);
}

static struct item *find_item(struct poller *poller, const struct description *target, int fd)
{
	for (int i = 0; i < poller->count; i++)
		if (poller->items[i].target == target && poller->items[i].fd == fd)
			return &poller->items[i];
	return NULL;
}

static uint32_t ready_events(const struct item *item)
{
	return (uint32_t)poll_events(item->target) & (item->events | EPOLLERR | EPOLLHUP) & all_events;
}

/* --- making ------------------------------------------------------------------------------------------------------ */

static void set_event(const struct item *item)
{
	*(struct epoll_event *)scratch = (struct epoll_event){ .events = item->events, .data.u64 = item->data };
}

static uint32_t some_events(const struct item *item)
{
	uint32_t events = (uint32_t)some_of(EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP);

	if (!item->is_plain)
		return events;
	if (one_in(3))
		return EPOLLIN | EPOLLET | (one_in(3) ? EPOLLONESHOT : 0);
	return events | (one_in(3) ? EPOLLONESHOT : 0);
}

static void arm(struct item *item)
{
	item->is_quiet = false;
	item->is_fresh = ready_events(item) != 0;
}

/* Both descriptors have to be in one table. */
static struct handle *handle_beside(const struct description *d, const struct handle *target)
{
	for (int i = 0; i < handle_count; i++)
		if (handles[i].of == d && handles[i].table == target->table)
			return &handles[i];
	return NULL;
}

static void add_item(struct poller *poller, const struct description *d, const struct description *target)
{
	const struct handle *watched = any_handle(target), *epoll = handle_beside(d, watched);
	struct item item = { .target = target, .fd = watched->fd, .is_plain = target->role == EVENT };
	long r;

	item.is_plain = target->object == d->object && target->role == EVENT;
	if (!epoll || poller->count == MOST_ITEMS || target->object->kind == &signals_kind || target->is_path)
		return;
	item.events = some_events(&item);
	item.data = (uint64_t)below(1000000) << 32 | below(1000000);
	set_event(&item);
	r = call(task_with_table(epoll->table), SYS_epoll_ctl, epoll->fd, EPOLL_CTL_ADD, watched->fd, P(scratch));
	if (find_item(poller, target, watched->fd)) {
		EXPECT(r == -EEXIST || r == -EINVAL || r == -ELOOP);
		return;
	}
	if (r == -EPERM || r == -ELOOP || r == -EINVAL)
		return; /* cannot be polled; a circle */
	EXPECT_EQ(r, 0);
	arm(&item);
	poller->items[poller->count++] = item;
}

static void make(struct object *object, int task)
{
	struct poller *poller = object->model = calloc(1, sizeof(*poller));
	const struct description *d = adopt(object, task, call(task, SYS_epoll_create1, some_of(EPOLL_CLOEXEC)), EPOLL);

	for (unsigned int i = 1 + below(4); i > 0; i--) {
		long fd = call(task, SYS_eventfd2, below(2), EFD_NONBLOCK | some_of(EFD_CLOEXEC));

		add_item(poller, d, adopt(object, task, fd, EVENT));
	}
}

/* --- changing ---------------------------------------------------------------------------------------------------- */

static void change_item(struct poller *poller, const struct description *d)
{
	struct item *item = poller->count ? &poller->items[below((unsigned int)poller->count)] : NULL;
	const struct handle *epoll = NULL;
	bool is_there;
	int task;

	for (int i = 0; item && i < handle_count && !epoll; i++)
		if (handles[i].of == item->target && handles[i].fd == item->fd)
			epoll = handle_beside(d, &handles[i]);
	is_there = epoll != NULL;
	if (!is_there)
		return;
	task = task_with_table(epoll->table);
	if (one_in(3)) {
		EXPECT_EQ(call(task, SYS_epoll_ctl, epoll->fd, EPOLL_CTL_DEL, item->fd, 0), 0);
		drop_item(poller, (int)(item - poller->items));
		return;
	}
	item->events = some_events(item);
	set_event(item);
	EXPECT_EQ(call(task, SYS_epoll_ctl, epoll->fd, EPOLL_CTL_MOD, item->fd, P(scratch)), 0);
	arm(item);
}

static void ring(struct object *object)
{
	const struct description *event = pick(object, EVENT);
	struct poller *poller = object->model;
	bool is_written = one_in(2);

	if (!event)
		return;
	*(uint64_t *)scratch = 1;
	if (is_written)
		EXPECT_EQ(at(event, SYS_write, P(scratch), 8), 8);
	else
		(void)at(event, SYS_read, P(scratch), 8);
	for (int i = 0; i < poller->count; i++)
		if (poller->items[i].target == event)
			poller->items[i].is_fresh = is_written || (poller->items[i].is_fresh && is_written);
}

static uint32_t expected_events(const struct item *item)
{
	if (item->is_quiet || (item->events & EPOLLET && !item->is_fresh))
		return 0;
	return ready_events(item);
}

static void wait_once(struct poller *poller, const struct description *d)
{
	struct epoll_event found[MOST_ITEMS + 1];
	uint32_t expected[MOST_ITEMS];
	int count = 0;
	long n;

	drop_closed(poller);
	for (int i = 0; i < poller->count; i++)
		count += (expected[i] = expected_events(&poller->items[i])) != 0;
	n = at(d, SYS_epoll_wait, P(scratch), MOST_ITEMS + 1, 0);
	EXPECT(n >= 0);
	memcpy(found, scratch, sizeof(found[0]) * (size_t)n);
	for (int i = 0; i < poller->count; i++) {
		struct item *item = &poller->items[i];
		uint32_t events = 0;

		for (int j = 0; j < n; j++)
			if (found[j].data.u64 == item->data)
				events = found[j].events;
		if (events != expected[i])
			FAIL("item %d, fd %d (%s, object %d), events %#x: expected %#x, found %#x", i, item->fd,
			     item->target->object->kind->name, item->target->object->number, item->events, expected[i],
			     events);
		item->is_fresh = false;
		if (events && item->events & EPOLLONESHOT)
			item->is_quiet = true;
	}
	EXPECT_EQ(n, count);
}

static void act(struct object *object)
{
	const struct description *d = pick(object, EPOLL);
	struct poller *poller = object->model;

	if (!d)
		return;
	drop_closed(poller);
	switch (below(6)) {
	case 0:
		change_item(poller, d);
		break;
	case 1:
	case 2:
		add_item(poller, d, pick_any());
		break;
	case 3:
		wait_once(poller, d);
		break;
	default:
		ring(object);
	}
}

static void check(struct object *object)
{
	const struct description *d = pick(object, EPOLL);

	if (d)
		wait_once(object->model, d);
}

const struct kind poller_kind = { .name = "an epoll", .make = make, .act = act, .check = check };
