/*
 * Sets up what a command runs in. Relative names are those of the directory the user is in; only the log, the pidfile
 * and the statistics are names in the work directory. An action script may be either.
 */
#include "cmd/session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "cmd/version.h"
#include "engine/options.h"

/* Descriptors 0 to 2 may be closed: nothing of ours may be opened in their place, where others write to. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

static void on_failing_write(int signal)
{
	(void)signal;
}

/*
 * Whoever reads our messages may leave, RLIMIT_FSIZE may be short: what the write returns is enough, the signal would
 * end the run. A handler, unlike SIG_IGN, is not handed on to what we start.
 */
static void survive_failing_writes(void)
{
	static const int signals[] = { SIGPIPE, SIGXFSZ };
	const struct sigaction survive = { .sa_handler = on_failing_write, .sa_flags = SA_RESTART };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction inherited;

		if (sigaction(signals[i], NULL, &inherited) == 0 && inherited.sa_handler == SIG_DFL)
			(void)sigaction(signals[i], &survive, NULL);
	}
}

static int open_directory(int dirfd, const char *path, const char *what, int *ret_fd, struct error *err)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(err, -errno, "%s %s", what, path);
	*ret_fd = fd;
	return 0;
}

/* Names that lead somewhere from here still do so from the work directory. */
static int keep_script_names(struct options *opts, struct error *err)
{
	AUTO_FREE char *here = NULL;

	for (size_t i = 0; i < opts->action_scripts.count; i++) {
		char **item = &opts->action_scripts.items[i];
		char *path;

		if (**item == '/' || access(*item, F_OK) < 0)
			continue;
		if (!here)
			here = getcwd(NULL, 0);
		if (!here || asprintf(&path, "%s/%s", here, *item) < 0)
			return error_set(err, -errno, "action script %s", *item);
		free(*item);
		*item = path;
	}
	return 0;
}

static int enter_work_dir(struct options *opts, struct error *err)
{
	const char *path = opts->work_dir ? opts->work_dir : opts->images_dir;
	const char *what = opts->work_dir ? "work directory" : "image directory";
	int r;

	r = open_directory(AT_FDCWD, path ? path : ".", what, &opts->work_dir_fd, err);
	if (r < 0)
		return r;
	if (fchdir(opts->work_dir_fd) < 0)
		return error_set(err, -errno, "%s %s", what, path ? path : ".");
	return 0;
}

static int open_log(const struct options *opts, struct error *err)
{
	int fd;

	if (!opts->log_file) {
		log_set_fd(STDERR_FILENO);
		return 0;
	}
	if (strcmp(opts->log_file, "-") == 0) {
		log_set_fd(STDOUT_FILENO);
		return 0;
	}
	fd = log_open(AT_FDCWD, opts->log_file);
	if (fd == -ENXIO)
		return error_say(err, fd, "log file %s: is a fifo that nobody reads", opts->log_file);
	if (fd == -ELOOP)
		return error_say(err, fd, "log file %s: is a symbolic link of another user, or leads in a circle",
				 opts->log_file);
	if (fd < 0)
		return error_set(err, fd, "log file %s", opts->log_file);
	log_set_fd(fd);
	return 0;
}

static void log_what_runs_where(void)
{
	struct utsname node;

	log_info("Version: %s (gitid 0)\n", INTERFACE_VERSION);
	if (uname(&node) == 0)
		log_info("Running on %s %s %s %s %s\n", node.nodename, node.sysname, node.release, node.version,
			 node.machine);
}

int session_open(struct options *opts, bool needs_images, struct error *err)
{
	const char *images_dir = opts->images_dir ? opts->images_dir : ".";
	AUTO_CLOSE int start_dir_fd = -1;
	int r;

	fill_standard_fds();
	start_dir_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (start_dir_fd < 0)
		return error_set(err, -errno, "current directory");
	log_set_level(opts->log_level);
	if (needs_images)
		survive_failing_writes();
	r = keep_script_names(opts, err);
	if (r == 0)
		r = enter_work_dir(opts, err);
	if (r < 0)
		return r;
	r = open_log(opts, err);
	if (r < 0)
		return r;
	log_what_runs_where();
	if (!needs_images)
		return 0;
	return open_directory(start_dir_fd, images_dir, "image directory", &opts->images_dir_fd, err);
}

void session_report_failure(const char *verb, const struct error *err, const char *marker)
{
	bool logs_to_stderr = log_get_fd() == STDERR_FILENO;

	(void)fprintf(stderr, "criu: %s%s%s\n", verb ? verb : "", verb ? ": " : "", err->text);
	if (err->hint[0])
		(void)fprintf(stderr, "hint: %s\n", err->hint);
	if (!logs_to_stderr)
		log_error("%s\n", err->text);
	if (!logs_to_stderr && err->hint[0])
		log_error("hint: %s\n", err->hint);
	/* On a terminal the sentence is enough, unless the user wanted to read along. */
	if (marker && (!logs_to_stderr || log_get_level() >= LOG_INFO))
		log_error("%s\n", marker);
}
