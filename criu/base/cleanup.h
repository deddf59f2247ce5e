/*
 * Ownership by scope: a variable declared with one of these attributes releases what it holds when it goes out of
 * scope; take_fd() and TAKE_PTR() hand it over. Releasing never changes errno.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		(void)close(*fd);
		errno = saved;
	}
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f) {
		int saved = errno;
		(void)fclose(*f);
		errno = saved;
	}
}

static inline void cleanup_closedir(DIR **d)
{
	if (*d) {
		int saved = errno;
		(void)closedir(*d);
		errno = saved;
	}
}

#define AUTO_CLOSE    __attribute__((cleanup(cleanup_close)))
#define AUTO_FREE     __attribute__((cleanup(cleanup_free)))
#define AUTO_FCLOSE   __attribute__((cleanup(cleanup_fclose)))
#define AUTO_CLOSEDIR __attribute__((cleanup(cleanup_closedir)))

/* Hands the descriptor to the caller; the variable holds nothing afterwards. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define TAKE_PTR(p)                                                                                                    \
	({                                                                                                             \
		typeof(p) taken_ = (p);                                                                                \
		(p) = NULL;                                                                                            \
		taken_;                                                                                                \
	})

/* Closes what *fd holds, if anything, and marks it empty. */
static inline void close_fd(int *fd)
{
	cleanup_close(fd);
	*fd = -1;
}
