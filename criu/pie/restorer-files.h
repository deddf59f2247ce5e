/* Descriptors that the restorer needs for itself. */
#pragma once

#include "pie/restorer-border.h"

/* An heir reads its contents itself. */
void open_pages(struct restorer_task *heir);
void bequeath_files(const struct restorer_task *task, struct restorer_task *heir);

/* What stands for threads of the task, when they are there. */
void open_thread_files(struct restorer_task *task);

/* Leaves the descriptors of the task; locks that closing would have dropped are taken behind it. */
void close_files(struct restorer_task *task);
