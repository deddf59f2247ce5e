/*
 * What the kinds and the walks share while descriptors are restored. Only for criu/files/ and criu/sockets/.
 *
 * Descriptor numbers: those outside of a range of our own (engine/service-fds.h) are the task's. A description that
 * several tasks have is opened by its owner before it forks, at the number it has there if that is free, else in that
 * range; a kind that has to keep something open beside the file it was asked for puts it there, too (restore_keep_fd).
 */
#pragma once

#include "base/arena.h"
#include "base/key-index.h"
#include "engine/restore.h"
#include "engine/service-fds.h"
#include "files/file-kind.h"
#include "files/files.h"
#include "image/image-read.h"
#include "images/fown.pb-c.h"
#include "images/regfile.pb-c.h"

/*
 * An inode without a name, under one of the names it had: made once, by the root of the tree, and held for whoever
 * opens it; or, when that is one description only, by who opens that. A description whose O_NOFOLLOW no later opening
 * could give it is made with it and held as well.
 */
struct restore_ghost {
	uint32_t id;
	int fd; /* O_PATH, -1 until it was made */
	const char *path;
	struct restore_ghost *next_name; /* the same inode under another name; the first one is in restore_files */
	struct restore_ghost_user *held;
	size_t description_count; /* of the first name: under all of them */
	bool has_other_users;     /* of the first name: that map it, execute it, live in it */
	bool is_made_by_user;
	bool is_settled; /* of the first name: its late flags are set */
	const struct restore_file
	    *temporary; /* made by O_TMPFILE: it can be given a name, and this is its description */
};

struct restore_ghost_user {
	const struct restore_file *file;
	int fd;
	struct restore_ghost_user *next;
};

struct restore_files {
	struct arena arena;            /* what kinds keep, as long as the restore lives */
	struct restore_ghost **ghosts; /* each with its other names */
	size_t ghost_count;
	struct key_index ghosts_by_id;
	struct key_index memfds_by_inode;    /* those that one has the first description of */
	struct image_list locks;             /* of FileLockEntry */
	struct image_list ttys;              /* of TtyInfoEntry */
	struct image_list tty_data;          /* of TtyDataEntry */
	const struct restore_file *good[64]; /* whose path was checked, by its hash */
	struct restore_file **groups;        /* the first file of each */
	struct restore_file ***tables;       /* by number of the checked_fd_table: what its entries refer to */
	size_t tty_count;
	size_t group_count;
	struct key_index groups_by_key;
	struct restore_link *absent_links; /* link-remap.c */
	bool *used_path_maps;              /* by index of options.path_maps; NULL when there are none */
	struct restore_file *files[];
};

static inline struct restore_files *restore_files_of(const struct restore *r)
{
	return (struct restore_files *)((char *)r->files - offsetof(struct restore_files, files));
}

/* The files of all entries of a descriptor table. */
static inline struct restore_file **restore_table_files(const struct restore *r, const struct checked_fd_table *table)
{
	return restore_files_of(r)->tables[table - r->images->fd_tables];
}

/* Memory that lives as long as the restore; NULL when there is none. */
void *restore_alloc(struct restore *r, size_t bytes);

/* Puts a name, allocated and taken over, in place of one in an entry of the images: 0 or -ENOMEM. */
int restore_replace_name(struct restore *r, char **name, char *replacement);

/* NULL when the images have no such file. In old sets an id is unique only among files of one type; FD_TYPES__UND: any.
 */
struct restore_file *restore_find_file(const struct restore *r, FdTypes type, uint32_t id);

const char *restore_comm_of(const struct checked_task *task);

/* "pid 4242 (nginx), fd 7" or "pid 4242 (nginx), mapping 7f0000-7f1000 and 2 more uses of it": who has it. */
const char *restore_describe(const struct restore *r, const struct restore_file *file, char *buffer, size_t bytes);

/* Refuses with restore_describe() in front. */
int restore_refuse(const struct restore *r, const struct restore_file *file, struct error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Moves a descriptor above the base, close-on-exec: the new number or -errno; *fd is closed and -1. */
int restore_keep_fd(const struct restore *r, int *fd);

/* A new description of what fd refers to, by /proc/self/fd: descriptor or -errno. */
int restore_reopen(int fd, uint32_t flags);

/* What stands behind a descriptor of the task; NULL when nothing does. */
struct restore_file *restore_file_of_fd(const struct restore *r, const struct restore_task *task, int fd);

/* What keeps the number of a file that is_late: descriptor or -errno. */
int restore_open_placeholder(const struct restore_file *file);

/*
 * Such a file, once its first user has opened it, for who has finished all late files of its own: close-on-exec
 * descriptor or -errno.
 */
int restore_borrow_late(const struct restore_file *file);

/* finish() and signal owner, in the process that runs: fd is a descriptor of the file. */
int restore_finish_file(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			struct error *err);

/* A directory of an image of directories: descriptor in *ret_fd. */
int restore_open_directory(struct restore *r, struct restore_task *task, uint32_t id, int *ret_fd, struct error *err);

/* Puts fd in place of every descriptor of the file in this task's table. Takes over fd. */
int restore_replace_fd(struct restore *r, struct restore_task *task, struct restore_file *file, int fd);

/*
 * For check(): puts the file into the ring of those of its kind with the same key, which will be made together by one
 * owner and have so many bytes in common, in kind_data. The first of them fills these in, which are zero before.
 */
int restore_join_group(struct restore *r, struct restore_file *file, uint64_t key, size_t bytes, bool *ret_is_first,
		       struct error *err);

/* A task that must be able to reach the description although it may have no descriptor of it. */
void restore_add_user(struct restore *r, struct restore_file *file, struct restore_task *task);

struct restore_task *restore_common_ancestor(struct restore_task *a, struct restore_task *b);

/* The task itself, or who can open files for it. */
struct restore_task *restore_nearest_opener(struct restore_task *task);

/* Whether a file was opened by O_TMPFILE. */
bool restore_is_temporary(uint32_t flags);

/* file-policy.c: size and content, as the policy of the file (NONE: as always) has it. */
enum file_policy file_policy_of(const struct restore *r, const struct restore_file *file);
int file_policy_check(struct restore *r, const struct restore_file *file, const RegFileEntry *entry, const char *path,
		      const struct stat *st, struct error *err);
bool file_policy_is_same(const struct restore *r, const struct restore_file *a, const struct restore_file *b);

/* path-map.c: the paths of the images as --path-map has them. */
int path_map_apply(struct restore *r, struct error *err);

/* open(2) flags of a status word of an image: what would create or block is left out. */
uint32_t restore_open_flags(uint32_t flags);

/* A file to look into, whose time of access is left as it is where that is allowed. */
int restore_open_content(const char *path);

/* The descriptor the user gave for this key (--inherit-fd), -ENOENT. */
int restore_inherited(const struct restore *r, const char *key);

/* regular.c: a file with a path, for kinds that keep theirs in an entry of its own. */
int regular_open(struct restore *r, struct restore_file *file, uint32_t flags, int *ret_fd, struct error *err);

/* The same for mmap(2), which then leaves the time of the last access as it is. */
int regular_open_for_mapping(struct restore *r, struct restore_file *file, uint32_t flags, int *ret_fd,
			     struct error *err);

/* tty-restore.c, tty-session.c */
int ttys_read(struct restore *r, struct error *err);
bool ttys_need_groups(const struct restore *r);
int ttys_finish(struct restore *r, struct restore_task *task, struct error *err);
void ttys_restore_free(struct restore *r);
/* Whether a path is that of a terminal, which is made with its number. */
bool tty_has_path(const struct restore *r, uint32_t regf_id);
/* Whether a path is there once the terminals of the tree are. */
bool tty_makes_path(const struct restore *r, const char *path);

/* device.c: a device that the user has to name again, and the path to open for it. */
bool device_is_external(const RegFileEntry *entry);
int device_check_external(struct restore *r, struct restore_file *file, const char **ret_path, struct error *err);

/* Whether the entry is the path of a fifo. */
bool fifo_has_path(const struct restore *r, uint32_t regf_id);

/* dead-process.c: opens a path below /proc/PID of a process that does not exist; a descriptor or -errno. */
int dead_process_open(pid_t pid, const char *path, uint32_t flags);

/*
 * link-remap.c: a link that the dump did not make. find() opens the inode, and entry gets the name under which
 * link_remaps_make() makes the link, in the root of the tree.
 */
int link_remap_find(struct restore *r, const RemapFilePathEntry *remap, RegFileEntry *entry, int *ret_fd);
bool link_remap_is_absent(const struct restore *r, uint32_t id);
int link_remaps_make(struct restore *r, struct error *err);

/* ghost.c */
int ghost_check(struct restore *r, struct restore_file *file, struct restore_ghost **ret_ghost, struct error *err);
/* When all files were checked: which ghosts the root makes, and whether it can hold them all. */
int ghosts_plan(struct restore *r, struct error *err);
int ghosts_make(struct restore *r, struct error *err);
/* When all tasks are complete: flags that would have been in the way. */
int ghosts_settle(struct restore *r, struct error *err);
/* A descriptor for the file: of its description when that is held, else newly opened. -errno, *err may be set. */
int ghost_open(struct restore *r, struct restore_ghost *ghost, const struct restore_file *file, uint32_t flags,
	       struct error *err);
