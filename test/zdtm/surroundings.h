/* What a run that was refused could leave behind: mounts, and names in directories. */
#pragma once

/* A text with a line for each mount of the caller and each name below the directory, to compare; the caller frees it.
 */
char *surroundings_list(const char *directory);

/* The first line that only one of two such texts has, "" if there is none. Static. */
const char *surroundings_difference(const char *before, const char *after);

/* The first name in an image directory that is no log, "" if there is none. Static. */
const char *surroundings_image_left(const char *directory);
