/*
 * The list of what System V semaphores get back when a thread ends (struct sem_undo_list): read from the kernel's own
 * structures, see kernel-memory.h. How many semaphores a set has is in the table of all sets, /proc/sysvipc/sem.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/kernel-memory.h"

struct semaphore_adjustment {
	int32_t set;
	uint32_t semaphore;
	int16_t value; /* 0: there is none */
};

bool semaphore_table_has_sets(const char *table);

/* Where the list of a thread (struct task_struct) is, 0: it has none. */
int semaphore_list_of_thread(struct kernel_memory *km, uint64_t thread, uint64_t *ret_list);

/* The first adjustment of a list that changes anything; *ret is zero before. */
int semaphore_list_look(struct kernel_memory *km, uint64_t list, const char *table, struct semaphore_adjustment *ret);
