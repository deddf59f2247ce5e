#include "kernel/kmsg.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/kernel-memory.h"

#define RECORD_ROOM 8192 /* the kernel's longest */

int kmsg_position(struct kernel_memory *km, int pidfd, int fd, uint64_t *ret_position)
{
	uint64_t file, user;
	int r = kernel_memory_file(km, pidfd, fd, &file);

	if (r == 0)
		r = KERNEL_MEMBER(km, file, "file", "private_data", &user);
	return r < 0 ? r : KERNEL_MEMBER(km, user, "devkmsg_user", "seq", ret_position);
}

/* "PRIORITY,NUMBER,...": one read gives one record. -ENOENT behind the last. */
static int read_number(int fd, uint64_t *ret_number)
{
	char record[RECORD_ROOM + 1];
	const char *comma;
	ssize_t n;

	do
		n = read(fd, record, RECORD_ROOM);
	while (n < 0 && (errno == EPIPE || errno == EINTR)); /* EPIPE: records were overwritten */
	if (n < 0)
		return errno == EAGAIN ? -ENOENT : -errno;
	record[n] = '\0';
	comma = strchr(record, ',');
	if (!comma)
		return -EBADMSG;
	*ret_number = strtoull(comma + 1, NULL, 10);
	return 0;
}

/* The last number in the log that is smaller, in *ret if there is one. Leaves the position behind it, or somewhere. */
static int find_before(int fd, uint64_t position, uint64_t *ret, bool *ret_found)
{
	uint64_t number = 0;
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : read_number(fd, &number);

	*ret_found = false;
	while (r == 0 && number < position) {
		*ret = number;
		*ret_found = true;
		r = read_number(fd, &number);
	}
	return r == -ENOENT ? 0 : r;
}

/* Behind the record with that number. New ones overwrite the oldest: where it is gone, so are all before it. */
static int seek_behind(int fd, uint64_t last)
{
	uint64_t number = 0;
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;

	while (r == 0 && number < last)
		r = read_number(fd, &number);
	if (r == 0 && number > last && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r == -ENOENT ? 0 : r;
}

int kmsg_seek(int fd, uint64_t position)
{
	uint64_t last;
	bool is_found;
	int r;

	if (position == KMSG_END)
		return lseek(fd, 0, SEEK_END) < 0 ? -errno : 0;
	r = find_before(fd, position, &last, &is_found);
	if (r < 0)
		return r;
	if (!is_found)
		return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
	return seek_behind(fd, last);
}
