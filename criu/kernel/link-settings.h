/*
 * What is set of a network interface by other means than rtnetlink and sysctls, each as a text "NAME=VALUE": ethtool
 * (features, coalescing, speed, messages), link addresses of multicast groups, and which processors serve its queues
 * (RPS, XPS). In the caller's network namespace.
 */
#pragma once

#include "base/buffer.h"

/* Appends all that can be set, each text with its NUL: 0 or -errno. What an interface does not have is left out. */
int link_settings_read(const char *interface, struct buffer *ret);

/* One of them: 0 or -errno, -ENOENT where there is no such thing. */
int link_setting_set(const char *interface, const char *setting);
