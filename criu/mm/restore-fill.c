/*
 * The work is cut into pieces of up to 256 KiB of one pages file, which threads take one after the other. A piece is
 * read with one call and, where it goes to another process, handed over by as many UFFDIO_COPY as it has separate
 * ranges. The copy makes the page and its contents in one step, which is why it beats reading into memory that is
 * touched for the first time.
 */
#include "mm/restore-fill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/options.h"
#include "engine/restore.h"
#include "engine/undo.h"
#include "mm/restore-memory.h"
#include "pie/restorer-border.h"

#define PIECE_BYTES    (256u << 10)
#define THREADS_MAX    8
#define PARALLEL_BYTES (4u << 20) /* less is not worth a thread */

struct piece {
	int fd;
	uint64_t offset, bytes;
	const struct restorer_iovec *iov; /* where it goes: from skip bytes into the first */
	uint64_t skip;
};

struct fill {
	struct piece *pieces;
	size_t count, capacity;
	size_t next; /* atomic */
	int uffd;    /* -1: addresses are ours */
	const struct undo *undo;
	int result; /* atomic: the first failure */
	uint64_t bytes;
};

static int add_piece(struct fill *fill, const struct piece *piece)
{
	if (array_reserve(&fill->pieces, &fill->capacity, fill->count, sizeof(*fill->pieces)) < 0)
		return -ENOMEM;
	fill->pieces[fill->count++] = *piece;
	fill->bytes += piece->bytes;
	return 0;
}

static int add_read(struct fill *fill, int fd, uint64_t offset, const struct restorer_iovec *iov, uint64_t iov_count)
{
	struct piece piece = { .fd = fd, .offset = offset, .iov = iov };
	uint64_t skip = 0;
	int r;

	for (uint64_t i = 0; i < iov_count;) {
		uint64_t take = min_u64(iov[i].bytes - skip, PIECE_BYTES - piece.bytes);

		piece.bytes += take;
		skip += take;
		if (skip == iov[i].bytes) {
			skip = 0;
			i++;
		}
		if (piece.bytes < PIECE_BYTES && i < iov_count)
			continue;
		r = add_piece(fill, &piece);
		if (r < 0)
			return r;
		piece = (struct piece){ .fd = fd, .offset = piece.offset + piece.bytes, .iov = iov + i, .skip = skip };
	}
	return 0;
}

/* One range, from the buffer into the other process: 0 or -errno. */
static int copy_range(int uffd, uint64_t to, const char *from, uint64_t bytes)
{
	struct uffdio_copy copy = { .dst = to, .src = (uint64_t)from, .len = bytes };

	while (copy.len) {
		if (ioctl(uffd, UFFDIO_COPY, &copy) == 0)
			return 0;
		if (errno != EAGAIN)
			return -errno;
		/* Partly done, or the address space was just being changed. */
		if (copy.copy > 0) {
			copy.dst += (uint64_t)copy.copy;
			copy.src += (uint64_t)copy.copy;
			copy.len -= (uint64_t)copy.copy;
		} else {
			(void)sched_yield();
		}
		copy.copy = 0;
	}
	return 0;
}

static int hand_over(int uffd, const struct piece *piece, const char *buffer)
{
	const struct restorer_iovec *iov = piece->iov;
	uint64_t skip = piece->skip;

	for (uint64_t done = 0; done < piece->bytes; iov++, skip = 0) {
		uint64_t take = min_u64(iov->bytes - skip, piece->bytes - done);
		int r = copy_range(uffd, iov->base + skip, buffer + done, take);

		if (r < 0)
			return r;
		done += take;
	}
	return 0;
}

static int read_in_place(const struct piece *piece)
{
	const struct restorer_iovec *iov = piece->iov;
	uint64_t skip = piece->skip;

	for (uint64_t done = 0; done < piece->bytes; iov++, skip = 0) {
		uint64_t take = min_u64(iov->bytes - skip, piece->bytes - done);
		int r = pread_all(piece->fd, (void *)(iov->base + skip), take, piece->offset + done);

		if (r < 0)
			return r;
		done += take;
	}
	return 0;
}

static int move_piece(const struct fill *fill, const struct piece *piece, char *buffer)
{
	int r;

	if (fill->uffd < 0)
		return read_in_place(piece);
	r = pread_all(piece->fd, buffer, piece->bytes, piece->offset);
	return r < 0 ? r : hand_over(fill->uffd, piece, buffer);
}

/* Only by the thread that has the options' word for it. */
static void report_progress(const struct fill *fill, const struct progress *progress, size_t pieces)
{
	if (progress)
		progress->report(progress->ctx, "read memory", min_u64(pieces * (uint64_t)PIECE_BYTES, fill->bytes),
				 fill->bytes);
}

static void move_pieces(struct fill *fill, const struct progress *progress)
{
	AUTO_FREE char *buffer = NULL;
	size_t i;

	if (fill->uffd >= 0 && posix_memalign((void **)&buffer, PAGE_BYTES, PIECE_BYTES) != 0) {
		__atomic_store_n(&fill->result, -ENOMEM, __ATOMIC_RELAXED);
		return;
	}
	while ((i = __atomic_fetch_add(&fill->next, 1, __ATOMIC_RELAXED)) < fill->count) {
		int r = __atomic_load_n(&fill->result, __ATOMIC_RELAXED);

		if (r == 0 && undo_interrupted(fill->undo))
			r = -EINTR;
		if (r == 0)
			r = move_piece(fill, &fill->pieces[i], buffer);
		if (r < 0) {
			__atomic_store_n(&fill->result, r, __ATOMIC_RELAXED);
			break;
		}
		report_progress(fill, progress, i + 1);
	}
}

static void *work(void *arg)
{
	move_pieces(arg, NULL);
	return NULL;
}

static size_t thread_count(const struct fill *fill)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t wanted = fill->bytes / PARALLEL_BYTES + 1;

	if (processors < 1)
		processors = 1;
	return (size_t)min_u64(wanted, min_u64((uint64_t)processors, THREADS_MAX));
}

/* Threads that cannot be started are missed only in time. */
static int run_fill(const struct restore *r, struct fill *fill)
{
	pthread_t threads[THREADS_MAX];
	size_t count = thread_count(fill), started = 0;

	while (started + 1 < count && pthread_create(&threads[started], NULL, work, fill) == 0)
		started++;
	move_pieces(fill, r->opts->progress);
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	free(fill->pieces);
	fill->pieces = NULL;
	return fill->result;
}

int restore_fill_object(struct restore *r, struct pagemap *map, void *memory, uint64_t bytes, struct error *err)
{
	AUTO_FREE struct restorer_iovec *iov = calloc(map->extent_count + 1, sizeof(*iov));
	struct fill fill = { .uffd = -1, .undo = r->undo };
	int result = iov ? 0 : -ENOMEM;

	for (size_t i = 0; result == 0 && i < map->extent_count; i++) {
		const struct page_extent *extent = &map->extents[i];
		int fd;

		if (!extent->source)
			continue;
		if (extent->vaddr >= bytes || extent->nr_pages * PAGE_BYTES > page_align_up(bytes) - extent->vaddr)
			return error_say(err, -EBADMSG, "%s: pages behind the end of the object", map->name);
		fd = pagemap_pages_fd(extent->source, O_RDONLY, err);
		if (fd < 0)
			return fd;
		iov[i].base = (uint64_t)memory + extent->vaddr;
		iov[i].bytes = extent->nr_pages * PAGE_BYTES;
		result = add_read(&fill, fd, extent->offset, &iov[i], 1);
		r->pages_restored += extent->nr_pages;
	}
	if (result == 0)
		result = run_fill(r, &fill);
	free(fill.pieces);
	pagemap_close_pages(map);
	if (result == -EINTR)
		return error_say(err, result, "interrupted by a signal");
	return result < 0 ? error_set(err, result, "read its contents") : 0;
}

int restore_fill_task(struct restore *r, struct restore_task *task, int uffd, struct error *err)
{
	const struct restorer_task *restorer = task->restorer;
	struct fill fill = { .uffd = uffd, .undo = r->undo };
	int result = 0;

	for (uint64_t i = 0; result == 0 && i < restorer->large_read_count; i++) {
		const struct restorer_read *read = &restorer->large_reads[i];
		int fd = restore_memory_pages_fd(task, read->file, err);

		if (fd < 0)
			return fd;
		result = add_read(&fill, fd, read->offset, read->iov, read->iov_count);
	}
	if (result == 0)
		result = run_fill(r, &fill);
	free(fill.pieces);
	pagemap_close_pages(task->image->pagemap);
	return result < 0 ? error_set(err, result, "pid %d: copy its memory", task->pid) : 0;
}

static void punch_out(const struct page_extent *extent)
{
	struct error ignored = { 0 };
	int fd = pagemap_pages_fd(extent->source, O_RDWR, &ignored);

	if (fd < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)extent->offset,
				(off_t)(extent->nr_pages * PAGE_BYTES)) < 0)
		log_warn("--auto-dedup: pages of %s stay: %s\n", extent->source->name,
			 fd < 0 ? ignored.text : strerror(errno));
}

static void punch_map(struct pagemap *map)
{
	if (!map)
		return;
	pagemap_close_pages(map);
	for (size_t i = 0; i < map->extent_count; i++)
		if (map->extents[i].source)
			punch_out(&map->extents[i]);
	pagemap_close_pages(map);
}

void restore_punch_pages(struct restore *r)
{
	int result = image_set_use_up(r->set);

	if (result < 0) {
		log_warn("--auto-dedup: the pages stay: %s\n", strerror(-result));
		return;
	}
	for (size_t i = 0; i < r->images->task_count; i++)
		punch_map(r->images->tasks[i].pagemap);
	for (size_t i = 0; i < r->images->shmem_count; i++)
		punch_map(r->images->shmems[i].pagemap);
}
