/*
 * A whole image set, decoded and verified, before a restore creates anything. What stands in a checked_set holds by
 * itself: ids lead somewhere, counts are sane, every process has the files it needs, registers are those of a program.
 * Nothing is decoded twice: the restore takes the messages from here. What old versions kept in files of their own is
 * found where current versions have it, and what they left out is filled in (fdflags of mappings, types of remaps), as
 * is O_TMPFILE among the flags of files.
 *
 * Failures are -EBADMSG (damaged) or -EINVAL (not for us, such as another architecture) and one sentence.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image-read.h"
#include "image/image-set.h"
#include "image/pagemap.h"
#include "images/core.pb-c.h"
#include "images/fdinfo.pb-c.h"
#include "images/fs.pb-c.h"
#include "images/inventory.pb-c.h"
#include "images/memfd.pb-c.h"
#include "images/mm.pb-c.h"
#include "images/pipe-data.pb-c.h"
#include "images/pstree.pb-c.h"
#include "images/remap-file-path.pb-c.h"
#include "images/seccomp.pb-c.h"
#include "images/timens.pb-c.h"

struct checked_thread {
	uint32_t tid;
	CoreEntry *core;
};

/* A descriptor table; tasks with the same files_id share it. Entries are in ascending order of fd. */
struct checked_fd_table {
	uint32_t files_id;
	FdinfoEntry **entries;
	size_t count;
};

struct checked_task {
	PstreeEntry *entry;
	struct checked_task *parent; /* NULL for the root */
	size_t parent_thread;        /* whose child it is: index into the parent's threads */
	bool is_zombie;
	bool leader_has_ended; /* while others live on: threads[0].core has no thread_info */

	/*
	 * One that waits for the end of its vfork: for a living child of its, which has one thread and no children, and
	 * whose memory is its own, too: mm and pagemap are the child's. The thread that waits is the child's
	 * parent_thread.
	 */
	struct checked_task *vfork_child, *vfork_parent;

	/*
	 * threads[0] is the leader. A zombie has one, whose core has only tc. Of the leader all of tc, tc->timers,
	 * tc->rlimits, thread_info, thread_core and its creds are there; other threads may have no creds in old sets:
	 * then the leader's are theirs.
	 */
	struct checked_thread *threads;
	size_t thread_count;

	/* NULL in a zombie */
	TaskKobjIdsEntry *ids;
	MmEntry *mm;
	FsEntry *fs;
	const struct checked_fd_table *fds;
	struct pagemap *pagemap;
};

struct checked_file {
	uint32_t id;
	FileEntry *entry;
	RemapFilePathEntry *remap; /* how to open a path that is gone, or NULL */
};

/* A shared memory object: of a memfd inode, a shared anonymous mapping or a SysV segment. */
struct checked_shmem {
	uint64_t shmid;
	uint64_t bytes;
	MemfdInodeEntry *inode;  /* NULL for mappings without a memfd */
	struct pagemap *pagemap; /* NULL: all zero */
};

struct checked_pipe_data {
	PipeDataEntry *entry;
	void *data; /* entry->bytes of them */
};

/* Ascending pipe_id. */
struct checked_pipe_list {
	struct checked_pipe_data *items;
	size_t count;
	size_t capacity;
};

struct checked_set {
	struct image_set *set;     /* borrowed, must outlive this */
	InventoryEntry *inventory; /* the set's */

	struct checked_task *tasks; /* parents before children, tasks[0] is the root */
	size_t task_count;
	struct checked_fd_table *fd_tables;
	size_t fd_table_count;
	struct checked_file *files; /* ascending id, then type */
	size_t file_count;
	struct checked_shmem *shmems; /* ascending shmid */
	size_t shmem_count;
	MemfdInodeEntry **memfd_inodes; /* ascending inode_id */
	size_t memfd_inode_count;
	struct checked_pipe_list pipes;
	struct checked_pipe_list fifos;

	SeccompEntry *seccomp; /* NULL when there is no image */
	TimensEntry *timens;   /* of the root's time namespace or timens-0; NULL when there is no image */

	struct arena arena; /* entries of descriptor tables and, in most sets, of files */
	bool files_in_arena;

	/* private */
	struct checked_task **tasks_by_pid;
	struct image_list remaps;
};

/* Reads and checks all of a set opened by image_set_open(). On failure *ret_checked is not touched. */
int image_check(struct image_set *set, struct checked_set **ret_checked, struct error *err);

/* Takes NULL. */
void checked_set_free(struct checked_set *checked);

/* NULL when there is none. In old sets a file id is unique only among files of one type. */
const struct checked_file *checked_set_find_file(const struct checked_set *checked, uint32_t id);
const struct checked_file *checked_set_find_typed_file(const struct checked_set *checked, FdTypes type, uint32_t id);
const struct checked_task *checked_set_find_task(const struct checked_set *checked, uint32_t pid);
const struct checked_shmem *checked_set_find_shmem(const struct checked_set *checked, uint64_t shmid);
MemfdInodeEntry *checked_set_find_memfd_inode(const struct checked_set *checked, uint64_t inode_id);

/* Where a descriptor stands among the entries of a table. */
FdinfoEntry **checked_fd_table_find(const struct checked_fd_table *table, uint32_t fd);

/* The number of a fifo is that of its inode, in any file system: a pipe may have the same. */
const struct checked_pipe_data *checked_set_find_pipe_data(const struct checked_set *checked, uint32_t pipe_id);
const struct checked_pipe_data *checked_set_find_fifo_data(const struct checked_set *checked, uint32_t pipe_id);
