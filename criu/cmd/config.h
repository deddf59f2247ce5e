/*
 * The syntax of a configuration file: one option per line, its long name without dashes, then blanks and a value, which
 * may stand in double quotes. "#" starts a comment wherever it stands, also in quotes. A word of the form name=value is
 * one word, the only form for options whose value is optional.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct config_line {
	bool has_value;
	char *name;
	char *value;
};

/*
 * Splits one line in place: 1 with the words in *ret, 0 for a line that says nothing, -EINVAL with what is wrong in
 * *ret_reason. The words live in line.
 */
int config_split_line(char *line, struct config_line *ret, const char **ret_reason);
