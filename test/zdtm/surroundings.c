/*
 * What a refused dump could leave around its target: a mount, a name in its directory (links, files and directories
 * that were made for a moment), an image. Of each name what it is, its links and its size are told.
 */
#include "surroundings.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *out; /* nftw() takes no argument for its function */

static int list_name(const char *path, const struct stat *st, int type, struct FTW *place)
{
	(void)type;
	(void)place;
	fprintf(out, "%s: mode %o, %d links, %lld bytes\n", path, st->st_mode, (int)st->st_nlink,
		S_ISREG(st->st_mode) ? (long long)st->st_size : 0);
	return 0;
}

char *surroundings_list(const char *directory)
{
	char line[4096], *text = NULL;
	size_t bytes;
	FILE *mounts = fopen("/proc/self/mountinfo", "re");

	out = open_memstream(&text, &bytes);
	if (!out || !mounts)
		abort();
	while (fgets(line, sizeof(line), mounts))
		fprintf(out, "mount %s", line);
	fclose(mounts);
	(void)nftw(directory, list_name, 16, FTW_PHYS | FTW_MOUNT);
	fclose(out);
	return text;
}

/* Whole lines only. */
static int has_line(const char *text, const char *line, size_t length)
{
	for (; *text; text = strchr(text, '\n') + 1)
		if (strncmp(text, line, length) == 0)
			return 1;
	return 0;
}

static const char *only_in(const char *text, const char *other)
{
	static char found[4096];

	for (size_t length; *text; text += length) {
		length = strcspn(text, "\n") + 1;
		if (has_line(other, text, length))
			continue;
		snprintf(found, sizeof(found), "%.*s", (int)length - 1, text);
		return found;
	}
	return NULL;
}

const char *surroundings_difference(const char *before, const char *after)
{
	const char *line = only_in(after, before);

	line = line ? line : only_in(before, after);
	return line ? line : "";
}

const char *surroundings_image_left(const char *directory)
{
	static char found[256];
	struct dirent *entry;
	DIR *dir = opendir(directory);

	found[0] = 0;
	while (dir && (entry = readdir(dir))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "criu.out") != 0 &&
		    strcmp(dot ? dot : "", ".log") != 0)
			snprintf(found, sizeof(found), "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}
