/* The sysctls that a network interface has of its own (/proc/sys/net), in the caller's network namespace. */
#pragma once

#include "base/buffer.h"

/* Appends "ipv4/conf/NAME=VALUE" for each that can be set, ended by a zero byte: 0 or -errno. */
int net_sysctls_read(const char *interface, struct buffer *ret);

/* Sets one that was read so, unless it has that value already. -EBADMSG when it is none. */
int net_sysctl_set(const char *interface, const char *setting);
