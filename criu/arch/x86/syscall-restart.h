/*
 * A thread that was stopped inside a system call. The kernel leaves one of its internal restart codes in the result
 * register and sorts the restart out on the way back to user mode, which the restored thread never takes: the registers
 * that go into the image must already say how to go on.
 */
#pragma once

#include <stdbool.h>
#include <sys/user.h>

/* True when the registers are those of a system call that waits to be restarted; *ret_code gets the positive code. */
bool syscall_restart_pending(const struct user_regs_struct *live, int *ret_code);

/* The registers to store for a thread stopped with these. */
void regs_for_image(const struct user_regs_struct *live, struct user_regs_struct *image);
