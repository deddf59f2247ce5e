/*
 * The open files of a process as the kernel keeps them, by a BPF iterator: half a microsecond each, where borrowing a
 * descriptor and asking it takes five, and kcmp(2) one for every comparison. Starting it costs a millisecond. Needs
 * CAP_BPF, CAP_PERFMON and the kernel's type information (CONFIG_DEBUG_INFO_BTF), Linux 6.1: there is always another
 * way. Addresses of the kernel's objects are there to be compared while they are in use.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of the epolls that watch a file so many are told. */
#define BPF_FILE_WATCHERS 3

struct bpf_watcher {
	uint64_t epoll;  /* its private data; 0: there are no more */
	uint64_t number; /* of the descriptor that was added to it */
};

struct bpf_file {
	uint64_t fd;
	uint64_t close_on_exec; /* its bit of the word, BPF_FILE_CLOSES() */
	uint64_t id;            /* equal for one open file, as long as it stays open; means nothing else */
	uint64_t flags;
	uint64_t position;
	uint64_t owner;        /* 0: nobody gets its signals */
	uint64_t operations;   /* equal for files of one kind */
	uint64_t private_data; /* equal for what is one object to their kind */
	uint64_t mount, entry; /* equal for files opened by one path */
	uint64_t inode, inode_number, mode, uid, gid, links, superblock;
	uint64_t mode_bits, readahead_pages; /* see file-advice.h */
	uint64_t told_error, last_error;     /* see file-write-error.h */
	uint64_t locks;                      /* 0: its inode has neither locks nor leases */
	uint64_t pipe_head, pipe_tail;       /* equal for an empty pipe; of other files: garbage */
	uint64_t pipe_slots;                 /* pages it may have */
	uint64_t event_count, event_flags;   /* what an eventfd has; of other files: garbage */
	struct bpf_watcher watchers[BPF_FILE_WATCHERS];
};

#define BPF_FILE_CLOSES(file) ((file)->close_on_exec >> (file)->fd % 64 & 1)

/* Loads the program: a descriptor of it, or -errno. */
int bpf_files_open(void);

/* All descriptors of a thread, ascending; malloc()ed. */
int bpf_files_list(int program_fd, pid_t tid, struct bpf_file **ret, size_t *ret_count);
