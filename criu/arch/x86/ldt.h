/*
 * A process's own segment descriptors (modify_ldt(2)): eight bytes each as the processor has them when they are read,
 * and a struct user_desc when they are made.
 */
#pragma once

#include <asm/ldt.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes up to the last descriptor in use. */
size_t ldt_used_bytes(const void *descriptors, size_t bytes);

/* How many are in use; those are written to ret unless it is NULL. */
size_t ldt_descriptors(const void *descriptors, size_t bytes, struct user_desc *ret);
