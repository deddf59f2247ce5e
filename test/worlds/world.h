/*
 * A world: a few processes and threads with open files of all kinds, made step by step from one number, the seed, and a
 * record of how everything in it has to be. The first process, task 0, is the only one that thinks: it keeps the record
 * and has the others make system calls (call, at), so that each call may be made by whoever has a descriptor for it.
 * What is done after a restore is what was done before the dump: single steps, each checked against the record.
 */
#pragma once

#include "../zdtm/zdtmlib.h"

#include <sys/stat.h>

enum {
	MOST_TASKS = 16,
	MOST_PROCESSES = 8,
	MOST_OBJECTS = 128,
	MOST_DESCRIPTIONS = 600,
	MOST_HANDLES = 3000,
	SCRATCH_BYTES = 1 << 20,
	MOST_NUMBER = 1000, /* of a descriptor */
};

/* --- chance ------------------------------------------------------------------------------------------------------ */

void chance_seed(uint64_t seed);
unsigned int below(unsigned int limit);
bool one_in(unsigned int limit);
/* One of the bits of each mask or none: some combination of flags. */
int some_of(int flags);

/* --- tasks ------------------------------------------------------------------------------------------------------- */

struct task {
	pid_t pid, tid;
	int number, leader; /* the task that is the first thread of its process */
	int parent;         /* of the process: the task that made it */
	int table;          /* of descriptors */
	bool alive, is_reaped;
};

extern struct task tasks[MOST_TASKS];
extern int task_count;

/* Memory that all processes share: what system calls point to. */
extern char *scratch;

#define P(pointer) ((long)(uintptr_t)(pointer))

/* The task makes that system call; its value or -errno. */
#define call(task, number, ...) call_with(task, number, (const long[6]){ __VA_ARGS__ })
long call_with(int task, long number, const long args[6]);

/* The task copies memory. */
void copy_memory(int task, void *to, const void *from, size_t bytes);

/* How often the process has caught a signal. */
int signals_caught(int task, int signo);

void tasks_start(void);
int task_fork(int parent, bool share_table);
int task_thread(int task);
void task_end(int task, bool reap);
int any_task(void);
int any_process(void);
int process_count(void);
/* A path below the first working directory or an absolute one, where calls can see it; good until some more were made.
 */
long path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- objects, descriptions of open files, descriptors ------------------------------------------------------------ */

struct object;
struct description;

struct kind {
	const char *name;
	bool has_times; /* of access and change, which stay */
	/* May make nothing, where something is missing. */
	void (*make)(struct object *object, int task);
	/* Changes something about an object that somebody has open, and checks what comes of it. */
	void (*act)(struct object *object);
	/* Just before dumps: what is not kept is taken away. */
	void (*settle)(struct object *object);
	/* Whether all is as recorded. */
	void (*check)(struct object *object);
	/* A descriptor of the table was closed; the description has no more of them if it is not `open` now. */
	void (*closed)(struct description *description, int table);
	void (*forked)(struct object *object, int parent, int child);
	void (*ended)(struct object *object, int task);
};

struct object {
	const struct kind *kind;
	int number;
	bool was_mapped; /* which a restore does again, and that sets the time of access */
	void *model;
};

struct description {
	struct object *object;
	int role; /* the kind's own */
	int open; /* descriptors */
	bool is_path, is_private;
	long extra; /* the kind's own */
	/* as they are before the dump */
	int flags, owner_type, owner, owner_signal;
	struct stat stat;
};

struct handle {
	struct description *of;
	int table, fd;
	bool cloexec;
};

extern struct object objects[MOST_OBJECTS];
extern int object_count;
extern struct description descriptions[MOST_DESCRIPTIONS];
extern int description_count;
extern struct handle handles[MOST_HANDLES];
extern int handle_count;

struct object *object_make(const struct kind *kind, int task);
bool object_is_open(const struct object *object);

/* A new description under that descriptor of the task, which may be given another number. */
struct description *adopt(struct object *object, int task, long fd, int role);
/* Some open one of that role (-1: of any), NULL without. */
struct description *pick(const struct object *object, int role);
struct description *pick_any(void);
int count_open(const struct object *object, int role);

struct handle *any_handle(const struct description *description);
struct handle *find_handle(int table, int fd);
/* The task that last made a call by at(), and the number it used. */
extern int last_task, last_fd;
/* Some task that has the description makes that call with its descriptor as the first argument. */
#define at(description, number, ...) at_with(description, number, (const long[5]){ __VA_ARGS__ })
long at_with(const struct description *description, long number, const long args[5]);
/* Some task with that table. */
int task_with_table(int table);

struct handle *handle_dup(struct handle *handle);
struct handle *handle_take(struct description *description, int task);
void handle_close(struct handle *handle);
void table_fork(int from, int to);
void table_drop(int table);

/* What poll() says of it, at once. */
int poll_events(const struct description *description);

void ledger_settle(void);
void ledger_check(void);

/* Names in /proc may be others after a restore: that of a file whose name somebody else has by then. */
extern bool may_rename;

/* What failures begin with from here on. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fail_noted(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
#undef FAIL
#define FAIL(...) fail_noted(__FILE__, __LINE__, __VA_ARGS__)

extern const struct kind *const kinds[];
