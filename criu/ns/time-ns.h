/*
 * The clocks CLOCK_MONOTONIC and CLOCK_BOOTTIME, which a program takes for granted to run forward, and the time
 * namespaces (Linux 5.6) that shift them.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "kernel/proc-misc.h"

struct dump;
struct image_set;
struct restore;

/* Look stage, when the namespaces of all tasks are known: one time namespace for the whole tree, ours or another one.
 */
void time_ns_look(struct dump *d, const struct proc_ns_ids *own);

/* Save stage: what the clocks of the tree show. */
int time_ns_save(const struct dump *d, struct image_set *set, struct error *err);

/* Open stage: whether the tree needs a time namespace, and may have one here. */
int time_ns_check(struct restore *r, struct error *err);

/*
 * Around the creation of the root: what is created in between lives in the namespace that is needed, if one is.
 * *ret_fd leads back; -1 where nothing was done.
 */
int time_ns_enter(const struct restore *r, int *ret_fd, struct error *err);
void time_ns_leave(int *fd);
