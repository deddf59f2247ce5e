/* The kinds of objects a world may have. */
#include "world.h"

extern const struct kind pipe_kind, fifo_kind, event_kind, timer_kind, signals_kind, file_kind, memory_kind,
    poller_kind, watcher_kind, lock_kind, device_kind, directory_kind, proc_kind, namespace_kind, pidfd_kind,
    place_kind, terminal_kind;

const struct kind *const kinds[] = {
	&pipe_kind,    &fifo_kind,   &event_kind,     &timer_kind,    &signals_kind,
	&file_kind,    &memory_kind, &file_kind,      &poller_kind,   &poller_kind,
	&watcher_kind, &lock_kind,   &directory_kind, &proc_kind,     &namespace_kind,
	&pidfd_kind,   &place_kind,  &device_kind,    &terminal_kind, NULL,
};
