/*
 * Capabilities cannot be gained: a set that holds one the restorer lacks is refused by name, except for the bounding
 * set, where a missing one takes nothing away from what the task has now; that is logged. The order of the calls is in
 * the restorer blob.
 */
#include "task/restore-creds.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/restore.h"
#include "kernel/proc-pid.h"
#include "kernel/proc-status.h"
#include "mm/restore-area.h"

static const char *const capability_names[] = {
	"chown",
	"dac_override",
	"dac_read_search",
	"fowner",
	"fsetid",
	"kill",
	"setgid",
	"setuid",
	"setpcap",
	"linux_immutable",
	"net_bind_service",
	"net_broadcast",
	"net_admin",
	"net_raw",
	"ipc_lock",
	"ipc_owner",
	"sys_module",
	"sys_rawio",
	"sys_chroot",
	"sys_ptrace",
	"sys_pacct",
	"sys_admin",
	"sys_boot",
	"sys_nice",
	"sys_resource",
	"sys_time",
	"sys_tty_config",
	"mknod",
	"lease",
	"audit_write",
	"audit_control",
	"setfcap",
	"mac_override",
	"mac_admin",
	"syslog",
	"wake_alarm",
	"block_suspend",
	"audit_read",
	"perfmon",
	"bpf",
	"checkpoint_restore",
};

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int own_creds_read(struct own_creds *ret)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };
	AUTO_CLOSE int procfd = proc_open(0);
	int r = procfd < 0 ? procfd : proc_status_read(procfd, "status", &status);

	if (r < 0)
		return r;
	*ret = (struct own_creds){
		.uid = status.uid[UID_REAL],
		.euid = status.uid[UID_EFFECTIVE],
		.suid = status.uid[UID_SAVED],
		.fsuid = status.uid[UID_FS],
		.gid = status.gid[UID_REAL],
		.egid = status.gid[UID_EFFECTIVE],
		.sgid = status.gid[UID_SAVED],
		.fsgid = status.gid[UID_FS],
		.securebits = (uint32_t)prctl(PR_GET_SECUREBITS),
		.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
		.cap_inh = status.cap_inh,
		.cap_prm = status.cap_prm,
		.cap_eff = status.cap_eff,
		.cap_bnd = status.cap_bnd,
		.cap_amb = status.cap_amb,
		.group_count = (uint32_t)status.group_count,
	};
	ret->groups = calloc(ret->group_count + 1, sizeof(*ret->groups));
	if (!ret->groups)
		return -ENOMEM;
	if (ret->group_count)
		memcpy(ret->groups, status.groups, ret->group_count * sizeof(*ret->groups));
	qsort(ret->groups, ret->group_count, sizeof(*ret->groups), compare_ids);
	return 0;
}

void own_creds_done(struct own_creds *own)
{
	free(own->groups);
	own->groups = NULL;
}

static uint64_t capability_set(size_t count, const uint32_t *words)
{
	return (count > 0 ? words[0] : 0) | (uint64_t)(count > 1 ? words[1] : 0) << 32;
}

void restore_creds_name(uint64_t set, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < 64 && used + 1 < size; i++) {
		if (!(set >> i & 1))
			continue;
		if (i < sizeof(capability_names) / sizeof(*capability_names))
			used += (size_t)snprintf(text + used, size - used, "%scap_%s", used ? ", " : "",
						 capability_names[i]);
		else
			used += (size_t)snprintf(text + used, size - used, "%scapability %u", used ? ", " : "", i);
	}
}

static bool has_same_groups(const struct own_creds *own, const uint32_t *groups, size_t count)
{
	return own->group_count == count && (count == 0 || memcmp(own->groups, groups, count * sizeof(*groups)) == 0);
}

/* malloc()ed; NULL without memory. */
static uint32_t *sorted_groups(const CredsEntry *entry)
{
	uint32_t *sorted = calloc(entry->n_groups + 1, sizeof(*sorted));

	if (sorted && entry->n_groups)
		memcpy(sorted, entry->groups, entry->n_groups * sizeof(*sorted));
	if (sorted)
		qsort(sorted, entry->n_groups, sizeof(*sorted), compare_ids);
	return sorted;
}

static bool is_own_id(uint32_t id, uint32_t real, uint32_t effective, uint32_t saved)
{
	return id == real || id == effective || id == saved;
}

static bool can_take_user_ids(const struct own_creds *own, const CredsEntry *entry)
{
	return is_own_id(entry->uid, own->uid, own->euid, own->suid) &&
	       is_own_id(entry->euid, own->uid, own->euid, own->suid) &&
	       is_own_id(entry->suid, own->uid, own->euid, own->suid) &&
	       is_own_id(entry->fsuid, own->uid, own->euid, own->suid);
}

static bool can_take_group_ids(const struct own_creds *own, const CredsEntry *entry)
{
	return is_own_id(entry->gid, own->gid, own->egid, own->sgid) &&
	       is_own_id(entry->egid, own->gid, own->egid, own->sgid) &&
	       is_own_id(entry->sgid, own->gid, own->egid, own->sgid) &&
	       is_own_id(entry->fsgid, own->gid, own->egid, own->sgid);
}

/*
 * What it takes to become the process, and to trace and, should the restore fail, end a process that has become
 * somebody else.
 */
static uint64_t rights_to_become(const struct own_creds *own, const CredsEntry *entry)
{
	AUTO_FREE uint32_t *sorted = sorted_groups(entry);
	uint64_t needed = 0;

	if (!can_take_user_ids(own, entry))
		needed |= 1ull << CAP_SETUID | 1ull << CAP_KILL;
	if (!can_take_group_ids(own, entry) || (sorted && !has_same_groups(own, sorted, entry->n_groups)))
		needed |= 1ull << CAP_SETGID;
	if (needed)
		needed |= 1ull << CAP_SYS_PTRACE;
	if ((entry->n_cap_bnd && own->cap_bnd & ~capability_set(entry->n_cap_bnd, entry->cap_bnd)) ||
	    own->securebits != entry->secbits)
		needed |= 1ull << CAP_SETPCAP;
	return needed;
}

int restore_creds_check(const struct own_creds *own, const CredsEntry *entry, const char *who, struct error *err)
{
	uint64_t wanted =
	    capability_set(entry->n_cap_prm, entry->cap_prm) | capability_set(entry->n_cap_eff, entry->cap_eff);
	uint64_t bounding = capability_set(entry->n_cap_bnd, entry->cap_bnd);
	uint64_t missing = rights_to_become(own, entry) & ~own->cap_eff;
	char names[512];

	if (wanted & ~own->cap_prm) {
		restore_creds_name(wanted & ~own->cap_prm, names, sizeof(names));
		error_hint(err, "restore with these capabilities");
		return error_say(err, -EPERM, "%s has capabilities that cannot be given here: %s", who, names);
	}
	if (missing) {
		restore_creds_name(missing, names, sizeof(names));
		error_hint(err, "restore with these capabilities");
		return error_say(err, -EPERM, "%s: its ids and capabilities cannot be set here without %s", who, names);
	}
	if (own->no_new_privs && !(entry->has_no_new_privs && entry->no_new_privs)) {
		error_hint(err, "start criu from a process without it: setpriv --no-new-privs and NoNewPrivileges= of "
				"systemd set it for all that they start");
		return error_say(err, -EPERM, "%s: the restorer runs with no_new_privs, which cannot be taken back",
				 who);
	}
	if (bounding & ~own->cap_bnd) {
		restore_creds_name(bounding & ~own->cap_bnd, names, sizeof(names));
		log_warn("%s: its bounding set loses what is not there to give: %s\n", who, names);
	}
	return 0;
}

static bool has_same_ids(const struct own_creds *own, const CredsEntry *entry)
{
	return own->uid == entry->uid && own->euid == entry->euid && own->suid == entry->suid &&
	       own->fsuid == entry->fsuid && own->gid == entry->gid && own->egid == entry->egid &&
	       own->sgid == entry->sgid && own->fsgid == entry->fsgid;
}

static uint32_t needed_calls(const struct own_creds *own, const CredsEntry *entry, const struct restorer_creds *creds,
			     const uint32_t *groups)
{
	uint32_t needed = 0;

	if (own->cap_inh != creds->cap_inh || own->cap_prm != creds->cap_prm || own->cap_eff != creds->cap_eff)
		needed |= RESTORER_CREDS_CAPS;
	if (creds->cap_drop)
		needed |= RESTORER_CREDS_BOUNDING;
	if (own->cap_amb != creds->cap_amb)
		needed |= RESTORER_CREDS_AMBIENT | RESTORER_CREDS_CAPS;
	if (!has_same_groups(own, groups, entry->n_groups))
		needed |= RESTORER_CREDS_GROUPS;
	/* With ids changed, capabilities and secure bits are in play, too. */
	if (!has_same_ids(own, entry))
		needed |= RESTORER_CREDS_IDS | RESTORER_CREDS_CAPS | RESTORER_CREDS_SECUREBITS;
	if (own->securebits != entry->secbits)
		needed |= RESTORER_CREDS_SECUREBITS;
	if (entry->has_no_new_privs && entry->no_new_privs && !own->no_new_privs)
		needed |= RESTORER_CREDS_NO_NEW_PRIVS;
	return needed;
}

int restore_creds_plan(struct restore *r, const struct own_creds *own, const CredsEntry *entry,
		       struct restorer_creds *ret, struct error *err)
{
	AUTO_FREE uint32_t *sorted = sorted_groups(entry);

	*ret = (struct restorer_creds){
		.uid = entry->uid,
		.euid = entry->euid,
		.suid = entry->suid,
		.fsuid = entry->fsuid,
		.gid = entry->gid,
		.egid = entry->egid,
		.sgid = entry->sgid,
		.fsgid = entry->fsgid,
		.securebits = entry->secbits,
		.group_count = entry->n_groups,
		.cap_inh = capability_set(entry->n_cap_inh, entry->cap_inh),
		.cap_prm = capability_set(entry->n_cap_prm, entry->cap_prm),
		.cap_eff = capability_set(entry->n_cap_eff, entry->cap_eff),
		.cap_amb = capability_set(entry->n_cap_amb, entry->cap_amb),
		.cap_drop = own->cap_bnd & ~capability_set(entry->n_cap_bnd, entry->cap_bnd),
		.own_prm = own->cap_prm,
		.own_eff = own->cap_eff,
	};
	/* Sets of the oldest versions have no bounding set. */
	if (entry->n_cap_bnd == 0)
		ret->cap_drop = 0;
	ret->groups = area_memdup(r, entry->groups, entry->n_groups * sizeof(*entry->groups));
	if (!sorted || !ret->groups)
		return error_set(err, -ENOMEM, "credentials");
	ret->needed = needed_calls(own, entry, ret, sorted);
	return 0;
}
