/*
 * Who has another login uid than at its birth, or is in another session, sets it: before it creates others, so that
 * those in its session inherit that. Setting it once more takes a right, and may be forbidden for good: without the
 * right whoever creates others with another login uid sets its own when they are there, and leaves them alone in
 * sessions of theirs. The numbers of sessions are the kernel's.
 */
#include "task/restore-loginuid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/restore.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"
#include "task/caller.h"
#include "task/restore-limits.h"

#define UNSET ((uint32_t)-1)

struct login {
	bool is_known;
	uint32_t uid, session; /* session 0: not known, like any */
};

static struct login login_of(const struct restore_task *task)
{
	const TaskCoreEntry *tc = task->image ? task->image->threads[0].core->tc : NULL;

	if (tc && tc->ended)
		return (struct login){ tc->ended->has_loginuid, tc->ended->loginuid, tc->ended->audit_session };
	if (tc)
		return (struct login){ tc->has_loginuid, tc->loginuid, tc->audit_session };
	return (struct login){ .is_known = false };
}

static bool is_same(struct login one, struct login other)
{
	return one.is_known == other.is_known && one.uid == other.uid &&
	       (one.session == other.session || !one.session || !other.session || one.uid == UNSET);
}

/* --- the plan ---------------------------------------------------------------------------------------------------- */

struct plan {
	struct restore_task **order; /* creators before those whom they create */
	struct login *births;        /* by index */
	bool *is_mixed;              /* by index: creates somebody, at last, with another login uid */
};

static bool is_needed(const struct restore *r, struct login own)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const struct login login = login_of(r->tasks[i]);

		if (login.is_known && !is_same(login, own))
			return true;
	}
	return false;
}

static void note_mixed(const struct restore *r, struct plan *plan)
{
	for (size_t i = r->task_count; i-- > 1;) {
		const struct restore_task *task = plan->order[i], *creator = task->creator;
		const struct login own = login_of(task), other = login_of(creator);

		if (plan->is_mixed[task->index] || (own.is_known && other.is_known && own.uid != other.uid))
			plan->is_mixed[creator->index] = true;
	}
}

/* A zombie sets it last. */
static bool may_set_early(const struct restore *r, const struct plan *plan, const struct restore_task *task)
{
	return task->created_count && !task->is_zombie &&
	       (r->own_limits->may_set_loginuid || !plan->is_mixed[task->index]);
}

static void choose(const struct restore *r, const struct plan *plan, struct restore_task *task)
{
	const struct login birth = plan->births[task->index], login = login_of(task);
	const bool differs = login.is_known && !is_same(login, birth);
	struct login inherited = birth;

	task->sets_loginuid = !differs                       ? LOGINUID_INHERITED
			      : may_set_early(r, plan, task) ? LOGINUID_EARLY
							     : LOGINUID_LATE;
	/* One that is born with it has its session from there on, whatever the number was. */
	if (task->sets_loginuid == LOGINUID_EARLY || (login.is_known && !differs))
		inherited = login;
	for (size_t i = 0; i < task->created_count; i++)
		plan->births[task->created[i]->index] = inherited;
}

int restore_loginuid_plan(struct restore *r, struct error *err)
{
	const struct login root = login_of(r->tasks[0]);
	struct login own = { .is_known = true, .uid = r->own_limits->loginuid };
	AUTO_FREE struct restore_task **order = NULL;
	AUTO_FREE struct login *births = NULL;
	AUTO_FREE bool *is_mixed = NULL;
	struct plan plan;

	/* The root stays in our session if it can be its own. */
	if (root.is_known && root.uid == own.uid)
		own.session = root.session;
	if (!is_needed(r, own))
		return 0;
	order = restore_order(r);
	births = calloc(r->task_count, sizeof(*births));
	is_mixed = calloc(r->task_count, sizeof(*is_mixed));
	if (!order || !births || !is_mixed)
		return error_set(err, -ENOMEM, "process tree");
	plan = (struct plan){ order, births, is_mixed };
	note_mixed(r, &plan);
	births[0] = own;
	for (size_t i = 0; i < r->task_count; i++)
		choose(r, &plan, order[i]);
	return 0;
}

bool restore_loginuid_is_same(const struct restore_task *task, const struct restore_task *creator)
{
	return is_same(login_of(task), login_of(creator));
}

/* --- setting it -------------------------------------------------------------------------------------------------- */

/* Once set it can stay set for good, depending on the kernel. */
static bool can_stay(const struct caller *thread, uint32_t uid)
{
	AUTO_CLOSE int procfd = proc_open(thread->tid);
	uint32_t now = UNSET;

	if (uid != UNSET && (procfd < 0 || proc_read_loginuid(procfd, &now) < 0 || now != uid))
		return false;
	if (uid != UNSET)
		log_warn("pid %d: is not in a login session of its own any more: the login uid %u cannot be set "
			 "again\n",
			 thread->tid, uid);
	return true;
}

static int set_loginuid(const struct restore_task *task, const struct caller *thread, struct error *err)
{
	const uint32_t uid = login_of(task).uid;
	char path[64], text[16];
	AUTO_CLOSE int fd = -1;
	int64_t r;

	(void)snprintf(path, sizeof(path), "/proc/%d/loginuid", thread->tid);
	(void)snprintf(text, sizeof(text), "%u", uid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : thread->call(thread, SYS_write, (uint64_t)fd, (uint64_t)text, strlen(text));
	if (r == -EPERM && can_stay(thread, uid))
		return 0;
	return r < 0 ? error_set(err, (int)r, "set its login uid to %s", text) : 0;
}

int restore_loginuid_early(const struct restore_task *task, struct error *err)
{
	const struct caller self = caller_self();

	return task->sets_loginuid == LOGINUID_EARLY ? set_loginuid(task, &self, err) : 0;
}

int restore_loginuid_of_thread(const struct restore_task *task, const struct caller *thread, struct error *err)
{
	return task->sets_loginuid == LOGINUID_LATE ? set_loginuid(task, thread, err) : 0;
}

int restore_loginuid(const struct restore_task *task, struct error *err)
{
	const struct caller self = caller_self();

	return restore_loginuid_of_thread(task, &self, err);
}
