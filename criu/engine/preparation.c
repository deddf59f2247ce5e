#include "engine/preparation.h"

#include <errno.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "kernel/features.h"
#include "kernel/process-facts.h"
#include "kernel/task-facts.h"
#include "mm/map-flags.h"

#define MANY_DESCRIPTORS 8000

static void set_done(struct preparation *prep, enum preparation_step step)
{
	(void)pthread_mutex_lock(&prep->lock);
	prep->done = step;
	(void)pthread_cond_broadcast(&prep->is_done);
	(void)pthread_mutex_unlock(&prep->lock);
}

/* In the order in which they are waited for. */
static void *prepare(void *arg)
{
	struct preparation *prep = arg;

	if (prep->done < PREPARED_TASK_FACTS && !feature_is_masked("task_facts"))
		prep->facts_program = task_facts_open();
	set_done(prep, PREPARED_TASK_FACTS);
	if (prep->is_for_many)
		prep->map_flags = map_flags_open();
	set_done(prep, PREPARED_MAP_FLAGS);
	if (prep->is_for_many && !feature_is_masked("process_facts"))
		prep->process_program = process_facts_open();
	set_done(prep, PREPARED_ALL);
	return NULL;
}

static void start_thread(struct preparation *prep)
{
	prep->running = pthread_create(&prep->thread, NULL, prepare, prep) == 0;
	if (!prep->running)
		(void)prepare(prep);
}

static void start(struct preparation *prep, int fd, bool is_early, bool is_for_many)
{
	parallel_make_room(fd, MANY_DESCRIPTORS);
	*prep = (struct preparation){ .started = true, .is_early = is_early, .is_for_many = is_for_many };
	prep->facts_program = prep->process_program = -EOPNOTSUPP;
	(void)pthread_mutex_init(&prep->lock, NULL);
	(void)pthread_cond_init(&prep->is_done, NULL);
	start_thread(prep);
}

static void start_rest(struct preparation *prep)
{
	if (prep->running)
		(void)pthread_join(prep->thread, NULL);
	prep->done = PREPARED_TASK_FACTS;
	prep->is_for_many = true;
	start_thread(prep);
}

void preparation_start(struct preparation *prep, int fd, bool is_for_many)
{
	if (!prep->started)
		start(prep, fd, false, is_for_many);
	else if (prep->is_early && is_for_many)
		start_rest(prep);
	prep->is_early = false;
}

void preparation_start_early(struct preparation *prep, int fd)
{
	if (!prep->started)
		start(prep, fd, true, false);
}

static void wait_until_done(struct preparation *prep, enum preparation_step step)
{
	if (!prep->running)
		return;
	(void)pthread_mutex_lock(&prep->lock);
	while (prep->done < step)
		(void)pthread_cond_wait(&prep->is_done, &prep->lock);
	(void)pthread_mutex_unlock(&prep->lock);
}

int preparation_facts_program(struct preparation *prep)
{
	wait_until_done(prep, PREPARED_TASK_FACTS);
	return prep->started ? prep->facts_program : -ENOENT;
}

int preparation_process_program(struct preparation *prep)
{
	wait_until_done(prep, PREPARED_ALL);
	return prep->started ? prep->process_program : -ENOENT;
}

struct map_flags *preparation_take_map_flags(struct preparation *prep)
{
	struct map_flags *flags;

	wait_until_done(prep, PREPARED_MAP_FLAGS);
	flags = prep->map_flags;
	prep->map_flags = NULL;
	return flags;
}

void preparation_done(struct preparation *prep)
{
	if (!prep->started)
		return;
	if (prep->running)
		(void)pthread_join(prep->thread, NULL);
	(void)pthread_cond_destroy(&prep->is_done);
	(void)pthread_mutex_destroy(&prep->lock);
	close_fd(&prep->facts_program);
	close_fd(&prep->process_program);
	map_flags_close(prep->map_flags);
	*prep = (struct preparation){ 0 };
}
