/* --display-stats: prints the figures a run left in its statistics file. */
#pragma once

#include "image/image-types.h"

struct options;

/* kind is IMAGE_STATS_DUMP or IMAGE_STATS_RESTORE. The run has succeeded by now: what goes wrong here is a warning. */
void stats_print(const struct options *opts, enum image_kind kind);
