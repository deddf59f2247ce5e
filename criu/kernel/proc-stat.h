/*
 * /proc/PID/stat and /proc/PID/task/TID/stat: one line of space separated fields, the second of which is the comm in
 * parentheses and may itself contain spaces and parentheses. Address fields are 0 and wrong without PTRACE_MODE_READ.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	pid_t pid;
	char comm[64];
	char state; /* R S D T t Z X I ... */
	pid_t ppid, pgid, sid;
	int tty_nr;     /* old-style device number, 0: no controlling terminal */
	int tty_pgrp;   /* foreground group, -1: none */
	uint32_t flags; /* PF_xx of the kernel */
	uint64_t user_ticks, system_ticks;
	int priority, nice;
	int thread_count;
	uint64_t start_time_ticks; /* since boot, USER_HZ; in the reader's time namespace */
	uint64_t vm_size_bytes, rss_pages;
	uint64_t start_code, end_code, start_stack;
	uint64_t start_data, end_data, start_brk, arg_start, arg_end, env_start, env_end;
	int exit_signal, processor, rt_priority;
	unsigned policy;
	int exit_code; /* wait status word of a zombie */
};

int proc_stat_parse(const char *text, struct proc_stat *ret);

/* path is "stat" or "task/TID/stat". */
int proc_stat_read(int procfd, const char *path, struct proc_stat *ret);
