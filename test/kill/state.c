/* What others see of the target, from /proc; see the header. */
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void append(struct state *state, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(struct state *state, const char *format, ...)
{
	size_t have = strlen(state->text);
	va_list args;

	va_start(args, format);
	vsnprintf(state->text + have, sizeof(state->text) - have, format, args);
	va_end(args);
}

static int compare_numbers(const struct dirent **a, const struct dirent **b)
{
	return atoi((*a)->d_name) - atoi((*b)->d_name);
}

static int is_number(const struct dirent *entry)
{
	return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

static const char *read_children(pid_t pid, const char *tid, char *ret_text, size_t bytes)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", pid, tid);
	file = fopen(path, "re");
	if (!file || !fgets(ret_text, (int)bytes, file))
		ret_text[0] = 0;
	if (file)
		fclose(file);
	return ret_text;
}

static int note_thread(struct state *state, pid_t pid, const char *tid)
{
	static const char *const keys[] = { "SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd", "CapEff", "Seccomp" };
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	append(state, "thread %s\n", tid);
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, "State:\tZ", 8) == 0)
			append(state, "has ended\n");
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				append(state, "%s", line);
		}
	}
	fclose(file);
	snprintf(path, sizeof(path), "/proc/%.20s/timerslack_ns", tid);
	file = fopen(path, "re");
	if (file && fgets(line, sizeof(line), file))
		append(state, "slack %s", line);
	if (file)
		fclose(file);
	append(state, "children %s\n", read_children(pid, tid, line, sizeof(line)));
	return 0;
}

static int note_text(struct state *state, pid_t pid, const char *name)
{
	char path[64], line[512];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file))
		append(state, "%s", line);
	fclose(file);
	return 0;
}

static void note_link(struct state *state, pid_t pid, const char *fd)
{
	char path[64], target[256], *bracket, *ghost, *suffix;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", pid, fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = 0;
	bracket = strncmp(target, "pipe:", 5) == 0 ? strchr(target, '[') : NULL;
	if (bracket) /* a restored pipe has a new number */
		*bracket = 0;
	ghost = strstr(target, ".cr."); /* as a restored file without a name was made under another one */
	suffix = ghost ? strstr(ghost, ".ghost") : NULL;
	if (suffix)
		memmove(ghost, suffix + 6, strlen(suffix + 6) + 1);
	append(state, "fd %s %s\n", fd, target);
}

/* Every entry of a directory of numbers, in order. */
static int each_number(struct state *state, pid_t pid, const char *name, bool are_threads)
{
	struct dirent **entries;
	char path[64];
	int count, r = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	count = scandir(path, &entries, is_number, compare_numbers);
	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		if (!are_threads)
			note_link(state, pid, entries[i]->d_name);
		else if (r == 0)
			r = note_thread(state, pid, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

/* '?' and 0 of a process that is not there. */
static void read_brief(const char *path, char *ret_state, int *ret_tracer)
{
	FILE *file = fopen(path, "re");
	char line[256];

	*ret_state = '?';
	*ret_tracer = 0;
	while (file && fgets(line, sizeof(line), file)) {
		(void)sscanf(line, "State: %c", ret_state);
		(void)sscanf(line, "TracerPid: %d", ret_tracer);
	}
	if (file)
		fclose(file);
}

void state_brief(pid_t pid, char *ret_state, int *ret_tracer)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	read_brief(path, ret_state, ret_tracer);
}

/* The files of a first thread that has ended are empty: those of the last one are the same. */
static pid_t find_reader(pid_t pid)
{
	struct dirent **entries;
	char path[64], state;
	int count, tracer;
	pid_t reader = pid;

	state_brief(pid, &state, &tracer);
	if (state != 'Z')
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	count = scandir(path, &entries, is_number, compare_numbers);
	for (int i = 0; i < count; i++) {
		reader = atoi(entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return reader;
}

int state_note(pid_t pid, struct state *ret_state)
{
	const pid_t reader = find_reader(pid);
	int r;

	ret_state->text[0] = 0;
	r = each_number(ret_state, pid, "task", true);
	if (r == 0)
		r = note_text(ret_state, reader, "maps");
	if (r == 0)
		r = note_text(ret_state, reader, "limits");
	if (r == 0)
		r = each_number(ret_state, reader, "fd", false);
	return r;
}

static void find_disturbed_children(pid_t pid, const char *tid, char *ret_why, size_t bytes)
{
	char text[256], number[16], *end, state;
	int tracer;

	for (const char *at = read_children(pid, tid, text, sizeof(text)); *at; at = end + (*end == ' ')) {
		pid_t child = (pid_t)strtol(at, &end, 10);

		if (end == at)
			return;
		state_brief(child, &state, &tracer);
		if (tracer || !strchr("RSD", state))
			snprintf(ret_why, bytes, "child %d has state %c and tracer %d", child, state, tracer);
		(void)snprintf(number, sizeof(number), "%d", child);
		find_disturbed_children(child, number, ret_why, bytes);
	}
}

/* The first thread that is traced or stopped, in words; empty when there is none. */
static void find_disturbed(pid_t pid, char *ret_why, size_t bytes)
{
	struct dirent **entries;
	char path[64];
	int count;

	ret_why[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	count = scandir(path, &entries, is_number, compare_numbers);
	if (count < 0) {
		snprintf(ret_why, bytes, "the target is gone");
		return;
	}
	for (int i = 0; i < count; i++) {
		char state;
		int tracer;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", pid, entries[i]->d_name);
		read_brief(path, &state, &tracer);
		/* Whether the first one is to have ended has been noted. */
		if (tracer || !strchr(atoi(entries[i]->d_name) == pid ? "RSDZ" : "RSD", state))
			snprintf(ret_why, bytes, "thread %.20s has state %c and tracer %d", entries[i]->d_name, state,
				 tracer);
		find_disturbed_children(pid, entries[i]->d_name, ret_why, bytes);
		free(entries[i]);
	}
	free(entries);
}

static void find_difference(pid_t pid, const struct state *noted, char *ret_why, size_t bytes)
{
	static struct state now;
	const char *a = noted->text, *b = now.text;

	if (state_note(pid, &now) < 0) {
		snprintf(ret_why, bytes, "the target is gone");
		return;
	}
	while (*a && *b && strncmp(a, b, strcspn(a, "\n") + 1) == 0) {
		a += strcspn(a, "\n") + 1;
		b += strcspn(b, "\n") + 1;
	}
	if (*a || *b)
		snprintf(ret_why, bytes, "before: \"%.*s\", after: \"%.*s\"", (int)strcspn(a, "\n"), a,
			 (int)strcspn(b, "\n"), b);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void find_idle(struct watch *watch, double end, char *ret_why, size_t bytes)
{
	const uint64_t vforked_before = __atomic_load_n(&watch->vforked_ticks, __ATOMIC_SEQ_CST);
	const uint64_t beside_before = __atomic_load_n(&watch->beside_ticks, __ATOMIC_SEQ_CST);
	uint64_t before[WATCH_THREADS];
	int idle;

	memcpy(before, watch->ticks, sizeof(before));
	do {
		idle = -1;
		for (int i = 0; i < WATCH_THREADS; i++) {
			if (__atomic_load_n(&watch->ticks[i], __ATOMIC_SEQ_CST) == before[i])
				idle = i;
		}
		if (vforked_before && __atomic_load_n(&watch->vforked_ticks, __ATOMIC_SEQ_CST) == vforked_before)
			idle = WATCH_THREADS;
		if (beside_before && __atomic_load_n(&watch->beside_ticks, __ATOMIC_SEQ_CST) == beside_before)
			idle = WATCH_THREADS + 1;
		if (idle < 0)
			return;
		usleep(1000);
	} while (now_s() < end);
	snprintf(ret_why, bytes, "thread number %d does not go on", idle);
}

bool state_is_well(pid_t pid, const struct state *noted, struct watch *watch, int wait_ms, char *ret_why, size_t bytes)
{
	double end = now_s() + wait_ms / 1000.0;

	do {
		find_disturbed(pid, ret_why, bytes);
		if (!ret_why[0])
			find_difference(pid, noted, ret_why, bytes);
		if (ret_why[0])
			usleep(2000);
	} while (ret_why[0] && now_s() < end);
	if (!ret_why[0])
		find_idle(watch, now_s() + PATIENCE_MS / 1000.0, ret_why, bytes);
	if (!ret_why[0] && watch->errors)
		snprintf(ret_why, bytes, "the target found: %s", watch->message);
	return !ret_why[0];
}
