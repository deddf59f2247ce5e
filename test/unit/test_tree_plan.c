/* The plan of a process tree: who creates whom, with sessions and groups as shells, daemons and containers leave them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/tree-plan.h"

struct row {
	pid_t pid, ppid, pgid, sid;
	bool zombie;
	size_t thread; /* of the parent */
	int exit_signal;
};

static struct restore_task *find(const struct restore *r, pid_t pid)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->pid == pid)
			return r->tasks[i];
	return NULL;
}

static int plan(struct restore *r, const struct row *rows, size_t count, struct error *err)
{
	*r = (struct restore){ 0 };
	for (size_t i = 0; i < count; i++) {
		struct restore_task *task = tree_plan_new_task(r, err);

		assert_non_null(task);
		task->pid = rows[i].pid;
		task->pgid = rows[i].pgid;
		task->sid = rows[i].sid;
		task->is_zombie = rows[i].zombie;
		task->parent_thread = rows[i].thread;
		task->exit_signal = rows[i].exit_signal ? rows[i].exit_signal : SIGCHLD;
		task->parent = rows[i].ppid ? find(r, rows[i].ppid) : NULL;
	}
	return tree_plan_make(r, NULL, err);
}

/*
 * Plays the plan through: sessions, groups and parents as the kernel would set them. What comes out must be what was
 * asked for.
 */
struct played {
	pid_t sid, pgid, ppid;
	size_t thread;
	bool born;
};

static void play(const struct restore *r, const struct restore_task *task, struct played *all)
{
	struct played *own = &all[task->index];

	for (int before = 1; before >= 0; before--) {
		if (!before && task->make_session)
			own->sid = own->pgid = task->pid;
		if (!before && task->make_group)
			own->pgid = task->pid;
		for (size_t i = 0; i < task->created_count; i++) {
			const struct restore_task *next = task->created[i];
			struct played *child = &all[next->index];

			if (next->before_setsid != before)
				continue;
			assert_false(child->born);
			*child = (struct played){
				.sid = own->sid,
				.pgid = own->pgid,
				.ppid = next->as_sibling ? own->ppid : task->pid,
				.thread = next->as_sibling ? own->thread : next->parent_thread,
				.born = true,
			};
			if (task->go_between) {
				child->ppid = next->parent->pid;
				child->thread = 0;
			}
			play(r, next, all);
		}
	}
	if (task->join_group)
		own->pgid = task->group_leader ? task->group_leader->pid : PLAN_CALLERS;
}

static void check(const struct restore *r)
{
	struct played *all = calloc(r->task_count, sizeof(*all));

	assert_non_null(all);
	all[0].born = true;
	play(r, r->tasks[0], all);
	for (size_t i = 0; i < r->task_count; i++) {
		const struct restore_task *task = r->tasks[i];

		assert_true(all[i].born);
		assert_int_equal(all[i].sid, task->sid);
		if (!task->go_between)
			assert_int_equal(all[i].pgid, task->pgid);
		assert_int_equal(all[i].ppid, task->parent ? task->parent->pid : 0);
		assert_int_equal(all[i].thread, task->parent_thread);
		if (task->older)
			assert_int_equal(task->older->parent_thread, task->parent_thread);
	}
	free(all);
}

static void check_plan(const struct row *rows, size_t count, size_t helpers)
{
	struct restore r;
	struct error err = { 0 };

	if (plan(&r, rows, count, &err) < 0)
		fail_msg("%s", err.text);
	check(&r);
	assert_int_equal(r.helper_count, helpers);
	tree_plan_free(&r);
}

#define CHECK_PLAN(rows, helpers) check_plan(rows, sizeof(rows) / sizeof(*(rows)), helpers)

static void check_refused(const struct row *rows, size_t count, const char *words)
{
	struct restore r;
	struct error err = { 0 };

	assert_true(plan(&r, rows, count, &err) < 0);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, err.text);
	tree_plan_free(&r);
}

static void test_single(void **state)
{
	const struct row rows[] = { { 10, 0, 10, 10 } };

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_plain_tree(void **state)
{
	const struct row rows[] = {
		{ 10, 0, 10, 10 }, { 11, 10, 11, 10 }, { 12, 11, 12, 12 }, { 13, 10, 10, 10 }, { 14, 10, 10, 10, true },
	};

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_group_of_a_pipeline(void **state)
{
	/* Members come before and after their leader. */
	const struct row rows[] = {
		{ 10, 0, 10, 10 }, { 11, 10, 12, 10 }, { 12, 10, 12, 10 }, { 13, 10, 12, 10 }, { 14, 13, 12, 10 },
	};

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_dead_group_leader(void **state)
{
	const struct row rows[] = { { 10, 0, 10, 10 }, { 11, 10, 20, 10 }, { 12, 10, 20, 10 } };

	(void)state;
	CHECK_PLAN(rows, 1);
}

static void test_group_of_a_zombie(void **state)
{
	const struct row rows[] = { { 10, 0, 10, 10 }, { 11, 10, 20, 10, true } };

	(void)state;
	CHECK_PLAN(rows, 1);
}

static void test_child_from_before_setsid(void **state)
{
	/* 11 forked 12, then called setsid. */
	const struct row rows[] = { { 10, 0, 10, 10 }, { 11, 10, 11, 11 }, { 12, 11, 10, 10 }, { 13, 11, 11, 11 } };

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_two_generations_before_setsid(void **state)
{
	const struct row rows[] = { { 10, 0, 10, 10 }, { 11, 10, 11, 11 }, { 12, 11, 12, 12 }, { 13, 12, 10, 10 } };

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_daemon(void **state)
{
	/* The classical double fork: the session's leader has exited. */
	const struct row rows[] = { { 1, 0, 1, 1 }, { 30, 1, 29, 29 }, { 31, 30, 29, 29 } };

	(void)state;
	CHECK_PLAN(rows, 1);
}

static void test_two_daemons_of_one_session(void **state)
{
	const struct row rows[] = { { 1, 0, 1, 1 }, { 30, 1, 29, 29 }, { 31, 1, 29, 29 }, { 32, 1, 28, 28 } };

	(void)state;
	CHECK_PLAN(rows, 2);
}

static void test_sibling_of_a_living_leader(void **state)
{
	const struct row rows[] = { { 1, 0, 1, 1 }, { 20, 1, 20, 20 }, { 30, 1, 20, 20 } };

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_orphan_of_a_deeper_session(void **state)
{
	/* sshd, its child, a login shell; and a background job whose shell has exited. */
	const struct row rows[] = {
		{ 1, 0, 1, 1 }, { 20, 1, 20, 20 }, { 21, 20, 21, 21 }, { 30, 1, 30, 21 }, { 31, 1, 21, 21 },
	};

	(void)state;
	CHECK_PLAN(rows, 2);
}

static void test_dead_session_at_two_depths(void **state)
{
	/* 20 was in the session of 29 before it had its own. */
	const struct row born[] = { { 1, 0, 1, 1 }, { 20, 1, 20, 20 }, { 30, 1, 29, 29 }, { 31, 20, 29, 29 } };
	/* The helper goes below the deeper parent; the other member is orphaned from there. */
	const struct row adopted[] = { { 1, 0, 1, 1 }, { 20, 1, 1, 1 }, { 30, 1, 29, 29 }, { 31, 20, 29, 29 } };

	(void)state;
	CHECK_PLAN(born, 1);
	CHECK_PLAN(adopted, 2);
}

static void test_session_of_a_zombie_leader(void **state)
{
	const struct row rows[] = { { 1, 0, 1, 1 }, { 20, 1, 20, 20, true }, { 21, 1, 20, 20 } };

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_shell_job(void **state)
{
	const struct row rows[] = { { 40, 0, 40, 5 }, { 41, 40, 40, 5 }, { 42, 40, 42, 5 }, { 43, 40, 43, 43 } };

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_shell_job_in_the_group_of_a_script(void **state)
{
	const struct row rows[] = { { 40, 0, 39, 5 }, { 41, 40, 39, 5 }, { 42, 40, 42, 5 }, { 43, 42, 39, 5 } };

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_zombie_with_children(void **state)
{
	const struct row rows[] = { { 10, 0, 10, 10 }, { 11, 10, 10, 10, true }, { 12, 11, 10, 10 } };

	(void)state;
	check_refused(rows, 3, "pid 11 is a zombie and has children");
}

static void test_same_pid_twice(void **state)
{
	const struct row rows[] = { { 10, 0, 10, 10 }, { 11, 10, 10, 10 }, { 11, 10, 10, 10 } };

	(void)state;
	check_refused(rows, 3, "pid 11 is there twice");
}

static void test_group_across_sessions(void **state)
{
	const struct row rows[] = { { 10, 0, 10, 10 }, { 11, 10, 11, 11 }, { 12, 10, 11, 10 } };

	(void)state;
	check_refused(rows, 3, "pid 12 is in group 11, which is not one of session 10");
}

static void test_group_left(void **state)
{
	const struct row rows[] = { { 10, 0, 10, 10 }, { 11, 10, 10, 10 }, { 12, 11, 11, 10 } };

	(void)state;
	check_refused(rows, 3, "pid 12 is in group 11, whose leader has gone over to another group");
}

static void test_session_out_of_reach(void **state)
{
	/* 20 was never in session 30, and nobody who is in it is below 20. */
	const struct row rows[] = { { 1, 0, 1, 1 }, { 20, 1, 1, 1 }, { 30, 1, 30, 30 }, { 21, 20, 30, 30 } };

	(void)state;
	check_refused(rows, 4, "pid 21 cannot become a child of 20 in session 30");
}

static void test_children_of_threads(void **state)
{
	const struct row rows[] = {
		{ 10, 0, 10, 10 },
		{ 11, 10, 11, 11, .thread = 2 },
		{ 12, 10, 10, 10, .thread = 1 },
		{ 13, 10, 10, 10, true, 1 },
		{ 14, 11, 11, 11, .thread = 1 },
		{ 15, 11, 10, 10, .thread = 3 }, /* from before its session */
	};

	(void)state;
	CHECK_PLAN(rows, 0);
}

static void test_siblings_of_threads(void **state)
{
	/* By CLONE_PARENT both belong to one thread; an orphan is the first one's. */
	const struct row same[] = { { 1, 0, 1, 1 }, { 20, 1, 20, 20, .thread = 1 }, { 30, 1, 20, 20, .thread = 1 } };
	const struct row dead[] = { { 1, 0, 1, 1 }, { 20, 1, 19, 19, .thread = 1 }, { 30, 1, 19, 19, .thread = 1 } };
	const struct row orphan[] = { { 1, 0, 1, 1 }, { 20, 1, 20, 20, .thread = 1 }, { 30, 1, 20, 20 } };
	const struct row out_of_reach[] = { { 1, 0, 1, 1 }, { 20, 1, 20, 20 }, { 30, 1, 20, 20, .thread = 1 } };

	(void)state;
	CHECK_PLAN(same, 0);
	CHECK_PLAN(dead, 1);
	CHECK_PLAN(orphan, 1);
	check_refused(out_of_reach, 3, "pid 30");
}

static void test_sibling_with_another_end(void **state)
{
	const struct row rows[] = { { 1, 0, 1, 1 }, { 20, 1, 20, 20 }, { 30, 1, 20, 20, .exit_signal = SIGUSR1 } };

	(void)state;
	check_refused(rows, 3, "pid 30 cannot be created by its sibling 20: its parent gets another signal");
}

static void test_group_that_nobody_can_make(void **state)
{
	/* Both of the session have ended, and so has the leader of the group of one. */
	const struct row rows[] = { { 1, 0, 1, 1 }, { 20, 1, 20, 20, true }, { 30, 1, 25, 20, true } };

	(void)state;
	check_refused(rows, 3, "pid 30: nobody alive can make its process group 25");
}

static void test_large_trees(void **state)
{
	const size_t count = 5000;
	struct row *rows = calloc(count, sizeof(*rows));

	(void)state;
	assert_non_null(rows);
	for (size_t i = 0; i < count; i++)
		rows[i] = (struct row){ (pid_t)(100 + i), i ? (pid_t)(99 + i) : 0, 100, 100, false };
	check_plan(rows, count, 0);
	for (size_t i = 1; i < count; i++)
		rows[i] =
		    (struct row){ (pid_t)(100 + i), 100, (pid_t)(100 + i), i % 2 ? (pid_t)(100 + i) : 100, false };
	check_plan(rows, count, 0);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_plain_tree),
		cmocka_unit_test(test_group_of_a_pipeline),
		cmocka_unit_test(test_dead_group_leader),
		cmocka_unit_test(test_group_of_a_zombie),
		cmocka_unit_test(test_child_from_before_setsid),
		cmocka_unit_test(test_two_generations_before_setsid),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_two_daemons_of_one_session),
		cmocka_unit_test(test_sibling_of_a_living_leader),
		cmocka_unit_test(test_orphan_of_a_deeper_session),
		cmocka_unit_test(test_dead_session_at_two_depths),
		cmocka_unit_test(test_session_of_a_zombie_leader),
		cmocka_unit_test(test_shell_job),
		cmocka_unit_test(test_shell_job_in_the_group_of_a_script),
		cmocka_unit_test(test_zombie_with_children),
		cmocka_unit_test(test_same_pid_twice),
		cmocka_unit_test(test_group_across_sessions),
		cmocka_unit_test(test_group_left),
		cmocka_unit_test(test_session_out_of_reach),
		cmocka_unit_test(test_children_of_threads),
		cmocka_unit_test(test_siblings_of_threads),
		cmocka_unit_test(test_sibling_with_another_end),
		cmocka_unit_test(test_group_that_nobody_can_make),
		cmocka_unit_test(test_large_trees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
