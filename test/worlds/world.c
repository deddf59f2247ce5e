/*
 * world SEED[:STEPS]: makes a world by up to 48 steps, is checkpointed, takes some more of them and checks all. Each
 * step has chance of its own: STEPS, a mask in hexadecimal, leaves the others out. What is done is told on
 * descriptor 1.
 */
#include "world.h"

#include <stdarg.h>

enum { STEPS_BEFORE = 48, STEPS_AFTER = 14 };

static uint64_t chance;
bool may_rename;

void chance_seed(uint64_t seed)
{
	chance = seed;
}

static uint64_t next_random(void)
{
	uint64_t z = chance += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

unsigned int below(unsigned int limit)
{
	return (unsigned int)(next_random() % limit);
}

bool one_in(unsigned int limit)
{
	return below(limit) == 0;
}

int some_of(int flags)
{
	return flags & (int)next_random();
}

/* --- what is told ------------------------------------------------------------------------------------------------ */

static char noted[512];

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(noted, sizeof(noted), format, args);
	va_end(args);
}

void fail_noted(const char *file, int line, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	test_fail(file, line, "%s: %s", noted, text);
}

static void tell(int step, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(int step, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	note("step %d: %s", step, text);
	dprintf(1, "# %2d %s\n", step, text);
}

/* --- steps ------------------------------------------------------------------------------------------------------- */

static void step_fork(int step)
{
	int parent = any_task(), child;
	bool share = one_in(4);

	if (process_count() == MOST_PROCESSES || task_count == MOST_TASKS)
		return;
	child = task_fork(parent, share);
	tell(step, "task %d forks task %d%s", parent, child, share ? ", which shares its table" : "");
	for (int i = 0; i < object_count; i++)
		if (objects[i].kind->forked)
			objects[i].kind->forked(&objects[i], parent, child);
}

static void step_thread(int step)
{
	int task = any_process();

	if (task_count < MOST_TASKS)
		tell(step, "task %d makes thread %d", task, task_thread(task));
}

static bool has_children(int process)
{
	for (int i = 0; i < task_count; i++)
		if (tasks[i].leader == i && tasks[tasks[i].parent].leader == process && i != process)
			return true;
	return false;
}

static void step_end(int step)
{
	int task = any_process();
	bool reap = one_in(2);

	if (task == 0 || has_children(task) || process_count() < 3)
		return;
	tell(step, "task %d ends%s", task, reap ? "" : " and is a zombie");
	task_end(task, reap);
	for (int i = 0; i < object_count; i++)
		if (objects[i].kind->ended)
			objects[i].kind->ended(&objects[i], task);
}

static void step_make(int step)
{
	unsigned int count = 0;
	int task = any_task();

	while (kinds[count])
		count++;
	count = below(count);
	tell(step, "task %d makes %s, object %d", task, kinds[count]->name, object_count);
	object_make(kinds[count], task);
}

static void step_act(int step)
{
	const struct description *some = pick_any();

	if (!some || !some->object->kind->act)
		return;
	tell(step, "something happens to %s, object %d", some->object->kind->name, some->object->number);
	some->object->kind->act(some->object);
}

static void step_dup(int step)
{
	const struct description *some = pick_any();
	struct handle *from, *to;

	if (!some)
		return;
	from = any_handle(some);
	to = handle_dup(from);
	tell(step, "fd %d of table %d is a copy of fd %d, object %d", to->fd, to->table, from->fd,
	     some->object->number);
}

static void step_take(int step)
{
	struct description *some = pick_any();
	int task = any_task();
	struct handle *to = some ? handle_take(some, task) : NULL;

	if (to)
		tell(step, "task %d takes object %d as fd %d", task, some->object->number, to->fd);
}

static void step_close(int step)
{
	const struct description *some = pick_any();
	struct handle *handle = some ? any_handle(some) : NULL;

	if (!handle)
		return;
	tell(step, "fd %d of table %d, object %d, is closed", handle->fd, handle->table, some->object->number);
	handle_close(handle);
}

static void step_cloexec(int step)
{
	const struct description *some = pick_any();
	struct handle *handle = some ? any_handle(some) : NULL;

	if (!handle)
		return;
	handle->cloexec = !handle->cloexec;
	tell(step, "fd %d of table %d: close on exec %d", handle->fd, handle->table, handle->cloexec);
	EXPECT_EQ(
	    call(task_with_table(handle->table), SYS_fcntl, handle->fd, F_SETFD, handle->cloexec ? FD_CLOEXEC : 0), 0);
}

extern const struct kind directory_kind; /* whose owner is told of more than can be seen */

static void step_owner(int step)
{
	const struct description *some = pick_any();
	int *owner = (int *)scratch, task = any_task();

	if (!some || some->is_path || some->object->kind == &directory_kind)
		return;
	owner[0] = one_in(4) ? F_OWNER_TID : F_OWNER_PID;
	owner[1] = owner[0] == F_OWNER_TID ? tasks[task].tid : tasks[task].pid;
	tell(step, "object %d belongs to task %d", some->object->number, task);
	EXPECT_EQ(at(some, SYS_fcntl, F_SETOWN_EX, P(owner)), 0);
	if (one_in(2))
		EXPECT_EQ(at(some, SYS_fcntl, F_SETSIG, SIGRTMIN + 1 + below(7)), 0);
}

static const struct {
	void (*take)(int step);
	unsigned int weight;
} ways[] = {
	{ step_fork, 6 }, { step_thread, 2 }, { step_end, 2 },   { step_make, 20 },   { step_act, 14 },
	{ step_dup, 7 },  { step_take, 5 },   { step_close, 4 }, { step_cloexec, 2 }, { step_owner, 2 },
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static void take_step(int step, uint64_t seed)
{
	unsigned int all = 0, choice, i = 0;

	chance_seed(seed * 1000003 + (uint64_t)step * 7919);
	for (unsigned int w = 0; w < WAYS; w++)
		all += ways[w].weight;
	choice = below(all);
	while (choice >= ways[i].weight)
		choice -= ways[i++].weight;
	ways[i].take(step);
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static void check_objects(void)
{
	for (int i = 0; i < object_count; i++) {
		note("check of %s, object %d", objects[i].kind->name, i);
		if (objects[i].kind->check)
			objects[i].kind->check(&objects[i]);
	}
}

static void end_all(void)
{
	for (int i = 1; i < task_count; i++)
		if (tasks[i].alive && tasks[i].leader == i)
			(void)kill(tasks[i].pid, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
}

int main(int argc, char **argv)
{
	char *end = argc > 1 ? argv[1] : (char *)"1";
	uint64_t seed = strtoull(end, &end, 10), steps = *end ? strtoull(end + 1, NULL, 16) : ~0ULL;
	int count;

	test_start();
	dprintf(1, "# seed %llu, steps %#llx\n", (unsigned long long)seed, (unsigned long long)steps);
	may_rename = argc > 2;
	tasks_start();
	chance_seed(seed);
	count = 8 + (int)below(STEPS_BEFORE - 8 + 1);
	(void)task_fork(0, false);
	for (int i = 0; i < count; i++)
		if (steps >> i & 1)
			take_step(i, seed);
	note("settling");
	check_objects();
	ledger_settle();
	ledger_check();
	test_wait();
	chance_seed(seed);
	ledger_check();
	if (one_in(2))
		check_objects();
	for (int i = STEPS_BEFORE; i < STEPS_BEFORE + STEPS_AFTER; i++)
		if (steps >> i & 1)
			take_step(i, seed);
	check_objects();
	note("end");
	end_all();
	return test_pass();
}
