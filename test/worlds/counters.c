/* What counts: eventfds, timerfds and signalfds. */
#include "world.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

/* --- eventfd ----------------------------------------------------------------------------------------------------- */

struct event {
	uint64_t count;
	bool is_semaphore;
};

static bool waits(const struct description *d)
{
	return !(at(d, SYS_fcntl, F_GETFL) & O_NONBLOCK);
}

static void set_waiting(const struct description *d)
{
	EXPECT_EQ(at(d, SYS_fcntl, F_SETFL, some_of(O_NONBLOCK)), 0);
}

static void make_event(struct object *object, int task)
{
	struct event *event = object->model = calloc(1, sizeof(*event));
	int flags = some_of(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);

	event->count = below(3) * below(1000000);
	event->is_semaphore = flags & EFD_SEMAPHORE;
	adopt(object, task, call(task, SYS_eventfd2, (long)event->count, flags), 0);
}

static void read_event(struct event *event, const struct description *d)
{
	uint64_t expected = event->is_semaphore ? 1 : event->count;

	if (!event->count) {
		if (!waits(d))
			EXPECT_EQ(at(d, SYS_read, P(scratch), 8), -EAGAIN);
		return;
	}
	EXPECT_EQ(at(d, SYS_read, P(scratch), 8), 8);
	EXPECT_EQ(*(uint64_t *)scratch, expected);
	event->count -= expected;
}

static void write_event(struct event *event, const struct description *d)
{
	uint64_t more = one_in(6) ? UINT64_MAX - 1 - event->count : below(1000);

	if (more > UINT64_MAX - 1 - event->count)
		more = UINT64_MAX - 1 - event->count;
	memcpy(scratch, &more, 8);
	EXPECT_EQ(at(d, SYS_write, P(scratch), 8), 8);
	event->count += more;
}

static void check_event(struct object *object)
{
	const struct description *d = pick(object, -1);
	const struct event *event = object->model;

	if (!d)
		return;
	EXPECT_EQ(poll_events(d) & (POLLIN | POLLOUT),
		  (event->count ? POLLIN : 0) | (event->count < UINT64_MAX - 1 ? POLLOUT : 0));
}

static void act_event(struct object *object)
{
	const struct description *d = pick(object, -1);

	if (one_in(6))
		set_waiting(d);
	else if (one_in(2))
		read_event(object->model, d);
	else
		write_event(object->model, d);
	check_event(object);
}

const struct kind event_kind = { .name = "an eventfd", .make = make_event, .act = act_event, .check = check_event };

/* --- timerfd ----------------------------------------------------------------------------------------------------- */

/* While a tree is away the time that is left stays, but not that until a time of CLOCK_REALTIME. */
struct timer {
	int clock, flags;
	struct itimerspec set; /* what was left when it was set */
	double set_at;
	bool is_on, has_fired;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(struct timespec ts)
{
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* What alarms go by. */
static int clock_behind(int clock)
{
	if (clock == CLOCK_BOOTTIME_ALARM)
		return CLOCK_BOOTTIME;
	return clock == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : clock;
}

static void set_timer(struct timer *timer, const struct description *d)
{
	struct itimerspec *set = (void *)scratch;
	unsigned int choice = below(4);
	struct timespec base = { 0 };

	timer->set =
	    (struct itimerspec){ { below(3) * below(100), below(1000000000) }, { 3 + below(5000), below(1000000000) } };
	if (choice == 0) /* it has fired soon; never again before long */
		timer->set.it_value = (struct timespec){ 0, 1 + below(1000000) };
	if (choice == 0 && !timer->set.it_interval.tv_sec)
		timer->set.it_interval.tv_sec = one_in(2) ? 3600 : 0;
	if (!timer->set.it_interval.tv_sec)
		timer->set.it_interval.tv_nsec = 0;
	if (choice == 1)
		timer->set.it_value = (struct timespec){ 0, 0 };
	timer->is_on = choice != 1;
	timer->flags = choice && one_in(2) ? TFD_TIMER_ABSTIME : 0;
	*set = timer->set;
	if (timer->is_on && timer->flags) {
		MUST(clock_gettime(clock_behind(timer->clock), &base));
		set->it_value.tv_sec += base.tv_sec;
	}
	EXPECT_EQ(at(d, SYS_timerfd_settime, timer->flags, P(set), 0), 0);
	timer->set_at = now();
	timer->has_fired = choice == 0;
	if (choice == 0)
		usleep(2500);
}

static void make_timer(struct object *object, int task)
{
	static const int clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
				      CLOCK_BOOTTIME_ALARM };
	struct timer *timer = object->model = calloc(1, sizeof(*timer));
	const struct description *d;

	timer->clock = clocks[below(5)];
	d = adopt(object, task, call(task, SYS_timerfd_create, timer->clock, some_of(TFD_CLOEXEC | TFD_NONBLOCK)), 0);
	if (!one_in(5))
		set_timer(timer, d);
}

static void check_left(const struct timer *timer, double left, double interval)
{
	double passed = now() - timer->set_at, least = seconds(timer->set.it_value) - passed - 1.1;

	if (!timer->is_on && clock_behind(timer->clock) != timer->clock)
		return; /* the kernel goes on telling what would have been left */
	if (!timer->is_on || (timer->has_fired && !timer->set.it_interval.tv_sec)) {
		if (left != 0)
			FAIL("a timer of clock %d that is %s has %.3f s left", timer->clock,
			     timer->is_on ? "over" : "off", left);
		return;
	}
	if (timer->has_fired)
		least = seconds(timer->set.it_interval) - passed - 1.1;
	EXPECT(left >= least);
	EXPECT(left <= (timer->has_fired ? interval : seconds(timer->set.it_value)) + 1.1);
}

static void check_timer(struct object *object)
{
	const struct description *d = pick(object, -1);
	const struct itimerspec *found = (void *)scratch;
	const struct timer *timer = object->model;

	if (!d)
		return;
	EXPECT_EQ(poll_events(d) & POLLIN, timer->has_fired ? POLLIN : 0);
	EXPECT_EQ(at(d, SYS_timerfd_gettime, P(scratch)), 0);
	EXPECT(seconds(found->it_interval) == seconds(timer->set.it_interval) || !timer->is_on);
	check_left(timer, seconds(found->it_value), seconds(found->it_interval));
}

static void read_timer(struct timer *timer, const struct description *d)
{
	if (!timer->has_fired) {
		if (!waits(d))
			EXPECT_EQ(at(d, SYS_read, P(scratch), 8), -EAGAIN);
		return;
	}
	EXPECT_EQ(at(d, SYS_read, P(scratch), 8), 8);
	EXPECT_EQ(*(uint64_t *)scratch, 1);
	timer->has_fired = false;
	timer->is_on = timer->set.it_interval.tv_sec != 0;
	timer->set.it_value = timer->set.it_interval;
}

/* One that is to fire soon does. */
static void await_timer(struct timer *timer, const struct description *d)
{
	struct itimerspec *set = (void *)scratch;
	const struct handle *handle = any_handle(d);
	struct pollfd *entry = (void *)(scratch + 100);

	timer->set = *set = (struct itimerspec){ .it_value.tv_nsec = 3000000 };
	EXPECT_EQ(at(d, SYS_timerfd_settime, 0, P(set), 0), 0);
	*entry = (struct pollfd){ .fd = handle->fd, .events = POLLIN };
	EXPECT_EQ(call(task_with_table(handle->table), SYS_poll, P(entry), 1, 5000), 1);
	timer->is_on = timer->has_fired = true;
	read_timer(timer, d);
}

static void act_timer(struct object *object)
{
	const struct description *d = pick(object, -1);

	if (one_in(5))
		set_waiting(d);
	else if (one_in(3))
		read_timer(object->model, d);
	else if (one_in(3))
		await_timer(object->model, d);
	else
		set_timer(object->model, d);
	check_timer(object);
}

const struct kind timer_kind = { .name = "a timerfd", .make = make_timer, .act = act_timer, .check = check_timer };

/* --- signalfd ---------------------------------------------------------------------------------------------------- */

enum { MOST_QUEUED = 200, FIRST_KEPT = 42, KEPT = 22 };

struct queued {
	int task, signo, value; /* a thread's own if `is_own`, else the process's */
	bool is_own;
};

/* All signalfds together: signals belong to tasks, and any of them may fetch them. */
static struct queued queue[MOST_QUEUED];
static int queued_count;

struct signals {
	uint64_t mask;
};

static uint64_t bit_of(int signo)
{
	return 1ULL << (signo - 1);
}

static uint64_t some_mask(void)
{
	uint64_t mask = 0;

	for (unsigned int i = 1 + below(4); i > 0; i--)
		mask |= bit_of(FIRST_KEPT + (int)below(KEPT));
	return mask;
}

static void make_signals(struct object *object, int task)
{
	struct signals *signals = object->model = calloc(1, sizeof(*signals));

	signals->mask = some_mask();
	memcpy(scratch, &signals->mask, 8);
	adopt(object, task, call(task, SYS_signalfd4, -1, P(scratch), 8, some_of(SFD_CLOEXEC | SFD_NONBLOCK)), 0);
}

static bool is_for(const struct queued *each, int task)
{
	return each->is_own ? each->task == task : tasks[each->task].leader == tasks[task].leader;
}

/* The thread's own first, then the lowest number, then the oldest. */
static int next_queued(int task, uint64_t mask)
{
	int best = -1;

	for (int i = 0; i < queued_count; i++) {
		const struct queued *each = &queue[i], *old = best < 0 ? NULL : &queue[best];

		if (!is_for(each, task) || !(mask & bit_of(each->signo)))
			continue;
		if (!old || (each->is_own && !old->is_own) || (each->is_own == old->is_own && each->signo < old->signo))
			best = i;
	}
	return best;
}

static void send_signal(void)
{
	struct queued one = { any_task(), FIRST_KEPT + (int)below(KEPT), (int)below(100000), one_in(2) };
	siginfo_t *info = (void *)scratch;

	if (queued_count == MOST_QUEUED)
		return;
	memset(info, 0, sizeof(*info));
	info->si_code = SI_QUEUE;
	info->si_value.sival_int = one.value;
	if (one.is_own)
		EXPECT_EQ(call(any_task(), SYS_rt_tgsigqueueinfo, tasks[one.task].pid, tasks[one.task].tid, one.signo,
			       P(info)),
			  0);
	else
		EXPECT_EQ(call(any_task(), SYS_rt_sigqueueinfo, tasks[one.task].pid, one.signo, P(info)), 0);
	queue[queued_count++] = one;
}

static void read_signal(const struct signals *signals, const struct description *d)
{
	const struct signalfd_siginfo *info = (void *)scratch;
	const struct handle *handle = any_handle(d);
	int task = task_with_table(handle->table), next = next_queued(task, signals->mask);

	if (next < 0) {
		if (!waits(d))
			EXPECT_EQ(call(task, SYS_read, handle->fd, P(scratch), 128), -EAGAIN);
		return;
	}
	EXPECT_EQ(call(task, SYS_read, handle->fd, P(scratch), 128), 128);
	EXPECT_EQ(info->ssi_signo, queue[next].signo);
	EXPECT_EQ(info->ssi_int, queue[next].value);
	memmove(queue + next, queue + next + 1, sizeof(queue[0]) * (size_t)(--queued_count - next));
}

static void set_mask(struct signals *signals, const struct description *d)
{
	const struct handle *handle = any_handle(d);

	signals->mask = some_mask();
	memcpy(scratch, &signals->mask, 8);
	EXPECT_EQ(call(task_with_table(handle->table), SYS_signalfd4, handle->fd, P(scratch), 8, 0), handle->fd);
}

static void act_signals(struct object *object)
{
	const struct description *d = pick(object, -1);

	switch (below(8)) {
	case 0:
		set_waiting(d);
		break;
	case 1:
		set_mask(object->model, d);
		break;
	case 2:
	case 3:
	case 4:
		read_signal(object->model, d);
		break;
	default:
		send_signal();
	}
}

static void check_signals(struct object *object)
{
	const struct signals *signals = object->model;
	struct pollfd *entry = (void *)scratch;

	for (int i = 0; i < handle_count; i++) {
		int task;

		if (!handles[i].of || handles[i].of->object != object)
			continue;
		task = task_with_table(handles[i].table);
		*entry = (struct pollfd){ .fd = handles[i].fd, .events = POLLIN };
		EXPECT_EQ(call(task, SYS_poll, P(entry), 1, 0), next_queued(task, signals->mask) >= 0);
	}
}

/* What was sent to it is gone. */
static void signals_ended(struct object *object, int task)
{
	int kept = 0;

	(void)object;
	for (int i = 0; i < queued_count; i++)
		if (tasks[queue[i].task].leader != tasks[task].leader)
			queue[kept++] = queue[i];
	queued_count = kept;
}

const struct kind signals_kind = {
	.name = "a signalfd", .make = make_signals, .act = act_signals, .check = check_signals, .ended = signals_ended
};
