/* The kinds of files, in the order in which they are asked. The first that says yes has it. */
#include "files/file-kinds.h"

const struct file_kind *const file_kinds[] = {
	&unsupported_handle_kind,
	&unsupported_socket_kind,
	&pipe_kind,
	&fifo_kind,
	&eventfd_kind,
	&epoll_kind,
	&signalfd_kind,
	&timerfd_kind,
	&pidfd_kind,
	&memfd_kind,
	&inotify_kind,
	&fanotify_kind,
	&io_uring_kind,
	&unsupported_anonymous_kind,
	&tty_kind,
	&tun_kind,
	&device_kind,
	&ns_kind,
	&unsupported_special_kind,
	&unsupported_queue_kind,
	&unsupported_mount_kind,
	&regular_kind,
	NULL,
};

const struct file_kind *file_kind_by_type(FdTypes type)
{
	for (size_t i = 0; file_kinds[i]; i++)
		if (file_kinds[i]->type == type && file_kinds[i]->open)
			return file_kinds[i];
	return NULL;
}
