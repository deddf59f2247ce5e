/*
 * With whose rights a file was opened. No interface tells that (struct file, f_cred), but some of the kernel's own
 * files ask for it, and not for the rights of who reads or writes them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel_memory;

/* Ids are those of the first user namespace, as are the capabilities. */
struct file_opener {
	uint32_t euid, egid, fsuid, fsgid;
	uint64_t cap_eff;
	uint64_t user_ns; /* equal for openers in one user namespace; means nothing else */
	uint32_t *groups; /* malloc()ed */
	size_t group_count;
};

/* Where the structure (struct file) is: see kernel_memory_file(). 0 or -errno. */
int file_opener_read(struct kernel_memory *km, uint64_t file, struct file_opener *ret);

/* Whether these rights are not only like those of a thread (struct task_struct), but the same: 0 or -errno. */
int file_opener_is_thread(struct kernel_memory *km, uint64_t file, uint64_t thread, bool *ret);

void file_opener_done(struct file_opener *opener);
