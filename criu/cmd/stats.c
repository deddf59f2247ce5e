/* Reads stats-dump or stats-restore from the work directory and prints it. */
#include "cmd/stats.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "engine/options.h"
#include "image/image-read.h"
#include "images/stats.pb-c.h"
#include "kernel/proc-misc.h"

static void print_time(const char *what, uint64_t us)
{
	(void)printf("%s: %" PRIu64 " us\n", what, us);
}

static void print_count(const char *what, uint64_t count)
{
	(void)printf("%s: %" PRIu64 "\n", what, count);
}

static void print_dump_stats(const DumpStatsEntry *s)
{
	(void)printf("Dump statistics\n");
	print_time("Freezing time", s->freezing_time);
	print_time("Frozen time", s->frozen_time);
	print_time("Memory dump time", s->memdump_time);
	print_time("Memory write time", s->memwrite_time);
	print_count("Memory pages scanned", s->pages_scanned);
	print_count("Memory pages skipped from parent", s->pages_skipped_parent);
	print_count("Memory pages written", s->pages_written);
	print_count("Lazy memory pages", s->pages_lazy);
	if (s->has_shpages_written) {
		print_count("Shared memory pages scanned", s->shpages_scanned);
		print_count("Shared memory pages skipped from parent", s->shpages_skipped_parent);
		print_count("Shared memory pages written", s->shpages_written);
	}
}

static void print_restore_stats(const RestoreStatsEntry *s)
{
	(void)printf("Restore statistics\n");
	print_time("Forking time", s->forking_time);
	print_time("Restore time", s->restore_time);
	print_count("Pages compared", s->pages_compared);
	print_count("Pages skipped by copy-on-write", s->pages_skipped_cow);
	if (s->has_pages_restored)
		print_count("Pages restored", s->pages_restored);
}

static int read_and_print(const struct options *opts, enum image_kind kind, struct error *err)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	AUTO_MESSAGE StatsEntry *stats = NULL;
	int r;

	set.path = proc_own_fd_name(opts->work_dir_fd);
	r = image_set_open_plain(&set, opts->work_dir_fd, NULL, err);
	if (r < 0)
		return r;
	r = image_read_required(&set, kind, 0, &stats_entry__descriptor, &stats, err);
	if (r < 0)
		return r;
	if (stats->dump)
		print_dump_stats(stats->dump);
	if (stats->restore)
		print_restore_stats(stats->restore);
	return 0;
}

void stats_print(const struct options *opts, enum image_kind kind)
{
	struct error err = { 0 };
	int r = read_and_print(opts, kind, &err);

	if (r < 0)
		log_warn("no statistics: %s\n", err.text);
}
