/* Small arithmetic and array helpers that every layer uses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define PAGE_BYTES 4096UL
#define NS_PER_SEC 1000000000ll

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t page_align_up(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static inline bool is_page_aligned(uint64_t value)
{
	return (value & (PAGE_BYTES - 1)) == 0;
}

/*
 * Makes room for one more element in a heap array that grows by doubling: *items holds count elements of item_bytes
 * each, *capacity is what was allocated. Returns 0 or -ENOMEM; *items stays valid on failure.
 */
int array_reserve(void *items, size_t *capacity, size_t count, size_t item_bytes);

/* Negative before 1970. */
static inline int64_t timespec_to_ns(const struct timespec *time)
{
	return (int64_t)((uint64_t)time->tv_sec * NS_PER_SEC + (uint64_t)time->tv_nsec);
}

static inline struct timespec timespec_from_ns(int64_t ns)
{
	const int64_t seconds = ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);

	return (struct timespec){ .tv_sec = seconds, .tv_nsec = ns - seconds * NS_PER_SEC };
}

/* What a clock shows, for clocks that always can be read. */
int64_t clock_now_ns(clockid_t clock);

/* Monotonic clock in nanoseconds and microseconds. */
static inline uint64_t now_ns(void)
{
	return (uint64_t)clock_now_ns(CLOCK_MONOTONIC);
}

static inline uint64_t now_us(void)
{
	return now_ns() / 1000;
}

/* write()/pread()/... until all is done or an error: 0 or -errno (-EIO when the file ends early). */
int write_all(int fd, const void *data, size_t bytes);
int pwrite_all(int fd, const void *data, size_t bytes, uint64_t offset);
int pread_all(int fd, void *data, size_t bytes, uint64_t offset);
/* Where the file may end early: how much there was. */
int pread_upto(int fd, void *data, size_t bytes, uint64_t offset, size_t *ret_bytes);

/* How many processors this process may run on, at least 1. */
unsigned int usable_processors(void);

/*
 * Names of files and processes come from strangers: control characters in what is printed (of UTF-8 too) become "?", so
 * that they neither end a line nor reach a terminal.
 */
void make_printable(char *text);

/* Parses a whole string as an unsigned number: 0, -EINVAL (no number, something behind it) or -ERANGE. */
int parse_u64(const char *text, int base, uint64_t *ret_value);
