/*
 * Segments in the GDT, which each thread has for itself, made by the 32-bit call set_thread_area(2): those of the
 * process, of a thread and of a child, loaded in %gs or not. They lead to the same memory without being loaded again,
 * and when they are, and the call tells what they are.
 */
#include "zdtmlib.h"

#include <asm/ldt.h>
#include <sys/mman.h>

#define FIRST_SLOT         12
#define SLOTS              3
#define SELECTOR(slot)     ((FIRST_SLOT + (slot)) << 3 | 3)
#define CALL_SET           243
#define CALL_GET           244
#define WORDS_BETWEEN      16
#define LIMIT(is_in_pages) ((is_in_pages) ? 0xfffffu : 63u)

static uint32_t *low;
static struct user_desc *passed; /* below 4 GB */

static void no_calls(int signal)
{
	(void)signal;
	test_skip("no 32-bit system calls");
}

static int call_32bit(int number, struct user_desc *segment)
{
	int result;

	*passed = *segment;
	__asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(passed) : "memory", "r8", "r9", "r10", "r11");
	*segment = *passed;
	return result;
}

static struct user_desc segment_of(unsigned int slot, unsigned int word)
{
	return (struct user_desc){
		.entry_number = FIRST_SLOT + slot,
		.base_addr = (unsigned int)(uintptr_t)(low + word * WORDS_BETWEEN),
		.limit = LIMIT(slot != 1),
		.seg_32bit = 1,
		.limit_in_pages = slot != 1,
		.read_exec_only = slot == 1,
		.useable = slot == 2,
	};
}

static void set(unsigned int slot, unsigned int word)
{
	struct user_desc segment = segment_of(slot, word);

	EXPECT_EQ(call_32bit(CALL_SET, &segment), 0);
}

static void load_gs(unsigned int selector)
{
	__asm__ volatile("movw %w0, %%gs" : : "r"(selector));
}

static void expect_gs(unsigned int slot, unsigned int word)
{
	unsigned int selector;
	uint32_t value;

	__asm__ volatile("movl %%gs, %0" : "=r"(selector));
	__asm__ volatile("movl %%gs:0, %0" : "=r"(value));
	EXPECT_EQ(selector, SELECTOR(slot));
	EXPECT_EQ(value, word);
}

static void expect(unsigned int slot, unsigned int word)
{
	const struct user_desc expected = segment_of(slot, word);
	struct user_desc found = { .entry_number = FIRST_SLOT + slot };

	EXPECT_EQ(call_32bit(CALL_GET, &found), 0);
	EXPECT_EQ(found.base_addr, expected.base_addr);
	EXPECT_EQ(found.limit, expected.limit);
	EXPECT_EQ(found.seg_32bit, expected.seg_32bit);
	EXPECT_EQ(found.contents, expected.contents);
	EXPECT_EQ(found.read_exec_only, expected.read_exec_only);
	EXPECT_EQ(found.limit_in_pages, expected.limit_in_pages);
	EXPECT_EQ(found.seg_not_present, expected.seg_not_present);
	EXPECT_EQ(found.useable, expected.useable);
	load_gs(SELECTOR(slot));
	expect_gs(slot, word);
}

static void expect_empty(unsigned int slot)
{
	struct user_desc found = { .entry_number = FIRST_SLOT + slot };

	EXPECT_EQ(call_32bit(CALL_GET, &found), 0);
	EXPECT_EQ(found.base_addr, 0);
	EXPECT_EQ(found.limit, 0);
	EXPECT_EQ(found.seg_not_present, 1);
}

/* Those of its creator, but for one. */
static void in_thread(void)
{
	set(1, 3);
	load_gs(SELECTOR(1));
	thread_wait();
	expect_gs(1, 3);
	expect(0, 1);
	expect(1, 3);
	expect_empty(2);
}

static void in_child(void *arg)
{
	(void)arg;
	set(2, 5);
	load_gs(SELECTOR(0));
	child_wait();
	expect_gs(0, 1);
	expect(0, 1);
	expect(1, 2);
	expect(2, 5);
}

static void *idle(void *arg)
{
	pause();
	return arg;
}

static void start_idle_threads(int count)
{
	pthread_t thread;

	for (int i = 0; i < count; i++)
		EXPECT_EQ(pthread_create(&thread, NULL, idle, NULL), 0);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	pid_t pid;

	test_start();
	low = MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	passed = (struct user_desc *)(low + 1024);
	for (unsigned int word = 0; word < 8; word++)
		low[word * WORDS_BETWEEN] = word;
	start_idle_threads(argc > 1 ? atoi(argv[1]) : 0);
	(void)signal(SIGSEGV, no_calls);
	set(0, 1);
	(void)signal(SIGSEGV, SIG_DFL);
	thread = test_thread(in_thread);
	set(1, 2);
	pid = test_fork(in_child, NULL);
	load_gs(SELECTOR(1));
	test_wait();
	expect_gs(1, 2);
	expect(0, 1);
	expect(1, 2);
	expect_empty(2);
	test_end_thread(thread);
	test_end_child(pid);
	return test_pass();
}
