/*
 * Timerfds. fdinfo has the clock, the flags of the last timerfd_settime(2), what remains until the next expiration, the
 * interval, and how often it has expired unread. It runs on from what remained: a clock of elapsed time stands still
 * for the program between dump and restore. An absolute timer on a wall clock keeps its date instead; images of other
 * programs do not have it.
 *
 * A periodic timer that has expired is only started again when it is read or asked: until then the kernel does not show
 * when it is due. Such a timer is asked, which counts what the next read would have counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/timerfd.pb-c.h"
#include "kernel/missing-fs.h"

#ifndef CLOCK_REALTIME_ALARM
#define CLOCK_REALTIME_ALARM 8
#endif

#define START_TRIES 3
#define CLOSE_TRIES 20
#define CLOSE_NS    1000000

struct timerfd_data {
	uint64_t clock, ticks, settime_flags;
	struct itimerspec spec;
	int64_t read_ns;      /* by the wall clock: what is left counts from then */
	uint64_t deadline_ns; /* 0: none */
};

static bool is_timerfd(const struct dump *d, const struct open_file *file)
{
	return file->link && !strcmp(file->link, "anon_inode:[timerfd]");
}

/* "(sec, nsec)" */
static int parse_time(const struct fdinfo *info, const char *key, struct timespec *ret)
{
	const char *value = fdinfo_value(info, key);
	long long seconds;
	long nanoseconds;

	if (!value || sscanf(value, " (%lld, %ld)", &seconds, &nanoseconds) != 2)
		return -EINVAL;
	*ret = (struct timespec){ .tv_sec = seconds, .tv_nsec = nanoseconds };
	return 0;
}

static int read_state(const struct fdinfo *info, struct timerfd_data *ret)
{
	int r = fdinfo_number(info, "clockid", 10, &ret->clock);

	ret->read_ns = clock_now_ns(CLOCK_REALTIME);
	if (r == 0)
		r = fdinfo_number(info, "ticks", 10, &ret->ticks);
	if (r == 0)
		r = fdinfo_number(info, "settime flags", 8, &ret->settime_flags);
	if (r == 0)
		r = parse_time(info, "it_value", &ret->spec.it_value);
	return r < 0 ? r : parse_time(info, "it_interval", &ret->spec.it_interval);
}

static int read_timerfd(struct open_file *file, const struct fdinfo *info)
{
	struct timerfd_data *data = calloc(1, sizeof(*data));

	file->kind_data = data;
	return data ? read_state(info, data) : -ENOMEM;
}

static bool is_zero(const struct timespec *t)
{
	return t->tv_sec == 0 && t->tv_nsec == 0;
}

/* Nothing remains: it has expired and waits for a reader to start it again, or it is about to, or it was stopped. */
static bool is_between_expirations(const struct timerfd_data *data)
{
	return is_zero(&data->spec.it_value) && !is_zero(&data->spec.it_interval);
}

static int read_again(struct open_file *file)
{
	AUTO_FDINFO struct fdinfo info = { 0 };
	int r = fdinfo_read(file->task->procfd, file->fd, &info);

	return r < 0 ? r : read_state(&info, file->kind_data);
}

static int start_again(struct dump *d, struct open_file *file)
{
	struct itimerspec ignored;
	int fd = open_file_local(d, file), r;

	if (fd < 0)
		return fd;
	r = timerfd_gettime(fd, &ignored) < 0 ? -errno : 0;
	open_file_release(d, file);
	return r < 0 ? r : read_again(file);
}

static bool is_wall_clock(uint64_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
}

static bool has_deadline(const struct timerfd_data *data)
{
	return is_wall_clock(data->clock) && data->settime_flags & TFD_TIMER_ABSTIME && !is_zero(&data->spec.it_value);
}

/* What is left and the clock belong together: not when this process had to wait for a processor in between. */
static int read_closely(struct open_file *file)
{
	const struct timerfd_data *data = file->kind_data;
	int r = 0;

	for (int i = 0; r == 0 && i < CLOSE_TRIES && has_deadline(data); i++) {
		const int64_t before_ns = clock_now_ns(CLOCK_REALTIME);

		r = read_again(file);
		if (data->read_ns - before_ns < CLOSE_NS)
			break;
	}
	return r;
}

static void find_deadline(struct timerfd_data *data)
{
	if (!has_deadline(data))
		return;
	data->deadline_ns = (uint64_t)data->read_ns + (uint64_t)timespec_to_ns(&data->spec.it_value);
}

/* The kernel counts it as an expiration, but the timer has not expired: it runs on. */
static bool is_cancelled(const struct timerfd_data *data)
{
	return data->settime_flags & TFD_TIMER_CANCEL_ON_SET && data->ticks && !is_zero(&data->spec.it_value);
}

static int look_timerfd(struct dump *d, struct open_file *file, struct error *err)
{
	struct timerfd_data *data = file->kind_data;
	int r;

	if (is_cancelled(data)) {
		error_hint(err, "try again when the program has read it");
		return open_file_refuse(file, err, "the clock was set, which its next read has to tell (ECANCELED)");
	}
	r = read_closely(file);
	for (int i = 0; r == 0 && i < START_TRIES && is_between_expirations(data); i++)
		r = start_again(d, file);
	if (r < 0)
		return open_file_error(file, err, r, "read its state");
	/* One that was stopped has no expirations; this one has expired faster than we look. */
	if (is_between_expirations(data) && data->ticks)
		data->spec.it_value = data->spec.it_interval;
	find_deadline(data);
	return 0;
}

static int save_timerfd(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	const struct timerfd_data *data = file->kind_data;
	TimerfdEntry *timer = files_scratch(d, sizeof(*timer));

	if (!timer)
		return open_file_error(file, err, -ENOMEM, "save");
	timerfd_entry__init(timer);
	timer->id = file->id;
	timer->flags = file->flags;
	timer->clockid = (uint32_t)data->clock;
	timer->ticks = data->ticks;
	timer->settime_flags = (uint32_t)data->settime_flags;
	timer->vsec = (uint64_t)data->spec.it_value.tv_sec;
	timer->vnsec = (uint64_t)data->spec.it_value.tv_nsec;
	timer->isec = (uint64_t)data->spec.it_interval.tv_sec;
	timer->insec = (uint64_t)data->spec.it_interval.tv_nsec;
	timer->has_deadline_ns = data->deadline_ns != 0;
	timer->deadline_ns = data->deadline_ns;
	timer->fown = fown_save(d, file);
	if (!timer->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->tfd = timer;
	return 0;
}

static int check_timerfd(struct restore *r, struct restore_file *file, struct error *err)
{
	const TimerfdEntry *timer = file->entry->tfd;

	/* Sums have to fit, too. */
	if (timer->vsec > INT64_MAX / 2 || timer->isec > INT64_MAX / 2)
		return restore_refuse(r, file, err, "a timerfd has impossible times");
	return 0;
}

static int open_timerfd(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	const TimerfdEntry *timer = file->entry->tfd;
	int fd = timerfd_create((clockid_t)timer->clockid, (int)((timer->flags & O_NONBLOCK) | file->cloexec));

	if (fd < 0)
		return error_set(err, -errno, "make a timerfd of clock %u", timer->clockid);
	*ret_fd = fd;
	return 0;
}

/* Absolute flags need an absolute time: what remained, counted from now, or the date that was kept. */
static void absolute_time(const TimerfdEntry *timer, struct timespec *value)
{
	/* The alarm clocks show the same time as those they are named after. */
	const clockid_t clock = is_wall_clock(timer->clockid)       ? CLOCK_REALTIME
				: timer->clockid == CLOCK_MONOTONIC ? CLOCK_MONOTONIC
								    : CLOCK_BOOTTIME;
	const uint64_t at = timer->has_deadline_ns ? timer->deadline_ns
						   : (uint64_t)clock_now_ns(clock) + (uint64_t)timespec_to_ns(value);

	value->tv_sec = (time_t)(at / NS_PER_SEC);
	value->tv_nsec = (long)(at % NS_PER_SEC);
}

/* Started as late as may be: the time spent restoring is not the program's. */
static int finish_timerfd(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			  struct error *err)
{
	const TimerfdEntry *timer = file->entry->tfd;
	struct itimerspec spec = {
		.it_value = { (time_t)timer->vsec, (long)timer->vnsec },
		.it_interval = { (time_t)timer->isec, (long)timer->insec },
	};
	int flags = (int)timer->settime_flags & (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	uint64_t ticks = timer->ticks;

	if (is_zero(&spec.it_value) && is_zero(&spec.it_interval) && flags == 0 && ticks == 0)
		return 0;
	if (flags & TFD_TIMER_ABSTIME && !is_zero(&spec.it_value))
		absolute_time(timer, &spec.it_value);
	if (timerfd_settime(fd, flags, &spec, NULL) < 0)
		return error_set(err, -errno, "start a timerfd");
	if (ticks && ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0)
		return error_set(err, -errno, "set the expirations of a timerfd to %llu", (unsigned long long)ticks);
	return 0;
}

static const FownEntry *timerfd_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->tfd->flags;
	return entry->tfd->fown;
}

const struct file_kind timerfd_kind = {
	.name = "timerfd",
	.type = FD_TYPES__TIMERFD,
	.is = is_timerfd,
	.read = read_timerfd,
	.look = look_timerfd,
	.save = save_timerfd,
	.check = check_timerfd,
	.open = open_timerfd,
	.finish = finish_timerfd,
	.owner = timerfd_owner,
};
