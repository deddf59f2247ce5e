#include "base/parallel.h"

#include <fcntl.h>
#include <pthread.h>

#include "base/cleanup.h"

void parallel_make_room(int fd, size_t count)
{
	AUTO_CLOSE int highest = fcntl(fd, F_DUPFD_CLOEXEC, (int)count);

	(void)highest; /* a limit may forbid it: then it takes longer */
}

struct half {
	void (*work)(void *ctx, size_t begin, size_t end);
	void *ctx;
	size_t begin, end;
};

static void *run_half(void *arg)
{
	struct half *half = arg;

	half->work(half->ctx, half->begin, half->end);
	return NULL;
}

void parallel_run(size_t count, size_t threshold, void (*work)(void *ctx, size_t begin, size_t end), void *ctx)
{
	struct half second = { .work = work, .ctx = ctx, .begin = count / 2, .end = count };
	pthread_t thread;

	if (count < threshold || pthread_create(&thread, NULL, run_half, &second) != 0) {
		work(ctx, 0, count);
		return;
	}
	work(ctx, 0, second.begin);
	(void)pthread_join(thread, NULL);
}
