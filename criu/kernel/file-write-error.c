#include "kernel/file-write-error.h"

#include "kernel/kernel-memory.h"

/* Below it is the errno, above it a mark and a count. */
#define ERRNO_MASK 4095

int file_write_error_read(struct kernel_memory *km, uint64_t file, bool is_on_overlay, struct file_write_error *ret)
{
	uint64_t behind, mapping;
	int r = 0;

	if (is_on_overlay) {
		r = KERNEL_MEMBER(km, file, "file", "private_data", &behind);
		if (r == 0)
			r = KERNEL_MEMBER(km, behind, "ovl_file", "realfile", &file);
	}
	if (r == 0)
		r = KERNEL_MEMBER(km, file, "file", "f_wb_err", &ret->told);
	if (r == 0)
		r = KERNEL_MEMBER(km, file, "file", "f_mapping", &mapping);
	return r < 0 ? r : KERNEL_MEMBER(km, mapping, "address_space", "wb_err", &ret->last);
}

int file_write_error_pending(const struct file_write_error *error)
{
	return error->told == error->last ? 0 : (int)(error->last & ERRNO_MASK);
}
