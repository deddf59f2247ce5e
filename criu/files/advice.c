/*
 * What posix_fadvise(2) has told of regular files: read from the kernel's records, for no interface gives it back. Only
 * files that can be read are asked, on filesystems where it does something, for it is about reading. How the kernel
 * shows it is learnt, once for a device, from a description of our own of the same inode.
 */
#include "files/advice.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/file-facts.h"
#include "files/locks.h"
#include "files/registry.h"
#include "kernel/kernel-memory.h"
#include "kernel/pidfd.h"

/*
 * Without records that were read anyway it takes milliseconds to ask the first one. Of small files all is soon in
 * memory, whatever was advised.
 */
#define ASKED_FROM_BYTES (128 << 10)

/* Of the file behind it there is no record. */
static bool has_record(const struct open_file *file, const struct file_device *device)
{
	return file->facts && !file_device_is_overlay(device);
}

static struct file_advice_words words_of(const struct bpf_file *record)
{
	return (struct file_advice_words){
		.mode = (uint32_t)record->mode_bits,
		.readahead_pages = (uint32_t)record->readahead_pages,
	};
}

/* Our own files, as the records tell of them. */
static int read_listed(struct dump *d, const int fds[FILE_ADVICE_SPECIMENS],
		       struct file_advice_words words[FILE_ADVICE_SPECIMENS])
{
	AUTO_FREE struct bpf_file *files = NULL;
	size_t count = 0, found = 0;
	int r = file_facts_list_own(d->file_facts, &files, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		for (int k = 0; k < FILE_ADVICE_SPECIMENS; k++)
			if (files[i].fd == (uint64_t)fds[k]) {
				words[k] = words_of(&files[i]);
				found++;
			}
	return r < 0 ? r : found == FILE_ADVICE_SPECIMENS ? 0 : -EIO;
}

static int read_located(struct dump *d, const int fds[FILE_ADVICE_SPECIMENS], bool is_on_overlay,
			struct file_advice_words words[FILE_ADVICE_SPECIMENS])
{
	AUTO_CLOSE int pidfd = pidfd_open_pid(getpid());
	struct kernel_memory *km;
	uint64_t table, address;
	int r = pidfd < 0 ? pidfd : dump_kernel_memory(d, &km);

	if (r == 0)
		r = kernel_memory_table(km, pidfd, &table);
	for (int i = 0; i < FILE_ADVICE_SPECIMENS && r == 0; i++) {
		r = kernel_memory_table_file(km, table, fds[i], &address);
		if (r == 0)
			r = file_advice_read(km, address, is_on_overlay, &words[i]);
	}
	return r;
}

static int make_specimens(struct dump *d, struct open_file *file, int fds[FILE_ADVICE_SPECIMENS])
{
	for (int i = 0; i < FILE_ADVICE_SPECIMENS; i++) {
		int r = fds[i] = open_file_reopen(d, file, O_RDONLY | O_NONBLOCK | O_NOCTTY);

		if (r >= 0)
			r = file_advice_make_specimen(fds[i], i);
		if (r < 0)
			return r;
	}
	return 0;
}

static int learn(struct dump *d, struct open_file *file, struct file_device *device)
{
	struct file_advice_words words[FILE_ADVICE_SPECIMENS];
	int fds[FILE_ADVICE_SPECIMENS] = { -1, -1, -1, -1 };
	int r = make_specimens(d, file, fds);

	if (r == 0)
		r = has_record(file, device) ? read_listed(d, fds, words)
					     : read_located(d, fds, file_device_is_overlay(device), words);
	for (int i = 0; i < FILE_ADVICE_SPECIMENS; i++)
		close_fd(&fds[i]);
	return r < 0 ? r : file_advice_learn(words, &device->advice);
}

static int read_words(struct dump *d, struct open_file *file, const struct file_device *device,
		      struct file_advice_words *ret)
{
	struct kernel_memory *km;
	uint64_t address;
	int r;

	if (has_record(file, device)) {
		*ret = words_of(file->facts);
		return 0;
	}
	r = dump_kernel_memory(d, &km);
	if (r == 0)
		r = open_file_address(d, file, km, &address);
	return r < 0 ? r : file_advice_read(km, address, file_device_is_overlay(device), ret);
}

static bool is_asked(const struct dump *d, const struct open_file *file)
{
	return !d->is_live && file->fd >= 0 && S_ISREG(file->st.st_mode) && !(file->flags & O_PATH) &&
	       (file->flags & O_ACCMODE) != O_WRONLY && (file->facts || file->st.st_size >= ASKED_FROM_BYTES);
}

static const struct file_advice_key *find_key(struct dump *d, struct open_file *file, struct file_device *device)
{
	int r;

	if (device->asked_advice || locks_lease_on(d, file))
		return &device->advice;
	device->asked_advice = true;
	r = learn(d, file, device);
	if (r < 0) {
		memset(&device->advice, 0, sizeof(device->advice));
		log_info("%s: advice of posix_fadvise(2) for such files cannot be told: %s", file->link, strerror(-r));
	}
	return &device->advice;
}

void advice_look(struct dump *d, struct open_file *file)
{
	const struct file_advice_key *key;
	struct file_advice_words words;
	struct file_device *device;

	if (!is_asked(d, file))
		return;
	device = open_file_device(d, file);
	if (!file_device_has_disk(device))
		return;
	key = find_key(d, file, device);
	if ((key->random || key->noreuse || key->sequential_pages) && read_words(d, file, device, &words) == 0)
		file->advice = file_advice_of(&words, key);
}

int advice_restore(const RegFileEntry *entry, int fd, struct error *err)
{
	int r = entry->has_advice && !(entry->flags & O_PATH) ? file_advice_give(fd, entry->advice) : 0;

	return r < 0 ? error_set(err, r, "%s: give the advice (posix_fadvise) 0x%x again", entry->name, entry->advice)
		     : 0;
}
