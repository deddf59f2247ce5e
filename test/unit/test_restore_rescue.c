/*
 * What carries a restore on whose worker has died is killed in turn: a signal that a thread was about to take when it
 * was looked at still arrives. One that somebody stops while it is taken over is taken over nevertheless. A process
 * whose first thread is just ending is known as ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/restore-rescue.h"
#include "engine/restore-resume.h"
#include "engine/restore.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "mm/restore-area.h"
#include "pie/restorer-border.h"

static struct words {
	volatile pid_t program;
	volatile int may_begin, taken;
} * words;

static void take(int signal)
{
	(void)signal;
	words->taken++;
}

static void run_program(void)
{
	(void)signal(SIGUSR1, take);
	(void)alarm(20);
	words->program = getpid();
	for (;;)
		(void)pause();
}

/* A task that is the program's already: it is looked at and let go. */
static void carry_on(pid_t pid)
{
	struct restorer_thread thread = { .tid = pid };
	struct restorer_slot slot = { .stub_poked = 0 };
	struct restorer_task task = { .slot = &slot, .pid = pid, .threads = &thread, .thread_count = 1 };
	struct restorer_task *restorers[] = { &task };
	struct restore_shared shared = { .slot_count = 1, .restorers = restorers };

	thread.task = &task;
	(void)restore_carry_on(&shared);
}

static void run_rescuer(void)
{
	if (fork() == 0)
		run_program();
	while (!words->program || !words->may_begin)
		(void)usleep(1000);
	carry_on(words->program);
	_exit(0);
}

static bool until_stopped(pid_t pid)
{
	AUTO_CLOSE int procfd = proc_open(pid);
	struct proc_stat stat;

	for (int i = 0; i < 60000; i++) {
		if (proc_stat_read(procfd, "stat", &stat) < 0)
			return false;
		if (stat.state == 't')
			return true;
		(void)usleep(1000);
	}
	return false;
}

static int end_status; /* of whom next_request() saw end */

/* Runs the rescuer to its next entry of ptrace(); the request, or -1 at its end. */
static long next_request(pid_t rescuer)
{
	struct user_regs_struct regs;
	int status;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, rescuer, 0, 0) < 0 || waitpid(rescuer, &status, __WALL) < 0)
			return -1;
		end_status = status;
		if (!WIFSTOPPED(status))
			return -1;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (ptrace(PTRACE_GETREGS, rescuer, 0, &regs) < 0)
			return -1;
		if (regs.orig_rax == SYS_ptrace && regs.rax == (unsigned long long)-ENOSYS)
			return (long)regs.rdi;
	}
}

static void signal_survives_the_rescuer(void **state)
{
	long request, requests = 0;
	pid_t rescuer;
	int status;

	words = mmap(NULL, sizeof(*words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(words != MAP_FAILED);
	rescuer = fork();
	if (rescuer == 0)
		run_rescuer();
	assert_true(rescuer > 0);
	if (ptrace(PTRACE_SEIZE, rescuer, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0) {
		(void)kill(rescuer, SIGKILL);
		skip();
	}
	assert_int_equal(ptrace(PTRACE_INTERRUPT, rescuer, 0, 0), 0);
	assert_int_equal(waitpid(rescuer, &status, __WALL), rescuer);
	words->may_begin = 1;
	while ((request = next_request(rescuer)) != PTRACE_DETACH) {
		assert_true(request >= 0);
		if (requests++ != 1)
			continue;
		/* It is traced, and about to be interrupted. */
		assert_int_equal(request, PTRACE_INTERRUPT);
		assert_int_equal(kill(words->program, SIGUSR1), 0);
		assert_true(until_stopped(words->program));
	}
	assert_int_equal(kill(rescuer, SIGKILL), 0);
	assert_int_equal(waitpid(rescuer, &status, __WALL), rescuer);
	for (int i = 0; i < 60000 && !words->taken; i++)
		(void)usleep(1000);
	(void)kill(words->program, SIGKILL);
	assert_int_equal(words->taken, 1);
	(void)munmap(words, sizeof(*words));
}

static void run_worker(void)
{
	struct restorer_thread thread = { .tid = 0 };
	struct restorer_task task = { .threads = &thread, .thread_count = 1 };
	struct restore_task restored = { .restorer = &task };
	struct restore_task *tasks[] = { &restored };
	struct restore_shared *shared = calloc(1, sizeof(*shared) + sizeof(struct restorer_slot));
	struct restore r = { .tasks = tasks, .task_count = 1, .shared = shared };
	struct error err = { 0 };

	if (!shared)
		_exit(2);
	if (fork() == 0)
		run_program();
	while (!words->program || !words->may_begin)
		(void)usleep(1000);
	thread.tid = task.pid = words->program;
	thread.task = &task;
	_exit(restore_take_over(&r, &err) == 0 ? 0 : 1);
}

static void stop_during_the_takeover(void **state)
{
	bool is_sent = false;
	pid_t worker;
	long request;
	int status;

	words = mmap(NULL, sizeof(*words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(words != MAP_FAILED);
	worker = fork();
	if (worker == 0)
		run_worker();
	assert_true(worker > 0);
	if (ptrace(PTRACE_SEIZE, worker, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0) {
		(void)kill(worker, SIGKILL);
		skip();
	}
	assert_int_equal(ptrace(PTRACE_INTERRUPT, worker, 0, 0), 0);
	assert_int_equal(waitpid(worker, &status, __WALL), worker);
	words->may_begin = 1;
	while ((request = next_request(worker)) >= 0) {
		if (request != PTRACE_INTERRUPT || is_sent)
			continue;
		is_sent = true;
		assert_int_equal(kill(words->program, SIGSTOP), 0);
		assert_true(until_stopped(words->program));
	}
	assert_true(is_sent);
	(void)kill(words->program, SIGKILL);
	assert_int_equal(end_status, 0);
	(void)munmap(words, sizeof(*words));
}

static void *sleep_on(void *arg)
{
	for (;;)
		(void)pause();
	return arg;
}

/* Its first thread ends at some moment while it is looked at, another one lives on. */
static pid_t start_losing_leader(int number)
{
	pthread_t thread;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)alarm(20);
	if (pthread_create(&thread, NULL, sleep_on, NULL) != 0)
		_exit(1);
	(void)usleep((useconds_t)(number % 30) * 10);
	for (;;)
		(void)syscall(SYS_exit, 0);
}

static bool has_zombie_leader(pid_t pid)
{
	AUTO_CLOSE int procfd = proc_open(pid);
	struct proc_stat stat;

	return procfd < 0 || proc_stat_read(procfd, "stat", &stat) < 0 || stat.state == 'Z';
}

/* What is not known as ours is not ended with the rest of a tree. */
static void area_of_a_leader_that_ends(void **state)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	AUTO_CLOSE int procfd = proc_open(0);
	void *area = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct restore_shared shared = { .mark_start = (uint64_t)area };
	const struct proc_vma *vma;

	(void)state;
	assert_int_equal(proc_maps_read(procfd, false, &maps), 0);
	vma = proc_maps_find(&maps, shared.mark_start);
	assert_non_null(vma);
	shared.mark_inode = vma->inode;
	shared.mark_major = vma->dev_major;
	shared.mark_minor = vma->dev_minor;
	for (int i = 0; i < 200; i++) {
		const pid_t pid = start_losing_leader(i);
		bool is_ours = true, is_over = false;

		assert_true(pid > 0);
		while (is_ours && !is_over) {
			is_over = has_zombie_leader(pid);
			is_ours = restore_area_is_mapped(&shared, pid);
		}
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_true(is_ours);
	}
	(void)munmap(area, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signal_survives_the_rescuer),
		cmocka_unit_test(stop_during_the_takeover),
		cmocka_unit_test(area_of_a_leader_that_ends),
	};

	/* Whoever fails in the middle may leave somebody waiting. */
	(void)alarm(300);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
