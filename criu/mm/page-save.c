/*
 * The sources of a job form one row of bytes, the content of the pages file. It is cut into chunks; each thread takes
 * the next chunk, fills a buffer from the sources it covers and writes it at its place. Reading another task's memory
 * and writing a file overlap between two threads, which is worth more than any way to avoid the copy (writes to one
 * file serialise on its inode, splice needs a pipe-sized keyhole).
 */
#include "mm/page-save.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/util.h"

#define CHUNK_BYTES    (256ul << 10) /* stays in a processor's cache between reading and writing */
#define THREADED_BYTES (4ul << 20)   /* below this a second thread costs more than it brings */
#define MAX_THREADS    8
#define MAX_IOVECS     512

struct transfer {
	const struct page_job *job;
	uint64_t *offsets; /* where each source begins in the row; one more for the end */
	uint64_t total_bytes;
	uint64_t next_chunk;
	int error;
	bool failed_write;
};

static size_t find_source(const struct transfer *t, uint64_t offset)
{
	size_t low = 0, high = t->job->source_count - 1;

	while (low < high) {
		size_t middle = (low + high + 1) / 2;

		if (t->offsets[middle] <= offset)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* What one call reads: pieces of the task's memory, and where each goes in the buffer. */
struct gathering {
	struct iovec remote[MAX_IOVECS], local[MAX_IOVECS];
	size_t count;
	uint64_t bytes;
};

/* All of it or an error: a short count means the memory went away under us. */
static int read_gathered(pid_t pid, const struct gathering *from)
{
	ssize_t n = process_vm_readv(pid, from->local, from->count, from->remote, from->count, 0);

	if (n < 0)
		return -errno;
	return (uint64_t)n == from->bytes ? 0 : -EFAULT;
}

static bool is_gathered(const struct page_source *source)
{
	return source->kind == PAGES_FROM_TASK || source->kind == PAGES_FROM_BUFFER;
}

/*
 * Reads as many neighbouring sources of the task's own memory as one call takes, and puts what we hold ourselves in
 * between; returns bytes or -errno.
 */
static int64_t fill_from_task(const struct transfer *t, size_t *at, uint64_t skip, char *to, uint64_t want)
{
	const struct page_source *sources = t->job->sources;
	struct gathering g;
	uint64_t done = 0;
	int r;

	g.count = 0; /* not the whole: it is large */
	g.bytes = 0;
	while (done < want && g.count < MAX_IOVECS && *at < t->job->source_count && is_gathered(&sources[*at])) {
		const struct page_source *source = &sources[*at];
		uint64_t part = min_u64(source->bytes - skip, want - done);

		if (source->kind == PAGES_FROM_BUFFER) {
			memcpy(to + done, (const char *)source->buffer + skip, part);
		} else {
			g.remote[g.count] = (struct iovec){ (void *)(source->address + skip), part };
			g.local[g.count++] = (struct iovec){ to + done, part };
			g.bytes += part;
		}
		done += part;
		if (skip + part < source->bytes)
			break;
		skip = 0;
		(*at)++;
	}
	r = g.count ? read_gathered(t->job->pid, &g) : 0;
	return r < 0 ? r : (int64_t)done;
}

/* The last page of a file may reach beyond its end, and is zero there. */
static int read_file_pages(int fd, char *to, uint64_t bytes, uint64_t offset)
{
	size_t done = 0;
	int r = pread_upto(fd, to, bytes, offset, &done);

	if (r == 0)
		memset(to + done, 0, bytes - done);
	return r;
}

static int64_t fill_from_one(const struct transfer *t, size_t *at, uint64_t skip, char *to, uint64_t want)
{
	const struct page_source *source = &t->job->sources[*at];
	uint64_t part = min_u64(source->bytes - skip, want);
	int r = 0;

	if (source->kind == PAGES_FROM_FD)
		r = read_file_pages(t->job->fd, to, part, source->address + skip);
	else
		r = pread_all(t->job->fd, to, part, source->address + skip);
	if (skip + part == source->bytes)
		(*at)++;
	return r < 0 ? r : (int64_t)part;
}

static int fill_chunk(const struct transfer *t, uint64_t offset, char *to, uint64_t bytes)
{
	size_t at = find_source(t, offset);
	uint64_t skip = offset - t->offsets[at];
	uint64_t done = 0;

	while (done < bytes) {
		int64_t n;

		if (is_gathered(&t->job->sources[at]))
			n = fill_from_task(t, &at, skip, to + done, bytes - done);
		else
			n = fill_from_one(t, &at, skip, to + done, bytes - done);
		if (n < 0)
			return (int)n;
		done += (uint64_t)n;
		skip = done < bytes ? offset + done - t->offsets[at] : 0;
	}
	return 0;
}

static void note_failure(struct transfer *t, int r, bool is_write)
{
	int none = 0;

	if (__atomic_compare_exchange_n(&t->error, &none, r, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		t->failed_write = is_write;
}

static pthread_key_t buffer_key;

static void free_buffer(void *buffer)
{
	(void)munmap(buffer, CHUNK_BYTES);
}

static void make_buffer_key(void)
{
	(void)pthread_key_create(&buffer_key, free_buffer);
}

/* A buffer per thread that lives as long as the thread: most tasks have few pages, and fresh memory is dear. */
static void *chunk_buffer(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	void *buffer;

	(void)pthread_once(&once, make_buffer_key);
	buffer = pthread_getspecific(buffer_key);
	if (buffer)
		return buffer;
	buffer = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		return NULL;
	if (pthread_setspecific(buffer_key, buffer) != 0) {
		free_buffer(buffer);
		return NULL;
	}
	return buffer;
}

static int transfer_chunk(struct transfer *t, uint64_t offset, uint64_t bytes, char *buffer)
{
	int r = fill_chunk(t, offset, buffer, bytes);

	if (r < 0) {
		note_failure(t, r, false);
		return r;
	}
	r = pwrite_all(t->job->out_fd, buffer, bytes, offset);
	if (r < 0) {
		note_failure(t, r, true);
		return r;
	}
	r = t->job->progress ? t->job->progress(t->job->progress_ctx, bytes) : 0;
	if (r < 0)
		note_failure(t, r, false);
	return r;
}

static void *transfer_chunks(void *arg)
{
	struct transfer *t = arg;
	char *buffer = chunk_buffer();

	if (!buffer) {
		note_failure(t, -ENOMEM, false);
		return NULL;
	}
	while (!__atomic_load_n(&t->error, __ATOMIC_RELAXED)) {
		uint64_t offset = __atomic_fetch_add(&t->next_chunk, 1, __ATOMIC_RELAXED) * CHUNK_BYTES;

		if (offset >= t->total_bytes ||
		    transfer_chunk(t, offset, min_u64(CHUNK_BYTES, t->total_bytes - offset), buffer) < 0)
			break;
	}
	return NULL;
}

static void run_threads(struct transfer *t)
{
	pthread_t threads[MAX_THREADS];
	unsigned int processors = usable_processors();
	unsigned int wanted = processors > MAX_THREADS ? MAX_THREADS : processors;
	unsigned int started = 0;

	if (t->total_bytes >= THREADED_BYTES)
		while (started + 1 < wanted && pthread_create(&threads[started], NULL, transfer_chunks, t) == 0)
			started++;
	transfer_chunks(t);
	while (started > 0)
		(void)pthread_join(threads[--started], NULL);
}

int pages_save(const struct page_job *job, bool *ret_failed_write)
{
	struct transfer t = { .job = job };

	if (job->source_count == 0)
		return 0;
	t.offsets = calloc(job->source_count + 1, sizeof(*t.offsets));
	if (!t.offsets)
		return -ENOMEM;
	for (size_t i = 0; i < job->source_count; i++)
		t.offsets[i + 1] = t.offsets[i] + job->sources[i].bytes;
	t.total_bytes = t.offsets[job->source_count];
	if (t.total_bytes)
		run_threads(&t);
	free(t.offsets);
	if (t.error && ret_failed_write)
		*ret_failed_write = t.failed_write;
	return t.error;
}
