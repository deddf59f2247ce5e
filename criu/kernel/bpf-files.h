/*
 * The open files of a process by a BPF iterator: which descriptors stand for one open file, at a fifth of a microsecond
 * each where kcmp(2) takes one for every comparison. Starting it costs milliseconds. Needs CAP_BPF, CAP_PERFMON and the
 * kernel's type information (CONFIG_DEBUG_INFO_BTF), Linux 6.1: there is always another way.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bpf_file {
	uint64_t fd;
	uint64_t id; /* equal for one open file, as long as it stays open; means nothing else */
};

/* Loads the program: a descriptor of it, or -errno. */
int bpf_files_open(void);

/* All descriptors of a process, ascending; malloc()ed. */
int bpf_files_list(int program_fd, int pidfd, struct bpf_file **ret, size_t *ret_count);
