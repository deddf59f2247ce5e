/*
 * The buffers of a pipe. tee(2) links them into a pipe of ours, from where they are read; packets stay packets that
 * way. The private pipe needs as many slots as the pipe has, or tee would stop early. Where there are packets it is
 * also found out which bytes belong to none.
 */
#include "files/pipe-buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "images/pipe-data.pb-c.h"

static int prepare(struct pipe_reader *reader, int capacity)
{
	if (reader->ends[0] < 0) {
		if (pipe2(reader->ends, O_CLOEXEC | O_NONBLOCK) < 0)
			return -errno;
		reader->capacity = fcntl(reader->ends[0], F_GETPIPE_SZ);
	}
	if (capacity > reader->capacity) {
		int now = fcntl(reader->ends[0], F_SETPIPE_SZ, capacity);

		if (now < 0)
			return -errno;
		reader->capacity = now;
	}
	if ((size_t)capacity > reader->data_bytes) {
		char *data = realloc(reader->data, (size_t)capacity);

		if (!data)
			return -ENOMEM;
		reader->data = data;
		reader->data_bytes = (size_t)capacity;
	}
	return 0;
}

/* One read gives one packet, or all of a byte stream. */
static int drain(struct pipe_reader *reader, size_t bytes, size_t *ret_packet_count)
{
	size_t done = 0, count = 0;

	while (done < bytes) {
		ssize_t n = read(reader->ends[0], reader->data + done, reader->data_bytes - done);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		if (array_reserve(&reader->packets, &reader->packet_capacity, count, sizeof(*reader->packets)) < 0)
			return -ENOMEM;
		reader->packets[count++] = (uint32_t)n;
		done += (size_t)n;
	}
	*ret_packet_count = count;
	return 0;
}

static int waiting_bytes(int fd, size_t *ret)
{
	int waiting;

	if (ioctl(fd, FIONREAD, &waiting) < 0)
		return -errno;
	*ret = (size_t)waiting;
	return 0;
}

/* Reads so many bytes of the private pipe, and tells how many that has taken away. */
static int take(struct pipe_reader *reader, size_t bytes, size_t *ret_taken)
{
	size_t before = 0, after = 0;
	int r = waiting_bytes(reader->ends[0], &before);

	if (r == 0 && read(reader->ends[0], reader->spare, bytes) != (ssize_t)bytes)
		r = -EIO;
	if (r == 0)
		r = waiting_bytes(reader->ends[0], &after);
	if (r == 0)
		*ret_taken = before - after;
	return r;
}

static void empty(struct pipe_reader *reader)
{
	while (read(reader->ends[0], reader->spare, reader->data_bytes) > 0)
		;
}

/* Fills the private pipe anew, and reads it up to one of the pieces. */
static int go_to_piece(struct pipe_reader *reader, int fd, size_t bytes, size_t piece)
{
	empty(reader);
	if (tee(fd, reader->ends[1], bytes, SPLICE_F_NONBLOCK) != (ssize_t)bytes)
		return -ENOBUFS;
	for (size_t i = 0; i < piece; i++)
		if (read(reader->ends[0], reader->spare, reader->data_bytes) != (ssize_t)reader->packets[i])
			return -EIO;
	return 0;
}

/* A packet is taken away whole, however little of it is read; what is in front of it is not. */
static int measure_stream(struct pipe_reader *reader, int fd, size_t bytes, size_t piece, size_t *ret)
{
	size_t low = 0, high = reader->packets[piece] - 1;

	while (low < high) {
		size_t middle = high - (high - low) / 2, taken;
		int r = go_to_piece(reader, fd, bytes, piece);

		if (r == 0)
			r = take(reader, middle, &taken);
		if (r < 0)
			return r;
		if (taken == middle)
			low = middle;
		else
			high = middle - 1;
	}
	*ret = low;
	return 0;
}

/* Which pieces do not begin with a packet: their stream_bytes are not 0. */
static int find_streams(struct pipe_reader *reader, int fd, size_t bytes, size_t count)
{
	int r = go_to_piece(reader, fd, bytes, 0);

	for (size_t i = 0; i < count && r == 0; i++) {
		size_t taken = 0;

		r = array_reserve(&reader->stream_bytes, &reader->stream_capacity, i, sizeof(*reader->stream_bytes));
		if (r == 0)
			r = take(reader, 1, &taken);
		if (r < 0)
			return r;
		reader->stream_bytes[i] = taken < reader->packets[i];
		if (reader->stream_bytes[i] && read(reader->ends[0], reader->spare, reader->data_bytes) < 0)
			return -errno;
	}
	return r;
}

/*
 * Bytes of a stream before a packet are read together with it. The last piece may be a stream and no packet, for which
 * one of a byte behind others is taken as well.
 */
static int measure_streams(struct pipe_reader *reader, int fd, size_t bytes, size_t count, bool *ret_any)
{
	int r;

	*ret_any = false;
	reader->spare = malloc(reader->data_bytes);
	r = reader->spare ? find_streams(reader, fd, bytes, count) : -ENOMEM;
	for (size_t i = 0; i < count && r == 0; i++) {
		size_t stream = 0;

		if (!reader->stream_bytes[i])
			continue;
		*ret_any = true;
		r = measure_stream(reader, fd, bytes, i, &stream);
		if (i + 1 == count && stream + 1 == reader->packets[i])
			stream++;
		reader->stream_bytes[i] = (uint32_t)stream;
	}
	if (reader->spare)
		empty(reader);
	free(TAKE_PTR(reader->spare));
	return r;
}

static int copy(struct pipe_reader *reader, int fd, int capacity, size_t *ret_bytes, size_t *ret_packet_count)
{
	int waiting = 0, r;
	ssize_t n;

	*ret_bytes = *ret_packet_count = 0;
	if (ioctl(fd, FIONREAD, &waiting) < 0)
		return -errno;
	if (waiting == 0)
		return 0;
	r = prepare(reader, capacity);
	if (r < 0)
		return r;
	n = tee(fd, reader->ends[1], (size_t)waiting, SPLICE_F_NONBLOCK);
	if (n < 0)
		return -errno;
	if (n != waiting)
		return -ENOBUFS;
	r = drain(reader, (size_t)n, ret_packet_count);
	*ret_bytes = (size_t)n;
	return r;
}

int pipe_reader_save(struct pipe_reader *reader, int fd, uint32_t pipe_id, bool packets, struct image_writer *w,
		     struct error *err)
{
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;
	size_t bytes, packet_count;
	int capacity = fcntl(fd, F_GETPIPE_SZ), r;

	if (capacity < 0)
		return -errno;
	r = copy(reader, fd, capacity, &bytes, &packet_count);
	if (r < 0)
		return r;
	entry.pipe_id = pipe_id;
	entry.bytes = (uint32_t)bytes;
	entry.has_size = true;
	entry.size = (uint32_t)capacity;
	/* A stream is read in one: more pieces were packets, though no description has O_DIRECT any more. */
	if (bytes && (packets || packet_count > 1)) {
		bool any;

		r = measure_streams(reader, fd, bytes, packet_count, &any);
		if (r < 0)
			return r;
		entry.packets = reader->packets;
		entry.n_packets = packet_count;
		entry.stream_bytes = reader->stream_bytes;
		entry.n_stream_bytes = any ? packet_count : 0;
	}
	return image_writer_add_payload(w, &entry, reader->data, bytes, err);
}

int pipe_save_empty(uint32_t pipe_id, uint32_t capacity, struct image_writer *w, struct error *err)
{
	PipeDataEntry entry = PIPE_DATA_ENTRY__INIT;

	entry.pipe_id = pipe_id;
	entry.has_size = true;
	entry.size = capacity;
	return image_writer_add(w, &entry, err);
}

void pipe_reader_done(struct pipe_reader *reader)
{
	if (reader->ends[0] >= 0) {
		(void)close(reader->ends[0]);
		(void)close(reader->ends[1]);
	}
	free(reader->data);
	free(reader->packets);
	free(reader->stream_bytes);
}

int pipe_holds(int fd, const struct checked_pipe_data *data)
{
	AUTO_PIPE_READER struct pipe_reader reader = PIPE_READER_INIT;
	int capacity = fcntl(fd, F_GETPIPE_SZ), r;
	size_t bytes, packet_count;

	if (capacity < 0)
		return -errno;
	r = copy(&reader, fd, capacity, &bytes, &packet_count);
	if (r < 0)
		return r;
	return bytes == data->entry->bytes && memcmp(reader.data, data->data, bytes) == 0;
}

static int set_capacity(int fd, uint32_t bytes, struct error *err)
{
	int now = fcntl(fd, F_GETPIPE_SZ);

	if (now < 0)
		return error_set(err, -errno, "pipe capacity");
	if ((uint32_t)now == bytes || bytes == 0)
		return 0;
	if (bytes <= INT32_MAX && fcntl(fd, F_SETPIPE_SZ, (int)bytes) >= 0)
		return 0;
	if (errno == EPERM)
		error_hint(err, PIPE_CAPACITY_HINT);
	return error_set(err, -errno, "set the pipe's capacity to %u", bytes);
}

/* In buffers that nothing is added to, as is what comes by tee(2). */
static int write_apart(int fd, const char *data, size_t bytes)
{
	AUTO_CLOSE int in = -1;
	AUTO_CLOSE int out = -1;
	int ends[2], capacity = fcntl(fd, F_GETPIPE_SZ);

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	out = ends[0];
	in = ends[1];
	if (capacity < 0 || fcntl(in, F_SETPIPE_SZ, capacity) < 0)
		return -errno;
	if (write(in, data, bytes) != (ssize_t)bytes || tee(out, fd, bytes, SPLICE_F_NONBLOCK) != (ssize_t)bytes)
		return errno ? -errno : -EIO;
	return 0;
}

static int write_with(int fd, int flags, const char *data, size_t bytes)
{
	if (fcntl(fd, F_SETFL, flags) < 0)
		return -errno;
	errno = 0;
	if (bytes && write(fd, data, bytes) != (ssize_t)bytes)
		return errno ? -errno : -EIO;
	return 0;
}

/* A piece of more than a page is no packet: it was written without O_DIRECT. */
static int write_packets(int fd, const PipeDataEntry *entry, const char *data)
{
	int flags = fcntl(fd, F_GETFL), r = flags < 0 ? -errno : 0;
	size_t done = 0;

	for (size_t i = 0; i < entry->n_packets && r == 0; i++) {
		size_t piece = entry->packets[i], stream = entry->n_stream_bytes ? entry->stream_bytes[i] : 0;

		if (piece > entry->bytes - done || stream > piece)
			return -EBADMSG;
		if (piece - stream > PAGE_BYTES)
			stream = piece;
		if (stream && stream < piece)
			r = write_apart(fd, data + done, stream);
		else
			r = write_with(fd, flags & ~O_DIRECT, data + done, stream);
		if (r == 0)
			r = write_with(fd, flags | O_DIRECT, data + done + stream, piece - stream);
		done += piece;
	}
	return r < 0 ? r : fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int pipe_fill(int fd, const struct checked_pipe_data *data, struct error *err)
{
	int r;

	if (!data)
		return 0;
	if (data->entry->has_size) {
		r = set_capacity(fd, data->entry->size, err);
		if (r < 0)
			return r;
	}
	if (data->entry->bytes == 0)
		return 0;
	if (data->entry->n_packets)
		r = write_packets(fd, data->entry, data->data);
	else
		r = write_all(fd, data->data, data->entry->bytes);
	return r < 0 ? error_set(err, r, "write %u bytes into the pipe", data->entry->bytes) : 0;
}
