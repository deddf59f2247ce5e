/*
 * Objects are collected while files and mappings are looked at, each with a descriptor of ours, and saved once: data
 * found by SEEK_DATA goes to pagemap-shmem-INODE and a pages file, holes stay holes. Huge pages live on other mounts of
 * the kernel's own, one for each size, which cannot be asked for holes: pages of nothing but zeros are taken for such.
 */
#include "mm/shared-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/file-attributes.h"
#include "files/file-kind.h"
#include "image/image-write.h"
#include "image/pagemap.h"
#include "images/memfd.pb-c.h"
#include "kernel/reserved-pages.h"
#include "kernel/hugepages.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-misc.h"
#include "mm/page-save.h"
#include "mm/shmids.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 0x0004U
#endif
#define SCAN_BYTES (256ul << 10)

struct shared_object {
	uint32_t shmid; /* known when all objects are */
	int fd;
	char *name;
	struct stat st;
	uint64_t huge_page_bytes; /* 0: none of hugetlbfs */
	uint64_t data_bytes;      /* known when its contents were saved */
	int seals;
	uint32_t inode_id;
	/* Of its mappings, and of those that may be written: a reader may open a file once for all its mappings. */
	uint32_t mapping_file_ids[2]; /* 0: there are none */
};

struct shared_memory {
	struct shared_object *objects;
	size_t count, capacity;
	struct shmids shmids; /* of the objects, in the same order */
};

static dev_t shared_memory_device;
static dev_t huge_devices[HUGE_SIZES_MAX];
static size_t huge_device_count;

static int device_of_memfd(unsigned int flags, dev_t *ret)
{
	AUTO_CLOSE int fd = memfd_create("criu-probe", MFD_CLOEXEC | flags);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret = st.st_dev;
	return 0;
}

static void find_device(void)
{
	(void)device_of_memfd(0, &shared_memory_device);
}

static void find_huge_devices(void)
{
	uint64_t sizes[HUGE_SIZES_MAX];
	size_t count = hugepages_sizes(sizes);

	for (size_t i = 0; i < count; i++)
		if (device_of_memfd(MFD_HUGETLB | hugepages_size_bits(sizes[i]), &huge_devices[huge_device_count]) == 0)
			huge_device_count++;
}

static bool is_huge_device(dev_t device)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, find_huge_devices);
	for (size_t i = 0; i < huge_device_count; i++)
		if (huge_devices[i] == device)
			return true;
	return false;
}

bool is_shared_memory_vma(const struct proc_vma *vma)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	dev_t device = makedev(vma->dev_major, vma->dev_minor);

	(void)pthread_once(&once, find_device);
	/* The inode of a System V segment is its id, and the first one is 0. */
	return device && (shared_memory_device == device || (vma->vm_flags & VMF_BIT(HT) && is_huge_device(device)));
}

static struct shared_object *find_object(const struct dump *d, dev_t device, uint64_t inode)
{
	const struct shared_memory *shared = d->shared_memory;
	size_t place = shared ? shmids_find(&shared->shmids, device, inode) : SHMIDS_NONE;

	return place == SHMIDS_NONE ? NULL : &shared->objects[place];
}

/* "/memfd:name (deleted)" is called name, "/dev/zero (deleted)" keeps its path. */
static char *object_name(const char *link)
{
	static const char deleted[] = " (deleted)", memfd[] = "/memfd:";
	size_t length = strlen(link);

	if (length >= strlen(deleted) && !strcmp(link + length - strlen(deleted), deleted))
		length -= strlen(deleted);
	if (!strncmp(link, memfd, strlen(memfd))) {
		link += strlen(memfd);
		length -= strlen(memfd);
	}
	return strndup(link, length);
}

/* Takes over the descriptor. */
static int add_object(struct dump *d, int *fd, const char *link, struct shared_object **ret_object, struct error *err)
{
	struct shared_object object = { .fd = *fd };
	struct shared_memory *shared;

	if (!d->shared_memory)
		d->shared_memory = calloc(1, sizeof(*d->shared_memory));
	shared = d->shared_memory;
	if (!shared || array_reserve(&shared->objects, &shared->capacity, shared->count, sizeof(object)) < 0)
		return error_set(err, -ENOMEM, "shared memory %s", link);
	if (fstat(*fd, &object.st) < 0)
		return error_set(err, -errno, "shared memory %s", link);
	object.huge_page_bytes = hugepages_of_file(*fd);
	object.seals = fcntl(*fd, F_GET_SEALS);
	if (object.seals < 0)
		object.seals = F_SEAL_SEAL;
	object.inode_id = (uint32_t)shared->count + 1;
	object.name = object_name(link);
	if (!object.name || shmids_add(&shared->shmids, object.st.st_dev, object.st.st_ino) < 0) {
		free(object.name);
		return error_set(err, -ENOMEM, "shared memory %s", link);
	}
	(void)take_fd(fd);
	shared->objects[shared->count] = object;
	*ret_object = &shared->objects[shared->count++];
	return 0;
}

int shared_memory_add_file(struct dump *d, const struct open_file *file, uint32_t *ret_inode_id, struct error *err)
{
	struct shared_object *object = find_object(d, file->st.st_dev, file->st.st_ino);
	AUTO_CLOSE int fd = -1;
	int r;

	if (!object) {
		char path[32];

		/*
		 * A description of our own: looking for data moves the offset, which the target must not see, nor that
		 * it was read. Who may not ask for that leaves the time of it.
		 */
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file->local_fd);
		fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);
		if (fd < 0 && errno == EPERM)
			fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return error_set(err, -errno, "shared memory %s: open it again", file->link);
		r = add_object(d, &fd, file->link, &object, err);
		if (r < 0)
			return r;
	}
	*ret_inode_id = object->inode_id;
	return 0;
}

int shared_memory_add_mapping(struct dump *d, struct task *task, const struct proc_vma *vma, const char *path,
			      uint32_t *ret_file_id, struct error *err)
{
	struct shared_object *object = find_object(d, makedev(vma->dev_major, vma->dev_minor), vma->inode);
	AUTO_FREE char *name = NULL;
	AUTO_CLOSE int fd = -1;
	uint32_t *id;
	int r;

	if (!strncmp(path, "/SYSV", strlen("/SYSV")))
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ", mapping %llx-%llx: System V shared memory is not supported yet",
				 TASK_ARGS(task), (unsigned long long)vma->start, (unsigned long long)vma->end);
	if (!object) {
		fd = proc_open_map(task->procfd, vma->start, vma->end, O_RDONLY | O_NOATIME | O_CLOEXEC);
		if (fd == -EPERM)
			fd = proc_open_map(task->procfd, vma->start, vma->end, O_RDONLY | O_CLOEXEC);
		if (fd == -EPERM)
			error_hint(err, "this needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN");
		if (fd < 0)
			return error_set(err, fd, TASK_FORMAT ", mapping %llx-%llx %s: open it by map_files",
					 TASK_ARGS(task), (unsigned long long)vma->start, (unsigned long long)vma->end,
					 path);
		name = proc_map_name(task->procfd, vma->start, vma->end, path);
		r = name ? add_object(d, &fd, name, &object, err) : error_set(err, -ENOMEM, "shared memory %s", path);
		if (r < 0)
			return r;
	}
	id = &object->mapping_file_ids[proc_vma_may_write_object(vma)];
	if (!*id)
		*id = ++d->next_file_id;
	*ret_file_id = *id;
	return 0;
}

/* --- saving ------------------------------------------------------------------------------------------------------ */

static bool is_zero(const uint64_t *words, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		if (words[i])
			return false;
	return true;
}

/* The next page from offset on that has more than zeros; reading a hole does not fill it. */
static int find_huge_page(const struct shared_object *object, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end)
{
	AUTO_FREE uint64_t *buffer = malloc(SCAN_BYTES);
	uint64_t size = (uint64_t)object->st.st_size;

	if (!buffer)
		return -ENOMEM;
	for (uint64_t at = offset; at < size; at += SCAN_BYTES) {
		int r = pread_all(object->fd, buffer, min_u64(SCAN_BYTES, size - at), at);

		if (r < 0)
			return r;
		if (is_zero(buffer, min_u64(SCAN_BYTES, size - at)))
			continue;
		*ret_start = at - at % object->huge_page_bytes;
		*ret_end = *ret_start + object->huge_page_bytes;
		return 0;
	}
	return -ENXIO;
}

/* The next stretch of data from offset on; -ENXIO behind the last. */
static int find_data(int fd, uint64_t offset, uint64_t size, uint64_t *ret_start, uint64_t *ret_end)
{
	off_t start = lseek(fd, (off_t)offset, SEEK_DATA);
	off_t end;

	if (start < 0)
		return -errno;
	if ((uint64_t)start >= size)
		return -ENXIO;
	end = lseek(fd, start, SEEK_HOLE);
	if (end < 0)
		return -errno;
	*ret_start = (uint64_t)start & ~(PAGE_BYTES - 1);
	*ret_end = page_align_up((uint64_t)end);
	return 0;
}

static int collect_data(const struct shared_object *object, struct page_source **ret_sources, size_t *ret_count,
			struct pagemap_writer *w, struct error *err)
{
	uint64_t size = page_align_up((uint64_t)object->st.st_size);
	uint64_t offset = 0, start = 0, end = 0;
	size_t capacity = 0;

	while (offset < size) {
		int r = object->huge_page_bytes ? find_huge_page(object, offset, &start, &end)
						: find_data(object->fd, offset, size, &start, &end);

		if (r == -ENXIO)
			return 0;
		if (r < 0)
			return error_set(err, r, "shared memory %s: find its data", object->name);
		end = min_u64(end, size);
		if (array_reserve(ret_sources, &capacity, *ret_count, sizeof(**ret_sources)) < 0)
			return error_set(err, -ENOMEM, "shared memory %s", object->name);
		(*ret_sources)[(*ret_count)++] =
		    (struct page_source){ .kind = PAGES_FROM_FD, .address = start, .bytes = end - start };
		r = pagemap_writer_add(w, start, (end - start) / PAGE_BYTES, PAGEMAP_PRESENT, err);
		if (r < 0)
			return r;
		offset = end;
	}
	return 0;
}

static int report_progress(void *ctx, uint64_t bytes)
{
	return dump_progress(ctx, bytes);
}

static int write_data(struct dump *d, const struct shared_object *object, const struct page_source *sources,
		      size_t count, uint32_t pages_id, struct error *err)
{
	AUTO_CLOSE int out_fd = -1;
	bool failed_write = false;
	char name[IMAGE_NAME_MAX];
	struct page_job job = {
		.fd = object->fd,
		.sources = sources,
		.source_count = count,
		.progress = report_progress,
		.progress_ctx = d,
	};
	int r = image_create_raw(d->set, IMAGE_PAGES, pages_id, &out_fd, err);

	if (r < 0)
		return r;
	job.out_fd = out_fd;
	r = pages_save(&job, &failed_write);
	if (r == 0 || dump_check_interrupted(d, err) < 0)
		return r;
	if (!failed_write)
		return error_set(err, r, "shared memory %s: read its data", object->name);
	image_name(IMAGE_PAGES, pages_id, name);
	return image_write_error(d->set, name, r, err);
}

static int save_contents(struct dump *d, struct shared_object *object, struct error *err)
{
	AUTO_PAGEMAP_WRITER struct pagemap_writer w = PAGEMAP_WRITER_INIT;
	struct page_source *sources = NULL;
	size_t count = 0;
	uint32_t pages_id = image_set_next_pages_id(d->set);
	int r = pagemap_writer_open(&w, d->set, IMAGE_PAGEMAP_SHMEM, object->shmid, pages_id, err);

	if (r == 0)
		r = collect_data(object, &sources, &count, &w, err);
	if (r == 0)
		r = write_data(d, object, sources, count, pages_id, err);
	d->stats.shared_pages_scanned += page_align_up((uint64_t)object->st.st_size) / PAGE_BYTES;
	d->stats.shared_pages_written += w.present_pages;
	for (size_t i = 0; i < count; i++)
		object->data_bytes += sources[i].bytes;
	if (r == 0)
		r = pagemap_writer_finish(&w, err);
	free(sources);
	return r;
}

static int fill_attributes(const struct shared_object *object, struct arena *arena, MemfdInodeEntry *entry)
{
	struct inode_attributes attributes;
	int r = file_xattrs_read(arena, object->fd, &entry->n_xattr, &entry->xattr);

	if (r == 0)
		r = inode_attributes_read(object->fd, &attributes);
	return r < 0 ? r : file_attributes_fill(arena, &attributes, &entry->attributes);
}

/* Huge pages are there or not, whoever has asked for them. */
static int fill_reserved(const struct shared_object *object, struct arena *arena, MemfdInodeEntry *entry)
{
	AUTO_FREE struct reserved_range *ranges = NULL;
	size_t count = 0;
	int r = 0;

	if (!object->huge_page_bytes && (uint64_t)object->st.st_blocks * 512 > object->data_bytes)
		r = reserved_pages_find(object->fd, &object->st, &ranges, &count);
	if (r < 0)
		log_warn("shared memory %s: where space is reserved in it cannot be told, it is lost: %s\n",
			 object->name, strerror(-r));
	if (count == 0)
		return 0;
	entry->reserved_offset = arena_alloc(arena, count * sizeof(*entry->reserved_offset));
	entry->reserved_bytes = arena_alloc(arena, count * sizeof(*entry->reserved_bytes));
	if (!entry->reserved_offset || !entry->reserved_bytes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		entry->reserved_offset[i] = ranges[i].offset;
		entry->reserved_bytes[i] = ranges[i].bytes;
	}
	entry->n_reserved_offset = entry->n_reserved_bytes = count;
	return 0;
}

static int save_inode(struct image_writer *w, const struct shared_object *object, struct error *err)
{
	AUTO_ARENA struct arena arena = { 0 };
	MemfdInodeEntry entry = MEMFD_INODE_ENTRY__INIT;
	int r = fill_attributes(object, &arena, &entry);

	if (r == 0)
		r = fill_reserved(object, &arena, &entry);
	if (r < 0)
		return error_set(err, r, "shared memory %s: read its attributes", object->name);

	entry.name = object->name;
	entry.uid = object->st.st_uid;
	entry.gid = object->st.st_gid;
	entry.size = (uint64_t)object->st.st_size;
	entry.shmid = object->shmid;
	entry.seals = (uint32_t)object->seals;
	entry.inode_id = object->inode_id;
	entry.has_mode = true;
	entry.mode = object->st.st_mode;
	entry.has_atime_ns = entry.has_mtime_ns = true;
	entry.atime_ns = (uint64_t)timespec_to_ns(&object->st.st_atim);
	entry.mtime_ns = (uint64_t)timespec_to_ns(&object->st.st_mtim);
	if (object->huge_page_bytes) {
		entry.has_hugetlb_flag = true;
		entry.hugetlb_flag = MFD_HUGETLB | hugepages_size_bits(object->huge_page_bytes);
	}
	return image_writer_add(w, &entry, err);
}

static int assign_shmids(struct shared_memory *shared)
{
	AUTO_FREE uint32_t *numbers = calloc(shared->count + 1, sizeof(*numbers));

	if (!numbers)
		return -ENOMEM;
	shmids_assign(&shared->shmids, numbers);
	for (size_t i = 0; i < shared->count; i++)
		shared->objects[i].shmid = numbers[i];
	return 0;
}

int shared_memory_save(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	int r;

	if (!d->shared_memory)
		return 0;
	r = assign_shmids(d->shared_memory);
	if (r < 0)
		return error_set(err, r, "shared memory");
	image_writer_open(&w, d->set, IMAGE_MEMFD, 0);
	for (size_t i = 0; i < d->shared_memory->count && r == 0; i++) {
		r = save_contents(d, &d->shared_memory->objects[i], err);
		if (r == 0)
			r = save_inode(&w, &d->shared_memory->objects[i], err);
	}
	return r < 0 ? r : image_writer_finish(&w, err);
}

static int save_file(const struct shared_object *object, uint32_t id, struct image_writer *files, struct error *err)
{
	FownEntry fown = FOWN_ENTRY__INIT;
	MemfdFileEntry memfd = MEMFD_FILE_ENTRY__INIT;
	FileEntry entry = FILE_ENTRY__INIT;

	memfd.id = id;
	memfd.fown = &fown;
	memfd.inode_id = object->inode_id;
	entry.type = FD_TYPES__MEMFD;
	entry.id = id;
	entry.memfd = &memfd;
	return image_writer_add(files, &entry, err);
}

int shared_memory_save_files(struct dump *d, struct image_writer *files, struct error *err)
{
	size_t count = d->shared_memory ? d->shared_memory->count : 0;
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		const struct shared_object *object = &d->shared_memory->objects[i];

		for (size_t k = 0; k < ARRAY_SIZE(object->mapping_file_ids) && r == 0; k++)
			if (object->mapping_file_ids[k])
				r = save_file(object, object->mapping_file_ids[k], files, err);
	}
	return r;
}

void shared_memory_free(struct dump *d)
{
	struct shared_memory *shared = d->shared_memory;

	if (!shared)
		return;
	for (size_t i = 0; i < shared->count; i++) {
		(void)close(shared->objects[i].fd);
		free(shared->objects[i].name);
	}
	free(shared->objects);
	shmids_done(&shared->shmids);
	free(shared);
	d->shared_memory = NULL;
}
