/*
 * Stopped threads in calls that wait with a signal mask of their own (sigsuspend, ppoll ...): the kernel shows that one
 * and has noted the other, which nobody can set from outside. What is borrowed of such a thread loses the note; so it
 * makes a call of that kind for compel, with the mask where the program's own call has it.
 */
#pragma once

struct task;

/* Before the task is cured; what cannot be found out is left to the end of the stop, when the call is made again. */
void waiting_masks_keep(const struct task *task);
