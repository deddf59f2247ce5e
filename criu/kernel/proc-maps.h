/*
 * /proc/PID/maps and /proc/PID/smaps. maps costs about 0.25 us a mapping, smaps ten times as much and walks the page
 * tables, but only smaps has the VmFlags line with what madvise(2), mlock(2) and mmap(2) flags left behind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* VmFlags: the kernel's two letters are in the table of proc-maps.c. */
enum {
	VMF_RD = 0,
	VMF_WR,
	VMF_EX,
	VMF_SH,
	VMF_MR,
	VMF_MW,
	VMF_ME,
	VMF_MS, /* allowed now; may be allowed (max prot) */
	VMF_GD, /* grows down */
	VMF_PF, /* pure PFN range */
	VMF_LO, /* locked */
	VMF_IO, /* memory mapped I/O */
	VMF_SR,
	VMF_RR, /* sequential, random read advised */
	VMF_DC, /* do not copy on fork */
	VMF_DE, /* do not expand on remapping */
	VMF_LF, /* lock on fault */
	VMF_AC, /* accountable */
	VMF_NR, /* no swap reservation */
	VMF_HT, /* hugetlb */
	VMF_SF, /* synchronous fault (DAX) */
	VMF_AR, /* architecture specific */
	VMF_WF, /* wipe on fork */
	VMF_DD, /* do not dump to core */
	VMF_DP, /* droppable */
	VMF_SD, /* soft dirty */
	VMF_MM, /* mixed map */
	VMF_HG,
	VMF_NH, /* huge page, no huge page advised */
	VMF_MG, /* mergeable */
	VMF_BT,
	VMF_MT, /* arm64: branch target, memory tagging */
	VMF_UM,
	VMF_UW,
	VMF_UI,      /* userfaultfd: missing, write protect, minor */
	VMF_SS,      /* shadow stack */
	VMF_SL,      /* sealed */
	VMF_GU,      /* may hold guard pages */
	VMF_UNKNOWN, /* the kernel printed two letters that the table lacks */
};

#define VMF_BIT(name) (UINT64_C(1) << VMF_##name)

struct proc_vma {
	uint64_t start, end, offset;
	uint32_t prot; /* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool shared;
	bool deleted;       /* the path ends in " (deleted)" (kept in the text) */
	bool has_vm_flags;  /* the members below come from smaps */
	bool has_no_policy; /* it is known that there is no NUMA policy; never from /proc */
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	uint32_t path_offset;       /* into proc_maps.text; proc_vma_path() */
	int protection_key;         /* -1: not printed */
	uint64_t vm_flags;          /* VMF_BIT() */
	uint64_t kernel_page_bytes; /* 0 without smaps */
	uint64_t rss_bytes, anonymous_bytes, swap_bytes, locked_bytes, private_dirty_bytes;
};

/* Shared and writable, or may be made so: what is mapped has to be open for writing. A private mapping never needs it.
 */
static inline bool proc_vma_may_write_object(const struct proc_vma *vma)
{
	return vma->shared && vma->vm_flags & VMF_BIT(MW);
}

struct proc_maps {
	struct proc_vma *vmas; /* ascending addresses */
	size_t count;
	char *text; /* pool of NUL terminated paths */
	/* Reused by the next read into the same object. */
	size_t vma_capacity;
	struct buffer file;
};

/*
 * Reads all mappings; a struct proc_maps is zeroed before its first use and may be filled again and again, which keeps
 * its memory. 0 or -errno; -EINVAL for text that is no maps file. Paths are as the kernel prints them with "\012"
 * turned back into newlines.
 */
int proc_maps_read(int procfd, bool with_flags, struct proc_maps *ret);
int proc_maps_parse(const char *text, size_t bytes, struct proc_maps *ret);

/* The same mappings for another process; the paths stay those of from, which must live longer. 0 or -ENOMEM. */
int proc_maps_share(const struct proc_maps *from, struct proc_maps *ret);
void proc_maps_done(struct proc_maps *maps);

/* "" for anonymous memory. */
const char *proc_vma_path(const struct proc_maps *maps, const struct proc_vma *vma);

/* The mapping which holds the address, or NULL. */
const struct proc_vma *proc_maps_find(const struct proc_maps *maps, uint64_t address);

#define AUTO_PROC_MAPS __attribute__((cleanup(proc_maps_done)))
