/*
 * The plan walks the tree of creators twice. From below: who has to be born with a certain keyring, for somebody above
 * makes it. From above, in the order of creation: what each has when, and who makes what.
 */
#include "security/restore-keyring.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/restore.h"
#include "image/image-check.h"
#include "security/keyring.h"
#include "security/session-keyring.h"

#define UNNAMED          "_ses"      /* the kernel calls a session keyring so that was made without a name */
#define SEARCH_BY_OTHERS 0x00080808u /* of the rights of a key: not only by who possesses it */
#define KEY_TEXT_MOST    4096        /* of what it is described by */

enum kind {
	KEYRING_INITIAL, /* that of the worker, which the root is born with */
	KEYRING_SAVED,   /* made once, and shared by inheritance */
	KEYRING_REVOKED, /* as good as any other one that is */
	KEYRING_USERS,   /* that of a user: the process has it although it has become another user's */
	KEYRING_INSTEAD, /* in place of the user's own, to which there is no way back from a login session's */
};

struct session_keyring {
	enum kind kind;
	uint32_t number; /* KEYRING_SAVED, KEYRING_USERS: as the image has it; KEYRING_INSTEAD: the uid */
	const KeyringContents *contents;
	uint32_t holders;
	bool is_made;
};

struct session_keyrings {
	struct session_keyring *items;
	size_t count;
	int64_t own;                              /* see session_keyring_own() */
	struct restore_task **order;              /* creators before those whom they create */
	const struct session_keyring **inherited; /* by index */
	uint32_t *below;                          /* by index: how many have the keyring that is looked at */
};

/* --- who has which ----------------------------------------------------------------------------------------------- */

static const TaskCoreEntry *core_of(const struct restore_task *task)
{
	return task->image && !task->is_zombie ? task->image->threads[0].core->tc : NULL;
}

static const KeyringEntry *entry_of(const struct restore_task *task)
{
	const TaskCoreEntry *tc = core_of(task);

	return tc ? tc->session_keyring : task->keyring_entry;
}

static const KeyringContents *find_contents(const struct restore *r, uint32_t number)
{
	for (size_t i = 0; i < r->task_count; i++) {
		const KeyringEntry *entry = entry_of(r->tasks[i]);

		if (entry && entry->contents && entry->serial == number)
			return entry->contents;
	}
	return NULL;
}

/* There is room for one per task and that of the worker, and nobody moves them. */
static struct session_keyring *add(struct session_keyrings *all, enum kind kind, uint32_t number)
{
	all->items[all->count] = (struct session_keyring){ .kind = kind, .number = number };
	return &all->items[all->count++];
}

static struct session_keyring *find_or_add(struct session_keyrings *all, enum kind kind, uint32_t number)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->items[i].kind == kind && all->items[i].number == number)
			return &all->items[i];
	return add(all, kind, number);
}

static struct session_keyring *find_saved(const struct session_keyrings *all, uint32_t number)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->items[i].contents && all->items[i].number == number)
			return &all->items[i];
	return NULL;
}

static struct session_keyring *add_saved(const struct restore *r, const struct restore_task *task, uint32_t number,
					 struct error *err)
{
	const KeyringContents *contents = find_contents(r, number);
	struct session_keyring *keyring;
	uint32_t uid;

	if (!contents) {
		error_say(err, -EBADMSG, "pid %d: no image tells what is in its session keyring %u", task->pid, number);
		return NULL;
	}
	if (contents->unsaved) {
		error_hint(err, "it was saved for those who restore with that very keyring, in the same login session");
		error_say(err, -ENOTSUP, "pid %d: its session keyring \"%s\" was not saved: %s", task->pid,
			  contents->description, contents->unsaved);
		return NULL;
	}
	keyring = add(r->keyrings,
		      session_keyring_is_users(contents->description, &uid) ? KEYRING_USERS : KEYRING_SAVED, number);
	keyring->contents = contents;
	return keyring;
}

static void warn_of_substitute(const struct restore_task *task, const struct session_keyring *keyring)
{
	if (keyring->holders == 0)
		log_warn("pid %d: gets a session keyring of its own with that of user %u in it, for it had that of the "
			 "user, and criu runs in a session with another one\n",
			 task->pid, keyring->number);
}

/* Whose is to be there in a keyring of its own: nobody goes back to a user's from that of a login session. */
static bool needs_substitute(const struct restore *r, const struct restore_task *task, uint32_t *ret_uid)
{
	const KeyringEntry *entry = entry_of(task);
	const KeyringContents *contents = entry->serial && r->keyrings->own ? find_contents(r, entry->serial) : NULL;

	if (entry->serial)
		return contents && session_keyring_is_users(contents->description, ret_uid);
	*ret_uid = task->image->threads[0].core->thread_core->creds->uid;
	return true;
}

static int choose(struct restore *r, struct restore_task *task, struct error *err)
{
	struct session_keyrings *all = r->keyrings;
	const KeyringEntry *entry = entry_of(task);
	struct session_keyring *keyring;
	uint32_t uid;

	if (!entry)
		return 0;
	if (entry->revoked ? all->own == -EKEYREVOKED : entry->serial == all->own) {
		keyring = find_or_add(all, KEYRING_INITIAL, 0);
	} else if (entry->revoked) {
		keyring = find_or_add(all, KEYRING_REVOKED, 0);
	} else if (needs_substitute(r, task, &uid)) {
		keyring = find_or_add(all, KEYRING_INSTEAD, uid);
		warn_of_substitute(task, keyring);
	} else {
		keyring = find_saved(all, entry->serial);
		if (!keyring)
			keyring = add_saved(r, task, entry->serial, err);
		if (!keyring)
			return err->code;
	}
	keyring->holders++;
	task->keyring = keyring;
	return 0;
}

/* --- the plan ---------------------------------------------------------------------------------------------------- */

static int impossible(const struct restore_task *task, const struct session_keyring *keyring, struct error *err)
{
	return error_say(err, -EOPNOTSUPP,
			 "pid %d cannot get %s\"%s\" again: no order in which processes are created gives it to all "
			 "who had it, or lets them change theirs",
			 task->pid, keyring->contents ? "session keyring " : "",
			 keyring->contents ? keyring->contents->description : "the session keyring of its user");
}

/* A user's can be had by whoever is born with that of the worker; or with itself. */
static bool needs_at_birth(const struct restore_task *task, const struct session_keyring *keyring)
{
	return task->keyring == keyring ||
	       (keyring->kind == KEYRING_INITIAL && task->keyring && task->keyring->kind == KEYRING_USERS &&
		(!task->creator || task->creator->keyring != task->keyring));
}

/* Made above those below whom not all have it. */
static int plan_births(const struct restore *r, const struct session_keyring *keyring, struct error *err)
{
	struct session_keyrings *all = r->keyrings;

	if (keyring->kind != KEYRING_INITIAL && keyring->kind != KEYRING_SAVED)
		return 0;
	memset(all->below, 0, r->task_count * sizeof(*all->below));
	for (size_t i = r->task_count; i-- > 0;) {
		struct restore_task *task = all->order[i];
		uint32_t *count = &all->below[task->index];

		*count += needs_at_birth(task, keyring);
		if (task->creator)
			all->below[task->creator->index] += *count;
		if (*count == 0 || (keyring->kind == KEYRING_SAVED && *count == keyring->holders))
			continue;
		if (task->birth_keyring)
			return impossible(task, keyring, err);
		task->birth_keyring = keyring;
	}
	return 0;
}

static bool has_early_threads(const struct restore_task *task)
{
	for (size_t i = 0; i < task->created_count; i++)
		if (task->created[i]->parent_thread && task->created[i]->creator == task->created[i]->parent)
			return true;
	return false;
}

static int plan_change(struct restore *r, const struct restore_task *task, const struct session_keyring **current,
		       const struct session_keyring *wanted, bool may_change, struct error *err)
{
	struct session_keyring *keyring = wanted ? &r->keyrings->items[wanted - r->keyrings->items] : NULL;

	if (!wanted || wanted == *current)
		return 0;
	if (!may_change || wanted->kind == KEYRING_INITIAL || (wanted->kind == KEYRING_SAVED && wanted->is_made) ||
	    (wanted->kind == KEYRING_USERS && ((*current && (*current)->kind != KEYRING_INITIAL) || r->keyrings->own)))
		return impossible(task, wanted, err);
	keyring->is_made = true;
	*current = wanted;
	return 0;
}

/* The threads that create its children are there from the start. */
static int plan_changes(struct restore *r, struct restore_task *task, struct error *err)
{
	const struct session_keyring *current = r->keyrings->inherited[task->index];
	const bool is_flexible = !has_early_threads(task);
	int result;

	for (size_t i = 0; i < task->created_count && !task->first_keyring; i++)
		task->first_keyring = task->created[i]->birth_keyring;
	if (!task->first_keyring)
		task->first_keyring = task->keyring;
	result = plan_change(r, task, &current, task->first_keyring, true, err);
	for (size_t i = 0; result == 0 && i < task->created_count; i++) {
		struct restore_task *next = task->created[i];

		/* It comes last, and is like its parent. */
		if (next->vfork_parent)
			continue;
		result = plan_change(r, task, &current, next->birth_keyring, is_flexible, err);
		r->keyrings->inherited[next->index] = current;
	}
	if (result == 0)
		result = plan_change(r, task, &current, task->keyring, is_flexible, err);
	if (result == 0 && task->vfork_child)
		r->keyrings->inherited[task->vfork_child->index] = current;
	return result;
}

static int make_room(struct restore *r)
{
	struct session_keyrings *all = r->keyrings;

	all->items = calloc(r->task_count + 1, sizeof(*all->items));
	all->order = restore_order(r);
	all->inherited = calloc(r->task_count, sizeof(struct session_keyring *));
	all->below = calloc(r->task_count, sizeof(*all->below));
	return all->items && all->order && all->inherited && all->below ? 0 : -ENOMEM;
}

static bool is_told(const struct restore *r)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (entry_of(r->tasks[i]))
			return true;
	return false;
}

static bool is_needed(const struct session_keyrings *all)
{
	return all->count > 1 || (all->count == 1 && all->items[0].kind != KEYRING_INITIAL);
}

int restore_keyrings_plan(struct restore *r, int64_t own, struct error *err)
{
	int result;

	if (!is_told(r))
		return 0;
	r->keyrings = calloc(1, sizeof(*r->keyrings));
	result = r->keyrings ? make_room(r) : -ENOMEM;
	if (result < 0)
		return error_set(err, result, "process tree");
	/* Without keyrings in the kernel, or with calls for them forbidden, there is nothing but the user's. */
	r->keyrings->own = own < 0 && own != -EKEYREVOKED ? 0 : own;
	for (size_t i = 0; i < r->task_count && result == 0; i++)
		result = choose(r, r->tasks[i], err);
	if (result < 0)
		return result;
	if (!is_needed(r->keyrings)) {
		for (size_t i = 0; i < r->task_count; i++)
			r->tasks[i]->keyring = NULL;
		return 0;
	}
	r->current_keyring = r->keyrings->inherited[0] = find_or_add(r->keyrings, KEYRING_INITIAL, 0);
	for (size_t i = 0; i < r->keyrings->count && result == 0; i++)
		result = plan_births(r, &r->keyrings->items[i], err);
	for (size_t i = 0; i < r->task_count && result == 0; i++)
		result = plan_changes(r, r->keyrings->order[i], err);
	return result;
}

void restore_keyrings_free(struct restore *r)
{
	if (!r->keyrings)
		return;
	free(r->keyrings->items);
	free(r->keyrings->order);
	free(r->keyrings->inherited);
	free(r->keyrings->below);
	free(r->keyrings);
	r->keyrings = NULL;
}

bool restore_keyring_is_same(const struct restore_task *task, const struct restore_task *creator)
{
	const TaskCoreEntry *tc = core_of(task);

	return task->keyring == creator->keyring && task->first_keyring == task->keyring &&
	       !(tc && tc->process_keyring);
}

/* --- making them ------------------------------------------------------------------------------------------------- */

static int64_t keyctl(int operation, uint64_t first, uint64_t second, uint64_t third)
{
	long r = syscall(SYS_keyctl, operation, first, second, third, 0);

	return r < 0 ? -errno : r;
}

/* Users' keyrings are those of the real uid. The others stay, and the capabilities with them. */
static int64_t keyctl_as(uint32_t uid, int operation, uint64_t first, uint64_t second)
{
	const uid_t own = getuid();
	int64_t result;

	if (uid == own)
		return keyctl(operation, first, second, 0);
	if (syscall(SYS_setresuid, uid, -1, -1) < 0)
		return -errno;
	result = keyctl(operation, first, second, 0);
	if (syscall(SYS_setresuid, own, -1, -1) < 0)
		return -errno;
	return result;
}

static int64_t link_users(const char *description, uint64_t keyring)
{
	uint32_t uid;

	if (session_keyring_is_users(description, &uid))
		return keyctl_as(uid, KEYCTL_LINK, (uint64_t)KEY_SPEC_USER_SESSION_KEYRING, keyring);
	if (sscanf(description, "_uid.%u", &uid) == 1)
		return keyctl_as(uid, KEYCTL_LINK, (uint64_t)KEY_SPEC_USER_KEYRING, keyring);
	if (sscanf(description, "_persistent.%u", &uid) == 1)
		return keyctl(KEYCTL_GET_PERSISTENT, uid, keyring, 0);
	return -EOPNOTSUPP;
}

static int64_t give_away(uint64_t key, uint32_t uid, uint32_t gid, uint32_t perm)
{
	int64_t r = uid != geteuid() || gid != getegid() ? keyctl(KEYCTL_CHOWN, key, uid, gid) : 0;

	return r < 0 ? r : keyctl(KEYCTL_SETPERM, key, perm, 0);
}

static int add_key(const KeyEntry *key, int64_t keyring, const char *name, struct error *err)
{
	int64_t r;

	if (strcmp(key->type, "keyring") == 0) {
		r = link_users(key->description, (uint64_t)keyring);
	} else {
		r = syscall(SYS_add_key, key->type, key->description, key->payload.data, key->payload.len, keyring);
		r = r < 0 ? -errno : give_away((uint64_t)r, key->uid, key->gid, key->perm);
	}
	return r < 0 ? error_set(err, (int)r, "keyring \"%s\": give it key \"%s\" of type %s", name, key->description,
				 key->type)
		     : 0;
}

/* As long as they are few the first one stays the first, and each goes before those that came behind it. */
static int fill(int64_t keyring, const KeyringContents *contents, struct error *err)
{
	int64_t r;

	for (size_t i = 0; i < contents->n_keys; i++) {
		int result = add_key(contents->keys[i ? contents->n_keys - i : 0], keyring, contents->description, err);

		if (result < 0)
			return result;
	}
	r = give_away((uint64_t)keyring, contents->uid, contents->gid, contents->perm);
	return r < 0 ? error_set(err, (int)r, "keyring \"%s\": give it its owner and rights", contents->description)
		     : 0;
}

/*
 * By its name one that is there already may be found: only if it lets others search in it, which a new one does not.
 * Whoever made it may wait for keys that come into it. "type;uid;gid;perm;description"
 */
static bool is_new(int64_t keyring, uint32_t *ret_uid)
{
	char text[64 + KEY_TEXT_MOST];
	uint32_t perm = 0;

	*ret_uid = UINT32_MAX;
	return keyctl(KEYCTL_DESCRIBE, (uint64_t)keyring, (uint64_t)(uintptr_t)text, sizeof(text)) > 0 &&
	       sscanf(text, "%*[^;];%u;%*u;%x;", ret_uid, &perm) == 2 && *ret_uid == getuid() &&
	       !(perm & SEARCH_BY_OTHERS);
}

/* The very one is as it should be, and so is one that has nothing in it and gets nothing. */
static int make_saved(const struct session_keyring *wanted, struct error *err)
{
	const char *name = wanted->contents->description;
	int64_t keyring =
	    keyctl(KEYCTL_JOIN_SESSION_KEYRING, strcmp(name, UNNAMED) == 0 ? 0 : (uint64_t)(uintptr_t)name, 0, 0);
	uint32_t uid;

	if (keyring < 0)
		return error_set(err, (int)keyring, "make session keyring \"%s\"", name);
	if (keyring == wanted->number)
		return 0;
	if (is_new(keyring, &uid))
		return fill(keyring, wanted->contents, err);
	if (uid == wanted->contents->uid && !wanted->contents->n_keys &&
	    keyctl(KEYCTL_READ, (uint64_t)keyring, 0, 0) == 0)
		return 0;
	error_hint(err, "it goes with the last process that has it: see /proc/keys");
	return error_say(err, -EEXIST, "make session keyring \"%s\": there is another one of that name, of user %u",
			 name, uid);
}

static int make(const struct session_keyring *wanted, struct error *err)
{
	int64_t r = 0;

	switch (wanted->kind) {
	case KEYRING_INITIAL:
		break;
	case KEYRING_SAVED:
		return make_saved(wanted, err);
	case KEYRING_REVOKED:
		r = keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0);
		if (r >= 0)
			r = keyctl(KEYCTL_REVOKE, (uint64_t)KEY_SPEC_SESSION_KEYRING, 0, 0);
		break;
	case KEYRING_USERS: {
		uint32_t uid = 0;

		(void)session_keyring_is_users(wanted->contents->description, &uid);
		r = keyctl_as(uid, KEYCTL_GET_KEYRING_ID, (uint64_t)KEY_SPEC_SESSION_KEYRING, 0);
		break;
	}
	case KEYRING_INSTEAD:
		r = keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0);
		if (r >= 0)
			r = keyctl_as(wanted->number, KEYCTL_LINK, (uint64_t)KEY_SPEC_USER_KEYRING,
				      (uint64_t)KEY_SPEC_SESSION_KEYRING);
		break;
	}
	return r < 0 ? error_set(err, (int)r, "get its session keyring") : 0;
}

int restore_keyring_enter(struct restore *r, const struct session_keyring *wanted, struct error *err)
{
	int result;

	if (!wanted || wanted == r->current_keyring)
		return 0;
	result = make(wanted, err);
	if (result == 0)
		r->current_keyring = wanted;
	return result;
}

int restore_process_keyring(const struct restore_task *task, struct error *err)
{
	const TaskCoreEntry *tc = core_of(task);
	int64_t keyring;

	if (!tc || !tc->process_keyring || !tc->process_keyring->contents)
		return 0;
	keyring = keyctl(KEYCTL_GET_KEYRING_ID, (uint64_t)KEY_SPEC_PROCESS_KEYRING, 1, 0);
	if (keyring < 0)
		return error_set(err, (int)keyring, "make its process keyring");
	return fill(keyring, tc->process_keyring->contents, err);
}
