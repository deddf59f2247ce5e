/*
 * Threads that write where they may not, all the time: whenever they are stopped, the handler of the fault finds
 * address and kind of it also among the registers that it gets, of which the kernel keeps those of the last fault.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <ucontext.h>

enum { THREADS = 8, PAGE_FAULT = 14, WRITE_BY_USER = 6 };

static volatile int ended;
static long faults[THREADS];
static __thread char *page;
static __thread long *own_faults;

static void handle(int signo, siginfo_t *info, void *context)
{
	const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	EXPECT_EQ(signo, SIGSEGV);
	EXPECT_EQ(info->si_code, SEGV_ACCERR);
	EXPECT_EQ((long)info->si_addr, (long)page);
	EXPECT_EQ(registers[REG_TRAPNO], PAGE_FAULT);
	EXPECT_EQ(registers[REG_ERR] & ~1, WRITE_BY_USER);
	EXPECT_EQ(registers[REG_CR2], (long)page);
	++*own_faults;
	MUST(mprotect(page, 4096, PROT_READ | PROT_WRITE));
}

static void *fault(void *arg)
{
	sigset_t set;

	own_faults = arg;
	page = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	for (char i = 0; !ended; i++) {
		MUST(mprotect(page, 4096, PROT_NONE));
		*(volatile char *)page = i;
		EXPECT_EQ(*page, i);
	}
	return NULL;
}

int main(void)
{
	const struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
	pthread_t threads[THREADS];

	test_start();
	MUST(sigaction(SIGSEGV, &action, NULL));
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, fault, &faults[i]), 0);
	test_wait();
	usleep(100000);
	ended = 1;
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
		EXPECT(faults[i] > 0);
	}
	return test_pass();
}
