/*
 * The timer slack of processes and threads, and the one each goes back to with PR_SET_TIMERSLACK 0: what its creator
 * had when it was made, which is none where that was a real-time thread. "filtered": children of one, with filters and
 * threads, more than there are processors.
 */
#include "zdtmlib.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

enum { MOST_THREADS = 40 };

struct slack {
	unsigned long birth, own; /* own 0: what it was born with */
};

static volatile int ready, go;
static bool is_real_time;

/* The C library would give 32 bits of it. */
static unsigned long get(void)
{
	return (unsigned long)syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
}

static void have(unsigned long slack)
{
	if (slack)
		MUST(prctl(PR_SET_TIMERSLACK, slack));
}

static void check(const struct slack *slack)
{
	EXPECT_EQ(get(), slack->own ? slack->own : slack->birth);
	MUST(prctl(PR_SET_TIMERSLACK, 0));
	EXPECT_EQ(get(), slack->birth);
	MUST(prctl(PR_SET_TIMERSLACK, 77));
	EXPECT_EQ(get(), 77);
}

static void process(void *arg)
{
	have(((struct slack *)arg)->own);
	child_wait();
	check(arg);
}

static void *thread(void *arg)
{
	have(((struct slack *)arg)->own);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	test_await(&go, 1);
	check(arg);
	return NULL;
}

/* Threads, each born with another slack. */
static void threads(int count, struct slack *slacks, pthread_t *ret)
{
	ready = go = 0;
	for (int i = 0; i < count; i++) {
		slacks[i] = (struct slack){ .birth = 1000 + i / 2, .own = i % 3 ? 2000 + i : 0 };
		have(slacks[i].birth);
		EXPECT_EQ(pthread_create(&ret[i], NULL, thread, &slacks[i]), 0);
	}
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < count)
		usleep(1000);
}

static void with_threads(void *arg)
{
	static struct slack slacks[MOST_THREADS];
	const struct slack own = { .birth = ((struct slack *)arg)->birth, .own = 5555 };
	const int count = (int)((struct slack *)arg)->own;
	pthread_t ids[MOST_THREADS];

	threads(count, slacks, ids);
	have(own.own);
	child_wait();
	test_post(&go, 1);
	for (int i = 0; i < count; i++)
		EXPECT_EQ(pthread_join(ids[i], NULL), 0);
	check(&own);
}

/* Real-time itself: it has no slack, and would go back to what it was born with. */
static void real_time(void *arg)
{
	const struct sched_param low = { .sched_priority = 1 }, none = { .sched_priority = 0 };
	static struct slack of_child = { .birth = 0, .own = 4444 }, of_thread = { .birth = 0, .own = 3333 };
	pthread_t id;
	pid_t pid = 0;

	is_real_time = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &low) == 0 && get() == 0;
	ready = go = 0;
	if (is_real_time) {
		pid = test_fork(process, &of_child);
		EXPECT_EQ(pthread_create(&id, NULL, thread, &of_thread), 0);
		while (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
			usleep(1000);
	}
	child_wait();
	if (is_real_time) {
		EXPECT_EQ(get(), 0);
		MUST(sched_setscheduler(0, SCHED_OTHER, &none));
		test_end_child(pid);
		test_post(&go, 1);
		EXPECT_EQ(pthread_join(id, NULL), 0);
	}
	EXPECT_EQ(get(), ((struct slack *)arg)->birth);
}

static void *wait_filtered(void *arg)
{
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	test_await(&go, 1);
	EXPECT_EQ(get(), 0);
	return arg;
}

static void filtered(void *arg)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &code };
	enum { THREADS = 3 };
	pthread_t ids[THREADS];

	ready = go = 0;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_create(&ids[i], NULL, wait_filtered, arg), 0);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < THREADS)
		usleep(1000);
	child_wait();
	test_post(&go, 1);
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(pthread_join(ids[i], NULL), 0);
	EXPECT_EQ(get(), 0);
	EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
}

static int many_filtered(void)
{
	const struct sched_param low = { .sched_priority = 1 };
	enum { MOST = 64 };
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	const int count = processors + 2 < MOST ? (int)processors + 2 : MOST;
	pid_t pids[MOST];

	test_start();
	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &low) < 0)
		test_skip("no real-time policy");
	for (int i = 0; i < count; i++)
		pids[i] = test_fork(filtered, NULL);
	test_wait();
	for (int i = 0; i < count; i++)
		test_end_child(pids[i]);
	return test_pass();
}

int main(int argc, char **argv)
{
	static struct slack slacks[] = {
		{ .birth = 1 },     { .birth = 2, .own = 50000 }, { .birth = 50000, .own = 3 },
		{ .birth = 50000 }, { .birth = 9, .own = 9 },     { .birth = 1ul << 40, .own = 1ul << 41 },
	};
	static struct slack few = { .birth = 11, .own = 3 }, many = { .birth = 12, .own = MOST_THREADS };
	static struct slack of_real_time = { .birth = 600 };
	/* So many that those alike are not asked one by one. */
	enum { KINDS = sizeof(slacks) / sizeof(slacks[0]), COUNT = 4 * KINDS };
	pid_t pids[COUNT + 3];

	if (argc > 1 && strcmp(argv[1], "filtered") == 0)
		return many_filtered();
	test_start();
	for (int i = 0; i < COUNT; i++) {
		have(slacks[i % KINDS].birth);
		pids[i] = test_fork(process, &slacks[i % KINDS]);
	}
	have(few.birth);
	pids[COUNT] = test_fork(with_threads, &few);
	have(many.birth);
	pids[COUNT + 1] = test_fork(with_threads, &many);
	have(of_real_time.birth);
	pids[COUNT + 2] = test_fork(real_time, &of_real_time);
	test_wait();
	EXPECT_EQ(get(), of_real_time.birth);
	for (int i = 0; i < COUNT + 3; i++)
		test_end_child(pids[i]);
	return test_pass();
}
