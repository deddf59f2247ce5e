/* The figures of a run, where tools look for them: a file of the image format, but in the work directory. */
#include "engine/stats.h"

#include "engine/options.h"
#include "image/image-set.h"
#include "image/image-write.h"
#include "kernel/proc-misc.h"

static int write_stats(const struct options *opts, enum image_kind kind, StatsEntry *entry, struct error *err)
{
	AUTO_IMAGE_SET struct image_set work = IMAGE_SET_INIT;
	int r;

	work.path = proc_own_fd_name(opts->work_dir_fd);
	r = image_set_open_plain(&work, opts->work_dir_fd, NULL, err);
	return r < 0 ? r : image_write_one(&work, kind, 0, entry, err);
}

int stats_write_dump(const struct options *opts, DumpStatsEntry *stats, struct error *err)
{
	StatsEntry entry = STATS_ENTRY__INIT;

	entry.dump = stats;
	return write_stats(opts, IMAGE_STATS_DUMP, &entry, err);
}

int stats_write_restore(const struct options *opts, RestoreStatsEntry *stats, struct error *err)
{
	StatsEntry entry = STATS_ENTRY__INIT;

	entry.restore = stats;
	return write_stats(opts, IMAGE_STATS_RESTORE, &entry, err);
}
