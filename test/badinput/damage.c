/*
 * Damages an image set on purpose.
 *
 * damage mutate SEED DIR	one random change: bytes, length, a file's absence; what it was goes to stdout
 * damage machine DIR		all core images become those of another processor (AARCH64)
 * damage version N DIR		another img_version in the inventory
 * damage identity DIR		files.img says no more of files than other programs write
 * damage core WHAT DIR		all core images get something that cannot be restored here: cgroup, label, xstate
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "core.pb-c.h"
#include "fdinfo.pb-c.h"
#include "inventory.pb-c.h"

enum { MOST_FILES = 256, INVENTORY_HEAD = 4, IMAGE_HEAD = 8 };

struct file {
	char path[512];
	uint8_t *data;
	size_t bytes;
};

static void die(const char *what)
{
	fprintf(stderr, "damage: %s: %s\n", what, errno ? strerror(errno) : "bad image");
	exit(2);
}

static struct file read_file(const char *dir, const char *name)
{
	struct file file;
	struct stat st;
	int fd;

	snprintf(file.path, sizeof(file.path), "%s/%s", dir, name);
	fd = open(file.path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(file.path);
	file.bytes = (size_t)st.st_size;
	file.data = calloc(1, file.bytes + 4096);
	if (!file.data || read(fd, file.data, file.bytes) != (ssize_t)file.bytes)
		die(file.path);
	close(fd);
	return file;
}

static void write_file(const struct file *file)
{
	int fd = open(file->path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, file->data, file->bytes) != (ssize_t)file->bytes || close(fd) < 0)
		die(file->path);
	free(file->data);
}

/* The only or first message of an image: its bytes and where they stand. */
static const uint8_t *find_message(const struct file *file, size_t head, uint32_t *ret_bytes)
{
	if (file->bytes < head + 4)
		die(file->path);
	memcpy(ret_bytes, file->data + head, 4);
	if (*ret_bytes > file->bytes - head - 4)
		die(file->path);
	return file->data + head + 4;
}

static void put_message(struct file *file, size_t head, const ProtobufCMessage *message)
{
	uint32_t bytes = (uint32_t)protobuf_c_message_get_packed_size(message);
	uint8_t *data = calloc(1, head + 4 + bytes);

	if (!data)
		die("memory");
	memcpy(data, file->data, head);
	memcpy(data + head, &bytes, 4);
	protobuf_c_message_pack(message, data + head + 4);
	free(file->data);
	file->data = data;
	file->bytes = head + 4 + bytes;
}

static size_t list_images(const char *path, char (*names)[256], const char *prefix)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	if (!dir)
		die(path);
	while ((entry = readdir(dir)) && count < MOST_FILES) {
		const char *end = strrchr(entry->d_name, '.');

		if (end && strcmp(end, ".img") == 0 && strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			snprintf(names[count++], 256, "%s", entry->d_name);
	}
	closedir(dir);
	return count;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void add_protection_keys(UserX86XsaveEntry *xsave)
{
	static uint32_t pkru[2] = { 0x55555550 };

	xsave->xstate_bv |= 1ULL << 9;
	xsave->pkru = pkru;
	xsave->n_pkru = 2;
}

static void change_core(const char *what, CoreEntry *core)
{
	static char label[] = "strict-profile (enforce)";

	if (strcmp(what, "machine") == 0)
		core->mtype = CORE_ENTRY__MARCH__AARCH64;
	else if (strcmp(what, "cgroup") == 0 && core->thread_core)
		core->thread_core->cg_set = 77;
	else if (strcmp(what, "label") == 0 && core->thread_core)
		core->thread_core->creds->lsm_profile = label;
	else if (strcmp(what, "xstate") == 0 && core->thread_info)
		add_protection_keys(core->thread_info->fpregs->xsave);
	else
		die(what);
}

static void change_cores(const char *what, const char *dir)
{
	static char names[MOST_FILES][256];
	size_t count = list_images(dir, names, "core-");

	for (size_t i = 0; i < count; i++) {
		struct file file = read_file(dir, names[i]);
		uint32_t bytes;
		const uint8_t *data = find_message(&file, IMAGE_HEAD, &bytes);
		CoreEntry *core = core_entry__unpack(NULL, bytes, data);

		if (!core)
			die(file.path);
		change_core(what, core);
		put_message(&file, IMAGE_HEAD, &core->base);
		write_file(&file);
	}
}

static void change_version(uint32_t version, const char *dir)
{
	struct file file = read_file(dir, "inventory.img");
	uint32_t bytes;
	const uint8_t *data = find_message(&file, INVENTORY_HEAD, &bytes);
	InventoryEntry *inventory = inventory_entry__unpack(NULL, bytes, data);

	if (!inventory)
		die(file.path);
	inventory->img_version = version;
	put_message(&file, INVENTORY_HEAD, &inventory->base);
	write_file(&file);
}

/* What is left out only makes the messages shorter. */
static void drop_identities(const char *dir)
{
	struct file file = read_file(dir, "files.img");
	size_t to = IMAGE_HEAD;

	for (size_t at = IMAGE_HEAD; at < file.bytes;) {
		uint32_t bytes;
		const uint8_t *data = find_message(&file, at, &bytes);
		FileEntry *entry = file_entry__unpack(NULL, bytes, data);
		__typeof__(entry->reg->identity) identity;

		if (!entry)
			die(file.path);
		at += 4 + bytes;
		identity = entry->reg ? entry->reg->identity : NULL;
		if (entry->reg)
			entry->reg->identity = NULL;
		bytes = (uint32_t)protobuf_c_message_get_packed_size(&entry->base);
		memcpy(file.data + to, &bytes, 4);
		protobuf_c_message_pack(&entry->base, file.data + to + 4);
		to += 4 + bytes;
		if (entry->reg)
			entry->reg->identity = identity;
		file_entry__free_unpacked(entry, NULL);
	}
	file.bytes = to;
	write_file(&file);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void mutate_bytes(struct file *file, uint64_t *state)
{
	static const uint32_t extremes[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x01000000, 4096 };
	size_t at = file->bytes ? next_random(state) % file->bytes : 0;

	switch (next_random(state) % 6) {
	case 0:
		printf("bit %zu of byte %zu", (size_t)(*state % 8), at);
		file->data[at] ^= (uint8_t)(1 << *state % 8);
		break;
	case 1:
		file->data[at] = (uint8_t)next_random(state);
		printf("byte %zu is %#x", at, file->data[at]);
		break;
	case 2:
		memcpy(file->data + at, &extremes[next_random(state) % 8], 4);
		printf("an extreme number at %zu", at);
		break;
	case 3:
		file->bytes = at;
		printf("truncated to %zu", at);
		break;
	case 4:
		file->bytes += 1 + next_random(state) % 64;
		printf("%zu bytes long by zeros", file->bytes);
		break;
	default:
		for (int i = 0; i < 8; i++)
			file->data[(at + (size_t)i) % (file->bytes + 1)] = (uint8_t)next_random(state);
		printf("eight random bytes at %zu", at);
		break;
	}
}

static void mutate(uint64_t seed, const char *dir)
{
	static char names[MOST_FILES][256];
	size_t count = list_images(dir, names, ""), which;
	uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
	struct file file;

	if (!count)
		die(dir);
	qsort(names, count, sizeof(names[0]), compare_names);
	for (int i = 0; i < 8; i++)
		(void)next_random(&state);
	which = next_random(&state) % count;
	printf("%s: ", names[which]);
	file = read_file(dir, names[which]);
	if (next_random(&state) % 16 == 0) {
		printf("removed");
		(void)unlink(file.path);
		free(file.data);
	} else {
		mutate_bytes(&file, &state);
		write_file(&file);
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "mutate") == 0)
		mutate(strtoull(argv[2], NULL, 10), argv[3]);
	else if (argc == 3 && strcmp(argv[1], "machine") == 0)
		change_cores("machine", argv[2]);
	else if (argc == 3 && strcmp(argv[1], "identity") == 0)
		drop_identities(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "core") == 0)
		change_cores(argv[2], argv[3]);
	else if (argc == 4 && strcmp(argv[1], "version") == 0)
		change_version((uint32_t)strtoul(argv[2], NULL, 10), argv[3]);
	else
		return 2;
	return 0;
}
