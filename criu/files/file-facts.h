/*
 * Large descriptor tables: what the kernel keeps for each file (kernel/bpf-files.h) is believed where files of our own,
 * about which everything is known, are shown as they are. It spares borrowing what has no inode of its own (anonymous
 * inodes, pipes) and asking the others one by one. Only for criu/files/.
 */
#pragma once

#include <stdbool.h>

#include "files/file-kind.h"
#include "kernel/bpf-files.h"

/* Fewer descriptors are asked one by one in less time. */
#define FILE_FACTS_FROM 256

struct file_facts;

/* Makes them ready, which takes a while, in a thread if that is wanted. NULL where they cannot be had. */
struct file_facts *file_facts_start(bool in_thread);
void file_facts_free(struct file_facts *facts);

/* When the task stands still: the thread, if there is one, lists its files. */
void file_facts_list_ahead(struct file_facts *facts, const struct task *task);

/* Waits until they are ready; false where they cannot be had. */
bool file_facts_are_ready(struct file_facts *facts);

/* What is open in a task; ascending by fd; lives as long as facts. 0 or -errno. */
int file_facts_list(struct file_facts *facts, const struct task *task, const struct bpf_file **ret_files,
		    size_t *ret_count);

/* What is open in this process, where they are ready; malloc()ed. 0 or -errno. */
int file_facts_list_own(const struct file_facts *facts, struct bpf_file **ret_files, size_t *ret_count);

/*
 * Fills in st and mnt_id of a file that has no inode of its own worth asking for. False: it has to be borrowed and
 * asked.
 */
bool file_facts_fill(const struct file_facts *facts, const struct bpf_file *from, struct open_file *file);

bool file_facts_is_eventfd(const struct file_facts *facts, const struct bpf_file *from);

/* Whether what is told of epolls that watch files is true: it is tried when first asked for. */
bool file_facts_know_watchers(struct file_facts *facts);
