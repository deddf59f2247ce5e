/*
 * Ghosts: inodes that are open, mapped or somebody's directory but have no name any more. What they are made of goes to
 * ghost-file-ID.img, with holes left out, if it is not too large.
 *
 * At restore the root of the tree makes each one, under "<path>.cr.<id>.ghost" (a directory under its own name), opens
 * it and takes the name away at once, before anything is written to it, so that no failure leaves it behind. All who
 * need the inode open it by the descriptor that the root holds and its descendants inherit.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "image/image-read.h"
#include "image/image-write.h"
#include "images/ghost-file.pb-c.h"

/* Files of this size and more are stored in chunks, so that holes cost nothing. */
#define CHUNKED_FROM 12288

#define COPY_BYTES (256 * 1024)

struct ghost {
	uint32_t id;
	struct open_file *file; /* the first one found with this inode */
	uint32_t *users;        /* reg file ids */
	size_t user_count, user_capacity;
};

/* --- dump ----------------------------------------------------------------------------------------------------- */

static struct ghost *find_ghost(struct dump *d, const struct stat *st)
{
	for (size_t i = 0; i < d->files->ghost_count; i++) {
		const struct stat *known = &d->files->ghosts[i].file->st;

		if (known->st_dev == st->st_dev && known->st_ino == st->st_ino)
			return &d->files->ghosts[i];
	}
	return NULL;
}

static bool is_storable(mode_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISFIFO(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISLNK(mode);
}

static int check_ghost(struct dump *d, struct open_file *file, struct error *err)
{
	uint64_t allocated = (uint64_t)file->st.st_blocks * 512;

	if (!is_storable(file->st.st_mode))
		return open_file_refuse(file, err, "deleted files of this type are not supported");
	if (!S_ISREG(file->st.st_mode) || allocated <= d->opts->ghost_limit_bytes)
		return 0;
	error_hint(err, "--ghost-limit %llu saves it", (unsigned long long)allocated);
	return open_file_refuse(file, err, "the deleted file holds %llu bytes, more than --ghost-limit (%llu)",
				(unsigned long long)allocated, (unsigned long long)d->opts->ghost_limit_bytes);
}

static int add_ghost(struct dump *d, struct open_file *file, struct ghost **ret_ghost, struct error *err)
{
	struct file_registry *registry = d->files;
	int r = check_ghost(d, file, err);

	if (r < 0)
		return r;
	if (array_reserve(&registry->ghosts, &registry->ghost_capacity, registry->ghost_count, sizeof(**ret_ghost)) < 0)
		return open_file_error(file, err, -ENOMEM, "deleted file");
	*ret_ghost = &registry->ghosts[registry->ghost_count];
	**ret_ghost = (struct ghost){ .id = (uint32_t)++registry->ghost_count, .file = file };
	return 0;
}

int ghost_look(struct dump *d, struct open_file *file, struct error *err)
{
	struct ghost *ghost = find_ghost(d, &file->st);

	if (!ghost) {
		int r = add_ghost(d, file, &ghost, err);

		if (r < 0)
			return r;
	}
	if (array_reserve(&ghost->users, &ghost->user_capacity, ghost->user_count, sizeof(file->path_id)) < 0)
		return open_file_error(file, err, -ENOMEM, "deleted file");
	ghost->users[ghost->user_count++] = file->path_id;
	return 0;
}

static int copy_out(struct image_writer *w, int fd, uint64_t offset, uint64_t bytes, char *buffer, struct error *err)
{
	while (bytes) {
		size_t n = min_u64(bytes, COPY_BYTES);
		int r = pread_all(fd, buffer, n, offset);

		if (r == 0)
			r = image_writer_add_raw(w, buffer, n, err);
		if (r == 0)
			r = image_writer_flush(w, err);
		if (r < 0)
			return r;
		offset += n;
		bytes -= n;
	}
	return 0;
}

/* The next piece with data from *offset on: 1, or 0 when there is none. Filesystems without holes have one piece. */
static int next_data(int fd, uint64_t size, uint64_t *offset, uint64_t *ret_bytes)
{
	off_t data = lseek(fd, (off_t)*offset, SEEK_DATA), hole;

	if (data < 0 && errno == ENXIO)
		return 0;
	if (data < 0 && errno == EINVAL && *offset < size)
		data = (off_t)*offset;
	if (data < 0)
		return *offset < size ? -errno : 0;
	hole = lseek(fd, data, SEEK_HOLE);
	if (hole < 0 || (uint64_t)hole > size)
		hole = (off_t)size;
	if (hole <= data)
		return 0;
	*offset = (uint64_t)data;
	*ret_bytes = (uint64_t)(hole - data);
	return 1;
}

static int save_chunks(struct image_writer *w, int fd, uint64_t size, char *buffer, struct error *err)
{
	uint64_t offset = 0, bytes = 0;
	int r;

	while ((r = next_data(fd, size, &offset, &bytes)) > 0) {
		GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;

		chunk.off = offset;
		chunk.len = bytes;
		r = image_writer_add(w, &chunk, err);
		if (r == 0)
			r = copy_out(w, fd, offset, bytes, buffer, err);
		if (r < 0)
			return r;
		offset += bytes;
	}
	return r;
}

static int save_content(struct dump *d, struct image_writer *w, const struct ghost *ghost, const GhostFileEntry *entry,
			struct error *err)
{
	AUTO_FREE char *buffer = malloc(COPY_BYTES);
	AUTO_CLOSE int fd = open_file_reopen(d, ghost->file, O_RDONLY);
	int r;

	if (!buffer)
		return -ENOMEM;
	if (fd < 0)
		return fd;
	r = image_writer_add(w, entry, err);
	if (r < 0)
		return r;
	if (entry->has_chunks)
		return save_chunks(w, fd, entry->size, buffer, err);
	return copy_out(w, fd, 0, (uint64_t)ghost->file->st.st_size, buffer, err);
}

static int read_symlink(struct dump *d, const struct ghost *ghost, GhostFileEntry *entry)
{
	AUTO_CLOSE int fd = open_file_reopen(d, ghost->file, O_PATH | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return fd;
	entry->symlnk_target = files_scratch(d, PATH_MAX + 1);
	if (!entry->symlnk_target)
		return -ENOMEM;
	n = readlinkat(fd, "", entry->symlnk_target, PATH_MAX);
	return n < 0 ? -errno : 0;
}

/* Images have the kernel's own device numbers. */
static uint32_t kernel_dev(dev_t dev)
{
	return major(dev) << 20 | minor(dev);
}

static void fill_ghost(const struct stat *st, GhostFileEntry *entry, Timeval *accessed, Timeval *modified)
{
	entry->uid = st->st_uid;
	entry->gid = st->st_gid;
	entry->mode = st->st_mode;
	entry->has_dev = entry->has_ino = true;
	entry->dev = kernel_dev(st->st_dev);
	entry->ino = st->st_ino;
	accessed->tv_sec = (uint64_t)st->st_atim.tv_sec;
	accessed->tv_usec = (uint64_t)st->st_atim.tv_nsec / 1000;
	modified->tv_sec = (uint64_t)st->st_mtim.tv_sec;
	modified->tv_usec = (uint64_t)st->st_mtim.tv_nsec / 1000;
	entry->atim = accessed;
	entry->mtim = modified;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		entry->has_rdev = true;
		entry->rdev = (uint32_t)st->st_rdev;
	}
	if (S_ISREG(st->st_mode) && st->st_size >= CHUNKED_FROM) {
		entry->has_chunks = entry->chunks = true;
		entry->has_size = true;
		entry->size = (uint64_t)st->st_size;
	}
}

static int save_ghost(struct dump *d, const struct ghost *ghost, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	GhostFileEntry entry = GHOST_FILE_ENTRY__INIT;
	Timeval accessed = TIMEVAL__INIT, modified = TIMEVAL__INIT;
	int r = 0;

	fill_ghost(&ghost->file->st, &entry, &accessed, &modified);
	image_writer_open(&w, d->set, IMAGE_GHOST_FILE, ghost->id);
	if (S_ISLNK(entry.mode))
		r = read_symlink(d, ghost, &entry);
	if (r == 0)
		r = S_ISREG(entry.mode) ? save_content(d, &w, ghost, &entry, err) : image_writer_add(&w, &entry, err);
	if (r < 0)
		return open_file_error(ghost->file, err, r, "save the deleted file");
	return image_writer_finish(&w, err);
}

int ghosts_save(struct dump *d, struct image_writer *remaps, struct error *err)
{
	for (size_t i = 0; i < d->files->ghost_count; i++) {
		const struct ghost *ghost = &d->files->ghosts[i];
		int r = save_ghost(d, ghost, err);

		for (size_t k = 0; k < ghost->user_count && r == 0; k++) {
			RemapFilePathEntry remap = REMAP_FILE_PATH_ENTRY__INIT;

			remap.orig_id = ghost->users[k];
			remap.remap_id = ghost->id;
			remap.has_remap_type = true;
			remap.remap_type = REMAP_TYPE__GHOST;
			r = image_writer_add(remaps, &remap, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

void ghosts_free(struct dump *d)
{
	for (size_t i = 0; i < d->files->ghost_count; i++)
		free(d->files->ghosts[i].users);
	free(d->files->ghosts);
}

/* --- restore -------------------------------------------------------------------------------------------------- */

static struct restore_ghost *find_restore_ghost(struct restore_files *rf, uint32_t id)
{
	for (size_t i = 0; i < rf->ghost_count; i++)
		if (rf->ghosts[i].id == id)
			return &rf->ghosts[i];
	return NULL;
}

static int read_head(const struct restore *r, struct image_reader *reader, uint32_t id, GhostFileEntry **ret_entry,
		     struct error *err)
{
	int result = image_reader_open(reader, r->set, IMAGE_GHOST_FILE, id, err);

	if (result == -ENOENT)
		return error_say(err, -EBADMSG, "ghost-file-%x.img is missing", id);
	if (result < 0)
		return result;
	result = image_reader_next(reader, &ghost_file_entry__descriptor, ret_entry, err);
	return result == 0 ? error_say(err, -EBADMSG, "ghost-file-%x.img is empty", id) : result < 0 ? result : 0;
}

int ghost_check(struct restore *r, struct restore_file *file, struct restore_ghost **ret_ghost, struct error *err)
{
	struct restore_files *rf = restore_files_of(r);
	uint32_t id = file->remap->remap_id;
	const char *path = file->entry->reg->name;

	*ret_ghost = find_restore_ghost(rf, id);
	if (*ret_ghost && !(*ret_ghost)->temporary && restore_is_temporary(file->entry->reg->flags))
		(*ret_ghost)->temporary = file;
	if (*ret_ghost)
		return 0;
	if (path[0] != '/' || !path[1])
		return restore_refuse(r, file, err, "%s: is not an absolute path", path);
	if (rf->ghost_count == rf->ghost_capacity)
		return error_say(err, -EBADMSG, "more deleted files than remap-fpath.img has records");
	rf->ghosts[rf->ghost_count] = (struct restore_ghost){ .id = id, .fd = -1, .path = path };
	if (restore_is_temporary(file->entry->reg->flags))
		rf->ghosts[rf->ghost_count].temporary = file;
	*ret_ghost = &rf->ghosts[rf->ghost_count++];
	return 0;
}

/* Directories above a path that had gone with it: made for the moment. Returns how many, as offsets into path. */
static int make_parents(char *path, size_t *offsets, size_t limit, size_t *ret_count)
{
	*ret_count = 0;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdir(path, 0700) < 0 ? -errno : 0;
		*slash = '/';
		if (r == -EEXIST)
			continue;
		if (r < 0)
			return r;
		if (*ret_count == limit)
			return -ENAMETOOLONG;
		offsets[(*ret_count)++] = (size_t)(slash - path);
	}
	return 0;
}

static void remove_parents(char *path, const size_t *offsets, size_t count)
{
	while (count--) {
		path[offsets[count]] = '\0';
		(void)rmdir(path);
	}
}

static int make_node(const char *path, const GhostFileEntry *entry)
{
	mode_t type = entry->mode & S_IFMT;
	int fd;

	switch (type) {
	case S_IFREG:
		fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		(void)close(fd);
		return 0;
	case S_IFDIR:
		return mkdir(path, 0700) < 0 ? -errno : 0;
	case S_IFLNK:
		return symlink(entry->symlnk_target, path) < 0 ? -errno : 0;
	default:
		return mknod(path, type | 0600, entry->rdev) < 0 ? -errno : 0;
	}
}

/* A directory gets its own name, so that a program that asks for its directory gets the answer it knows. */
static int make_and_unlink(char *path, size_t room, const GhostFileEntry *entry, uint32_t id, int *ret_fd)
{
	size_t length = strlen(path);
	int r = -EEXIST, fd;

	if (S_ISDIR(entry->mode))
		r = make_node(path, entry);
	if (r == -EEXIST) {
		if ((size_t)snprintf(path + length, room - length, ".cr.%x.ghost", id) >= room - length)
			return -ENAMETOOLONG;
		r = make_node(path, entry);
	}
	if (r < 0)
		return r;
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	(void)unlinkat(AT_FDCWD, path, S_ISDIR(entry->mode) ? AT_REMOVEDIR : 0);
	*ret_fd = fd;
	return r;
}

/* What O_TMPFILE made can still be given a name, which nothing else without one can. */
static int make_temporary(char *path, uint32_t flags)
{
	char *slash = strrchr(path, '/');
	int fd;

	*slash = '\0';
	fd = open(*path ? path : "/", (int)(restore_open_flags(flags) | O_TMPFILE | O_CLOEXEC), 0600);
	*slash = '/';
	return fd < 0 ? -errno : fd;
}

static int make_inode(const struct restore_ghost *ghost, const GhostFileEntry *entry, int *ret_fd)
{
	char path[PATH_MAX];
	size_t parents[64], parent_count;
	int r;

	if (strlen(ghost->path) >= sizeof(path))
		return -ENAMETOOLONG;
	(void)strcpy(path, ghost->path);
	r = make_parents(path, parents, ARRAY_SIZE(parents), &parent_count);
	if (r == 0 && ghost->temporary && S_ISREG(entry->mode)) {
		*ret_fd = make_temporary(path, ghost->temporary->entry->reg->flags);
		r = *ret_fd < 0 ? *ret_fd : 0;
	} else if (r == 0) {
		r = make_and_unlink(path, sizeof(path), entry, ghost->id, ret_fd);
	}
	remove_parents(path, parents, parent_count);
	return r;
}

static int copy_in(struct image_reader *reader, int fd, uint64_t offset, uint64_t bytes, struct error *err)
{
	while (bytes) {
		size_t n = min_u64(bytes, COPY_BYTES);
		const void *data;
		int r = image_reader_payload(reader, n, &data, err);

		if (r == 0)
			r = pwrite_all(fd, data, n, offset);
		if (r < 0)
			return r;
		offset += n;
		bytes -= n;
	}
	return 0;
}

static int fill_chunks(struct image_reader *reader, int fd, uint64_t size, struct error *err)
{
	int r;

	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	for (;;) {
		AUTO_MESSAGE GhostChunkEntry *chunk = NULL;

		r = image_reader_next(reader, &ghost_chunk_entry__descriptor, &chunk, err);
		if (r <= 0)
			return r;
		if (chunk->off > size || chunk->len > size - chunk->off)
			return image_reader_bad(reader, err, "lies behind the end of the file");
		r = copy_in(reader, fd, chunk->off, chunk->len, err);
		if (r < 0)
			return r;
	}
}

static int fill_content(struct image_reader *reader, int inode_fd, const GhostFileEntry *entry, struct error *err)
{
	AUTO_CLOSE int fd = restore_reopen(inode_fd, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return fd;
	if (entry->has_chunks && entry->chunks)
		return fill_chunks(reader, fd, entry->size, err);
	return copy_in(reader, fd, 0, image_reader_left(reader), err);
}

static int set_attributes(int fd, const GhostFileEntry *entry)
{
	char path[32];

	if (fchownat(fd, "", entry->uid, entry->gid, AT_EMPTY_PATH) < 0)
		return -errno;
	if (S_ISLNK(entry->mode))
		return 0;
	/* chmod() and utimensat() of old kernels refuse O_PATH descriptors; their links in /proc do. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (chmod(path, entry->mode & 07777) < 0)
		return -errno;
	if (entry->atim && entry->mtim) {
		struct timespec times[2] = {
			{ (time_t)entry->atim->tv_sec, (long)entry->atim->tv_usec * 1000 },
			{ (time_t)entry->mtim->tv_sec, (long)entry->mtim->tv_usec * 1000 },
		};

		(void)utimensat(AT_FDCWD, path, times, 0);
	}
	return 0;
}

static int make_ghost(struct restore *r, struct restore_ghost *ghost, struct error *err)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	AUTO_MESSAGE GhostFileEntry *entry = NULL;
	AUTO_CLOSE int fd = -1;
	int result = read_head(r, &reader, ghost->id, &entry, err);

	if (result < 0)
		return result;
	result = make_inode(ghost, entry, &fd);
	if (result == 0 && S_ISREG(entry->mode))
		result = fill_content(&reader, fd, entry, err);
	if (result == 0)
		result = set_attributes(fd, entry);
	if (result == 0)
		result = ghost->fd = restore_keep_fd(r, &fd);
	return result < 0 ? error_set(err, result, "make the deleted file %s again", ghost->path) : 0;
}

int ghosts_make(struct restore *r, struct error *err)
{
	struct restore_files *rf = restore_files_of(r);

	for (size_t i = 0; i < rf->ghost_count; i++) {
		int result = make_ghost(r, &rf->ghosts[i], err);

		if (result < 0)
			return result;
	}
	return 0;
}
