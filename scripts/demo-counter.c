/*
 * The program of the demonstration: holds 64 MiB of data that it filled from a random seed, counts five times a second
 * and prints each count with a sum over the data, so that a lost byte would show.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 8 << 20 };

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t sum_up(const uint64_t *data)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < WORDS; i++)
		sum = sum * 31 + data[i];
	return sum;
}

int main(void)
{
	uint64_t state = (uint64_t)time(NULL) << 20 | (uint64_t)getpid();
	uint64_t *data = malloc(WORDS * sizeof(*data));

	/* What the caller has open besides is none of this program's business, and not there after a restore elsewhere.
	 */
	(void)close_range(3, ~0U, 0);
	if (!data)
		return 1;
	for (size_t i = 0; i < WORDS; i++)
		data[i] = next_random(&state);
	for (unsigned int count = 1;; count++) {
		printf("pid %d  count %u  sum of 64 MiB %016" PRIx64 "\n", getpid(), count, sum_up(data));
		fflush(stdout);
		usleep(200000);
	}
}
