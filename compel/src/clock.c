/* Deadlines on the monotonic clock and waiting that starts eager and grows patient. */
#include "internal.h"

#include <sched.h>
#include <time.h>

#define EAGER_TURNS 50

uint64_t clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

uint64_t deadline_after_ms(uint64_t ms)
{
	return clock_ns() + ms * 1000000ULL;
}

void patience_wait(struct patience *patience, uint64_t max_ns)
{
	struct timespec ts = { 0 };

	if (patience->turns++ < EAGER_TURNS) {
		(void)sched_yield();
		return;
	}
	patience->sleep_ns = patience->sleep_ns ? patience->sleep_ns * 2 : 10000;
	if (patience->sleep_ns > max_ns)
		patience->sleep_ns = max_ns;
	ts.tv_nsec = (long)patience->sleep_ns;
	(void)nanosleep(&ts, NULL);
}
