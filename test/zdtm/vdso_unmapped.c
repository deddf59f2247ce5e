/*
 * A process without a vdso, or (argument "data") with one that has lost its data, or (argument "code") with nothing but
 * these, as under valgrind: what was unmapped must not come back, and what is left stays the only one, where it was.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <time.h>

/* Where it begins, 0 if it is not there. */
static unsigned long find(const char *name, unsigned long *ret_end)
{
	const char *text = test_slurp("/proc/self/maps"), *at = strstr(text, name);
	unsigned long from = 0;

	while (at && at > text && at[-1] != '\n')
		at--;
	if (at)
		EXPECT(sscanf(at, "%lx-%lx", &from, ret_end) == 2);
	return from;
}

static void unmap(const char *name)
{
	unsigned long to = 0, from = find(name, &to);

	if (from)
		EXPECT_EQ(syscall(SYS_munmap, from, to - from), 0);
}

static int count(const char *name)
{
	const char *text = test_slurp("/proc/self/maps");
	int found = 0;

	while ((text = strstr(text, name)) && ++found)
		text++;
	return found;
}

int main(int argc, char **argv)
{
	const bool is_data = argc > 1 && strcmp(argv[1], "data") == 0;
	const bool is_code = argc > 1 && strcmp(argv[1], "code") == 0;
	unsigned long end, data = find("[vvar]", &end);
	void *below = NULL, *at = NULL;
	struct timespec ts;

	test_start();
	if (is_data)
		at = (void *)data;
	if (!is_data)
		unmap("[vdso]");
	if (!is_code) {
		unmap("[vvar_vclock]");
		unmap("[vvar]");
	}
	/* Where the data was there may be something else. */
	if (at) {
		below = MUST(
		    mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
		test_pattern(below, 4096, 7);
	}
	test_wait();
	EXPECT_EQ(count("[vdso]"), is_data);
	EXPECT_EQ(count("[vvar]"), is_code);
	EXPECT_EQ(find("[vvar]", &end), is_code ? data : 0);
	if (at)
		EXPECT_PATTERN(below, 4096, 7);
	EXPECT_EQ(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts), 0);
	return test_pass();
}
