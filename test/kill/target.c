/*
 * What the kills are aimed at: eight threads that check 64 MiB, their registers and their system calls all the time,
 * and count in a shared file, so that a watcher sees each thread live without disturbing it.
 *
 * It has files without a name open, in its working directory and in one that is gone, so that a restore has to make
 * names for them. Its limit of address space leaves no room for what a dump maps into it.
 *
 * target FILE [ends | children | vfork]: FILE holds a struct watch and is mapped shared. With "ends" the first thread
 * ends, and there is another one in its place; with "children" some threads have a child, which dies with its thread;
 * with "vfork" the first one has a child one of whose threads waits for the end of its vfork, by one that sleeps most
 * of the time, while the other thread runs.
 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { SLICE_BYTES = 8 << 20, STEP_BYTES = 256 << 10, STACK_BYTES = 64 << 10, VFORKED_FD = 50 };

static struct watch *watch;
static uint64_t *memory;
static bool has_children, has_vfork;
static uint32_t nobody_wakes;

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void complain(const char *format, ...)
{
	va_list args;

	if (__atomic_fetch_add(&watch->errors, 1, __ATOMIC_SEQ_CST))
		return;
	va_start(args, format);
	vsnprintf(watch->message, sizeof(watch->message), format, args);
	va_end(args);
}

static uint64_t word_at(size_t index)
{
	return (index + 1) * 0x9e3779b97f4a7c15ULL;
}

static void check_memory(int number, size_t step)
{
	size_t first = ((size_t)number * SLICE_BYTES + step * STEP_BYTES % SLICE_BYTES) / 8;

	for (size_t i = first; i < first + STEP_BYTES / 8; i++) {
		if (memory[i] != word_at(i)) {
			complain("thread %d: word %zu is %#lx, not %#lx", number, i, memory[i], word_at(i));
			return;
		}
	}
}

/* Spins with a pattern in many registers and returns how many do not hold it afterwards. */
static uint64_t spin_registers(uint64_t pattern, uint64_t turns)
{
	uint64_t wrong = 0;

	__asm__ volatile("movq %[pattern], %%r8\n\t"
			 "leaq 1(%[pattern]), %%r9\n\t"
			 "leaq 2(%[pattern]), %%r10\n\t"
			 "leaq 3(%[pattern]), %%r11\n\t"
			 "leaq 4(%[pattern]), %%r12\n\t"
			 "leaq 5(%[pattern]), %%r13\n\t"
			 "movq %%r8, %%xmm0\n\t"
			 "movq %%r9, %%xmm15\n"
			 "1: decq %[turns]\n\t"
			 "jnz 1b\n\t"
			 "subq %[pattern], %%r8\n\t"
			 "subq %[pattern], %%r9\n\t"
			 "subq %[pattern], %%r10\n\t"
			 "subq %[pattern], %%r11\n\t"
			 "subq %[pattern], %%r12\n\t"
			 "subq %[pattern], %%r13\n\t"
			 "movq %%r8, %[wrong]\n\t"
			 "subq $1, %%r9\n\t"
			 "orq %%r9, %[wrong]\n\t"
			 "subq $2, %%r10\n\t"
			 "orq %%r10, %[wrong]\n\t"
			 "subq $3, %%r11\n\t"
			 "orq %%r11, %[wrong]\n\t"
			 "subq $4, %%r12\n\t"
			 "orq %%r12, %[wrong]\n\t"
			 "subq $5, %%r13\n\t"
			 "orq %%r13, %[wrong]\n\t"
			 "movq %%xmm0, %%r8\n\t"
			 "subq %[pattern], %%r8\n\t"
			 "orq %%r8, %[wrong]\n\t"
			 "movq %%xmm15, %%r8\n\t"
			 "subq %[pattern], %%r8\n\t"
			 "subq $1, %%r8\n\t"
			 "orq %%r8, %[wrong]\n\t"
			 : [wrong] "+&r"(wrong), [turns] "+&r"(turns)
			 : [pattern] "r"(pattern)
			 : "r8", "r9", "r10", "r11", "r12", "r13", "xmm0", "xmm15", "cc");
	return wrong;
}

/* Threads that sleep in different system calls: none may come back with what the caller cannot explain. */
static void check_sleep(int number)
{
	struct timespec nap = { .tv_nsec = 2000000 };
	static int ends[2] = { -1, -1 };
	char byte = 0;

	if (number == 5 && nanosleep(&nap, NULL) != 0)
		complain("nanosleep: errno %d", errno);
	if (number == 6 && (syscall(SYS_futex, &nobody_wakes, FUTEX_WAIT, 0, &nap) != -1 || errno != ETIMEDOUT))
		complain("futex: errno %d, not ETIMEDOUT", errno);
	if (number == 7) {
		if (ends[0] < 0 && pipe(ends) < 0)
			complain("pipe: errno %d", errno);
		if (write(ends[1], "k", 1) != 1 || read(ends[0], &byte, 1) != 1 || byte != 'k')
			complain("pipe: errno %d, byte %d", errno, byte);
		if (nanosleep(&nap, NULL) != 0)
			complain("nanosleep: errno %d", errno);
	}
}

static void make_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		complain("fork: errno %d", errno);
	if (pid != 0)
		return;
	munmap(memory, (size_t)WATCH_THREADS * SLICE_BYTES);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	__atomic_fetch_add(&watch->children, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

/* It has a descriptor that its parent has not. */
static int run_vforked(void *parent)
{
	const struct timespec nap = { .tv_nsec = 20000000 };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != *(pid_t *)parent || dup2(0, VFORKED_FD) < 0)
		_exit(1);
	for (;;) {
		(void)nanosleep(&nap, NULL);
		if (fcntl(VFORKED_FD, F_GETFD) < 0)
			complain("the child of vfork has lost a descriptor");
		__atomic_add_fetch(&watch->vforked_ticks, 1, __ATOMIC_SEQ_CST);
	}
}

static void *wait_in_vfork(void *parent)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (stack == MAP_FAILED)
		_exit(1);
	pid = clone(run_vforked, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, parent);
	complain("vfork has ended with %d, errno %d", pid, errno);
	_exit(1);
}

static void make_vfork(void)
{
	const struct timespec nap = { .tv_nsec = 5000000 };
	pid_t parent = getpid(), pid = fork();
	pthread_t thread;

	if (pid < 0)
		complain("fork: errno %d", errno);
	if (pid != 0)
		return;
	munmap(memory, (size_t)WATCH_THREADS * SLICE_BYTES);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	parent = getpid();
	if (pthread_create(&thread, NULL, wait_in_vfork, &parent) != 0)
		_exit(1);
	for (uint64_t step = 0;; step++) {
		uint64_t wrong = spin_registers(0x8765432100000000ULL + step, 2000);

		if (wrong)
			complain("beside a vfork: registers changed: %#lx", wrong);
		__atomic_add_fetch(&watch->beside_ticks, 1, __ATOMIC_SEQ_CST);
		(void)nanosleep(&nap, NULL);
	}
}

static void *act(void *arg)
{
	int number = (int)(long)arg;
	sigset_t mask, now;

	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + number);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	prctl(PR_SET_TIMERSLACK, 100000 + number);
	watch->tid[number] = gettid();
	if (has_children && number < WATCH_CHILDREN)
		make_child();
	if (has_vfork && number == 0)
		make_vfork();
	for (size_t step = 0;; step++) {
		uint64_t wrong = spin_registers(0x1234567800000000ULL + step, 20000);

		if (wrong)
			complain("thread %d: registers changed: %#lx", number, wrong);
		check_memory(number, step);
		check_sleep(number);
		pthread_sigmask(SIG_SETMASK, NULL, &now);
		if (memcmp(&now, &mask, 8) != 0)
			complain("thread %d: its signal mask changed", number);
		__atomic_add_fetch(&watch->ticks[number], 1, __ATOMIC_SEQ_CST);
		sched_yield();
	}
	return NULL;
}

static bool make_nameless(void)
{
	static char data[100000];
	int file;

	if (mkdir("dead", 0700) < 0 || mkdir("dead/deep", 0700) < 0 || mkfifo("fifo", 0600) < 0)
		return false;
	file = open("dead/deep/file", O_RDWR | O_CREAT, 0600);
	if (file < 0 || write(file, data, sizeof(data)) != sizeof(data) || link("dead/deep/file", "other") < 0)
		return false;
	return open("other", O_RDONLY | O_NOFOLLOW) >= 0 && open("dead", O_RDONLY | O_DIRECTORY) >= 0 &&
	       open("fifo", O_RDWR) >= 0 && unlink("dead/deep/file") == 0 && unlink("other") == 0 &&
	       rmdir("dead/deep") == 0 && rmdir("dead") == 0 && unlink("fifo") == 0;
}

/* Nothing more can be mapped. */
static bool limit_space(void)
{
	unsigned long pages;
	FILE *file = fopen("/proc/self/statm", "re");
	struct rlimit limit;
	bool is_read = file && fscanf(file, "%lu", &pages) == 1;

	if (file)
		fclose(file);
	if (!is_read || getrlimit(RLIMIT_AS, &limit) < 0)
		return false;
	limit.rlim_cur = pages * 4096;
	return setrlimit(RLIMIT_AS, &limit) == 0;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	bool ends;
	int fd = argc == 2 || argc == 3 ? open(argv[1], O_RDWR) : -1;

	if (fd < 0)
		return 2;
	watch = mmap(NULL, sizeof(*watch), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memory =
	    mmap(NULL, (size_t)WATCH_THREADS * SLICE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (watch == MAP_FAILED || memory == MAP_FAILED || !make_nameless())
		return 2;
	for (size_t i = 0; i < (size_t)WATCH_THREADS * SLICE_BYTES / 8; i++)
		memory[i] = word_at(i);
	has_children = argc == 3 && !strcmp(argv[2], "children");
	has_vfork = argc == 3 && !strcmp(argv[2], "vfork");
	ends = argc == 3 && !strcmp(argv[2], "ends");
	for (long i = ends ? 0 : 1; i < WATCH_THREADS; i++) {
		if (pthread_create(&thread, NULL, act, (void *)i) != 0)
			return 2;
	}
	if (!limit_space())
		return 2;
	if (ends)
		syscall(SYS_exit, 5);
	act((void *)0L);
	return 0;
}
