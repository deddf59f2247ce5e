/* A tmpfs of our own that is mounted nowhere (Linux 5.2): it goes away with its last descriptor. Needs CAP_SYS_ADMIN.
 */
#pragma once

/* A descriptor of its root, or -errno. */
int detached_tmpfs_open(void);
