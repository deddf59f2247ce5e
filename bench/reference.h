/*
 * The reference work that results are measured against, done in the same run on the same machine: starting a program,
 * copying a gigabyte into a file, reading it into memory. And the state of free memory, which changes all of them:
 * pages freed a moment ago are warm, those free for seconds may have gone back to the host and are cold.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MIB (1024UL * 1024)
#define GIB (1024 * MIB)

uint64_t bench_now_us(void);

/* Starts the program and waits for it: microseconds, or 0 on failure. */
uint64_t reference_start(const char *empty_program);

/* One thread writes warm memory into a fresh file: microseconds, or 0 on failure. The file is removed. */
uint64_t reference_copy(const char *path, size_t bytes);

/* One thread reads such a file into fresh anonymous memory. */
uint64_t reference_read(const char *path, size_t bytes);

/* Touches and frees this much, so that what is allocated next is warm. */
void make_memory_warm(size_t bytes);

/* Waits until free memory is cold. */
void make_memory_cold(void);

uint64_t median(uint64_t *values, size_t count);
