#include "kernel/kmsg.h"

#include <errno.h>
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

/* How many records from the start of the log have smaller numbers; -ENOENT: all have. */
static int count_before(int fd, uint64_t position, size_t *ret_count)
{
	uint64_t number = 0;
	size_t count = 0;
	int r;

	while ((r = read_number(fd, &number)) == 0 && number < position)
		count++;
	*ret_count = count;
	return r;
}

int kmsg_seek(int fd, uint64_t position)
{
	uint64_t number;
	size_t count;
	int r;

	if (position == KMSG_END)
		return lseek(fd, 0, SEEK_END) < 0 ? -errno : 0;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = count_before(fd, position, &count);
	if (r == -ENOENT)
		return 0; /* it stands at the end */
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while (r == 0 && count-- > 0)
		r = read_number(fd, &number);
	return r == -ENOENT ? 0 : r;
}
