/*
 * The default timer slack: what a thread goes back to with PR_SET_TIMERSLACK 0, and what it has behind a real-time
 * policy, under which it has none. The kernel gives a new thread its creator's slack of that moment as its default; so
 * a creator has it for a moment in a restore, too. Only sets in which some slack is not the usual one pay for that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "image/image-check.h"

struct caller;
struct dump;
struct own_limits;
struct restore_task;
struct task_thread;

/*
 * By one thread, of tasks that stand still. No interface tells: where the kernel has not been asked about all tasks a
 * thread gets its default for the moment between two system calls, which is in the undo log.
 */
void timer_slack_look(struct dump *d);

void timer_slack_save(const struct task_thread *thread, ThreadCoreEntry *tc);

/* Of the caller. */
uint64_t timer_slack_own(void);

/* Some thread of the set has another slack, now or by default, than what new processes inherit. */
bool timer_slack_is_needed(const struct own_limits *own, const struct checked_set *set);

/* What the task's first thread is to be born with. */
uint64_t timer_slack_of_birth(const struct own_limits *own, const struct restore_task *task);

/*
 * The caller has this slack from now on. With 0, which is that of real-time threads, the caller becomes one; what it
 * creates is none, until timer_slack_set() with another value.
 */
int timer_slack_set(const struct own_limits *own, uint64_t slack_ns);

/* The same of another thread of the caller's process. */
int timer_slack_set_of(const struct own_limits *own, const struct caller *thread, uint64_t slack_ns);

/* What another thread than the first is to be born with. */
uint64_t timer_slack_of_thread_birth(const struct own_limits *own, const struct checked_thread *thread);
