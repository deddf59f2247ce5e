/*
 * What every behaviour program shares. A program brings itself into a state, says so, waits, and then checks that the
 * state is still what it was:
 *
 *	test_start();
 *	... set up ...
 *	test_wait();
 *	EXPECT_EQ(found, expected);
 *	return test_pass();
 *
 * The runner reads descriptor 1 (a plain file): READY, then PASS, FAIL with place, expected and found, or SKIP with a
 * reason. It tells the root of the tree by SIGTERM that it is time to check; a program passes that on to its children.
 * SIGTERM stays blocked in everything a program starts, except while it waits here.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>

/* Blocks SIGTERM and installs its handler. */
void test_start(void);

/* Says READY without waiting: for programs whose wait is what they are about. */
void test_ready(void);

/* True once SIGTERM came. */
bool test_told(void);

/* READY, then sigsuspend() until told. */
void test_wait(void);

/* The mask to wait with: the current one without SIGTERM. */
void test_wait_mask(sigset_t *ret_mask);
/* How many seconds it takes until a checkpoint is over; a guess of the runner's. */
int test_nap_s(void);

/* Prints PASS; what main() returns. */
int test_pass(void);

void test_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void test_fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));

/*
 * Starts a child that runs act(arg) and exits with 0. Returns once the child is waiting in child_wait(), child_ready()
 * was called or it has ended. test_end_child() tells it and expects it to end with 0.
 */
pid_t test_fork(void (*act)(void *), void *arg);
void child_ready(void);
void child_wait(void);
void test_end_child(pid_t pid);

/* Waits for a child and returns its wait status. */
int test_reap(pid_t pid);

/*
 * Starts a second thread that runs act(). Returns once it is in thread_wait(), where it sleeps until
 * test_end_thread() lets it go on and waits for its end.
 */
pthread_t test_thread(void (*act)(void));
void thread_wait(void);
void test_end_thread(pthread_t thread);

/* Sleeps until *word is at least `value`; sets it and wakes who waits. Also between processes that share the word. */
void test_await(volatile int *word, int value);
void test_post(volatile int *word, int value);

/* A page-sized or larger pattern that depends on the seed; test_pattern_check() names the first difference. */
void test_pattern(void *data, size_t bytes, uint32_t seed);
void test_pattern_check(const char *file, int line, const void *data, size_t bytes, uint32_t seed);

/* Waits until /proc says that the task (of ours) sleeps, or has ended: what waits for a time may do so here. */
void test_until_asleep(pid_t pid, pid_t tid);

/* Reads a whole /proc file of ours into a static buffer; NULL when it does not exist. */
const char *test_slurp(const char *path);

/* Where a function lies in the file that is mapped. */
uint64_t test_file_offset(const void *function);

/* The number behind "KEY:" in a text like /proc/self/status or fdinfo, -1 when it is missing. */
long long test_field(const char *text, const char *key, int base);

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			FAIL("%s (errno %d)", #condition, errno);                                                      \
	} while (0)

#define EXPECT_EQ(found, expected)                                                                                     \
	do {                                                                                                           \
		long long found_ = (long long)(found), expected_ = (long long)(expected);                              \
		if (found_ != expected_)                                                                               \
			FAIL("%s: expected %lld (%#llx), found %lld (%#llx)", #found, expected_, expected_, found_,    \
			     found_);                                                                                  \
	} while (0)

#define EXPECT_STR(found, expected)                                                                                    \
	do {                                                                                                           \
		const char *found_ = (found), *expected_ = (expected);                                                 \
		if (!found_ || strcmp(found_, expected_) != 0)                                                         \
			FAIL("%s: expected \"%s\", found \"%s\"", #found, expected_, found_ ? found_ : "nothing");     \
	} while (0)

#define EXPECT_MEM(found, expected, bytes)                                                                             \
	do {                                                                                                           \
		if (memcmp(found, expected, bytes) != 0)                                                               \
			FAIL("%s differs from %s", #found, #expected);                                                 \
	} while (0)

#define EXPECT_PATTERN(data, bytes, seed) test_pattern_check(__FILE__, __LINE__, data, bytes, seed)

/* A call that cannot fail where the test can run at all; gives its value. */
#define MUST(call)                                                                                                     \
	({                                                                                                             \
		__auto_type value_ = (call);                                                                           \
		if ((long)value_ == -1)                                                                                \
			test_fail(__FILE__, __LINE__, "%s: %s", #call, strerror(errno));                               \
		value_;                                                                                                \
	})
