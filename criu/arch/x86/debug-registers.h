/*
 * Breakpoints and watchpoints of the processor. They are set by a debugger through ptrace(2) and stay with the thread
 * when that detaches; the thread itself cannot see them before one is hit.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define DEBUG_REGISTER_COUNT 5 /* four addresses, DR0 to DR3, and what is to happen there, DR7 */

/* Of a stopped tracee. *ret_in_use false: none is armed. */
int debug_registers_read(pid_t tid, uint64_t ret[DEBUG_REGISTER_COUNT], bool *ret_in_use);
int debug_registers_write(pid_t tid, const uint64_t values[DEBUG_REGISTER_COUNT]);

/* Values from an image: 0, or -EINVAL with the sentence set. */
int debug_registers_check(const uint64_t *values, size_t count, struct error *err);
