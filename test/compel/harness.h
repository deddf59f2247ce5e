/*
 * What the compel tests share: targets are forked children that tell the driver about themselves through one shared
 * page; a cycle is one complete use of the library on a target, with a hook at each stage; a snapshot is what must be
 * the same before and after.
 */
#pragma once

#include <compel/compel.h>

#define MAX_THREADS 256
/* How long anything may take on a busy machine before it counts as never. */
#define PATIENCE_NS 60000000000ULL

struct shared {
	volatile int ready; /* threads that are up */
	volatile int stop;  /* the target shall end */
	volatile int done;  /* a single call has returned */
	volatile long result, error;
	volatile uint64_t elapsed_ns;
	volatile int signals; /* handler runs */
	volatile char failure[256];
	volatile uint64_t ticks[MAX_THREADS];
	int pipe_fds[2];
	volatile long scratch[8];
};

typedef void target_function(struct shared *shared);

struct target {
	pid_t pid;
	struct shared *shared;
};

uint64_t now_ns(void);
void sleep_ms(unsigned int ms);

/* A child running the function; returns when *ready_threads are up. Ends the test program if that fails. */
struct target target_start(target_function *function, int ready_threads);
/* SIGKILL and reap, free the shared page. */
void target_kill(struct target *target);
/* Called by targets: the first sentence stays. */
void target_fail(struct shared *shared, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum stage { STAGE_STOPPED, STAGE_INJECTED, STAGE_STARTED, STAGE_FINISHED, STAGE_CURED, STAGE_DETACHED };

struct cycle {
	struct compel_journal *journal; /* may be NULL */
	void (*hook)(enum stage stage, const struct target *target, struct compel_task *task, void *arg);
	void *arg;
	unsigned int seize_flags;
	size_t threads; /* out */
};

/* Seize, a system call, inject, run on all threads, cure, detach. 0 or -errno. */
int run_cycle(const struct target *target, struct cycle *cycle, struct compel_error *err);

struct snapshot {
	char *maps;
	char vdso_end[64]; /* where a stub goes */
	size_t count;
	struct {
		pid_t tid;
		char blocked[20]; /* empty: not compared */
		long tracer;
		char state;
	} threads[MAX_THREADS];
};

void snapshot_take(pid_t pid, struct snapshot *snapshot);
void snapshot_done(struct snapshot *snapshot);
/* NULL: the same mappings and threads with the same masks, untraced, no stub in the vdso. Otherwise what differs. */
const char *snapshot_differs(const struct snapshot *before, pid_t pid);
char thread_state(pid_t pid, pid_t tid);
/* Waits until the (only) thread sleeps in the system call. */
bool wait_sleeping(pid_t pid);

/* --- verdicts --- */

#define SKIP 77

/* Prints expected and found; the test has failed. */
int test_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct test {
	const char *name;
	int (*run)(void); /* 0, SKIP, or anything else */
};

extern const struct test basic_tests[], call_tests[], signal_tests[], odd_tests[], rescue_tests[];
