/*
 * Regular files: with a name, unlinked, renamed over, without a name from the start, in a removed directory, in memory
 * with seals; opened with all sorts of flags; and mappings of them, shared and private.
 */
#include "world.h"

#include <sys/mman.h>

enum { MOST_BYTES = 65536, PAGE = 4096, PAGES = MOST_BYTES / PAGE, MOST_MAPS = 64, PATH_ONLY = 3 };

struct file {
	char name[64]; /* empty when it has none */
	char *content; /* zero beyond its size */
	int size, seals;
	bool is_memory;
};

struct map {
	const struct object *object;
	int process;
	char *address;
	int first, pages, rights;
	bool is_shared, may_write;
	char *copies[PAGES]; /* of a private one: pages that were written */
};

static struct map maps[MOST_MAPS];
static int map_count;

/* --- opening ----------------------------------------------------------------------------------------------------- */

static bool can_read(const struct description *d)
{
	return d->role == O_RDONLY || d->role == O_RDWR;
}

static bool can_write(const struct description *d)
{
	return d->role == O_WRONLY || d->role == O_RDWR;
}

static int some_open_flags(const struct file *file)
{
	int flags = some_of(O_APPEND | O_NONBLOCK | O_NOATIME | O_CLOEXEC);

	if (one_in(8) && !file->is_memory) /* such a memfd is refused */
		return O_PATH | some_of(O_CLOEXEC);
	if (one_in(8))
		flags |= one_in(2) ? O_SYNC : O_DSYNC;
	if (one_in(6) && !file->is_memory)
		flags |= O_DIRECT;
	return flags | (int)below(3);
}

static struct description *adopt_file(struct object *object, int task, long fd, int flags)
{
	bool is_path = flags & O_PATH;
	struct description *d = adopt(object, task, fd, is_path ? PATH_ONLY : flags & O_ACCMODE);

	d->is_path = is_path;
	return d;
}

static void open_by(struct object *object, int task, long path)
{
	int flags = some_open_flags(object->model);

	adopt_file(object, task, call(task, SYS_openat, AT_FDCWD, path, flags), flags);
}

static void open_again(struct object *object, const struct description *d)
{
	const struct file *file = object->model;
	const struct handle *handle = any_handle(d);

	if (file->name[0] && one_in(2))
		open_by(object, any_task(), path_of("%s", file->name));
	else
		open_by(object, task_with_table(handle->table), path_of("/proc/self/fd/%d", handle->fd));
}

/* --- making ------------------------------------------------------------------------------------------------------ */

static struct file *new_file(struct object *object)
{
	struct file *file = object->model = calloc(1, sizeof(*file));

	file->content = calloc(1, MOST_BYTES);
	return file;
}

static void lose_name(struct file *file, int task, bool is_replaced)
{
	if (!is_replaced) {
		EXPECT_EQ(call(task, SYS_unlinkat, AT_FDCWD, path_of("%s", file->name), 0), 0);
	} else {
		long fd = call(task, SYS_openat, AT_FDCWD, path_of("%s.new", file->name), O_RDWR | O_CREAT, 0600);

		EXPECT_EQ(call(task, SYS_write, fd, path_of("/new"), 3), 3);
		EXPECT_EQ(call(task, SYS_close, fd), 0);
		EXPECT_EQ(call(task, SYS_renameat, AT_FDCWD, path_of("%s.new", file->name), AT_FDCWD,
			       path_of("%s", file->name)),
			  0);
	}
	file->name[0] = 0;
}

static void make_named(struct object *object, struct file *file, int task)
{
	unsigned int how = below(6);
	long fd;

	snprintf(file->name, sizeof(file->name), "file%d", object->number);
	fd = call(task, SYS_openat, AT_FDCWD, path_of("%s", file->name), O_RDWR | O_CREAT | O_EXCL, 0640);
	adopt_file(object, task, fd, O_RDWR);
	if (how < 4)
		lose_name(file, task, how == 3 && may_rename);
}

static void make_in_removed(struct object *object, int task)
{
	long directory = path_of("gone%d", object->number), path = path_of("gone%d/file", object->number);

	EXPECT_EQ(call(task, SYS_mkdirat, AT_FDCWD, directory, 0700), 0);
	adopt_file(object, task, call(task, SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT, 0600), O_RDWR);
	if (one_in(2))
		open_by(object, task, path);
	EXPECT_EQ(call(task, SYS_unlinkat, AT_FDCWD, path, 0), 0);
	EXPECT_EQ(call(task, SYS_unlinkat, AT_FDCWD, directory, AT_REMOVEDIR), 0);
}

static void make_file(struct object *object, int task)
{
	struct file *file = new_file(object);

	switch (below(5)) {
	case 0:
		adopt_file(object, task,
			   call(task, SYS_openat, AT_FDCWD, path_of("."), O_TMPFILE | O_RDWR | some_of(O_EXCL), 0640),
			   O_RDWR);
		break;
	case 1:
		make_in_removed(object, task);
		break;
	default:
		make_named(object, file, task);
	}
}

static void make_memory(struct object *object, int task)
{
	struct file *file = new_file(object);
	int flags = some_of(MFD_CLOEXEC | MFD_ALLOW_SEALING);

	file->is_memory = true;
	file->seals = flags & MFD_ALLOW_SEALING ? 0 : F_SEAL_SEAL;
	adopt_file(object, task, call(task, SYS_memfd_create, path_of("/memory%d", object->number), flags), O_RDWR);
}

/* --- reading and writing ----------------------------------------------------------------------------------------- */

static int left_from(const struct file *file, long from, int most)
{
	return from >= file->size ? 0 : file->size - from < most ? (int)(file->size - from) : most;
}

static void read_some(const struct file *file, struct description *d)
{
	int bytes = (int)below(3000);
	bool moves = one_in(2);
	long from, n;

	if (at(d, SYS_fcntl, F_GETFL) & O_DIRECT) {
		d->extra = at(d, SYS_lseek, PAGE * (long)below(PAGES), SEEK_SET);
		bytes = PAGE;
	}
	from = moves ? d->extra : (long)below(MOST_BYTES) & ~(PAGE - 1L);
	n = moves ? at(d, SYS_read, P(scratch), bytes) : at(d, SYS_pread64, P(scratch), bytes, from);
	EXPECT_EQ(n, left_from(file, from, bytes));
	EXPECT_MEM(scratch, file->content + from, (size_t)n);
	if (moves)
		d->extra += n;
}

static void write_some(struct file *file, struct description *d)
{
	int bytes = 1 + (int)below(3000), flags = (int)at(d, SYS_fcntl, F_GETFL);
	bool moves = one_in(2);
	long to = moves ? d->extra : (long)below(MOST_BYTES - 3001), n;

	if (flags & O_APPEND)
		to = file->size;
	if (flags & O_DIRECT || to + bytes > MOST_BYTES || (file->seals & F_SEAL_GROW && to + bytes > file->size))
		return;
	for (int i = 0; i < bytes; i++)
		scratch[i] = (char)below(256);
	n = moves ? at(d, SYS_write, P(scratch), bytes) : at(d, SYS_pwrite64, P(scratch), bytes, to);
	if (file->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) {
		EXPECT_EQ(n, -EPERM);
		return;
	}
	EXPECT_EQ(n, bytes);
	memcpy(file->content + to, scratch, (size_t)bytes);
	if (to + bytes > file->size)
		file->size = (int)to + bytes;
	if (moves)
		d->extra = to + bytes;
}

static bool is_mapped(const struct object *object)
{
	for (int i = 0; i < map_count; i++)
		if (maps[i].object == object)
			return true;
	return false;
}

static void truncate_file(const struct object *object, struct file *file, const struct description *d)
{
	int size = (int)below(MOST_BYTES);
	long r;

	if (size < file->size && is_mapped(object))
		return;
	r = at(d, SYS_ftruncate, size);
	if ((size < file->size && file->seals & F_SEAL_SHRINK) || (size > file->size && file->seals & F_SEAL_GROW)) {
		EXPECT_EQ(r, -EPERM);
		return;
	}
	EXPECT_EQ(r, 0);
	if (size < file->size)
		memset(file->content + size, 0, (size_t)(file->size - size));
	file->size = size;
}

static void add_seals(struct file *file, const struct description *d)
{
	int seals = one_in(8) ? F_SEAL_SEAL : 1 << (1 + below(4));
	long r = at(d, SYS_fcntl, F_ADD_SEALS, seals);

	if (file->seals & F_SEAL_SEAL)
		EXPECT_EQ(r, -EPERM);
	else if (r == -EBUSY)
		EXPECT(seals & F_SEAL_WRITE);
	else
		file->seals |= seals;
}

/* --- mappings ---------------------------------------------------------------------------------------------------- */

/* None beside another: the kernel would make one of two neighbours, or not, by what it was made from. */
static long next_place(void)
{
	static long place = 0x100000000000;

	return place += 2 * MOST_BYTES;
}

static void map_some(struct object *object, const struct description *d)
{
	const struct file *file = object->model;
	struct map map = { .object = object, .is_shared = one_in(2), .rights = PROT_READ };
	const struct handle *handle = any_handle(d);
	int task = task_with_table(handle->table), pages = (file->size + PAGE - 1) / PAGE;
	long address;

	if (!can_read(d) || !pages || map_count == MOST_MAPS)
		return;
	map.process = tasks[task].leader;
	map.may_write = !map.is_shared || (can_write(d) && !(file->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)));
	map.first = (int)below((unsigned int)pages);
	map.pages = 1 + (int)below((unsigned int)(pages - map.first));
	if (map.may_write && one_in(2))
		map.rights |= PROT_WRITE;
	address = next_place();
	EXPECT_EQ(call(task, SYS_mmap, address, (long)map.pages * PAGE, map.rights,
		       (map.is_shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED_NOREPLACE, handle->fd,
		       (long)map.first * PAGE),
		  address);
	map.address = (char *)address;
	maps[map_count++] = map;
	object->was_mapped = true;
}

/* How much of a page of it is there. */
static int bytes_of_page(const struct map *map, int page)
{
	const struct file *file = map->object->model;
	int left = file->size - (map->first + page) * PAGE;

	return left < 0 ? 0 : left > PAGE ? PAGE : left;
}

static char *expected_page(const struct map *map, int page)
{
	struct file *file = map->object->model;

	return map->copies[page] ? map->copies[page] : file->content + (map->first + page) * PAGE;
}

static void write_map(struct map *map)
{
	int page = (int)below((unsigned int)map->pages), bytes = bytes_of_page(map, page);
	char *expected;

	if (!(map->rights & PROT_WRITE) || !bytes)
		return;
	bytes = 1 + (int)below((unsigned int)bytes);
	expected = expected_page(map, page);
	if (!map->is_shared && !map->copies[page]) {
		map->copies[page] = malloc(PAGE);
		memcpy(map->copies[page], expected, PAGE);
		expected = map->copies[page];
	}
	for (int i = 0; i < bytes; i++)
		scratch[i] = (char)below(256);
	copy_memory(map->process, map->address + page * PAGE, scratch, (size_t)bytes);
	memcpy(expected, scratch, (size_t)bytes);
}

static void check_map(const struct map *map)
{
	if (!(map->rights & PROT_READ))
		return;
	for (int page = 0; page < map->pages; page++) {
		int bytes = bytes_of_page(map, page);

		if (!bytes)
			break;
		copy_memory(map->process, scratch, map->address + page * PAGE, (size_t)bytes);
		EXPECT_MEM(scratch, expected_page(map, page), (size_t)bytes);
	}
}

static void change_rights(struct map *map)
{
	static const int rights[] = { PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC };
	int wanted = rights[below(4)];

	if (wanted & PROT_WRITE && !map->may_write)
		return;
	EXPECT_EQ(call(map->process, SYS_mprotect, P(map->address), (long)map->pages * PAGE, wanted), 0);
	map->rights = wanted;
}

static void drop_map(struct map *map)
{
	for (int i = 0; i < PAGES; i++)
		free(map->copies[i]);
	*map = maps[--map_count];
}

static void act_on_map(const struct object *object)
{
	int skip = map_count ? (int)below((unsigned int)map_count) : 0;
	struct map *map = NULL;

	for (int i = 0; i < map_count && !map; i++)
		if (maps[(skip + i) % map_count].object == object)
			map = &maps[(skip + i) % map_count];
	if (!map)
		return;
	check_map(map);
	if (one_in(4)) {
		change_rights(map);
	} else if (one_in(6)) {
		EXPECT_EQ(call(map->process, SYS_munmap, P(map->address), (long)map->pages * PAGE), 0);
		drop_map(map);
	} else {
		write_map(map);
	}
}

static void forked(struct object *object, int parent, int child)
{
	for (int i = 0, count = map_count; i < count && map_count < MOST_MAPS; i++) {
		struct map *copy = &maps[map_count];

		if (maps[i].object != object || maps[i].process != tasks[parent].leader)
			continue;
		*copy = maps[i];
		copy->process = child;
		map_count++;
		for (int page = 0; page < PAGES; page++)
			if (copy->copies[page])
				copy->copies[page] = memcpy(malloc(PAGE), copy->copies[page], PAGE);
	}
}

static void ended(struct object *object, int task)
{
	for (int i = map_count - 1; i >= 0; i--)
		if (maps[i].object == object && maps[i].process == task)
			drop_map(&maps[i]);
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static void check_content(const struct object *object, const struct description *d)
{
	const struct file *file = object->model;
	const struct handle *handle = any_handle(d);
	int task = task_with_table(handle->table);
	long fd = call(task, SYS_openat, AT_FDCWD, path_of("/proc/self/fd/%d", handle->fd), O_RDONLY | O_NOATIME);

	EXPECT(fd >= 0);
	EXPECT_EQ(call(task, SYS_pread64, fd, P(scratch), MOST_BYTES + 1, 0), file->size);
	EXPECT_MEM(scratch, file->content, (size_t)file->size);
	EXPECT_EQ(call(task, SYS_close, fd), 0);
	if (file->is_memory)
		EXPECT_EQ(at(d, SYS_fcntl, F_GET_SEALS), d->is_path ? -EBADF : file->seals);
}

static void check(struct object *object)
{
	const struct description *some = pick(object, -1);

	for (int i = 0; i < map_count; i++)
		if (maps[i].object == object)
			check_map(&maps[i]);
	if (!some)
		return;
	check_content(object, some);
	for (int i = 0; i < description_count; i++) {
		const struct description *d = &descriptions[i];

		if (d->object == object && d->open)
			EXPECT_EQ(at(d, SYS_lseek, 0, SEEK_CUR), d->is_path ? -EBADF : d->extra);
	}
}

static void set_flags(const struct file *file, const struct description *d)
{
	int flags = some_of(O_APPEND | O_NONBLOCK | O_NOATIME);

	if (!file->is_memory && one_in(4))
		flags |= O_DIRECT;
	EXPECT_EQ(at(d, SYS_fcntl, F_SETFL, flags), 0);
}

static void act_openly(struct object *object, struct description *d)
{
	struct file *file = object->model;

	switch (below(10)) {
	case 0:
		set_flags(file, d);
		break;
	case 1:
		d->extra = (long)below(MOST_BYTES);
		EXPECT_EQ(at(d, SYS_lseek, d->extra, SEEK_SET), d->extra);
		break;
	case 2:
	case 3:
		if (can_write(d))
			truncate_file(object, file, d);
		break;
	case 4:
	case 5:
		map_some(object, d);
		break;
	case 6:
	case 7:
		if (can_read(d))
			read_some(file, d);
		break;
	default:
		if (can_write(d))
			write_some(file, d);
	}
}

static void act(struct object *object)
{
	struct description *d = pick(object, -1);
	struct file *file = object->model;

	act_on_map(object);
	if (one_in(5))
		open_again(object, d);
	if (d->is_path)
		EXPECT_EQ(at(d, SYS_read, P(scratch), 1), -EBADF);
	else if (file->is_memory && can_write(d) && one_in(5))
		add_seals(file, d);
	else
		for (int i = 0; i < 3; i++)
			act_openly(object, d);
	check(object);
}

const struct kind file_kind = { .name = "a file",
				.has_times = true,
				.make = make_file,
				.act = act,
				.check = check,
				.forked = forked,
				.ended = ended };
const struct kind memory_kind = { .name = "a memfd",
				  .has_times = true,
				  .make = make_memory,
				  .act = act,
				  .check = check,
				  .forked = forked,
				  .ended = ended };
