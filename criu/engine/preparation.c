#include "engine/preparation.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "kernel/features.h"
#include "kernel/process-facts.h"
#include "kernel/task-facts.h"
#include "mm/map-flags.h"

#define MANY_DESCRIPTORS 8000

static void *prepare(void *arg)
{
	struct preparation *prep = arg;

	prep->facts_program = feature_is_masked("task_facts") ? -EOPNOTSUPP : task_facts_open();
	prep->process_program = -EOPNOTSUPP;
	if (!prep->is_for_many)
		return NULL;
	prep->map_flags = map_flags_open();
	if (!feature_is_masked("process_facts"))
		prep->process_program = process_facts_open();
	return NULL;
}

/*
 * Each time a descriptor table grows under several threads the kernel waits for an RCU grace period, many milliseconds:
 * it grows here, while there is one. fd: any that is open.
 */
static void make_room_for_descriptors(int fd)
{
	AUTO_CLOSE int highest = fcntl(fd, F_DUPFD_CLOEXEC, MANY_DESCRIPTORS);

	(void)highest; /* a limit may forbid it: then it takes longer */
}

void preparation_start(struct preparation *prep, int fd, bool is_for_many)
{
	if (prep->started)
		return;
	make_room_for_descriptors(fd);
	prep->started = true;
	prep->is_for_many = is_for_many;
	prep->running = pthread_create(&prep->thread, NULL, prepare, prep) == 0;
	if (!prep->running)
		(void)prepare(prep);
}

static void wait_ready(struct preparation *prep)
{
	if (prep->running)
		(void)pthread_join(prep->thread, NULL);
	prep->running = false;
}

int preparation_facts_program(struct preparation *prep)
{
	wait_ready(prep);
	return prep->started ? prep->facts_program : -ENOENT;
}

int preparation_process_program(struct preparation *prep)
{
	wait_ready(prep);
	return prep->started ? prep->process_program : -ENOENT;
}

struct map_flags *preparation_take_map_flags(struct preparation *prep)
{
	struct map_flags *flags;

	wait_ready(prep);
	flags = prep->map_flags;
	prep->map_flags = NULL;
	return flags;
}

void preparation_done(struct preparation *prep)
{
	wait_ready(prep);
	if (prep->started) {
		close_fd(&prep->facts_program);
		close_fd(&prep->process_program);
	}
	map_flags_close(prep->map_flags);
	*prep = (struct preparation){ 0 };
}
