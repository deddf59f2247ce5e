/*
 * The two ways to kill: see the header. The traced run attaches to whatever criu forks, except to the tasks it
 * restores; those have the target's process id.
 */
#include "driver.h"
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

enum { MOST_TRACEES = 256 };

struct tracee {
	pid_t tid;
	bool in_call;
	int fails_with; /* the call it is in fails with this, 0: it does not */
};

/* What such a call fails with when there is no more room. Not brk, which returns an address when it fails. */
static const struct {
	long call;
	int error;
} fallible[] = {
	{ SYS_open, EMFILE },
	{ SYS_openat, EMFILE },
	{ SYS_openat2, EMFILE },
	{ SYS_pipe2, EMFILE },
	{ SYS_socket, EMFILE },
	{ SYS_socketpair, EMFILE },
	{ SYS_dup, EMFILE },
	{ SYS_dup3, EMFILE },
	{ SYS_pidfd_open, EMFILE },
	{ SYS_pidfd_getfd, EMFILE },
	{ SYS_memfd_create, ENFILE },
	{ SYS_eventfd2, ENFILE },
	{ SYS_mmap, ENOMEM },
	{ SYS_mremap, ENOMEM },
	{ SYS_mprotect, ENOMEM },
	{ SYS_clone, EAGAIN },
	{ SYS_clone3, EAGAIN },
	{ SYS_fork, EAGAIN },
	{ SYS_vfork, EAGAIN },
	{ SYS_write, ENOSPC },
	{ SYS_writev, ENOSPC },
	{ SYS_pwrite64, ENOSPC },
	{ SYS_pwritev, ENOSPC },
	{ SYS_ftruncate, ENOSPC },
	{ SYS_fallocate, ENOSPC },
	{ SYS_rename, ENOSPC },
	{ SYS_renameat, ENOSPC },
	{ SYS_renameat2, ENOSPC },
	{ SYS_linkat, ENOSPC },
	{ SYS_fsync, EIO },
	{ SYS_fdatasync, EIO },
	{ SYS_read, EIO },
	{ SYS_pread64, EIO },
	{ SYS_preadv, EIO },
	{ SYS_process_vm_readv, ENOMEM },
	{ SYS_process_vm_writev, ENOMEM },
	{ SYS_kcmp, EPERM },
	{ SYS_getdents64, ENOMEM },
	{ SYS_bpf, EPERM },
	{ SYS_ioctl, ENOMEM },
	{ SYS_sendto, ENOBUFS },
	{ SYS_sendmsg, ENOBUFS },
	{ SYS_readlink, ENOMEM },
	{ SYS_readlinkat, ENOMEM },
	{ SYS_statx, ENOMEM },
	{ SYS_newfstatat, ENOMEM },
	{ SYS_fstat, ENOMEM },
	{ SYS_setrlimit, EPERM },
	{ SYS_prlimit64, EPERM },
	{ SYS_setsid, EPERM },
	{ SYS_unshare, ENOSPC },
	{ SYS_setns, ENOMEM },
	{ SYS_userfaultfd, EPERM },
};

struct traced_run {
	struct tracee tracees[MOST_TRACEES];
	size_t count;
	pid_t first, spared;
	bool first_ended, let_go;
	const struct blow *blow;
	struct outcome *out;
};

static long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000L + ts.tv_nsec / 1000;
}

void process_name(pid_t pid, char *ret_name, size_t bytes)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	ret_name[0] = 0;
	if (file && fgets(ret_name, (int)bytes, file))
		ret_name[strcspn(ret_name, "\n")] = 0;
	if (file)
		fclose(file);
}

/* What its status says; or else nothing is changed. */
static void read_status(pid_t tid, const char *format, pid_t *ret)
{
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file) && sscanf(line, format, ret) != 1)
		;
	if (file)
		fclose(file);
}

static pid_t process_of(pid_t tid)
{
	pid_t pid = tid;

	read_status(tid, "Tgid: %d", &pid);
	return pid;
}

static pid_t parent_of(pid_t pid)
{
	pid_t parent = 0;

	read_status(pid, "PPid: %d", &parent);
	return parent;
}

static bool is_below(pid_t pid, pid_t ancestor)
{
	while (pid > 1 && pid != ancestor)
		pid = parent_of(pid);
	return pid == ancestor;
}

void each_process(pid_t spared, void (*act)(void *arg, pid_t pid), void *arg)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 1 && !(spared && is_below(pid, spared)))
			act(arg, pid);
	}
	if (proc)
		closedir(proc);
}

static void exec_quietly(const char *const *argv, const char *said_path, bool traced)
{
	int null = open("/dev/null", O_RDWR);
	int said = said_path ? open(said_path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : null;

	(void)setpgid(0, 0);
	if (null < 0 || said < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(said, 2) < 0)
		_exit(126);
	close_range(3, ~0U, 0);
	if (traced && (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0))
		_exit(126);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

static struct tracee *find_tracee(struct traced_run *run, pid_t tid)
{
	for (size_t i = 0; i < run->count; i++) {
		if (run->tracees[i].tid == tid)
			return &run->tracees[i];
	}
	return NULL;
}

static void forget_tracee(struct traced_run *run, pid_t tid)
{
	struct tracee *tracee = find_tracee(run, tid);

	if (tracee)
		*tracee = run->tracees[--run->count];
}

static void resume(struct traced_run *run, pid_t tid, int signo)
{
	const struct tracee *tracee = find_tracee(run, tid);
	bool is_done = (run->out->struck || !run->blow) && !(tracee && tracee->fails_with);
	int how = is_done ? PTRACE_CONT : PTRACE_SYSCALL;

	(void)ptrace(how, tid, NULL, (void *)(intptr_t)signo);
}

static void strike(struct traced_run *run, pid_t tid)
{
	struct user_regs_struct regs = { 0 };
	struct outcome *out = run->out;

	(void)ptrace(PTRACE_GETREGS, tid, NULL, &regs);
	out->struck = true;
	out->struck_call = (long)regs.orig_rax;
	out->struck_pid = process_of(tid);
	process_name(out->struck_pid, out->struck_name, sizeof(out->struck_name));
	(void)kill(run->blow->signal == SIGKILL ? out->struck_pid : -run->first, run->blow->signal);
}

static int failure_of(long call)
{
	for (size_t i = 0; i < sizeof(fallible) / sizeof(fallible[0]); i++) {
		if (fallible[i].call == call)
			return fallible[i].error;
	}
	return 0;
}

/* The call is not made, and its result is written when it returns. */
static void enter_failing(struct traced_run *run, struct tracee *tracee)
{
	struct user_regs_struct regs = { 0 };
	struct outcome *out = run->out;
	int error;

	(void)ptrace(PTRACE_GETREGS, tracee->tid, NULL, &regs);
	error = failure_of((long)regs.orig_rax);
	if (!error || ++out->calls != run->blow->at_call)
		return;
	out->struck = true;
	out->struck_call = (long)regs.orig_rax;
	out->struck_pid = process_of(tracee->tid);
	process_name(out->struck_pid, out->struck_name, sizeof(out->struck_name));
	tracee->fails_with = error;
	regs.orig_rax = (unsigned long)-1;
	(void)ptrace(PTRACE_SETREGS, tracee->tid, NULL, &regs);
}

static void leave_failing(struct tracee *tracee)
{
	struct user_regs_struct regs = { 0 };

	(void)ptrace(PTRACE_GETREGS, tracee->tid, NULL, &regs);
	regs.rax = (unsigned long)-tracee->fails_with;
	(void)ptrace(PTRACE_SETREGS, tracee->tid, NULL, &regs);
	tracee->fails_with = 0;
}

static void on_call(struct traced_run *run, struct tracee *tracee)
{
	tracee->in_call = !tracee->in_call;
	if (tracee->fails_with)
		leave_failing(tracee);
	else if (tracee->in_call && !run->out->struck && run->blow->fails_call)
		enter_failing(run, tracee);
	else if (tracee->in_call && !run->out->struck && ++run->out->calls == run->blow->at_call)
		strike(run, tracee->tid);
	resume(run, tracee->tid, 0);
}

/* A thread or process that criu just made stops for the first time. */
static void on_new(struct traced_run *run, pid_t tid)
{
	if (tid == run->spared || process_of(tid) == run->spared || run->count == MOST_TRACEES) {
		(void)ptrace(PTRACE_DETACH, tid, NULL, NULL);
		run->let_go |= tid == run->spared;
		return;
	}
	run->tracees[run->count++] = (struct tracee){ .tid = tid };
	resume(run, tid, 0);
}

/*
 * A restored task is let go before its maker goes on: criu may want to trace it at once. When its own stop was seen
 * first it has been let go already.
 */
static void on_event(struct traced_run *run, pid_t tid)
{
	unsigned long made = 0;
	int status;

	if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &made) == 0 && made && (pid_t)made == run->spared && !run->let_go) {
		if (waitpid((pid_t)made, &status, __WALL) == (pid_t)made)
			(void)ptrace(PTRACE_DETACH, (pid_t)made, NULL, NULL);
		run->let_go = true;
	}
	resume(run, tid, 0);
}

static void on_stop(struct traced_run *run, pid_t tid, int status)
{
	struct tracee *tracee = find_tracee(run, tid);
	int signo = WSTOPSIG(status);

	if (!tracee)
		on_new(run, tid);
	else if (signo == (SIGTRAP | 0x80))
		on_call(run, tracee);
	else if (status >> 16)
		on_event(run, tid);
	else
		resume(run, tid, signo);
}

static void note_left(void *arg, pid_t pid)
{
	struct outcome *out = arg;

	out->left = pid;
	process_name(pid, out->left_name, sizeof(out->left_name));
}

static void kill_process(void *arg, pid_t pid)
{
	(void)arg;
	(void)kill(pid, SIGKILL);
}

static void give_up(struct outcome *out, pid_t spared)
{
	each_process(spared, note_left, out);
	each_process(spared, kill_process, NULL);
}

static void count_process(void *arg, pid_t pid)
{
	(void)pid;
	++*(size_t *)arg;
}

/*
 * A process forked by one that has just been killed waits for us in the stop that the tracing of forks makes: that we
 * know nobody any more does not mean that nobody is there.
 */
static bool is_any_left(pid_t spared)
{
	size_t count = 0;

	each_process(spared, count_process, &count);
	return count > 0;
}

static void drive_traced(const char *const *argv, const struct blow *blow, pid_t spared, struct outcome *ret)
{
	struct traced_run run = { .spared = spared, .blow = blow, .out = ret };
	const long last = now_us() + PATIENCE_MS * 1000L * 6;
	long end = now_us() + PATIENCE_MS * 1000L * 2;
	bool gave_up = false;
	int status;
	pid_t tid;

	run.first = fork();
	if (run.first == 0)
		exec_quietly(argv, blow->said_path, true);
	if (run.first < 0 || waitpid(run.first, &status, 0) != run.first)
		return;
	(void)ptrace(PTRACE_SETOPTIONS, run.first, NULL,
		     (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			      PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL));
	run.tracees[run.count++] = (struct tracee){ .tid = run.first };
	resume(&run, run.first, 0);
	while (!run.first_ended || run.count || is_any_left(spared)) {
		tid = waitpid(-1, &status, __WALL | WNOHANG);
		if (tid == 0) {
			if (now_us() > end) {
				if (gave_up)
					return;
				gave_up = true;
				end += 2000000;
				give_up(ret, spared);
			}
			usleep(20);
			continue;
		}
		if (tid < 0 && errno == ECHILD)
			return;
		if (WIFSTOPPED(status)) {
			/* On a busy machine each call takes its time: who still makes some does not hang. */
			if (now_us() + PATIENCE_MS * 1000L > end && end < last)
				end = now_us() + PATIENCE_MS * 1000L;
			on_stop(&run, tid, status);
			continue;
		}
		forget_tracee(&run, tid);
		if (tid == spared)
			ret->target_status = status;
		if (tid == run.first) {
			run.first_ended = true;
			ret->status = status;
		}
	}
}

struct choice {
	pid_t pids[MOST_TRACEES];
	size_t count;
};

static void add_choice(void *arg, pid_t pid)
{
	struct choice *choice = arg;

	if (choice->count < MOST_TRACEES)
		choice->pids[choice->count++] = pid;
}

static void strike_one(const struct blow *blow, pid_t spared, pid_t first, struct outcome *ret)
{
	struct choice choice = { .count = 0 };

	each_process(spared, add_choice, &choice);
	if (!choice.count)
		return;
	ret->struck_pid = choice.pids[blow->choice % choice.count];
	ret->struck_call = -1;
	process_name(ret->struck_pid, ret->struck_name, sizeof(ret->struck_name));
	ret->struck = kill(blow->signal == SIGKILL ? ret->struck_pid : -first, blow->signal) == 0;
}

static void drive_timed(const char *const *argv, const struct blow *blow, pid_t spared, struct outcome *ret)
{
	long start = now_us(), end = start + PATIENCE_MS * 1000L, struck_at = start + blow->after_us;
	bool is_done = blow->after_us < 0, first_ended = false;
	pid_t first = fork();

	if (first == 0)
		exec_quietly(argv, blow->said_path, false);
	while (first > 0) {
		struct choice left = { .count = 0 };
		int status;
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid == spared)
				ret->target_status = status;
			if (pid == first) {
				first_ended = true;
				ret->status = status;
				ret->took_us = now_us() - start;
			}
		}
		if (!is_done && now_us() >= struck_at) {
			is_done = true;
			strike_one(blow, spared, first, ret);
		}
		if (first_ended)
			each_process(spared, add_choice, &left);
		if (first_ended && !left.count)
			return;
		if (now_us() > end) {
			give_up(ret, spared);
			return;
		}
		usleep(100);
	}
}

void drive(const char *const *argv, const struct blow *blow, pid_t spared, struct outcome *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->target_status = -1;
	if (blow->after_us >= 0 || blow->at_call < 0)
		drive_timed(argv, blow, spared, ret);
	else
		drive_traced(argv, blow, spared, ret);
}
