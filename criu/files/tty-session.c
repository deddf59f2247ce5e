/*
 * The terminals of sessions: which one a session is controlled by, and its foreground group. The leader of a session
 * takes its terminal before it creates the rest of the session, for that is inherited; the foreground group is set when
 * all groups are there. Who was created before the leader took its terminal, or has given it up, has none: such a
 * process gives it up (again) when its files are there.
 */
#include "files/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/pstree.pb-c.h"

/* --- dump --------------------------------------------------------------------------------------------------------- */

/* As /proc/PID/stat shows it. */
static dev_t controlling_device(const struct task *task)
{
	unsigned int number = (unsigned int)task->stat.tty_nr;

	return makedev(number >> 8 & 0xfff, (number & 0xff) | (number >> 12 & 0xfff00));
}

int tty_session_look(struct dump *d, const struct task *task, struct error *err)
{
	const struct tty_table *table = &d->files->ttys;
	dev_t device = controlling_device(task);
	bool found = false;

	for (size_t i = 0; i < table->count; i++) {
		struct tty_end *end = &table->ends[i];

		if (end->type == TTY_TYPE__CTTY && end->file->task->stat.sid != task->stat.sid)
			continue;
		if (end->type != TTY_TYPE__CTTY && (end->rdev != device || end->is_hung_up))
			continue;
		found |= end->type != TTY_TYPE__CTTY;
		end->sid = task->stat.sid;
		end->pgrp = task->stat.tty_pgrp > 0 ? task->stat.tty_pgrp : 0;
	}
	if (found || d->opts->shell_job)
		return 0;
	error_hint(err, "--shell-job (-j) takes the terminal from the caller at restore; setsid starts a program "
			"without one");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ": its controlling terminal, %u:%u, is open in no process of the tree",
			 TASK_ARGS(task), major(device), minor(device));
}

/* Of a session whose leader is elsewhere (--shell-job) the root stands for it, which inherits the caller's terminal. */
static bool has_terminal(const struct dump *d, pid_t sid)
{
	const struct task *root = NULL;

	for_each_task (d, task) {
		if (!root)
			root = task;
		if (task->host_pid == sid)
			return !task->is_zombie && task->stat.tty_nr;
	}
	return root && root->stat.sid == sid && root->stat.tty_nr;
}

void tty_session_find_left(struct dump *d)
{
	bool is_any = false;

	for_each_task (d, task)
		is_any |= !task->is_zombie && task->stat.tty_nr;
	if (!is_any)
		return;
	for_each_task (d, task)
		task->left_terminal = !task->is_zombie && !task->stat.tty_nr && has_terminal(d, task->stat.sid);
}

/* --- restore ------------------------------------------------------------------------------------------------------ */

struct restore_task *tty_session_leader(const struct restore *r, uint32_t pid)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->image && pid && r->tasks[i]->pid == (pid_t)pid)
			return r->tasks[i];
	return NULL;
}

/* The caller's terminal may be taken from its session only by the leader of that: nobody else loses it. */
static int describe_taken(const struct restore *r, const struct restore_task *task, int fd, struct error *err)
{
	error_hint(err, "make the restore the leader of the terminal: exec criu ..., script -c \"criu ...\" or "
			"setsid --ctty criu ...");
	return error_say(err, -EPERM, "terminal: session %d controls it, and session %d of the images has to",
			 r->caller_sid, task->pid);
}

static int take_terminal(struct restore *r, const struct restore_task *task, const struct restore_file *file,
			 struct error *err)
{
	const struct restore_tty *tty = file->kind_data;

	if (ioctl(file->fd, TIOCSCTTY, 0) == 0)
		return 0;
	if (errno == EPERM && tty->outside >= 0) {
		if (r->caller_leads_session && ioctl(file->fd, TIOCSCTTY, 1) == 0)
			return 0;
		return describe_taken(r, task, file->fd, err);
	}
	return error_set(err, -errno, "take %s as controlling terminal", tty_path_of(r, file)->name);
}

int files_take_terminal(struct restore *r, struct restore_task *task, struct error *err)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *file = r->files[i];
		const TtyInfoEntry *info;

		if (file->entry->type != FD_TYPES__TTY || file->fd < 0)
			continue;
		info = tty_info_of(r, file);
		if (info->type != TTY_TYPE__CTTY && info->sid && (pid_t)info->sid == task->pid)
			return take_terminal(r, task, file, err);
	}
	return 0;
}

bool files_left_terminal(const struct restore_task *task)
{
	const TaskCoreEntry *tc = task->image->threads[0].core->tc;

	return tc && tc->has_left_terminal && tc->left_terminal;
}

/* The kernel has nothing to say to who does not lead the session: no signal is sent. */
int files_leave_terminal(const struct restore_task *task, struct error *err)
{
	AUTO_CLOSE int fd = -1;

	if (!files_left_terminal(task) || task->make_session)
		return 0;
	fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENXIO)
		return 0;
	if (fd < 0 || ioctl(fd, TIOCNOTTY) < 0)
		return error_set(err, -errno, "pid %d: give up the controlling terminal", task->pid);
	return 0;
}

static bool is_group(const struct restore *r, uint32_t pgid)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (pgid && r->tasks[i]->image && r->tasks[i]->image->entry->pgid == pgid && r->tasks[i]->pgid > 0)
			return true;
	return false;
}

/* Who sets the foreground group: the leader of the session, or the root when the session is the caller's. */
static bool sets_group(const struct restore *r, const struct restore_task *task, const TtyInfoEntry *info)
{
	const struct restore_task *leader = tty_session_leader(r, info->sid);

	return info->sid && is_group(r, info->pgrp) && (leader ? leader : r->tasks[0]) == task;
}

bool ttys_need_groups(const struct restore *r)
{
	for (size_t i = 0; i < restore_files_of(r)->ttys.count; i++)
		if (tty_info_at(r, i)->sid && is_group(r, tty_info_at(r, i)->pgrp))
			return true;
	return false;
}

int ttys_finish(struct restore *r, struct restore_task *task, struct error *err)
{
	for (size_t i = 0; i < restore_files_of(r)->ttys.count; i++) {
		const TtyInfoEntry *info = tty_info_at(r, i);
		AUTO_CLOSE int fd = -1;
		pid_t pgrp = (pid_t)info->pgrp;

		if (!sets_group(r, task, info))
			continue;
		fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (fd < 0 || ioctl(fd, TIOCSPGRP, &pgrp) < 0)
			return error_set(err, -errno, "set the foreground group of its terminal, %d", pgrp);
		return 0;
	}
	return 0;
}
