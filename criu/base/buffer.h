/* A growing byte buffer, for files of /proc that are read again and again and for images before they are written. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

struct buffer {
	char *data; /* NUL behind the last byte after buffer_read_at(), so that text can be parsed in place */
	size_t bytes;
	size_t capacity;
};

/* Makes room for more bytes behind those held: 0 or -ENOMEM. */
int buffer_reserve(struct buffer *b, size_t more);
int buffer_append(struct buffer *b, const void *data, size_t bytes);

/* Replaces the content by the whole of a file below dirfd (AT_FDCWD works): 0 or -errno. */
int buffer_read_at(struct buffer *b, int dirfd, const char *path);
int buffer_read_fd(struct buffer *b, int fd);

/*
 * The same for files of /proc that are made of short records (seq_file in the kernel): a read of less than half a page
 * is the last one, for the kernel stops early only when the next record does not fit its page. Saves a read that says
 * no more than that.
 */
#define PROC_SHORT_READ 2048
int buffer_read_proc(struct buffer *b, int dirfd, const char *path);

static inline void buffer_done(struct buffer *b)
{
	free(b->data);
	b->data = NULL;
	b->bytes = b->capacity = 0;
}

#define AUTO_BUFFER __attribute__((cleanup(buffer_done)))
