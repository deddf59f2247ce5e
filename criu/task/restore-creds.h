/*
 * Credentials of restored threads: which calls lead from what the restorer has to what the image says. Nothing is
 * called for what is equal already, so that an ordinary restore on an ordinary system changes nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "images/creds.pb-c.h"
#include "pie/restorer-border.h"

struct restore;

/* What the worker, and so each new process, has. */
struct own_creds {
	uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	uint32_t securebits, no_new_privs;
	uint32_t *groups; /* sorted, malloc()ed */
	uint32_t group_count;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
};

int own_creds_read(struct own_creds *ret);
void own_creds_done(struct own_creds *own);

/* "cap_setuid, cap_kill": the capabilities of a set, as far as they fit. */
void restore_creds_name(uint64_t set, char *text, size_t size);

/* Open stage: refuses capabilities and ids that cannot be given. who is "pid 12" or "thread 13". */
int restore_creds_check(const struct own_creds *own, const CredsEntry *entry, const char *who, struct error *err);

/* Fills ret; groups go to the area. */
int restore_creds_plan(struct restore *r, const struct own_creds *own, const CredsEntry *entry,
		       struct restorer_creds *ret, struct error *err);
