/* Files of /proc that list mounts, and who polls them. Only for criu/files/ and the engine. */
#pragma once

struct restore;

/* When the tree runs again: whoever polls such a file is told that there may be others. */
void mount_lists_tell(const struct restore *r);
