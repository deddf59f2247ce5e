/* Processes that the restorer of their creator creates. */
#pragma once

#include "base/error.h"

struct restore;

/*
 * In the worker, when all else is planned: finds the heirs, tells their creators and takes them out of the counts of
 * those who go through the engine's code.
 */
int restore_plan_heirs(struct restore *r, struct error *err);
