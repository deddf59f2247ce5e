/* Probes of page maps, userfaultfd and what mappings can be. All that map or arm memory do it in a child. */
#include "kernel/feature-probes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/kernel-memory.h"
#include "kernel/missing-mman.h"
#include "kernel/missing-pagemap.h"
#include "kernel/pagemap-scan.h"
#include "kernel/probe-child.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"

static char *map_pages(size_t pages)
{
	char *at = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* --- page maps --------------------------------------------------------------------------------------------------- */

static int scan_page(void *page, uint64_t category)
{
	AUTO_CLOSE int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct page_region region;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)page,
		.end = (uintptr_t)page + PAGE_BYTES,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = category,
		.return_mask = category,
	};
	int r;

	if (fd < 0)
		return -errno;
	r = ioctl(fd, PAGEMAP_SCAN, &arg);
	return r < 0 ? probe_answer(-1) : r == 1;
}

static int scan_present(void)
{
	char *page = map_pages(1);

	if (!page)
		return -ENOMEM;
	page[0] = 1;
	return scan_page(page, PAGE_IS_PRESENT);
}

int probe_pagemap_scan(void)
{
	return probe_in_child(scan_present);
}

static int install_guard(void)
{
	char *page = map_pages(1);

	if (!page)
		return -ENOMEM;
	return probe_answer(madvise(page, PAGE_BYTES, MADV_GUARD_INSTALL));
}

int probe_guard_pages(void)
{
	return probe_in_child(install_guard);
}

static int scan_guard(void)
{
	char *page = map_pages(1);

	if (!page)
		return -ENOMEM;
	if (madvise(page, PAGE_BYTES, MADV_GUARD_INSTALL) < 0)
		return probe_answer(-1);
	return scan_page(page, PAGE_IS_GUARD);
}

int probe_pagemap_scan_guard_pages(void)
{
	return probe_in_child(scan_guard);
}

/* --- userfaultfd and dirty tracking ------------------------------------------------------------------------------ */

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13) /* 6.4 */
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15) /* 6.7 */
#endif

/* A descriptor with these features: 1, 0 or -errno. */
static int open_userfaultfd(uint64_t features, int *ret_fd)
{
	AUTO_CLOSE int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API, .features = features };

	if (fd < 0)
		return errno == ENOSYS ? 0 : -errno;
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		return probe_answer(-1);
	*ret_fd = take_fd(&fd);
	return 1;
}

int probe_uffd(void)
{
	AUTO_CLOSE int fd = -1;

	return open_userfaultfd(0, &fd);
}

int probe_uffd_noncoop(void)
{
	AUTO_CLOSE int fd = -1;

	return open_userfaultfd(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |
				    UFFD_FEATURE_EVENT_UNMAP,
				&fd);
}

/* Pages [0] and [1] are armed, [1] is written: the scan must name that one alone. */
static int track_write(int uffd, char *pages)
{
	AUTO_PAGE_RANGES struct page_ranges ranges = { 0 };
	AUTO_CLOSE int pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t start = (uintptr_t)pages;
	struct uffdio_register area = {
		.range = { .start = start, .len = 2 * PAGE_BYTES },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int r;

	if (pagemap_fd < 0)
		return -errno;
	if (ioctl(uffd, UFFDIO_REGISTER, &area) < 0)
		return probe_answer(-1);
	r = pagemap_scan_written(pagemap_fd, start, start + 2 * PAGE_BYTES, PAGES_ANON, true, &ranges);
	if (r < 0)
		return r == -EOPNOTSUPP ? 0 : r;
	pages[PAGE_BYTES] = 2;
	ranges.count = 0;
	r = pagemap_scan_written(pagemap_fd, start, start + 2 * PAGE_BYTES, PAGES_ANON, false, &ranges);
	if (r < 0)
		return r;
	return ranges.count == 1 && ranges.ranges[0].start == start + PAGE_BYTES && ranges.ranges[0].page_count == 1;
}

static int track_by_write_protection(void)
{
	AUTO_CLOSE int uffd = -1;
	char *pages = map_pages(2);
	int r;

	if (!pages)
		return -ENOMEM;
	pages[0] = pages[PAGE_BYTES] = 1;
	r = open_userfaultfd(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED, &uffd);
	return r <= 0 ? r : track_write(uffd, pages);
}

int probe_uffd_wp_async(void)
{
	return probe_in_child(track_by_write_protection);
}

static int read_pagemap_word(void *page, uint64_t *ret)
{
	AUTO_CLOSE int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return pread_all(fd, ret, sizeof(*ret), (uintptr_t)page / PAGE_BYTES * sizeof(*ret));
}

/* The write to clear_refs succeeds without CONFIG_MEM_SOFT_DIRTY too: only the bit is proof. */
static int track_by_soft_dirty(void)
{
	AUTO_CLOSE int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	char *pages = map_pages(2);
	uint64_t clean, dirty;
	int r;

	if (fd < 0 || !pages)
		return errno == ENOENT ? 0 : -errno;
	pages[0] = pages[PAGE_BYTES] = 1;
	if (write(fd, "4", 1) < 0)
		return errno == EINVAL ? 0 : -errno;
	pages[PAGE_BYTES] = 2;
	r = read_pagemap_word(pages, &clean);
	if (r == 0)
		r = read_pagemap_word(pages + PAGE_BYTES, &dirty);
	return r < 0 ? r : !(clean & PM_SOFT_DIRTY) && (dirty & PM_SOFT_DIRTY);
}

int probe_mem_dirty_track(void)
{
	int r = probe_in_child(track_by_write_protection);

	return r == 1 ? 1 : probe_in_child(track_by_soft_dirty);
}

/* --- mappings ---------------------------------------------------------------------------------------------------- */

/* The head of the ring which the kernel maps for io_setup(2). */
struct aio_ring_head {
	uint32_t id, nr, head, tail, magic, compat_features, incompat_features, header_bytes;
};

static int move_ring(void)
{
	aio_context_t context = 0;
	const struct aio_ring_head *ring;
	size_t bytes;
	char *target;

	if (syscall(SYS_io_setup, 1, &context) < 0)
		return errno == ENOSYS ? 0 : -errno;
	ring = (const void *)context;
	bytes = page_align_up(ring->header_bytes + ring->nr * sizeof(struct io_event));
	target = map_pages(bytes / PAGE_BYTES);
	if (!target)
		return -ENOMEM;
	if (mremap((void *)context, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target) == MAP_FAILED)
		return errno == EINVAL || errno == EFAULT ? 0 : -errno;
	/* The context is found under its new address. */
	return probe_answer(syscall(SYS_io_getevents, (aio_context_t)target, 0, 0, NULL, NULL));
}

int probe_aio_remap(void)
{
	return probe_in_child(move_ring);
}

int probe_kernel_memory(void)
{
	struct kernel_memory *km;
	int r = kernel_memory_open(&km);

	if (r == 0)
		kernel_memory_free(km);
	return r == 0 ? 1 : r == -ENOENT || r == -EINVAL || r == -ENOSYS ? 0 : r;
}

static int move_vdso(void)
{
	unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	AUTO_CLOSE int procfd = proc_open(0);
	const struct proc_vma *vma;
	char *target;
	int r;

	if (!vdso)
		return 1;
	if (procfd < 0)
		return procfd;
	r = proc_maps_read(procfd, false, &maps);
	if (r < 0)
		return r;
	vma = proc_maps_find(&maps, vdso);
	if (!vma)
		return -ENOENT;
	target = map_pages((vma->end - vma->start) / PAGE_BYTES);
	if (!target)
		return -ENOMEM;
	return probe_answer(mremap((void *)vdso, vma->end - vma->start, vma->end - vma->start,
				   MREMAP_MAYMOVE | MREMAP_FIXED, target) == MAP_FAILED
				? -1
				: 0);
}

int probe_vdso_mremap(void)
{
	return probe_in_child(move_vdso);
}

static int map_memfd(int *ret_fd, char **ret)
{
	AUTO_CLOSE int fd = memfd_create("probe", MFD_CLOEXEC);
	char *at;

	if (fd < 0 || ftruncate(fd, PAGE_BYTES) < 0)
		return -errno;
	at = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*ret_fd = take_fd(&fd);
	*ret = at;
	return 0;
}

static int open_own_mapping(void)
{
	AUTO_CLOSE int procfd = proc_open(0);
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSE int again = -1;
	struct stat a, b;
	char *at = NULL;
	int r = map_memfd(&fd, &at);

	if (r < 0)
		return r;
	if (procfd < 0)
		return procfd;
	again = proc_open_map(procfd, (uintptr_t)at, (uintptr_t)at + PAGE_BYTES, O_RDWR);
	if (again < 0)
		return again == -ENOENT ? 0 : again;
	if (fstat(fd, &a) < 0 || fstat(again, &b) < 0)
		return -errno;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int probe_map_files(void)
{
	return probe_in_child(open_own_mapping);
}

static int map_droppable(void)
{
	void *at = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);

	return probe_answer(at == MAP_FAILED ? -1 : 0);
}

int probe_map_droppable(void)
{
	return probe_in_child(map_droppable);
}

static int seal_mapping(void)
{
	char *page = map_pages(1);

	if (!page)
		return -ENOMEM;
	return probe_answer(syscall(__NR_mseal, page, PAGE_BYTES, 0));
}

int probe_mseal(void)
{
	return probe_in_child(seal_mapping);
}

int probe_memfd_hugetlb(void)
{
	AUTO_CLOSE int fd = memfd_create("probe", MFD_CLOEXEC | MFD_HUGETLB);

	return probe_answer(fd);
}

int probe_prctl_set_mm_map(void)
{
	unsigned bytes = 0;

	return probe_answer(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &bytes, 0, 0));
}

int probe_process_vm_readv(void)
{
	char from = 1, to = 0;
	struct iovec local = { .iov_base = &to, .iov_len = 1 }, remote = { .iov_base = &from, .iov_len = 1 };

	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) < 0)
		return probe_answer(-1);
	return to == from;
}

/* --- overlay ----------------------------------------------------------------------------------------------------- */

static int write_one_page(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, PAGE_BYTES) < 0)
		return -errno;
	return 0;
}

static int compare_mapping_with_stat(const char *path)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	AUTO_CLOSE int procfd = proc_open(0);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct proc_vma *vma;
	struct stat st;
	void *at;
	int r;

	if (procfd < 0)
		return procfd;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	at = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	r = proc_maps_read(procfd, false, &maps);
	if (r < 0)
		return r;
	vma = proc_maps_find(&maps, (uintptr_t)at);
	if (!vma)
		return -ENOENT;
	return vma->inode == st.st_ino && vma->dev_major == major(st.st_dev) && vma->dev_minor == minor(st.st_dev);
}

/* Everything on a tmpfs of our own in a mount namespace of our own, hidden over a directory that is always there. */
static int map_overlay_file(void)
{
	static const char *const dirs[] = { "/dev/lower", "/dev/upper", "/dev/work", "/dev/merged" };
	size_t i;
	int r;

	if (mount("probe", "/dev", "tmpfs", 0, NULL) < 0)
		return -errno;
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdir(dirs[i], 0700) < 0)
			return -errno;
	r = write_one_page("/dev/lower/file");
	if (r < 0)
		return r;
	if (mount("probe", "/dev/merged", "overlay", 0, "lowerdir=/dev/lower,upperdir=/dev/upper,workdir=/dev/work") <
	    0)
		return errno == ENODEV ? 0 : -errno;
	return compare_mapping_with_stat("/dev/merged/file");
}

int probe_overlayfs_maps(void)
{
	return probe_in_namespaces(CLONE_NEWNS, map_overlay_file);
}
