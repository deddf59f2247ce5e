/*
 * What waits to be read at the ends of a terminal. There is no call that looks at it without taking it away, and none
 * at all for a line that is not finished: a BPF iterator copies the line discipline's buffer. Needs CAP_BPF,
 * CAP_PERFMON and the kernel's type information (CONFIG_DEBUG_INFO_BTF), Linux 6.1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TTY_QUEUE_BYTES 4096

struct tty_queue {
	uint8_t data[TTY_QUEUE_BYTES];
	bool
	    ends_line[TTY_QUEUE_BYTES]; /* this byte ends a line (canonical mode): a newline, or 0 for an end of file */
	size_t bytes;
	bool has_more; /* behind it something waits for room in the buffer */
};

/*
 * Both ends of the terminal that descriptor fd of a thread is open on: its own one and the other one.
 * It must be an end of a pair, and nobody may be reading or writing meanwhile. -errno: this cannot be asked here.
 */
int tty_queues_read(pid_t tid, int fd, struct tty_queue *ret_own, struct tty_queue *ret_other);
