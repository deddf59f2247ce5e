/*
 * One image file of any kind: the first byte chooses the kind, the rest is the file. Reads records to the end, with
 * payloads of the lengths that the messages claim where they have a `bytes` field.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit/test_image_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int directory(void)
{
	static char path[128];
	static int fd = -1;

	if (fd < 0)
		fd = sample_directory(path, sizeof(path));
	return fd;
}

static void put(const char *name, const uint8_t *data, size_t bytes)
{
	AUTO_CLOSE int fd = openat(directory(), name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write_all(fd, data, bytes) < 0)
		abort();
}

static int take_payload(struct image_reader *reader, const PipeDataEntry *entry, struct error *err)
{
	const void *payload;
	uint64_t offset;

	if (entry->pipe_id % 2)
		return image_reader_skip(reader, entry->bytes, &offset, err);
	return image_reader_payload(reader, entry->bytes, &payload, err);
}

static int read_all_records(const struct image_set *set, enum image_kind kind, struct error *err)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	const struct image_type *type = image_type(kind);
	const ProtobufCMessageDescriptor *next = type->head ? type->head : type->message;
	int r = image_reader_open(&reader, set, kind, 0, err);

	if (r < 0)
		return r;
	for (;;) {
		AUTO_MESSAGE void *message = NULL;

		r = image_reader_next(&reader, next, &message, err);
		if (r <= 0)
			return r;
		if (kind == IMAGE_PIPES_DATA || kind == IMAGE_FIFO_DATA)
			r = take_payload(&reader, message, err);
		if (r < 0)
			return r;
		next = type->message;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	struct error err = { 0 };
	char name[IMAGE_NAME_MAX];
	enum image_kind kind;

	if (bytes == 0)
		return 0;
	kind = data[0] % IMAGE_KINDS;
	if (image_type(kind)->framing == IMAGE_FRAMING_RAW)
		return 0;
	if (image_set_open_plain(&set, directory(), NULL, &err) < 0)
		abort();
	image_name(kind, 0, name);
	put(name, data + 1, bytes - 1);
	if ((read_all_records(&set, kind, &err) < 0) != error_is_set(&err))
		abort();
	(void)unlinkat(directory(), name, 0);
	return 0;
}
