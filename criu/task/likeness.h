/*
 * Most threads of a large process differ in nothing but their registers, masks, stacks and names. Which these are is
 * told for all at once (kernel/thread-facts.h), and they are saved with what their first thread has: nobody asks them.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "kernel/thread-facts.h"
#include "task/task.h"

struct dump;
struct parasite_thread;

/* Look stage, before task_look(), when all stand still: sets thread->facts_own where a thread is like its first one. */
void likeness_look(struct dump *d);

/* False: threads of the process cannot be compared by what is known of them. */
bool likeness_can_be_compared(const struct thread_likeness *leader);

/* Fills task->thread_facts. */
int likeness_read_facts(struct task *task, int program_fd);

/* What task_look() and task_look_traced() would read. */
int likeness_take_look(const struct task *task, struct task_thread *thread, struct error *err);

/* What the parasite would be told. */
void likeness_take_answers(const struct task_thread *leader, const struct task_thread *thread,
			   struct parasite_thread *ret);

#define SAS_AUTODISARM (1u << 31) /* SS_AUTODISARM, which not all C libraries have */

/* What sigaltstack(2) would tell of the flags while another stack is in use. */
uint32_t likeness_sas_flags(uint64_t bytes, uint32_t kernel_flags);

void likeness_free(struct task *task);
