/* Probes of processes, ptrace(2), namespaces, signals and timers. */
#include "kernel/feature-probes.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-files.h"
#include "kernel/bpf-vmas.h"
#include "kernel/clone.h"
#include "kernel/kcmp.h"
#include "kernel/missing-pidfd.h"
#include "kernel/missing-prctl.h"
#include "kernel/missing-ptrace.h"
#include "kernel/pidfd.h"
#include "kernel/probe-child.h"
#include "kernel/proc-list.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "kernel/process-facts.h"
#include "kernel/task-facts.h"
#include "kernel/thread-facts.h"
#include "kernel/proc-status.h"
#include "kernel/ptrace-info.h"
#include "kernel/seccomp.h"

/* --- identity ---------------------------------------------------------------------------------------------------- */

int probe_kcmp(void)
{
	pid_t self = getpid();
	int order, r = kcmp_files(self, 0, self, 0, &order);

	/* Descriptor 0 may be closed; only a kernel that has the call says so. */
	if (r == -EBADF)
		return 1;
	if (r == -ENOSYS || r == -EINVAL)
		return 0;
	return r < 0 ? r : order == 0;
}

int probe_kcmp_epoll(void)
{
	AUTO_CLOSE int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	AUTO_CLOSE int event_fd = eventfd(0, EFD_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	pid_t self = getpid();
	int order, r;

	if (epoll_fd < 0 || event_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) < 0)
		return -errno;
	r = kcmp_epoll_target(self, event_fd, self, epoll_fd, event_fd, 0, &order);
	if (r == -ENOSYS || r == -EINVAL || r == -EOPNOTSUPP)
		return 0;
	return r < 0 ? r : order == 0;
}

static int try_pidfd_getfd(int pidfd)
{
	AUTO_CLOSE int event_fd = eventfd(0, EFD_CLOEXEC);
	AUTO_CLOSE int copy = -1;

	if (event_fd < 0)
		return -errno;
	copy = pidfd_getfd_from(pidfd, event_fd);
	if (copy == -ENOSYS)
		return 0;
	return copy < 0 ? copy : 1;
}

int probe_pidfd_store(void)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(getpid());

	if (pidfd == -ENOSYS)
		return 0;
	return pidfd < 0 ? pidfd : try_pidfd_getfd(pidfd);
}

int probe_pidfd_thread(void)
{
	AUTO_CLOSE int pidfd = pidfd_open_tid((pid_t)syscall(SYS_gettid));

	if (pidfd == -EINVAL || pidfd == -ENOSYS)
		return 0;
	return pidfd < 0 ? pidfd : 1;
}

int probe_proc_children(void)
{
	AUTO_CLOSE int procfd = proc_open(0);
	AUTO_FREE pid_t *children = NULL;
	pid_t self = getpid();
	size_t count;
	int r;

	if (procfd < 0)
		return procfd;
	r = proc_list_children(procfd, &self, 1, &children, &count);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int probe_proc_stat(void)
{
	AUTO_CLOSE int procfd = proc_open(0);
	struct proc_stat stat;
	int r;

	if (procfd < 0)
		return procfd;
	r = proc_stat_read(procfd, "stat", &stat);
	if (r == -EINVAL)
		return 0;
	return r < 0 ? r : stat.start_code && stat.arg_start && stat.env_end && stat.start_brk;
}

int probe_ns_pid(void)
{
	AUTO_CLOSE int procfd = proc_open(0);
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	int r;

	if (procfd < 0)
		return procfd;
	r = proc_status_read(procfd, "status", &status);
	return r < 0 ? r : status.ns_pid_count > 0;
}

int probe_tid_address(void)
{
	uint64_t address;

	return probe_answer(prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0));
}

static int write_own_loginuid(void)
{
	char text[32];
	AUTO_CLOSE int fd = open("/proc/self/loginuid", O_RDWR | O_CLOEXEC);
	ssize_t bytes;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	bytes = read(fd, text, sizeof(text));
	if (bytes <= 0)
		return bytes < 0 ? -errno : 0;
	if (pwrite(fd, text, (size_t)bytes, 0) < 0)
		return -errno;
	return 1;
}

int probe_loginuid(void)
{
	return probe_in_child(write_own_loginuid);
}

/* --- creation ---------------------------------------------------------------------------------------------------- */

static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* The pid of a child that has just been reaped is free, unless someone else was quick. */
static int find_free_pid(pid_t *ret)
{
	const struct clone_request request = { 0 };
	pid_t pid = clone_process(&request, NULL);

	if (pid < 0)
		return pid;
	if (pid == 0)
		_exit(0);
	*ret = pid;
	return reap(pid);
}

int probe_clone3_set_tid(void)
{
	pid_t wanted = 0, pid;
	struct clone_request request = { .set_tid = &wanted, .set_tid_count = 1 };
	int r = find_free_pid(&wanted);

	if (r == -ENOSYS)
		return 0;
	if (r < 0)
		return r;
	pid = clone_process(&request, NULL);
	if (pid == 0)
		_exit(0);
	if (pid == -EEXIST)
		return 1;
	if (pid == -EINVAL || pid == -E2BIG)
		return 0;
	if (pid < 0)
		return pid;
	r = reap(pid);
	return r < 0 ? r : pid == wanted;
}

int probe_clone_into_cgroup(void)
{
	struct clone_request request = { .flags = CLONE_INTO_CGROUP, .cgroup_fd = INT_MAX };
	pid_t pid = clone_process(&request, NULL);

	if (pid == 0)
		_exit(0);
	/* A kernel that knows the flag looks at the descriptor, and refuses this one. */
	if (pid == -EBADF)
		return 1;
	if (pid < 0)
		return pid == -EINVAL || pid == -E2BIG || pid == -ENOSYS ? 0 : pid;
	(void)reap(pid);
	return 0;
}

int probe_ns_last_pid(void)
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/ns_last_pid", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return 1;
}

/* --- namespaces -------------------------------------------------------------------------------------------------- */

int probe_userns(void)
{
	unsigned map_bytes = 0;

	if (access("/proc/self/ns/user", F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	return probe_answer(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &map_bytes, 0, 0));
}

int probe_cgroupns(void)
{
	if (access("/proc/self/ns/cgroup", F_OK) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

static int unshare_time(void)
{
	AUTO_CLOSE int fd = -1;

	if (unshare(CLONE_NEWTIME) < 0)
		return errno == EINVAL || errno == ENOSYS ? 0 : -errno;
	fd = open("/proc/self/timens_offsets", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return 1;
}

int probe_timens(void)
{
	return probe_in_child(unshare_time);
}

static int mount_autofs(void)
{
	AUTO_PROC_MOUNTS struct proc_mounts mounts = { 0 };
	AUTO_CLOSE int procfd = proc_open(0);
	char options[128];
	int fds[2], r;
	size_t i;

	if (procfd < 0)
		return procfd;
	/* Both ends end with this process. */
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	(void)snprintf(options, sizeof(options), "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", fds[1], getpgrp());
	if (mount("probe", "/dev", "autofs", 0, options) < 0)
		return errno == ENODEV ? 0 : -errno;
	r = proc_mounts_read(procfd, &mounts);
	if (r < 0)
		return r;
	for (i = 0; i < mounts.count; i++)
		if (strcmp(mounts.mounts[i].fstype, "autofs") == 0 && strcmp(mounts.mounts[i].mountpoint, "/dev") == 0)
			return strstr(mounts.mounts[i].sb_options, "pipe_ino=") != NULL;
	return 0;
}

int probe_autofs(void)
{
	return probe_in_namespaces(CLONE_NEWNS, mount_autofs);
}

/* --- ptrace ------------------------------------------------------------------------------------------------------ */

static int yes(pid_t tid)
{
	return 1;
}

int probe_seccomp_suspend(void)
{
	int r = probe_tracee(NULL, PTRACE_O_SUSPEND_SECCOMP, yes);

	return r == -EINVAL ? 0 : r;
}

static int install_filter(void)
{
	struct sock_filter instructions[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { .len = ARRAY_SIZE(instructions), .filter = instructions };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static int read_filter(pid_t tid)
{
	struct seccomp_filter filter = { 0 };
	int r = seccomp_read_filter(tid, 0, &filter);

	seccomp_filter_done(&filter);
	return r == -EIO ? 0 : r < 0 ? r : 1;
}

int probe_seccomp_filters(void)
{
	int r = probe_tracee(install_filter, 0, read_filter);

	return r == -EINVAL ? 0 : r;
}

static int read_rseq(pid_t tid)
{
	struct rseq_config config;
	int r = ptrace_read_rseq_config(tid, &config);

	return r == -EOPNOTSUPP ? 0 : r < 0 ? r : 1;
}

int probe_get_rseq_conf(void)
{
	return probe_tracee(NULL, 0, read_rseq);
}

static int read_user_dispatch(pid_t tid)
{
	struct syscall_user_dispatch config;
	int r = ptrace_read_user_dispatch(tid, &config);

	return r == -EOPNOTSUPP ? 0 : r < 0 ? r : 1;
}

int probe_syscall_user_dispatch(void)
{
	return probe_tracee(NULL, 0, read_user_dispatch);
}

static int queue_blocked_signal(void)
{
	union sigval value = { .sival_int = 1 };
	sigset_t mask;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGRTMIN);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	return sigqueue(getpid(), SIGRTMIN, value) < 0 ? -errno : 0;
}

static int peek_signals(pid_t tid)
{
	struct siginfo_queue queue = { 0 };
	uint64_t mask;
	int r = ptrace_read_siginfo_queue(tid, true, &queue);

	siginfo_queue_done(&queue);
	if (r == 0)
		r = ptrace_read_sigmask(tid, &mask);
	return r == -EOPNOTSUPP ? 0 : r < 0 ? r : 1;
}

int probe_peek_siginfo(void)
{
	return probe_tracee(queue_blocked_signal, 0, peek_signals);
}

/* Executed by the tracee over and over; the tracer puts its breakpoint on it. */
static __attribute__((noinline)) void breakpoint_target(void)
{
	__asm__ volatile("" ::: "memory");
}

static void call_breakpoint_target(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	breakpoint_target();
	(void)nanosleep(&pause, NULL);
}

static int set_debug_register(pid_t tid, unsigned number, unsigned long value)
{
	size_t offset = offsetof(struct user, u_debugreg) + number * sizeof(((struct user *)0)->u_debugreg[0]);

	return ptrace(PTRACE_POKEUSER, tid, offset, value) < 0 ? -errno : 0;
}

static int await_breakpoint(pid_t tid)
{
	int tries, status;

	/* Processors that ignore the registers, as some emulated ones do, never get there. */
	for (tries = 0; tries < 200; tries++) {
		const struct timespec pause = { .tv_nsec = 1000000 };
		pid_t r = waitpid(tid, &status, __WALL | WNOHANG);

		if (r < 0)
			return -errno;
		if (r == tid)
			return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static int hit_breakpoint(pid_t tid)
{
	int r = set_debug_register(tid, 0, (unsigned long)breakpoint_target);

	if (r == 0)
		r = set_debug_register(tid, 7, 1); /* local, on execution */
	if (r == -EINVAL || r == -EIO || r == -ENOSPC)
		return 0;
	if (r < 0)
		return r;
	if (ptrace(PTRACE_CONT, tid, NULL, NULL) < 0)
		return -errno;
	return await_breakpoint(tid);
}

int probe_breakpoints(void)
{
	return probe_running_tracee(call_breakpoint_target, hit_breakpoint);
}

/* --- signals, timers, the rest ----------------------------------------------------------------------------------- */

static int queue_kernel_signal(void)
{
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_KERNEL };
	sigset_t mask;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	if (syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info) < 0)
		return errno == EPERM ? 0 : -errno;
	return 1;
}

int probe_rt_sigqueueinfo(void)
{
	return probe_in_child(queue_kernel_signal);
}

static int create_chosen_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	int id = 4321;

	if (prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_ON, 0, 0, 0) < 0)
		return probe_answer(-1);
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) < 0)
		return -errno;
	return id == 4321;
}

int probe_timer_cr_ids(void)
{
	return probe_in_child(create_chosen_timer);
}

static int map_another_vdso(void)
{
	if (syscall(SYS_arch_prctl, ARCH_MAP_VDSO_64, 0UL) >= 0)
		return 1;
	/* The usual answer of a kernel that has the request: there is one already. */
	return errno == EEXIST ? 1 : probe_answer(-1);
}

int probe_can_map_vdso(void)
{
	return probe_in_child(map_another_vdso);
}

static int choose_semaphore_id(void)
{
	AUTO_CLOSE int fd = open("/proc/sys/kernel/sem_next_id", O_RDWR | O_CLOEXEC);
	int id;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (write(fd, "77", 2) < 0)
		return -errno;
	id = semget(IPC_PRIVATE, 1, 0600);
	if (id < 0)
		return -errno;
	(void)semctl(id, 0, IPC_RMID);
	return id == 77;
}

/* In an ipc namespace of its own: the next object of someone else must not get the id. */
int probe_sem_next_id(void)
{
	return probe_in_namespaces(CLONE_NEWIPC, choose_semaphore_id);
}

#define MEMBARRIER_GET_REGISTRATIONS (1 << 9)

int probe_membarrier_registrations(void)
{
	return probe_answer(syscall(SYS_membarrier, MEMBARRIER_GET_REGISTRATIONS, 0, 0));
}

int probe_task_facts(void)
{
	AUTO_CLOSE int program_fd = task_facts_open();
	struct task_fact_list list;
	int r = program_fd < 0 ? program_fd : task_facts_read(program_fd, &list);

	if (r == 0)
		task_facts_done(&list);
	return r == 0;
}

int probe_thread_facts(void)
{
	AUTO_CLOSE int fd = thread_facts_open();

	return fd >= 0;
}

int probe_process_facts(void)
{
	AUTO_CLOSE int fd = process_facts_open();

	return fd >= 0;
}

int probe_bpf_vmas(void)
{
	AUTO_CLOSE int fd = bpf_vmas_open();

	return fd >= 0;
}

int probe_bpf_files(void)
{
	AUTO_CLOSE int fd = bpf_files_open();

	return fd >= 0;
}
