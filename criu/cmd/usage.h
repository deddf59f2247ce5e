/* The texts of --help and of a command line that makes no sense, made from the command and option tables. */
#pragma once

#include <stddef.h>
#include <stdio.h>

struct command;

void usage_print_short(FILE *out, const struct command *commands, size_t count);
void usage_print_long(FILE *out, const struct command *commands, size_t count);
void usage_print_version(FILE *out);
