/* Directories are read with getdents64(2) into one large buffer, some thousand entries a call. */
#include "kernel/proc-list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/proc-parse.h"

struct number_list {
	int *numbers;
	size_t count;
	size_t capacity;
};

static void number_list_done(struct number_list *list)
{
	free(list->numbers);
}

#define AUTO_NUMBER_LIST __attribute__((cleanup(number_list_done)))

static int number_list_add(struct number_list *list, int number)
{
	int r = array_reserve(&list->numbers, &list->capacity, list->count, sizeof(*list->numbers));

	if (r < 0)
		return r;
	list->numbers[list->count++] = number;
	return 0;
}

static int add_name(const char *name, struct number_list *list)
{
	uint64_t number;

	if (scan_u64(&name, 10, &number) < 0 || *name)
		return 0;
	return number_list_add(list, (int)number);
}

static int add_entries(const char *entries, size_t bytes, struct number_list *list)
{
	size_t at = 0;

	while (at < bytes) {
		const struct dirent64 *entry = (const void *)(entries + at);

		if (entry->d_name[0] != '.') {
			int r = add_name(entry->d_name, list);

			if (r < 0)
				return r;
		}
		at += entry->d_reclen;
	}
	return 0;
}

/* The names that are numbers. */
static int list_numbers(int dirfd, const char *path, struct number_list *list)
{
	AUTO_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char entries[32768];

	if (fd < 0)
		return -errno;
	for (;;) {
		long n = syscall(SYS_getdents64, fd, entries, sizeof(entries));
		int r;

		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		r = add_entries(entries, (size_t)n, list);
		if (r < 0)
			return r;
		/* procfs fills the buffer as long as there are names. */
		if ((size_t)n < sizeof(entries) / 2)
			return 0;
	}
}

static void number_list_take(struct number_list *list, int **ret, size_t *ret_count)
{
	*ret = TAKE_PTR(list->numbers);
	*ret_count = list->count;
}

int proc_list_threads(int procfd, pid_t **ret, size_t *ret_count)
{
	AUTO_NUMBER_LIST struct number_list list = { 0 };
	int r = list_numbers(procfd, "task", &list);

	if (r < 0)
		return r;
	number_list_take(&list, ret, ret_count);
	return 0;
}

#define LINKS_OF_A_DIRECTORY 2

size_t proc_count_all(void)
{
	struct stat st;

	return stat("/proc", &st) == 0 && st.st_nlink > LINKS_OF_A_DIRECTORY ? st.st_nlink - LINKS_OF_A_DIRECTORY : 0;
}

bool proc_has_one_thread(int procfd)
{
	struct stat st;

	return fstatat(procfd, "task", &st, 0) == 0 && st.st_nlink == LINKS_OF_A_DIRECTORY + 1;
}

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static bool is_sorted(const struct number_list *list)
{
	size_t i;

	for (i = 1; i < list->count; i++)
		if (list->numbers[i - 1] > list->numbers[i])
			return false;
	return true;
}

int proc_list_fds(int procfd, int **ret, size_t *ret_count)
{
	AUTO_NUMBER_LIST struct number_list list = { 0 };
	int r = list_numbers(procfd, "fd", &list);

	if (r < 0)
		return r;
	/* The kernel lists descriptors and pids in order; a recorded directory does not. */
	if (!is_sorted(&list))
		qsort(list.numbers, list.count, sizeof(*list.numbers), compare_ints);
	number_list_take(&list, ret, ret_count);
	return 0;
}

static int add_children(const char *text, struct number_list *list)
{
	for (;;) {
		int pid, r;

		skip_blanks(&text);
		if (*text == '\0' || *text == '\n')
			return 0;
		r = scan_int(&text, &pid);
		if (r < 0)
			return r;
		r = number_list_add(list, pid);
		if (r < 0)
			return r;
	}
}

static int read_children(int procfd, pid_t tid, struct buffer *text, struct number_list *list)
{
	char path[48];
	int r;

	(void)snprintf(path, sizeof(path), "task/%d/children", tid);
	r = buffer_read_proc(text, procfd, path);
	if (r < 0)
		return r;
	return add_children(text->data, list);
}

/* A kernel without children files differs from a thread that has ended: the thread's directory is still there. */
static bool is_thread_gone(int procfd, pid_t tid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "task/%d", tid);
	return faccessat(procfd, path, F_OK, 0) < 0;
}

int proc_list_children(int procfd, const pid_t *tids, size_t tid_count, pid_t **ret, size_t *ret_count)
{
	AUTO_NUMBER_LIST struct number_list list = { 0 };
	AUTO_BUFFER struct buffer text = { 0 };
	size_t i;

	for (i = 0; i < tid_count; i++) {
		int r = read_children(procfd, tids[i], &text, &list);

		if ((r == -ENOENT || r == -ESRCH) && is_thread_gone(procfd, tids[i]))
			continue;
		if (r < 0)
			return r;
	}
	number_list_take(&list, ret, ret_count);
	return 0;
}
