/* Readers and requests against this process and children of known state. What needs rights we lack is skipped. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/clone.h"
#include "kernel/kcmp.h"
#include "kernel/pidfd.h"
#include "kernel/proc-fdinfo.h"
#include "kernel/proc-list.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "kernel/proc-timers.h"
#include "kernel/process-end.h"
#include "kernel/ptrace-info.h"
#include "kernel/sched.h"
#include "kernel/seccomp.h"

static int self_fd(void)
{
	int fd = proc_open(0);

	assert_true(fd >= 0);
	return fd;
}

static void test_open(void **state)
{
	AUTO_CLOSE int procfd = proc_open(getpid());
	char dir[] = "/tmp/proc-test-XXXXXX", path[64], text[8];
	AUTO_CLOSE int recorded = -1;

	assert_true(procfd >= 0);
	assert_int_equal(proc_open(0x3fffffff), -ESRCH);
	assert_int_equal(proc_open_at("/no/such/mount", 1), -ENOENT);
	/* A recording is a directory like any other. */
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/7", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	recorded = proc_open_at(dir, 7);
	assert_true(recorded >= 0);
	assert_int_equal(proc_read_text(recorded, "stat", text, sizeof(text)), -ENOENT);
	assert_int_equal(proc_read_text(procfd, "stat", text, sizeof(text)), -E2BIG);
	(void)rmdir(path);
	(void)rmdir(dir);
}

static void test_stat_and_status(void **state)
{
	AUTO_CLOSE int procfd = self_fd();
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	struct proc_stat stat;

	assert_int_equal(proc_stat_read(procfd, "stat", &stat), 0);
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.ppid, getppid());
	assert_int_equal(stat.sid, getsid(0));
	assert_int_equal(stat.state, 'R');
	assert_true(stat.arg_start && stat.start_brk && stat.start_time_ticks);
	assert_int_equal(proc_status_read(procfd, "status", &status), 0);
	assert_int_equal(status.pid, getpid());
	assert_int_equal(status.uid[UID_EFFECTIVE], geteuid());
	assert_int_equal(status.ns_pids[status.ns_pid_count - 1], getpid());
	assert_string_equal(status.name, stat.comm);
	assert_int_equal(proc_status_read(procfd, "task/1/status", &status), -ENOENT);
}

/* Twenty thousand groups do not fit the buffer on the stack. */
static void read_many_groups(void)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	gid_t groups[20000];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		groups[i] = (gid_t)i + 100000;
	if (syscall(SYS_setgroups, ARRAY_SIZE(groups), groups) < 0)
		_exit(errno == EPERM ? 0 : 2);
	if (proc_status_read(self_fd(), "status", &status) < 0)
		_exit(3);
	_exit(status.group_count == ARRAY_SIZE(groups) && status.groups[19999] == 119999 ? 0 : 4);
}

static void test_many_groups(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		read_many_groups();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_maps(void **state)
{
	char *at = mmap(NULL, 3 * PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	AUTO_CLOSE int procfd = self_fd();
	const struct proc_vma *vma;

	assert_int_equal(madvise(at, 3 * PAGE_BYTES, MADV_DONTFORK), 0);
	assert_int_equal(proc_maps_read(procfd, false, &maps), 0);
	vma = proc_maps_find(&maps, (uintptr_t)at);
	assert_non_null(vma);
	assert_true(vma->prot == PROT_READ && !vma->has_vm_flags);
	assert_int_equal(proc_maps_read(procfd, true, &maps), 0);
	vma = proc_maps_find(&maps, (uintptr_t)at + PAGE_BYTES);
	assert_true(vma->start == (uintptr_t)at && vma->end == (uintptr_t)at + 3 * PAGE_BYTES);
	assert_true(vma->has_vm_flags && (vma->vm_flags & VMF_BIT(DC)) && (vma->vm_flags & VMF_BIT(RD)));
	assert_false(vma->vm_flags & VMF_BIT(UNKNOWN));
	assert_int_equal(vma->kernel_page_bytes, PAGE_BYTES);
	vma = proc_maps_find(&maps, (uintptr_t)self_fd);
	assert_true(vma->inode != 0 && (vma->prot & PROT_EXEC));
	assert_non_null(strstr(proc_vma_path(&maps, vma), "test_proc_live"));
	(void)munmap(at, 3 * PAGE_BYTES);
}

static void test_fds(void **state)
{
	AUTO_CLOSE int procfd = self_fd();
	AUTO_CLOSE int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	AUTO_CLOSE int event_fd = eventfd(7, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0xfeedbeefcafe };
	AUTO_FDINFO struct fdinfo info = { 0 };
	AUTO_FREE int *fds = NULL;
	AUTO_FREE char *link = NULL;
	struct epoll_target target;
	uint64_t number;
	size_t count, i;
	char path[32];

	assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event), 0);
	assert_int_equal(proc_list_fds(procfd, &fds, &count), 0);
	for (i = 1; i < count; i++)
		assert_true(fds[i - 1] < fds[i]);
	assert_int_equal(fdinfo_read(procfd, event_fd, &info), 0);
	assert_int_equal(info.flags, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	assert_int_equal(fdinfo_number(&info, "eventfd-count", 16, &number), 0);
	assert_int_equal(number, 7);
	assert_int_equal(fdinfo_read(procfd, epoll_fd, &info), 0);
	assert_int_equal(fdinfo_parse_epoll(fdinfo_value(&info, "tfd"), &target), 0);
	assert_true(target.fd == event_fd && target.data == 0xfeedbeefcafe && target.events & EPOLLIN);
	(void)snprintf(path, sizeof(path), "fd/%d", event_fd);
	assert_int_equal(proc_read_link(procfd, path, &link), 0);
	assert_string_equal(link, "anon_inode:[eventfd]");
	assert_int_equal(fdinfo_read(procfd, 9999, &info), -ENOENT);
}

static void *wait_forever(void *arg)
{
	for (;;)
		(void)pause();
	return NULL;
}

/* A second thread, and a child of it. */
static void *fork_and_report(void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		wait_forever(NULL);
	*(pid_t *)arg = pid;
	return wait_forever(NULL);
}

static void test_lists(void **state)
{
	AUTO_CLOSE int procfd = self_fd();
	volatile pid_t child = 0;
	pthread_t thread;
	pid_t *tids, *children;
	size_t tid_count, count, i;
	bool found = false;

	assert_int_equal(pthread_create(&thread, NULL, fork_and_report, (void *)&child), 0);
	while (!child)
		(void)sched_yield();
	assert_int_equal(proc_list_threads(procfd, &tids, &tid_count), 0);
	assert_int_equal(tid_count, 2);
	assert_int_equal(tids[0], getpid());
	assert_int_equal(proc_list_children(procfd, tids, tid_count, &children, &count), 0);
	for (i = 0; i < count; i++)
		found |= children[i] == child;
	assert_true(found);
	free(children);
	/* The leader has none, a thread that does not exist has none either. */
	tids[1] = 0x3fffffff;
	assert_int_equal(proc_list_children(procfd, tids, tid_count, &children, &count), 0);
	assert_int_equal(count, 0);
	assert_null(children);
	free(tids);
	(void)kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_small_files(void **state)
{
	AUTO_CLOSE int procfd = self_fd();
	AUTO_BUFFER struct buffer text = { 0 };
	AUTO_PROC_MOUNTS struct proc_mounts mounts = { 0 };
	AUTO_FREE uint64_t *auxv = NULL;
	AUTO_FREE char *exe = NULL;
	struct proc_ns_ids ids;
	uint32_t word;
	size_t words;
	char comm[64];
	struct stat st;
	int value;

	assert_int_equal(proc_read_auxv(procfd, &auxv, &words), 0);
	assert_true(words % 2 == 0 && auxv[words - 2] == AT_NULL);
	assert_int_equal(proc_read_oom_score_adj(procfd, &value), 0);
	assert_int_equal(proc_read_coredump_filter(procfd, &word), 0);
	assert_int_equal(prctl(PR_SET_NAME, "a\nb", 0, 0, 0), 0);
	assert_int_equal(proc_read_comm(procfd, "comm", comm), 0);
	assert_string_equal(comm, "a\nb");
	assert_int_equal(proc_read_cgroup(procfd, "cgroup", &text), 0);
	assert_non_null(strchr(text.data, ':'));
	assert_int_equal(proc_ns_read(procfd, NULL, &ids), 0);
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	assert_true(ids.inode[PROC_NS_NET] == st.st_ino);
	assert_true(proc_ns_clone_flag(PROC_NS_MNT) == CLONE_NEWNS);
	assert_int_equal(proc_read_link(procfd, "exe", &exe), 0);
	assert_non_null(strstr(exe, "test_proc_live"));
	assert_int_equal(proc_mounts_read(procfd, &mounts), 0);
	assert_true(mounts.count > 0);
}

static void test_timers(void **state)
{
	AUTO_CLOSE int procfd = self_fd();
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGUSR1,
				  .sigev_value.sival_ptr = &event };
	AUTO_FREE struct proc_timer *timers = NULL;
	timer_t timer;
	size_t count;

	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(proc_timers_read(procfd, &timers, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(timers[0].signal, SIGUSR1);
	assert_int_equal(timers[0].clock_id, CLOCK_MONOTONIC);
	assert_int_equal(timers[0].notify, SIGEV_SIGNAL);
	assert_true(timers[0].sigev_value == (uintptr_t)&event);
	(void)timer_delete(timer);
}

static void test_identity(void **state)
{
	AUTO_CLOSE int event_fd = eventfd(0, EFD_CLOEXEC);
	AUTO_CLOSE int copy = dup(event_fd);
	AUTO_CLOSE int other = eventfd(0, EFD_CLOEXEC);
	pid_t self = getpid();
	int order = 9, reverse = 9;
	pid_t child;

	assert_int_equal(kcmp_files(self, event_fd, self, copy, &order), 0);
	assert_int_equal(order, 0);
	assert_int_equal(kcmp_files(self, event_fd, self, other, &order), 0);
	assert_int_equal(kcmp_files(self, other, self, event_fd, &reverse), 0);
	assert_true(order == -reverse && order != 0);
	assert_int_equal(kcmp_files(self, event_fd, self, 9999, &order), -EBADF);
	assert_int_equal(kcmp_object(KCMP_KIND_VM, self, self, &order), 0);
	assert_int_equal(order, 0);
	child = fork();
	if (child == 0)
		wait_forever(NULL);
	assert_int_equal(kcmp_object(KCMP_KIND_FILES, self, child, &order), 0);
	assert_int_not_equal(order, 0);
	(void)kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_clone(void **state)
{
	struct clone_request request = { .exit_signal = SIGCHLD };
	AUTO_CLOSE int pidfd = -1;
	AUTO_CLOSE int copy = -1;
	pid_t pid, wanted;
	int status;

	pid = clone_process(&request, &pidfd);
	if (pid == 0) {
		/* The C library must know whom it is in: raise() asks it. */
		(void)raise(SIGSTOP);
		(void)pause();
		_exit(0);
	}
	assert_true(pid > 0 && pidfd >= 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_true(pidfd_is_alive(pidfd));
	copy = pidfd_getfd_from(pidfd, 1);
	assert_true(copy >= 0);
	assert_int_equal(pidfd_getfd_from(pidfd, 9999), -EBADF);
	assert_int_equal(pidfd_send_signal_to(pidfd, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_false(pidfd_is_alive(pidfd));
	/* A zombie still holds its pid. */
	wanted = pid;
	request.set_tid = &wanted;
	request.set_tid_count = 1;
	pid = clone_process(&request, NULL);
	if (pid == 0)
		_exit(0);
	assert_true(pid == -EEXIST || pid == -EPERM);
	assert_int_equal(waitpid(wanted, &status, 0), wanted);
	assert_int_equal(pidfd_send_signal_to(pidfd, 0), -ESRCH);
	pid = clone_process(&request, NULL);
	if (pid == 0)
		_exit(getpid() == wanted ? 33 : 44);
	if (pid < 0)
		return;
	assert_int_equal(pid, wanted);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 33);
}

static void test_sched(void **state)
{
	struct sched_attributes attributes, again;
	AUTO_FREE uint64_t *words = NULL;
	size_t count;
	int value;

	assert_int_equal(sched_read_attributes(0, &attributes), 0);
	assert_int_equal(attributes.policy, SCHED_OTHER);
	assert_int_equal(sched_write_attributes(0, &attributes), 0);
	assert_int_equal(sched_read_attributes(0, &again), 0);
	assert_true(again.policy == attributes.policy && again.nice == attributes.nice &&
		    again.flags == attributes.flags && again.util_max == attributes.util_max);
	assert_int_equal(sched_read_affinity(0, &words, &count), 0);
	assert_true(count > 0 && words[0] != 0);
	assert_int_equal(sched_write_affinity(0, words, count), 0);
	assert_int_equal(ioprio_read(0, &value), 0);
	assert_int_equal(ioprio_write(0, 2 << 13 | 5), 0);
	assert_int_equal(ioprio_read(0, &value), 0);
	assert_int_equal(value, 2 << 13 | 5);
}

/* --- a tracee ------------------------------------------------------------------------------------------------------
 */

static void install_filter(uint32_t data, unsigned flags)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_IMM, data),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(instructions), .filter = instructions };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0)
		_exit(1);
}

static void traced_child(void)
{
	sigset_t mask;
	int i;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGRTMIN + 3);
	(void)sigaddset(&mask, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	for (i = 0; i < 100; i++)
		(void)sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 1000 + i });
	(void)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	install_filter(11, 0);
	install_filter(22, SECCOMP_FILTER_FLAG_LOG);
	(void)raise(SIGSTOP);
	for (;;)
		(void)pause();
}

static void check_filters(pid_t pid)
{
	struct seccomp_filter *filters, one;
	size_t count;
	int r = seccomp_read_filters(pid, &filters, &count);

	if (r == -EACCES)
		return;
	assert_int_equal(r, 0);
	assert_int_equal(count, 2);
	assert_int_equal(filters[0].instruction_count, 2);
	assert_int_equal(filters[0].instructions[0].k, 11);
	assert_int_equal(filters[0].flags, 0);
	assert_int_equal(filters[1].instructions[0].k, 22);
	assert_int_equal(filters[1].flags, SECCOMP_FILTER_FLAG_LOG);
	seccomp_filters_free(filters, count);
	assert_int_equal(seccomp_read_filter(pid, 2, &one), -ENOENT);
}

static void check_signals(pid_t pid)
{
	struct siginfo_queue queue;
	const siginfo_t *info;
	uint64_t mask;
	size_t i;

	assert_int_equal(ptrace_read_siginfo_queue(pid, true, &queue), 0);
	assert_int_equal(queue.count, 100);
	for (i = 0; i < queue.count; i++) {
		info = (const void *)queue.infos[i];
		assert_int_equal(info->si_value.sival_int, 1000 + i);
		assert_int_equal(info->si_code, SI_QUEUE);
	}
	siginfo_queue_done(&queue);
	assert_int_equal(ptrace_read_siginfo_queue(pid, false, &queue), 0);
	assert_int_equal(queue.count, 1);
	info = (const void *)queue.infos[0];
	assert_int_equal(info->si_signo, SIGUSR2);
	assert_int_equal(info->si_code, SI_TKILL);
	siginfo_queue_done(&queue);
	assert_int_equal(ptrace_read_sigmask(pid, &mask), 0);
	assert_true(mask == (1ull << (SIGRTMIN + 2) | 1ull << (SIGUSR2 - 1)));
}

static void check_rest(pid_t pid)
{
	struct syscall_user_dispatch dispatch;
	struct rseq_config rseq;
	uint64_t head, bytes;

	assert_int_equal(ptrace_read_rseq_config(pid, &rseq), 0);
	assert_true(rseq.address != 0 && rseq.size >= 32 && rseq.signature == 0x53053053);
	assert_int_equal(robust_list_read(pid, &head, &bytes), 0);
	assert_true(head != 0 && bytes == 24);
	assert_int_equal(ptrace_read_user_dispatch(pid, &dispatch), 0);
	assert_int_equal(dispatch.mode, 0);
	assert_int_equal(ptrace_write_user_dispatch(pid, &dispatch), 0);
}

static void test_tracee(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		traced_child();
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	check_filters(pid);
	check_signals(pid);
	check_rest(pid);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		;
}

/* Told by /proc until it is waited for, by the descriptor behind that where the kernel has it. */
static void test_end(void **state)
{
	pid_t pid = fork();
	int pidfd, status = -1;
	siginfo_t info;
	char text[48];

	if (pid == 0) {
		(void)kill(getpid(), SIGKILL);
		_exit(1);
	}
	pidfd = pidfd_open_pid(pid);
	assert_true(pidfd >= 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(process_end_status(pid, pidfd, &status), 0);
	process_end_describe(status, text, sizeof(text));
	assert_string_equal(text, "was killed by SIGKILL");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	status = -1;
	(void)process_end_status(pid, pidfd, &status);
	assert_true(status == SIGKILL || status == -1);
	assert_int_equal(process_end_status(pid, -1, &status), -ESRCH);
	process_end_describe(-1, text, sizeof(text));
	assert_string_equal(text, "died");
	process_end_describe(3 << 8, text, sizeof(text));
	assert_string_equal(text, "ended with status 3");
	(void)close(pidfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),        cmocka_unit_test(test_stat_and_status),
		cmocka_unit_test(test_many_groups), cmocka_unit_test(test_maps),
		cmocka_unit_test(test_fds),         cmocka_unit_test(test_lists),
		cmocka_unit_test(test_small_files), cmocka_unit_test(test_timers),
		cmocka_unit_test(test_identity),    cmocka_unit_test(test_clone),
		cmocka_unit_test(test_sched),       cmocka_unit_test(test_tracee),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
