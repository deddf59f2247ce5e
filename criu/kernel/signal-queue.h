/*
 * Pending signals of a thread that does not stop, so that ptrace(2) does not tell of them: they are read from the
 * kernel's own structures, while nobody takes any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/kernel-memory.h"
#include "kernel/ptrace-info.h"

/* Of the thread whose struct task_struct is there, or those of its whole process: 0 or -errno, -ESTALE: they change. */
int signal_queue_read(struct kernel_memory *km, uint64_t thread, bool shared, struct siginfo_queue *ret);
