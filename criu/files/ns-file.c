/*
 * Descriptors of namespaces (/proc/PID/ns/NAME). The image names the namespace by its id in the images of the tasks
 * that live in it; at restore it is opened through the process that opens the file, which lives there, too. Namespaces
 * in which no task of the tree lives are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/core.pb-c.h"
#include "images/ns.pb-c.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "ns/ns-look.h"

static const struct {
	enum proc_ns ns;
	size_t id; /* in TaskKobjIdsEntry */
} kinds[] = {
	{ PROC_NS_PID, offsetof(TaskKobjIdsEntry, pid_ns_id) },
	{ PROC_NS_NET, offsetof(TaskKobjIdsEntry, net_ns_id) },
	{ PROC_NS_IPC, offsetof(TaskKobjIdsEntry, ipc_ns_id) },
	{ PROC_NS_UTS, offsetof(TaskKobjIdsEntry, uts_ns_id) },
	{ PROC_NS_MNT, offsetof(TaskKobjIdsEntry, mnt_ns_id) },
	{ PROC_NS_USER, offsetof(TaskKobjIdsEntry, user_ns_id) },
	{ PROC_NS_CGROUP, offsetof(TaskKobjIdsEntry, cgroup_ns_id) },
	{ PROC_NS_TIME, offsetof(TaskKobjIdsEntry, time_ns_id) },
};

static uint32_t id_in(const TaskKobjIdsEntry *ids, size_t kind)
{
	uint32_t id;

	memcpy(&id, (const char *)ids + kinds[kind].id, sizeof(id));
	return id;
}

/* --- dump ----------------------------------------------------------------------------------------------------- */

/* "net:[4026531840]": which kind it is, or -1. */
static int kind_of(const struct open_file *file)
{
	for (size_t i = 0; file->link && i < ARRAY_SIZE(kinds); i++) {
		const char *name = proc_ns_name(kinds[i].ns);
		size_t length = strlen(name);

		if (!strncmp(file->link, name, length) && !strncmp(file->link + length, ":[", 2))
			return (int)i;
	}
	return -1;
}

static bool is_namespace(const struct dump *d, const struct open_file *file)
{
	return file->name_state == FILE_NAME_NONE && kind_of(file) >= 0;
}

static int look_namespace(struct dump *d, struct open_file *file, struct error *err)
{
	int kind = kind_of(file);

	for_each_task (d, task) {
		uint64_t inode;

		if (!task->is_zombie && proc_ns_inode(task->procfd, kinds[kind].ns, &inode) == 0 &&
		    inode == file->st.st_ino)
			return 0;
	}
	error_hint(err, "have the program close it before the dump");
	return open_file_refuse(file, err, "no process of the tree lives in this %s namespace",
				proc_ns_name(kinds[kind].ns));
}

static int save_namespace(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	NsFileEntry *ns = files_scratch(d, sizeof(*ns));
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;
	struct proc_ns_ids own;
	int kind = kind_of(file), r = ns_read_own(&own, err);

	if (r < 0)
		return r;
	if (!ns)
		return open_file_error(file, err, -ENOMEM, "save");
	ns_save_ids(&own, &ids);
	if (d->has_time_ns)
		ids.time_ns_id = NS_ID_OTHER_TIME;
	ns_file_entry__init(ns);
	ns->id = file->id;
	ns->ns_id = id_in(&ids, (size_t)kind);
	ns->ns_cflag = (uint32_t)proc_ns_clone_flag(kinds[kind].ns);
	ns->flags = file->flags;
	if (file->owner.pid || file->owner.type || file->owner.signal) {
		ns->fown = fown_save(d, file);
		if (!ns->fown)
			return open_file_error(file, err, -ENOMEM, "save");
	}
	entry->nsf = ns;
	return 0;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

static int find_kind(const struct restore_file *file)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (proc_ns_clone_flag(kinds[i].ns) == file->entry->nsf->ns_cflag)
			return (int)i;
	return -1;
}

static int check_namespace(struct restore *r, struct restore_file *file, struct error *err)
{
	const TaskKobjIdsEntry *ids = r->images->tasks[0].ids;
	int kind = find_kind(file);

	if (kind < 0)
		return restore_refuse(r, file, err, "a namespace of unknown kind %x", file->entry->nsf->ns_cflag);
	if (!ids || id_in(ids, (size_t)kind) != file->entry->nsf->ns_id)
		return restore_refuse(r, file, err,
				      "a %s namespace that the root does not live in is not supported yet",
				      proc_ns_name(kinds[kind].ns));
	return 0;
}

static int open_namespace(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	uint32_t flags = restore_open_flags(file->entry->nsf->flags) | file->cloexec;
	char path[48];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", proc_ns_name(kinds[find_kind(file)].ns));
	fd = open(path, (int)flags);
	if (fd < 0)
		return error_set(err, -errno, "open %s", path);
	*ret_fd = fd;
	return 0;
}

static const FownEntry *namespace_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->nsf->flags;
	return entry->nsf->fown;
}

const struct file_kind ns_kind = {
	.name = "namespace",
	.type = FD_TYPES__NS,
	.is = is_namespace,
	.look = look_namespace,
	.save = save_namespace,
	.check = check_namespace,
	.open = open_namespace,
	.owner = namespace_owner,
};
