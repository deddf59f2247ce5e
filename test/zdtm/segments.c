/*
 * Segments of its own: descriptors made by modify_ldt(2), one loaded in %gs of the process and another one in that of a
 * thread; a child with a table of its own. They lead to the same memory without being loaded again, and when they are.
 * Others are of kinds that no thread has loaded: code, data that grow down, one that is not present.
 */
#include "zdtmlib.h"

#include <asm/ldt.h>
#include <pthread.h>
#include <sys/mman.h>

#define SELECTOR(number) ((number) << 3 | 7)
#define FAR_ENTRY        500

static char before[65536], after[65536];
static uint32_t *low;
static volatile int go, ready;

static int modify_ldt(int function, void *data, unsigned long bytes)
{
	int r = (int)syscall(SYS_modify_ldt, function, data, bytes);

	if (r < 0)
		test_skip("modify_ldt: %s", strerror(-r));
	return r;
}

static void make_segment(unsigned int number, uint32_t *base, unsigned int limit, bool is_32bit)
{
	struct user_desc segment = {
		.entry_number = number,
		.base_addr = (unsigned int)(uintptr_t)base,
		.limit = limit,
		.seg_32bit = is_32bit,
		.limit_in_pages = limit > 0xffff,
		.read_exec_only = number == 3,
		.useable = number == FAR_ENTRY,
	};

	(void)modify_ldt(0x11, &segment, sizeof(segment));
}

/* 16-bit code that can only be executed; data that grow down; data that are not there. */
static void make_unused(void)
{
	struct user_desc segments[] = {
		{ .entry_number = 20, .base_addr = 0x12345678, .limit = 0x54321, .contents = 2, .read_exec_only = 1 },
		{ .entry_number = 21, .base_addr = 0xfedcba98, .limit = 0xfffff, .contents = 1, .limit_in_pages = 1 },
		{ .entry_number = 22, .limit = 1, .seg_not_present = 1, .seg_32bit = 1, .useable = 1 },
	};

	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		(void)modify_ldt(0x11, &segments[i], sizeof(segments[i]));
}

static uint32_t read_by_gs(void)
{
	uint32_t value;

	__asm__ volatile("movl %%gs:0, %0" : "=r"(value));
	return value;
}

static void load_gs(unsigned int selector)
{
	__asm__ volatile("movw %w0, %%gs" : : "r"(selector));
}

static unsigned int own_gs(void)
{
	unsigned int selector;

	__asm__ volatile("movl %%gs, %0" : "=r"(selector));
	return selector;
}

static void check_gs(unsigned int number, uint32_t expected)
{
	EXPECT_EQ(own_gs(), SELECTOR(number));
	EXPECT_EQ(read_by_gs(), expected);
	load_gs(0);
	load_gs(SELECTOR(number));
	EXPECT_EQ(read_by_gs(), expected);
}

static void *other(void *arg)
{
	load_gs(SELECTOR(3));
	ready = 1;
	test_await(&go, 1);
	check_gs(3, 33);
	return arg;
}

static void in_child(void *arg)
{
	make_segment(7, low, 0xfffff, true);
	load_gs(SELECTOR(7));
	child_wait();
	check_gs(7, 11);
	load_gs(SELECTOR(FAR_ENTRY));
	EXPECT_EQ(read_by_gs(), 22);
}

int main(void)
{
	pthread_t thread;
	pid_t pid;

	test_start();
	low = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	low[0] = 11;
	low[16] = 22;
	low[32] = 33;
	make_segment(0, low, 0xfffff, true);
	make_segment(3, low + 32, 4095, true);
	make_segment(FAR_ENTRY, low + 16, 15, true);
	make_unused();
	load_gs(SELECTOR(0));
	pid = test_fork(in_child, NULL);
	EXPECT_EQ(pthread_create(&thread, NULL, other, NULL), 0);
	while (!ready)
		usleep(1000);
	EXPECT_EQ(modify_ldt(0, before, sizeof(before)), sizeof(before));
	test_wait();
	EXPECT_EQ(modify_ldt(0, after, sizeof(after)), sizeof(after));
	EXPECT_MEM(after, before, sizeof(before));
	check_gs(0, 11);
	load_gs(SELECTOR(FAR_ENTRY));
	EXPECT_EQ(read_by_gs(), 22);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
	test_end_child(pid);
	return test_pass();
}
