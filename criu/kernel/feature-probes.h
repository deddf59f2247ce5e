/*
 * The probes behind the rows of features.c: 1 yes, 0 missing, -errno could not find out. Each really tries what it is
 * named after and leaves nothing behind; what cannot be taken back is tried in a child that ends with the probe.
 */
#pragma once

#include <sys/types.h>

int probe_always(void);
int probe_never(void);

/* feature-probes-task.c: ptrace, processes, signals, timers, namespaces */
int probe_autofs(void);
int probe_bpf_files(void);
int probe_bpf_vmas(void);
int probe_breakpoints(void);
int probe_can_map_vdso(void);
int probe_cgroupns(void);
int probe_clone3_set_tid(void);
int probe_clone_into_cgroup(void);
int probe_get_rseq_conf(void);
int probe_kcmp(void);
int probe_kcmp_epoll(void);
int probe_loginuid(void);
int probe_membarrier_registrations(void);
int probe_ns_last_pid(void);
int probe_ns_pid(void);
int probe_peek_siginfo(void);
int probe_pidfd_store(void);
int probe_pidfd_thread(void);
int probe_proc_children(void);
int probe_proc_stat(void);
int probe_rt_sigqueueinfo(void);
int probe_seccomp_filters(void);
int probe_seccomp_suspend(void);
int probe_sem_next_id(void);
int probe_syscall_user_dispatch(void);
int probe_tid_address(void);
int probe_timens(void);
int probe_timer_cr_ids(void);
int probe_userns(void);

/* feature-probes-memory.c */
int probe_aio_remap(void);
int probe_guard_pages(void);
int probe_kernel_memory(void);
int probe_map_droppable(void);
int probe_map_files(void);
int probe_mem_dirty_track(void);
int probe_memfd_hugetlb(void);
int probe_mseal(void);
int probe_overlayfs_maps(void);
int probe_pagemap_scan(void);
int probe_pagemap_scan_guard_pages(void);
int probe_prctl_set_mm_map(void);
int probe_process_vm_readv(void);
int probe_uffd(void);
int probe_uffd_noncoop(void);
int probe_uffd_wp_async(void);
int probe_vdso_mremap(void);

/* feature-probes-file.c */
int probe_fdinfo_epoll(void);
int probe_fdinfo_eventfd(void);
int probe_fdinfo_semaphore(void);
int probe_fdinfo_inotify(void);
int probe_fdinfo_lock(void);
int probe_fdinfo_signalfd(void);
int probe_getowner_uids(void);
int probe_mnt_id(void);
int probe_move_mount_set_group(void);
int probe_openat2(void);
int probe_pty_lock(void);
int probe_timerfd(void);
int probe_vmsplice_unaligned(void);
int probe_apparmor_stacking(void);

/* feature-probes-net.c */
int probe_ipt_legacy(void);
int probe_ipv6_freebind(void);
int probe_link_nsid(void);
int probe_net_diag_raw(void);
int probe_network_lock_nftables(void);
int probe_newifindex(void);
int probe_nftables(void);
int probe_nsid(void);
int probe_sk_ns(void);
int probe_sk_unix_file(void);
int probe_so_get_filter(void);
int probe_so_peek_off(void);
int probe_sock_diag(void);
int probe_sockopt_buf_lock(void);
int probe_task_facts(void);
int probe_thread_facts(void);
int probe_process_facts(void);
int probe_tcp_half_closed(void);
int probe_tcp_repair(void);
int probe_tun(void);
int probe_tun_ns(void);
