/*
 * With the images of many tasks decoded the worker's heap is large, and each fork in the tree would copy the page
 * tables of all of it, only to throw them away in the restorer: a cost that grows with the square of the number of
 * tasks. Memory mapped privately from a file is not copied by fork as long as nobody has written to it; its pages are
 * found again when they are used.
 */
#include "engine/restore-heap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-pid.h"

#define WORTH_IT_BYTES (256u << 10)

#if defined(__SANITIZE_ADDRESS__)
#define IS_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_INSTRUMENTED 1
#endif
#endif

#ifndef IS_INSTRUMENTED
/* Heap and what malloc() has mapped; stacks and libraries are small. */
static bool is_heap(const struct proc_maps *maps, const struct proc_vma *vma)
{
	const char *path = proc_vma_path(maps, vma);

	return !vma->shared && vma->prot == (PROT_READ | PROT_WRITE) && vma->inode == 0 &&
	       vma->end - vma->start >= WORTH_IT_BYTES && (path[0] == '\0' || strcmp(path, "[heap]") == 0);
}

/* From the copy to the mapping nothing may write to the heap: no call in between allocates. */
static int move_to_file(const struct proc_vma *vma)
{
	const size_t bytes = vma->end - vma->start;
	AUTO_CLOSE int fd = memfd_create("heap", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0)
		return -errno;
	r = write_all(fd, (const void *)vma->start, bytes);
	if (r < 0)
		return r;
	if (mmap((void *)vma->start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

void restore_make_heap_cheap(void)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	AUTO_CLOSE int procfd = proc_open(0);

	if (procfd < 0 || proc_maps_read(procfd, false, &maps) < 0)
		return;
	for (size_t i = 0; i < maps.count; i++) {
		int r = is_heap(&maps, &maps.vmas[i]) ? move_to_file(&maps.vmas[i]) : 0;

		if (r < 0)
			log_debug("heap at 0x%llx is not moved: %s\n", (unsigned long long)maps.vmas[i].start,
				  strerror(-r));
	}
}
#else
void restore_make_heap_cheap(void)
{
}
#endif
