/* Writes the pidfile of --pidfile in the work directory. */
#include "engine/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/util.h"
#include "engine/options.h"

int pidfile_check(const struct options *opts, struct error *err)
{
	if (!opts->pidfile)
		return 0;
	if (faccessat(AT_FDCWD, opts->pidfile, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		error_say(err, -EEXIST, "pidfile %s: the file exists already", opts->pidfile);
		error_hint(err, "remove it if the process it names is gone, or choose another --pidfile");
		return -EEXIST;
	}
	return errno == ENOENT ? 0 : error_set(err, -errno, "pidfile %s", opts->pidfile);
}

int pidfile_write(const struct options *opts, pid_t pid, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	char text[16];
	int bytes;
	int r;

	if (!opts->pidfile)
		return 0;
	fd = open(opts->pidfile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_set(err, -errno, "pidfile %s", opts->pidfile);
	bytes = snprintf(text, sizeof(text), "%d", pid);
	r = write_all(fd, text, (size_t)bytes);
	if (r < 0) {
		(void)unlink(opts->pidfile);
		return error_set(err, r, "pidfile %s", opts->pidfile);
	}
	return 0;
}
