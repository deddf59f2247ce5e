#include "base/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

int buffer_reserve(struct buffer *b, size_t more)
{
	size_t wanted = b->capacity ? b->capacity : 4096;
	char *grown;

	if (b->bytes + more <= b->capacity)
		return 0;
	while (wanted < b->bytes + more)
		wanted *= 2;
	grown = realloc(b->data, wanted);
	if (!grown)
		return -ENOMEM;
	b->data = grown;
	b->capacity = wanted;
	return 0;
}

int buffer_append(struct buffer *b, const void *data, size_t bytes)
{
	int r = buffer_reserve(b, bytes);

	if (r < 0)
		return r;
	if (bytes)
		memcpy(b->data + b->bytes, data, bytes);
	b->bytes += bytes;
	return 0;
}

static int read_until(struct buffer *b, int fd, size_t short_read)
{
	b->bytes = 0;
	for (;;) {
		ssize_t n;
		int r = buffer_reserve(b, 4096);

		if (r < 0)
			return r;
		n = TEMP_FAILURE_RETRY(read(fd, b->data + b->bytes, b->capacity - b->bytes - 1));
		if (n < 0)
			return -errno;
		b->bytes += (size_t)n;
		if (n == 0 || (size_t)n < short_read)
			break;
	}
	b->data[b->bytes] = '\0';
	return 0;
}

int buffer_read_fd(struct buffer *b, int fd)
{
	return read_until(b, fd, 0);
}

int buffer_read_proc(struct buffer *b, int dirfd, const char *path)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return read_until(b, fd, PROC_SHORT_READ);
}

int buffer_read_at(struct buffer *b, int dirfd, const char *path)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return buffer_read_fd(b, fd);
}
