/*
 * The two engines, as the commands and the RPC service call them. Both take options they never change, work in the
 * current directory (the work directory) and leave the reason of a failure in *err: one sentence without "criu: dump:"
 * in front, that is the caller's part.
 */
#pragma once

#include <sys/types.h>

struct error;
struct options;

/*
 * Checkpoints the tree below opts->pid into opts->images_dir_fd and deals with the tasks as opts->leave says; runs the
 * action scripts and writes stats-dump. Returns 0 or -errno with *err set. A positive value is the exit status of a
 * post-dump script that failed: the images are complete, the tasks were resumed, *err is set.
 */
int dump_run(const struct options *opts, struct error *err);

/*
 * Restores what is in opts->images_dir_fd; runs the action scripts, writes opts->pidfile (see engine/pidfile.h) after
 * the post-restore hook and stats-restore at the end. Returns when the tree runs: 0 with the root's pid as it is seen
 * from here (a child of the caller unless opts->restore_sibling), or -errno with *err set and nothing left behind.
 */
int restore_run(const struct options *opts, pid_t *ret_root_pid, struct error *err);
