/*
 * What posix_fadvise(2) has told of an open file. No interface gives it back: the kernel's structure does (f_mode,
 * f_ra). Which bits it uses there, and which size of what is read ahead is the ordinary one, is learnt from a file of
 * ours.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct kernel_memory;

/* What the structure of a file has of it. */
struct file_advice_words {
	uint32_t mode;
	uint32_t readahead_pages;
};

/* How advice is shown in files of one filesystem. */
struct file_advice_key {
	uint32_t random, noreuse;  /* bits of mode; 0: no such advice */
	uint32_t sequential_pages; /* 0: no such advice */
};

/* Advice of a file, as images have it. */
enum {
	FILE_ADVICE_RANDOM = 1,
	FILE_ADVICE_SEQUENTIAL = 2,
	FILE_ADVICE_NOREUSE = 4,
};

/*
 * Of a file at an address (see kernel_memory_file()); of one that is on an overlay that of the file behind it. 0 or
 * -errno.
 */
int file_advice_read(struct kernel_memory *km, uint64_t file, bool is_on_overlay, struct file_advice_words *ret);

/* Descriptions of ours of one inode, each with another advice. */
#define FILE_ADVICE_SPECIMENS 4

/* Of the number-th, which was just opened: 0 or -errno. */
int file_advice_make_specimen(int fd, int number);

/* From what the kernel shows of all of them: 0 or -errno. */
int file_advice_learn(const struct file_advice_words specimens[FILE_ADVICE_SPECIMENS], struct file_advice_key *ret);

/* FILE_ADVICE_ bits. */
uint32_t file_advice_of(const struct file_advice_words *words, const struct file_advice_key *key);

/* 0 or -errno. */
int file_advice_give(int fd, uint32_t advice);
