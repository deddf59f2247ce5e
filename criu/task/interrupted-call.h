/*
 * Calls that wait for a span of time and that only restart_syscall(2) can go on with: nanosleep, clock_nanosleep, poll
 * and futex. Made again from their arguments they would wait for the whole span once more, so what is left of it goes
 * into an extension of the image.
 *
 * What is left stands in the kernel's restart block, which is read by a BPF iterator; without that, in the remainder
 * that the kernel writes for those who asked nanosleep for it. Where neither helps the call is made again in full, and
 * so it is by other readers of the image.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

#include "images/core.pb-c.h"
#include "task/task.h"

struct dump;

struct interrupted_call {
	uint64_t number; /* 0: none that is known */
	bool has_remainder;
	uint64_t remaining_ns;
};

/* Look stage, all threads stopped. What cannot be found out is no failure. */
void interrupted_calls_look(struct dump *d);

/* Whether the kernel is to go on with the call of these registers, which are those of an image. */
bool interrupted_call_goes_on(const struct user_regs_struct *image, const RestartEntry *entry);
