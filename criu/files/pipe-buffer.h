/* What is in a pipe or fifo and how much it can hold: read without taking anything away, and put back. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image-write.h"
#include "image/image-check.h"

/* Why a capacity may be refused. */
#define PIPE_CAPACITY_HINT                                                                                             \
	"without CAP_SYS_RESOURCE the sysctls fs.pipe-max-size and (without CAP_SYS_ADMIN) "                           \
	"fs.pipe-user-pages-soft have to leave room for it"

/* Copies out what a pipe holds: a private pipe of ours, and where the bytes land. */
struct pipe_reader {
	int ends[2];
	int capacity;
	char *data, *spare;
	size_t data_bytes;
	uint32_t *packets, *stream_bytes;
	size_t packet_capacity, stream_capacity;
};

#define PIPE_READER_INIT                                                                                               \
	{                                                                                                              \
		.ends = { -1, -1 }                                                                                     \
	}

/* Adds a record of the pipe that fd reads from; packets: it may hold packets (O_DIRECT). 0 or -errno. */
int pipe_reader_save(struct pipe_reader *reader, int fd, uint32_t pipe_id, bool packets, struct image_writer *w,
		     struct error *err);
/* The same for a pipe that is known to be empty. */
int pipe_save_empty(uint32_t pipe_id, uint32_t capacity, struct image_writer *w, struct error *err);
void pipe_reader_done(struct pipe_reader *reader);

#define AUTO_PIPE_READER __attribute__((cleanup(pipe_reader_done)))

/* 1 if that, and nothing else, is what waits to be read from fd; 0 or -errno. */
int pipe_holds(int fd, const struct checked_pipe_data *data);

/* Sets the capacity and writes the content; data may be NULL. fd can write, O_NONBLOCK. */
int pipe_fill(int fd, const struct checked_pipe_data *data, struct error *err);
