/* Targets, cycles, snapshots and the loop over all tests: test_compel [NAME...] */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOT_BYTES 8192

/* The blob: writes its thread id, says that it is done, sleeps. rdi is its slot. */
asm(".pushsection .rodata\n"
    "blob_start:\n"
    "	mov $186, %eax\n" /* gettid */
    "	syscall\n"
    "	mov %eax, 4(%rdi)\n"
    "	movl $1, (%rdi)\n"
    "1:	mov $34, %eax\n" /* pause */
    "	syscall\n"
    "	jmp 1b\n"
    "blob_end:\n"
    ".popsection\n");
extern const char blob_start[], blob_end[];

uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* --- targets ------------------------------------------------------------------------------------------------------ */

struct target target_start(target_function *function, int ready_threads)
{
	struct target target;
	uint64_t deadline = now_ns() + PATIENCE_NS;

	target.shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (target.shared == MAP_FAILED || pipe(target.shared->pipe_fds) < 0) {
		perror("target");
		exit(1);
	}
	(void)fflush(NULL);
	target.pid = fork();
	if (target.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		function(target.shared);
		_exit(0);
	}
	while (target.shared->ready < ready_threads) {
		sleep_ms(1);
		if (now_ns() > deadline) {
			printf("target has only %d of %d threads: %s\n", target.shared->ready, ready_threads,
			       (const char *)target.shared->failure);
			exit(1);
		}
	}
	return target;
}

void target_kill(struct target *target)
{
	(void)kill(target->pid, SIGKILL);
	while (waitpid(target->pid, NULL, __WALL) == target->pid || errno == EINTR)
		;
	(void)close(target->shared->pipe_fds[0]);
	(void)close(target->shared->pipe_fds[1]);
	(void)munmap(target->shared, sizeof(*target->shared));
}

void target_fail(struct shared *shared, const char *format, ...)
{
	va_list args;

	if (shared->failure[0])
		return;
	va_start(args, format);
	(void)vsnprintf((char *)shared->failure, sizeof(shared->failure), format, args);
	va_end(args);
}

/* --- cycles ------------------------------------------------------------------------------------------------------- */

static void call_hook(const struct cycle *cycle, enum stage stage, const struct target *target,
		      struct compel_task *task)
{
	if (cycle->hook)
		cycle->hook(stage, target, task, cycle->arg);
}

static int freeze(struct compel_task *task, struct cycle *cycle, struct compel_error *err)
{
	uint64_t deadline = now_ns() + PATIENCE_NS;
	size_t new_threads;
	int r;

	cycle->threads = 0;
	do {
		r = compel_seize(task, cycle->seize_flags, &new_threads, err);
		if (r == 0)
			r = compel_wait_stopped(task, deadline, err);
		cycle->threads += new_threads;
	} while (r == 0 && new_threads);
	return r;
}

static int check_pid(struct compel_task *task, struct compel_error *err)
{
	const uint64_t args[6] = { 0 };
	int64_t pid;
	int r = compel_syscall(task, SYS_getpid, args, &pid, err);

	if (r == 0 && pid != task->pid) {
		(void)snprintf(err->text, sizeof(err->text), "getpid says %ld", (long)pid);
		return -EPROTO;
	}
	return r;
}

static int run_blob(const struct target *target, struct compel_task *task, struct cycle *cycle,
		    struct compel_error *err)
{
	struct remote_addr code, data, *done;
	size_t count = task->thread_count;
	int r;

	r = compel_inject(task, blob_start, (size_t)(blob_end - blob_start), count * SLOT_BYTES, &code, &data, err);
	if (r < 0)
		return r;
	call_hook(cycle, STAGE_INJECTED, target, task);
	done = calloc(count, sizeof(*done));
	for (size_t i = 0; r == 0 && i < count; i++) {
		done[i].value = data.value + i * SLOT_BYTES;
		r = compel_start(task, i, code, done[i].value, done[i].value + SLOT_BYTES, err);
	}
	if (r == 0)
		call_hook(cycle, STAGE_STARTED, target, task);
	if (r == 0)
		r = compel_finish(task, done, count, now_ns() + PATIENCE_NS, err);
	if (r == 0)
		call_hook(cycle, STAGE_FINISHED, target, task);
	for (size_t i = 0; r == 0 && i < count; i++) {
		uint32_t slot[2] = { 0 };

		r = compel_read(task, done[i], slot, sizeof(slot));
		if (r == 0 && (pid_t)slot[1] != task->threads[i].tid) {
			(void)snprintf(err->text, sizeof(err->text), "thread %d says %u", task->threads[i].tid,
				       slot[1]);
			r = -EPROTO;
		}
	}
	free(done);
	return r;
}

int run_cycle(const struct target *target, struct cycle *cycle, struct compel_error *err)
{
	struct compel_task *task;
	int r, later;

	memset(err, 0, sizeof(*err));
	r = compel_task_new(cycle->journal, target->pid, &task, err);
	if (r < 0)
		return r;
	r = freeze(task, cycle, err);
	if (r == 0)
		call_hook(cycle, STAGE_STOPPED, target, task);
	if (r == 0)
		r = check_pid(task, err);
	if (r == 0)
		r = run_blob(target, task, cycle, err);
	later = compel_cure(task, r ? NULL : err);
	if (r == 0)
		r = later;
	call_hook(cycle, STAGE_CURED, target, task);
	later = compel_detach(task, r ? NULL : err);
	if (r == 0)
		r = later;
	call_hook(cycle, STAGE_DETACHED, target, task);
	compel_task_free(task);
	return r;
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen(path, "re");

	if (f) {
		(void)!fread(text, 1, (1 << 20) - 1, f);
		(void)fclose(f);
	}
	return text;
}

static const char *field(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? at + strlen(name) : "";
}

char thread_state(pid_t pid, pid_t tid)
{
	char path[64], state = 0, *status;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	status = read_file(path);
	(void)sscanf(field(status, "State:"), " %c", &state);
	free(status);
	return state;
}

bool wait_sleeping(pid_t pid)
{
	uint64_t deadline = now_ns() + PATIENCE_NS;

	while (thread_state(pid, pid) != 'S') {
		sleep_ms(1);
		if (now_ns() > deadline)
			return false;
	}
	return true;
}

static void read_vdso_end(pid_t pid, struct snapshot *snapshot)
{
	const char *name = strstr(snapshot->maps, "[vdso]"), *line = name;
	struct iovec local = { snapshot->vdso_end, sizeof(snapshot->vdso_end) }, remote = local;
	unsigned long start, end;

	while (line && line > snapshot->maps && line[-1] != '\n')
		line--;
	if (!line || sscanf(line, "%lx-%lx", &start, &end) != 2)
		return;
	remote.iov_base = (void *)(end - sizeof(snapshot->vdso_end));
	(void)process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

void snapshot_take(pid_t pid, struct snapshot *snapshot)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	memset(snapshot, 0, sizeof(*snapshot));
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	snapshot->maps = read_file(path);
	read_vdso_end(pid, snapshot);
	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char *status;
		size_t i = snapshot->count;

		if (entry->d_name[0] == '.' || i == MAX_THREADS)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%.12s/status", pid, entry->d_name);
		status = read_file(path);
		snapshot->threads[i].tid = atoi(entry->d_name);
		(void)sscanf(field(status, "SigBlk:"), " %19s", snapshot->threads[i].blocked);
		(void)sscanf(field(status, "TracerPid:"), " %ld", &snapshot->threads[i].tracer);
		(void)sscanf(field(status, "State:"), " %c", &snapshot->threads[i].state);
		free(status);
		snapshot->count++;
	}
	if (dir)
		(void)closedir(dir);
}

void snapshot_done(struct snapshot *snapshot)
{
	free(snapshot->maps);
	snapshot->maps = NULL;
}

const char *snapshot_differs(const struct snapshot *before, pid_t pid)
{
	static char text[256];
	const char *what = NULL;
	struct snapshot after;

	snapshot_take(pid, &after);
	if (strcmp(before->maps, after.maps) != 0)
		what = "mappings differ";
	if (memcmp(before->vdso_end, after.vdso_end, sizeof(after.vdso_end)) != 0)
		what = "the end of the vdso differs";
	if (before->count != after.count)
		what = "number of threads differs";
	for (size_t i = 0; !what && i < before->count; i++) {
		if ((!before->threads[i].blocked[0] ||
		     strcmp(before->threads[i].blocked, after.threads[i].blocked) == 0) &&
		    after.threads[i].tracer == 0)
			continue;
		(void)snprintf(text, sizeof(text), "thread %d: mask %s, was %s; tracer %ld", before->threads[i].tid,
			       after.threads[i].blocked, before->threads[i].blocked, after.threads[i].tracer);
		what = text;
	}
	if (what && strcmp(before->maps, after.maps) != 0)
		printf("--- maps before\n%s--- maps after\n%s", before->maps, after.maps);
	snapshot_done(&after);
	return what;
}

/* --- verdicts ----------------------------------------------------------------------------------------------------- */

int test_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("     ");
	(void)vprintf(format, args);
	printf("\n");
	va_end(args);
	return 1;
}

static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(name, argv[i], strlen(argv[i])) == 0)
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	const struct test *const lists[] = { basic_tests, call_tests, signal_tests, odd_tests, rescue_tests };
	int passed = 0, failed = 0, skipped = 0;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
		for (const struct test *test = lists[l]; test->name; test++) {
			int r;

			if (!is_wanted(test->name, argc, argv))
				continue;
			r = test->run();
			passed += r == 0;
			skipped += r == SKIP;
			failed += r != 0 && r != SKIP;
			printf("%s %s\n", r == 0 ? "ok  " : r == SKIP ? "skip" : "FAIL", test->name);
		}
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed != 0;
}
