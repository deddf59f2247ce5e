/*
 * The debug log: complete, and never the only place of a reason (that is struct error). Line format, levels and
 * timestamps are those of the interop notes. Safe to use from several threads and after fork: each line is one write.
 */
#pragma once

#include <stdbool.h>

enum log_level {
	LOG_MSG, /* for the user, on stdout, never in the log file */
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
};

/*
 * Creates or empties a log file, relative to the directory: a close-on-exec descriptor. Another user may write to that
 * directory: -ELOOP for a symbolic link of his. -ENXIO for a fifo that nobody reads.
 */
int log_open(int dirfd, const char *name);

/* Until log_set_fd() the level is LOG_WARN and lines go to stderr. */
void log_set_level(int level);
int log_get_level(void);

/* Where lines go from now on; timestamps count from here. The descriptor stays the caller's. */
void log_set_fd(int fd);
int log_get_fd(void);

/* The same log under another descriptor: the clock goes on. */
void log_move_fd(int fd);

/* Puts "%6d: " with this pid in front of each line; 0 switches it off. */
void log_set_task(int pid);

void log_line(enum log_level level, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define log_error(...) log_line(LOG_ERROR, __FILE__, __LINE__, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
	do {                                                                                                           \
		if (log_get_level() >= LOG_DEBUG)                                                                      \
			log_line(LOG_DEBUG, __FILE__, __LINE__, __VA_ARGS__);                                          \
	} while (0)
