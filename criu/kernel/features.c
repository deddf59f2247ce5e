/* The table of features, the mask for tests and the answers once found. */
#include "kernel/features.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "kernel/feature-probes.h"

static const struct feature features[] = {
	/* Hardly anything works without these. */
	{ "kcmp", FEATURE_NEEDED, "kcmp compares descriptors", "finding what tasks share", probe_kcmp },
	{ "map_files", FEATURE_NEEDED, "/proc/PID/map_files opens what is mapped",
	  "memory mapped from files, shared memory", probe_map_files },
	{ "proc_children", FEATURE_NEEDED, "/proc/PID/task/TID/children", "finding the process tree",
	  probe_proc_children },
	{ "proc_stat", FEATURE_NEEDED, "/proc/PID/stat shows code, data, stack and arguments",
	  "restoring the memory layout", probe_proc_stat },
	{ "sock_diag", FEATURE_NEEDED, "sock_diag lists unix and TCP sockets", "sockets", probe_sock_diag },
	{ "so_peek_off", FEATURE_NEEDED, "SO_PEEK_OFF on unix sockets", "data queued in unix sockets",
	  probe_so_peek_off },
	{ "so_get_filter", FEATURE_NEEDED, "SO_GET_FILTER and SO_BINDTODEVICE can be read",
	  "socket filters and device bindings", probe_so_get_filter },
	{ "tcp_repair", FEATURE_NEEDED, "TCP_REPAIR, its window and timestamp", "TCP connections", probe_tcp_repair },
	{ "prctl_set_mm", FEATURE_NEEDED, "PR_SET_MM_MAP", "restoring heap, arguments and executable",
	  probe_prctl_set_mm_map },
	{ "tid_address", FEATURE_NEEDED, "PR_GET_TID_ADDRESS", "threads", probe_tid_address },
	{ "getowner_uids", FEATURE_NEEDED, "F_GETOWNER_UIDS", "files with a signal owner", probe_getowner_uids },
	{ "fdinfo_eventfd", FEATURE_NEEDED, "fdinfo shows the count of an eventfd", "eventfd", probe_fdinfo_eventfd },
	{ "fdinfo_epoll", FEATURE_NEEDED, "fdinfo shows the targets of an epoll", "epoll", probe_fdinfo_epoll },
	{ "fdinfo_signalfd", FEATURE_NEEDED, "fdinfo shows the mask of a signalfd", "signalfd", probe_fdinfo_signalfd },
	{ "fdinfo_inotify", FEATURE_NEEDED, "fdinfo shows the watches of an inotify", "inotify", probe_fdinfo_inotify },
	{ "pty_lock", FEATURE_NEEDED, "TIOCGPTLCK reads the lock of a pseudo terminal", "terminals", probe_pty_lock },
	{ "sem_next_id", FEATURE_NEEDED, "the id of the next System V object can be chosen", "System V IPC",
	  probe_sem_next_id },
	{ "rt_sigqueueinfo", FEATURE_NEEDED, "a task may queue itself a signal as the kernel sent it",
	  "pending signals", probe_rt_sigqueueinfo },
	{ "peek_siginfo", FEATURE_NEEDED, "PTRACE_PEEKSIGINFO and PTRACE_GETSIGMASK", "pending signals",
	  probe_peek_siginfo },
	{ "vdso_mremap", FEATURE_NEEDED, "the vdso can be moved", "restoring the vdso at its address",
	  probe_vdso_mremap },
	{ "ns_last_pid", FEATURE_EXTRA, "/proc/sys/kernel/ns_last_pid can be written",
	  "restoring pids where clone3_set_tid is missing", probe_ns_last_pid },
	{ "vmsplice_unaligned", FEATURE_EXTRA, "vmsplice of pieces of pages", "data in pipes",
	  probe_vmsplice_unaligned },
	{ "process_vm_readv", FEATURE_EXTRA, "process_vm_readv",
	  "reading memory without code in the task; /proc/PID/mem otherwise", probe_process_vm_readv },

	/* The names that callers of "check --feature" know. */
	{ "mnt_id", FEATURE_EXTRA, "fdinfo shows mnt_id", "files on mounts of a mount namespace", probe_mnt_id },
	{ "mem_dirty_track", FEATURE_EXTRA, "written pages are tracked, by userfaultfd or soft-dirty bits",
	  "pre-dump and --track-mem", probe_mem_dirty_track },
	{ "aio_remap", FEATURE_EXTRA, "an AIO ring survives mremap", "AIO contexts", probe_aio_remap },
	{ "kernel_memory", FEATURE_EXTRA, "BPF programs may read the kernel's structures",
	  "AIO contexts, io_uring, terminals", probe_kernel_memory },
	{ "timerfd", FEATURE_EXTRA, "TFD_IOC_SET_TICKS", "timerfd with expirations not read yet", probe_timerfd },
	{ "tun", FEATURE_EXTRA, "TUN device requests", "TUN and TAP devices", probe_tun },
	{ "tun_ns", FEATURE_EXTRA, "the network namespace of a TUN device can be asked for",
	  "TUN devices of other namespaces", probe_tun_ns },
	{ "userns", FEATURE_EXTRA, "/proc/self/ns/user and PR_SET_MM_MAP", "user namespaces", probe_userns },
	{ "fdinfo_lock", FEATURE_EXTRA, "fdinfo shows file locks", "file locks", probe_fdinfo_lock },
	{ "seccomp_suspend", FEATURE_EXTRA, "PTRACE_O_SUSPEND_SECCOMP", "tasks under seccomp", probe_seccomp_suspend },
	{ "seccomp_filters", FEATURE_EXTRA, "PTRACE_SECCOMP_GET_FILTER", "tasks with seccomp filters",
	  probe_seccomp_filters },
	{ "loginuid", FEATURE_EXTRA, "loginuid can be read and written", "the login uid of audit", probe_loginuid },
	{ "cgroupns", FEATURE_EXTRA, "/proc/self/ns/cgroup", "cgroup namespaces", probe_cgroupns },
	{ "autofs", FEATURE_EXPERIMENTAL, "autofs shows pipe_ino among its mount options", "autofs mounts",
	  probe_autofs },
	{ "tcp_half_closed", FEATURE_EXTRA, "TCP_REPAIR on half closed sockets", "half closed TCP connections",
	  probe_tcp_half_closed },
	{ "compat_cr", FEATURE_EXPERIMENTAL, "32-bit tasks can be dumped and restored", "32-bit tasks", probe_never },
	{ "uffd", FEATURE_EXTRA, "userfaultfd", "lazy pages", probe_uffd },
	{ "uffd-noncoop", FEATURE_EXTRA, "userfaultfd reports fork, remap, unmap and remove", "lazy pages",
	  probe_uffd_noncoop },
	{ "can_map_vdso", FEATURE_EXTRA, "ARCH_MAP_VDSO_64", "restoring the vdso at its address", probe_can_map_vdso },
	{ "sk_ns", FEATURE_EXTRA, "SIOCGSKNS tells the network namespace of a socket",
	  "sockets of several network namespaces", probe_sk_ns },
	{ "sk_unix_file", FEATURE_EXTRA, "SIOCUNIXFILE opens the file of a unix socket",
	  "unix sockets bound in other mount namespaces", probe_sk_unix_file },
	{ "net_diag_raw", FEATURE_EXTRA, "sock_diag lists raw sockets", "raw sockets", probe_net_diag_raw },
	{ "nsid", FEATURE_EXTRA, "RTM_GETNSID", "links between network namespaces", probe_nsid },
	{ "link_nsid", FEATURE_EXTRA, "IFLA_LINK_NETNSID", "links between network namespaces", probe_link_nsid },
	{ "kcmp_epoll", FEATURE_EXTRA, "KCMP_EPOLL_TFD", "epoll with targets whose descriptor has been reused",
	  probe_kcmp_epoll },
	{ "timens", FEATURE_EXTRA, "time namespaces", "clocks that go on", probe_timens },
	{ "external_net_ns", FEATURE_EXTRA, "network namespaces that stay outside the image",
	  "external network namespaces", probe_always },
	{ "clone3_set_tid", FEATURE_EXTRA, "clone3 with set_tid", "restoring pids", probe_clone3_set_tid },
	{ "newifindex", FEATURE_EXTRA, "IFLA_NEW_IFINDEX chooses the index of a moved device", "network devices",
	  probe_newifindex },
	{ "nftables", FEATURE_EXTRA, "libnftables is installed", "nftables rules of a network namespace",
	  probe_nftables },
	{ "has_ipt_legacy", FEATURE_EXTRA, "a legacy iptables binary is installed",
	  "legacy iptables rules of a network namespace", probe_ipt_legacy },
	{ "pidfd_store", FEATURE_EXTRA, "pidfd_open and pidfd_getfd",
	  "telling processes from those that took their pid", probe_pidfd_store },
	{ "ns_pid", FEATURE_EXTRA, "NSpid in /proc/PID/status", "nested pid namespaces", probe_ns_pid },
	{ "apparmor_stacking", FEATURE_EXTRA, "AppArmor policy namespaces can be dumped",
	  "AppArmor profiles of containers", probe_apparmor_stacking },
	{ "network_lock_nftables", FEATURE_EXTRA, "nftables with concatenated sets",
	  "locking connections with nftables", probe_network_lock_nftables },
	{ "sockopt_buf_lock", FEATURE_EXTRA, "SO_BUF_LOCK", "sockets with buffer sizes of their own",
	  probe_sockopt_buf_lock },
	{ "memfd_hugetlb", FEATURE_EXTRA, "memfd_create with MFD_HUGETLB", "shared hugetlb memory",
	  probe_memfd_hugetlb },
	{ "move_mount_set_group", FEATURE_EXTRA, "MOVE_MOUNT_SET_GROUP", "mount propagation",
	  probe_move_mount_set_group },
	{ "openat2", FEATURE_EXTRA, "openat2", "opening paths inside a mount without leaving it", probe_openat2 },
	{ "get_rseq_conf", FEATURE_EXTRA, "PTRACE_GET_RSEQ_CONFIGURATION", "tasks with restartable sequences",
	  probe_get_rseq_conf },
	{ "ipv6_freebind", FEATURE_EXTRA, "IPV6_FREEBIND", "IPv6 sockets bound to foreign addresses",
	  probe_ipv6_freebind },
	{ "pagemap_scan", FEATURE_EXTRA, "PAGEMAP_SCAN", "finding pages quickly", probe_pagemap_scan },
	{ "timer_cr_ids", FEATURE_EXTRA, "PR_TIMER_CREATE_RESTORE_IDS", "POSIX timers with large ids",
	  probe_timer_cr_ids },
	{ "overlayfs_maps", FEATURE_EXTRA, "maps shows the same device and inode as stat on overlayfs",
	  "files mapped from overlayfs", probe_overlayfs_maps },
	{ "breakpoints", FEATURE_EXTRA, "hardware breakpoints through ptrace", "running code in a task with few stops",
	  probe_breakpoints },
	{ "pagemap_scan_guard_pages", FEATURE_EXTRA, "PAGEMAP_SCAN reports guard pages", "guard pages",
	  probe_pagemap_scan_guard_pages },

	/* BPF iterators: one look in place of many files of /proc. */
	{ "task_facts", FEATURE_EXTRA, "a BPF iterator lists tasks and the kernel objects they use",
	  "dumping large trees quickly", probe_task_facts },
	{ "thread_facts", FEATURE_EXTRA, "a BPF iterator tells what threads have for themselves",
	  "dumping many threads quickly", probe_thread_facts },
	{ "process_facts", FEATURE_EXTRA, "a BPF iterator tells what processes have for themselves",
	  "dumping alike processes quickly", probe_process_facts },
	{ "bpf_vmas", FEATURE_EXTRA, "a BPF iterator lists mappings with their flags",
	  "dumping large trees and large memory quickly", probe_bpf_vmas },
	{ "bpf_files", FEATURE_EXTRA, "a BPF iterator lists open files", "dumping many descriptors quickly",
	  probe_bpf_files },

	/* Others that some kind of state needs. */
	{ "guard_pages", FEATURE_EXTRA, "MADV_GUARD_INSTALL", "restoring guard pages", probe_guard_pages },
	{ "uffd_wp_async", FEATURE_EXTRA, "asynchronous write protection by userfaultfd",
	  "pre-dump without soft-dirty bits", probe_uffd_wp_async },
	{ "pidfd_thread", FEATURE_EXTRA, "pidfd_open of threads",
	  "pidfds of threads, processes whose first thread has ended", probe_pidfd_thread },
	{ "fdinfo_semaphore", FEATURE_EXTRA, "fdinfo shows EFD_SEMAPHORE of an eventfd",
	  "eventfds as semaphores, without BPF programs", probe_fdinfo_semaphore },
	{ "clone_into_cgroup", FEATURE_EXTRA, "CLONE_INTO_CGROUP", "placing tasks into cgroups without a move",
	  probe_clone_into_cgroup },
	{ "membarrier_registrations", FEATURE_EXTRA, "MEMBARRIER_CMD_GET_REGISTRATIONS",
	  "tasks registered for membarrier", probe_membarrier_registrations },
	{ "syscall_user_dispatch", FEATURE_EXTRA, "PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG",
	  "tasks with syscall user dispatch", probe_syscall_user_dispatch },
	{ "map_droppable", FEATURE_EXTRA, "MAP_DROPPABLE", "droppable memory", probe_map_droppable },
	{ "mseal", FEATURE_EXTRA, "mseal", "sealed memory", probe_mseal },
};

/* Answers are kept as they come; two threads asking at once may both probe and then agree. */
static atomic_int answers[ARRAY_SIZE(features)];
static atomic_bool answered[ARRAY_SIZE(features)];

const struct feature *feature_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(features);
	return features;
}

const struct feature *feature_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (strcmp(features[i].name, name) == 0)
			return &features[i];
	return NULL;
}

bool feature_is_masked(const char *name)
{
	const char *at = getenv("CRIU_MASK_FEATURES");
	size_t bytes = strlen(name);

	while (at && *at) {
		size_t word = strcspn(at, ",");

		if (word == bytes && memcmp(at, name, bytes) == 0)
			return true;
		at += word + (at[word] == ',');
	}
	return false;
}

int feature_available(const char *name)
{
	const struct feature *feature = feature_find(name);
	size_t i;
	int answer;

	if (!feature)
		return -ENOENT;
	if (feature_is_masked(name))
		return 0;
	i = (size_t)(feature - features);
	if (atomic_load(&answered[i]))
		return atomic_load(&answers[i]);
	answer = feature->probe();
	log_debug("feature %s: %d", name, answer);
	atomic_store(&answers[i], answer);
	atomic_store(&answered[i], true);
	return answer;
}
