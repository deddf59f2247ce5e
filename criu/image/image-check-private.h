/* What the parts of the whole-set check share. */
#pragma once

#include <linux/mempolicy.h>

#include "image/image-check.h"

/* Where something is wrong, for the sentence. */
struct check_place {
	enum image_kind kind;
	uint64_t id;
	struct error *err;
};

/* "FILE: " and the sentence. Returns -EBADMSG. */
int check_bad(const struct check_place *at, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first number that occurs twice, sorting the array on the way: true and the number, or false. */
bool find_duplicate(uint32_t *numbers, size_t count, uint32_t *ret_number);

/* Pids and tids are below the kernel's limit. */
#define CHECK_PID_LIMIT (1u << 22)
#define CHECK_FD_LIMIT  (1u << 30)

#define CHECK_SIGNAL_MAX    64u
#define CHECK_GROUPS_MAX    65536 /* supplementary ones */
#define CHECK_US_PER_SECOND 1000000u

#define NUMA_MODE_LAST 6u /* weighted interleaving, since Linux 6.9 */

/* A mode of set_mempolicy(2) or mbind(2), with flags above it, of which two exclude each other. */
static inline bool is_numa_mode(uint32_t mode)
{
	const uint32_t flags = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES;

	return (mode & ~(uint32_t)MPOL_MODE_FLAGS) <= NUMA_MODE_LAST && (mode & flags) != flags;
}

/* image-check-tasks.c: pstree.img, core, ids; filters must have been loaded */
int check_tasks(struct checked_set *cs, struct error *err);
int check_seccomp(struct checked_set *cs, struct error *err);

/* image-check-core.c */
int check_core(struct checked_set *cs, struct checked_task *task, size_t thread, const struct check_place *at);

/* image-check-files.c: files.img with what belongs to it */
int check_files(struct checked_set *cs, struct error *err);

/* image-check-pipes.c: contents of pipes or fifos, whose files must have been loaded */
int check_pipes(struct checked_set *cs, enum image_kind kind, FdTypes type, struct checked_pipe_list *list,
		struct error *err);

/* image-check-tables.c: descriptor tables and directories of tasks, after files and tasks */
int check_fd_tables(struct checked_set *cs, struct error *err);
int check_fs(struct checked_set *cs, struct error *err);

/* image-check-old.c: files of old versions, brought to where current versions have their contents */
int load_old_files(struct checked_set *cs, struct image_list *ret_files, struct error *err);
int load_old_task_parts(struct checked_set *cs, struct checked_task *task, struct error *err);
int load_old_thread_parts(struct checked_set *cs, const struct checked_task *task, const struct checked_thread *thread,
			  struct error *err);
int load_old_vmas(struct checked_set *cs, struct checked_task *task, struct error *err);

/* One row per type of file: where file_entry has its message, and what it was called in old sets. */
struct file_row {
	FdTypes type;
	size_t member_offset; /* of the pointer in FileEntry */
	size_t id_offset;     /* of the id in the message */
	const ProtobufCMessageDescriptor *descriptor;
	enum image_kind old_kind;
};

/* NULL for unknown types. */
const struct file_row *file_row_of(FdTypes type);
const struct file_row *file_rows(size_t *ret_count);

/* image-check-mm.c: mappings and page maps; shared memory is complete after all tasks were seen */
int check_mm(struct checked_set *cs, struct error *err);
int check_shmems(struct checked_set *cs, struct error *err);

/* image-check-absent.c: after everything else was loaded */
int check_absent_parts(const struct checked_set *cs, struct error *err);

/* image-check-pages.c: after all page maps were loaded */
int check_lost_pages(const struct checked_set *cs, struct error *err);
