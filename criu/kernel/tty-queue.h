/*
 * What waits to be read at the ends of a terminal, and the state of its output. There is no call that looks at it
 * without taking it away, and none at all for a line that is not finished: a BPF iterator copies the line discipline's
 * data. Needs CAP_BPF, CAP_PERFMON and the kernel's type information (CONFIG_DEBUG_INFO_BTF), Linux 6.1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TTY_QUEUE_BYTES 4096

/* What the driver and the line discipline of an end keep besides. */
struct tty_output {
	bool is_stopped;       /* what is written to it does not go out: ^S, or TCOOFF */
	bool is_held;          /* by TCOOFF, which only TCOON ends */
	uint8_t packet_status; /* TIOCPKT_xx that the other end has not read, if it is in packet mode */
	uint32_t column;       /* of the cursor, as far as OPOST counts */
	uint32_t line_column;  /* where it was when the line that is being typed began */
	bool is_next_literal;  /* ^V was typed */
	bool is_erasing;       /* with ECHOPRT, between the marks */
	bool has_waiting_echo; /* of what was typed while it was stopped */
};

struct tty_queue {
	uint8_t data[TTY_QUEUE_BYTES];
	bool
	    ends_line[TTY_QUEUE_BYTES]; /* this byte ends a line (canonical mode): a newline, or 0 for an end of file */
	size_t bytes;
	bool has_more; /* behind it something waits for room in the buffer */
	struct tty_output output;
};

struct tty_queues;

/* Loads the program, which takes milliseconds: -errno when this cannot be asked here. */
int tty_queues_open(struct tty_queues **ret);
void tty_queues_free(struct tty_queues *queues);

/*
 * Both ends of the pair whose master is open as descriptor fd of a thread: its own one and the other one. Nobody may
 * be reading or writing meanwhile. All pairs of the thread are read at once and kept, until it is another thread's
 * turn.
 */
int tty_queues_read(struct tty_queues *queues, pid_t tid, int fd, struct tty_queue *ret_own,
		    struct tty_queue *ret_other);
