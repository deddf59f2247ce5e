/* io_uring instances: what the files io-uring*.c share. Only for criu/files/. */
#pragma once

#include <stdint.h>

#include "files/file-kind.h"
#include "files/restore-files.h"
#include "kernel/io-uring.h"

/* What decides where things are in the rings. */
#define IO_URING_LAYOUT_FLAGS                                                                                          \
	(IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_CQE_MIXED | IORING_SETUP_NO_SQARRAY)

/* What can be asked for again. IORING_SETUP_ATTACH_WQ is not: it shares threads of the kernel's own. */
#define IO_URING_FLAGS_RESTORED                                                                                        \
	(IO_URING_LAYOUT_FLAGS | IORING_SETUP_IOPOLL | IORING_SETUP_HYBRID_IOPOLL | IORING_SETUP_CQSIZE |              \
	 IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |          \
	 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

#define IO_URING_OFFSETS 14

/* Where things are in the rings, in the order of the image. */
struct io_uring_offsets {
	uint32_t sq[7], cq[7];
};

_Static_assert(sizeof(struct io_uring_offsets) == IO_URING_OFFSETS * sizeof(uint32_t), "one after the other");

void io_uring_get_offsets(const struct io_uring_params *params, struct io_uring_offsets *ret);

/* io-uring-look.c: the methods of a dump. */
int io_uring_look(struct dump *d, struct open_file *file, struct error *err);
int io_uring_save(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err);

/* io-uring-restore.c: those of a restore. */
int io_uring_check(struct restore *r, struct restore_file *file, struct error *err);
int io_uring_open(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err);
int io_uring_finish(struct restore *r, struct restore_task *task, struct restore_file *file, int fd, struct error *err);
