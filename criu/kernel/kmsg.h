/*
 * Where a description of /dev/kmsg stands. No call tells that without reading a record, which moves it: the kernel's
 * own structure does.
 */
#pragma once

#include <stdint.h>

struct kernel_memory;

/* A position behind all records. */
#define KMSG_END UINT64_MAX

/* The number of the record that descriptor fd of the process reads next, or -errno. */
int kmsg_position(struct kernel_memory *km, int pidfd, int fd, uint64_t *ret_position);

/*
 * Lets a description (of ours, O_NONBLOCK) stand in front of the record with this number, or the next one that is still
 * there; at the end of the log when there is none. 0 or -errno.
 */
int kmsg_seek(int fd, uint64_t position);
