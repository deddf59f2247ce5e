/* From argv to the exit status: parses, finds the command, sets up its surroundings, runs it and reports. */
#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cmd/options.h"
#include "cmd/session.h"
#include "cmd/usage.h"

struct command_set {
	const struct command *commands;
	size_t count;
};

static int say_usage_error(const struct command_set *set, const char *text, const char *word)
{
	(void)fprintf(stderr, "criu: %s%s\n", text, word);
	usage_print_short(stderr, set->commands, set->count);
	return EXIT_FAILURE;
}

static const struct command *find_command(const struct command_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++) {
		if (strcmp(set->commands[i].name, name) == 0)
			return &set->commands[i];
	}
	return NULL;
}

static int refuse_command(const struct command *c, struct command_line *line)
{
	struct error err = { 0 }, ignored = { 0 };

	(void)session_open(&line->opts, false, &ignored); /* who drives this reads the log */
	error_say(&err, -EOPNOTSUPP, "%s", c->refused_because ? c->refused_because : "not supported yet");
	session_report_failure(c->name, &err, NULL);
	return c->refused_status;
}

static int set_up_and_run(const struct command *c, struct command_line *line, struct error *err)
{
	int r = session_open(&line->opts, c->needs_images, err);

	if (r < 0)
		return r;
	r = command_line_check(line, c->verb, err);
	if (r < 0)
		return r;
	return c->run(line, err);
}

static int run_command(const struct command_set *set, struct command_line *line)
{
	const struct command *c;
	struct error err = { 0 };
	size_t allowed;
	int r;

	if (line->operand_count == 0)
		return say_usage_error(set, "no command given", "");
	c = find_command(set, line->operands[0]);
	if (!c)
		return say_usage_error(set, "unknown command ", line->operands[0]);
	if (!c->run)
		return refuse_command(c, line);
	allowed = c->operands ? 2 : 1;
	if (line->operand_count > allowed)
		return say_usage_error(set, "unexpected argument ", line->operands[allowed]);
	if (line->operand_count < allowed)
		return say_usage_error(set, c->name, " needs an argument");
	r = set_up_and_run(c, line, &err);
	if (r >= 0)
		return r;
	(void)error_set(&err, r, "it failed");
	session_report_failure(c->name, &err, c->failed_marker);
	return EXIT_FAILURE;
}

static int parse_and_run(const struct command_set *set, struct command_line *line, int argc, char **argv)
{
	struct error err = { 0 };

	if (command_line_parse(line, argc, argv, &err) < 0) {
		session_report_failure(NULL, &err, NULL);
		return EXIT_FAILURE;
	}
	if (line->help)
		usage_print_long(stdout, set->commands, set->count);
	else if (line->version)
		usage_print_version(stdout);
	else
		return run_command(set, line);
	return EXIT_SUCCESS;
}

/* What was printed is part of the result: a full disk behind stdout is a failure, a reader who has seen enough is not.
 */
static int flush_stdout(int status)
{
	if (fflush(stdout) == 0 || status != EXIT_SUCCESS || errno == EPIPE)
		return status;
	(void)fprintf(stderr, "criu: standard output: %s\n", strerror(errno));
	return EXIT_FAILURE;
}

int command_main(const struct command *commands, size_t count, int argc, char **argv)
{
	struct command_set set = { commands, count };
	struct command_line line;
	int status;

	command_line_init(&line);
	status = parse_and_run(&set, &line, argc, argv);
	command_line_done(&line);
	return flush_stdout(status);
}
