/*
 * One thread of the new tree while it is traced: its stops, and what only a tracer can set. All functions return 0 or
 * -errno; -ESRCH: the thread has ended. They fit the worker and the rescuer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pie/restorer-border.h"

/* The one that makes the calls for its process: the leader, unless that has ended again. */
struct restorer_thread *traced_acting(const struct restorer_task *task);

/* ptrace(2) with its error as a value. */
int traced_request(long request, pid_t tid, unsigned long address, unsigned long data);

int traced_seize(struct restorer_thread *thread);
int traced_interrupt(pid_t tid);

/* Waits for a stop or the end; *ret_status is as waitpid(2) gives it. */
int traced_wait_stop(const struct restorer_thread *thread, int *ret_status);

/* Waits for the entry or the end of the thread's system call. */
int traced_wait_syscall(const struct restorer_thread *thread);

/* Waits for the stop that traced_interrupt() asked for. */
int traced_wait_interruption(const struct restorer_thread *thread);

/* The signal that a stop is about; 0: there is none. */
unsigned long traced_stop_signal(int status);

/* Nobody needs to wait for further stops of this one: mostly it stands still already. */
bool traced_may_go_unwaited(const struct restorer_thread *thread);

/* Tries whether syscall user dispatch can be set, which is done last of all, when there is no way back. */
int traced_try_user_dispatch(const struct restorer_thread *thread);

/* Once only: a thread that makes a call of ours must not catch it. */
int traced_set_user_dispatch(struct restorer_thread *thread);

/*
 * What the thread could not load itself. Rights by which it would not reach memory of ours stay open meanwhile, for a
 * call of ours needs that, and are its own once traced_close_memory() was called; once only.
 */
int traced_set_extended_registers(const struct restorer_thread *thread);
int traced_close_memory(struct restorer_thread *thread);

/* Its own registers, which begin or end a call that was waiting. */
int traced_set_registers(struct restorer_thread *thread);

/* The signal mask and the registers: what is left before it is let go. */
int traced_make_final(struct restorer_thread *thread);
