/*
 * BPF iterators: a small program of ours that the kernel runs for each object of a kind, and whose output is read like
 * a file. The instructions are ready to load, without a library. Needs CAP_BPF, CAP_PERFMON and the kernel's type
 * information, Linux 6.1: there is always another way.
 */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "kernel/btf.h"

/* What the program finds at its context: the pointers of every iterator. */
#define BPF_CONTEXT_META   0
#define BPF_CONTEXT_OBJECT 8
#define BPF_META_SEQ       0

/* BPF_PROG_LOAD, again when a signal came in between: a descriptor, or -errno. */
int bpf_load(union bpf_attr *attr);

/* Loads a program for the target "bpf_iter_..."; a descriptor, or -errno. */
int bpf_iterator_load(const struct btf *btf, const char *target, const struct bpf_insn *program, size_t count);

/* Runs it over one process, over all of our pid namespace with pidfd -1; output is replaced by what it wrote. */
int bpf_iterator_run(int program_fd, int pidfd, struct buffer *output);

/* The same over one thread, as our pid namespace numbers it. */
int bpf_iterator_run_thread(int program_fd, pid_t tid, struct buffer *output);

/* The same for who reads it: a descriptor, or -errno. */
int bpf_iterator_open_thread(int program_fd, pid_t tid);
