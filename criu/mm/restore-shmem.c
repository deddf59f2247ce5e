/*
 * An anonymous shared mapping is dumped as an object called /dev/zero. It is made again as what it was, by mapping it
 * here and opening it through map_files, so that the new task's maps file shows what the old one's did; where map_files
 * cannot be used a memfd takes its place. Contents are read straight into the mapped object. Seals come last: a sealed
 * object could not be filled, and one sealed against writing could not be mapped by those who may.
 */
#include "mm/restore-shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/restore.h"
#include "engine/service-fds.h"
#include "files/file-attributes.h"
#include "kernel/features.h"
#include "kernel/missing-mman.h"
#include "mm/restore-fill.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 0x0004U
#endif
#define HUGE_SIZE_MASK (0x3fu << MAP_HUGE_SHIFT)

struct shmem_object {
	const struct checked_shmem *image;
	int fd;
};

struct shmem_objects {
	struct shmem_object *items; /* as r->images->shmems */
	size_t count;
};

static const char *object_name(const struct checked_shmem *image)
{
	return image->inode ? image->inode->name : "/dev/zero";
}

static bool is_mapping(const struct checked_shmem *image)
{
	const char *name = object_name(image);

	return strcmp(name, "/dev/zero") == 0 || strcmp(name, "/anon_hugepage") == 0;
}

static unsigned int huge_flags(const struct checked_shmem *image)
{
	return image->inode && image->inode->has_hugetlb_flag ? image->inode->hugetlb_flag : 0;
}

static void *map_anonymous(const struct checked_shmem *image)
{
	unsigned int huge = huge_flags(image);
	int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;

	if (huge)
		flags |= MAP_HUGETLB | (int)(huge & HUGE_SIZE_MASK);
	return mmap(NULL, page_align_up(image->bytes), PROT_READ | PROT_WRITE, flags, -1, 0);
}

/* -errno when the kernel or our rights do not allow it. */
static int create_mapping(const struct checked_shmem *image)
{
	const uint64_t bytes = page_align_up(image->bytes);
	void *memory;
	char path[96];
	int fd;

	if (feature_is_masked("map_files"))
		return -ENOENT;
	memory = map_anonymous(image);
	if (memory == MAP_FAILED)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)memory,
		       (unsigned long)memory + bytes);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	(void)munmap(memory, bytes);
	return fd;
}

static int create_memfd(const struct checked_shmem *image)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | huge_flags(image);
	const char *name = object_name(image);
	int fd = memfd_create(is_mapping(image) ? name + 1 : name, flags);

	return fd < 0 ? -errno : fd;
}

static int set_owner_and_mode(const MemfdInodeEntry *inode, int fd)
{
	struct stat st;

	if (!inode)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_uid != inode->uid || st.st_gid != inode->gid) && fchown(fd, inode->uid, inode->gid) < 0)
		return -errno;
	if (inode->has_mode && (st.st_mode & 07777) != (inode->mode & 07777) && fchmod(fd, inode->mode & 07777) < 0)
		return -errno;
	return 0;
}

static int set_attributes(const MemfdInodeEntry *inode, int fd, struct error *err)
{
	struct inode_attributes wanted;
	int r = inode ? file_xattrs_set(fd, inode->n_xattr, inode->xattr, err) : 0;

	if (r < 0 || !inode || !inode->attributes)
		return r;
	wanted = file_attributes_of(inode->attributes);
	r = inode_attributes_set(fd, &wanted);
	return r < 0 ? error_set(err, r, "set its flags (chattr) 0x%x", wanted.flags) : 0;
}

static int fill_object(struct restore *r, const struct checked_shmem *image, int fd, struct error *err)
{
	void *memory;
	int result;

	if (!image->pagemap || image->pagemap->extent_count == 0)
		return 0;
	memory = mmap(NULL, image->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return error_set(err, -errno, "map it");
	result = restore_fill_object(r, image->pagemap, memory, image->bytes, err);
	(void)munmap(memory, image->bytes);
	return result;
}

static int open_object(struct restore *r, const struct checked_shmem *image, int *ret_fd, struct error *err)
{
	bool as_mapping = is_mapping(image);
	AUTO_CLOSE int fd = as_mapping ? create_mapping(image) : create_memfd(image);
	int result;

	if (fd < 0 && as_mapping) {
		as_mapping = false;
		log_warn("shared memory %llu is restored as a memfd: map_files: %s\n", (unsigned long long)image->shmid,
			 strerror(-fd));
		fd = create_memfd(image);
	}
	if (fd < 0) {
		if (huge_flags(image))
			error_hint(err, "are there enough free huge pages?");
		return error_set(err, fd, "create it");
	}
	if (image->bytes && !as_mapping && ftruncate(fd, (off_t)image->bytes) < 0)
		return error_set(err, -errno, "give it its %llu bytes", (unsigned long long)image->bytes);
	result = fill_object(r, image, fd, err);
	if (result < 0)
		return result;
	result = set_owner_and_mode(image->inode, fd);
	if (result < 0)
		return error_set(err, result, "set its owner and mode");
	result = set_attributes(image->inode, fd, err);
	if (result < 0)
		return result;
	*ret_fd = service_fds_copy(r, fd);
	return *ret_fd < 0 ? error_set(err, *ret_fd, "keep its descriptor") : 0;
}

/* The kernel would give page after page until there is none for anybody. */
static int check_reserved(const struct checked_set *images, struct error *err)
{
	struct sysinfo machine;
	uint64_t left;

	if (sysinfo(&machine) < 0)
		return error_set(err, -errno, "size of the memory");
	left = (machine.totalram + machine.totalswap) * (uint64_t)machine.mem_unit;
	for (size_t i = 0; i < images->memfd_inode_count; i++) {
		const MemfdInodeEntry *inode = images->memfd_inodes[i];

		for (size_t k = 0; k < inode->n_reserved_bytes; k++) {
			if (inode->reserved_bytes[k] > left)
				return error_say(err, -ENOSPC,
						 "memfd %s (inode %llu): more space is reserved for it than this "
						 "machine has memory",
						 inode->name, (unsigned long long)inode->inode_id);
			left -= inode->reserved_bytes[k];
		}
	}
	return 0;
}

int shmem_restore_prepare(struct restore *r, struct error *err)
{
	struct shmem_objects *objects = calloc(1, sizeof(*objects));

	if (objects)
		objects->items = calloc(r->images->shmem_count + 1, sizeof(*objects->items));
	if (!objects || !objects->items) {
		free(objects);
		return error_set(err, -ENOMEM, "shared memory");
	}
	r->shared_memory = objects;
	if (check_reserved(r->images, err) < 0)
		return err->code;
	for (size_t i = 0; i < r->images->shmem_count; i++) {
		struct shmem_object *object = &objects->items[i];
		int result;

		object->image = &r->images->shmems[i];
		object->fd = -1;
		objects->count++;
		result = open_object(r, object->image, &object->fd, err);
		if (result < 0) {
			error_prefix(err, "shared memory object %llu (%s)", (unsigned long long)object->image->shmid,
				     object_name(object->image));
			return result;
		}
	}
	return 0;
}

static const struct shmem_object *find_object(const struct restore *r, const struct checked_shmem *image)
{
	const struct shmem_objects *objects = r->shared_memory;
	size_t index = image ? (size_t)(image - r->images->shmems) : 0;

	return image && objects && index < objects->count ? &objects->items[index] : NULL;
}

static const struct checked_shmem *find_image(const struct restore *r, uint64_t inode_id)
{
	const MemfdInodeEntry *inode = checked_set_find_memfd_inode(r->images, inode_id);

	return inode ? checked_set_find_shmem(r->images, inode->shmid) : NULL;
}

static int open_again(const struct shmem_object *object, int flags, int *ret_fd, struct error *err)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", object->fd);
	fd = open(path, flags & ~O_CREAT & ~O_TRUNC & ~O_EXCL);
	if (fd < 0)
		return error_set(err, -errno, "open shared memory object %llu (%s)",
				 (unsigned long long)object->image->shmid, object_name(object->image));
	*ret_fd = fd;
	return 0;
}

int shmem_open_fd(struct restore *r, uint64_t inode_id, int flags, int *ret_fd, struct error *err)
{
	const struct shmem_object *object = find_object(r, find_image(r, inode_id));

	if (!object)
		return error_say(err, -EBADMSG, "memfd inode %llu is not in the set", (unsigned long long)inode_id);
	return open_again(object, flags, ret_fd, err);
}

int shmem_share_fd(struct restore *r, uint64_t inode_id, int *ret_fd, struct error *err)
{
	const struct shmem_object *object = find_object(r, find_image(r, inode_id));
	int fd = object ? fcntl(object->fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (!object)
		return error_say(err, -EBADMSG, "memfd inode %llu is not in the set", (unsigned long long)inode_id);
	if (fd < 0)
		return error_set(err, -errno, "share memfd inode %llu", (unsigned long long)inode_id);
	*ret_fd = fd;
	return 0;
}

int shmem_open_shmid(struct restore *r, uint64_t shmid, int flags, int *ret_fd, struct error *err)
{
	const struct shmem_object *object = find_object(r, checked_set_find_shmem(r->images, shmid));

	if (!object)
		return error_say(err, -EBADMSG, "shared memory %llu is not in the set", (unsigned long long)shmid);
	return open_again(object, flags, ret_fd, err);
}

int shmem_is_write_sealed(const struct restore *r, uint64_t inode_id)
{
	const MemfdInodeEntry *inode = checked_set_find_memfd_inode(r->images, inode_id);

	return inode && inode->seals & F_SEAL_WRITE;
}

/* What was written since are the contents. */
static void set_times(const struct shmem_object *object)
{
	const MemfdInodeEntry *inode = object->image->inode;
	const struct timespec times[2] = {
		timespec_from_ns((int64_t)inode->atime_ns),
		timespec_from_ns((int64_t)inode->mtime_ns),
	};

	if (inode->has_atime_ns && inode->has_mtime_ns)
		(void)futimens(object->fd, times);
}

static int add_seals(const struct shmem_object *object)
{
	const MemfdInodeEntry *inode = object->image->inode;
	int present = inode->seals ? fcntl(object->fd, F_GET_SEALS) : -1;

	if (present < 0 || (present & (int)inode->seals) == (int)inode->seals)
		return 0;
	return fcntl(object->fd, F_ADD_SEALS, (int)inode->seals & ~present) < 0 ? -errno : 0;
}

/* They forbid what comes before. */
static int set_late_flags(const struct shmem_object *object)
{
	const FileAttributes *entry = object->image->inode->attributes;
	struct inode_attributes wanted;
	uint32_t late;

	if (!entry)
		return 0;
	wanted = file_attributes_of(entry);
	late = inode_attributes_late(&wanted);
	return late ? inode_attributes_set_late(object->fd, late) : 0;
}

static int reserve(const struct shmem_object *object)
{
	const MemfdInodeEntry *inode = object->image->inode;

	for (size_t i = 0; i < inode->n_reserved_offset; i++)
		if (fallocate(object->fd, FALLOC_FL_KEEP_SIZE, (off_t)inode->reserved_offset[i],
			      (off_t)inode->reserved_bytes[i]) < 0)
			return -errno;
	return 0;
}

int shmem_restore_seal(struct restore *r, struct error *err)
{
	const struct shmem_objects *objects = r->shared_memory;

	for (size_t i = 0; objects && i < objects->count; i++) {
		const struct shmem_object *object = &objects->items[i];
		const MemfdInodeEntry *inode = object->image->inode;
		int result;

		if (!inode)
			continue;
		result = reserve(object);
		if (result < 0)
			return error_set(err, result, "shared memory object %llu (%s): reserve space in it",
					 (unsigned long long)object->image->shmid, object_name(object->image));
		set_times(object);
		result = add_seals(object);
		if (result < 0)
			return error_set(err, result, "shared memory object %llu (%s): add seals 0x%x",
					 (unsigned long long)object->image->shmid, object_name(object->image),
					 inode->seals);
		result = set_late_flags(object);
		if (result < 0)
			return error_set(err, result, "shared memory object %llu (%s): set its flags (chattr) 0x%x",
					 (unsigned long long)object->image->shmid, object_name(object->image),
					 inode->attributes->flags);
	}
	return 0;
}

void shmem_restore_done(struct restore *r)
{
	struct shmem_objects *objects = r->shared_memory;

	for (size_t i = 0; objects && i < objects->count; i++)
		close_fd(&objects->items[i].fd);
	if (objects)
		free(objects->items);
	free(objects);
	r->shared_memory = NULL;
}
