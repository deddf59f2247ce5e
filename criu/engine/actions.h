/*
 * The hooks: at fixed points of a run the RPC client is asked (opts->listener) and then the action scripts are run, one
 * after the other, the last one given first. A script gets no arguments but CRTOOLS_SCRIPT_ACTION, CRTOOLS_IMAGE_DIR
 * and, once the root is known, CRTOOLS_INIT_PID in its environment.
 *
 * In this order, and what a failure means there:
 *
 *	dump	pre-dump (before anything is touched: abort), network-lock (tree in a net namespace of its own: abort),
 *		query-ext-files (listener only: abort), post-dump (images complete, tasks still frozen: they are resumed
 *		and the script's status is the result), network-unlock (when the tasks live on: ignored)
 *	restore	pre-restore (abort), setup-namespaces, post-setup-namespaces (new namespaces only: abort),
 *		orphan-pts-master (listener only), post-restore (before the pidfile is written: abort),
 *		network-unlock (ignored), pre-resume, post-resume (logged only)
 *	servers	status-ready (abort)
 */
#pragma once

#include <sys/types.h>

struct error;
struct options;

/*
 * Runs the hook called action; pid is the root's or 0 while there is none. Returns 0 when all agreed, the exit status
 * (1 to 255; 128 + signal when one was killed) of the first script that failed, or -errno when one could not be run.
 * Failures are in the log by then; the sentence is the caller's.
 */
int action_scripts_run(const struct options *opts, const char *action, pid_t pid);

/* The sentence about such a failure. Returns -ECANCELED. */
int action_scripts_failed(const char *action, int result, struct error *err);
