/* How the children of probes are started, stopped and reaped. */
#include "kernel/probe-child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/clone.h"
#include "kernel/missing-ptrace.h"

/* How an answer travels as an exit status: 0, 1, or 2 and the errno. */
#define STATUS_ERROR 2

static int answer_to_status(int answer)
{
	return answer < 0 ? STATUS_ERROR - answer : answer != 0;
}

static int status_to_answer(int status)
{
	if (!WIFEXITED(status))
		return -ECHILD;
	return WEXITSTATUS(status) < STATUS_ERROR ? WEXITSTATUS(status) : STATUS_ERROR - WEXITSTATUS(status);
}

int probe_answer(long result)
{
	if (result >= 0)
		return 1;
	switch (errno) {
	case ENOSYS:
	case EINVAL:
	case ENOTTY:
	case EOPNOTSUPP:
	case ENOPROTOOPT:
	case EIO:
		return 0;
	default:
		return -errno;
	}
}

#define LONGEST_PROBE_SECONDS 10

/* Whatever happens to the child (a lock that another thread held, a device that does not answer), the caller goes on.
 */
static void limit_lifetime(void)
{
	sigset_t mask;

	(void)signal(SIGALRM, SIG_DFL);
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGALRM);
	(void)sigprocmask(SIG_UNBLOCK, &mask, NULL);
	(void)alarm(LONGEST_PROBE_SECONDS);
}

/* 0 in the child. No exit signal, so that the caller's own waiting and its SIGCHLD handler see nothing. */
static pid_t start_child(void)
{
	const struct clone_request request = { 0 };
	pid_t parent = getpid(), pid = clone_process(&request, NULL);

	if (pid)
		return pid;
	limit_lifetime();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	return 0;
}

static int wait_child(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int run_in_namespaces(int clone_flags, int (*probe)(void))
{
	if (clone_flags && unshare(clone_flags) < 0)
		return -errno;
	if ((clone_flags & CLONE_NEWNS) && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	return probe();
}

int probe_in_namespaces(int clone_flags, int (*probe)(void))
{
	pid_t pid = start_child();
	int status, r;

	if (pid < 0)
		return pid;
	if (pid == 0)
		_exit(answer_to_status(run_in_namespaces(clone_flags, probe)));
	r = wait_child(pid, &status);
	return r < 0 ? r : status_to_answer(status);
}

int probe_in_child(int (*probe)(void))
{
	return probe_in_namespaces(0, probe);
}

/* --- tracees ----------------------------------------------------------------------------------------------------- */

static void tracee_main(int (*prepare)(void), void (*loop)(void), int report_fd)
{
	int r = prepare ? prepare() : 0;

	if (write(report_fd, &r, sizeof(r)) != sizeof(r))
		_exit(1);
	/* The parent stops us somewhere from here on. */
	for (;;) {
		if (loop)
			loop();
		else
			(void)poll(NULL, 0, -1);
	}
}

static int await_report(int fd)
{
	int report;

	if (read(fd, &report, sizeof(report)) != sizeof(report))
		return -ECHILD;
	return report;
}

static int stop_tracee(pid_t pid, long ptrace_options)
{
	int status, r;

	if (ptrace(PTRACE_SEIZE, pid, NULL, ptrace_options) < 0)
		return -errno;
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		return -errno;
	r = wait_child(pid, &status);
	if (r < 0)
		return r;
	return WIFSTOPPED(status) ? 0 : -ECHILD;
}

static int trace_child(pid_t pid, int report_fd, long ptrace_options, int (*probe)(pid_t tid))
{
	int status, r = await_report(report_fd);

	if (r == 0)
		r = stop_tracee(pid, ptrace_options);
	if (r == 0)
		r = probe(pid);
	(void)kill(pid, SIGKILL);
	while (wait_child(pid, &status) == 0 && WIFSTOPPED(status))
		;
	return r;
}

static int run_tracee(int (*prepare)(void), void (*loop)(void), long ptrace_options, int (*probe)(pid_t tid))
{
	AUTO_CLOSE int read_fd = -1;
	AUTO_CLOSE int write_fd = -1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	pid = start_child();
	if (pid < 0)
		return pid;
	if (pid == 0)
		tracee_main(prepare, loop, write_fd);
	close_fd(&write_fd);
	return trace_child(pid, read_fd, ptrace_options, probe);
}

int probe_tracee(int (*prepare)(void), long ptrace_options, int (*probe)(pid_t tid))
{
	return run_tracee(prepare, NULL, ptrace_options, probe);
}

int probe_running_tracee(void (*loop)(void), int (*probe)(pid_t tid))
{
	return run_tracee(NULL, loop, 0, probe);
}
