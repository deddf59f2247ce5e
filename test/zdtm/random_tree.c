/*
 * A tree made from one number, the seed (the first argument): processes, children of any thread, threads and first
 * threads that have ended, sessions, groups, orphans, zombies, stopped ones, pending signals, timers, masks,
 * attributes. One process is made after the other, so that a seed always gives the same tree. What matters is that
 * /proc is the same before and after; test/trees runs many of them.
 */
#include "zdtmlib.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

enum { MOST_TASKS = 24, MOST_DEPTH = 5, MOST_THREADS = 3 };

/* Shared by all. A task has a number by its birth. */
struct tree {
	volatile int count;
	volatile int ready[MOST_TASKS];
	volatile pid_t pids[MOST_TASKS];
	volatile bool first_has_ended[MOST_TASKS];
	bool has_subreaper;
};

struct maker {
	uint64_t state;
	int number, depth;
	bool is_orphan;
	pid_t groups[8]; /* of children that lead one in this task's session */
	int group_count;
};

static struct tree *tree;

enum errand { MAKE_CHILD, BECOME_READY, SEE_LEADER_END, END };

struct thread {
	pthread_t id;
	struct maker maker, *process;
	enum errand errand;
	volatile int told, done;
};

static struct thread threads[MOST_THREADS]; /* of this process */
static unsigned int thread_count;
static sigset_t own_mask; /* of the first thread; the others block all until they are ready */

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static unsigned int below(struct maker *maker, unsigned int limit)
{
	return (unsigned int)(next_random(&maker->state) % limit);
}

static bool one_in(struct maker *maker, unsigned int limit)
{
	return below(maker, limit) == 0;
}

/* --- what a task has --------------------------------------------------------------------------------------------- */

static const int signals[] = { SIGUSR1, SIGUSR2, SIGHUP, SIGWINCH, SIGURG, SIGIO, SIGPROF };
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

static int some_signal(struct maker *maker)
{
	return one_in(maker, 3) ? SIGRTMIN + 1 + (int)below(maker, 20) : signals[below(maker, SIGNALS)];
}

static void handle(int signo)
{
	(void)signo;
}

static void make_handlers(struct maker *maker)
{
	for (unsigned int i = below(maker, 5); i > 0; i--) {
		struct sigaction action = { .sa_handler = one_in(maker, 3) ? SIG_IGN : handle };

		action.sa_flags = (one_in(maker, 2) ? SA_RESTART : 0) | (one_in(maker, 4) ? SA_NODEFER : 0);
		sigaddset(&action.sa_mask, some_signal(maker));
		MUST(sigaction(some_signal(maker), &action, NULL));
	}
}

/* Blocked first, so that it stays pending. */
static void make_pending(struct maker *maker, bool of_thread)
{
	for (unsigned int i = below(maker, 4); i > 0; i--) {
		int signo = some_signal(maker);
		union sigval value = { .sival_int = (int)below(maker, 1000000) };
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, signo);
		MUST(pthread_sigmask(SIG_BLOCK, &set, NULL));
		if (of_thread)
			MUST(syscall(SYS_tgkill, getpid(), gettid(), signo));
		else
			MUST(sigqueue(getpid(), signo, value));
	}
}

static void make_timers(struct maker *maker)
{
	const struct itimerval real = { .it_value.tv_sec = 5000 + below(maker, 1000), .it_interval.tv_sec = 7 };

	for (unsigned int i = below(maker, 3); i > 0; i--) {
		struct sigevent event = { .sigev_notify = one_in(maker, 3) ? SIGEV_NONE : SIGEV_SIGNAL,
					  .sigev_signo = some_signal(maker) };
		const struct itimerspec span = { .it_value.tv_sec = 4000 + below(maker, 1000),
						 .it_interval.tv_sec = below(maker, 3) };
		timer_t timer;

		MUST(timer_create(one_in(maker, 2) ? CLOCK_MONOTONIC : CLOCK_REALTIME, &event, &timer));
		if (!one_in(maker, 3))
			MUST(timer_settime(timer, 0, &span, NULL));
	}
	if (one_in(maker, 4))
		MUST(setitimer(ITIMER_REAL, &real, NULL));
}

static void make_attributes(struct maker *maker)
{
	char name[16];

	if (one_in(maker, 3)) {
		snprintf(name, sizeof(name), "tree (%u)", below(maker, 100000));
		MUST(prctl(PR_SET_NAME, name));
	}
	if (one_in(maker, 4))
		MUST(setpriority(PRIO_PROCESS, 0, (int)below(maker, 19)));
	if (one_in(maker, 4))
		MUST(prctl(PR_SET_TIMERSLACK, 1000 + below(maker, 100000)));
	if (one_in(maker, 6))
		MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	if (one_in(maker, 6))
		MUST(prctl(PR_SET_DUMPABLE, 0));
	if (one_in(maker, 6))
		MUST(chdir("/"));
	if (one_in(maker, 4))
		umask(below(maker, 0777));
	if (one_in(maker, 4) && !maker->is_orphan)
		MUST(prctl(PR_SET_PDEATHSIG, SIGURG));
}

/* --- processes --------------------------------------------------------------------------------------------------- */

static void choose_group(struct maker *maker)
{
	unsigned int choice = below(maker, 6);

	if (choice == 0)
		(void)setsid();
	else if (choice == 1)
		(void)setpgid(0, 0);
	else if (choice == 2 && maker->group_count)
		(void)setpgid(0, maker->groups[below(maker, (unsigned int)maker->group_count)]);
}

static void make_task(struct maker *maker);

static void until_state(pid_t pid, const char *state)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	while (!strstr(test_slurp(path), state))
		usleep(500);
}

static void end_first_thread(struct maker *maker) __attribute__((noreturn));

/* The end of the one in between hands the task to the nearest subreaper, which is in the tree. */
static void become_orphan(struct maker *maker)
{
	bool is_leader_dead = one_in(maker, 3);

	if (is_leader_dead)
		(void)setsid();
	if (fork() != 0)
		_exit(0);
}

static void __attribute__((noreturn)) end(struct maker *maker, bool by_signal)
{
	if (by_signal) {
		signal(SIGTERM, SIG_DFL);
		(void)raise(SIGKILL);
	}
	_exit((int)below(maker, 256));
}

static void __attribute__((noreturn)) run_child(struct maker *maker, bool is_orphan, bool is_zombie)
{
	MUST(pthread_sigmask(SIG_SETMASK, &own_mask, NULL));
	if (is_orphan)
		become_orphan(maker);
	choose_group(maker);
	tree->pids[maker->number] = getpid();
	if (is_zombie) {
		test_post(&tree->ready[maker->number], 1);
		end(maker, one_in(maker, 3));
	}
	maker->group_count = 0;
	maker->is_orphan = is_orphan;
	make_task(maker);
	if (thread_count && one_in(maker, 5))
		end_first_thread(maker);
	test_post(&tree->ready[maker->number], 1);
	for (;;)
		pause();
}

static void make_child(struct maker *maker)
{
	bool is_orphan = tree->has_subreaper && one_in(maker, 6), is_zombie = !is_orphan && one_in(maker, 6);
	struct maker child = *maker;
	int status;
	pid_t pid;

	child.state = next_random(&maker->state);
	child.number = tree->count++;
	child.depth = maker->depth + 1;
	pid = MUST(fork());
	if (pid == 0)
		run_child(&child, is_orphan, is_zombie);
	if (is_orphan)
		EXPECT_EQ(waitpid(pid, &status, 0), pid);
	test_await(&tree->ready[child.number], 1);
	pid = tree->pids[child.number];
	if (is_zombie)
		until_state(pid, "State:\tZ");
	else if (getpgid(pid) == pid && getsid(pid) == getsid(0) && maker->group_count < 8)
		maker->groups[maker->group_count++] = pid;
	if (!is_zombie && !tree->first_has_ended[child.number] && one_in(maker, 8)) {
		MUST(kill(pid, SIGSTOP));
		until_state(pid, "State:\tT");
		if (!is_orphan && one_in(maker, 2))
			EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	}
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

/* They do what they are told, one after the other, and nothing in the end. */
static void *act(void *arg)
{
	struct thread *self = arg;

	for (int turn = 1;; turn++) {
		enum errand errand;

		test_await(&self->told, turn);
		errand = self->errand;
		if (errand == MAKE_CHILD)
			make_child(self->process);
		if (errand == BECOME_READY) {
			MUST(pthread_sigmask(SIG_SETMASK, &own_mask, NULL));
			make_pending(&self->maker, true);
			make_attributes(&self->maker);
		}
		if (errand == SEE_LEADER_END) {
			until_state(getpid(), "State:\tZ");
			test_post(&tree->ready[self->process->number], 1);
		}
		test_post(&self->done, turn);
		if (errand == END)
			return NULL;
	}
}

static void tell(struct thread *thread, enum errand errand)
{
	thread->errand = errand;
	test_post(&thread->told, thread->told + 1);
	if (errand != SEE_LEADER_END)
		test_await(&thread->done, thread->told);
}

/*
 * Some end again, and leave their children to the first one, as its youngest. Not where those may be older than orphans
 * among its children that descend from them: these cannot come before them a second time.
 */
static void end_some_threads(struct maker *maker)
{
	while (thread_count && !tree->has_subreaper && one_in(maker, 4)) {
		struct thread *last = &threads[--thread_count];

		tell(last, END);
		EXPECT_EQ(pthread_join(last->id, NULL), 0);
	}
}

static void start_threads(struct maker *maker)
{
	sigset_t all;

	sigfillset(&all);
	MUST(pthread_sigmask(SIG_BLOCK, &all, &own_mask));
	memset(threads, 0, sizeof(threads));
	thread_count = below(maker, MOST_THREADS + 1);
	for (unsigned int i = 0; i < thread_count; i++) {
		threads[i].maker = (struct maker){ .state = next_random(&maker->state), .is_orphan = maker->is_orphan };
		threads[i].process = maker;
		EXPECT_EQ(pthread_create(&threads[i].id, NULL, act, &threads[i]), 0);
	}
	MUST(pthread_sigmask(SIG_SETMASK, &own_mask, NULL));
}

static void __attribute__((noreturn)) end_first_thread(struct maker *maker)
{
	tree->first_has_ended[maker->number] = true;
	tell(&threads[0], SEE_LEADER_END);
	for (;;)
		syscall(SYS_exit, 0);
}

/* --- tasks ------------------------------------------------------------------------------------------------------- */

static void make_child_by_any(struct maker *maker)
{
	unsigned int by = below(maker, thread_count + 1);

	if (by == 0)
		make_child(maker);
	else
		tell(&threads[by - 1], MAKE_CHILD);
}

/* Children before signals: those must not end up in what is waited for. */
static void make_task(struct maker *maker)
{
	start_threads(maker);
	for (unsigned int i = below(maker, 5); i > 0 && maker->depth < MOST_DEPTH && tree->count < MOST_TASKS; i--)
		make_child_by_any(maker);
	end_some_threads(maker);
	make_attributes(maker);
	make_handlers(maker);
	make_timers(maker);
	make_pending(maker, false);
	MUST(pthread_sigmask(SIG_SETMASK, NULL, &own_mask));
	for (unsigned int i = 0; i < thread_count; i++)
		tell(&threads[i], BECOME_READY);
}

static void end_all(void)
{
	for (int i = 1; i < tree->count; i++)
		(void)kill(tree->pids[i], SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
}

int main(int argc, char **argv)
{
	struct maker maker = { .state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1 };

	test_start();
	MUST(pthread_sigmask(SIG_SETMASK, NULL, &own_mask));
	printf("# seed %llu\n", (unsigned long long)maker.state);
	fflush(stdout);
	tree = MUST(mmap(NULL, sizeof(*tree), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	tree->count = 1;
	tree->has_subreaper = one_in(&maker, 2);
	if (tree->has_subreaper)
		MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	while (tree->count < 3)
		make_child(&maker);
	make_task(&maker);
	test_wait();
	end_all();
	return test_pass();
}
