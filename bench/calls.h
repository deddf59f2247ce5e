/*
 * Counts the system calls of a command and of everything it starts, by the kernel's own tracepoint: nothing is slowed
 * down or traced. Calls that make, drop or fill mappings are left out: they come with memory, not with what holds it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* dir: an empty directory, for a tracefs that goes away with the mount namespace. False: calls cannot be counted. */
bool calls_prepare(const char *dir);

/* Runs it to its end: true when that was good. */
bool calls_count_command(char **argv, uint64_t *ret_calls);

/* Counts those of a process that is there already: what is injected into it. -1 when that cannot be. */
struct calls_of_threads;
struct calls_of_threads *calls_watch(pid_t pid);
uint64_t calls_watched(struct calls_of_threads *watch);
