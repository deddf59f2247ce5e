/* Runs the hooks of a dump or restore: see actions.h for their names and order. */
#include "engine/actions.h"

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/options.h"

static const char variable_prefix[] = "CRTOOLS_";

struct script_environment {
	char action[64];
	char image_dir[64];
	char init_pid[32];
	char **vars; /* the array is ours, the strings are not */
};

/* The caller's environment without what an outer run may have left in it, then the three variables of this hook. */
static int build_environment(struct script_environment *e, const struct options *opts, const char *action, pid_t pid)
{
	size_t count = 0;

	while (environ[count])
		count++;
	e->vars = calloc(count + 4, sizeof(*e->vars));
	if (!e->vars)
		return -ENOMEM;
	count = 0;
	for (char **var = environ; *var; var++) {
		if (strncmp(*var, variable_prefix, sizeof(variable_prefix) - 1) != 0)
			e->vars[count++] = *var;
	}
	(void)snprintf(e->action, sizeof(e->action), "CRTOOLS_SCRIPT_ACTION=%s", action);
	(void)snprintf(e->image_dir, sizeof(e->image_dir), "CRTOOLS_IMAGE_DIR=/proc/%d/fd/%d", getpid(),
		       opts->images_dir_fd);
	(void)snprintf(e->init_pid, sizeof(e->init_pid), "CRTOOLS_INIT_PID=%d", pid);
	e->vars[count++] = e->action;
	if (opts->images_dir_fd >= 0)
		e->vars[count++] = e->image_dir;
	if (pid > 0)
		e->vars[count++] = e->init_pid;
	return 0;
}

static int wait_for_script(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_script(const char *path, const struct script_environment *e, const char *action)
{
	char *argv[] = { (char *)path, NULL };
	pid_t child;
	int r;

	log_info("action script %s: %s\n", path, action);
	r = posix_spawn(&child, path, NULL, NULL, argv, e->vars);
	if (r != 0) {
		log_error("action script %s: cannot run it: %s\n", path, strerror(r));
		return -r;
	}
	r = wait_for_script(child);
	if (r != 0)
		log_error("action script %s: %s failed: status %d\n", path, action, r);
	return r;
}

static int run_scripts(const struct options *opts, const char *action, pid_t pid)
{
	struct script_environment e = { .vars = NULL };
	int first = build_environment(&e, opts, action, pid);

	if (first < 0)
		return first;
	for (size_t i = opts->action_scripts.count; i > 0; i--) {
		int r = run_script(opts->action_scripts.items[i - 1], &e, action);

		if (first == 0)
			first = r;
	}
	free(e.vars);
	return first;
}

/* Two hooks need an answer with content, which only a listener can give. */
static bool reaches_scripts(const char *action)
{
	return strcmp(action, "orphan-pts-master") != 0 && strcmp(action, "query-ext-files") != 0;
}

int action_scripts_run(const struct options *opts, const char *action, pid_t pid)
{
	if (opts->listener) {
		int r = opts->listener->notify(opts->listener->ctx, action, pid);

		if (r != 0)
			return r;
	}
	if (opts->action_scripts.count == 0 || !reaches_scripts(action))
		return 0;
	return run_scripts(opts, action, pid);
}

int action_scripts_failed(const char *action, int result, struct error *err)
{
	error_hint(err, "the log names the script");
	if (result < 0)
		return error_say(err, -ECANCELED, "a %s script cannot be run: %s", action, strerror(-result));
	return error_say(err, -ECANCELED, "a %s script failed with status %d", action, result);
}
