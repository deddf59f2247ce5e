/* Terminals: what the files tty*.c share. Only for criu/files/. */
#pragma once

#include <asm/termbits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "files/file-kind.h"
#include "images/tty.pb-c.h"
#include "kernel/tty-queue.h"

#define PTY_SLAVE_MAJOR 136
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
	int is_locked, is_exclusive, has_packets, discipline;
	struct open_file *file; /* a description of it */
	uint8_t *data;          /* waits to be read, or NULL */
	uint32_t *line_ends;    /* places in data */
	size_t bytes, line_end_count;
	struct tty_output output, other_output; /* of a master */
};

struct tty_table {
	struct tty_end *ends;
	size_t count, capacity;
	struct tty_queues *queues; /* NULL until something may wait, or when that cannot be asked */
	int queues_result;
};

/* tty-settings.c: modes, window size and whether it is exclusive; or that it is hung up. */
int tty_settings_read(int fd, struct tty_end *end);

struct tty_modes_message {
	TermiosEntry entry;
	uint32_t characters[NCCS];
};

TermiosEntry *tty_modes_fill(struct tty_modes_message *message, const struct termios2 *modes);

/* tty-session.c: the terminal that controls the session of a task. */
int tty_session_look(struct dump *d, const struct task *task, struct error *err);
/* Sets left_terminal of each task. */
void tty_session_find_left(struct dump *d);

/* Reads what waits in both ends of a pair that belongs to the tree. */
int tty_data_look(struct dump *d, struct tty_end *master, struct tty_end *slave, struct error *err);
int tty_data_save(struct dump *d, struct error *err);

/* tty-output.c: what a pair keeps besides; queues: of both. Where they cannot be had: with why, -errno. */
int tty_output_look(struct tty_end *master, const struct tty_end *slave, const struct tty_queue queues[2],
		    struct error *err);
/* Of a pair that is not in canonical mode: whether nothing is stopped, and the column of the cursor changes nothing. */
bool tty_output_is_plain(struct dump *d, const struct tty_end *master, const struct tty_end *slave);
int tty_output_look_without_help(struct dump *d, const struct tty_end *master, const struct tty_end *slave, int r,
				 struct error *err);
void tty_output_fill(const struct tty_output *output, TtyOutputEntry *entry);
/* Whether an image says something that a dump may have written. */
bool tty_output_is_sane(const TtyOutputEntry *output);

/* --- restore -------------------------------------------------------------------------------------------------- */

/* One for all descriptions of both ends of a pair, or of another device. */
struct restore_tty {
	const TtyInfoEntry *master, *slave; /* of another device: slave */
	int holder;                         /* the master while descriptions are being opened, -1 */
	int outside;                        /* the terminal that takes its place, -1 */
	size_t to_open;
	bool is_made;
};

/* tty-restore.c: what the images say of an end, and the path a description was opened by. */
const TtyInfoEntry *tty_info_at(const struct restore *r, size_t i);
const TtyInfoEntry *tty_info_of(const struct restore *r, const struct restore_file *file);
const RegFileEntry *tty_path_of(const struct restore *r, const struct restore_file *file);

int tty_check(struct restore *r, struct restore_file *file, struct error *err);
int tty_open(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err);
int tty_finish(struct restore *r, struct restore_task *task, struct restore_file *file, int fd, struct error *err);

/* The leader of a session when it is of the tree, else NULL. */
struct restore_task *tty_session_leader(const struct restore *r, uint32_t sid);

struct termios2 tty_modes_of(const TermiosEntry *entry);
/* 0 or -errno. */
int tty_modes_set(int fd, const TermiosEntry *entry);
int tty_modes_lock(int fd, const TermiosEntry *entry);
int tty_size_set(int fd, const WinsizeEntry *entry);

/* Before there is any data in it: moves the cursor of the slave. 0 or -errno. */
int tty_columns_restore(const TtyOutputEntry *output, int master_fd, int slave_fd);
/* When data and modes are as they will be: packet mode, what it has yet to tell, stops the output. */
int tty_output_restore(const TtyInfoEntry *master, int master_fd, int slave_fd);
/* As if ^V had been typed last. */
int tty_literal_next(int master_fd, int slave_fd, const struct termios2 *modes);

/* Puts back what waited in an end; modes are those the slave will get. Needs descriptors of both ends. */
int tty_data_restore(const TtyDataEntry *data, bool is_master, int master_fd, int slave_fd,
		     const struct termios2 *modes, struct error *err);
