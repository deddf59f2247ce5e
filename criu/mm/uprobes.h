/*
 * What uprobes, which trace functions of any process from outside, leave in a process: mappings of the kernel's, and
 * trap instructions or calls in copied pages of the text. The probes are not the process's own and may be gone by the
 * restore, where the kernel puts those that are there into the text again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "task/task.h"

struct area;
struct dump;

bool is_uprobes_area(const char *path);

/*
 * Look stage, of a process that has such mappings: refuses when one of its threads cannot do without them, being in
 * there or about to return to there; or one of who waits for the end of its vfork.
 */
int uprobes_look(struct dump *d, const struct task *task, struct error *err);

/* Whether probes can be in its copied pages. */
bool uprobes_can_be_in(const struct area *area);

struct uprobes_text {
	const struct task *task;
	const struct area *area;
	int mem_fd, file_fd;
};

int uprobes_text_open(const struct task *task, const struct area *area, struct uprobes_text *ret);
void uprobes_text_close(struct uprobes_text *text);

/*
 * A copied page of the area as it is without probes: *ret_page is NULL when there are none in it, malloc()ed otherwise;
 * *ret_is_file_page: it is the file's page then. May run for several tasks at once.
 */
int uprobes_clean_page(const struct uprobes_text *text, uint64_t address, char **ret_page, bool *ret_is_file_page);
