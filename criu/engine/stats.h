/* stats-dump and stats-restore in the work directory. */
#pragma once

#include "base/error.h"
#include "images/stats.pb-c.h"

struct options;

int stats_write_dump(const struct options *opts, DumpStatsEntry *stats, struct error *err);
int stats_write_restore(const struct options *opts, RestoreStatsEntry *stats, struct error *err);
