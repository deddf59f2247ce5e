/* The bits of vma_entry.status, and what they say together. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "images/vma.pb-c.h"

enum vma_status {
	VMA_REGULAR = 1u << 0,  /* a normal area whose content is taken care of */
	VMA_STACK = 1u << 1,    /* historic: stacks have MAP_GROWSDOWN among their flags */
	VMA_VSYSCALL = 1u << 2, /* never restored; stands without REGULAR */
	VMA_VDSO = 1u << 3,     /* content is dumped whole */
	VMA_HEAP = 1u << 5,     /* informational */
	VMA_FILE_PRIVATE = 1u << 6,
	VMA_FILE_SHARED = 1u << 7,
	VMA_ANON_SHARED = 1u << 8,
	VMA_ANON_PRIVATE = 1u << 9,
	VMA_SYSVIPC = 1u << 10, /* with ANON_SHARED */
	VMA_SOCKET = 1u << 11,  /* ring of a packet socket */
	VMA_VVAR = 1u << 12,    /* content is never dumped */
	VMA_AIORING = 1u << 13, /* stands alone */
	VMA_MEMFD = 1u << 14,   /* shmid is the id of a memfd file; with FILE_PRIVATE or FILE_SHARED */
	VMA_SHSTK = 1u << 15,   /* shadow stack */
	VMA_GUARD = 1u << 16,   /* no mapping: a range of guard pages, after all mappings in the list */
	VMA_UPROBES = 1u << 17, /* not stored */
	VMA_PLUGIN = 1u << 27,  /* a plugin restores it */

	VMA_IGNORED = 7u << 28, /* notes of a restorer to itself */
};

/* A flag of mmap(2) since Linux 6.11: private memory the kernel may drop. */
#define VMA_MAP_DROPPABLE 0x8u

/* Above all mappings of a task, except for the vsyscall page. */
#define VMA_TASK_SIZE 0x7ffffffff000ull

/* The content of the mapping's own pages is in the page map of the task. */
static inline bool vma_has_private_pages(const VmaEntry *vma)
{
	if (vma->status & VMA_VVAR || (vma->flags & 0xfu) == VMA_MAP_DROPPABLE)
		return false;
	if (vma->status & (VMA_AIORING | VMA_SHSTK))
		return true;
	return vma->status & VMA_REGULAR && vma->status & (VMA_ANON_PRIVATE | VMA_FILE_PRIVATE) &&
	       vma->end <= VMA_TASK_SIZE;
}
