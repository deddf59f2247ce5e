/*
 * A command is one row: the verb's name, what runs it and what it needs to be set up before. To add one: a file
 * cmd/VERB.c with its function, declared here, and a row in criu/main.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct command_line;
struct error;

struct command {
	const char *name;
	const char *operands; /* as the usage text shows them; a command takes one operand if it has this */
	const char *summary;  /* NULL for verbs that do not exist any more */
	int verb;             /* enum verb */
	bool needs_images;    /* the image directory is opened */
	/*
	 * Returns the exit status, or -errno with *err set, which is reported and ends in exit status 1. NULL while the
	 * verb is not supported: refused by name with refused_status.
	 */
	int (*run)(struct command_line *line, struct error *err);
	int refused_status;
	const char *refused_because;
	const char *failed_marker; /* the last line of the log of a failed run */
};

/* Parses, sets up, runs, reports; returns the exit status of the program. */
int command_main(const struct command *commands, size_t count, int argc, char **argv);

int command_dump(struct command_line *line, struct error *err);
int command_restore(struct command_line *line, struct error *err);
int command_check(struct command_line *line, struct error *err);
int command_cpuinfo(struct command_line *line, struct error *err);
