/*
 * The plan is made in passes over all tasks, each linear (look-ups by pid are binary searches):
 *
 *	link      children lists, an index by pid
 *	needs     bottom-up: into which session each process must be born
 *	creators  top-down: who can give it that
 *	helpers   for dead leaders of sessions and of groups
 *	order     lists of created, those before setsid first; who comes behind whom (engine/birth-order.h)
 *	check     everyone is reached from the root
 */
#include "engine/tree-plan.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/birth-order.h"

#define ANY_SESSION (-1)

struct plan {
	struct restore *r;
	size_t capacity;
	struct restore_task **by_pid; /* sorted; helpers are found by a linear list, there are few */
	size_t by_pid_count;
	pid_t *births;       /* by index: the session a task must be born into, or ANY_SESSION */
	pid_t *birth_groups; /* by index: the group it finds itself in */
	pid_t *foreign_ids;  /* thread ids that lead no process, sorted: no helper may have one */
	size_t foreign_count;
	bool (*pid_in_use)(pid_t pid);
	pid_t next_free;
};

struct restore_task *tree_plan_new_task(struct restore *r, struct error *err)
{
	struct restore_task *task = calloc(1, sizeof(*task));
	struct restore_task **grown;

	/* Doubling: room is a power of two from 16 on. */
	if (task && (r->task_count == 0 || (r->task_count >= 16 && (r->task_count & (r->task_count - 1)) == 0))) {
		grown = reallocarray(r->tasks, r->task_count ? r->task_count * 2 : 16, sizeof(*grown));
		if (!grown) {
			free(task);
			task = NULL;
		} else {
			r->tasks = grown;
		}
	}
	if (!task) {
		error_set(err, -ENOMEM, "process tree");
		return NULL;
	}
	task->index = r->task_count;
	task->files_owner = task;
	task->exit_signal = SIGCHLD;
	r->tasks[r->task_count++] = task;
	return task;
}

void tree_plan_free(struct restore *r)
{
	for (size_t i = 0; i < r->task_count; i++) {
		free(r->tasks[i]->children);
		free(r->tasks[i]->created);
		free(r->tasks[i]);
	}
	free(r->tasks);
	r->tasks = NULL;
	r->task_count = r->helper_count = 0;
}

static int compare_pids(const void *a, const void *b)
{
	const struct restore_task *const *x = a, *const *y = b;

	return ((*x)->pid > (*y)->pid) - ((*x)->pid < (*y)->pid);
}

static int compare_numbers(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static struct restore_task *find_task(const struct plan *plan, pid_t pid)
{
	size_t low = 0, high = plan->by_pid_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (plan->by_pid[middle]->pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < plan->by_pid_count && plan->by_pid[low]->pid == pid)
		return plan->by_pid[low];
	for (size_t i = plan->by_pid_count; i < plan->r->task_count; i++)
		if (plan->r->tasks[i]->pid == pid)
			return plan->r->tasks[i];
	return NULL;
}

static int collect_threads(struct plan *plan, struct error *err)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->r->task_count; i++)
		if (plan->r->tasks[i]->image)
			count += plan->r->tasks[i]->image->thread_count;
	plan->foreign_ids = calloc(count + 1, sizeof(pid_t));
	if (!plan->foreign_ids)
		return error_set(err, -ENOMEM, "process tree");
	for (size_t i = 0; i < plan->r->task_count; i++) {
		const struct checked_task *image = plan->r->tasks[i]->image;

		for (size_t k = 1; image && !image->is_zombie && k < image->thread_count; k++)
			plan->foreign_ids[plan->foreign_count++] = (pid_t)image->threads[k].tid;
	}
	qsort(plan->foreign_ids, plan->foreign_count, sizeof(pid_t), compare_numbers);
	return 0;
}

static bool is_foreign(const struct plan *plan, pid_t pid)
{
	return bsearch(&pid, plan->foreign_ids, plan->foreign_count, sizeof(pid_t), compare_numbers) != NULL;
}

static int link_children(struct restore *r, struct error *err)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->parent)
			r->tasks[i]->parent->child_count++;
	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *task = r->tasks[i];

		if (!task->child_count)
			continue;
		if (task->is_zombie)
			return error_say(err, -EBADMSG, "pid %d is a zombie and has children", task->pid);
		task->children = calloc(task->child_count, sizeof(*task->children));
		if (!task->children)
			return error_set(err, -ENOMEM, "process tree");
		task->child_count = 0;
	}
	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *parent = r->tasks[i]->parent;

		if (parent)
			parent->children[parent->child_count++] = r->tasks[i];
	}
	return 0;
}

/*
 * What the root belongs to without leading it is the caller's; 0 in an image is a leader outside of the namespace. In
 * place of the caller stands who makes the session of the root, if its leader has ended; with the group of that number,
 * which nobody can make any more while there is the session.
 */
static int rename_callers(struct restore *r, struct error *err)
{
	const pid_t sid = r->tasks[0]->sid, pid = r->tasks[0]->pid;
	const pid_t pgid = r->ended_session && r->tasks[0]->pgid != sid ? pid : r->tasks[0]->pgid;

	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *task = r->tasks[i];

		if (sid != pid && task->sid == sid)
			task->sid = PLAN_CALLERS;
		if (pgid != pid && task->pgid == pgid)
			task->pgid = PLAN_CALLERS;
		if (r->ended_session && task->pgid == r->ended_session) {
			error_hint(err, "--shell-job (-j) takes session and process group from the caller at restore");
			return error_say(err, -EOPNOTSUPP,
					 "pid %d is in group %d, that of the leader of its session, which has ended; "
					 "and the root, pid %d, is in another group",
					 task->pid, task->pgid, pid);
		}
	}
	return 0;
}

static int index_tasks(struct plan *plan, struct error *err)
{
	struct restore *r = plan->r;

	plan->by_pid = calloc(r->task_count, sizeof(*plan->by_pid));
	plan->births = calloc(r->task_count, sizeof(*plan->births));
	if (!plan->by_pid || !plan->births)
		return error_set(err, -ENOMEM, "process tree");
	for (size_t i = 0; i < r->task_count; i++)
		plan->by_pid[i] = r->tasks[i];
	plan->by_pid_count = r->task_count;
	qsort(plan->by_pid, r->task_count, sizeof(*plan->by_pid), compare_pids);
	for (size_t i = 1; i < r->task_count; i++)
		if (plan->by_pid[i]->pid == plan->by_pid[i - 1]->pid)
			return error_say(err, -EBADMSG, "pid %d is there twice", plan->by_pid[i]->pid);
	return 0;
}

static bool leads_session(const struct restore_task *task)
{
	return task->sid == task->pid;
}

/*
 * A leader may be born into any session; into which one its children that stayed behind say. Among them may be orphans
 * of sessions that it was never in: its own parent's session goes first, then that of the oldest child.
 */
static void note_need(struct plan *plan, const struct restore_task *leader, pid_t need)
{
	pid_t *birth = &plan->births[leader->index];

	if (!leader->parent || *birth == ANY_SESSION || *birth != leader->parent->sid)
		*birth = need;
}

static void find_needs(struct plan *plan)
{
	struct restore *r = plan->r;

	for (size_t i = 0; i < r->task_count; i++)
		plan->births[i] = leads_session(r->tasks[i]) ? ANY_SESSION : r->tasks[i]->sid;
	for (size_t i = r->task_count; i-- > 1;) {
		struct restore_task *task = r->tasks[i], *parent = task->parent;
		pid_t need = plan->births[i];

		if (need != ANY_SESSION && leads_session(parent) && need != parent->sid && need != parent->pid)
			note_need(plan, parent, need);
	}
	plan->births[0] = PLAN_CALLERS;
}

static bool is_ancestor(const struct restore_task *ancestor, const struct restore_task *task)
{
	for (; task; task = task->parent)
		if (task == ancestor)
			return true;
	return false;
}

/* A zombie can do it, too: before it exits. */
static bool is_sibling_leader(const struct restore_task *parent, const struct restore_task *leader)
{
	return leader && leader->parent == parent && leads_session(leader);
}

static struct restore_task *add_helper(struct plan *plan, pid_t pid, pid_t sid, struct restore_task *parent,
				       struct error *err)
{
	struct restore_task *helper;

	if (is_foreign(plan, pid)) {
		error_say(err, -EBADMSG, "%d is a thread and the leader of a session or group as well", pid);
		return NULL;
	}
	helper = tree_plan_new_task(plan->r, err);
	if (!helper)
		return NULL;
	plan->r->helper_count++;
	helper->is_helper = true;
	helper->pid = pid;
	helper->pgid = pid;
	helper->sid = sid;
	helper->parent = helper->creator = parent;
	helper->make_session = sid == pid;
	helper->make_group = sid != pid;
	return helper;
}

/* The session's leader is dead: a helper below the deepest parent who needs it. */
static struct restore_task *make_session_helper(struct plan *plan, const struct restore_task *member, struct error *err)
{
	struct restore_task *deepest = member->parent, *helper;

	for (size_t i = 0; i < plan->by_pid_count; i++) {
		struct restore_task *other = plan->r->tasks[i];

		if (!other->creator && other->parent && plan->births[i] == plan->births[member->index] &&
		    other->parent != deepest && is_ancestor(deepest, other->parent))
			deepest = other->parent;
	}
	helper = add_helper(plan, plan->births[member->index], plan->births[member->index], deepest, err);
	if (helper && deepest == member->parent)
		helper->parent_thread = member->parent_thread;
	return helper;
}

static int find_free_pid(struct plan *plan, pid_t *ret_pid, struct error *err)
{
	for (pid_t pid = plan->next_free; pid > 300; pid--) {
		if (find_task(plan, pid) || is_foreign(plan, pid) || (plan->pid_in_use && plan->pid_in_use(pid)))
			continue;
		plan->next_free = pid - 1;
		*ret_pid = pid;
		return 0;
	}
	return error_say(err, -EAGAIN, "no pid is free for a helper process");
}

static bool wants_death_signal(const struct restore_task *task)
{
	for (size_t i = 0; task->image && !task->is_zombie && i < task->image->thread_count; i++)
		if (task->image->threads[i].core->thread_core->has_pdeath_sig)
			return true;
	return false;
}

/*
 * An orphan becomes a child of the first thread. Where that has ended it ends behind the forks, and leaves its children
 * to the next one; which counts as the end of a parent.
 */
static bool can_be_orphaned(const struct restore_task *task)
{
	const struct checked_task *parent = task->parent->image;

	return task->parent_thread == 0 ||
	       (task->parent_thread == 1 && parent && parent->leader_has_ended && !wants_death_signal(task));
}

/* The child was orphaned once; it is orphaned again. */
static int create_through_go_between(struct plan *plan, struct restore_task *task, struct restore_task *member,
				     struct error *err)
{
	struct restore_task *between;
	pid_t pid = 0;
	int r = find_free_pid(plan, &pid, err);

	if (r < 0)
		return r;
	between = add_helper(plan, pid, member->sid, member, err);
	if (!between)
		return err->code;
	between->make_group = false;
	between->pgid = member->pgid;
	between->go_between = true;
	between->orphan_target = task->parent;
	task->creator = between;
	task->parent_thread = 0;
	if (task->parent->pid != 1)
		task->parent->subreaper_meanwhile = true;
	return 0;
}

static int find_creator(struct plan *plan, struct restore_task *task, struct error *err)
{
	struct restore_task *parent = task->parent, *leader;
	pid_t need = plan->births[task->index];

	leader = find_task(plan, need);
	if (!leader && need != PLAN_CALLERS) {
		leader = make_session_helper(plan, task, err);
		if (!leader)
			return err->code;
	}
	if (is_sibling_leader(parent, leader) && task->parent_thread == leader->parent_thread) {
		if (task->exit_signal != leader->exit_signal)
			return error_say(
			    err, -EOPNOTSUPP,
			    "pid %d cannot be created by its sibling %d: its parent gets another signal at "
			    "its end",
			    task->pid, leader->pid);
		task->creator = leader;
		task->as_sibling = true;
		return 0;
	}
	if (leader && is_ancestor(parent, leader) && can_be_orphaned(task))
		return create_through_go_between(plan, task, leader, err);
	return error_say(err, -EOPNOTSUPP,
			 "pid %d cannot become a child of %s%d in session %d, where its parent never was", task->pid,
			 task->parent_thread ? "another thread than the first one of " : "", parent->pid, need);
}

/* Not with the parent, but perhaps with a sibling. */
static bool may_share_with_sibling(const struct restore_task *task, const struct restore_task *parent)
{
	return !task->is_zombie && !task->vfork_parent && task->image && task->image->fds && parent->image &&
	       parent->image->fds != task->image->fds;
}

/* The parent itself, after setsid() or before it. */
static bool is_created_by_parent(struct plan *plan, struct restore_task *task)
{
	struct restore_task *parent = task->parent;
	pid_t *need = &plan->births[task->index];

	if (*need == ANY_SESSION)
		*need = parent->sid;
	if (*need == parent->sid) {
		task->creator = parent;
	} else if (*need == plan->births[parent->index]) {
		task->creator = parent;
		task->before_setsid = true;
	}
	return task->creator;
}

/* A descriptor table can only be given to who one creates: that of a sibling by that sibling, in the session it has. */
static bool is_created_by_user_of_table(struct plan *plan, struct restore_task *task)
{
	const struct restore_task *parent = task->parent;
	pid_t *need = &plan->births[task->index];

	if (!may_share_with_sibling(task, parent))
		return false;
	for (size_t i = 0; i < parent->child_count && parent->children[i] != task; i++) {
		struct restore_task *sibling = parent->children[i];

		if (sibling->is_zombie || sibling->image->fds != task->image->fds || sibling->vfork_parent ||
		    sibling->parent_thread != task->parent_thread || sibling->exit_signal != task->exit_signal ||
		    (*need != ANY_SESSION && *need != sibling->sid))
			continue;
		*need = sibling->sid;
		task->creator = sibling;
		task->as_sibling = true;
		return true;
	}
	return false;
}

/* Who may be born into any session, and is older than one that the parent can only create before setsid(): likewise. */
static void find_early_children(struct plan *plan, const struct restore_task *parent)
{
	const pid_t early = plan->births[parent->index];
	bool is_early = false;

	for (size_t i = parent->child_count; i-- > 0 && early != ANY_SESSION && early != parent->sid;) {
		pid_t *need = &plan->births[parent->children[i]->index];

		is_early = is_early || *need == early;
		if (*need == ANY_SESSION && is_early)
			*need = early;
	}
}

/* The difficult ones come after all others, so that a helper finds everybody who needs it. */
static int find_creators(struct plan *plan, struct error *err)
{
	struct restore *r = plan->r;

	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *task = r->tasks[i];

		task->make_session = leads_session(task);
		task->make_group = !task->make_session && task->pgid == task->pid;
		if (i > 0 && !is_created_by_user_of_table(plan, task))
			(void)is_created_by_parent(plan, task);
		find_early_children(plan, task);
	}
	for (size_t i = 1; i < plan->by_pid_count; i++) {
		int result = r->tasks[i]->creator ? 0 : find_creator(plan, r->tasks[i], err);

		if (result < 0)
			return result;
	}
	return 0;
}

/* Who can create the helper that leads a dead group: someone who is in its session. */
static struct restore_task *find_group_creator(const struct restore *r, const struct restore_task *member)
{
	if (!member->is_zombie)
		return (struct restore_task *)member;
	for (size_t i = 0; i < r->task_count - r->helper_count; i++)
		if (!r->tasks[i]->is_zombie && r->tasks[i]->sid == member->sid)
			return r->tasks[i];
	return NULL;
}

/* Whoever has made a group can leave it to others, but makes it again only to stay in it. */
static int check_group(const struct restore_task *task, const struct restore_task *leader, struct error *err)
{
	if (leader->sid != task->sid)
		return error_say(err, -EBADMSG, "pid %d is in group %d, which is not one of session %d", task->pid,
				 task->pgid, task->sid);
	if (leader->pgid != leader->pid)
		return error_say(err, -EOPNOTSUPP, "pid %d is in group %d, whose leader has gone over to another group",
				 task->pid, task->pgid);
	return 0;
}

static int make_group_helpers(struct plan *plan, struct error *err)
{
	struct restore *r = plan->r;

	for (size_t i = 0; i < plan->by_pid_count; i++) {
		struct restore_task *task = r->tasks[i], *creator, *leader;
		int result;

		if (task->pgid == PLAN_CALLERS || task->pgid == task->pid)
			continue;
		leader = find_task(plan, task->pgid);
		if (leader) {
			result = check_group(task, leader, err);
			if (result < 0)
				return result;
			continue;
		}
		creator = find_group_creator(r, task);
		if (!creator)
			return error_say(err, -EOPNOTSUPP, "pid %d: nobody alive can make its process group %d",
					 task->pid, task->pgid);
		if (!add_helper(plan, task->pgid, task->sid, creator, err))
			return err->code;
	}
	return 0;
}

static bool is_subreaper(const struct restore_task *task)
{
	const TaskCoreEntry *tc = task->image ? task->image->threads[0].core->tc : NULL;

	return task->subreaper_meanwhile || (tc && tc->has_child_subreaper && tc->child_subreaper);
}

/*
 * An orphan goes to the nearest subreaper. Whoever is to be one, meanwhile or in the end, on the way up to the one that
 * is meant, becomes it only behind the end of the go-between; which must not wait for it in turn.
 */
static int let_orphans_pass(struct restore *r, struct error *err)
{
	for (size_t i = r->task_count - r->helper_count; i < r->task_count; i++) {
		const struct restore_task *between = r->tasks[i], *below = NULL, *target = between->orphan_target;

		for (struct restore_task *at = between->parent; target && at && at != target; at = at->parent) {
			if (at->subreaper_meanwhile && below && below->creator->go_between)
				return error_say(err, -EOPNOTSUPP,
						 "pids %d and %d were orphaned in an order that cannot be repeated",
						 below->pid, target->pid);
			at->passing_orphans += is_subreaper(at);
			below = at;
		}
	}
	return 0;
}

static int depth_of(const struct restore_task *task)
{
	int depth = 0;

	for (; task->parent; task = task->parent)
		depth++;
	return depth;
}

/* Orphans that go further up come first: the others wait until those have passed. */
static void order_go_betweens(struct restore_task *creator)
{
	for (size_t i = 1; i < creator->created_count; i++)
		for (size_t k = i; k > 0; k--) {
			struct restore_task **pair = &creator->created[k - 1], *first = pair[0];

			if (!pair[0]->go_between || !pair[1]->go_between ||
			    depth_of(pair[0]->orphan_target) <= depth_of(pair[1]->orphan_target))
				break;
			pair[0] = pair[1];
			pair[1] = first;
		}
}

/* A helper that creates siblings comes before the first one of them. */
static void append_created(struct restore_task *task, bool before_setsid)
{
	struct restore_task *creator = task->creator;

	if (task->before_setsid != before_setsid || task->is_listed)
		return;
	if (task->as_sibling && creator->is_helper)
		append_created(creator, before_setsid);
	creator->created[creator->created_count++] = task;
	task->is_listed = true;
}

static int order_created(struct restore *r, struct error *err)
{
	for (size_t i = 1; i < r->task_count; i++)
		r->tasks[i]->creator->created_count++;
	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *task = r->tasks[i];

		if (!task->created_count)
			continue;
		task->created = calloc(task->created_count, sizeof(*task->created));
		if (!task->created)
			return error_set(err, -ENOMEM, "process tree");
		task->created_count = 0;
	}
	for (int before = 1; before >= 0; before--)
		for (size_t i = 1; i < r->task_count; i++)
			append_created(r->tasks[i], before);
	for (size_t i = 0; i < r->task_count; i++)
		order_go_betweens(r->tasks[i]);
	return 0;
}

static int check_reached(const struct restore *r, struct error *err)
{
	AUTO_FREE struct restore_task **queue = calloc(r->task_count, sizeof(*queue));
	size_t done = 0, queued = 0;

	if (!queue)
		return error_set(err, -ENOMEM, "process tree");
	queue[queued++] = r->tasks[0];
	while (done < queued) {
		const struct restore_task *task = queue[done++];

		for (size_t i = 0; i < task->created_count; i++)
			queue[queued++] = task->created[i];
	}
	if (queued == r->task_count)
		return 0;
	return error_say(err, -EOPNOTSUPP, "sessions of the process tree depend on each other in a circle");
}

/* The group a task finds itself in, in the order of creation: creators first. */
static int find_birth_groups(struct plan *plan, struct error *err)
{
	struct restore *r = plan->r;
	AUTO_FREE struct restore_task **queue = calloc(r->task_count, sizeof(*queue));
	size_t done = 0, queued = 0;

	plan->birth_groups = calloc(r->task_count, sizeof(pid_t));
	if (!queue || !plan->birth_groups)
		return error_set(err, -ENOMEM, "process tree");
	queue[queued++] = r->tasks[0];
	plan->birth_groups[0] = PLAN_CALLERS;
	while (done < queued) {
		const struct restore_task *task = queue[done++];
		bool leads_group = task->make_session || task->make_group;

		for (size_t i = 0; i < task->created_count; i++) {
			struct restore_task *next = task->created[i];

			plan->birth_groups[next->index] =
			    leads_group && !next->before_setsid ? task->pid : plan->birth_groups[task->index];
			queue[queued++] = next;
		}
	}
	return 0;
}

static void find_joiners(struct plan *plan)
{
	struct restore *r = plan->r;

	for (size_t i = 0; i < r->task_count; i++) {
		struct restore_task *task = r->tasks[i], *leader;

		if (task->go_between || task->make_session || task->make_group || task->pgid == plan->birth_groups[i])
			continue;
		task->join_group = true;
		leader = task->group_leader = find_task(plan, task->pgid);
		if (leader)
			leader->is_waited_for = true;
	}
}

static int run_passes(struct plan *plan, struct error *err)
{
	int r = link_children(plan->r, err);

	if (r == 0)
		r = collect_threads(plan, err);
	if (r < 0)
		return r;
	r = rename_callers(plan->r, err);
	if (r == 0)
		r = index_tasks(plan, err);
	if (r < 0)
		return r;
	find_needs(plan);
	r = find_creators(plan, err);
	if (r == 0)
		r = make_group_helpers(plan, err);
	if (r == 0)
		r = order_created(plan->r, err);
	if (r == 0)
		r = let_orphans_pass(plan->r, err);
	if (r == 0)
		r = check_reached(plan->r, err);
	if (r == 0)
		r = find_birth_groups(plan, err);
	if (r == 0)
		find_joiners(plan);
	return r < 0 ? r : birth_order_make(plan->r, err);
}

int tree_plan_make(struct restore *r, bool (*pid_in_use)(pid_t pid), struct error *err)
{
	struct plan plan = { .r = r, .pid_in_use = pid_in_use, .next_free = 32000 };
	int result = run_passes(&plan, err);

	free(plan.by_pid);
	free(plan.births);
	free(plan.birth_groups);
	free(plan.foreign_ids);
	return result;
}

struct restore_task **restore_order(const struct restore *r)
{
	struct restore_task **order = calloc(r->task_count, sizeof(struct restore_task *));
	size_t count = 1;

	if (!order)
		return NULL;
	order[0] = r->tasks[0];
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < order[i]->created_count; k++)
			order[count++] = order[i]->created[k];
	return order;
}

void tree_plan_log(const struct restore *r)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const struct restore_task *task = r->tasks[i];

		log_debug("plan: %d%s: by %d%s%s%s%s%s\n", task->pid,
			  task->go_between  ? " (go-between)"
			  : task->is_helper ? " (helper)"
			  : task->is_zombie ? " (zombie)"
					    : "",
			  task->creator ? task->creator->pid : 0, task->as_sibling ? " as sibling" : "",
			  task->before_setsid ? " before setsid" : "", task->make_session ? ", setsid" : "",
			  task->make_group ? ", makes its group" : "", task->join_group ? ", joins a group" : "");
	}
}
