/*
 * The buffers of a pipe. tee(2) links them into a pipe of ours, from where they are read; packets stay packets that
 * way. The private pipe needs as many slots as the pipe has, or tee would stop early.
 */
#include "files/pipe-buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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
	if (packets || packet_count > 1) {
		entry.packets = reader->packets;
		entry.n_packets = packet_count;
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

/* A piece of more than a page is no packet: it was written without O_DIRECT. */
static int write_packets(int fd, const PipeDataEntry *entry, const char *data)
{
	int flags = fcntl(fd, F_GETFL);
	size_t done = 0;

	if (flags < 0)
		return -errno;
	for (size_t i = 0; i < entry->n_packets; i++) {
		if (entry->packets[i] > entry->bytes - done)
			return -EBADMSG;
		if (fcntl(fd, F_SETFL, entry->packets[i] <= PAGE_BYTES ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
			return -errno;
		if (write(fd, data + done, entry->packets[i]) != (ssize_t)entry->packets[i])
			return errno ? -errno : -EIO;
		done += entry->packets[i];
	}
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
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
