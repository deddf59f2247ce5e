/*
 * Runs criu and kills one of its processes, either at the N-th system call that any of them enters (a tracer around
 * criu, which itself traces the target), or at a moment. Another signal than SIGKILL goes to criu's process group, as
 * from a terminal.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct blow {
	long at_call;  /* the N-th system call; 0: none */
	long after_us; /* untraced: kill one of ours, chosen by `choice`, so long after the start; -1: none */
	unsigned int choice;
	int signal;
	bool fails_call; /* instead: the call fails, counting only those that need memory, descriptors, processes or
			    disk */
	const char *said_path; /* what criu says on its standard error; NULL: nobody wants to know */
};

struct outcome {
	long calls; /* system calls entered, when traced */
	long took_us;
	int status;  /* wait status of criu's first process */
	bool struck; /* the blow fell */
	pid_t struck_pid;
	long struck_call;
	char struck_name[32];
	int target_status; /* wait status of the target, should it have ended; else -1 */
	pid_t left;        /* a process of ours that was still there at the end of the wait; 0: none */
	char left_name[32];
};

/* `spared` is the target, which is never traced and never killed, and neither are its children. Waits until all of ours
 * have ended, at most 10 s. */
void drive(const char *const *argv, const struct blow *blow, pid_t spared, struct outcome *ret);

/* Calls act with each process of this pid namespace but the first, `spared` and the children of that. */
void each_process(pid_t spared, void (*act)(void *arg, pid_t pid), void *arg);
void process_name(pid_t pid, char *ret_name, size_t bytes);
