/* criu cpuinfo dump|check: writes cpuinfo.img, or tells whether this processor can do what the saved one could. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "engine/cpuinfo.h"
#include "image/image-set.h"
#include "kernel/proc-misc.h"

int command_cpuinfo(struct command_line *line, struct error *err)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	const char *what = line->operands[1];
	bool dumps = strcmp(what, "dump") == 0;
	int r;

	if (!dumps && strcmp(what, "check") != 0)
		return error_say(err, -EINVAL, "\"%s\" is neither dump nor check", what);
	set.path = proc_own_fd_name(line->opts.images_dir_fd);
	r = image_set_open_plain(&set, line->opts.images_dir_fd, NULL, err);
	if (r < 0)
		return r;
	r = dumps ? cpuinfo_dump(&set, err) : cpuinfo_check(&line->opts, &set, err);
	if (r < 0)
		return r;
	log_info("cpuinfo %s: done\n", what);
	return EXIT_SUCCESS;
}
