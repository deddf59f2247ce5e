/*
 * Reads configuration files and the command line into struct options by means of the option table. A line of a
 * configuration file becomes one word "--name=value" and takes the same way as what stands on the command line.
 */
#include "cmd/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "cmd/config.h"

/* getopt values: a letter, or one of these plus the row's index. */
#define LONG_OPTION    0x1000
#define NEGATED_OPTION 0x2000
#define INDEX_MASK     0x0fff

struct getopt_tables {
	struct option longs[2 * OPTION_TABLE_MAX + 1];
	char *names[OPTION_TABLE_MAX]; /* "no-NAME" */
	size_t name_count;
	char letters[4 * OPTION_TABLE_MAX];
};

/* Where options come from: the sentence about a wrong one names the file and line. */
struct source {
	const char *config_path; /* NULL on the command line */
	unsigned int config_line;
};

void command_line_init(struct command_line *line)
{
	*line = (struct command_line){ 0 };
	options_init(&line->opts);
	line->opts.deprecated = getenv("CRIU_DEPRECATED") != NULL;
}

void command_line_done(struct command_line *line)
{
	options_done(&line->opts);
	free(line->operands);
	line->operands = NULL;
	line->operand_count = 0;
}

static void getopt_tables_done(struct getopt_tables *t)
{
	for (size_t i = 0; i < t->name_count; i++)
		free(t->names[i]);
}

static int to_getopt_argument(enum option_argument argument)
{
	switch (argument) {
	case ARGUMENT_REQUIRED:
		return required_argument;
	case ARGUMENT_OPTIONAL:
		return optional_argument;
	default:
		return no_argument;
	}
}

/* "t:" "v::" "d": once per letter, whatever number of long options share it. */
static void add_letter(struct getopt_tables *t, const struct option_row *row)
{
	static const char *const colons[] = {
		[ARGUMENT_NONE] = "", [ARGUMENT_REQUIRED] = ":", [ARGUMENT_OPTIONAL] = "::"
	};
	size_t used = strlen(t->letters);

	if (row->letter && !strchr(t->letters, row->letter))
		(void)snprintf(t->letters + used, sizeof(t->letters) - used, "%c%s", row->letter,
			       colons[row->argument]);
}

static int getopt_tables_build(struct getopt_tables *t)
{
	size_t count;
	const struct option_row *rows = option_table(&count);
	size_t used = 0;

	*t = (struct getopt_tables){ .letters = ":" };
	for (size_t i = 0; i < count; i++) {
		t->longs[used++] = (struct option){ .name = rows[i].name,
						    .has_arg = to_getopt_argument(rows[i].argument),
						    .val = LONG_OPTION | (int)i };
		add_letter(t, &rows[i]);
		if (!rows[i].negatable)
			continue;
		if (asprintf(&t->names[t->name_count], "no-%s", rows[i].name) < 0)
			return -ENOMEM;
		t->longs[used++] = (struct option){ .name = t->names[t->name_count++], .val = NEGATED_OPTION | (int)i };
	}
	return 0;
}

static int store_value(struct options *opts, const struct option_row *row, const char *value, struct error *err)
{
	void *member = (char *)opts + row->offset;
	char *copy;

	switch (row->store) {
	case STORE_FLAG:
		*(bool *)member = true;
		return 0;
	case STORE_STRING:
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
		free(*(char **)member);
		*(char **)member = copy;
		return 0;
	case STORE_LIST:
		return string_list_add(member, value);
	case STORE_PARSED:
		return row->parse(opts, value, err);
	default:
		return 0;
	}
}

/* These were looked at before anything else, but only in their full form and not in a configuration file. */
static int store_early(struct command_line *line, const struct option_row *row, const struct source *from,
		       struct error *err)
{
	if (strcmp(row->name, "help") == 0)
		line->help = true;
	else if (strcmp(row->name, "version") == 0)
		line->version = true;
	else if (row->state == OPTION_REMOVED)
		return error_say(err, -EINVAL, "--%s does not exist any more", row->name);
	else if (from->config_path)
		return error_say(err, -EINVAL, "%s makes no sense in a configuration file", row->name);
	else if (!line->given[row - option_table(&(size_t){ 0 })])
		return error_say(err, -EINVAL, "--%s must be written in full", row->name);
	return 0;
}

static int apply_option(struct command_line *line, size_t index, bool negated, const char *value,
			const struct source *from, struct error *err)
{
	size_t count;
	const struct option_row *row = &option_table(&count)[index];
	int r;

	if (row->store == STORE_EARLY)
		return store_early(line, row, from, err);
	line->given[index] = !negated;
	if (negated) {
		*(bool *)((char *)&line->opts + row->offset) = false;
		return 0;
	}
	r = store_value(&line->opts, row, value, err);
	if (r < 0) {
		(void)error_set(err, r, "cannot store the value");
		error_prefix(err, "--%s", row->name);
	}
	return r;
}

/* The first row with this letter; those that share it share what it does and are all given. */
static int apply_letter(struct command_line *line, int letter, const char *value, const struct source *from,
			struct error *err)
{
	size_t count;
	const struct option_row *rows = option_table(&count);
	bool applied = false;

	for (size_t i = 0; i < count; i++) {
		int r;

		if (rows[i].letter != letter)
			continue;
		if (applied) {
			line->given[i] = true;
			continue;
		}
		r = apply_option(line, i, false, value, from, err);
		if (r < 0)
			return r;
		applied = true;
	}
	return 0;
}

/* What is wrong with "--word" or "--word=value" that getopt did not take. */
static const char *explain_bad_long_option(const struct getopt_tables *t, const char *word)
{
	size_t bytes = strcspn(word, "=");
	size_t matches = 0;

	for (const struct option *o = t->longs; o->name; o++) {
		if (strncmp(o->name, word, bytes) != 0)
			continue;
		if (o->name[bytes] == '\0')
			return "takes no value";
		matches++;
	}
	if (matches == 0)
		return "does not exist";
	return matches == 1 ? "takes no value" : "is ambiguous";
}

static int say_bad_word(const struct getopt_tables *t, const struct source *from, const char *word, bool value_missing,
			struct error *err)
{
	const char *reason = "does not exist";

	if (value_missing)
		reason = "needs a value";
	else if (strncmp(word, "--", 2) == 0)
		reason = explain_bad_long_option(t, word + 2);
	error_say(err, -EINVAL, "option %s %s", word, reason);
	if (!from->config_path)
		error_hint(err, "criu --help lists all options");
	return -EINVAL;
}

/* Permutes argv; what is no option stands at its end, from *ret_first_operand on. */
static int parse_words(struct command_line *line, int argc, char **argv, const struct source *from,
		       int *ret_first_operand, struct error *err)
{
	__attribute__((cleanup(getopt_tables_done))) struct getopt_tables tables;
	int r = getopt_tables_build(&tables);
	int c;

	if (r < 0)
		return error_set(err, r, "cannot parse options");
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
		char letter[3] = { '-', (char)optopt, '\0' };
		bool is_letter = optopt > 0 && optopt < LONG_OPTION;

		if (c == '?' || c == ':')
			return say_bad_word(&tables, from, is_letter ? letter : argv[optind - 1], c == ':', err);
		if (c >= LONG_OPTION)
			r = apply_option(line, (size_t)(c & INDEX_MASK), c & NEGATED_OPTION, optarg, from, err);
		else
			r = apply_letter(line, c, optarg, from, err);
		if (r < 0)
			return r;
	}
	*ret_first_operand = optind;
	return 0;
}

static bool takes_optional_value(const char *name)
{
	size_t count;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++) {
		if (rows[i].argument == ARGUMENT_OPTIONAL && strcmp(rows[i].name, name) == 0)
			return true;
	}
	return false;
}

static int check_config_words(const struct config_line *words, struct error *err)
{
	if (words->name[0] == '-')
		return error_say(err, -EINVAL, "%s: options stand here without dashes", words->name);
	if (words->has_value && strchr(words->name, '='))
		return error_say(err, -EINVAL, "%s: there is more than one value", words->name);
	if (words->has_value && takes_optional_value(words->name))
		return error_say(err, -EINVAL, "the value must be attached: %s=%s", words->name, words->value);
	return 0;
}

static int parse_config_line(struct command_line *line, char *text, const struct source *from, struct error *err)
{
	struct config_line words;
	const char *reason;
	AUTO_FREE char *word = NULL;
	char *argv[3] = { "criu", NULL, NULL };
	int first;
	int r = config_split_line(text, &words, &reason);

	if (r < 0)
		return error_say(err, r, "%s", reason);
	if (r == 0)
		return 0;
	r = check_config_words(&words, err);
	if (r < 0)
		return r;
	if (asprintf(&word, "--%s%s%s", words.name, words.has_value ? "=" : "", words.has_value ? words.value : "") <
	    0) {
		word = NULL;
		return error_set(err, -ENOMEM, "%s", words.name);
	}
	argv[1] = word;
	return parse_words(line, 2, argv, from, &first, err);
}

/* One more configuration file on top; a missing one is no error. */
static int parse_config(struct command_line *line, const char *path, struct error *err)
{
	struct source from = { .config_path = path };
	AUTO_BUFFER struct buffer content = { 0 };
	char *rest;
	char *text;
	int r = buffer_read_at(&content, AT_FDCWD, path);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return error_set(err, r, "configuration file %s", path);
	rest = content.data;
	while ((text = strsep(&rest, "\n"))) {
		from.config_line++;
		r = parse_config_line(line, text, &from, err);
		if (r < 0) {
			error_prefix(err, "%s, line %u", path, from.config_line);
			return r;
		}
	}
	return 0;
}

struct early {
	const char *config;
	bool no_default_config;
};

static void mark_given(struct command_line *line, const char *name)
{
	size_t count;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(rows[i].name, name) == 0)
			line->given[i] = true;
	}
}

/* Help, version and the choice of configuration files act before the rest is parsed, wherever they stand. */
static void look_for_early_options(struct command_line *line, int argc, char **argv, struct early *ret_early)
{
	static const char attached[] = "--config=";

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			line->help = true;
		else if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0)
			line->version = true;
		else if (strcmp(argv[i], "--no-default-config") == 0)
			ret_early->no_default_config = true;
		else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			ret_early->config = argv[++i];
		else if (strncmp(argv[i], attached, sizeof(attached) - 1) == 0)
			ret_early->config = argv[i] + sizeof(attached) - 1;
	}
	if (ret_early->config)
		mark_given(line, "config");
	if (ret_early->no_default_config)
		mark_given(line, "no-default-config");
}

/* HOME may still be that of whoever started us as somebody else: a file nobody asked for is no reason to fail. */
static int parse_default_config(struct command_line *line, const char *path, struct error *err)
{
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 || errno != EACCES)
		return parse_config(line, path, err);
	log_warn("configuration file %s is not read: %s\n", path, strerror(errno));
	return 0;
}

static int parse_default_configs(struct command_line *line, struct error *err)
{
	const char *home = getenv("HOME");
	AUTO_FREE char *path = NULL;
	int r = parse_default_config(line, "/etc/criu/default.conf", err);

	if (r < 0 || !home || !*home)
		return r;
	if (asprintf(&path, "%s/.criu/default.conf", home) < 0) {
		path = NULL;
		return error_set(err, -ENOMEM, "cannot read the configuration");
	}
	return parse_default_config(line, path, err);
}

static int parse_configs(struct command_line *line, const struct early *early, struct error *err)
{
	const char *from_environment = getenv("CRIU_CONFIG_FILE");
	int r = 0;

	if (!early->no_default_config && !early->config)
		r = parse_default_configs(line, err);
	if (r == 0 && from_environment)
		r = parse_config(line, from_environment, err);
	if (r == 0 && early->config)
		r = parse_config(line, early->config, err);
	return r;
}

/* With --exec-cmd what follows the verb is the command; it belongs to the options then. */
static int take_exec_cmd(struct command_line *line, struct error *err)
{
	struct options *opts = &line->opts;
	size_t count = line->operand_count > 1 ? line->operand_count - 1 : 0;

	if (!opts->exec_cmd_given || line->operand_count == 0)
		return 0;
	if (count == 0)
		return error_say(err, -EINVAL, "--exec-cmd needs a command behind \"--\"");
	opts->exec_cmd = calloc(count + 1, sizeof(*opts->exec_cmd));
	if (!opts->exec_cmd)
		return error_set(err, -ENOMEM, "--exec-cmd");
	for (size_t i = 0; i < count; i++) {
		opts->exec_cmd[i] = strdup(line->operands[i + 1]);
		if (!opts->exec_cmd[i])
			return error_set(err, -ENOMEM, "--exec-cmd");
	}
	line->operand_count = 1;
	return 0;
}

static int take_operands(struct command_line *line, int argc, char **argv, int first, struct error *err)
{
	line->operand_count = (size_t)(argc - first);
	line->operands = calloc(line->operand_count + 1, sizeof(*line->operands));
	if (!line->operands)
		return error_set(err, -ENOMEM, "cannot parse options");
	for (size_t i = 0; i < line->operand_count; i++)
		line->operands[i] = argv[first + (int)i];
	return take_exec_cmd(line, err);
}

int command_line_parse(struct command_line *line, int argc, char **argv, struct error *err)
{
	struct source from = { .config_path = NULL };
	struct early early = { 0 };
	int first;
	int r;

	look_for_early_options(line, argc, argv, &early);
	if (line->help || line->version)
		return 0;
	r = parse_configs(line, &early, err);
	if (r < 0)
		return r;
	r = parse_words(line, argc, argv, &from, &first, err);
	if (r < 0 || line->help || line->version)
		return r;
	return take_operands(line, argc, argv, first, err);
}

bool command_line_given(const struct command_line *line, const char *name)
{
	size_t count;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return line->given[i];
	}
	return false;
}

bool option_is_there(const char *name)
{
	size_t count;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].state == OPTION_IMPLEMENTED;
	}
	return false;
}

static bool is_missing(const struct option_row *row, int verb)
{
	return ((row->verbs & verb) && row->state == OPTION_NOT_THERE_YET) || (row->verbs_missing & verb);
}

/* One in the sentence, and all others at once, so that nobody takes them out one by one. */
static int refuse_missing_functions(const struct command_line *line, int verb, struct error *err)
{
	const struct option_row *first = NULL;
	char others[400] = "";
	size_t count, used = 0;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++) {
		if (!line->given[i] || !is_missing(&rows[i], verb))
			continue;
		if (first && used < sizeof(others))
			used += (size_t)snprintf(others + used, sizeof(others) - used, "%s--%s", used ? ", " : "",
						 rows[i].name);
		else if (!first)
			first = &rows[i];
	}
	if (!first)
		return 0;
	if (used)
		error_hint(err, "nor are: %s", others);
	return error_say(err, -EOPNOTSUPP, "--%s is not supported yet%s", first->name,
			 first->verbs_missing & verb ? " by this command" : "");
}

int command_line_check(const struct command_line *line, int verb, struct error *err)
{
	static const char *const restore_only[] = { "inherit-fd", "mntns-compat-mode", "path-map" };
	int r = refuse_missing_functions(line, verb, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(restore_only); i++) {
		if (verb != VERB_RESTORE && command_line_given(line, restore_only[i]))
			return error_say(err, -EINVAL, "--%s is for restore only", restore_only[i]);
	}
	if (verb == VERB_CHECK && command_line_given(line, "pid") && line->opts.pid == 0)
		return error_say(err, -EINVAL, "--pid: \"%s\" is not a number", line->opts.pidfile);
	if (verb == VERB_RESTORE && line->opts.restore_sibling && !line->opts.detach)
		return error_say(err, -EINVAL, "--restore-sibling needs --restore-detached");
	if (verb == VERB_RESTORE && line->opts.exec_cmd_given && line->opts.detach)
		return error_say(err, -EINVAL, "--exec-cmd and --restore-detached exclude each other");
	return 0;
}
