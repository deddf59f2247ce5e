/*
 * Waiting for tracees, one by one, by thread id, with a deadline. waitpid() knows no deadline and a library may not
 * borrow its caller's signals or timers, so it is asked without blocking: eagerly at first, because a stop is mostly
 * there already.
 */
#include "internal.h"

#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLEEP_MAX_NS 500000

/* How long the exit of a killed thread may take. */
#define DEATH_MS 1000

/* code is what stands above the lowest byte of a wait status. */
static struct stop decode_stop(int code)
{
	int signal = code & 0xff;

	if (code >> 8 == PTRACE_EVENT_STOP)
		return (struct stop){ .kind = STOP_EVENT, .signal = signal };
	if (signal == (SIGTRAP | 0x80))
		return (struct stop){ .kind = STOP_SYSCALL };
	return (struct stop){ .kind = STOP_SIGNAL, .signal = signal };
}

/*
 * A stop is looked at, not collected: with that the kernel would forget the signal which the thread is about to take,
 * and when the tracer is killed before it has passed it on, that would be lost. An end is collected.
 */
static int look(pid_t tid, siginfo_t *ret_info)
{
	int r;

	do {
		memset(ret_info, 0, sizeof(*ret_info));
		r = waitid(P_PID, (id_t)tid, ret_info, WEXITED | WSTOPPED | __WALL | WNOHANG | WNOWAIT);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static void collect_end(pid_t tid)
{
	while (waitpid(tid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

int poll_stop(pid_t tid, bool *ret_stopped, struct stop *ret_stop)
{
	siginfo_t info;
	int r = look(tid, &info);

	if (r < 0 && r != -ECHILD)
		return r;
	*ret_stopped = r < 0 || info.si_pid != 0;
	/* No child of ours: it has ended, or another thread's execve has taken its place. */
	*ret_stop = (struct stop){ .kind = STOP_GONE, .is_unreported = r < 0 };
	if (r < 0 || !info.si_pid)
		return 0;
	if (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED)
		*ret_stop = decode_stop(info.si_status);
	else
		collect_end(tid);
	return 0;
}

int wait_stop(pid_t tid, uint64_t deadline_ns, struct stop *ret_stop)
{
	struct patience patience = { 0 };

	for (;;) {
		bool stopped;
		int r = poll_stop(tid, &stopped, ret_stop);

		if (r < 0 || stopped)
			return r;
		if (clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		patience_wait(&patience, SLEEP_MAX_NS);
	}
}

int wait_seized_stop(pid_t tid, uint64_t deadline_ns, int *ret_stop_signal)
{
	for (;;) {
		struct stop stop;
		int r = wait_stop(tid, deadline_ns, &stop);

		if (r < 0)
			return r;
		switch (stop.kind) {
		case STOP_GONE:
			return stop.is_unreported ? -ECHILD : -ESRCH;
		case STOP_EVENT:
			*ret_stop_signal = stop.signal == SIGTRAP ? 0 : stop.signal;
			return 0;
		case STOP_SYSCALL:
		case STOP_SIGNAL:
			/*
			 * Any stop consumes the interruption, so it is asked for again before the thread goes on. With
			 * it pending a handler is entered, but none of its instructions is executed.
			 */
			r = ptrace_interrupt(tid);
			if (r == 0)
				r = ptrace_cont(tid, stop.signal);
			/* A thread that is being killed shows up at the next wait. */
			if (r < 0 && r != -ESRCH)
				return r;
			break;
		}
	}
}

int wait_event_stop(pid_t tid, uint64_t deadline_ns, int *ret_stop_signal)
{
	int r = wait_seized_stop(tid, deadline_ns, ret_stop_signal);

	return r == -ECHILD ? -ESRCH : r;
}

void collect_dead(pid_t pid, pid_t tid)
{
	long parent = 0;
	int stop_signal;

	/* A child of our own is waited for by whoever has made it. */
	if (tid == pid && proc_status_number(pid, tid, "PPid", &parent) == 0 && parent == getpid())
		return;
	/* A thread that executed a program has taken the place of the first one: it lives, and nothing of ours is in
	 * it. */
	if (wait_event_stop(tid, deadline_after_ms(DEATH_MS), &stop_signal) == 0)
		(void)ptrace_detach(tid);
}
