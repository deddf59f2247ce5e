/* The processes and threads of a world: each waits for the call it is to make next. */
#include "world.h"

#include <malloc.h>
#include <stdarg.h>
#include <time.h>
#include <linux/futex.h>
#include <sys/mman.h>

enum {
	DO_FORK = -1,
	DO_FORK_SHARING = -2,
	DO_THREAD = -3,
	DO_COPY = -4,
	MOST_SIGNALS = 65,
	PATHS = 16,
	PATH_BYTES = 256,
	HEAP_BYTES = 16 << 20,
};

/* What a task is told, and what it tells. */
struct slot {
	volatile int turn, done;
	long number, args[6], result;
	volatile int caught[MOST_SIGNALS];
};

static struct shared {
	struct slot slots[MOST_TASKS];
	char paths[PATHS][PATH_BYTES];
	char scratch[SCRATCH_BYTES] __attribute__((aligned(4096)));
} * shared;

struct task tasks[MOST_TASKS];
int task_count;
char *scratch;

/* Where files are made, whatever the working directory is by now. */
static char base[PATH_BYTES / 2 - 2];

/* The leader of this process, for its signals. */
static int here;

static void handle(int signo)
{
	__atomic_add_fetch(&shared->slots[here].caught[signo], 1, __ATOMIC_SEQ_CST);
}

int signals_caught(int task, int signo)
{
	return shared->slots[tasks[task].leader].caught[signo];
}

/* --- what others are told to do ---------------------------------------------------------------------------------- */

static void serve(int number) __attribute__((noreturn));

static long do_fork(int child, bool share_table)
{
	pid_t pid = share_table ? (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0L, 0L, 0L, 0L) : fork();

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	here = child;
	serve(child);
}

static void *run_thread(void *arg)
{
	serve((int)(intptr_t)arg);
}

static long do_thread(int number)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, run_thread, (void *)(intptr_t)number);

	return r ? -r : 0;
}

static long perform(const struct slot *slot)
{
	const long *args = slot->args;
	long r;

	switch (slot->number) {
	case DO_FORK:
	case DO_FORK_SHARING:
		return do_fork((int)args[0], slot->number == DO_FORK_SHARING);
	case DO_THREAD:
		return do_thread((int)args[0]);
	case DO_COPY:
		memcpy((void *)args[0], (const void *)args[1], (size_t)args[2]);
		return 0;
	default:
		r = syscall(slot->number, args[0], args[1], args[2], args[3], args[4], args[5]);
		return r == -1 ? -errno : r;
	}
}

static void serve(int number)
{
	struct slot *slot = &shared->slots[number];

	test_post(&slot->done, 1);
	for (int turn = 2;; turn++) {
		test_await(&slot->turn, turn);
		slot->result = perform(slot);
		test_post(&slot->done, turn);
	}
}

/* --- telling them ------------------------------------------------------------------------------------------------ */

static bool has_ended(int task)
{
	char path[64];
	const char *state, *text;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", tasks[task].pid, tasks[task].tid);
	text = test_slurp(path);
	state = text ? strrchr(text, ')') : NULL;
	return !state || state[2] == 'Z' || state[2] == 'X';
}

static void await_done(int task, int turn)
{
	const struct timespec span = { .tv_nsec = 100000000 };
	struct slot *slot = &shared->slots[task];
	int now;

	for (int waits = 0; (now = __atomic_load_n(&slot->done, __ATOMIC_SEQ_CST)) < turn;) {
		if (syscall(SYS_futex, &slot->done, FUTEX_WAIT, now, &span) == 0 || errno != ETIMEDOUT)
			continue;
		if (tasks[task].tid && has_ended(task))
			FAIL("task %d has ended in call %ld", task, slot->number);
		if (++waits == 80)
			FAIL("task %d does not come back from call %ld (%#lx, %#lx, %#lx)", task, slot->number,
			     slot->args[0], slot->args[1], slot->args[2]);
	}
}

long call_with(int task, long number, const long args[6])
{
	struct slot *slot = &shared->slots[task];
	int turn = slot->done + 1;

	slot->number = number;
	memcpy(slot->args, args, sizeof(slot->args));
	if (task == 0)
		return perform(slot);
	EXPECT(tasks[task].alive);
	test_post(&slot->turn, turn);
	await_done(task, turn);
	return slot->result;
}

void copy_memory(int task, void *to, const void *from, size_t bytes)
{
	(void)call(task, DO_COPY, P(to), P(from), (long)bytes);
}

long path_of(const char *format, ...)
{
	static unsigned int next;
	char *path = shared->paths[next++ % PATHS], name[PATH_BYTES / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	snprintf(path, PATH_BYTES, "%s%s%s", name[0] == '/' ? "" : base, name[0] == '/' ? "" : "/", name);
	return P(path);
}

/* Those that count how often they came, and those that wait to be read. */
static void prepare_signals(void)
{
	sigset_t kept;

	sigemptyset(&kept);
	for (int signo = SIGRTMIN + 8; signo <= SIGRTMAX; signo++)
		sigaddset(&kept, signo);
	MUST(sigprocmask(SIG_BLOCK, &kept, NULL));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGIO, handle);
	for (int signo = SIGRTMIN + 1; signo < SIGRTMIN + 8; signo++)
		signal(signo, handle);
}

void tasks_start(void)
{
	shared = MUST(mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	scratch = shared->scratch;
	EXPECT(getcwd(base, sizeof(base)));
	/* Heap that grows after a fork is a mapping of its own, which becomes one with the old one by a restore. */
	(void)mallopt(M_TOP_PAD, HEAP_BYTES);
	prepare_signals();
	tasks[0] = (struct task){ .pid = getpid(), .tid = getpid(), .alive = true };
	task_count = 1;
}

static struct task *new_task(void)
{
	struct task *task = &tasks[task_count];

	EXPECT(task_count < MOST_TASKS);
	*task = (struct task){ .number = task_count++, .alive = true };
	return task;
}

int task_fork(int parent, bool share_table)
{
	static int tables = 1;
	struct task *child = new_task();
	long pid;

	child->leader = child->number;
	child->parent = parent;
	child->table = share_table ? tasks[parent].table : tables++;
	pid = call(parent, share_table ? DO_FORK_SHARING : DO_FORK, child->number);
	EXPECT(pid > 0);
	child->pid = child->tid = (pid_t)pid;
	await_done(child->number, 1);
	if (!share_table)
		table_fork(tasks[parent].table, child->table);
	return child->number;
}

int task_thread(int task)
{
	struct task *thread = new_task();

	thread->leader = tasks[task].leader;
	thread->parent = tasks[task].parent;
	thread->table = tasks[task].table;
	thread->pid = tasks[task].pid;
	EXPECT_EQ(call(task, DO_THREAD, thread->number), 0);
	await_done(thread->number, 1);
	thread->tid = (pid_t)call(thread->number, SYS_gettid);
	return thread->number;
}

static bool is_table_used(int table)
{
	for (int i = 0; i < task_count; i++)
		if (tasks[i].alive && tasks[i].table == table)
			return true;
	return false;
}

/* The whole process. A zombie stays where nobody reaps it. */
void task_end(int task, bool reap)
{
	int leader = tasks[task].leader;

	EXPECT_EQ(call(0, SYS_kill, tasks[leader].pid, SIGKILL), 0);
	for (int i = 0; i < task_count; i++)
		if (tasks[i].leader == leader)
			tasks[i].alive = false;
	while (!has_ended(leader))
		usleep(500);
	tasks[leader].is_reaped = reap;
	if (reap)
		EXPECT_EQ(call(tasks[leader].parent, SYS_wait4, tasks[leader].pid, 0, 0, 0), tasks[leader].pid);
	if (!is_table_used(tasks[leader].table))
		table_drop(tasks[leader].table);
}

int any_task(void)
{
	int task;

	do {
		task = (int)below((unsigned int)task_count);
	} while (!tasks[task].alive);
	return task;
}

int any_process(void)
{
	return tasks[any_task()].leader;
}

int process_count(void)
{
	int count = 0;

	for (int i = 0; i < task_count; i++)
		count += tasks[i].alive && tasks[i].leader == i;
	return count;
}
