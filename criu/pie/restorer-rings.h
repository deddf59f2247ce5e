/* Rings that the kernel shares with the task: AIO contexts and io_urings. */
#pragma once

#include "pie/restorer-border.h"

void set_up_aio(struct restorer_task *task, struct restorer_aio *aio);
void finish_aios(struct restorer_task *task);

void map_rings(struct restorer_task *task);
void register_buffers(struct restorer_task *task);
