/*
 * Namespaces of a tree: so far every task must live in ours, but for the time namespace (ns/time-ns.h); what does not
 * is refused by name.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "images/core.pb-c.h"
#include "kernel/proc-misc.h"
#include "task/task.h"

/* Our own namespaces, read once per run. */
int ns_read_own(struct proc_ns_ids *ret_own, struct error *err);

/* Look stage: may run for several tasks at once. */
int ns_look(const struct proc_ns_ids *own, struct task *task, struct error *err);

/* Of one that has ended and was not waited for: its credentials and numbers are those of its namespaces. */
int ns_look_zombie(const struct proc_ns_ids *own, struct task *task, struct error *err);

/* The time namespace of a tree that is not ours: its number in images. */
#define NS_ID_OTHER_TIME 9

/* The ids of our namespaces, the same in the inventory and in every task that lives in them. */
void ns_save_ids(const struct proc_ns_ids *own, TaskKobjIdsEntry *ids);
