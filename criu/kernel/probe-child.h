/*
 * Children for probes that change what cannot be changed back (namespaces, filters, mappings of the vdso), and tracees
 * for probes of ptrace(2). A child dies with its parent and is always reaped here; it raises no SIGCHLD when it ends.
 */
#pragma once

#include <sys/types.h>

/* Runs the function in a child and returns its answer: 1, 0 or -errno; -ECHILD when the child died of a signal. */
int probe_in_child(int (*probe)(void));

/* The same with new namespaces for the child, made beforehand: CLONE_NEWNS has private propagation. */
int probe_in_namespaces(int clone_flags, int (*probe)(void));

/*
 * Runs prepare (may be NULL) in a child, seizes it with these ptrace options, stops it and hands its pid to the probe.
 * A negative result of prepare or of the attachment is the answer.
 */
int probe_tracee(int (*prepare)(void), long ptrace_options, int (*probe)(pid_t tid));

/* Like probe_tracee(), but the child goes on with loop after it was stopped and continued. */
int probe_running_tracee(void (*loop)(void), int (*probe)(pid_t tid));

/* 1 for success, 0 for an errno that says the interface is not there, else -errno. */
int probe_answer(long result);
