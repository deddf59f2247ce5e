#include "base/util.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int array_reserve(void *items, size_t *capacity, size_t count, size_t item_bytes)
{
	void **array = items;
	void *grown;
	size_t wanted;

	if (count < *capacity)
		return 0;
	wanted = *capacity ? *capacity * 2 : 16;
	grown = reallocarray(*array, wanted, item_bytes);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*capacity = wanted;
	return 0;
}

int64_t clock_now_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock, &now);
	return timespec_to_ns(&now);
}

int write_all(int fd, const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes) {
		ssize_t n = TEMP_FAILURE_RETRY(write(fd, at, bytes));

		if (n < 0)
			return -errno;
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int pwrite_all(int fd, const void *data, size_t bytes, uint64_t offset)
{
	const char *at = data;

	while (bytes) {
		ssize_t n = TEMP_FAILURE_RETRY(pwrite(fd, at, bytes, (off_t)offset));

		if (n < 0)
			return -errno;
		at += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

int pread_upto(int fd, void *data, size_t bytes, uint64_t offset, size_t *ret_bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = TEMP_FAILURE_RETRY(pread(fd, (char *)data + done, bytes - done, (off_t)(offset + done)));

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	*ret_bytes = done;
	return 0;
}

int pread_all(int fd, void *data, size_t bytes, uint64_t offset)
{
	size_t done = 0;
	int r = pread_upto(fd, data, bytes, offset, &done);

	return r == 0 && done < bytes ? -EIO : r;
}

unsigned int usable_processors(void)
{
	static unsigned int known;
	unsigned int count = __atomic_load_n(&known, __ATOMIC_RELAXED);
	cpu_set_t set;

	if (count)
		return count;
	count = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned int)CPU_COUNT(&set);
	__atomic_store_n(&known, count, __ATOMIC_RELAXED);
	return count;
}

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

void make_printable(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (is_control(*c))
			*c = '?';
		else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			c[0] = c[1] = '?';
	}
}

int parse_u64(const char *text, int base, uint64_t *ret_value)
{
	char *end;
	unsigned long long value;

	if (!text || *text == '\0' || *text == '-' || *text == '+' || *text == ' ')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, base);
	if (*end != '\0' || end == text)
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	*ret_value = value;
	return 0;
}
