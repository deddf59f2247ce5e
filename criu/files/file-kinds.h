/* The row of each kind; see its file. */
#pragma once

#include "files/file-kind.h"

extern const struct file_kind device_kind;
extern const struct file_kind epoll_kind;
extern const struct file_kind eventfd_kind;
extern const struct file_kind fanotify_kind;
extern const struct file_kind fifo_kind;
extern const struct file_kind inotify_kind;
extern const struct file_kind io_uring_kind;
extern const struct file_kind memfd_kind;
extern const struct file_kind ns_kind;
extern const struct file_kind pidfd_kind;
extern const struct file_kind pipe_kind;
extern const struct file_kind regular_kind;
extern const struct file_kind signalfd_kind;
extern const struct file_kind timerfd_kind;
extern const struct file_kind tty_kind;
extern const struct file_kind tun_kind;
extern const struct file_kind unsupported_anonymous_kind;
extern const struct file_kind unsupported_handle_kind;
extern const struct file_kind unsupported_mount_kind;
extern const struct file_kind unsupported_queue_kind;
extern const struct file_kind unsupported_socket_kind;
extern const struct file_kind unsupported_special_kind;
