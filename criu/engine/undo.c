/*
 * The log is one shared anonymous mapping: a head, the names of what was created, the processes to end, the limits to
 * lower, compel's journal. The rescuer is a forked child in a session of its own, so that no signal meant for the
 * worker's group reaches it; it sleeps on the worker's pidfd.
 */
#include "engine/undo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "kernel/mount-view.h"
#include "kernel/pidfd.h"
#include "kernel/prlimit.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "kernel/process-end.h"

#define GIVE_BACK_TRIES  3
#define NAME_ARENA_BYTES (64u << 20)
#define END_LIMIT        (1u << 17)
#define LIMIT_LIMIT      (1u << 17)

struct end_note {
	int32_t pid;
	int32_t signal;
	uint64_t start_time_ticks;
};

struct undo_log {
	uint32_t phase;      /* enum undo_phase */
	uint32_t name_bytes; /* in the arena of names: each ended by NUL */
	uint32_t end_count;
	uint32_t limit_count;
	uint32_t names_lock;
	int32_t slack_tid; /* 0: none */
	uint64_t slack_ns;
	uint32_t files_lost; /* names beyond the limit: rollback cannot remove them */
};

struct undo {
	struct undo_log *log;
	char *names; /* of files that were created, below the image directory or absolute */
	struct end_note *ends;
	struct undo_limit *limits;
	struct compel_journal *journal;
	size_t log_bytes, names_bytes, ends_bytes, limits_bytes, journal_bytes;
	int images_dirfd;
	pid_t rescuer;
	const pid_t *kept_free;
	size_t kept_free_count;
	undo_callback rollback, carry_on;
	void *ctx;
	struct sigaction saved_actions[3];
	bool signals_taken;
};

static const int stop_signals[3] = { SIGINT, SIGTERM, SIGHUP };

/* A signal handler has no other way to say something. */
static volatile sig_atomic_t interrupted;

static void on_stop_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

static void take_signals(struct undo *undo)
{
	const struct sigaction noted = { .sa_handler = on_stop_signal, .sa_flags = SA_RESTART };

	interrupted = 0;
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++) {
		(void)sigaction(stop_signals[i], NULL, &undo->saved_actions[i]);
		if (undo->saved_actions[i].sa_handler != SIG_IGN)
			(void)sigaction(stop_signals[i], &noted, NULL);
	}
	undo->signals_taken = true;
}

static void give_signals_back(struct undo *undo)
{
	if (!undo->signals_taken)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++)
		(void)sigaction(stop_signals[i], &undo->saved_actions[i], NULL);
	undo->signals_taken = false;
}

static void *map_shared(size_t bytes)
{
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return area == MAP_FAILED ? NULL : area;
}

static void unmap(void *area, size_t bytes)
{
	if (area)
		(void)munmap(area, bytes);
}

static void undo_free(struct undo *undo)
{
	unmap(undo->log, undo->log_bytes);
	unmap(undo->names, undo->names_bytes);
	unmap(undo->ends, undo->ends_bytes);
	unmap(undo->limits, undo->limits_bytes);
	unmap(undo->journal, undo->journal_bytes);
	free(undo);
}

int undo_new(int images_dirfd, uint32_t task_limit, uint32_t thread_limit, struct undo **ret_undo, struct error *err)
{
	struct undo *undo = calloc(1, sizeof(*undo));

	if (!undo)
		return error_set(err, -ENOMEM, "undo log");
	undo->images_dirfd = images_dirfd;
	undo->log_bytes = PAGE_BYTES;
	undo->names_bytes = NAME_ARENA_BYTES;
	undo->ends_bytes = END_LIMIT * sizeof(struct end_note);
	undo->limits_bytes = LIMIT_LIMIT * sizeof(struct undo_limit);
	undo->journal_bytes = compel_journal_bytes(task_limit, thread_limit);
	undo->log = map_shared(undo->log_bytes);
	undo->names = map_shared(undo->names_bytes);
	undo->ends = map_shared(undo->ends_bytes);
	undo->limits = map_shared(undo->limits_bytes);
	undo->journal = map_shared(undo->journal_bytes);
	if (!undo->log || !undo->names || !undo->ends || !undo->limits || !undo->journal) {
		undo_free(undo);
		return error_set(err, -ENOMEM, "undo log");
	}
	compel_journal_init(undo->journal, task_limit, thread_limit);
	*ret_undo = undo;
	return 0;
}

struct compel_journal *undo_journal(struct undo *undo)
{
	return undo->journal;
}

/* 0: free, 1: held, 2: held, and somebody waits. */
void undo_lock(struct undo *undo)
{
	uint32_t *lock = &undo->log->names_lock, is_free = 0;

	if (__atomic_compare_exchange_n(lock, &is_free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE) != 0)
		(void)syscall(SYS_futex, lock, FUTEX_WAIT, 2, NULL, NULL, 0);
}

void undo_unlock(struct undo *undo)
{
	uint32_t *lock = &undo->log->names_lock;

	if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2)
		(void)syscall(SYS_futex, lock, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void undo_note_file(void *ctx, const char *name)
{
	struct undo *undo = ctx;
	uint32_t at = undo->log->name_bytes;
	size_t bytes = strlen(name) + 1;

	if (bytes > NAME_ARENA_BYTES - at) {
		undo->log->files_lost++;
		return;
	}
	memcpy(undo->names + at, name, bytes);
	__atomic_store_n(&undo->log->name_bytes, at + (uint32_t)bytes, __ATOMIC_RELEASE);
}

void undo_forget_file(struct undo *undo, const char *name)
{
	size_t bytes = strlen(name) + 1;
	uint32_t end = undo->log->name_bytes;

	if (bytes <= end && strcmp(undo->names + end - bytes, name) == 0)
		__atomic_store_n(&undo->log->name_bytes, end - (uint32_t)bytes, __ATOMIC_RELEASE);
}

void undo_note_slack(struct undo *undo, pid_t tid, uint64_t slack_ns)
{
	undo->log->slack_ns = slack_ns;
	__atomic_store_n(&undo->log->slack_tid, tid, __ATOMIC_SEQ_CST);
}

void undo_forget_slack(struct undo *undo)
{
	__atomic_store_n(&undo->log->slack_tid, 0, __ATOMIC_SEQ_CST);
}

void undo_note_end(struct undo *undo, pid_t pid, uint64_t start_time_ticks, int signal)
{
	uint32_t at = undo->log->end_count;

	if (at >= END_LIMIT)
		return;
	undo->ends[at] = (struct end_note){ .pid = pid, .signal = signal, .start_time_ticks = start_time_ticks };
	__atomic_store_n(&undo->log->end_count, at + 1, __ATOMIC_RELEASE);
}

void undo_forget_ends(struct undo *undo)
{
	__atomic_store_n(&undo->log->end_count, 0, __ATOMIC_RELEASE);
}

bool undo_note_limit(struct undo *undo, const struct undo_limit *limit)
{
	uint32_t at = undo->log->limit_count;

	if (at >= LIMIT_LIMIT)
		return false;
	undo->limits[at] = *limit;
	__atomic_store_n(&undo->log->limit_count, at + 1, __ATOMIC_RELEASE);
	return true;
}

const struct undo_limit *undo_find_limit(const struct undo *undo, pid_t pid, int resource)
{
	for (uint32_t i = undo->log->limit_count; i-- > 0;)
		if (undo->limits[i].pid == pid && undo->limits[i].resource == resource)
			return &undo->limits[i];
	return NULL;
}

static bool is_still(const struct undo_limit *limit)
{
	AUTO_CLOSE int procfd = proc_open(limit->pid);
	struct proc_stat stat;
	struct rlimit now;

	return procfd >= 0 && proc_stat_read(procfd, "stat", &stat) == 0 &&
	       stat.start_time_ticks == limit->start_time_ticks &&
	       prlimit_of(limit->tid, limit->resource, NULL, &now) == 0 && now.rlim_cur == limit->raised.rlim_cur &&
	       now.rlim_max == limit->raised.rlim_max;
}

static bool give_limit_back(const struct undo_limit *limit)
{
	return is_still(limit) && prlimit_of(limit->tid, limit->resource, &limit->own, NULL) == 0;
}

void undo_give_limits_back(struct undo *undo, pid_t pid)
{
	for (uint32_t i = undo->log->limit_count; i-- > 0;) {
		struct undo_limit *limit = &undo->limits[i];

		if (!limit->pid || (pid && limit->pid != pid))
			continue;
		/* Each call may fail once for lack of something, and the process would keep what is not its own. */
		for (int tries = 0; tries < GIVE_BACK_TRIES && !give_limit_back(limit); tries++)
			;
		__atomic_store_n(&limit->pid, 0, __ATOMIC_RELEASE);
	}
}

void undo_set_callbacks(struct undo *undo, undo_callback rollback, undo_callback carry_on, void *ctx)
{
	undo->rollback = rollback;
	undo->carry_on = carry_on;
	undo->ctx = ctx;
}

void undo_keep_free(struct undo *undo, const pid_t *pids, size_t count)
{
	undo->kept_free = pids;
	undo->kept_free_count = count;
}

void undo_set_phase(struct undo *undo, enum undo_phase phase)
{
	__atomic_store_n(&undo->log->phase, phase, __ATOMIC_SEQ_CST);
}

bool undo_interrupted(const struct undo *undo)
{
	(void)undo;
	return interrupted != 0;
}

static int remove_name(int dirfd, const char *name)
{
	if (unlinkat(dirfd, name, 0) == 0)
		return 0;
	if (errno == EISDIR)
		return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
	return -errno;
}

/* Below a mount that is read-only restores make deleted files through another one. */
static void remove_behind_mount(const char *path)
{
	AUTO_FREE char *directory = strdup(path);
	char *slash = directory ? strrchr(directory, '/') : NULL;
	AUTO_CLOSE int dirfd = -1;
	AUTO_CLOSE int view = -1;

	if (!slash)
		return;
	*slash = '\0';
	dirfd = open(*directory ? directory : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	view = dirfd < 0 ? -1 : mount_view_writable(dirfd);
	if (view >= 0)
		(void)remove_name(view, slash + 1);
}

/* The last one first: what was made in a directory goes before it. */
static void remove_created(struct undo *undo)
{
	uint32_t end = undo->log->name_bytes;

	while (end > 0) {
		uint32_t at = end - 1;

		while (at > 0 && undo->names[at - 1])
			at--;
		if (remove_name(undo->images_dirfd, undo->names + at) == -EROFS)
			remove_behind_mount(undo->names + at);
		end = at;
	}
	undo->log->name_bytes = 0;
}

int undo_rollback(struct undo *undo)
{
	/* First those who may still be making names, then the names. */
	int r = undo->rollback ? undo->rollback(undo->ctx) : 0;

	remove_created(undo);
	if (undo->log->files_lost)
		log_warn("%u image files could not be noted and are left in the image directory",
			 undo->log->files_lost);
	return r;
}

static void end_noted(const struct end_note *note)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(note->pid);
	AUTO_CLOSE int procfd = proc_open(note->pid);
	struct proc_stat stat;

	if (pidfd < 0 || procfd < 0 || proc_stat_read(procfd, "stat", &stat) < 0)
		return;
	if (stat.start_time_ticks == note->start_time_ticks)
		(void)pidfd_send_signal_to(pidfd, note->signal);
}

static bool is_inventory_in_place(const struct undo *undo)
{
	return faccessat(undo->images_dirfd, "inventory.img", F_OK, 0) == 0;
}

static void warn_of_end(pid_t worker, int worker_pidfd, bool committed)
{
	char end[48];
	int status = -1;

	(void)process_end_status(worker, worker_pidfd, &status);
	process_end_describe(status, end, sizeof(end));
	log_warn("the worker, pid %d, %s%s: its rescuer %s", worker, end,
		 status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
		     ? " (from outside, or by the kernel for lack of memory)"
		     : "",
		 committed ? "carries the run to its end" : "takes everything back");
}

static void give_slack_back(const struct undo_log *log)
{
	AUTO_CLOSE int fd = log->slack_tid ? proc_open_timer_slack(log->slack_tid) : -1;

	if (fd >= 0 && proc_write_timer_slack(fd, log->slack_ns) < 0)
		log_error("rescue: thread %d keeps another timer slack", log->slack_tid);
}

/* The worker is gone. */
static void rescue(struct undo *undo, pid_t worker, int worker_pidfd)
{
	struct compel_error compel_err = { 0 };
	uint32_t phase = undo->log->phase;
	bool committed = phase == UNDO_COMMITTED || (phase == UNDO_COMMITTING && is_inventory_in_place(undo));

	warn_of_end(worker, worker_pidfd, committed);
	give_slack_back(undo->log);
	if (committed) {
		for (uint32_t i = 0; i < undo->log->end_count; i++)
			end_noted(&undo->ends[i]);
		if (undo->carry_on && undo->carry_on(undo->ctx) < 0)
			log_error("rescue: the run could not be carried to its end");
	}
	if (compel_rescue(undo->journal, &compel_err) != 0)
		log_error("rescue: %s", compel_err.text);
	undo_give_limits_back(undo, 0);
	if (!committed && undo_rollback(undo) < 0)
		log_error("rescue: not everything could be taken back");
}

static void __attribute__((noreturn)) run_rescuer(struct undo *undo, pid_t worker, int worker_pidfd)
{
	struct pollfd wait_end = { .fd = worker_pidfd, .events = POLLIN };
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)setsid();
	(void)prctl(PR_SET_NAME, "criu-rescuer");
	while (poll(&wait_end, 1, -1) < 0 && errno == EINTR)
		;
	if (undo->log->phase != UNDO_DONE)
		rescue(undo, worker, worker_pidfd);
	_exit(0);
}

static bool is_kept_free(const struct undo *undo, pid_t pid)
{
	for (size_t i = 0; i < undo->kept_free_count; i++)
		if (undo->kept_free[i] == pid)
			return true;
	return false;
}

static void end_rescuer(pid_t rescuer)
{
	(void)kill(rescuer, SIGKILL);
	while (waitpid(rescuer, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The kernel gives numbers in a circle: the next one is another. */
static pid_t fork_rescuer(struct undo *undo, pid_t worker, int worker_pidfd)
{
	for (;;) {
		pid_t pid = fork();

		if (pid == 0)
			run_rescuer(undo, worker, worker_pidfd);
		if (pid < 0)
			return -errno;
		if (!is_kept_free(undo, pid))
			return pid;
		end_rescuer(pid);
	}
}

int undo_start(struct undo *undo, struct error *err)
{
	const pid_t own_pid = getpid();
	AUTO_CLOSE int own_pidfd = pidfd_open_pid(own_pid);
	pid_t pid;

	if (own_pidfd < 0)
		return error_set(err, own_pidfd, "pidfd_open of ourselves");
	take_signals(undo);
	pid = fork_rescuer(undo, own_pid, own_pidfd);
	undo_keep_free(undo, NULL, 0);
	if (pid < 0) {
		give_signals_back(undo);
		if (pid == -EAGAIN)
			error_hint(err, "do the limits of this shell and of the cgroup allow more processes, and its "
					"scheduling policy? One under SCHED_DEADLINE starts none (chrt -p)");
		return error_set(err, pid, "cannot start the rescuer");
	}
	undo->rescuer = pid;
	return 0;
}

pid_t undo_rescuer_pid(const struct undo *undo)
{
	return undo->rescuer;
}

void undo_dismiss(struct undo *undo)
{
	if (!undo)
		return;
	undo_set_phase(undo, UNDO_DONE);
	if (undo->rescuer > 0)
		(void)kill(undo->rescuer, SIGKILL);
}

void undo_finish(struct undo *undo)
{
	if (!undo)
		return;
	undo_dismiss(undo);
	while (undo->rescuer > 0 && waitpid(undo->rescuer, NULL, 0) < 0 && errno == EINTR)
		;
	give_signals_back(undo);
	undo_free(undo);
}
