/*
 * Calls that were waiting and that only the kernel can go on with (nanosleep, poll, futex ...): they are made once more
 * from a place in the blob, for what is left of their time, before a thread gets its registers.
 */
#pragma once

#include <stdint.h>

struct restore;
struct restorer_thread;
struct user_regs_struct;

/* The address of a system call instruction in the blob behind which a thread can wait; 0: there is none. */
uint64_t restore_find_call_code(const struct restore *r);

/* For all threads at once. A thread whose call cannot be made makes it itself, for the whole time. */
void restore_make_calls(struct restore *r, uint64_t code_address);

/* For a rescuer: notes the end of a call that went on when the tracer died. */
void restore_note_call(struct restorer_thread *thread, const struct user_regs_struct *regs);
