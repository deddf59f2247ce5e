/*
 * criu restore: brings a saved tree back. Without -d the command stays the root's parent and ends when the root ends;
 * with --exec-cmd it becomes another program that does.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/progress.h"
#include "cmd/stats.h"
#include "engine/engine.h"
#include "engine/pidfile.h"

static bool is_in_directory(const char *directory, size_t bytes, const char *name)
{
	AUTO_FREE char *path = NULL;

	if (asprintf(&path, "%.*s/%s", bytes ? (int)bytes : 1, bytes ? directory : ".", name) < 0) {
		path = NULL;
		return false;
	}
	return access(path, X_OK) == 0;
}

static bool is_in_path(const char *name)
{
	const char *path = getenv("PATH");

	while (path) {
		size_t bytes = strcspn(path, ":");

		if (is_in_directory(path, bytes, name))
			return true;
		path = path[bytes] ? path + bytes + 1 : NULL;
	}
	return false;
}

/* Asked before the tree is restored: afterwards nobody would be there to be its parent. */
static int check_exec_cmd(const struct options *opts, struct error *err)
{
	const char *name;

	if (!opts->exec_cmd)
		return 0;
	name = opts->exec_cmd[0];
	if (strchr(name, '/') ? access(name, X_OK) == 0 : is_in_path(name))
		return 0;
	return error_set(err, -errno, "--exec-cmd %s", name);
}

static int exec_command(const struct options *opts, pid_t root, struct error *err)
{
	/* Nothing buffered may be lost, nothing printed twice. */
	(void)fflush(NULL);
	(void)execvp(opts->exec_cmd[0], opts->exec_cmd);
	error_set(err, -errno, "--exec-cmd %s", opts->exec_cmd[0]);
	error_hint(err, "the tree was restored and runs, its root is process %d", root);
	return -errno;
}

/* What a terminal sends to the tree's process group reaches this process too, and is not meant for it. */
static void leave_terminal_signals_to_the_tree(void)
{
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
}

static int wait_for_root(const struct options *opts, pid_t root, struct error *err)
{
	if (opts->shell_job)
		leave_terminal_signals_to_the_tree();
	while (waitpid(root, NULL, 0) < 0) {
		if (errno != EINTR)
			return error_set(err, -errno, "pid %d: wait for its end", root);
	}
	return EXIT_SUCCESS;
}

static int run_restore(struct options *opts, pid_t *ret_root, struct error *err)
{
	struct progress_line progress;
	int r;

	opts->progress = progress_line_start(&progress, "restore");
	r = restore_run(opts, ret_root, err);
	progress_line_end(&progress);
	opts->progress = NULL;
	return r;
}

static void warn_about_options(const struct command_line *line)
{
	if (command_line_given(line, "tree"))
		log_warn("--tree means nothing to a restore\n");
	if (command_line_given(line, "network-lock"))
		log_warn("--network-lock means nothing to a restore: the images say what was used\n");
}

int command_restore(struct command_line *line, struct error *err)
{
	struct options *opts = &line->opts;
	pid_t root;
	int r = pidfile_check(opts, err);

	if (r == 0)
		r = check_exec_cmd(opts, err);
	if (r < 0)
		return r;
	warn_about_options(line);
	r = run_restore(opts, &root, err);
	if (r < 0)
		return r;
	log_info("Restore finished successfully. Tasks resumed.\n");
	if (opts->display_stats)
		stats_print(opts, IMAGE_STATS_RESTORE);
	(void)fflush(stdout);
	if (opts->detach)
		return EXIT_SUCCESS;
	if (opts->exec_cmd)
		return exec_command(opts, root, err);
	return wait_for_root(opts, root, err);
}
