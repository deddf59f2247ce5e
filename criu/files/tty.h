/*
 * Terminals: what the description of an end (tty.c) and what waits to be read in it (tty-data.c) share. Only for
 * criu/files/.
 */
#pragma once

#include <asm/termbits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "files/file-kind.h"
#include "images/tty.pb-c.h"

#define PTY_INDEX_LIMIT 1001 /* numbers from here on stand for other devices in the ids of images */

/* --- dump ----------------------------------------------------------------------------------------------------- */

/* One end of a terminal; several descriptions may be open on it. */
struct tty_end {
	uint32_t id; /* tty_info_entry.id */
	TtyType type;
	uint32_t index; /* of a pty */
	dev_t rdev;     /* of a pty: of the slave, for both ends */
	bool is_master;
	bool is_hung_up; /* the master was closed */
	bool is_left;    /* of a master: the slave was open and is not any more */
	bool is_outside; /* the other end is not of the tree: from the caller at restore */
	pid_t sid, pgrp; /* 0: none */
	struct termios2 modes, locked_modes;
	struct winsize size;
	int is_locked, is_exclusive, has_packets;
	struct open_file *file; /* a description of it */
	uint8_t *data;          /* waits to be read, or NULL */
	uint32_t *line_ends;    /* places in data */
	size_t bytes, line_end_count;
};

struct tty_table {
	struct tty_end *ends;
	size_t count, capacity;
};

/* The other end of a pty, NULL when it is not of the tree. */
struct tty_end *tty_other_end(const struct tty_table *table, const struct tty_end *end);

/* Reads what waits in both ends of a pair that belongs to the tree. */
int tty_data_look(struct dump *d, struct tty_end *master, struct tty_end *slave, struct error *err);
int tty_data_save(struct dump *d, struct error *err);

/* --- restore -------------------------------------------------------------------------------------------------- */

/* Puts back what waited in an end; modes are those the slave will get. Needs descriptors of both ends. */
int tty_data_restore(const TtyDataEntry *data, bool is_master, int master_fd, int slave_fd,
		     const struct termios2 *modes, struct error *err);
