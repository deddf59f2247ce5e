/* A namespace is known by the inode of /proc/PID/ns/NAME. */
#include "ns/ns-look.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/proc-pid.h"

/* The ids are those a reference set has for the same situation. */
enum { ID_PID = 1, ID_NET, ID_IPC, ID_UTS, ID_TIME, ID_MNT, ID_USER, ID_CGROUP };

static const enum proc_ns kinds[] = {
	PROC_NS_PID, PROC_NS_NET, PROC_NS_IPC, PROC_NS_UTS, PROC_NS_MNT, PROC_NS_USER, PROC_NS_CGROUP,
};

int ns_read_own(struct proc_ns_ids *ret_own, struct error *err)
{
	AUTO_CLOSE int procfd = proc_open(0);
	int r = procfd < 0 ? procfd : proc_ns_read(procfd, NULL, ret_own);

	return r < 0 ? error_set(err, r, "read our own namespaces") : 0;
}

/* Which one is compared when all are known, also that of a task which is refused for another one. */
static int read_time(const struct proc_ns_ids *own, struct task *task, struct error *err)
{
	int r = own->inode[PROC_NS_TIME] ? proc_ns_inode(task->procfd, PROC_NS_TIME, &task->time_ns) : 0;

	return r < 0 ? error_set(err, r, TASK_FORMAT ": read its time namespace", TASK_ARGS(task)) : 0;
}

static int look_at_time(const struct proc_ns_ids *own, const struct task *task, struct error *err)
{
	uint64_t for_children = 0;
	int r;

	if (!own->inode[PROC_NS_TIME])
		return 0;
	r = proc_ns_inode(task->procfd, PROC_NS_TIME_FOR_CHILDREN, &for_children);
	if (r < 0)
		return error_set(err, r, TASK_FORMAT ": read its time namespace", TASK_ARGS(task));
	if (for_children == task->time_ns)
		return 0;
	return error_say(err, -ENOTSUP, TASK_FORMAT ": its children are to live in another time namespace",
			 TASK_ARGS(task));
}

/* What an ended process had let go of are the others. */
int ns_look_zombie(const struct proc_ns_ids *own, struct task *task, struct error *err)
{
	static const enum proc_ns kept[] = { PROC_NS_PID, PROC_NS_USER };

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		uint64_t inode;

		if (!own->inode[kept[i]] || proc_ns_inode(task->procfd, kept[i], &inode) < 0 ||
		    inode == own->inode[kept[i]])
			continue;
		error_hint(err, "its parent has to wait for it before the dump");
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ", a zombie: lived in another %s namespace, which is not supported yet",
				 TASK_ARGS(task), proc_ns_name(kept[i]));
	}
	return 0;
}

/* The first process of a pid namespace is refused from inside, too. */
static const char *remedy(const struct task *task)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };

	return proc_status_read(task->procfd, "status", &status) == 0 && status.ns_pid_count > 0 &&
		       status.ns_pids[status.ns_pid_count - 1] == 1
		   ? "dump its children inside that namespace (nsenter)"
		   : "run the dump inside that namespace (nsenter)";
}

int ns_look(const struct proc_ns_ids *own, struct task *task, struct error *err)
{
	int r = read_time(own, task, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint64_t inode;

		if (!own->inode[kinds[i]])
			continue;
		r = proc_ns_inode(task->procfd, kinds[i], &inode);
		if (r < 0)
			return error_set(err, r, TASK_FORMAT ": read its %s namespace", TASK_ARGS(task),
					 proc_ns_name(kinds[i]));
		if (inode == own->inode[kinds[i]])
			continue;
		error_hint(err, "%s", remedy(task));
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ": lives in another %s namespace, which is not supported yet",
				 TASK_ARGS(task), proc_ns_name(kinds[i]));
	}
	return look_at_time(own, task, err);
}

void ns_save_ids(const struct proc_ns_ids *own, TaskKobjIdsEntry *ids)
{
	ids->has_pid_ns_id = ids->has_net_ns_id = ids->has_ipc_ns_id = true;
	ids->has_uts_ns_id = ids->has_mnt_ns_id = ids->has_user_ns_id = true;
	ids->pid_ns_id = ID_PID;
	ids->net_ns_id = ID_NET;
	ids->ipc_ns_id = ID_IPC;
	ids->uts_ns_id = ID_UTS;
	ids->mnt_ns_id = ID_MNT;
	ids->user_ns_id = ID_USER;
	ids->has_cgroup_ns_id = own->inode[PROC_NS_CGROUP] != 0;
	ids->cgroup_ns_id = ID_CGROUP;
	ids->has_time_ns_id = own->inode[PROC_NS_TIME] != 0;
	ids->time_ns_id = ID_TIME;
}
