/* criu dump: saves a process tree. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/progress.h"
#include "cmd/session.h"
#include "cmd/stats.h"
#include "engine/engine.h"

static int check_dump_options(const struct options *opts, struct error *err)
{
	if (opts->pid > 0)
		return 0;
	error_say(err, -EINVAL, "no process given");
	error_hint(err, "-t PID names the root of the tree");
	return -EINVAL;
}

int command_dump(struct command_line *line, struct error *err)
{
	struct options *opts = &line->opts;
	struct progress_line progress;
	int r = check_dump_options(opts, err);

	if (r < 0)
		return r;
	opts->progress = progress_line_start(&progress, "dump");
	r = dump_run(opts, err);
	progress_line_end(&progress);
	opts->progress = NULL;
	if (r < 0)
		return r;
	if (r == 0)
		log_info("Dumping finished successfully\n");
	if (opts->display_stats)
		stats_print(opts, IMAGE_STATS_DUMP);
	if (r > 0)
		session_report_failure("dump", err, NULL);
	return r;
}
