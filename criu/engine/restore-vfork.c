/*
 * PTRACE_O_TRACEVFORK stops the parent when the child is there and the wait has not begun; rax becomes the child's pid
 * by itself. The child is traced as well from its birth: it is let go, and taken over later like all others.
 */
#include "engine/restore-vfork.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "compel/compel.h"
#include "engine/restore-sync.h"
#include "engine/restore.h"
#include "engine/traced-thread.h"
#include "files/files.h"
#include "kernel/missing-ptrace.h"
#include "kernel/pidfd.h"
#include "mm/restore-area.h"
#include "task/restore-loginuid.h"

#define TASK_STOPPED 3 /* task_state in an image */

/* --- plan -------------------------------------------------------------------------------------------------------- */

static bool has_same_words(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count)
{
	return a_count == b_count && (!a_count || memcmp(a, b, a_count * sizeof(*a)) == 0);
}

/* The child is born with them, and sets none. */
static bool has_same_rights(const CredsEntry *a, const CredsEntry *b)
{
	return a && b && a->uid == b->uid && a->gid == b->gid && a->euid == b->euid && a->egid == b->egid &&
	       a->suid == b->suid && a->sgid == b->sgid && a->fsuid == b->fsuid && a->fsgid == b->fsgid &&
	       a->secbits == b->secbits && a->no_new_privs == b->no_new_privs &&
	       has_same_words(a->groups, a->n_groups, b->groups, b->n_groups) &&
	       has_same_words(a->cap_inh, a->n_cap_inh, b->cap_inh, b->n_cap_inh) &&
	       has_same_words(a->cap_prm, a->n_cap_prm, b->cap_prm, b->n_cap_prm) &&
	       has_same_words(a->cap_eff, a->n_cap_eff, b->cap_eff, b->n_cap_eff) &&
	       has_same_words(a->cap_bnd, a->n_cap_bnd, b->cap_bnd, b->n_cap_bnd) &&
	       has_same_words(a->cap_amb, a->n_cap_amb, b->cap_amb, b->n_cap_amb);
}

/* It makes the child with the rights that it has in the end. */
static bool can_choose_pids(const CredsEntry *creds)
{
	const uint64_t set = (creds->n_cap_eff > 0 ? creds->cap_eff[0] : 0) |
			     (uint64_t)(creds->n_cap_eff > 1 ? creds->cap_eff[1] : 0) << 32;

	return set & (1ull << CAP_SYS_ADMIN | 1ull << CAP_CHECKPOINT_RESTORE);
}

static struct restorer_thread *waiting_thread(const struct restorer_task *parent)
{
	return &parent->threads[parent->vfork_thread];
}

bool restore_vfork_is_waiter(const struct restorer_thread *thread)
{
	return thread->task->vfork_child && thread == waiting_thread(thread->task);
}

/* The parent's last act would be under them. */
static bool has_filters(const struct restore_task *task)
{
	for (size_t i = 0; i < task->image->thread_count; i++)
		if (task->image->threads[i].core->thread_core->seccomp_mode)
			return true;
	return false;
}

static bool is_stopped(const struct restore_task *task)
{
	return task->image->threads[0].core->tc->task_state == TASK_STOPPED;
}

/* Than somebody who comes behind it: it is made last. */
static bool is_older(const struct restore *r, const struct restore_task *child)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->older == child)
			return true;
	return false;
}

static int check_child(const struct restore *r, const struct restore_task *child, struct error *err)
{
	const struct restore_task *parent = child->vfork_parent;
	const ThreadCoreEntry *own = child->image->threads[0].core->thread_core;
	const ThreadCoreEntry *parents = parent->image->threads[child->parent_thread].core->thread_core;

	if (child->creator != parent || child->as_sibling || child->before_setsid || child->created_count ||
	    child->is_waited_for || is_older(r, child) || is_stopped(child) || is_stopped(parent) ||
	    (child->pgid != parent->pgid && !child->make_group && !child->make_session))
		return error_say(
		    err, -EOPNOTSUPP,
		    "pid %d, the child of a vfork that has not ended, cannot be made in its place in the tree",
		    child->pid);
	if (!has_same_rights(own->creds, parents->creds) || has_filters(child) || has_filters(parent) ||
	    !restore_loginuid_is_same(child, parent))
		return error_say(err, -EOPNOTSUPP,
				 "pid %d, the child of a vfork that has not ended, has other credentials than its "
				 "parent, or filters",
				 child->pid);
	if (!can_choose_pids(parents->creds))
		return error_say(
		    err, -EOPNOTSUPP,
		    "pid %d has neither CAP_CHECKPOINT_RESTORE nor CAP_SYS_ADMIN: it cannot make its child of "
		    "vfork again under the pid %d",
		    parent->pid, child->pid);
	return 0;
}

int restore_vfork_check(const struct restore *r, struct error *err)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < r->task_count; i++)
		if (r->tasks[i]->vfork_parent)
			result = check_child(r, r->tasks[i], err);
	return result;
}

uint64_t restore_vfork_room(const struct checked_task *child)
{
	return files_lending_room(child);
}

int restore_vfork_plan(struct restore *r, struct restore_task *child, struct error *err)
{
	struct restorer_task *out = child->restorer, *parent = child->vfork_parent->restorer;
	const size_t count = child->image->fds ? child->image->fds->count : 0;

	out->takes = area_alloc(r, count * sizeof(*out->takes));
	if (!out->takes)
		return error_set(err, -ENOMEM, "restore area");
	child->lent = calloc(count + 1, sizeof(*child->lent));
	if (!child->lent)
		return error_set(err, -ENOMEM, "lent files");
	out->spare_fd_base = r->service_fd_base;
	out->vfork_parent = parent;
	parent->vfork_child = out;
	parent->vfork_thread = (uint32_t)child->parent_thread;
	out->exit_signal = child->exit_signal;
	out->makes_session = child->make_session;
	out->makes_group = child->make_group;
	out->threads[0].creds.needed = 0;
	out->pages_file = -1;
	out->vdso = parent->vdso;
	out->vdso_map_at = parent->vdso_map_at;
	return 0;
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static uint32_t *state_of(const struct restore *r, const struct restore_task *child)
{
	return &r->shared->words.slots[child->index].lend_state;
}

void restore_vfork_offer(const struct restore *r, const struct restore_task *child)
{
	restore_ask_worker(r, state_of(r, child), LEND_OFFERED);
}

static int take_one(struct restore_task *child, int pidfd, int from, struct error *err)
{
	const int fd = pidfd_getfd_from(pidfd, from);

	if (fd < 0)
		return error_set(err, fd, "pid %d: take over what pid %d has opened for it", child->pid,
				 child->vfork_parent->pid);
	child->lent[child->lent_count++] = fd;
	return 0;
}

static int take_lent(struct restore_task *child, struct error *err)
{
	const struct restorer_task *out = child->restorer;
	AUTO_CLOSE int pidfd = pidfd_open_pid(child->vfork_parent->pid);
	int result = pidfd < 0 ? error_set(err, pidfd, "pid %d: take over its files", child->pid) : 0;

	for (uint64_t i = 0; result == 0 && i < out->take_count; i++)
		if (out->takes[i].from >= 0)
			result = take_one(child, pidfd, out->takes[i].from, err);
	return result == 0 && out->directory >= 0 ? take_one(child, pidfd, out->directory, err) : result;
}

static int send_one(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(fd))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int send_lent(const struct restore *r, const struct restore_task *child, struct error *err)
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(child->pid);
	AUTO_CLOSE int socket = -1;
	int result = pidfd < 0 ? pidfd : 0;

	if (result == 0)
		result = socket = pidfd_getfd_from(pidfd, r->shared->words.slots[child->index].lend_socket);
	for (size_t i = 0; result >= 0 && i < child->lent_count; i++)
		result = send_one(socket, child->lent[i]);
	return result < 0 ? error_set(err, result, "pid %d: send it its files", child->pid) : 0;
}

int restore_vfork_serve(const struct restore *r, struct error *err)
{
	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *child = r->tasks[i];
		uint32_t state =
		    child->vfork_parent ? __atomic_load_n(state_of(r, child), __ATOMIC_ACQUIRE) : LEND_NONE;
		int result = state == LEND_OFFERED  ? take_lent(child, err)
			     : state == LEND_WANTED ? send_lent(r, child, err)
						    : 0;

		if (result < 0)
			return result;
		if (state == LEND_OFFERED || state == LEND_WANTED)
			restore_answer(state_of(r, child), state + 1);
	}
	return 0;
}

void restore_vfork_free(struct restore_task *task)
{
	for (size_t i = 0; i < task->lent_count; i++)
		(void)close(task->lent[i]);
	free(task->lent);
}

/* --- making them ------------------------------------------------------------------------------------------------- */

/* Whatever else it stops for does not matter: all its signals are blocked. */
static int wait_for_event(const struct restorer_thread *thread, int event)
{
	int status, r;

	for (;;) {
		r = traced_wait_stop(thread, &status);
		if (r < 0 || status >> 16 == event)
			return r;
		r = traced_request(PTRACE_CONT, thread->tid, 0, traced_stop_signal(status));
		if (r < 0)
			return r;
	}
}

static int make_child(struct restorer_task *parent, struct restorer_task *child)
{
	struct restorer_thread *thread = waiting_thread(parent);
	int r = traced_request(PTRACE_SEIZE, thread->tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEVFORK);

	if (r < 0)
		return r;
	restore_open_gate(&parent->vfork_go);
	r = wait_for_event(thread, PTRACE_EVENT_VFORK);
	if (r == 0)
		r = wait_for_event(&child->threads[0], PTRACE_EVENT_STOP);
	if (r == 0 && thread->xstate_outside)
		r = compel_set_xstate(thread->tid, thread->xstate, thread->xstate_bytes);
	if (r == 0)
		r = traced_make_final(thread);
	return r < 0 ? r : traced_request(PTRACE_DETACH, child->pid, 0, 0);
}

/* A failure that the process itself has told of explains more. */
static int explain(struct restore *r, const struct restore_task *parent, int result, struct error *err)
{
	const uint32_t never = 1;

	if (result == -ESRCH && restore_wait_for(r, &never, err) < 0)
		return err->code;
	return error_set(err, result, "pid %d: let it make its child of vfork, pid %d", parent->pid,
			 parent->vfork_child->pid);
}

int restore_vfork_all(struct restore *r, struct error *err)
{
	uint32_t *preparing = &r->shared->words.preparing;
	int result;

	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->vfork_child)
			goto needed;
	return 0;
needed:
	result = restore_wait_for(r, preparing, err);
	for (size_t i = 0; result == 0 && i < r->task_count; i++) {
		const struct restore_task *parent = r->tasks[i];

		if (!parent->vfork_child)
			continue;
		__atomic_store_n(preparing, 1, __ATOMIC_RELEASE);
		result = make_child(parent->restorer, parent->vfork_child->restorer);
		result = result < 0 ? explain(r, parent, result, err) : restore_wait_for(r, preparing, err);
	}
	return result;
}
