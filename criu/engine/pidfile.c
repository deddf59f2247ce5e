/* Writes the pidfile of --pidfile in the work directory. */
#include "engine/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/util.h"
#include "engine/options.h"
#include "engine/undo.h"

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

/* The undo log takes names of the image directory, or absolute ones. */
static char *absolute_name(const char *name)
{
	AUTO_FREE char *directory = NULL;
	char *absolute;

	if (name[0] == '/')
		return strdup(name);
	directory = getcwd(NULL, 0);
	if (!directory || asprintf(&absolute, "%s/%s", directory, name) < 0)
		return NULL;
	return absolute;
}

int pidfile_write(const struct options *opts, pid_t pid, struct undo *undo, struct error *err)
{
	AUTO_FREE char *name = NULL;
	AUTO_CLOSE int fd = -1;
	char text[16];
	int bytes, r;

	if (!opts->pidfile)
		return 0;
	name = absolute_name(opts->pidfile);
	if (!name)
		return error_set(err, -errno, "pidfile %s", opts->pidfile);
	undo_note_file(undo, name);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		r = -errno;
		undo_forget_file(undo, name);
		return error_set(err, r, "pidfile %s", opts->pidfile);
	}
	bytes = snprintf(text, sizeof(text), "%d", pid);
	r = write_all(fd, text, (size_t)bytes);
	return r < 0 ? error_set(err, r, "pidfile %s", opts->pidfile) : 0;
}
