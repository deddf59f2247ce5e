/* Whether there are huge pages for a restore. */
#pragma once

#include "base/error.h"

struct restore;

/*
 * Before anything is created: refuses when fewer huge pages of a size are left than the set needs at least. Others may
 * take them meanwhile; whoever maps them then fails.
 */
int restore_hugetlb_check(const struct restore *r, struct error *err);
