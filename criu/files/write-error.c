/*
 * What could not be written to the disk is told to each descriptor of the file once, by fsync(2), and to one that was
 * opened later not at all: after a restore the program would take its data for written. No interface makes such an
 * error again, so that a file with one is refused, unless --file-policy lets it be whatever it may.
 *
 * It is asked of descriptors open for writing, where a program that waits for its data to be written has them: in the
 * kernel's records, where these were read anyway; of large files and where the kernel's memory is read already for
 * something else by themselves, for it takes milliseconds to ask the first one.
 */
#include "files/write-error.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "engine/dump.h"
#include "files/file-facts.h"
#include "files/registry.h"
#include "kernel/file-write-error.h"
#include "kernel/kernel-memory.h"

#define ASKED_FROM_BYTES (128 << 10)

static bool is_written(const struct dump *d, const struct open_file *file)
{
	return !d->is_live && file->fd >= 0 && S_ISREG(file->st.st_mode) && !(file->flags & O_PATH) &&
	       (file->flags & O_ACCMODE) != O_RDONLY;
}

/* The errno, or 0. */
static int find_pending(struct dump *d, struct open_file *file)
{
	const struct file_device *device;
	struct file_write_error error;
	struct kernel_memory *km;
	uint64_t address;

	if (file->facts) {
		error.told = (uint32_t)file->facts->told_error;
		error.last = (uint32_t)file->facts->last_error;
		if (file_write_error_pending(&error))
			return file_write_error_pending(&error);
	}
	if (!file->facts && !d->kernel_memory && file->st.st_size < ASKED_FROM_BYTES)
		return 0;
	device = open_file_device(d, file);
	if (!file_device_has_disk(device) || (file->facts && !file_device_is_overlay(device)))
		return 0;
	if (dump_kernel_memory(d, &km) < 0 || open_file_address(d, file, km, &address) < 0 ||
	    file_write_error_read(km, address, file_device_is_overlay(device), &error) < 0)
		return 0;
	return file_write_error_pending(&error);
}

int write_error_look(struct dump *d, struct open_file *file, struct error *err)
{
	char place[ERROR_WHOLE_BYTES];
	int pending = is_written(d, file) ? find_pending(d, file) : 0;

	if (!pending)
		return 0;
	if (file->link && options_find_file_policy(d->opts, file->link) == FILE_POLICY_ANY) {
		log_warn("%s: not all that was written to it has reached the disk (%s), which the program is not told "
			 "after a restore\n",
			 open_file_describe(file, place, sizeof(place)), strerror(pending));
		return 0;
	}
	error_hint(err, "have the program call fsync(2), which tells it; --file-policy PATTERN=any goes on without");
	return open_file_refuse(
	    file, err,
	    "not all that was written to it has reached the disk (%s), and the program has yet to be "
	    "told",
	    strerror(pending));
}
