/* Threads, twenty or as many as the argument says: each with its own thread-local data, name, signal mask, alternate
 * stack, id and stack contents. */
#include "zdtmlib.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/prctl.h>

enum { MOST = 2000 };

static __thread uint64_t local[16];
static volatile int go, ready;
static int bad;

struct one {
	int number;
	pid_t tid;
	uint8_t alternate[8192];
};
static struct one ones[MOST];

static void set_mask(int number, sigset_t *ret_mask)
{
	sigemptyset(ret_mask);
	sigaddset(ret_mask, SIGTERM);
	sigaddset(ret_mask, SIGRTMIN + number % 20);
	sigaddset(ret_mask, number % 2 ? SIGUSR1 : SIGUSR2);
}

static void *act(void *arg)
{
	struct one *one = arg;
	uint64_t on_stack[64];
	char name[16], found_name[16];
	sigset_t mask, found_mask;
	stack_t stack = { .ss_sp = one->alternate, .ss_size = sizeof(one->alternate) }, found_stack;
	pthread_t self = pthread_self();

	one->tid = gettid();
	test_pattern(local, sizeof(local), one->number);
	test_pattern(on_stack, sizeof(on_stack), one->number + 100);
	snprintf(name, sizeof(name), "thread-%d", one->number);
	prctl(PR_SET_NAME, name);
	set_mask(one->number, &mask);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	sigaltstack(&stack, NULL);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!go)
		syscall(SYS_futex, &go, FUTEX_WAIT, 0, NULL);
	test_pattern_check(__FILE__, __LINE__, local, sizeof(local), one->number);
	test_pattern_check(__FILE__, __LINE__, on_stack, sizeof(on_stack), one->number + 100);
	prctl(PR_GET_NAME, found_name);
	EXPECT_STR(found_name, name);
	pthread_sigmask(SIG_SETMASK, NULL, &found_mask);
	for (int signo = 1; signo < 65; signo++) {
		if (sigismember(&found_mask, signo) != sigismember(&mask, signo))
			FAIL("thread %d: blocked(%d): expected %d", one->number, signo, sigismember(&mask, signo));
	}
	sigaltstack(NULL, &found_stack);
	EXPECT(found_stack.ss_sp == one->alternate);
	EXPECT_EQ(found_stack.ss_size, sizeof(one->alternate));
	EXPECT_EQ(found_stack.ss_flags, 0);
	EXPECT_EQ(gettid(), one->tid);
	EXPECT_EQ(syscall(SYS_gettid), one->tid);
	EXPECT(pthread_equal(self, pthread_self()));
	return arg;
}

int main(int argc, char **argv)
{
	static pthread_t threads[MOST];
	const int count = argc > 1 ? atoi(argv[1]) : 20;
	pthread_attr_t attributes;

	test_start();
	EXPECT(count <= MOST);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (int i = 0; i < count; i++) {
		ones[i].number = i;
		EXPECT_EQ(pthread_create(&threads[i], &attributes, act, &ones[i]), 0);
	}
	while (ready < count)
		usleep(1000);
	test_wait();
	go = 1;
	syscall(SYS_futex, &go, FUTEX_WAKE, count);
	for (int i = 0; i < count; i++) {
		void *value = NULL;

		EXPECT_EQ(pthread_join(threads[i], &value), 0);
		EXPECT(value == &ones[i]);
	}
	EXPECT_EQ(bad, 0);
	return test_pass();
}
