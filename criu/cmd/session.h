/*
 * The surroundings of a run: standard descriptors, work and image directory, the log, and the sentence about a failure.
 */
#pragma once

#include <stdbool.h>

struct error;
struct options;

/*
 * Opens the image directory (if it is needed), changes to the work directory and opens the log in it, with the two
 * lines that say what runs where. The log exists from here on, however early the run fails.
 */
int session_open(struct options *opts, bool needs_images, struct error *err);

/* "criu: VERB: sentence" and the hint on stderr; in a log file the same as an error line, and the marker as its last.
 */
void session_report_failure(const char *verb, const struct error *err, const char *marker);
