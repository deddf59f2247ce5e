#include "kernel/posix-timer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/kernel-memory.h"

/* More cannot be on a list that does not change. */
#define TIMERS_MAX (1u << 24)

/* The hrtimer is the first member of the first member of a union without a name. */
static int read_wall_expiry(struct kernel_memory *km, uint64_t timer, uint64_t *ret)
{
	const int within = kernel_memory_offset(km, "k_itimer", "it");
	uint64_t base = 0, expiry = 0;
	int32_t base_clock = 0;
	int r = within < 0 ? within : 0;

	timer += (uint64_t)within;
	if (r == 0)
		r = kernel_memory_member(km, timer, "hrtimer", "base", &base, sizeof(base));
	if (r == 0)
		r = kernel_memory_member(km, timer, "hrtimer", "_softexpires", &expiry, sizeof(expiry));
	if (r == 0)
		r = kernel_memory_member(km, base, "hrtimer_clock_base", "clockid", &base_clock, sizeof(base_clock));
	if (r == 0 && base_clock != CLOCK_REALTIME && base_clock != CLOCK_MONOTONIC)
		return -EIO;
	*ret = r == 0 && base_clock == CLOCK_REALTIME ? expiry : 0;
	return r;
}

static int read_timer(struct kernel_memory *km, uint64_t timer, struct hidden_timer *ret)
{
	int32_t clock = 0;
	int r = kernel_memory_member(km, timer, "k_itimer", "it_clock", &clock, sizeof(clock));

	if (r == 0)
		r = kernel_memory_member(km, timer, "k_itimer", "it_id", &ret->id, sizeof(ret->id));
	if (r == 0)
		r = kernel_memory_member(km, timer, "k_itimer", "it_overrun", &ret->missed, sizeof(ret->missed));
	return r == 0 && clock == CLOCK_REALTIME ? read_wall_expiry(km, timer, &ret->wall_expiry_ns) : r;
}

static int find_in_process(struct kernel_memory *km, int pidfd, const char *member, uint64_t *ret)
{
	const int offset = kernel_memory_offset(km, "signal_struct", member);
	AUTO_FREE uint64_t *threads = NULL;
	uint64_t signal = 0;
	size_t count = 0;
	int r = offset < 0 ? offset : kernel_memory_threads(km, pidfd, &threads, &count);

	if (r == 0)
		r = kernel_memory_member(km, threads[0], "task_struct", "signal", &signal, sizeof(signal));
	if (r == 0)
		*ret = signal + (uint64_t)offset;
	return r;
}

int posix_timer_next_id(struct kernel_memory *km, int pidfd, int *ret)
{
	uint64_t address = 0;
	uint32_t next = 0;
	int r = find_in_process(km, pidfd, "next_posix_timer_id", &address);

	if (r == 0)
		r = kernel_memory_read(km, address, &next, sizeof(next));
	if (r == 0)
		*ret = (int)(next & INT_MAX);
	return r;
}

/* Kernels before 6.10 close the list to a ring. */
int hidden_timers_read(struct kernel_memory *km, int pidfd, struct hidden_timer **ret, size_t *ret_count)
{
	const int link = kernel_memory_offset(km, "k_itimer", "list");
	AUTO_FREE struct hidden_timer *timers = NULL;
	size_t count = 0, capacity = 0, seen = 0;
	uint64_t list = 0, at = 0;
	int r = link < 0 ? link : find_in_process(km, pidfd, "posix_timers", &list);

	if (r == 0)
		r = kernel_memory_read(km, list, &at, sizeof(at));
	while (r == 0 && at && at != list) {
		struct hidden_timer timer = { 0 };

		if (++seen > TIMERS_MAX)
			return -ELOOP;
		r = read_timer(km, at - (uint64_t)link, &timer);
		if (r == 0)
			r = array_reserve(&timers, &capacity, count, sizeof(*timers));
		if (r == 0)
			timers[count++] = timer;
		if (r == 0)
			r = kernel_memory_read(km, at, &at, sizeof(at));
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(timers);
	*ret_count = count;
	return 0;
}
