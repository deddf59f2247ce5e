/*
 * mounts and mountinfo of /proc: poll(2) tells once of each change since the file was opened or it was told last. Where
 * the dump came before a program was told, or there are other mounts now than at the dump, one that waits for changes
 * would go on with what it knows. No interface sets what has been told: the restore makes an event of its own in which
 * nothing changes. A program that is told without need reads the list again, and so do others on the machine.
 */
#include "files/mount-list.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "engine/restore.h"
#include "image/image-check.h"
#include "kernel/mount-event.h"

static bool is_mount_list(const RegFileEntry *entry)
{
	const char *name = strrchr(entry->name, '/');

	return !strncmp(entry->name, "/proc/", 6) && !(entry->flags & O_PATH) &&
	       (!strcmp(name, "/mounts") || !strcmp(name, "/mountinfo"));
}

void mount_lists_tell(const struct restore *r)
{
	for (size_t i = 0; i < r->images->file_count; i++) {
		const FileEntry *entry = r->images->files[i].entry;
		int result;

		if (entry->type != FD_TYPES__REG || !is_mount_list(entry->reg))
			continue;
		result = mount_event_make("/proc");
		if (result < 0)
			log_warn("%s: whoever polls it cannot be told that mounts may have changed: %s\n",
				 entry->reg->name, strerror(-result));
		return;
	}
}
