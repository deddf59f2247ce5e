/* The mappings of the task, made in place of everything that was there. */
#pragma once

#include "pie/restorer-border.h"

void unmap_others(struct restorer_task *task);

/* Mappings, their contents and what holds for them; descriptors that nothing is mapped from any more are closed. */
void build_memory(struct restorer_task *task);

void advise_one(struct restorer_task *task, const struct restorer_vma *vma);
