/* Credentials of a thread: ids, groups, the five capability sets, securebits, no_new_privs. */
#include <errno.h>

#include "task/core-save.h"
#include "task/task-look.h"
#include "pie/parasite-border.h"

static uint32_t *split_capabilities(uint64_t set, struct arena *arena)
{
	const uint32_t words[2] = { (uint32_t)set, (uint32_t)(set >> 32) };

	return arena_memdup(arena, words, sizeof(words));
}

/* What everybody can see; groups are those of the status. */
static CredsEntry *describe(const struct proc_status *status, struct arena *arena)
{
	CredsEntry *creds = arena_alloc(arena, sizeof(*creds));

	if (!creds)
		return NULL;
	creds_entry__init(creds);
	creds->uid = status->uid[UID_REAL];
	creds->euid = status->uid[UID_EFFECTIVE];
	creds->suid = status->uid[UID_SAVED];
	creds->fsuid = status->uid[UID_FS];
	creds->gid = status->gid[UID_REAL];
	creds->egid = status->gid[UID_EFFECTIVE];
	creds->sgid = status->gid[UID_SAVED];
	creds->fsgid = status->gid[UID_FS];
	creds->groups = status->groups;
	creds->n_groups = status->group_count;
	creds->cap_inh = split_capabilities(status->cap_inh, arena);
	creds->cap_prm = split_capabilities(status->cap_prm, arena);
	creds->cap_eff = split_capabilities(status->cap_eff, arena);
	creds->cap_bnd = split_capabilities(status->cap_bnd, arena);
	creds->cap_amb = split_capabilities(status->cap_amb, arena);
	if (!creds->cap_inh || !creds->cap_prm || !creds->cap_eff || !creds->cap_bnd || !creds->cap_amb)
		return NULL;
	creds->n_cap_inh = creds->n_cap_prm = creds->n_cap_eff = creds->n_cap_bnd = creds->n_cap_amb = 2;
	if (status->no_new_privs > 0) {
		creds->has_no_new_privs = true;
		creds->no_new_privs = 1;
	}
	return creds;
}

int creds_save_zombie(const struct proc_status *status, TaskCoreEntry *tc, struct arena *arena)
{
	tc->ended_creds = describe(status, arena);
	return tc->ended_creds ? 0 : -ENOMEM;
}

int creds_save(const struct task_thread *thread, ThreadCoreEntry *tc, struct arena *arena)
{
	CredsEntry *creds = describe(&thread->status, arena);

	if (!creds)
		return -ENOMEM;
	creds->secbits = thread->parasite->securebits > 0 ? (uint32_t)thread->parasite->securebits : 0;
	if (thread->parasite->no_new_privs > 0) {
		creds->has_no_new_privs = true;
		creds->no_new_privs = 1;
	}
	tc->creds = creds;
	return 0;
}
