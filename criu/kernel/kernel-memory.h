/*
 * What the kernel knows and no interface tells: members of its own structures, read by a small BPF program and found by
 * the kernel's type information. For state that would be lost silently otherwise (requests in flight); whoever asks has
 * to have an answer for a machine where it cannot be had. Needs CAP_BPF, CAP_PERFMON, Linux 6.1 and
 * CONFIG_DEBUG_INFO_BTF. Starting it costs milliseconds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/btf.h"

struct kernel_memory;

/* 0 or -errno. */
int kernel_memory_open(struct kernel_memory **ret);
void kernel_memory_free(struct kernel_memory *km);

/*
 * Where the structures (struct task_struct) of all threads of a process are, those of the kernel's own included. A
 * first thread that has ended is left out.
 */
int kernel_memory_threads(struct kernel_memory *km, int pidfd, uint64_t **ret_addresses, size_t *ret_count);

/* Where the address space (struct mm_struct) of a process is. */
int kernel_memory_mm(struct kernel_memory *km, int pidfd, uint64_t *ret_address);

/* Where that of a first thread is which has ended while others live on. */
int kernel_memory_ended_leader(struct kernel_memory *km, int pidfd, uint64_t *ret_address);

/* Which of these structures is that of the thread; -ESRCH when none is. */
int kernel_memory_find_thread(struct kernel_memory *km, const uint64_t *addresses, size_t count, pid_t tid,
			      uint64_t *ret_address);

/* Both at once, for one thread of a process. */
int kernel_memory_thread(struct kernel_memory *km, int pidfd, pid_t tid, uint64_t *ret_address);

/* Where the structure (struct file) behind a descriptor of a process is. */
int kernel_memory_file(struct kernel_memory *km, int pidfd, int fd, uint64_t *ret_address);

/* The same in two steps, for several of one process that stands still: the table, and one file of it. */
int kernel_memory_table(struct kernel_memory *km, int pidfd, uint64_t *ret_table);
int kernel_memory_table_file(struct kernel_memory *km, uint64_t table, int fd, uint64_t *ret_address);

/* Any kernel memory: 0, -EFAULT when there is none. */
int kernel_memory_read(struct kernel_memory *km, uint64_t address, void *to, size_t bytes);

/* The offset of a member, -ENOENT when this kernel has none of that name. */
int kernel_memory_offset(struct kernel_memory *km, const char *structure, const char *member);

/* Its size, -ENOENT when this kernel has no such structure. */
int kernel_memory_bytes(struct kernel_memory *km, const char *structure);

/* A member of the structure at that address; bytes is its size as the caller knows it. */
int kernel_memory_member(struct kernel_memory *km, uint64_t address, const char *structure, const char *member,
			 void *to, size_t bytes);

/* The same into a variable of the member's size. */
#define KERNEL_MEMBER(km, address, structure, member, to)                                                              \
	kernel_memory_member(km, address, structure, member, to, sizeof(*(to)))

/* The sum over all processors of a 32-bit word that each has its own of. */
int kernel_memory_sum(struct kernel_memory *km, uint64_t percpu_address, int64_t *ret_sum);
