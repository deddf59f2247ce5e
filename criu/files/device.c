/*
 * Character devices that have no state of their own: null, zero, full, random, urandom, and kmsg for writing. They are
 * saved like regular files, by their path. All other devices are refused by name: what a driver keeps for an open file
 * is its own business.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"

#define MEM_MAJOR  1
#define MISC_MAJOR 10

static const struct {
	unsigned int minor;
	const char *path;
} stateless[] = {
	{ 3, "/dev/null" },   { 5, "/dev/zero" },    { 7, "/dev/full" },
	{ 8, "/dev/random" }, { 9, "/dev/urandom" }, { 11, "/dev/kmsg" },
};

/* Words for the devices that programs have open most often. */
static const struct {
	unsigned int major;
	unsigned int first_minor, last_minor;
	const char *what;
} refused[] = {
	{ MISC_MAJOR, 200, 200, "tun/tap interface" },
	{ MISC_MAJOR, 229, 229, "FUSE server" },
	{ MISC_MAJOR, 232, 232, "KVM" },
	{ MISC_MAJOR, 235, 235, "autofs" },
	{ MISC_MAJOR, 237, 237, "loop control" },
	{ MISC_MAJOR, 238, 238, "vhost-net" },
	{ MISC_MAJOR, 241, 241, "vhost-vsock" },
	{ MISC_MAJOR, 223, 223, "uinput" },
	{ MEM_MAJOR, 1, 2, "physical memory" },
	{ MEM_MAJOR, 4, 4, "I/O ports" },
	{ 13, 0, 255, "input device" },
	{ 29, 0, 255, "frame buffer" },
	{ 116, 0, 255, "sound device" },
	{ 195, 0, 255, "graphics device" },
	{ 226, 0, 255, "graphics device (DRM)" },
};

static const char *stateless_path(const struct open_file *file)
{
	if (!S_ISCHR(file->st.st_mode) || major(file->st.st_rdev) != MEM_MAJOR)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(stateless); i++)
		if (stateless[i].minor == minor(file->st.st_rdev))
			return stateless[i].path;
	return NULL;
}

static bool is_device(const struct dump *d, const struct open_file *file)
{
	return !(file->flags & O_PATH) && (S_ISCHR(file->st.st_mode) || S_ISBLK(file->st.st_mode));
}

static const char *describe_device(const struct open_file *file)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (refused[i].major == major(file->st.st_rdev) && minor(file->st.st_rdev) >= refused[i].first_minor &&
		    minor(file->st.st_rdev) <= refused[i].last_minor)
			return refused[i].what;
	return "device";
}

/* With --evasive-devices any path to the same device will do. */
static int evade(struct dump *d, struct open_file *file, const char *path)
{
	struct stat st;
	char *link;

	if (!d->opts->evasive_devices || stat(path, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != file->st.st_rdev)
		return -ENOENT;
	link = strdup(path);
	if (!link)
		return -ENOMEM;
	free(file->link);
	file->link = link;
	file->name_state = FILE_NAME_GOOD;
	file->st.st_mode = st.st_mode;
	return 0;
}

static int look_device(struct dump *d, struct open_file *file, struct error *err)
{
	const char *path = stateless_path(file);

	if (!path)
		return open_file_refuse(file, err, "%s %u:%u: %s is not supported", describe_device(file),
					major(file->st.st_rdev), minor(file->st.st_rdev),
					S_ISBLK(file->st.st_mode) ? "an open block device" : "this device");
	if (!strcmp(path, "/dev/kmsg") && (file->flags & O_ACCMODE) != O_WRONLY)
		return open_file_refuse(file, err, "what was read of the kernel's log cannot be told");
	if (file->name_state != FILE_NAME_GOOD && evade(d, file, path) == 0)
		return 0;
	if (file->name_state == FILE_NAME_GONE && file->st.st_nlink)
		error_hint(err, "--evasive-devices takes %s instead", path);
	return regular_look(d, file, err);
}

static int save_device(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	return regular_fill(d, file, file->id, &entry->reg, err);
}

const struct file_kind device_kind = {
	.name = "device",
	.type = FD_TYPES__REG, /* restored as one */
	.is = is_device,
	.look = look_device,
	.save = save_device,
};
