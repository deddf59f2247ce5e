/*
 * Page scans against memory whose state is known, once by the request and once by the words of pagemap: both must say
 * the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/features.h"
#include "kernel/missing-mman.h"
#include "kernel/pagemap-scan.h"
#include "kernel/proc-pid.h"

struct scanner {
	int pagemap_fd;
	struct page_ranges ranges;
};

static struct scanner scanner = { .pagemap_fd = -1 };

static int open_scanner(void **state)
{
	AUTO_CLOSE int procfd = proc_open(0);

	scanner.pagemap_fd = pagemap_open(procfd);
	return scanner.pagemap_fd < 0;
}

static int close_scanner(void **state)
{
	page_ranges_done(&scanner.ranges);
	close_fd(&scanner.pagemap_fd);
	return 0;
}

static char *map_private(size_t pages)
{
	char *at =
	    mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

/* One character a page: x is in the list, - is not. */
static void expect_pages(const char *start, const char *expected)
{
	size_t pages = strlen(expected), i, k;
	char found[65];

	assert_true(pages < sizeof(found));
	memset(found, '-', pages);
	found[pages] = '\0';
	for (i = 0; i < scanner.ranges.count; i++) {
		size_t first = (scanner.ranges.ranges[i].start - (uintptr_t)start) / PAGE_BYTES;

		for (k = 0; k < scanner.ranges.ranges[i].page_count; k++)
			found[first + k] = 'x';
	}
	assert_string_equal(found, expected);
}

static void scan_once(const char *start, size_t pages, enum page_selection selection)
{
	uint64_t from = (uintptr_t)start;

	scanner.ranges.count = 0;
	assert_int_equal(pagemap_scan(scanner.pagemap_fd, from, from + pages * PAGE_BYTES, selection, &scanner.ranges),
			 0);
}

static void expect_scan(const char *start, enum page_selection selection, const char *expected)
{
	(void)unsetenv("CRIU_MASK_FEATURES");
	scan_once(start, strlen(expected), selection);
	expect_pages(start, expected);
	/* Words hide the frame of the zero page from us then. */
	if (geteuid() != 0)
		return;
	(void)setenv("CRIU_MASK_FEATURES", "mseal,pagemap_scan", 1);
	scan_once(start, strlen(expected), selection);
	expect_pages(start, expected);
	(void)unsetenv("CRIU_MASK_FEATURES");
}

static void expect_guards(const char *start, const char *expected)
{
	uint64_t from = (uintptr_t)start, to = from + strlen(expected) * PAGE_BYTES;

	scanner.ranges.count = 0;
	assert_int_equal(pagemap_scan_guards(scanner.pagemap_fd, from, to, &scanner.ranges), 0);
	expect_pages(start, expected);
	(void)setenv("CRIU_MASK_FEATURES", "pagemap_scan", 1);
	scanner.ranges.count = 0;
	assert_int_equal(pagemap_scan_guards(scanner.pagemap_fd, from, to, &scanner.ranges), 0);
	expect_pages(start, expected);
	(void)unsetenv("CRIU_MASK_FEATURES");
}

static void test_anonymous(void **state)
{
	char *at = map_private(8);
	volatile char seen;

	at[0] = 1;
	seen = at[1 * PAGE_BYTES]; /* the zero page */
	at[3 * PAGE_BYTES] = 0;    /* content that is zero is content */
	at[4 * PAGE_BYTES] = 1;
	(void)seen;
	expect_scan(at, PAGES_ANON, "x--xx---");
	expect_scan(at, PAGES_ANY, "xx-xx---");
	(void)munmap(at, 8 * PAGE_BYTES);
}

static void test_guards(void **state)
{
	char *at = map_private(6);
	size_t i;

	for (i = 0; i < 6; i++)
		at[i * PAGE_BYTES] = 1;
	if (madvise(at + 2 * PAGE_BYTES, 2 * PAGE_BYTES, MADV_GUARD_INSTALL) < 0)
		skip();
	expect_scan(at, PAGES_ANON, "xx--xx");
	expect_scan(at, PAGES_ANY, "xx--xx");
	expect_guards(at, "--xx--");
	(void)munmap(at, 6 * PAGE_BYTES);
}

static char *map_file(int flags, size_t pages)
{
	AUTO_CLOSE int fd = memfd_create("test", MFD_CLOEXEC);
	char *at;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages * PAGE_BYTES)), 0);
	at = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static void test_copied(void **state)
{
	char *at = map_file(MAP_PRIVATE, 4);
	volatile char seen = at[1 * PAGE_BYTES];

	(void)seen;
	at[2 * PAGE_BYTES] = 1;
	expect_scan(at, PAGES_COPIED, "--x-");
	(void)munmap(at, 4 * PAGE_BYTES);
}

static void test_shared(void **state)
{
	char *at = map_file(MAP_SHARED, 4);

	at[0] = 1;
	at[3 * PAGE_BYTES] = 1;
	expect_scan(at, PAGES_ANY, "x--x");
	expect_scan(at, PAGES_COPIED, "----");
	(void)munmap(at, 4 * PAGE_BYTES);
}

/* The huge zero page must not be taken for two megabytes of content. */
static void test_huge_zero_page(void **state)
{
	const size_t huge_pages = 512;
	char *area = map_private(2 * huge_pages);
	char *at = (char *)(((uintptr_t)area + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1));
	volatile char seen;

	if (madvise(at, 2 << 20, MADV_HUGEPAGE) < 0)
		skip();
	seen = at[5 * PAGE_BYTES];
	(void)seen;
	scan_once(at, huge_pages, PAGES_ANON);
	assert_int_equal(scanner.ranges.count, 0);
	at[5 * PAGE_BYTES] = 1;
	scan_once(at, huge_pages, PAGES_ANON);
	assert_true(scanner.ranges.count >= 1);
	(void)munmap(area, 2 * huge_pages * PAGE_BYTES);
}

/* 64 GiB with a page here and there: by the request well under the time that one look at each page would take. */
static void test_sparse(void **state)
{
	const size_t pages = 16UL << 20, step = 1 << 18;
	char *at = map_private(pages);
	uint64_t started, took_us;
	size_t i;

	for (i = 0; i < pages; i += step)
		at[i * PAGE_BYTES] = 1;
	started = now_us();
	scan_once(at, pages, PAGES_ANON);
	took_us = now_us() - started;
	assert_int_equal(scanner.ranges.count, pages / step);
	for (i = 0; i < scanner.ranges.count; i++)
		assert_int_equal(scanner.ranges.ranges[i].page_count, 1);
	print_message("64 GiB, %zu pages: %llu us\n", pages / step, (unsigned long long)took_us);
	(void)setenv("CRIU_MASK_FEATURES", "pagemap_scan", 1);
	started = now_us();
	scan_once(at, pages, PAGES_ANON);
	took_us = now_us() - started;
	assert_int_equal(scanner.ranges.count, pages / step);
	print_message("the same by words: %llu us\n", (unsigned long long)took_us);
	(void)unsetenv("CRIU_MASK_FEATURES");
	(void)munmap(at, pages * PAGE_BYTES);
}

/* More ranges than one request returns, and one that goes on across requests. */
static void test_many_ranges(void **state)
{
	const size_t pages = 20000;
	char *at = map_private(pages);
	size_t i;

	for (i = 0; i < pages; i += 2)
		at[i * PAGE_BYTES] = 1;
	(void)madvise(at, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	scan_once(at, pages, PAGES_ANON);
	assert_int_equal(scanner.ranges.count, pages / 2);
	for (i = 0; i < pages / 2; i++)
		assert_true(scanner.ranges.ranges[i].start == (uintptr_t)at + i * 2 * PAGE_BYTES &&
			    scanner.ranges.ranges[i].page_count == 1);
	for (i = 1; i < pages; i += 2)
		at[i * PAGE_BYTES] = 1;
	scan_once(at, pages, PAGES_ANON);
	assert_int_equal(scanner.ranges.count, 1);
	assert_int_equal(scanner.ranges.ranges[0].page_count, pages);
	(void)munmap(at, pages * PAGE_BYTES);
}

static void expect_written(const char *start, bool rearm, const char *expected)
{
	uint64_t from = (uintptr_t)start, to = from + strlen(expected) * PAGE_BYTES;

	scanner.ranges.count = 0;
	assert_int_equal(pagemap_scan_written(scanner.pagemap_fd, from, to, PAGES_ANON, rearm, &scanner.ranges), 0);
	expect_pages(start, expected);
}

static bool register_write_tracking(int uffd, const char *start, size_t pages)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | 1 << 15 };
	struct uffdio_register area = {
		.range = { .start = (uintptr_t)start, .len = pages * PAGE_BYTES },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	return uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0 && ioctl(uffd, UFFDIO_REGISTER, &area) == 0;
}

static void test_written(void **state)
{
	AUTO_CLOSE int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	char *at = map_private(8);
	volatile char seen;

	at[0] = at[PAGE_BYTES] = at[2 * PAGE_BYTES] = 1;
	if (!register_write_tracking(uffd, at, 8))
		skip();
	expect_written(at, true, "xxx-----");
	expect_written(at, true, "--------");
	/* Arming left no marks that pass for content. */
	expect_scan(at, PAGES_ANON, "xxx-----");
	at[PAGE_BYTES] = 2;
	at[5 * PAGE_BYTES] = 1;
	seen = at[6 * PAGE_BYTES];
	(void)seen;
	assert_int_equal(madvise(at + 2 * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED), 0);
	expect_written(at, false, "-x---x--");
	expect_written(at, true, "-x---x--");
	expect_written(at, false, "--------");
	expect_scan(at, PAGES_ANON, "xx---x--");
	(void)munmap(at, 8 * PAGE_BYTES);
	/* Memory that nobody registered. */
	at = map_private(1);
	at[0] = 1;
	scanner.ranges.count = 0;
	assert_int_equal(pagemap_scan_written(scanner.pagemap_fd, (uintptr_t)at, (uintptr_t)at + PAGE_BYTES, PAGES_ANON,
					      false, &scanner.ranges),
			 -EPERM);
	assert_int_equal(scanner.ranges.count, 0);
	(void)munmap(at, PAGE_BYTES);
}

static void test_list(void **state)
{
	struct page_ranges ranges = { 0 };

	assert_int_equal(page_ranges_add(&ranges, 0x1000, 2), 0);
	assert_int_equal(page_ranges_add(&ranges, 0x3000, 1), 0);
	assert_int_equal(page_ranges_add(&ranges, 0x5000, 1), 0);
	assert_int_equal(ranges.count, 2);
	assert_int_equal(ranges.ranges[0].page_count, 3);
	assert_int_equal(ranges.ranges[1].page_count, 1);
	/* Failures leave the list alone, also what a scan would have merged into its end. */
	assert_int_equal(pagemap_scan(-1, 0x6000, 0x7000, PAGES_ANON, &ranges), -EBADF);
	assert_int_equal(pagemap_scan(-1, 0x6000, 0x6000, PAGES_ANON, &ranges), -EINVAL);
	assert_int_equal(pagemap_scan(-1, 0x6001, 0x7000, PAGES_ANON, &ranges), -EINVAL);
	assert_int_equal(ranges.count, 2);
	page_ranges_done(&ranges);
	page_ranges_done(&ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anonymous),      cmocka_unit_test(test_guards),
		cmocka_unit_test(test_copied),         cmocka_unit_test(test_shared),
		cmocka_unit_test(test_huge_zero_page), cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_many_ranges),    cmocka_unit_test(test_written),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, open_scanner, close_scanner);
}
