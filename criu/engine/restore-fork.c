/*
 * Each process follows the tree plan: it creates those that belong to its session at birth, starts its own session or
 * group, creates the rest, joins its group. Zombies then exit, helpers when everybody is done with forking. All others
 * set up their descriptors, open what their memory needs, and jump into the restorer blob.
 *
 * All signals are blocked in the new tree. SIGCHLD of helpers and zombies piles up at most once per parent, and is
 * thrown away by ignoring it for a moment; the real handlers come later, in the blob.
 *
 * The processes are copies of the worker: what it planned is theirs to read. They return to nobody.
 */
#include "engine/restore-fork.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/early-threads.h"
#include "engine/restore-check.h"
#include "engine/restore-failure.h"
#include "engine/restore-sync.h"
#include "engine/restore-vfork.h"
#include "engine/restore.h"
#include "engine/service-fds.h"
#include "engine/tree-plan.h"
#include "files/files.h"
#include "kernel/clone.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "kernel/signal-mask.h"
#include "mm/restore-area.h"
#include "mm/restore-memory.h"
#include "security/restore-keyring.h"
#include "task/restore-limits.h"
#include "task/restore-loginuid.h"
#include "task/restore-zombie.h"
#include "task/timer-slack.h"

#define RSEQ_BYTES_ORIGINAL 32

static struct restorer_slot *slot_of(const struct restore *r, const struct restore_task *task)
{
	return &r->shared->words.slots[task->index];
}

/* --- creation ---------------------------------------------------------------------------------------------------- */

static uint64_t clone_flags(const struct restore_task *task, bool as_sibling)
{
	uint64_t flags = as_sibling ? CLONE_PARENT : 0;

	if (task->files_owner != task)
		flags |= CLONE_FILES;
	return flags;
}

struct birth {
	struct restore *r;
	struct restore_task *task;
	struct error *err;
};

static _Noreturn void run_task(struct restore *r, struct restore_task *task, struct error *err);

static void begin_by_thread(void *argument)
{
	const struct birth *birth = argument;

	run_task(birth->r, birth->task, birth->err);
}

/*
 * How often, a millisecond apart: somebody who lives shortly may have the number too, and who gives it back may have to
 * wait for a processor.
 */
#define CREATION_ATTEMPTS 2000

/*
 * A number is free a little later than its last holder is gone: the kernel takes a reaped process out of the tree first
 * and gives the number back after that (since 6.15 without the lock that would hide it). The slot says what may exist
 * before it exists: whoever has to clean up looks there.
 */
static pid_t clone_for_slot(struct restorer_slot *slot, const struct clone_request *request, struct birth *birth)
{
	pid_t pid;

	for (int attempt = 1;; attempt++) {
		__atomic_store_n(&slot->state, SLOT_FORKING, __ATOMIC_RELEASE);
		pid = birth ? early_thread_clone(birth->task, request, begin_by_thread, birth)
			    : clone_process(request, NULL);
		if (pid >= 0)
			return pid;
		__atomic_store_n(&slot->state, SLOT_NONE, __ATOMIC_RELEASE);
		if (pid != -EEXIST || attempt == CREATION_ATTEMPTS)
			return pid;
		(void)usleep(1000);
	}
}

static int give_birth_slack(const struct restore *r, const struct restore_task *task)
{
	const uint64_t slack_ns = timer_slack_of_birth(r->own_limits, task);

	return early_threads_create(task) ? early_thread_set_slack(r, task, slack_ns)
					  : timer_slack_set(r->own_limits, slack_ns);
}

/* 0 in the child, unless another thread creates it: it is on its way then. */
static pid_t create_process(struct restore *r, struct restore_task *task, bool as_sibling, struct error *err)
{
	struct restorer_slot *slot = slot_of(r, task);
	const struct clone_request request = {
		.flags = clone_flags(task, as_sibling),
		.exit_signal = as_sibling ? 0 : task->exit_signal,
		.set_tid = &task->pid,
		.set_tid_count = 1,
		.cgroup_fd = -1,
	};
	struct birth birth = { r, task, err };
	uint32_t forking = SLOT_FORKING;
	int result;
	pid_t pid;

	slot->pid = task->pid;
	result = restore_keyring_enter(r, task->birth_keyring, err);
	if (result < 0)
		return result;
	result = r->sets_slacks ? give_birth_slack(r, task) : 0;
	if (result < 0)
		return error_set(err, result, "pid %d: set the timer slack that it goes back to", task->pid);
	pid = clone_for_slot(slot, &request, early_threads_create(task) ? &birth : NULL);
	if (pid < 0)
		return restore_creation_describe(task, pid, err);
	if (pid > 0)
		(void)__atomic_compare_exchange_n(&slot->state, &forking, SLOT_ALIVE, false, __ATOMIC_ACQ_REL,
						  __ATOMIC_RELAXED);
	return pid;
}

/* Heirs are born with it, and so is whoever is not told otherwise. */
static int give_slack_back(const struct restore *r, const struct restore_task *task, struct error *err)
{
	int result = r->sets_slacks ? timer_slack_set(r->own_limits, r->own_limits->timer_slack_ns) : 0;

	if (result == 0 && r->sets_slacks && task)
		result = early_threads_give_slack_back(r, task);
	return result < 0 ? error_set(err, result, "set the timer slack back") : 0;
}

static void mark_alive(const struct restore *r, const struct restore_task *task)
{
	struct restorer_slot *slot = slot_of(r, task);

	__atomic_store_n(&slot->state, SLOT_ALIVE, __ATOMIC_RELEASE);
}

static int reap(const struct restore_task *child, int options, struct error *err)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | __WALL | options) < 0) {
		if (errno == EINTR)
			continue;
		return error_set(err, -errno, "pid %d: wait for its end", child->pid);
	}
	return 0;
}

/* The end of a go-between is behind us. */
static void note_passing(const struct restore *r, const struct restore_task *between)
{
	for (size_t i = 0; i < between->created_count; i++)
		restore_open_gate(&slot_of(r, between->created[i])->is_orphaned);
	for (const struct restore_task *at = between->parent; at && at != between->orphan_target; at = at->parent)
		if (at->passing_orphans)
			restore_arrive(&slot_of(r, at)->orphans_passing, &slot_of(r, at)->orphans_passed);
}

/* Its own creator has to be gone before a task makes orphans: they would take another way up. */
static void wait_for_parent(const struct restore_task *task)
{
	while (task->creator && task->creator->go_between && getppid() == task->creator->pid)
		(void)usleep(100);
}

static int become_subreaper(const struct restore *r, const struct restore_task *task, struct error *err)
{
	if (!task->subreaper_meanwhile)
		return 0;
	if (task->passing_orphans)
		restore_wait_gate(&slot_of(r, task)->orphans_passed);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return error_set(err, -errno, "become a subreaper");
	restore_open_gate(&slot_of(r, task)->takes_orphans);
	return 0;
}

/* --- a stop that is over ----------------------------------------------------------------------------------------- */

/*
 * Of a process that was stopped and goes on its parent can learn that later: the kernel keeps it until the process
 * stops again or ends. So it stops, and its creator lets it go on. SIGCONT is blocked like all others, and thrown away.
 */
static void stop_for_a_moment(const struct restore *r, const struct restore_task *task)
{
	if (!task->has_continued)
		return;
	(void)raise(SIGSTOP);
	(void)signal(SIGCONT, SIG_IGN);
	(void)signal(SIGCONT, SIG_DFL);
	restore_open_gate(&slot_of(r, task)->has_continued);
}

static int let_continue(const struct restore *r, const struct restore_task *task, struct error *err)
{
	AUTO_CLOSE int procfd = -1;
	struct proc_stat stat;
	int result;

	if (!task->has_continued)
		return 0;
	procfd = proc_open(task->pid);
	if (procfd < 0)
		return error_set(err, procfd, "pid %d: open its directory in /proc", task->pid);
	while ((result = proc_stat_read(procfd, "stat", &stat)) == 0 && stat.state != 'T')
		(void)usleep(100);
	if (result < 0 || kill(task->pid, SIGCONT) < 0)
		return error_set(err, result < 0 ? result : -errno, "pid %d: let it go on", task->pid);
	restore_wait_gate(&slot_of(r, task)->has_continued);
	return 0;
}

/* A sibling that somebody else creates may not be there yet. */
static void wait_until_born(const struct restore *r, const struct restore_task *task)
{
	const struct restorer_slot *slot = slot_of(r, task);

	while (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) < SLOT_ALIVE)
		(void)usleep(100);
}

/* Until it may come to its parent. */
static void wait_for_older(const struct restore *r, const struct restore_task *task)
{
	if (!task->older)
		return;
	if (task->older->creator->go_between)
		restore_wait_gate(&slot_of(r, task->older)->is_orphaned);
	else
		wait_until_born(r, task->older);
}

/* The first heir: the others follow it. */
static void wait_before_heirs(const struct restore *r, const struct restore_task *task)
{
	for (size_t i = 0; i < task->created_count; i++)
		if (task->created[i]->is_heir) {
			wait_for_older(r, task->created[i]);
			return;
		}
}

static int create_some(struct restore *r, struct restore_task *task, bool before_setsid, struct error *err)
{
	for (size_t i = 0; i < task->created_count; i++) {
		struct restore_task *next = task->created[i];
		pid_t pid;
		int result;

		if (next->is_heir || next->vfork_parent || next->before_setsid != before_setsid)
			continue;
		if (!task->go_between)
			wait_for_older(r, next);
		pid = create_process(r, next, next->as_sibling, err);
		if (pid < 0)
			return pid;
		if (pid == 0)
			run_task(r, next, err);
		result = let_continue(r, next, err);
		if (result < 0)
			return result;
		/* Its child is handed to the subreaper by its end. */
		result = next->go_between ? reap(next, 0, err) : 0;
		if (result == 0 && next->go_between)
			note_passing(r, next);
		if (result < 0)
			return result;
	}
	return 0;
}

static int lead(struct restore *r, const struct restore_task *task, struct error *err)
{
	if (task->make_session && setsid() < 0)
		return error_set(err, -errno, "start session %d", task->pid);
	if (task->make_group && setpgid(0, 0) < 0)
		return error_set(err, -errno, "start process group %d", task->pid);
	if (task->is_waited_for)
		restore_open_gate(&slot_of(r, task)->group_made);
	return 0;
}

static int join(const struct restore *r, const struct restore_task *task, struct error *err)
{
	const struct restore_task *leader = task->group_leader;
	pid_t pgid = task->pgid == PLAN_CALLERS ? r->caller_pgid : task->pgid;

	if (!task->join_group)
		return 0;
	if (leader)
		restore_wait_gate(&slot_of(r, leader)->group_made);
	if (setpgid(0, pgid) < 0)
		return error_set(err, -errno, "join process group %d", pgid);
	return 0;
}

/* --- ends -------------------------------------------------------------------------------------------------------- */

static _Noreturn void end(const struct restore *r, const struct restore_task *task, int status)
{
	__atomic_store_n(&slot_of(r, task)->state, SLOT_ENDED, __ATOMIC_RELEASE);
	_exit(status);
}

static _Noreturn void become_zombie(struct restore *r, const struct restore_task *task)
{
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;

	restore_zombie_show(tc);
	(void)prctl(PR_SET_NAME, tc->comm, 0, 0, 0);
	__atomic_store_n(&slot_of(r, task)->state, SLOT_ENDED, __ATOMIC_RELEASE);
	restore_arrive(&r->shared->words.forking, &r->shared->words.forked);
	restore_zombie_end_as(tc);
}

/* An orphan is there before it is its parent's child. */
static void wait_for_child(const struct restore *r, const struct restore_task *child)
{
	if (child->creator->go_between)
		restore_wait_gate(&slot_of(r, child)->is_orphaned);
	else
		wait_until_born(r, child);
}

static int wait_for_zombies(const struct restore *r, const struct restore_task *task, struct error *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < task->child_count; i++) {
		if (!task->children[i]->is_zombie)
			continue;
		wait_for_child(r, task->children[i]);
		result = reap(task->children[i], WNOWAIT, err);
	}
	return result;
}

static int wait_for_helpers(const struct restore *r, const struct restore_task *task, struct error *err)
{
	bool waited = false;
	int result = 0;

	for (size_t i = 0; result == 0 && i < task->created_count; i++) {
		if (!task->created[i]->is_helper || task->created[i]->go_between)
			continue;
		if (!waited)
			restore_wait_gate(&r->shared->words.forked);
		waited = true;
		result = reap(task->created[i], 0, err);
	}
	return result;
}

/* Ignoring a signal drops what is pending of it. */
static void drop_pending_ends(const struct restore_task *task)
{
	(void)signal(SIGCHLD, SIG_IGN);
	for (size_t i = 0; i < task->child_count; i++)
		if (task->children[i]->is_zombie && task->children[i]->exit_signal)
			(void)signal(task->children[i]->exit_signal, SIG_IGN);
}

/* --- the way of a process ---------------------------------------------------------------------------------------- */

static int set_up_files(struct restore *r, struct restore_task *task, struct error *err)
{
	struct restorer_shared *words = &r->shared->words;
	int result;

	if (task->files_owner != task) {
		restore_wait_gate(&slot_of(r, task->files_owner)->table_ready);
		result = 0;
	} else {
		if (task->restorer->table_users)
			restore_wait_gate(&words->forked);
		result = files_install(r, task, err);
		restore_open_gate(&slot_of(r, task)->table_ready);
	}
	if (result < 0)
		return result;
	restore_arrive(&words->installing, &words->installed);
	if (r->files_need_all)
		restore_wait_gate(&words->installed);
	if (task->files_owner == task)
		result = files_finish(r, task, err);
	return result;
}

/* Roots and working directories come behind everything that is opened by path. */
static int prepare(struct restore *r, struct restore_task *task, struct error *err)
{
	int result = set_up_files(r, task, err);

	if (result == 0)
		result = files_leave_terminal(task, err);
	if (result == 0 && task->vfork_child)
		result = files_lend(r, task->vfork_child, err);
	if (result == 0 && task->vfork_child)
		restore_vfork_offer(r, task->vfork_child);
	if (result == 0)
		result = restore_memory_open(r, task, err);
	if (result == 0)
		result = restore_loginuid(task, err);
	if (result == 0)
		result = early_threads_set_loginuid(task, err);
	if (result == 0)
		result = files_restore_fs(r, task, err);
	return result;
}

static int take_place_in_tree(struct restore *r, struct restore_task *task, struct error *err)
{
	int result = 0;

	wait_for_parent(task);
	if (!task->passing_orphans)
		result = become_subreaper(r, task, err);
	if (result == 0)
		result = restore_loginuid_early(task, err);
	if (result == 0)
		result = restore_keyring_enter(r, task->first_keyring, err);
	/* Threads have that of who creates them. */
	if (result == 0)
		result = restore_process_keyring(task, err);
	if (result == 0)
		result = early_threads_start(r, task, err);
	if (result == 0 && task->restorer && task->owns_shared_files)
		result = files_open_shared(r, task, err);
	if (result == 0)
		result = create_some(r, task, true, err);
	if (result == 0)
		result = lead(r, task, err);
	if (result == 0 && task->make_session)
		result = files_take_terminal(r, task, err);
	if (result == 0)
		result = create_some(r, task, false, err);
	if (result == 0)
		result = give_slack_back(r, task, err);
	if (result == 0)
		result = restore_keyring_enter(r, task->keyring, err);
	if (result == 0)
		wait_before_heirs(r, task);
	if (result == 0 && task->passing_orphans)
		result = become_subreaper(r, task, err);
	if (result == 0)
		result = join(r, task, err);
	return result;
}

static int finish_forking(struct restore *r, const struct restore_task *task, struct error *err)
{
	struct restorer_shared *words = &r->shared->words;
	int result = wait_for_zombies(r, task, err);

	if (result < 0)
		return result;
	restore_arrive(&words->forking, &words->forked);
	if (task->passing_orphans)
		restore_wait_gate(&slot_of(r, task)->orphans_passed);
	result = wait_for_helpers(r, task, err);
	drop_pending_ends(task);
	return result;
}

static _Noreturn void enter_blob(const struct restore *r, const struct restore_task *task)
{
	const uint64_t stack = task->restorer->threads[0].stack_top;

	__asm__ volatile("movq %[stack], %%rsp\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "call *%[entry]\n\t"
			 :
			 : [stack] "r"(stack), [entry] "r"(r->shared->entry), "D"(task->restorer), "S"(0L)
			 : "memory");
	__builtin_unreachable();
}

static _Noreturn void fail(struct restore *r, const struct restore_task *task, struct error *err)
{
	char name[64];

	/* A sentence about one of its files begins with it already. */
	(void)restore_task_name(task, name, sizeof(name));
	if (strncmp(err->text, name, strlen(name)) != 0)
		error_prefix(err, "%s", name);
	restore_report_failure(r, task, err);
	_exit(1);
}

/* FILE.PID instead of lines with the pid in front; what cannot be opened stays in the common log. */
static int open_own_log(const struct restore *r, const struct restore_task *task)
{
	const char *file = r->opts->log_file;
	char name[PATH_MAX];
	int fd, kept;

	if (!r->opts->log_pid || !file || strcmp(file, "-") == 0)
		return -ENOENT;
	if (snprintf(name, sizeof(name), "%s.%d", file, task->pid) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	fd = log_open(r->log_dirfd, name);
	if (fd < 0)
		return fd;
	kept = service_fds_copy(r, fd);
	(void)close(fd);
	if (kept < 0)
		return kept;
	log_move_fd(kept);
	return 0;
}

static void name_log_lines(const struct restore *r, const struct restore_task *task)
{
	int result = open_own_log(r, task);

	if (result < 0 && result != -ENOENT)
		log_warn("--log-pid: cannot open a log for pid %d: %s\n", task->pid, strerror(-result));
	if (result < 0 && (r->opts->log_pid || log_get_level() >= LOG_DEBUG))
		log_set_task(task->pid);
}

static _Noreturn void run_task(struct restore *r, struct restore_task *task, struct error *err)
{
	int result;

	mark_alive(r, task);
	stop_for_a_moment(r, task);
	name_log_lines(r, task);
	log_debug("pid %d: takes its place in the tree\n", task->pid);
	result = take_place_in_tree(r, task, err);
	if (result == 0 && task->go_between) {
		if (task->orphan_target->subreaper_meanwhile)
			restore_wait_gate(&slot_of(r, task->orphan_target)->takes_orphans);
		for (size_t i = 0; i < task->created_count; i++)
			wait_for_older(r, task->created[i]);
		end(r, task, 0);
	}
	if (result == 0 && task->is_zombie)
		result = restore_zombie_prepare(r, task, err);
	if (result == 0 && task->is_zombie)
		become_zombie(r, task);
	if (result == 0)
		result = finish_forking(r, task, err);
	if (result == 0 && task->is_helper) {
		restore_wait_gate(&r->shared->words.forked);
		end(r, task, 0);
	}
	if (result == 0)
		result = prepare(r, task, err);
	if (result < 0)
		fail(r, task, err);
	enter_blob(r, task);
}

/* --- the worker -------------------------------------------------------------------------------------------------- */

/* The C library's area for restartable sequences is unmapped in the new processes; they must not inherit it. */
static bool unregister_rseq(void)
{
	void *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	return syscall(__NR_rseq, area, RSEQ_BYTES_ORIGINAL, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0 ||
	       (__rseq_size > RSEQ_BYTES_ORIGINAL &&
		syscall(__NR_rseq, area, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0);
}

static void register_rseq(void)
{
	void *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	(void)syscall(__NR_rseq, area, RSEQ_BYTES_ORIGINAL, 0, RSEQ_SIG);
}

/*
 * A detached tree is not to take our end for that of its parent, if it wants a signal then: its root is orphaned right
 * away, by the end of the one who makes it, and asks for the signal when it has the parent that it keeps.
 */
static bool is_orphaned_first(const struct restore *r)
{
	const struct checked_task *root = r->tasks[0]->image;

	if (!r->opts->detach || r->opts->restore_sibling)
		return false;
	for (size_t i = 0; i < root->thread_count; i++)
		if (root->threads[i].core->thread_core->has_pdeath_sig)
			return true;
	return false;
}

static _Noreturn void run_root(struct restore *r, pid_t maker)
{
	struct error err = { 0 };

	(void)signal(SIGCHLD, SIG_DFL);
	log_move_fd(r->log_fd);
	while (maker && getppid() == maker)
		(void)usleep(100);
	run_task(r, r->tasks[0], &err);
}

/* The root goes to another parent by its end, or is a child of ours and born into a session with its number. */
static _Noreturn void make_root(struct restore *r, bool is_orphaned, pid_t worker)
{
	const pid_t maker = is_orphaned ? getpid() : 0;
	struct error err = { 0 };
	pid_t pid;

	/* Who rolls back when the worker has died must not miss a root that comes later. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != worker)
		_exit(1);
	if (r->ended_session && setsid() < 0)
		pid = error_set(&err, -errno, "start session %d", r->ended_session);
	else
		pid = create_process(r, r->tasks[0], !is_orphaned, &err);
	if (pid == 0)
		run_root(r, maker);
	if (pid < 0)
		restore_report_failure(r, r->tasks[0], &err);
	_exit(0);
}

static pid_t create_root(struct restore *r, struct error *err)
{
	const bool is_orphaned = is_orphaned_first(r);
	const pid_t worker = getpid();
	const struct clone_request request = {
		.exit_signal = SIGCHLD,
		.set_tid = &r->ended_session,
		.set_tid_count = r->ended_session ? 1 : 0,
		.cgroup_fd = -1,
	};
	pid_t pid;

	if (!is_orphaned && !r->ended_session) {
		pid = create_process(r, r->tasks[0], r->opts->restore_sibling, err);
		if (pid == 0)
			run_root(r, 0);
		return pid;
	}
	pid = clone_process(&request, NULL);
	if (pid == 0)
		make_root(r, is_orphaned, worker);
	if (pid < 0 && r->ended_session)
		return error_set(err, pid, "make the leader of session %d, for pid %d", r->ended_session,
				 r->tasks[0]->pid);
	if (pid < 0)
		return error_set(err, pid, "make a parent for pid %d", r->tasks[0]->pid);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return pid;
}

int restore_fork_root(struct restore *r, struct error *err)
{
	uint64_t before;
	bool had_rseq = unregister_rseq();
	pid_t pid;

	for (size_t i = 0; i < r->task_count; i++)
		slot_of(r, r->tasks[i])->orphans_passing = r->tasks[i]->passing_orphans;
	/* A timer of the C library's tells its thread by a signal that the library does not block. */
	signal_mask_set(SIGNAL_MASK_ALL, &before);
	pid = create_root(r, err);
	if (pid > 0 && give_slack_back(r, NULL, err) < 0)
		pid = err->code;
	if (had_rseq)
		register_rseq();
	signal_mask_set(before, NULL);
	return pid < 0 ? pid : 0;
}
