/* Seccomp flags that older headers lack, and the layout of PTRACE_SECCOMP_GET_METADATA. */
#pragma once

#include <linux/seccomp.h>
#include <linux/types.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

struct seccomp_filter_metadata {
	__u64 filter_off; /* in */
	__u64 flags;      /* out */
};
