/* What is in the mappings. */
#pragma once

#include "pie/restorer-border.h"

/* Reads into the mappings; uses the list up. */
void read_pages(struct restorer_task *task, struct restorer_read *reads, uint64_t count);

/* The large reads: by the worker through a userfaultfd, by reading where there is none. */
void fill_large(struct restorer_task *task);

void write_jumps(const struct restorer_task *task);
