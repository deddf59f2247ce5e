/* A zombie's /proc/PID/stat shows its wait status; what has been waited for is told by PIDFD_GET_INFO since 6.15. */
#include "kernel/process-end.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "kernel/pidfd.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"

int process_end_status(pid_t pid, int pidfd, int *ret_status)
{
	AUTO_CLOSE int procfd = proc_open(pid);
	struct proc_stat stat;
	int r = procfd < 0 ? procfd : proc_stat_read(procfd, "stat", &stat);

	if (r == 0 && (stat.state == 'Z' || stat.state == 'X')) {
		*ret_status = stat.exit_code;
		return 0;
	}
	return pidfd < 0 ? -ESRCH : pidfd_exit_status(pidfd, ret_status);
}

bool thread_has_ended(pid_t tid)
{
	AUTO_CLOSE int procfd = proc_open(tid);
	struct proc_stat stat;

	return procfd < 0 || proc_stat_read(procfd, "stat", &stat) < 0 || strchr("ZX", stat.state);
}

void process_end_describe(int status, char *text, size_t bytes)
{
	const char *name = status >= 0 && WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

	if (name)
		(void)snprintf(text, bytes, "was killed by SIG%s", name);
	else if (status >= 0 && WIFSIGNALED(status))
		(void)snprintf(text, bytes, "was killed by signal %d", WTERMSIG(status));
	else if (status >= 0 && WIFEXITED(status))
		(void)snprintf(text, bytes, "ended with status %d", WEXITSTATUS(status));
	else
		(void)snprintf(text, bytes, "died");
}
