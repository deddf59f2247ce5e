/*
 * PTRACE_SEIZE waits while the process executes a program. A thread that executes one waits in turn for the ends of all
 * others, which for those that are traced already come when their tracer collects them: who seizes the threads of a
 * process one by one could wait for ever, unkillable but by SIGKILL. So while several are seized another thread of ours
 * looks whether that takes long, and then collects.
 */
#include "internal.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define LONG_MS 20

static void collect_ended_threads(pid_t pid)
{
	struct dirent *entry;
	char path[32];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);
		struct stop stop;
		bool stopped;

		/* Those that are not ours are said to be gone; the leader's end is not there before all others'. */
		if (tid > 0 && tid != pid)
			(void)poll_stop(tid, &stopped, &stop);
	}
	if (dir)
		(void)closedir(dir);
}

static void *watch(void *arg)
{
	struct exec_watch *w = arg;
	unsigned int seen = 0, progress;
	struct timespec until;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->ended) {
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LONG_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&w->changed, &w->lock, &until) != ETIMEDOUT)
			continue;
		progress = __atomic_load_n(&w->progress, __ATOMIC_RELAXED);
		if (progress == seen && !w->ended)
			collect_ended_threads(w->pid);
		seen = progress;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

void exec_watch_start(struct exec_watch *w, pid_t pid)
{
	sigset_t all, before;

	if (w->running)
		return;
	w->pid = pid;
	w->ended = false;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->changed, NULL);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	w->running = pthread_create(&w->thread, NULL, watch, w) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void exec_watch_end(struct exec_watch *w)
{
	if (!w->running)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->ended = true;
	(void)pthread_cond_signal(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	w->running = false;
}
