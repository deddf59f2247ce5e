/*
 * A tree in a time namespace of its own finds its clocks in another one as they were. A tree without one sees those of
 * the machine, also after a restore, as long as they are not behind what it has seen already: after a reboot, or on a
 * machine that has not run for so long. Then it gets a time namespace in which they go on from there.
 *
 * A namespace shifts both clocks (/proc/PID/timens_offsets, counted from the first namespace) until the first process
 * is born in it. CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC by the time that the machine was suspended: both are
 * shifted alike, so that this stays as it is here.
 */
#include "ns/time-ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "engine/restore.h"
#include "image/image-write.h"
#include "images/timens.pb-c.h"
#include "kernel/features.h"
#include "kernel/missing-pidfd.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "ns/ns-look.h"

#define OWN_OFFSETS   "/proc/self/timens_offsets"
#define OWN_NAMESPACE "/proc/self/ns/time"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* In nanoseconds. */
struct clocks {
	int64_t monotonic, boottime;
};

static struct clocks read_clocks(void)
{
	return (struct clocks){ clock_now_ns(CLOCK_MONOTONIC), clock_now_ns(CLOCK_BOOTTIME) };
}

static int64_t join(long long sec, long long nsec)
{
	return sec * NS_PER_SEC + nsec;
}

/* The nanoseconds of the kernel's offsets are never negative. */
static int64_t seconds_of(int64_t ns)
{
	return ns >= 0 ? ns / NS_PER_SEC : -((-ns + NS_PER_SEC - 1) / NS_PER_SEC);
}

/* --- dump -------------------------------------------------------------------------------------------------------- */

static void refuse_other(struct dump *d, const struct task *task)
{
	struct error reason = { 0 };

	(void)error_say(&reason, -ENOTSUP,
			TASK_FORMAT ": lives in another time namespace than the root of the tree, pid %d",
			TASK_ARGS(task), d->tasks[0]->host_pid);
	refusals_add(&d->refusals, &reason);
}

void time_ns_look(struct dump *d, const struct proc_ns_ids *own)
{
	const uint64_t root = d->tasks[0]->time_ns;

	/* After a refusal not all have been looked at. */
	for_each_task (d, task)
		if (!task->is_zombie && root && task->time_ns && task->time_ns != root)
			refuse_other(d, task);
	d->has_time_ns = root && root != own->inode[PROC_NS_TIME];
}

static int read_tree_clocks(const struct dump *d, struct clocks *ret)
{
	struct proc_time_offsets ours = { 0 }, theirs = { 0 };
	int r = 0;

	*ret = read_clocks();
	if (!d->has_time_ns)
		return 0;
	r = proc_read_own_time_offsets(&ours);
	if (r == 0)
		r = proc_read_time_offsets(d->tasks[0]->procfd, &theirs);
	ret->monotonic += theirs.monotonic_ns - ours.monotonic_ns;
	ret->boottime += theirs.boottime_ns - ours.boottime_ns;
	return r;
}

int time_ns_save(const struct dump *d, struct image_set *set, struct error *err)
{
	TimensEntry entry = TIMENS_ENTRY__INIT;
	Timespec monotonic = TIMESPEC__INIT, boottime = TIMESPEC__INIT;
	struct clocks clocks;
	int r = read_tree_clocks(d, &clocks);

	if (r < 0)
		return error_set(err, r, "read the clocks of the tree's time namespace");
	monotonic.tv_sec = (uint64_t)(clocks.monotonic / NS_PER_SEC);
	monotonic.tv_nsec = (uint64_t)(clocks.monotonic % NS_PER_SEC);
	boottime.tv_sec = (uint64_t)(clocks.boottime / NS_PER_SEC);
	boottime.tv_nsec = (uint64_t)(clocks.boottime % NS_PER_SEC);
	entry.monotonic = &monotonic;
	entry.boottime = &boottime;
	return image_write_one(set, IMAGE_TIMENS, d->has_time_ns ? NS_ID_OTHER_TIME : 0, &entry, err);
}

/* --- restore ----------------------------------------------------------------------------------------------------- */

static struct clocks clocks_of_image(const TimensEntry *entry)
{
	return (struct clocks){
		join((long long)entry->monotonic->tv_sec, (long long)entry->monotonic->tv_nsec),
		join((long long)entry->boottime->tv_sec, (long long)entry->boottime->tv_nsec),
	};
}

static bool has_own_namespace(const struct checked_set *images)
{
	const TaskKobjIdsEntry *ids = images->tasks[0].ids, *outside = images->inventory->root_ids;

	return ids && outside && ids->has_time_ns_id && outside->has_time_ns_id &&
	       ids->time_ns_id != outside->time_ns_id;
}

static bool is_behind(const struct clocks *clocks, const struct clocks *seen)
{
	return clocks->monotonic < seen->monotonic || clocks->boottime < seen->boottime;
}

static int refuse_backwards(const struct clocks *now, const struct clocks *seen, struct error *err)
{
	const bool monotonic = now->monotonic < seen->monotonic;

	error_hint(err, "restore it on a machine that has run for longer: this kernel has no time namespaces, in which "
			"the clock could go on");
	return error_say(err, -EOPNOTSUPP,
			 "%s would run backwards for the tree: it has seen %lld s, and here it is %lld s",
			 monotonic ? "CLOCK_MONOTONIC" : "CLOCK_BOOTTIME",
			 (long long)((monotonic ? seen->monotonic : seen->boottime) / NS_PER_SEC),
			 (long long)((monotonic ? now->monotonic : now->boottime) / NS_PER_SEC));
}

int time_ns_check(struct restore *r, struct error *err)
{
	const bool has_own = has_own_namespace(r->images);
	struct clocks now = read_clocks(), seen;

	/* Sets of old versions do not tell the time. */
	if (!r->images->timens)
		return has_own ? error_say(err, -EBADMSG, "the readings of the clocks are missing") : 0;
	seen = clocks_of_image(r->images->timens);
	r->needs_time_ns = has_own || is_behind(&now, &seen);
	if (!r->needs_time_ns || feature_available("timens") > 0)
		return 0;
	if (!has_own)
		return refuse_backwards(&now, &seen, err);
	return error_say(err, -EOPNOTSUPP, "the tree has a time namespace of its own, which this kernel does not know");
}

static struct clocks find_shift(const struct restore *r)
{
	const struct clocks now = read_clocks(), seen = clocks_of_image(r->images->timens);
	struct clocks shift = { seen.monotonic - now.monotonic, seen.boottime - now.boottime };

	if (has_own_namespace(r->images))
		return shift;
	if (shift.monotonic < shift.boottime)
		shift.monotonic = shift.boottime;
	shift.boottime = shift.monotonic;
	return shift;
}

static int write_offsets(const struct clocks *offsets)
{
	AUTO_CLOSE int fd = open(OWN_OFFSETS, O_WRONLY | O_CLOEXEC);
	const int64_t sec[2] = { seconds_of(offsets->monotonic), seconds_of(offsets->boottime) };
	char text[128];
	int bytes = snprintf(text, sizeof(text), "monotonic %lld %lld\nboottime %lld %lld\n", (long long)sec[0],
			     (long long)(offsets->monotonic - sec[0] * NS_PER_SEC), (long long)sec[1],
			     (long long)(offsets->boottime - sec[1] * NS_PER_SEC));

	return fd < 0 ? -errno : write_all(fd, text, (size_t)bytes);
}

int time_ns_enter(const struct restore *r, int *ret_fd, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	struct proc_time_offsets ours;
	struct clocks offsets, shift;
	int result;

	if (!r->needs_time_ns)
		return 0;
	fd = open(OWN_NAMESPACE, O_RDONLY | O_CLOEXEC);
	result = fd < 0 ? -errno : proc_read_own_time_offsets(&ours);
	if (result == 0 && unshare(CLONE_NEWTIME) < 0)
		result = -errno;
	if (result < 0)
		return error_set(err, result, "make a time namespace in which the tree's clocks go on");
	shift = find_shift(r);
	offsets = (struct clocks){ ours.monotonic_ns + shift.monotonic, ours.boottime_ns + shift.boottime };
	result = write_offsets(&offsets);
	if (result < 0) {
		time_ns_leave(&fd);
		return error_set(err, result, "set the clocks of the tree's time namespace");
	}
	log_info("the tree gets a time namespace: clocks shifted by %lld s\n",
		 (long long)(shift.monotonic / NS_PER_SEC));
	*ret_fd = take_fd(&fd);
	return 0;
}

void time_ns_leave(int *fd)
{
	if (*fd >= 0 && setns(*fd, CLONE_NEWTIME) < 0)
		log_warn("scripts run with the clocks of the tree: %s\n", strerror(errno));
	close_fd(fd);
}
