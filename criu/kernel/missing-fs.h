/* File, timer and mount constants that older headers lack. */
#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>
#include <sys/syscall.h>

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY (1024 + 3) /* 6.10 */
#endif
#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY (1024 + 4) /* 6.12 */
#endif
#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17
#endif
#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, __u64)
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#define MOVE_MOUNT_T_EMPTY_PATH 0x00000040
#endif
#ifndef MOVE_MOUNT_SET_GROUP
#define MOVE_MOUNT_SET_GROUP 0x00000100 /* 5.15 */
#endif
#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x00000200 /* 6.5 */
#endif
#ifndef __NR_openat2
#define __NR_openat2 437
#endif

#ifndef FAN_PRE_ACCESS /* of fanotify(7): 6.14 */
#define FAN_PRE_ACCESS 0x00100000
#endif
