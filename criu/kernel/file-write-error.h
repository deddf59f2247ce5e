/*
 * Data of a file that could not be written back: each open description of it is told once, by fsync(2) and its like.
 * Whether one has yet to be told no interface says without telling it; the kernel's structures do (f_wb_err of struct
 * file beside wb_err of struct address_space).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct kernel_memory;

/* The last error that the description was told of, and the last one that there was. */
struct file_write_error {
	uint32_t told, last;
};

/*
 * Of a file at an address (see kernel_memory_file()); of one that is on an overlay that of the file behind it. 0 or
 * -errno.
 */
int file_write_error_read(struct kernel_memory *km, uint64_t file, bool is_on_overlay, struct file_write_error *ret);

/* The errno that is to be told; 0: none. */
int file_write_error_pending(const struct file_write_error *error);
