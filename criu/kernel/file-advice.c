#include "kernel/file-advice.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "base/util.h"
#include "kernel/kernel-memory.h"

int file_advice_read(struct kernel_memory *km, uint64_t file, bool is_on_overlay, struct file_advice_words *ret)
{
	const int readahead = kernel_memory_offset(km, "file", "f_ra");
	const int pages = kernel_memory_offset(km, "file_ra_state", "ra_pages");
	uint64_t behind;
	int r = readahead < 0 || pages < 0 ? -EOPNOTSUPP : 0;

	if (r == 0 && is_on_overlay) {
		r = KERNEL_MEMBER(km, file, "file", "private_data", &behind);
		if (r == 0)
			r = KERNEL_MEMBER(km, behind, "ovl_file", "realfile", &file);
	}
	if (r == 0)
		r = KERNEL_MEMBER(km, file, "file", "f_mode", &ret->mode);
	if (r == 0)
		r = kernel_memory_read(km, file + (uint64_t)readahead + (uint64_t)pages, &ret->readahead_pages,
				       sizeof(ret->readahead_pages));
	return r;
}

enum specimen { PLAIN, RANDOM, NOREUSE, SEQUENTIAL };

int file_advice_make_specimen(int fd, int number)
{
	static const int advice[FILE_ADVICE_SPECIMENS] = {
		[PLAIN] = POSIX_FADV_NORMAL,
		[RANDOM] = POSIX_FADV_RANDOM,
		[NOREUSE] = POSIX_FADV_NOREUSE,
		[SEQUENTIAL] = POSIX_FADV_SEQUENTIAL,
	};

	return -posix_fadvise(fd, 0, 0, advice[number]);
}

/* One bit, or none, that the advice has set. */
static bool is_flag(uint32_t difference, uint32_t plain)
{
	return !(difference & (difference - 1)) && !(difference & plain);
}

int file_advice_learn(const struct file_advice_words specimens[FILE_ADVICE_SPECIMENS], struct file_advice_key *ret)
{
	const uint32_t plain = specimens[PLAIN].mode;
	const uint32_t random = specimens[RANDOM].mode ^ plain, noreuse = specimens[NOREUSE].mode ^ plain;
	const uint32_t pages = specimens[SEQUENTIAL].readahead_pages;

	if (!is_flag(random, plain) || !is_flag(noreuse, plain) || specimens[SEQUENTIAL].mode != plain)
		return -EOPNOTSUPP;
	*ret = (struct file_advice_key){
		.random = random,
		.noreuse = noreuse,
		.sequential_pages = pages != specimens[PLAIN].readahead_pages ? pages : 0,
	};
	return 0;
}

uint32_t file_advice_of(const struct file_advice_words *words, const struct file_advice_key *key)
{
	return (words->mode & key->random ? FILE_ADVICE_RANDOM : 0u) |
	       (words->mode & key->noreuse ? FILE_ADVICE_NOREUSE : 0u) |
	       (key->sequential_pages && words->readahead_pages == key->sequential_pages ? FILE_ADVICE_SEQUENTIAL : 0u);
}

/* The second would take the first away the other way round. */
int file_advice_give(int fd, uint32_t advice)
{
	static const struct {
		uint32_t bit;
		int advice;
	} order[] = {
		{ FILE_ADVICE_SEQUENTIAL, POSIX_FADV_SEQUENTIAL },
		{ FILE_ADVICE_RANDOM, POSIX_FADV_RANDOM },
		{ FILE_ADVICE_NOREUSE, POSIX_FADV_NOREUSE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		int r = advice & order[i].bit ? posix_fadvise(fd, 0, 0, order[i].advice) : 0;

		if (r)
			return -r;
	}
	return 0;
}
