/* The plan of a restore, in memory that all processes of the new tree share; see the file. */
#pragma once

#include "base/error.h"
#include "engine/restore.h"

/* Files and descriptors have been checked, and nothing has been made. Maps r->area and fills r->shared. */
int restore_plan_tasks(struct restore *r, struct error *err);
