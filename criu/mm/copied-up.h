/*
 * Mappings of a file in an overlay that was copied to the upper layer after it was mapped: they go on to show what is
 * in the lower one, to which no path leads any more.
 */
#pragma once

#include "base/error.h"

struct area;
struct dump;
struct open_file;
struct task;

/*
 * Look stage. Of a private mapping the contents are kept (area->kept_end), where they are not those of the file; a
 * shared one is refused then.
 */
int copied_up_look(struct dump *d, const struct task *task, struct area *area, const struct open_file *file,
		   struct error *err);
