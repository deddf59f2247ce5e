/*
 * Devices. Those that keep nothing for who has them open are saved like regular files, by their path and number: null,
 * zero, full, random, urandom, and a few whose descriptors only make other ones. /dev/kmsg has a place in the kernel's
 * log. For all others what a driver keeps for an open file is its own business: they are refused by name, unless
 * --external dev[MAJOR/MINOR]:NAME says that the restore is told what to open instead (--external dev[NAME]:PATH, or
 * --inherit-fd).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "kernel/kmsg.h"

#define MEM_MAJOR  1
#define MISC_MAJOR 10

static const struct {
	unsigned int major, minor;
	const char *path;
} stateless[] = {
	{ MEM_MAJOR, 3, "/dev/null" },
	{ MEM_MAJOR, 5, "/dev/zero" },
	{ MEM_MAJOR, 7, "/dev/full" },
	{ MEM_MAJOR, 8, "/dev/random" },
	{ MEM_MAJOR, 9, "/dev/urandom" },
	{ MEM_MAJOR, 11, "/dev/kmsg" },
	{ MISC_MAJOR, 183, "/dev/hwrng" },
	{ MISC_MAJOR, 232, "/dev/kvm" },
	{ MISC_MAJOR, 234, "/dev/btrfs-control" },
	{ MISC_MAJOR, 237, "/dev/loop-control" },
};

/* Words for the devices that programs have open most often. */
static const struct {
	unsigned int major;
	unsigned int first_minor, last_minor;
	const char *what;
} refused[] = {
	{ MISC_MAJOR, 135, 135, "real-time clock" },
	{ MISC_MAJOR, 130, 130, "watchdog" },
	{ MISC_MAJOR, 196, 196, "VFIO container" },
	{ MISC_MAJOR, 223, 223, "uinput" },
	{ MISC_MAJOR, 229, 229, "FUSE server" },
	{ MISC_MAJOR, 235, 235, "autofs" },
	{ MISC_MAJOR, 238, 238, "vhost-net" },
	{ MISC_MAJOR, 241, 241, "vhost-vsock" },
	{ MEM_MAJOR, 1, 2, "physical memory" },
	{ MEM_MAJOR, 4, 4, "I/O ports" },
	{ 7, 0, 255, "screen of a virtual console" },
	{ 13, 0, 255, "input device" },
	{ 29, 0, 255, "frame buffer" },
	{ 108, 0, 255, "PPP" },
	{ 116, 0, 255, "sound device" },
	{ 195, 0, 255, "graphics device" },
	{ 202, 0, 255, "processor registers (MSR)" },
	{ 203, 0, 255, "processor identification (CPUID)" },
	{ 226, 0, 255, "graphics device (DRM)" },
};

/* Numbers that are given out as drivers come: the name in /dev tells. */
static const struct {
	const char *path;
	const char *what;
} refused_paths[] = {
	{ "/dev/rtc", "real-time clock" },     { "/dev/cpu_dma_latency", "processor latency request" },
	{ "/dev/userfaultfd", "userfaultfd" }, { "/dev/udmabuf", "DMA buffer" },
	{ "/dev/dma_heap/", "DMA buffer" },    { "/dev/vfio/", "VFIO device" },
	{ "/dev/binder", "binder" },           { "/dev/hwbinder", "binder" },
	{ "/dev/vndbinder", "binder" },        { "/dev/kfd", "graphics device" },
};

static const char *stateless_path(const struct open_file *file)
{
	if (!S_ISCHR(file->st.st_mode))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(stateless); i++)
		if (stateless[i].major == major(file->st.st_rdev) && stateless[i].minor == minor(file->st.st_rdev))
			return stateless[i].path;
	return NULL;
}

static bool is_device(const struct dump *d, const struct open_file *file)
{
	return !(file->flags & O_PATH) && (S_ISCHR(file->st.st_mode) || S_ISBLK(file->st.st_mode));
}

static const char *describe_device(const struct open_file *file)
{
	for (size_t i = 0; S_ISCHR(file->st.st_mode) && i < ARRAY_SIZE(refused); i++)
		if (refused[i].major == major(file->st.st_rdev) && minor(file->st.st_rdev) >= refused[i].first_minor &&
		    minor(file->st.st_rdev) <= refused[i].last_minor)
			return refused[i].what;
	for (size_t i = 0; file->link && i < ARRAY_SIZE(refused_paths); i++)
		if (!strncmp(file->link, refused_paths[i].path, strlen(refused_paths[i].path)))
			return refused_paths[i].what;
	return S_ISBLK(file->st.st_mode) ? "block device" : "device";
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

/* What the user calls a device that stays outside of the images, NULL: it does not. */
static const struct external *find_external(const struct dump *d, const struct open_file *file)
{
	char id[32];

	(void)snprintf(id, sizeof(id), "%u/%u", major(file->st.st_rdev), minor(file->st.st_rdev));
	return options_find_external(d->opts, "dev", id);
}

static int look_external(const struct open_file *file, const struct external *external, struct error *err)
{
	if (external->value && *external->value)
		return 0;
	error_hint(err, "say --external dev[%s]:NAME", external->id);
	return open_file_refuse(file, err, "--external dev[%s] does not say what the restore calls this device",
				external->id);
}

static int refuse_device(const struct open_file *file, struct error *err)
{
	unsigned int first = major(file->st.st_rdev), second = minor(file->st.st_rdev);

	error_hint(err,
		   "--external dev[%u/%u]:NAME leaves it out of the images, and --external dev[NAME]:PATH tells the "
		   "restore what to open",
		   first, second);
	return open_file_refuse(file, err, "%s %u:%u: what its driver keeps cannot be saved", describe_device(file),
				first, second);
}

static bool reads_log(const struct open_file *file)
{
	return S_ISCHR(file->st.st_mode) && file->st.st_rdev == makedev(MEM_MAJOR, 11) &&
	       (file->flags & O_ACCMODE) != O_WRONLY && !(file->flags & O_PATH);
}

/* Without the kernel's help only the end is known: there nothing can be read. */
static int look_log(struct dump *d, struct open_file *file, struct error *err)
{
	struct pollfd poll_fd = { .events = POLLIN };
	uint64_t *position = malloc(sizeof(*position));
	struct kernel_memory *km;

	if (!position)
		return open_file_error(file, err, -ENOMEM, "look");
	file->kind_data = position;
	if (file->fd < 0 ||
	    (dump_kernel_memory(d, &km) == 0 && kmsg_position(km, file->task->pidfd, file->fd, position) == 0))
		return 0;
	*position = KMSG_END;
	poll_fd.fd = open_file_local(d, file);
	if (poll_fd.fd < 0 || poll(&poll_fd, 1, 0) < 0)
		return open_file_error(file, err, poll_fd.fd < 0 ? poll_fd.fd : -errno, "look");
	if (!poll_fd.revents)
		return 0;
	error_hint(err, "the kernel tells it those with CAP_BPF and CAP_PERFMON (CONFIG_DEBUG_INFO_BTF)");
	return open_file_refuse(file, err, "how much of the kernel's log was read cannot be told");
}

static int look_device(struct dump *d, struct open_file *file, struct error *err)
{
	const char *path = stateless_path(file);
	const struct external *external = find_external(d, file);
	int r;

	if (external)
		return look_external(file, external, err);
	if (!path)
		return refuse_device(file, err);
	r = reads_log(file) ? look_log(d, file, err) : 0;
	if (r < 0)
		return r;
	if (file->name_state != FILE_NAME_GOOD && evade(d, file, path) == 0)
		return 0;
	if (file->name_state == FILE_NAME_GONE && file->st.st_nlink)
		error_hint(err, "--evasive-devices takes %s instead", path);
	return regular_look(d, file, err);
}

static int name_external(struct dump *d, const struct external *external, RegFileEntry *entry)
{
	size_t bytes = strlen(external->value) + sizeof("dev[]");

	entry->has_ext = entry->ext = true;
	entry->name = files_scratch(d, bytes);
	if (!entry->name)
		return -ENOMEM;
	(void)snprintf(entry->name, bytes, "dev[%s]", external->value);
	return 0;
}

static int save_device(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	const struct external *external = find_external(d, file);
	int r = regular_fill(d, file, file->id, &entry->reg, err);

	if (r < 0)
		return r;
	if (external && name_external(d, external, entry->reg) < 0)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->reg->has_rdev = !external;
	entry->reg->rdev = file->st.st_rdev;
	if (!external && reads_log(file)) {
		entry->reg->has_log_position = true;
		entry->reg->log_position = *(const uint64_t *)file->kind_data;
	}
	return 0;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

static const char name_start[] = "dev[";

bool device_is_external(const RegFileEntry *entry)
{
	return entry->has_ext && entry->ext && !strncmp(entry->name, name_start, strlen(name_start));
}

int device_check_external(struct restore *r, struct restore_file *file, const char **ret_path, struct error *err)
{
	const RegFileEntry *entry = file->entry->reg;
	const char *name = entry->name + strlen(name_start);
	size_t length = strlen(name);
	const struct external *external;
	char *id = restore_alloc(r, length + 1);
	struct stat st;

	if (!id)
		return error_set(err, -ENOMEM, "open files");
	memcpy(id, name, length + 1);
	if (length)
		id[length - 1] = '\0';
	external = options_find_external(r->opts, "dev", id);
	if (!external || !external->value) {
		error_hint(err, "say --external dev[%s]:PATH, or --inherit-fd fd[N]:dev[%s]", id, id);
		return restore_refuse(r, file, err, "the device called %s was left out of the images", id);
	}
	if (stat(external->value, &st) < 0)
		return restore_refuse(r, file, err, "%s, given for device %s: %s", external->value, id,
				      strerror(errno));
	if (entry->has_mode && (entry->mode & S_IFMT) != (st.st_mode & S_IFMT))
		return restore_refuse(r, file, err, "%s, given for device %s: is no %s device", external->value, id,
				      S_ISBLK(entry->mode) ? "block" : "character");
	*ret_path = external->value;
	return 0;
}

const struct file_kind device_kind = {
	.name = "device",
	.type = FD_TYPES__REG, /* restored as one */
	.is = is_device,
	.look = look_device,
	.save = save_device,
};
