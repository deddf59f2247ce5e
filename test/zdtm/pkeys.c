/*
 * Protection keys: which are allocated, which mapping is under which, and the rights of every thread, seen by reading
 * the register and by touching memory. Threads with a stack under a key, inside a signal handler, asleep in a call
 * whose argument is under a key, and in user code while they have no right to any memory at all; memory that can be
 * executed only; a child with keys of its own. The number that the next key gets.
 *
 * With "execute_only" the program uses no keys itself: the kernel takes one, for memory that can be executed only.
 * With "execute_only_gone" such memory was there, and is not any more; beside it there is memory under a key of the
 * program's own, or a number of threads: then the kernel's records are read.
 */
#include "zdtmlib.h"

#include <linux/futex.h>
#include <setjmp.h>
#include <sys/mman.h>

#define PAGE         4096ul
#define STACK        (64 * 1024ul)
#define MAX_KEYS     16
#define MAX_THREADS  32
#define KEY_ERROR    4 /* SEGV_PKUERR */
#define NO_ACCESS    1u
#define NO_WRITE     2u
#define NOTHING      0xffffffffu
#define RIGHTS(k, r) ((uint32_t)(r) << (2 * (k)))

/* mov $42, %eax; ret */
static const uint8_t code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 };

static volatile uint8_t *secret, *readable, *shared, *leftover, *executable;
static uint8_t *stack;
static int secret_key, free_key, readable_key, shared_key, stack_key, execute_key;
static uint32_t main_rights, thread_rights, handler_rights;
static volatile int go, ready;

/* What the threads without a stack to speak of share with the others; both lie under keys, or under none. */
static struct bare {
	volatile int32_t go;
	volatile uint32_t wrong, rights, result;
	struct timespec time;
	volatile int32_t tid;
} * spinning, *sleeping;

static uint32_t get_rights(void)
{
	uint32_t rights, high;

	__asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(rights), "=d"(high) : "c"(0));
	return rights;
}

static void set_rights(uint32_t rights)
{
	__asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

/* --- touching ---------------------------------------------------------------------------------------------------- */

static __thread sigjmp_buf back;
static __thread volatile int fault_code, fault_key, is_trying;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (!is_trying)
		FAIL("a fault at %p, code %d, key %d", info->si_addr, info->si_code, (int)info->si_pkey);
	fault_code = info->si_code;
	fault_key = (int)info->si_pkey;
	siglongjmp(back, 1);
}

/* The key that forbids it, 0: it works. */
static int try(volatile uint8_t *at, bool writes)
{
	const uint32_t rights = get_rights();

	fault_code = fault_key = 0;
	is_trying = 1;
	if (sigsetjmp(back, 1) == 0) {
		if (writes)
			*at = *at;
		else
			(void)*at;
	}
	is_trying = 0;
	set_rights(rights);
	if (fault_code)
		EXPECT_EQ(fault_code, KEY_ERROR);
	return fault_key;
}

/* What smaps says of the mapping, or -1. */
static int key_of(volatile void *address)
{
	static char line[512];
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, end = 0;
	int key = -1;

	EXPECT(file != NULL);
	while (fgets(line, sizeof(line), file)) {
		unsigned long a, b;

		if (sscanf(line, "%lx-%lx ", &a, &b) == 2) {
			start = a;
			end = b;
		}
		if ((unsigned long)address >= start && (unsigned long)address < end &&
		    sscanf(line, "ProtectionKey: %d", &key) == 1)
			break;
	}
	fclose(file);
	return key;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

/* All that can still be allocated, in order; the rights are as before. */
static uint32_t list_free_keys(void)
{
	const uint32_t rights = get_rights();
	int keys[MAX_KEYS], count = 0;
	uint32_t set = 0;

	while (count < MAX_KEYS && (keys[count] = pkey_alloc(0, 0)) > 0) {
		EXPECT(count == 0 || keys[count] > keys[count - 1]);
		set |= 1u << keys[count++];
	}
	EXPECT_EQ(errno, ENOSPC);
	for (int i = 0; i < count; i++)
		MUST(pkey_free(keys[i]));
	set_rights(rights);
	return set;
}

static int new_key(void)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		test_skip("pkey_alloc: %s", strerror(errno));
	return key;
}

static void *map(size_t bytes, int flags)
{
	return MUST(mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0));
}

static void *map_under(int key, size_t bytes, int protection, int flags)
{
	uint8_t *memory = map(bytes, flags);

	memory[0] = memory[bytes - 1] = (uint8_t)(0x40 + key);
	MUST(pkey_mprotect(memory, bytes, protection, key));
	return memory;
}

static volatile uint8_t *map_execute_only(void)
{
	uint8_t *memory = map(PAGE, MAP_PRIVATE);

	memcpy(memory, code, sizeof(code));
	MUST(mprotect(memory, PAGE, PROT_EXEC));
	return memory;
}

static int call(volatile uint8_t *function)
{
	return ((int (*)(void))(uintptr_t)function)();
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

/* By a call, which the rights are true of as well. */
static bool may_read(volatile uint8_t *at)
{
	int pipe_fds[2];
	ssize_t bytes;

	MUST(pipe(pipe_fds));
	bytes = write(pipe_fds[1], (const void *)(uintptr_t)at, 1);
	EXPECT(bytes == 1 || errno == EFAULT);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return bytes == 1;
}

/*
 * Its stack, and with it all that the C library keeps for it, lies under a key. It must take no signals: a handler
 * begins without rights to it.
 */
static void *on_keyed_stack(void *arg)
{
	stack_t alternate = { .ss_sp = (void *)(uintptr_t)secret, .ss_size = 2 * PAGE }, found;

	(void)arg;
	MUST(sigaltstack(&alternate, NULL));
	set_rights(thread_rights);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!go)
		usleep(2000);
	EXPECT_EQ(get_rights(), thread_rights);
	EXPECT_EQ(key_of(&found), stack_key);
	MUST(sigaltstack(NULL, &found));
	EXPECT(found.ss_sp == alternate.ss_sp && found.ss_size == alternate.ss_size && !found.ss_flags);
	EXPECT(may_read(secret));
	EXPECT(!may_read(readable));
	EXPECT(may_read(shared));
	return NULL;
}

static void on_signal(int signal)
{
	(void)signal;
	handler_rights = get_rights();
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!go)
		usleep(2000);
	EXPECT_EQ(get_rights(), handler_rights);
}

/* The rights to go back to lie in the signal's frame. */
static void *in_handler(void *arg)
{
	const uint32_t rights = RIGHTS(secret_key, NO_WRITE) | RIGHTS(shared_key, NO_ACCESS);

	(void)arg;
	set_rights(rights);
	EXPECT_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
	EXPECT_EQ(get_rights(), rights);
	EXPECT_EQ(try(secret, false), 0);
	EXPECT_EQ(try(secret, true), secret_key);
	EXPECT_EQ(try(shared, false), shared_key);
	EXPECT_EQ(try(readable, true), 0);
	return NULL;
}

/* Code needs no right, and between two looks at its memory this one has none to any: it looks at its rights. */
static int spin(void *arg)
{
	struct bare *bare = arg;

	__asm__ volatile("xorl %%r9d, %%r9d\n"
			 "movl $1, %c[ready](%%rdi)\n"
			 "1: movl $-1, %%eax\n"
			 "xorl %%ecx, %%ecx\n"
			 "xorl %%edx, %%edx\n"
			 ".byte 0x0f, 0x01, 0xef\n" /* wrpkru */
			 "movl $20000, %%r8d\n"
			 "2: .byte 0x0f, 0x01, 0xee\n" /* rdpkru */
			 "cmpl $-1, %%eax\n"
			 "je 3f\n"
			 "incl %%r9d\n"
			 "3: decl %%r8d\n"
			 "jnz 2b\n"
			 "xorl %%eax, %%eax\n"
			 ".byte 0x0f, 0x01, 0xef\n"
			 "movl %%r9d, %c[wrong](%%rdi)\n"
			 "cmpl $0, %c[go](%%rdi)\n"
			 "je 1b\n"
			 :
			 : "D"(bare), [ready] "i"(offsetof(struct bare, result)),
			   [wrong] "i"(offsetof(struct bare, wrong)), [go] "i"(offsetof(struct bare, go))
			 : "rax", "rcx", "rdx", "r8", "r9", "memory", "cc");
	return 0;
}

/* Waits with a time limit that lies under a key, as does what it waits for: the only memory it has a right to. */
static int sleep_bare(void *arg)
{
	struct bare *bare = arg;
	const struct timespec *time = &bare->time;
	const uint32_t rights = bare->rights;
	register long r8 __asm__("r8") = 0, r9 __asm__("r9") = 0, r10 __asm__("r10") = (long)time;

	__asm__ volatile(
	    "movl $1, %c[ready](%%rdi)\n"
	    "movl %[rights], %%eax\n"
	    "xorl %%ecx, %%ecx\n"
	    "xorl %%edx, %%edx\n"
	    ".byte 0x0f, 0x01, 0xef\n"
	    "xorl %%esi, %%esi\n"
	    "movl %[number], %%eax\n"
	    "syscall\n"
	    "movl %%eax, %c[result](%%rdi)\n"
	    "xorl %%ecx, %%ecx\n"
	    ".byte 0x0f, 0x01, 0xee\n"
	    "movl %%eax, %c[rights_found](%%rdi)\n"
	    "xorl %%eax, %%eax\n"
	    ".byte 0x0f, 0x01, 0xef\n"
	    : "+r"(r10), "+r"(r8), "+r"(r9)
	    : "D"(bare), [rights] "r"(rights), [number] "i"(SYS_futex), [ready] "i"(offsetof(struct bare, wrong)),
	      [result] "i"(offsetof(struct bare, result)), [rights_found] "i"(offsetof(struct bare, rights))
	    : "rax", "rcx", "rdx", "rsi", "r11", "memory", "cc");
	return 0;
}

/* Threads of which the C library knows nothing, so that it keeps nothing for them that the kernel would write to. */
static void start_bare(int (*act)(void *), struct bare *bare)
{
	char *bare_stack = map(STACK, MAP_PRIVATE);
	int flags =
	    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;

	bare->tid = 1;
	MUST(clone(act, bare_stack + STACK, flags, bare, NULL, NULL, &bare->tid));
}

static void end_bare(struct bare *bare)
{
	bare->go = 1;
	(void)syscall(SYS_futex, &bare->go, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (bare->tid)
		usleep(1000);
}

static void start_threads(pthread_t threads[2])
{
	pthread_attr_t attributes;

	EXPECT_EQ(pthread_attr_init(&attributes), 0);
	EXPECT_EQ(pthread_attr_setstack(&attributes, stack, STACK), 0);
	EXPECT_EQ(pthread_create(&threads[0], &attributes, on_keyed_stack, NULL), 0);
	EXPECT_EQ(pthread_create(&threads[1], NULL, in_handler, NULL), 0);
	while (ready < 2)
		usleep(1000);
	spinning = map(PAGE, MAP_PRIVATE);
	sleeping = map_under(stack_key, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	memset(sleeping, 0, sizeof(*sleeping));
	sleeping->rights = NOTHING & ~RIGHTS(stack_key, 3);
	sleeping->time.tv_sec = 2000;
	start_bare(spin, spinning);
	start_bare(sleep_bare, sleeping);
	while (!spinning->result || !sleeping->wrong)
		usleep(1000);
	usleep(100000);
}

static void end_threads(const pthread_t threads[2])
{
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(threads[0], NULL), 0);
	EXPECT_EQ(pthread_join(threads[1], NULL), 0);
	end_bare(spinning);
	EXPECT_EQ(spinning->wrong, 0);
	end_bare(sleeping);
	EXPECT_EQ((int32_t)sleeping->result, 0);
	EXPECT_EQ(sleeping->rights, NOTHING & ~RIGHTS(stack_key, 3));
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static void check_memory(void)
{
	EXPECT_EQ(get_rights(), main_rights);
	EXPECT_EQ(key_of(secret), secret_key);
	EXPECT_EQ(key_of(readable), readable_key);
	EXPECT_EQ(key_of(shared), shared_key);
	EXPECT_EQ(key_of(leftover), free_key);
	EXPECT_EQ(key_of(stack), stack_key);
	EXPECT_EQ(key_of(executable), execute_key);
	EXPECT_EQ(key_of(&main_rights), 0);
	EXPECT_EQ(try(secret, false), secret_key);
	EXPECT_EQ(try(secret, true), secret_key);
	EXPECT_EQ(try(readable, false), 0);
	EXPECT_EQ(try(readable, true), readable_key);
	EXPECT_EQ(try(shared, true), 0);
	EXPECT_EQ(try(leftover, true), 0);
	EXPECT_EQ(try(executable, false), execute_key);
	EXPECT_EQ(call(executable), 42);
	/* No call accepts the kernel's. */
	EXPECT_EQ(pkey_mprotect((void *)(uintptr_t)shared, PAGE, PROT_READ | PROT_WRITE, execute_key), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(pkey_free(execute_key), -1);
	EXPECT_EQ(readable[0], 0x40 + readable_key);
	EXPECT_EQ(shared[PAGE - 1], 0x40 + shared_key);
	EXPECT_EQ(leftover[0], 0x40 + free_key);
	set_rights(0);
	EXPECT_EQ(secret[0], 0x40 + secret_key);
	set_rights(main_rights);
}

/* Inherits all of it, and frees one of the keys. */
static void in_child(void *arg)
{
	const uint32_t expected = *(const uint32_t *)arg | 1u << shared_key;
	const uint32_t rights = main_rights ^ RIGHTS(readable_key, 3);

	MUST(pkey_free(shared_key));
	set_rights(rights);
	EXPECT_EQ(list_free_keys(), expected);
	child_wait();
	EXPECT_EQ(get_rights(), rights);
	EXPECT_EQ(try(readable, false), readable_key);
	EXPECT_EQ(try(secret, false), secret_key);
	EXPECT_EQ(try(executable, false), execute_key);
	EXPECT_EQ(key_of(shared), shared_key);
	EXPECT_EQ(call(executable), 42);
	EXPECT_EQ(list_free_keys(), expected);
}

static void use_keys(void)
{
	pthread_t threads[2];
	uint32_t free_keys;
	pid_t pid;

	secret_key = new_key();
	free_key = new_key();
	readable_key = new_key();
	shared_key = new_key();
	stack_key = new_key();
	secret = map_under(secret_key, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	leftover = map_under(free_key, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	readable = map_under(readable_key, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	shared = map_under(shared_key, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	stack = map_under(stack_key, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	executable = map_execute_only();
	execute_key = key_of(executable);
	EXPECT(execute_key > stack_key);
	EXPECT_EQ(pkey_free(free_key), 0);
	thread_rights = RIGHTS(readable_key, NO_ACCESS) | RIGHTS(execute_key, NO_ACCESS);
	start_threads(threads);
	main_rights = RIGHTS(secret_key, NO_ACCESS | NO_WRITE) | RIGHTS(readable_key, NO_WRITE) |
		      RIGHTS(execute_key, NO_ACCESS) | RIGHTS(15, NO_WRITE);
	set_rights(main_rights);
	free_keys = list_free_keys();
	EXPECT(free_keys & 1u << free_key);
	pid = test_fork(in_child, &free_keys);
	check_memory();
	test_wait();
	check_memory();
	EXPECT_EQ(list_free_keys(), free_keys);
	EXPECT_EQ(pkey_alloc(0, 0), free_key);
	set_rights(main_rights);
	EXPECT_EQ(key_of(map_execute_only()), execute_key);
	test_end_child(pid);
	set_rights(0);
	end_threads(threads);
}

static void *idle(void *arg)
{
	test_await(&go, 1);
	return arg;
}

static void execute_only(bool stays, int thread_count)
{
	const uint32_t rights = get_rights();
	const bool has_own_key = !stays && !thread_count;
	pthread_t threads[MAX_THREADS];
	uint32_t free_keys;

	for (int i = 0; i < thread_count; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, idle, NULL), 0);
	secret_key = new_key();
	if (!has_own_key)
		MUST(pkey_free(secret_key));
	else
		secret = map_under(secret_key, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	set_rights(rights);
	executable = map_execute_only();
	execute_key = key_of(executable);
	EXPECT_EQ(execute_key, has_own_key ? 2 : 1);
	if (!stays)
		MUST(munmap((void *)(uintptr_t)executable, PAGE));
	free_keys = list_free_keys();
	test_wait();
	EXPECT_EQ(get_rights(), rights);
	if (stays) {
		EXPECT_EQ(key_of(executable), execute_key);
		EXPECT_EQ(try(executable, false), execute_key);
		EXPECT_EQ(call(executable), 42);
	}
	if (has_own_key) {
		EXPECT_EQ(key_of(secret), secret_key);
		EXPECT_EQ(try(secret, false), secret_key);
	}
	EXPECT_EQ(list_free_keys(), free_keys);
	EXPECT_EQ(key_of(map_execute_only()), execute_key);
	test_post(&go, thread_count);
	for (int i = 0; i < thread_count; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
}

int main(int argc, char **argv)
{
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct sigaction handled = { .sa_handler = on_signal };

	test_start();
	MUST(sigaction(SIGSEGV, &fault, NULL));
	MUST(sigaction(SIGUSR1, &handled, NULL));
	if (argc > 1)
		execute_only(strcmp(argv[1], "execute_only") == 0, argc > 2 ? atoi(argv[2]) : 0);
	else
		use_keys();
	return test_pass();
}
