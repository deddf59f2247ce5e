/*
 * Where descriptors of ours live while restored ones get their numbers: in a range that no table of the set uses, above
 * all of them where the limit of open files allows it, else in the largest gap that all tables have in common.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct restore;

/* Before anything is moved there. limit: of open files, for this process and all that it creates. */
int service_fds_place(struct restore *r, unsigned long limit, struct error *err);

/* How many descriptors there may be for the range to lie above all tables. */
unsigned long service_fds_wish(const struct restore *r);

/* How many more descriptors of ours there may be for a while, besides those that are always needed. */
size_t service_fds_room(const struct restore *r);

bool service_fds_has(const struct restore *r, int fd);

/* A copy of fd in the range, closed by exec: the new descriptor or -errno. */
int service_fds_copy(const struct restore *r, int fd);
