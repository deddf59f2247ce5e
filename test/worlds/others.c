/* What has little state: devices, directories that are read halfway, files of /proc, namespaces, pidfds. */
#include "world.h"

#include <dirent.h>
#include <poll.h>

/* --- devices ----------------------------------------------------------------------------------------------------- */

static const struct device {
	const char *path;
	int reads; /* so many of 8 bytes */
} devices[] = { { "/dev/null", 0 }, { "/dev/zero", 8 }, { "/dev/full", 8 }, { "/dev/urandom", 8 } };

static void make_device(struct object *object, int task)
{
	const struct device *device = object->model = (void *)&devices[below(4)];
	int flags = (int)below(3) | some_of(O_APPEND | O_NONBLOCK | O_CLOEXEC);

	adopt(object, task, call(task, SYS_openat, AT_FDCWD, path_of("%s", device->path), flags), flags & O_ACCMODE);
}

static void check_device(struct object *object)
{
	const struct description *d = pick(object, -1);
	const struct device *device = object->model;

	if (!d)
		return;
	EXPECT_EQ(at(d, SYS_read, P(scratch), 8), d->role == O_WRONLY ? -EBADF : device->reads);
	EXPECT_EQ(at(d, SYS_write, P(scratch), 8), d->role == O_RDONLY ? -EBADF : device == &devices[2] ? -ENOSPC : 8);
}

const struct kind device_kind = { .name = "a device", .make = make_device, .check = check_device };

/* --- directories ------------------------------------------------------------------------------------------------- */

enum { MOST_ENTRIES = 100 };

struct directory {
	int entries, seen;
	bool is_seen[MOST_ENTRIES], is_removed;
};

struct entry {
	uint64_t number, offset;
	unsigned short bytes;
	unsigned char type;
	char name[];
};

static void make_directory(struct object *object, int task)
{
	struct directory *directory = object->model = calloc(1, sizeof(*directory));

	EXPECT_EQ(call(task, SYS_mkdirat, AT_FDCWD, path_of("dir%d", object->number), 0700), 0);
	directory->is_removed = one_in(4);
	directory->entries = directory->is_removed ? 0 : (int)below(MOST_ENTRIES);
	for (int i = 0; i < directory->entries; i++)
		EXPECT_EQ(call(task, SYS_mknodat, AT_FDCWD, path_of("dir%d/%d", object->number, i), S_IFREG | 0600, 0),
			  0);
	for (unsigned int i = 1 + below(2); i > 0; i--)
		adopt(object, task,
		      call(task, SYS_openat, AT_FDCWD, path_of("dir%d", object->number),
			   O_RDONLY | O_DIRECTORY | some_of(O_CLOEXEC | O_NOATIME)),
		      (int)i);
	if (directory->is_removed)
		EXPECT_EQ(call(task, SYS_unlinkat, AT_FDCWD, path_of("dir%d", object->number), AT_REMOVEDIR), 0);
}

/* Those with another role are read from the beginning once in a while; role 1 goes on and on. */
static long read_entries(struct directory *directory, const struct description *d, size_t bytes)
{
	long n = at(d, SYS_getdents64, P(scratch), (long)bytes);

	EXPECT(n >= 0 || (directory->is_removed && n == -ENOENT));
	for (long i = 0; i < n;) {
		const struct entry *entry = (void *)(scratch + i);
		int number = atoi(entry->name);

		i += entry->bytes;
		if (entry->name[0] == '.')
			continue;
		if (directory->is_seen[number])
			FAIL("entry %d comes twice", number);
		directory->is_seen[number] = true;
		directory->seen++;
	}
	return n;
}

static void rewind_directory(struct directory *directory, const struct description *d)
{
	EXPECT_EQ(at(d, SYS_lseek, 0, SEEK_SET), 0);
	memset(directory->is_seen, 0, sizeof(directory->is_seen));
	directory->seen = 0;
}

static void act_directory(struct object *object)
{
	const struct description *d = pick(object, 1);

	if (!d)
		return;
	if (one_in(5))
		rewind_directory(object->model, d);
	(void)read_entries(object->model, d, 100 + below(900));
}

static void check_directory(struct object *object)
{
	const struct description *d = pick(object, 1), *some = pick(object, -1);
	struct directory *directory = object->model;
	long fd;

	if (some && !directory->is_removed) {
		fd = at(some, SYS_openat, path_of("/new") + 1, O_RDWR | O_CREAT | O_EXCL, 0600);
		EXPECT(fd >= 0);
		EXPECT_EQ(call(last_task, SYS_close, fd), 0);
		EXPECT_EQ(at(some, SYS_unlinkat, path_of("/new") + 1, 0), 0);
	}
	if (!d || !one_in(2))
		return;
	while (read_entries(directory, d, 300) > 0)
		;
	EXPECT_EQ(directory->seen, directory->entries);
}

const struct kind directory_kind = {
	.name = "a directory", .make = make_directory, .act = act_directory, .check = check_directory
};

/* --- /proc ------------------------------------------------------------------------------------------------------- */

/* Those that can be opened also when the process is a zombie. */
static const char *const proc_names[] = { "status", "stat", "io", "cmdline", "limits", "sched", "comm" };
static const char *const ns_names[] = { "net", "pid", "mnt", "uts", "ipc", "user" };

struct proc_file {
	int task;
	char begin[8];
	ino_t inode; /* of a namespace */
};

static void make_proc(struct object *object, int task)
{
	struct proc_file *file = object->model = calloc(1, sizeof(*file));
	const struct description *d;

	file->task = any_process();
	d = adopt(object, task,
		  call(task, SYS_openat, AT_FDCWD, path_of("/proc/%d/%s", tasks[file->task].pid, proc_names[below(7)]),
		       O_RDONLY | some_of(O_CLOEXEC)),
		  0);
	EXPECT(at(d, SYS_pread64, P(scratch), sizeof(file->begin), 0) > 0);
	memcpy(file->begin, scratch, sizeof(file->begin));
}

static void check_proc(struct object *object)
{
	const struct description *d = pick(object, -1);
	const struct proc_file *file = object->model;
	long n;

	if (!d)
		return;
	n = at(d, SYS_pread64, P(scratch), sizeof(file->begin), 0);
	if (!tasks[file->task].alive)
		return;
	EXPECT(n > 0);
	EXPECT_MEM(scratch, file->begin, 2);
}

const struct kind proc_kind = { .name = "a file of /proc", .make = make_proc, .check = check_proc };

static void make_namespace(struct object *object, int task)
{
	struct proc_file *file = object->model = calloc(1, sizeof(*file));
	const struct description *d;

	d = adopt(object, task,
		  call(task, SYS_openat, AT_FDCWD,
		       path_of("/proc/%d/ns/%s", tasks[any_process()].pid, ns_names[below(6)]),
		       O_RDONLY | some_of(O_CLOEXEC)),
		  0);
	EXPECT_EQ(at(d, SYS_fstat, P(scratch)), 0);
	file->inode = ((struct stat *)scratch)->st_ino;
}

static void check_namespace(struct object *object)
{
	const struct description *d = pick(object, -1);

	if (!d)
		return;
	EXPECT_EQ(at(d, SYS_fstat, P(scratch)), 0);
	EXPECT_EQ(((struct stat *)scratch)->st_ino, ((struct proc_file *)object->model)->inode);
}

const struct kind namespace_kind = { .name = "a namespace", .make = make_namespace, .check = check_namespace };

/* --- pidfds ------------------------------------------------------------------------------------------------------ */

static void make_pidfd(struct object *object, int task)
{
	struct proc_file *file = object->model = calloc(1, sizeof(*file));

	file->task = any_process();
	adopt(object, task, call(task, SYS_pidfd_open, tasks[file->task].pid, some_of(O_NONBLOCK)), 0);
}

static void check_pidfd(struct object *object)
{
	const struct description *d = pick(object, -1);
	const struct proc_file *file = object->model;
	const struct task *task = &tasks[file->task];

	if (!d)
		return;
	EXPECT_EQ(!!(poll_events(d) & POLLIN), !task->alive);
	EXPECT_EQ(at(d, SYS_pidfd_send_signal, 0, 0, 0), task->is_reaped ? -ESRCH : 0);
	if (task->alive) {
		int before = signals_caught(file->task, SIGIO);

		EXPECT_EQ(at(d, SYS_pidfd_send_signal, SIGIO, 0, 0), 0);
		for (int i = 0; i < 2000 && signals_caught(file->task, SIGIO) == before; i++)
			usleep(1000);
		EXPECT_EQ(signals_caught(file->task, SIGIO), before + 1);
	}
}

const struct kind pidfd_kind = { .name = "a pidfd", .make = make_pidfd, .check = check_pidfd };

/* --- working directories ----------------------------------------------------------------------------------------- */

struct place {
	int process;
	char path[300];
	bool is_removed;
};

/* One for each process. */
static const struct object *places[MOST_TASKS];

static void make_place(struct object *object, int task)
{
	struct place *place = object->model = calloc(1, sizeof(*place));
	long path = path_of("place%d", object->number);

	EXPECT_EQ(call(task, SYS_mkdirat, AT_FDCWD, path, 0700), 0);
	EXPECT_EQ(call(task, SYS_chdir, path), 0);
	place->process = tasks[task].leader;
	places[place->process] = object;
	snprintf(place->path, sizeof(place->path), "%s", (char *)path);
	place->is_removed = one_in(3);
	if (place->is_removed)
		EXPECT_EQ(call(task, SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR), 0);
}

static void check_place(struct object *object)
{
	const struct place *place = object->model;
	long n;

	if (places[place->process] != object || !tasks[place->process].alive)
		return;
	n = call(place->process, SYS_getcwd, P(scratch), 1000);
	if (place->is_removed)
		EXPECT_EQ(n, -ENOENT);
	else
		EXPECT_STR(scratch, place->path);
}

const struct kind place_kind = { .name = "a working directory", .make = make_place, .check = check_place };
