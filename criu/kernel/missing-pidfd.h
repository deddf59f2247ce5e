/* Process descriptors, clone3 and namespace requests that older headers lack. */
#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>
#include <sys/syscall.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD 00000200 /* O_EXCL, 6.9 */
#endif
#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK 00004000
#endif
/* struct pidfd_info and its request, 6.13 */
struct pidfd_information {
	__u64 mask, cgroup;
	__u32 pid, tgid, ppid, uids_and_gids[8];
	__s32 exit_code;
};
#define PIDFD_INFORMATION_EXIT (1ULL << 3) /* 6.15 */
#define PIDFD_GET_INFORMATION  _IOWR(0xFF, 11, struct pidfd_information)
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef __NR_pidfd_send_signal
#define __NR_pidfd_send_signal 424
#endif
#ifndef __NR_pidfd_open
#define __NR_pidfd_open 434
#endif
#ifndef __NR_clone3
#define __NR_clone3 435
#endif
#ifndef __NR_pidfd_getfd
#define __NR_pidfd_getfd 438
#endif
