/* Prints the help: commands, options and feature names, each from its table, so that it cannot fall behind. */
#include "cmd/usage.h"

#include <stdbool.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/version.h"
#include "kernel/features.h"

enum { OPTION_COLUMN = 36, COMMAND_COLUMN = 24, LINE_WIDTH = 100 };

void usage_print_short(FILE *out, const struct command *commands, size_t count)
{
	(void)fprintf(out, "Usage: criu COMMAND [OPTIONS]\nCommands:");
	for (size_t i = 0; i < count; i++) {
		if (commands[i].run)
			(void)fprintf(out, " %s", commands[i].name);
	}
	(void)fprintf(out, "\nTry \"criu --help\".\n");
}

static void print_command(FILE *out, const struct command *c)
{
	char left[64];

	(void)snprintf(left, sizeof(left), "%s%s%s", c->name, c->operands ? " " : "", c->operands ? c->operands : "");
	(void)fprintf(out, "  %-*s%s%s\n", COMMAND_COLUMN, left, c->summary, c->run ? "" : " (not supported yet)");
}

static void print_option(FILE *out, const struct option_row *row)
{
	char left[128] = "";
	size_t used = 0;
	bool optional = row->argument == ARGUMENT_OPTIONAL;

	if (row->letter)
		used = (size_t)snprintf(left, sizeof(left), "-%c|", row->letter);
	used += (size_t)snprintf(left + used, sizeof(left) - used, "--%s%s", row->negatable ? "[no-]" : "", row->name);
	if (row->argument_name)
		(void)snprintf(left + used, sizeof(left) - used, "%s%s%s", optional ? "[=" : " ", row->argument_name,
			       optional ? "]" : "");
	(void)fprintf(out, "  %-*s%s%s%s\n", OPTION_COLUMN, left, strlen(left) < OPTION_COLUMN ? "" : " ", row->help,
		      row->state == OPTION_NOT_THERE_YET ? " (not supported yet)"
		      : row->verbs_missing               ? " (others: not supported yet)"
							 : "");
}

static void print_features(FILE *out)
{
	size_t count;
	const struct feature *features = feature_table(&count);
	size_t column = 0;

	(void)fprintf(out, "\nNames for check --feature:\n");
	for (size_t i = 0; i < count; i++) {
		size_t bytes = strlen(features[i].name) + 2;

		if (column + bytes > LINE_WIDTH) {
			(void)fprintf(out, "\n");
			column = 0;
		}
		(void)fprintf(out, "  %s", features[i].name);
		column += bytes;
	}
	(void)fprintf(out, "\n");
}

void usage_print_long(FILE *out, const struct command *commands, size_t count)
{
	size_t row_count;
	const struct option_row *rows = option_table(&row_count);

	(void)fprintf(out, "Saves running processes to files and brings them back.\n\n"
			   "Usage: criu COMMAND [OPTIONS]\n\nCommands:\n");
	for (size_t i = 0; i < count; i++) {
		if (commands[i].summary)
			print_command(out, &commands[i]);
	}
	(void)fprintf(out, "\nOptions:\n");
	for (size_t i = 0; i < row_count; i++) {
		if (rows[i].help)
			print_option(out, &rows[i]);
	}
	print_features(out);
}

void usage_print_version(FILE *out)
{
	(void)fprintf(out, "Version: %s\nRelease: %s (an independent implementation of these interfaces)\n",
		      INTERFACE_VERSION, PROGRAM_RELEASE);
}
