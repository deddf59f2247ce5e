/* core-TID.img of every thread: registers and all that the kernel keeps for threads and processes. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "images/core.pb-c.h"
#include "kernel/proc-status.h"
#include "task/task.h"

struct dump;
struct sched_attributes;

/* Save stage; may run for several tasks at once. */
int core_save(struct dump *d, struct task *task, struct error *err);

int zombie_save(struct dump *d, struct task *task, struct error *err);

void core_save_exit_signal(const struct task *task, TaskCoreEntry *tc);

/* Each kind of state fills its part; memory comes from the arena. 0, -ENOMEM or a refusal with its sentence. */
/* Infect stage: what a process has switched on of its processor and the image has no place for. */
int registers_check(const struct task *task, struct error *err);

int registers_save(const struct task *task, const struct task_thread *thread, CoreEntry *core, struct arena *arena,
		   struct error *err);
void registers_save_done(CoreEntry *core);
int signals_save_process(const struct task *task, TaskCoreEntry *tc, struct arena *arena);
int signals_save_thread(const struct task *task, const struct task_thread *thread, ThreadCoreEntry *tc,
			struct arena *arena);
int timers_save(const struct task *task, TaskCoreEntry *tc, struct arena *arena);
int creds_save(const struct task_thread *thread, ThreadCoreEntry *tc, struct arena *arena);
int creds_save_zombie(const struct proc_status *status, TaskCoreEntry *tc, struct arena *arena);
int limits_save(const struct task *task, TaskCoreEntry *tc, struct arena *arena);
int sched_save(const struct task_thread *thread, ThreadCoreEntry *tc, struct arena *arena);
/* What an infected task gets at the end of its parent; 0: nothing. */
int switches_death_signal(const struct task *task);

void sched_save_policy(const struct sched_attributes *sched, ThreadCoreEntry *tc);
int switches_save_process(const struct task *task, TaskCoreEntry *tc, struct arena *arena);
int switches_save_thread(const struct task_thread *thread, ThreadCoreEntry *tc, struct arena *arena);
