/*
 * What the kinds and the walks over open files share while a tree is dumped: the distinct files, the inodes whose name
 * is gone, and the services kinds use to refuse, to read and to build messages. Only for criu/files/ and criu/sockets/.
 */
#pragma once

#include "base/arena.h"
#include "base/key-index.h"
#include "base/util.h"
#include "files/directory-names.h"
#include "files/file-kinds.h"
#include "files/files.h"
#include "files/tty.h"
#include "image/image-write.h"
#include "images/fown.pb-c.h"
#include "images/regfile.pb-c.h"
#include "kernel/file-advice.h"

struct epoll_watch;
struct event_mode;
struct file_lock;
struct ghost;
struct kernel_memory;
struct link_remap;
struct openers;
struct pipe_reader;

struct file_registry {
	struct open_file **files; /* distinct, ascending id */
	size_t count, capacity;
	struct open_file **chunks; /* arrays that the files live in */
	size_t chunk_count, chunk_capacity;
	struct key_index path_files; /* of files, by inode: those known by path, see path-files.c */
	struct open_file **pipes;    /* sorted by inode; NULL until they are asked for */
	struct open_file **fifos;    /* the same by device and inode */
	size_t fifo_count;
	size_t pipe_count;
	struct epoll_watch *watches; /* of all epolls, see epoll-targets.c; NULL until they are asked for */
	size_t watch_count;
	int tells_once; /* whether there is a file that is not to be asked what is ready, see epoll.c */
	struct ghost *ghosts;
	size_t ghost_count, ghost_capacity;
	struct key_index ghosts_by_inode;
	bool is_last_known, is_last_overlay; /* of the filesystem that was last asked for: */
	dev_t last_dev;
	uint32_t ghost_mount; /* the last one that was found, + 1; 0: none */
	struct link_remap *links;
	size_t link_count, link_capacity;
	struct directory_names names; /* of the directory where links were looked for last */
	int files_program; /* what lists open files, loaded when first asked for: + 1; 0: not yet, else -errno */
	struct event_mode *event_mode; /* see fsnotify.c; NULL until it is asked for */
	struct openers *openers;       /* see opener.c; NULL until they are asked for */
	struct file_device {
		dev_t dev;
		unsigned long magic; /* of its filesystem; 0: not known */
		bool asked_advice;
		struct file_advice_key advice; /* zeros: none is taken, or it cannot be told */
	} devices[8];                          /* the last ones that were seen */
	size_t device_count;
	const struct task *located_task; /* whose table was found last */
	uint64_t located_table;          /* in the kernel's memory */
	struct hashed_content *hashed;   /* see file-policy.c; NULL while there is none */
	struct file_lock *locks;
	size_t lock_count, lock_capacity;
	struct tty_table ttys;
	dev_t pipe_dev, anon_dev;    /* of the kernel's own pipefs and anon_inodefs */
	bool keep_local;             /* there are so few descriptors that local_fd may stay open */
	struct arena scratch;        /* messages being built, released after each record */
	struct image_writer *writer; /* files.img while it is written, for kinds that add records of their own */
};

/* Appends a file and gives it its id. */
int registry_add(struct dump *d, struct open_file *file, struct error *err);

/* An array of zeroed files that lives as long as the registry. NULL when there is no memory. */
struct open_file *registry_new_files(struct file_registry *registry, size_t count);

/* A descriptor of ours for the description: kept in local_fd, gotten again when it was closed. -errno. */
int open_file_local(struct dump *d, struct open_file *file);
/* Gives local_fd back unless there is room to keep it. */
void open_file_release(struct dump *d, struct open_file *file);

/* A read-only descriptor for the inode, whatever access the description has: -errno. The caller closes it. */
int open_file_reopen(struct dump *d, struct open_file *file, int flags);
/* The same for reading what is in it; the time of its last access stays, as far as the rights go. */
int open_file_content(struct dump *d, struct open_file *file);

/* The filesystem of a file with a descriptor: valid until the next call. */
struct file_device *open_file_device(struct dump *d, const struct open_file *file);
/* Not of one that keeps all in memory, or makes it as it is read. */
bool file_device_has_disk(const struct file_device *device);
bool file_device_is_overlay(const struct file_device *device);

/* Where the structure (struct file) of a file with a descriptor is in the kernel's memory: 0 or -errno. */
int open_file_address(struct dump *d, const struct open_file *file, struct kernel_memory *km, uint64_t *ret);

/* The path without the kernel's " (deleted)"; allocated in the scratch arena. NULL when there is no memory. */
char *open_file_path(struct dump *d, const struct open_file *file);
bool link_is_deleted(const char *link);

/* "pid 4242 (nginx), fd 7, eventfd": ready for ": reason". */
const char *open_file_describe(const struct open_file *file, char *buffer, size_t bytes);

/* Refuses a file by name: error_say() with open_file_describe() in front. */
int open_file_refuse(const struct open_file *file, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failure with an errno. */
int open_file_error(const struct open_file *file, struct error *err, int r, const char *what);

/* Zeroed memory for a message, released once the record is written. */
void *files_scratch(struct dump *d, size_t bytes);

/* fown.c: reads into file->owner what fcntl tells of an open descriptor; the message; bringing it back. */
void fown_read(int fd, struct file_signal_owner *ret);
int fown_look(struct dump *d, struct open_file *file, struct error *err);
FownEntry *fown_save(struct dump *d, const struct open_file *file);
int fown_restore(struct restore *r, const FownEntry *owner, uint32_t flags, int fd, struct error *err);
/* That there is somebody to send signals to. */
int fown_check(struct restore *r, const struct restore_file *file, struct error *err);
/* The owner alone, after it was taken away. */
int fown_restore_again(struct restore *r, struct restore_file *file, int fd, struct error *err);

/* regular.c: the name, mode and validation of a file with a path; also for kinds that carry a path in an entry of its
 * own. */
int regular_look(struct dump *d, struct open_file *file, struct error *err);
int regular_fill(struct dump *d, struct open_file *file, uint32_t id, RegFileEntry **ret_entry, struct error *err);

/* files-save.c: writes the entry that carries the path of a file whose own entry has none (path_id is not its id). */
int files_save_path(struct dump *d, struct open_file *file, struct error *err);

/* file-policy.c: may the file be read as --file-policy needs it; what it is besides name, mode and size. */
int file_policy_look(struct dump *d, struct open_file *file, struct error *err);
int file_policy_record(struct dump *d, struct open_file *file, RegFileEntry *entry, struct error *err);
static inline uint64_t file_policy_ns(int64_t seconds, uint32_t nanoseconds)
{
	return (uint64_t)seconds * NS_PER_SEC + nanoseconds;
}

/* pidfd.c: whether it stands for a thread other than the first of a process. */
bool pidfd_is_of_thread(const struct dump *d, const struct open_file *file);

/* ghost.c */
int ghost_look(struct dump *d, struct open_file *file, struct error *err);
int ghosts_save(struct dump *d, struct image_writer *remaps, struct error *err);
void ghosts_free(struct dump *d);

/* dead-process.c: true if the file is below /proc/PID of a process that has ended. */
bool dead_process_look(struct dump *d, struct open_file *file);
int dead_process_look_zombie(struct dump *d, const struct open_file *file, struct error *err);
int dead_processes_save(struct dump *d, struct image_writer *remaps, struct error *err);

/* fsnotify.c: refuses a file that a program got with an event of fanotify. */
int event_file_look(struct dump *d, struct open_file *file, struct error *err);

/* proc-memory.c: refuses those that show an address space which is gone. */
int proc_memory_look(struct dump *d, struct open_file *file, struct error *err);

/* link-remap.c */
/* The last name of a file in an overlay was removed, though stat(2) tells of links: of those in a layer below. */
bool link_remap_is_unlinked(struct dump *d, struct open_file *file);
bool link_remap_touches(const struct dump *d, const struct stat *st);
int link_remap_look(struct dump *d, struct open_file *file, struct error *err);
int link_remaps_save(struct dump *d, struct image_writer *remaps, struct error *err);
void link_remaps_free(struct dump *d);

/* tty.c: what terminals are to each other and to sessions; refusals are gathered. */
void ttys_look(struct dump *d);
int ttys_save(struct dump *d, struct error *err);
void ttys_free(struct dump *d);

/* path-files.c: files known by a path only. */
int path_files_look_programs(struct dump *d, struct error *err);
int path_files_look_dirs(struct dump *d, struct error *err);
void path_files_free(struct dump *d);

/* fd-tables.c: reads all tables, registers what is open; sets files_owner and files_id of each task. */
int fd_tables_look(struct dump *d, struct error *err);
/* A descriptor in the table that a task owns; NULL when there is none. */
const struct task_fd *fd_table_find(const struct task *owner, int fd);

/* identity.c */
struct file_order {
	/* *ret_order: 0 the same description, -1 or 1 otherwise, a total order. 0 or -errno. */
	int (*compare)(const struct open_file *a, const struct open_file *b, int *ret_order);
	/*
	 * Optional: gives every file a serial that only duplicates share (0 or -errno). It takes a while: asked for
	 * when comparing would take longer.
	 */
	int (*identify)(struct dump *d, struct open_file **files, size_t count);
	/* Optional: reads more of the files of a group that look alike, so that they can be told apart. */
	void (*refine)(struct dump *d, struct open_file **files, size_t count);
};

/* ret_first[i] becomes the index of the first file in files that is the same description as files[i]. */
int identity_resolve(struct dump *d, struct open_file **files, size_t count, const struct file_order *order,
		     size_t *ret_first);

/* The same where each file has a serial that only duplicates share. */
int identity_by_serials(struct open_file *const *files, size_t count, size_t *ret_first);

/* Payload images. */
int pipes_save_data(struct dump *d, struct error *err);
int fifos_save_data(struct dump *d, struct error *err);

/*
 * Of a pipe or fifo that nobody of the tree can read something is in it at most, which a writer can ask; then it is
 * opened.
 */
int pipe_save_unread(struct dump *d, struct open_file *file, struct pipe_reader *reader, struct image_writer *w,
		     struct error *err);
