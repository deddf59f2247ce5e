/*
 * The command line and the configuration files, turned into struct options. What exists is one table, option_table:
 * a row per option with its names, its argument, where it is stored, the verbs it means something to, its help and
 * whether its function is there. A known option whose function is not there yet is refused by name when it is in force
 * for its verb, never ignored.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/options.h"

struct error;

enum verb {
	VERB_DUMP = 1 << 0,
	VERB_PRE_DUMP = 1 << 1,
	VERB_RESTORE = 1 << 2,
	VERB_CHECK = 1 << 3,
	VERB_CPUINFO = 1 << 4,
	VERB_PAGE_SERVER = 1 << 5,
	VERB_LAZY_PAGES = 1 << 6,
	VERB_SERVICE = 1 << 7,
	VERB_SWRK = 1 << 8,
	VERB_DEDUP = 1 << 9,
	VERB_ANY = -1,
};

enum option_argument {
	ARGUMENT_NONE,
	ARGUMENT_REQUIRED,
	ARGUMENT_OPTIONAL, /* only in the attached form: --name=VALUE, -vVALUE */
};

enum option_store {
	STORE_FLAG,   /* bool at offset */
	STORE_STRING, /* char * at offset, the last one given */
	STORE_LIST,   /* struct string_list at offset, all of them in order */
	STORE_PARSED, /* row->parse() */
	STORE_EARLY,  /* acts before the others are parsed: help, version, which configuration files */
};

enum option_state {
	OPTION_IMPLEMENTED,
	OPTION_NOT_THERE_YET,
	OPTION_REMOVED,
};

struct option_row {
	const char *name;
	char letter;
	bool negatable; /* --no-NAME switches it off */
	enum option_argument argument;
	const char *argument_name;
	enum option_store store;
	size_t offset;
	int (*parse)(struct options *opts, const char *value, struct error *err); /* value is NULL when there is none */
	int verbs;
	int verbs_missing; /* those of them whose function is not there yet, where others have it */
	enum option_state state;
	const char *help;
};

const struct option_row *option_table(size_t *ret_count);

#define OPTION_TABLE_MAX 128

struct command_line {
	struct options opts;
	bool given[OPTION_TABLE_MAX]; /* per row: in force from some source, a later --no-NAME takes it back */
	bool help;
	bool version;
	char **operands; /* into argv: verb, then what follows it */
	size_t operand_count;
};

void command_line_init(struct command_line *line);
void command_line_done(struct command_line *line);

/*
 * Default configuration files, then $CRIU_CONFIG_FILE, then --config, then argv itself, later ones override and lists
 * accumulate. With help or version set nothing else was looked at. argv is permuted. 0 or -errno with *err set.
 */
int command_line_parse(struct command_line *line, int argc, char **argv, struct error *err);

/* By its long name: whether its function is there, whether it was given. */
bool option_is_there(const char *name);
bool command_line_given(const struct command_line *line, const char *name);

/* Refuses what is in force for this verb but not there, and combinations that make no sense. */
int command_line_check(const struct command_line *line, int verb, struct error *err);
