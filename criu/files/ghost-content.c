/*
 * The image of an inode without a name: its attributes, and of a file what is in it, in chunks where it has holes or is
 * large.
 */
#include "files/ghost-content.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/magic.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/file-attributes.h"
#include "files/locks.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "image/image-write.h"
#include "kernel/inode-linkable.h"
#include "kernel/reserved-pages.h"
#include "kernel/mount-view.h"

/* Files of this size and more are stored in chunks, so that holes cost nothing; smaller ones when they have holes. */
#define CHUNKED_FROM 12288

#define COPY_BYTES (256 * 1024)

/* --- dump ----------------------------------------------------------------------------------------------------- */

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

static int save_chunk(struct image_writer *w, int fd, uint64_t offset, uint64_t bytes, char *buffer, struct error *err)
{
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;
	int r;

	chunk.off = offset;
	chunk.len = bytes;
	r = image_writer_add(w, &chunk, err);
	return r < 0 ? r : copy_out(w, fd, offset, bytes, buffer, err);
}

static int save_chunks(struct image_writer *w, int fd, uint64_t size, char *buffer, struct error *err)
{
	uint64_t offset = 0, bytes = 0;
	int r;

	while ((r = next_data(fd, size, &offset, &bytes)) > 0) {
		r = save_chunk(w, fd, offset, bytes, buffer, err);
		if (r < 0)
			return r;
		offset += bytes;
	}
	return r;
}

#define EXTENTS_AT_ONCE 64

/* From offset on: how many, 0: none, -errno. */
static int next_extents(int fd, uint64_t offset, struct fiemap *map)
{
	memset(map, 0, sizeof(*map));
	map->fm_start = offset;
	map->fm_length = FIEMAP_MAX_OFFSET - offset;
	map->fm_extent_count = EXTENTS_AT_ONCE;
	return ioctl(fd, FS_IOC_FIEMAP, map) < 0 ? -errno : (int)map->fm_mapped_extents;
}

/* Room doubles: the arena gives nothing back. */
static int add_space(struct dump *d, uint64_t offset, uint64_t bytes, GhostFileEntry *entry)
{
	const size_t count = entry->n_reserved;
	GhostSpace *space = files_scratch(d, sizeof(*space));

	if (space && (count & (count - 1)) == 0) {
		GhostSpace **grown = files_scratch(d, (2 * count + 1) * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		if (count)
			memcpy(grown, entry->reserved, count * sizeof(*grown));
		entry->reserved = grown;
	}
	if (!space)
		return -ENOMEM;
	ghost_space__init(space);
	space->offset = offset;
	space->bytes = bytes;
	entry->reserved[entry->n_reserved++] = space;
	return 0;
}

static int read_reserved_pages(struct dump *d, const struct open_file *file, int fd, GhostFileEntry *entry)
{
	AUTO_FREE struct reserved_range *ranges = NULL;
	size_t count = 0;
	char place[256];
	int r = reserved_pages_find(fd, &file->st, &ranges, &count);

	if (r < 0)
		log_warn("%s: where space is reserved in the deleted file cannot be told, it is lost: %s\n",
			 open_file_describe(file, place, sizeof(place)), strerror(-r));
	r = 0;
	for (size_t i = 0; i < count && r == 0; i++)
		r = add_space(d, ranges[i].offset, ranges[i].bytes, entry);
	return r;
}

static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* What is not on the disk yet counts as well, which does no harm. Some filesystems do not tell. */
static int read_reserved(struct dump *d, int fd, GhostFileEntry *entry)
{
	AUTO_FREE struct fiemap *map = calloc(1, sizeof(*map) + EXTENTS_AT_ONCE * sizeof(map->fm_extents[0]));
	uint64_t offset = 0;
	int count = map ? 1 : -ENOMEM;

	while (count > 0) {
		int r = 0;

		count = next_extents(fd, offset, map);
		for (int i = 0; i < count && r == 0; i++) {
			const struct fiemap_extent *extent = &map->fm_extents[i];

			offset = extent->fe_logical + extent->fe_length;
			if (extent->fe_flags & FIEMAP_EXTENT_UNWRITTEN)
				r = add_space(d, extent->fe_logical, extent->fe_length, entry);
		}
		if (r < 0)
			return r;
		if (count > 0 && map->fm_extents[count - 1].fe_flags & FIEMAP_EXTENT_LAST)
			count = 0;
	}
	return count == -ENOMEM ? count : 0;
}

static int save_content(struct dump *d, struct image_writer *w, struct open_file *file, GhostFileEntry *entry,
			struct error *err)
{
	AUTO_FREE char *buffer = malloc(COPY_BYTES);
	/* The offset of a description that is not ours stays where it is, and holes are found by moving it. */
	bool can_seek = !locks_lease_on(d, file);
	AUTO_CLOSE int fd = open_file_content(d, file);
	int r = 0;

	if (!buffer)
		return -ENOMEM;
	if (fd < 0)
		return fd;
	if (!is_in_memory(fd))
		r = read_reserved(d, fd, entry);
	else if (can_seek)
		r = read_reserved_pages(d, file, fd, entry);
	if (r == 0)
		r = image_writer_add(w, entry, err);
	if (r < 0)
		return r;
	if (entry->has_chunks && can_seek)
		return save_chunks(w, fd, entry->size, buffer, err);
	if (entry->has_chunks)
		return save_chunk(w, fd, 0, entry->size, buffer, err);
	return copy_out(w, fd, 0, (uint64_t)file->st.st_size, buffer, err);
}

/* Links of /proc lead to the symbolic link itself; O_NOFOLLOW would stop before it. */
static int read_symlink(struct dump *d, struct open_file *file, GhostFileEntry *entry)
{
	AUTO_CLOSE int fd = open_file_reopen(d, file, O_PATH);
	AUTO_CLOSE int view = fd < 0 ? -1 : mount_view_noatime(fd);
	ssize_t n;

	if (fd < 0)
		return fd;
	entry->symlnk_target = files_scratch(d, PATH_MAX + 1);
	if (!entry->symlnk_target)
		return -ENOMEM;
	n = readlinkat(view >= 0 ? view : fd, "", entry->symlnk_target, PATH_MAX);
	return n < 0 ? -errno : 0;
}

/* What mknod(2) makes cannot be opened without a trace, and no filesystem but XFS has attributes of it. */
static bool has_attributes(mode_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode);
}

int ghost_content_look(struct dump *d, struct open_file *file, struct inode_attributes *ret)
{
	bool is_borrowed = file->fd >= 0 && !(file->flags & O_PATH);
	AUTO_CLOSE int opened = -1;
	int r;

	*ret = (struct inode_attributes){ .is_known = false };
	if (!has_attributes(file->st.st_mode))
		return 0;
	if (is_borrowed) { /* opening it could break a lease */
		int fd = open_file_local(d, file);

		r = fd < 0 ? fd : inode_attributes_read(fd, ret);
		open_file_release(d, file);
		return r;
	}
	opened = open_file_content(d, file);
	return opened < 0 ? opened : inode_attributes_read(opened, ret);
}

/* The kernel calls "#NUMBER" what O_TMPFILE makes, whoever opens it later. */
static bool may_be_temporary(const struct open_file *file)
{
	const char *name = file->link ? strrchr(file->link, '/') : NULL;

	return S_ISREG(file->st.st_mode) && name && name[1] == '#' && name[2] >= '0' && name[2] <= '9';
}

void ghost_content_look_linkable(struct dump *d, struct open_file *file, struct ghost_facts *facts)
{
	AUTO_CLOSE int fd = may_be_temporary(file) ? open_file_reopen(d, file, O_PATH) : -1;
	struct kernel_memory *km;
	char place[256];
	int r;

	facts->is_linkable = false;
	facts->is_linkable_known = !may_be_temporary(file);
	if (facts->is_linkable_known)
		return;
	r = fd < 0 ? fd : dump_kernel_memory(d, &km);
	if (r == 0)
		r = inode_is_linkable(km, fd, &facts->is_linkable);
	facts->is_linkable_known = r == 0;
	if (r < 0)
		log_warn("%s: whether it can be given a name (O_TMPFILE without O_EXCL) cannot be told: %s\n",
			 open_file_describe(file, place, sizeof(place)), strerror(-r));
}

static int read_attributes(struct dump *d, struct open_file *file, const struct inode_attributes *attributes,
			   GhostFileEntry *entry)
{
	AUTO_CLOSE int fd = open_file_reopen(d, file, O_PATH);
	int r = fd < 0 ? fd : file_xattrs_read(&d->files->scratch, fd, &entry->n_xattr, &entry->xattr);

	return r < 0 ? r : file_attributes_fill(&d->files->scratch, attributes, &entry->attributes);
}

/* Images have the kernel's own device numbers. */
static uint32_t kernel_dev(dev_t dev)
{
	return major(dev) << 20 | minor(dev);
}

static bool has_holes(const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size;
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
	entry->has_atime_ns = entry->has_mtime_ns = true;
	entry->atime_ns = file_policy_ns(st->st_atim.tv_sec, (uint32_t)st->st_atim.tv_nsec);
	entry->mtime_ns = file_policy_ns(st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		entry->has_rdev = true;
		entry->rdev = (uint32_t)st->st_rdev;
	}
	/* Without pieces nothing else tells where the content ends. */
	if (S_ISREG(st->st_mode)) {
		entry->has_chunks = entry->chunks = st->st_size >= CHUNKED_FROM || has_holes(st);
		entry->has_size = true;
		entry->size = (uint64_t)st->st_size;
	}
}

int ghost_content_save(struct dump *d, struct open_file *file, uint32_t id, const struct ghost_facts *facts,
		       struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	GhostFileEntry entry = GHOST_FILE_ENTRY__INIT;
	Timeval accessed = TIMEVAL__INIT, modified = TIMEVAL__INIT;
	int r = read_attributes(d, file, &facts->attributes, &entry);

	fill_ghost(&file->st, &entry, &accessed, &modified);
	entry.has_linkable = facts->is_linkable_known;
	entry.linkable = facts->is_linkable;
	image_writer_open(&w, d->set, IMAGE_GHOST_FILE, id);
	if (r == 0 && S_ISLNK(entry.mode))
		r = read_symlink(d, file, &entry);
	if (r == 0)
		r = S_ISREG(entry.mode) ? save_content(d, &w, file, &entry, err) : image_writer_add(&w, &entry, err);
	if (r < 0)
		return open_file_error(file, err, r, "save the deleted file");
	return image_writer_finish(&w, err);
}

/* --- restore -------------------------------------------------------------------------------------------------- */

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

/* Where it cannot be had the contents are the same. */
static int reserve(int fd, const GhostFileEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->n_reserved; i++) {
		const GhostSpace *space = entry->reserved[i];

		if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)space->offset, (off_t)space->bytes) == 0)
			continue;
		if (errno != EOPNOTSUPP)
			return error_set(err, -errno, "reserve %llu bytes for it", (unsigned long long)space->bytes);
		log_warn("a deleted file: no space can be reserved for it in this filesystem\n");
		return 0;
	}
	return 0;
}

static int fill_content(struct image_reader *reader, int inode_fd, const GhostFileEntry *entry, struct error *err)
{
	AUTO_CLOSE int fd = restore_reopen(inode_fd, O_WRONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return fd;
	if (entry->has_chunks && entry->chunks)
		r = fill_chunks(reader, fd, entry->size, err);
	else
		r = copy_in(reader, fd, 0, image_reader_left(reader), err);
	return r < 0 ? r : reserve(fd, entry, err);
}

static struct timespec timespec_of(bool has_ns, uint64_t ns, const Timeval *coarse)
{
	if (has_ns)
		return timespec_from_ns((int64_t)ns);
	return (struct timespec){ (time_t)coarse->tv_sec, (long)coarse->tv_usec * 1000 };
}

static void set_times(const char *path, const GhostFileEntry *entry)
{
	struct timespec times[2];

	if (!entry->atim || !entry->mtim)
		return;
	times[0] = timespec_of(entry->has_atime_ns, entry->atime_ns, entry->atim);
	times[1] = timespec_of(entry->has_mtime_ns, entry->mtime_ns, entry->mtim);
	(void)utimensat(AT_FDCWD, path, times, 0);
}

/*
 * A change of the owner takes capabilities and set-user-id bits away: they come behind it. An access list is in the
 * mode, too.
 */
static int set_attributes(int fd, const GhostFileEntry *entry, struct error *err)
{
	char path[32];
	int r;

	if (fchownat(fd, "", entry->uid, entry->gid, AT_EMPTY_PATH) < 0)
		return error_set(err, -errno, "give it to user %u, group %u", entry->uid, entry->gid);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!S_ISLNK(entry->mode) && chmod(path, entry->mode & 07777) < 0)
		return error_set(err, -errno, "set its mode");
	r = file_xattrs_set(fd, entry->n_xattr, entry->xattr, err);
	if (r < 0)
		return r;
	set_times(path, entry);
	return 0;
}

/* While it is empty: some cannot be chosen later. */
static int set_flags(int inode_fd, const GhostFileEntry *entry, struct error *err)
{
	struct inode_attributes wanted;
	AUTO_CLOSE int fd = -1;
	int r;

	if (!entry->attributes || !has_attributes(entry->mode))
		return 0;
	wanted = file_attributes_of(entry->attributes);
	fd = restore_reopen(inode_fd, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	r = fd < 0 ? fd : inode_attributes_set(fd, &wanted);
	return r < 0 ? error_set(err, r, "set its flags (chattr) 0x%x, project %u", wanted.flags, wanted.project) : 0;
}

int ghost_content_restore(struct image_reader *reader, int inode_fd, const GhostFileEntry *entry, struct error *err)
{
	int r = set_flags(inode_fd, entry, err);

	if (r == 0 && S_ISREG(entry->mode))
		r = fill_content(reader, inode_fd, entry, err);
	return r < 0 ? r : set_attributes(inode_fd, entry, err);
}

/* Pieces are all there is in the image, but for a few bytes in front of each. */
static uint64_t content_bytes(const struct image_reader *reader, const GhostFileEntry *entry)
{
	uint64_t bytes = image_reader_left(reader);

	if (entry->has_size)
		bytes = min_u64(bytes, entry->size);
	for (size_t i = 0; i < entry->n_reserved; i++)
		bytes += min_u64(entry->reserved[i]->bytes, UINT64_MAX - bytes);
	return bytes;
}

int ghost_content_check_room(const struct image_reader *reader, int dirfd, const GhostFileEntry *entry,
			     struct error *err)
{
	uint64_t bytes = S_ISREG(entry->mode) ? content_bytes(reader, entry) : 0, room;
	struct statfs fs;

	/* Some filesystems do not tell. */
	if (!bytes || fstatfs(dirfd, &fs) < 0 || !fs.f_blocks)
		return 0;
	room = fs.f_bfree * (uint64_t)fs.f_bsize;
	if (bytes <= room)
		return 0;
	return error_say(err, -ENOSPC, "the deleted file needs %llu bytes, and there is room for %llu",
			 (unsigned long long)bytes, (unsigned long long)room);
}
