/*
 * The whole-set check on a sound set that the input damages: patches of six bytes (file, what to do, two bytes of
 * place, two of value). The set is the sample of the unit tests, or the one in the directory GOLDEN_SET.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit/test_image_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct file {
	char name[IMAGE_NAME_MAX];
	struct buffer whole, damaged;
	bool is_changed;
};

static struct {
	int dirfd;
	struct file files[256];
	size_t count;
} base = { .dirfd = -1 };

static void put(const struct file *file, const struct buffer *content)
{
	AUTO_CLOSE int fd = openat(base.dirfd, file->name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write_all(fd, content->data, content->bytes) < 0)
		abort();
}

static void take_files(int from)
{
	AUTO_CLOSEDIR DIR *dir = fdopendir(dup(from));
	struct dirent *entry;

	rewinddir(dir);
	while ((entry = readdir(dir)) && base.count < ARRAY_SIZE(base.files)) {
		struct file *file = &base.files[base.count];
		enum image_kind kind;
		uint64_t id;

		if (image_parse_name(entry->d_name, &kind, &id) < 0)
			continue;
		image_name(kind, id, file->name);
		if (buffer_read_at(&file->whole, from, entry->d_name) < 0)
			abort();
		put(file, &file->whole);
		base.count++;
	}
}

static void prepare(void)
{
	static char path[128];
	const char *golden = getenv("GOLDEN_SET");
	struct error err = { 0 };
	int from;

	if (base.dirfd >= 0)
		return;
	base.dirfd = sample_directory(path, sizeof(path));
	from = golden ? open(golden, O_RDONLY | O_DIRECTORY) : base.dirfd;
	if (base.dirfd < 0 || from < 0 || (!golden && sample_write(base.dirfd, &err) < 0))
		abort();
	take_files(from);
}

static void damage(struct file *file, unsigned int action, size_t at, const uint8_t *value)
{
	if (!file->is_changed) {
		file->damaged.bytes = 0;
		if (buffer_append(&file->damaged, file->whole.data, file->whole.bytes) < 0)
			abort();
		file->is_changed = true;
	}
	at %= file->damaged.bytes + 1;
	switch (action % 4) {
	case 0:
		file->damaged.bytes = at;
		break;
	case 1:
		if (at < file->damaged.bytes)
			file->damaged.data[at] = (char)value[0];
		break;
	case 2:
		if (at + 1 < file->damaged.bytes)
			memcpy(file->damaged.data + at, value, 2);
		break;
	default:
		if (file->damaged.bytes < 65536 && buffer_append(&file->damaged, value, 2) < 0)
			abort();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	struct checked_set *checked = NULL;
	struct error err = { 0 };
	int r;

	prepare();
	for (; bytes >= 6; data += 6, bytes -= 6)
		damage(&base.files[data[0] % base.count], data[1], (size_t)(data[2] | data[3] << 8), data + 4);
	for (size_t i = 0; i < base.count; i++) {
		if (base.files[i].is_changed)
			put(&base.files[i], &base.files[i].damaged);
	}
	r = image_set_open(&set, base.dirfd, NULL, &err);
	if (r == 0)
		r = image_check(&set, &checked, &err);
	if ((r < 0) != error_is_set(&err) || (r == 0) != (checked != NULL))
		abort();
	checked_set_free(checked);
	for (size_t i = 0; i < base.count; i++) {
		if (base.files[i].is_changed)
			put(&base.files[i], &base.files[i].whole);
		base.files[i].is_changed = false;
	}
	return 0;
}
