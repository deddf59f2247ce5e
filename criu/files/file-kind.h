/*
 * One row per kind of open file. To add a kind: write criu/files/KIND.c with both directions side by side and export
 * one struct file_kind, put it into the table in file-table.c, add its message to images/ and a test to test/zdtm/.
 *
 * Dump: for each distinct open file description of the tree the first kind whose is() says yes takes it. read() takes
 * what it needs of the descriptor's fdinfo. look() runs while the tree stands still and nothing of ours is inside it:
 * everything that can fail for the user's reasons fails there. save() runs after the parasite has answered and fills
 * the FileEntry; payloads go to images of their own.
 *
 * Restore: check() runs before anything is created; open() makes a description in the process that owns it (the lowest
 * common ancestor of all who use it: descriptions are inherited by fork, never sent); finish() runs once the descriptor
 * tables are complete and all tasks exist (an epoll needs its targets, a pidfd its process); settle() once all tasks
 * have their memory, names and rights (the place in a file of /proc/PID depends on what it says).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "images/fdinfo.pb-c.h"
#include "images/remap-file-path.pb-c.h"
#include "kernel/proc-fdinfo.h"
#include "task/task.h"

struct bpf_file;
struct dump;
struct file_opener;
struct restore;
struct restore_task;
struct file_kind;

/* Who gets a file's signals (F_SETOWN_EX, F_SETSIG); pid 0: nobody. */
struct file_signal_owner {
	int type; /* F_OWNER_xx */
	pid_t pid;
	int signal;
	uint32_t uid, euid;
};

/* Where the name of a file leads, as far as it has one. */
enum file_name_state {
	FILE_NAME_NONE, /* pipes, sockets, anonymous inodes: no path */
	FILE_NAME_GOOD, /* to the file */
	FILE_NAME_GONE, /* to nothing, or to something else */
};

/* An open file description of the tree that is being dumped, known once, however many descriptors refer to it. */
struct open_file {
	uint32_t id;            /* the file id of the images, from 1; of a file that was found to be a duplicate: 0 */
	struct open_file *same; /* the first file found with this description: itself, or what it duplicates */
	uint32_t path_id;       /* id of the entry that carries its path: the same, unless the kind has one beside it */
	const struct file_kind *kind;
	struct task *task; /* where it was seen first */
	int fd;            /* its number there; -1 for a file without a descriptor (exe, cwd, root, mapped) */
	int local_fd;      /* our duplicate of the description, -1 while there is none; see open_file_local() */
	struct stat st;
	uint32_t flags; /* F_GETFL, without O_CLOEXEC */
	uint64_t pos;
	uint64_t btime_ns;   /* when the inode was made, 0 when that is not known */
	uint64_t attributes; /* STATX_ATTR_ of the inode, where it has a descriptor */
	int mnt_id;
	char *link; /* what /proc/PID/fd/N points to, " (deleted)" kept; NULL for pipes and sockets */
	enum file_name_state name_state;
	struct file_signal_owner owner;
	const struct bpf_file *facts; /* the kernel's record of it, in large tables; else NULL */
	uint64_t serial;              /* the kernel's own number where it tells one (eventfd); 0: none */
	int read_error;               /* of the kind's read() */
	pid_t dead_pid;               /* of a file below /proc/PID: the process, when it has ended; else 0 */
	bool is_program;              /* mapped executable, or what a task executes: worth a build-id */
	uint64_t map_start, map_end;  /* of a mapped file: a mapping in task by which it can be opened */
	bool map_writable;            /* of a mapped file: mapped shared, and may be written */
	uint32_t kept_flock;          /* LOCK_SH or LOCK_EX of flock(2) that only its mapping keeps; 0: none */
	const struct task *kept_by;   /* who has that mapping */
	uint64_t overlay_btime_ns;    /* of a mapped file in an overlay: when the inode behind it was made; else 0 */
	struct file_opener *opener;   /* whose rights it has, where these are others than ours and matter; else NULL */
	uint32_t advice;              /* FILE_ADVICE_ bits */
	uint64_t write_hint;          /* RWH_xx of a regular file that is open for writing; 0: none */
	bool needed;                  /* save() is wanted: somebody's image refers to it */
	void *kind_data;              /* the kind's own, between look() and save(); freed with free() */
};

struct restore_file {
	uint32_t id;
	const struct file_kind *kind;
	const FileEntry *entry;
	const RemapFilePathEntry *remap; /* how to open a path that is gone, or NULL */
	const char *dumped_name;         /* the path at the dump, where --path-map changed it; else NULL */
	struct restore_task *owner; /* lowest common ancestor of all users; opens it before it forks the next user */
	struct restore_task *first_user; /* first task with a descriptor of it: the one that runs finish() */
	int first_fd;                    /* its lowest number there; -1: only mapped, cwd ... */
	size_t fd_count;                 /* of its descriptors in all tables */
	bool is_late; /* set by check(): open() makes a placeholder, finish() of the first user the file, which the
			 others then get from there */
	pid_t thread; /* set by check(): of a file that the restorer opens when this thread is there; else 0 */
	bool finish_in_each_user; /* set by check(): finish() runs in every task that has the file, not in the first
				     only */
	bool is_shared;           /* other tasks than the owner have it, or it must be there before the fork */
	uint32_t cloexec;         /* O_CLOEXEC or 0: open() makes the descriptor with it */
	struct restore_file *group_next; /* ring of descriptions that must be made together (ends of a pipe) */
	int fd;                          /* in the process that runs, -1 while not open */
	bool fd_cloexec;                 /* that descriptor has FD_CLOEXEC */
	bool is_finished;                /* finish() has run in this process */
	dev_t checked_dev;               /* of the inode that check() found under its path ... */
	ino_t checked_inode;             /* 0: it has not looked there */
	void *kind_data;
};

struct file_kind {
	const char *name; /* the word used in messages: "eventfd" */
	FdTypes type;

	bool (*is)(const struct dump *d, const struct open_file *file);
	int (*read)(struct open_file *file, const struct fdinfo *info); /* takes what it needs; by any thread */
	/* Optional: takes it from file->facts instead. 0; an error asks for read(). */
	int (*read_facts)(struct open_file *file);
	int (*look)(struct dump *d, struct open_file *file, struct error *err);
	int (*save)(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err);

	int (*check)(struct restore *r, struct restore_file *file, struct error *err);
	int (*open)(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err);
	int (*finish)(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
		      struct error *err);
	/* Of a file that is_late: by the worker, when all tasks are as they were; fd is a descriptor of its own. */
	int (*settle)(struct restore *r, struct restore_file *file, int fd, struct error *err);

	/* The signal owner in the entry and the open flags (for O_ASYNC), brought back when all tasks exist. */
	const FownEntry *(*owner)(const FileEntry *entry, uint32_t *ret_flags);

	bool finish_last;      /* after all others in its task: needs their descriptors as they will be */
	bool finish_after_all; /* not before all tasks have their descriptors */
};

/* All kinds, ended by NULL; what cannot be saved has a kind too, whose look() refuses by name. */
extern const struct file_kind *const file_kinds[];
const struct file_kind *file_kind_by_type(FdTypes type);
