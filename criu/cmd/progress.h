/*
 * The progress line: a run of more than two seconds shows phase, bytes, rate and time left on a terminal, one line that
 * is written over and wiped at the end.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/options.h"

struct progress_line {
	struct progress progress; /* for options.progress */
	const char *verb;
	uint64_t start_us;
	_Atomic uint64_t next_us; /* not before; also keeps all threads but one out */
	const char *phase;
	uint64_t phase_start_us;
	bool on_terminal;
};

/* Returns what to put into options.progress: NULL when stderr is no terminal or the log is written there line by line.
 */
const struct progress *progress_line_start(struct progress_line *line, const char *verb);
void progress_line_end(struct progress_line *line);

/* The text of one line, without the control codes; elapsed_us is the time spent in this phase. */
void format_progress(char *out, size_t size, const char *verb, const char *phase, uint64_t done_bytes,
		     uint64_t total_bytes, uint64_t elapsed_us);
