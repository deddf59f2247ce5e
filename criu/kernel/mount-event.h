/* Whoever polls a file of /proc that lists mounts is told of each change to one of them. */
#pragma once

/*
 * Tells all that poll lists of the mount namespace we are in, and changes nothing: the directory, where something is
 * mounted, has its way of keeping times of access set once more. 0 or -errno; needs CAP_SYS_ADMIN and Linux 5.12.
 */
int mount_event_make(const char *directory);
