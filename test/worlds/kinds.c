/* The kinds of objects a world may have. */
#include "world.h"

extern const struct kind pipe_kind, fifo_kind, event_kind, timer_kind, signals_kind, file_kind, memory_kind;

const struct kind *const kinds[] = {
	&pipe_kind, &fifo_kind, &event_kind, &timer_kind, &signals_kind, &file_kind, &file_kind, &memory_kind, NULL,
};
