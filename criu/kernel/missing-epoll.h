/* Linux 6.9: how waiting for an epoll polls network devices. */
#pragma once

#include <linux/types.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#ifndef EPOLL_IOC_TYPE
struct epoll_params {
	__u32 busy_poll_usecs;
	__u16 busy_poll_budget;
	__u8 prefer_busy_poll;
	__u8 __pad;
};

#define EPOLL_IOC_TYPE 0x8A
#define EPIOCSPARAMS   _IOW(EPOLL_IOC_TYPE, 0x01, struct epoll_params)
#define EPIOCGPARAMS   _IOR(EPOLL_IOC_TYPE, 0x02, struct epoll_params)
#endif
