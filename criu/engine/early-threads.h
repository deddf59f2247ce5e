/*
 * Threads that are there before their process enters the blob: those that have children of their own, and those older
 * than these, for the threads of a process are listed in the order of their creation.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct clone_request;
struct restore;
struct restore_task;

/* Open stage: tells each process how many it has. */
void early_threads_plan(const struct restore *r);

/* In the process: starts them. */
int early_threads_start(const struct restore *r, const struct restore_task *task, struct error *err);

/* Whether it is to be created by another than the first thread of its creator. */
bool early_threads_create(const struct restore_task *task);

/*
 * In the creator: lets that thread make the call, as clone_process() would. The new process calls begin(argument) on a
 * copy of the caller's stack, all of which is there; it must not return.
 */
pid_t early_thread_clone(const struct restore_task *task, const struct clone_request *request,
			 void (*begin)(void *argument), void *argument);

/*
 * In the creator: the thread that is to create the task has this timer slack from now on, as by timer_slack_set(); in
 * the process: all have that of new processes again.
 */
int early_thread_set_slack(const struct restore *r, const struct restore_task *task, uint64_t slack_ns);
int early_threads_give_slack_back(const struct restore *r, const struct restore_task *task);

/* In the process: they have its login uid, which each can only set itself. */
int early_threads_set_loginuid(const struct restore_task *task, struct error *err);
