/* The signal mask as the kernel has it: the C library leaves the two signals out that it keeps for itself. */
#pragma once

#include <stdint.h>

#define SIGNAL_MASK_ALL UINT64_MAX

/* Sets the mask of the calling thread; the one before goes to *ret_before unless that is NULL. */
void signal_mask_set(uint64_t mask, uint64_t *ret_before);
