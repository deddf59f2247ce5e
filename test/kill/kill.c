/*
 * kill [-c CRIU] [-r COUNT] [-s POINTS] [-o OPERATION] [-S SEED] [-n CALL] [-k SIGNAL] [-e] [-l] [-t] [-v]
 *
 * Kills criu's processes in the middle of a dump that leaves the target running, of a dump that kills it, and of a
 * restore: COUNT times at a random moment, and at each system call in turn (POINTS of them; 0 for all). After each the
 * target has to be as if nothing had happened, or the operation carried to its end; and nothing of ours may be left.
 * -k SIGNAL (a number) sends that one to criu's process group instead, as a terminal does: criu has to take everything
 * back and say so, or carry it to its end. -e lets a system call fail that needs memory, descriptors, processes or
 * disk, with what it fails with for lack of those. -n CALL tries that system call alone, COUNT times. -l: the target's
 * first thread has ended; -t: some of its threads have children; -v: a child of it waits in a vfork. Each operation
 * works in a pid and mount namespace of its own. Where that has a kernel.pid_max of its own (Linux 6.14) the restored
 * pid is above it: what a restore raises is lowered again when nothing comes of it.
 */
#include "driver.h"
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { TEXT_BYTES = 512 };

#define PID_MAX_PATH "/proc/sys/kernel/pid_max"
enum { LOW_PID_MAX = 20000, HIGH_PID = 30000 };

enum operation { DUMP_LEAVE_RUNNING, DUMP_KILL, RESTORE, OPERATIONS };

static const char *const operation_names[] = { "dump-leave-running", "dump-kill", "restore" };

struct tally {
	int passed, failed;
};

/* One namespace's work. */
struct arena {
	enum operation operation;
	const char *criu, *target_program;
	int random_count, points;
	bool has_own_pid_max;
	long only_call;
	int signal;
	bool fails_call;
	bool leader_ends, has_children, has_vfork;
	unsigned int seed;
	char dir[128], images[160], set[160], log[160], said[160], watch_path[160], pidfile[160];
	struct watch *watch;
	struct state noted;
	pid_t target;
	struct tally *tally;
	int finished, undone; /* how the killed operations ended */
};

static void fail(struct arena *arena, const struct outcome *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(struct arena *arena, const struct outcome *out, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	arena->tally->failed++;
	if (out && out->struck && out->struck_call >= 0)
		printf("FAIL %s: struck at its system call %ld (number %ld, process %d %s): %s\n",
		       operation_names[arena->operation], out->calls, out->struck_call, out->struck_pid,
		       out->struck_name, text);
	else if (out && out->struck)
		printf("FAIL %s: process %d %s struck at a random moment: %s\n", operation_names[arena->operation],
		       out->struck_pid, out->struck_name, text);
	else
		printf("FAIL %s: undisturbed, %ld calls: %s\n", operation_names[arena->operation], out ? out->calls : 0,
		       text);
	if (out && out->target_status != -1)
		printf("the target's wait status was %#x\n", out->target_status);
	fflush(stdout);
}

static void kill_one(void *arg, pid_t pid)
{
	(void)arg;
	(void)kill(pid, SIGKILL);
}

static void count_one(void *arg, pid_t pid)
{
	(void)pid;
	++*(int *)arg;
}

/* True when no process but this one is left after at most wait_ms. */
static bool wait_nobody(int wait_ms)
{
	int left;

	for (int i = 0;; i++) {
		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
		left = 0;
		each_process(0, count_one, &left);
		if (!left || i >= wait_ms)
			return !left;
		usleep(1000);
	}
}

static void describe_one(void *arg, pid_t pid)
{
	char *text = arg, name[32];
	size_t have = strlen(text);
	char state;
	int tracer;

	process_name(pid, name, sizeof(name));
	state_brief(pid, &state, &tracer);
	snprintf(text + have, TEXT_BYTES - have, " %d (%s), state %c, tracer %d;", pid, name, state, tracer);
}

static void clear_namespace(struct arena *arena)
{
	each_process(0, kill_one, NULL);
	(void)wait_nobody(PATIENCE_MS);
	arena->target = 0;
}

static bool is_target_there(const struct arena *arena)
{
	return arena->target > 0 && kill(arena->target, 0) == 0;
}

static long read_pid_max(void)
{
	FILE *file = fopen(PID_MAX_PATH, "re");
	long max = -1;

	if (file && fscanf(file, "%ld", &max) != 1)
		max = -1;
	if (file)
		fclose(file);
	return max;
}

static bool write_pid_max(long max)
{
	FILE *file = fopen(PID_MAX_PATH, "we");

	if (!file)
		return false;
	fprintf(file, "%ld\n", max);
	return fclose(file) == 0;
}

/* Whether what a pid namespace says is its own affair. */
static bool namespaces_have_own_pid_max(void)
{
	struct clone_args args = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
	long before = read_pid_max();
	bool is_own;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(write_pid_max(before - 1) ? 0 : 1);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		return false;
	is_own = read_pid_max() == before;
	if (!is_own)
		(void)write_pid_max(before);
	return is_own;
}

static void exec_target(const struct arena *arena)
{
	int null = open("/dev/null", O_RDWR);

	if (setsid() < 0 || chdir(arena->dir) < 0 || nice(10) < 0)
		_exit(126);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || close_range(3, ~0U, 0) < 0)
		_exit(126);
	execl(arena->target_program, "target", arena->watch_path,
	      arena->leader_ends    ? "ends"
	      : arena->has_children ? "children"
	      : arena->has_vfork    ? "vfork"
				    : NULL,
	      (char *)NULL);
	_exit(127);
}

static bool is_ticking(const struct watch *watch)
{
	for (int i = 0; i < WATCH_THREADS; i++) {
		if (watch->ticks[i] < 3)
			return false;
	}
	return true;
}

static bool is_complete(const struct arena *arena)
{
	char state;
	int tracer;

	state_brief(arena->target, &state, &tracer);
	return (!arena->leader_ends || state == 'Z') &&
	       (!arena->has_children || arena->watch->children == WATCH_CHILDREN) &&
	       (!arena->has_vfork || (arena->watch->vforked_ticks && arena->watch->beside_ticks));
}

static bool start_target(struct arena *arena)
{
	pid_t wanted = HIGH_PID;
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1 };

	memset(arena->watch, 0, sizeof(*arena->watch));
	arena->target = arena->operation == RESTORE ? (pid_t)syscall(SYS_clone3, &args, sizeof(args)) : fork();
	if (arena->target == 0)
		exec_target(arena);
	for (int i = 0; i < PATIENCE_MS && !(is_ticking(arena->watch) && is_complete(arena)); i++)
		usleep(1000);
	return is_ticking(arena->watch) && state_note(arena->target, &arena->noted) == 0;
}

static void empty_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* The name of some file in it; empty when there is none. */
static void some_file(const char *path, char *ret_name, size_t bytes)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	ret_name[0] = 0;
	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			snprintf(ret_name, bytes, "%.60s", entry->d_name);
	}
	if (dir)
		closedir(dir);
}

static bool is_finished_set(const char *path)
{
	char file[256];

	snprintf(file, sizeof(file), "%s/inventory.img", path);
	return access(file, F_OK) == 0;
}

static void run_criu(struct arena *arena, const struct blow *blow, struct outcome *ret)
{
	char pid[16];
	const char *dump[] = {
		arena->criu, "dump", "-t", pid, "-D", arena->images, "-v4", "-o", arena->log, NULL, NULL
	};
	const char *restore[] = { arena->criu, "restore",  "-d",        "-D",           arena->set, "-v4",
				  "-o",        arena->log, "--pidfile", arena->pidfile, NULL };

	snprintf(pid, sizeof(pid), "%d", arena->target);
	(void)unlink(arena->log);
	if (arena->operation == DUMP_LEAVE_RUNNING)
		dump[9] = "-R";
	if (arena->operation == RESTORE) {
		(void)unlink(arena->pidfile);
		drive(restore, blow, arena->target, ret);
		return;
	}
	empty_directory(arena->images);
	drive(dump, blow, arena->target, ret);
}

static bool is_gone_soon(const struct arena *arena, int wait_ms)
{
	for (int i = 0; i < wait_ms; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!is_target_there(arena))
			return true;
		usleep(1000);
	}
	return false;
}

static bool judge_dump(struct arena *arena, const struct outcome *out)
{
	bool is_finished = is_finished_set(arena->images);
	char text[512];

	some_file(arena->images, text, sizeof(text));
	if (!is_finished && text[0]) {
		fail(arena, out, "%s is left in an unfinished image directory", text);
		return false;
	}
	if (WIFEXITED(out->status) && WEXITSTATUS(out->status) == 0 && !is_finished) {
		fail(arena, out, "success without inventory.img");
		return false;
	}
	if (arena->operation == DUMP_KILL && is_finished) {
		if (is_gone_soon(arena, PATIENCE_MS))
			return true;
		fail(arena, out, "the set is finished and the target still there");
		return false;
	}
	if (state_is_well(arena->target, &arena->noted, arena->watch, PATIENCE_MS, text, sizeof(text)))
		return true;
	fail(arena, out, "%s", text);
	return false;
}

/* The pidfile is there when the tree is, and only then. */
static bool judge_pidfile(struct arena *arena, const struct outcome *out, bool is_wanted)
{
	if ((access(arena->pidfile, F_OK) == 0) == is_wanted)
		return true;
	fail(arena, out, is_wanted ? "the tree is there without its pidfile" : "a pidfile is left");
	return false;
}

static bool judge_restore(struct arena *arena, const struct outcome *out)
{
	bool has_succeeded = WIFEXITED(out->status) && WEXITSTATUS(out->status) == 0;
	char text[512];

	if (!has_succeeded && is_gone_soon(arena, 200))
		return judge_pidfile(arena, out, false);
	for (int i = 0; i < PATIENCE_MS / 1000; i++) {
		if (state_is_well(arena->target, &arena->noted, arena->watch, 900, text, sizeof(text)))
			return judge_pidfile(arena, out, true);
		if (!has_succeeded && is_gone_soon(arena, 100))
			return judge_pidfile(arena, out, false);
	}
	fail(arena, out, "%s, the tree is neither whole nor gone: %s", has_succeeded ? "success" : "failure", text);
	return false;
}

static bool is_in_log(const struct arena *arena, const char *words)
{
	FILE *file = fopen(arena->log, "re");
	bool is_found = false;
	char line[512];

	while (file && !is_found && fgets(line, sizeof(line), file))
		is_found = strstr(line, words) != NULL;
	if (file)
		fclose(file);
	return is_found;
}

/* A signal ends criu where nothing has begun; then it is noted, and after the end of the run it does no harm any more.
 */
static bool judge_signal(struct arena *arena, const struct outcome *out)
{
	if (arena->signal == SIGKILL || !out->struck || (WIFEXITED(out->status) && WEXITSTATUS(out->status) == 0) ||
	    (WIFSIGNALED(out->status) && WTERMSIG(out->status) == arena->signal))
		return true;
	if (WIFEXITED(out->status) && WEXITSTATUS(out->status) == 1 && is_in_log(arena, "interrupted by a signal"))
		return true;
	fail(arena, out, "wait status %#x after signal %d, see %s", out->status, arena->signal, arena->log);
	return false;
}

/* Refused in words, or done without what could not be had. Before there is a log the loader answers for criu. */
static bool judge_failed_call(struct arena *arena, const struct outcome *out)
{
	char said[512] = "";
	FILE *file;

	if (!arena->fails_call || !out->struck || access(arena->log, F_OK) < 0)
		return true;
	if (!WIFEXITED(out->status)) {
		fail(arena, out, "wait status %#x, see %s", out->status, arena->log);
		return false;
	}
	file = fopen(arena->said, "re");
	said[file ? fread(said, 1, sizeof(said) - 1, file) : 0] = 0;
	if (file)
		fclose(file);
	if (WEXITSTATUS(out->status) == 0 || strstr(said, "criu: "))
		return true;
	fail(arena, out, "exit status %d without a sentence: \"%s\"", WEXITSTATUS(out->status), said);
	return false;
}

static bool judge_pid_max(struct arena *arena, const struct outcome *out)
{
	if (!arena->has_own_pid_max || is_target_there(arena) || read_pid_max() == LOW_PID_MAX)
		return true;
	fail(arena, out, "no tree is there, and kernel.pid_max is %ld, not %d", read_pid_max(), LOW_PID_MAX);
	return false;
}

/* In the directory where the target works: files without a name are made there under one for a moment. */
static bool judge_directory(struct arena *arena, const struct outcome *out)
{
	static const char *const known[] = { ".", "..", "images", "set", "criu.log", "said", "watch", "pid" };
	DIR *dir = opendir(arena->dir);
	struct dirent *entry;
	bool is_clean = true;

	while (dir && is_clean && (entry = readdir(dir))) {
		is_clean = false;
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !is_clean; i++)
			is_clean = strcmp(entry->d_name, known[i]) == 0;
		if (!is_clean) {
			fail(arena, out, "%s is left where the target works", entry->d_name);
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
			(void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
		}
	}
	if (dir)
		closedir(dir);
	return is_clean;
}

static bool judge(struct arena *arena, const struct outcome *out)
{
	if (out->left) {
		fail(arena, out, "process %d (%s) is still there after 10 s", out->left, out->left_name);
		return false;
	}
	if (!judge_signal(arena, out) || !judge_failed_call(arena, out) || !judge_directory(arena, out))
		return false;
	if (arena->operation != RESTORE)
		return judge_dump(arena, out);
	return judge_restore(arena, out) && judge_pid_max(arena, out);
}

/* The state in which a blow may fall: the target running, or (restore) its process id free. */
static bool get_ready(struct arena *arena)
{
	if (arena->operation != RESTORE)
		return is_target_there(arena) || (wait_nobody(PATIENCE_MS) && start_target(arena));
	if (is_target_there(arena))
		(void)kill(arena->target, SIGKILL);
	return wait_nobody(PATIENCE_MS) && (!arena->has_own_pid_max || write_pid_max(LOW_PID_MAX));
}

static bool try_blow(struct arena *arena, const struct blow *blow, struct outcome *ret)
{
	struct blow aimed = *blow;

	aimed.signal = arena->signal;
	aimed.fails_call = arena->fails_call;
	aimed.said_path = arena->said;
	if (!get_ready(arena)) {
		char text[TEXT_BYTES] = "";

		each_process(0, describe_one, text);
		fail(arena, NULL, "cannot get the target ready:%s", text[0] ? text : " it does not start");
		clear_namespace(arena);
		return false;
	}
	run_criu(arena, &aimed, ret);
	if (judge(arena, ret)) {
		bool is_finished =
		    arena->operation == RESTORE ? is_target_there(arena) : is_finished_set(arena->images);

		arena->finished += ret->struck && is_finished;
		arena->undone += ret->struck && !is_finished;
		return true;
	}
	if (arena->operation == RESTORE) {
		pid_t target = arena->target;

		clear_namespace(arena);
		arena->target = target;
	} else {
		clear_namespace(arena);
	}
	return false;
}

/* A finished set for the restores. */
static bool make_set(struct arena *arena)
{
	struct blow none = { .at_call = -1, .after_us = -1 };
	struct outcome out;

	if (!start_target(arena)) {
		fail(arena, NULL, "the target does not start");
		return false;
	}
	arena->operation = DUMP_KILL;
	memcpy(arena->images, arena->set, sizeof(arena->images));
	run_criu(arena, &none, &out);
	arena->operation = RESTORE;
	if (out.status == 0 && is_gone_soon(arena, PATIENCE_MS))
		return true;
	fail(arena, NULL, "the dump before the restore: status %#x", out.status);
	return false;
}

/* Undisturbed first: it has to work, and says how long it takes and how many system calls it makes. */
static bool measure(struct arena *arena, bool traced, struct outcome *ret)
{
	struct blow none = { .at_call = traced ? 0 : -1, .after_us = -1 };

	if (!try_blow(arena, &none, ret))
		return false;
	if (ret->status != 0) {
		fail(arena, NULL, "undisturbed: wait status %#x, see %s", ret->status, arena->log);
		return false;
	}
	arena->tally->passed++;
	return true;
}

static void kill_at_random(struct arena *arena)
{
	struct outcome out;
	long took_us;

	if (!arena->random_count || arena->fails_call || arena->only_call || !measure(arena, false, &out))
		return;
	took_us = out.took_us;
	for (int i = 0; i < arena->random_count; i++) {
		struct blow blow = { .after_us = random() % (took_us * 5 / 4 + 1), .choice = (unsigned int)random() };

		if (try_blow(arena, &blow, &out))
			arena->tally->passed++;
	}
}

static void kill_at_each_call(struct arena *arena)
{
	struct outcome out;
	long calls, step;

	if (arena->points < 0 || !measure(arena, true, &out))
		return;
	calls = out.calls;
	step = arena->points ? (calls + arena->points - 1) / arena->points : 1;
	for (int i = 0; arena->only_call && i < arena->random_count; i++) {
		struct blow blow = { .at_call = arena->only_call, .after_us = -1 };

		if (try_blow(arena, &blow, &out))
			arena->tally->passed++;
	}
	for (long at = arena->only_call ? calls + 1 : 1; at <= calls; at += step > 0 ? step : 1) {
		struct blow blow = { .at_call = at, .after_us = -1 };

		if (try_blow(arena, &blow, &out))
			arena->tally->passed++;
	}
	printf("%s: %ld system calls, every %ld: %d operations killed and undone, %d carried to their end\n",
	       operation_names[arena->operation], calls, step, arena->undone, arena->finished);
}

static void prepare_paths(struct arena *arena)
{
	int fd;

	snprintf(arena->images, sizeof(arena->images), "%s/images", arena->dir);
	snprintf(arena->set, sizeof(arena->set), "%s/set", arena->dir);
	snprintf(arena->log, sizeof(arena->log), "%s/criu.log", arena->dir);
	snprintf(arena->said, sizeof(arena->said), "%s/said", arena->dir);
	snprintf(arena->watch_path, sizeof(arena->watch_path), "%s/watch", arena->dir);
	snprintf(arena->pidfile, sizeof(arena->pidfile), "%s/pid", arena->dir);
	fd = open(arena->watch_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 4096) < 0 || mkdir(arena->images, 0700) < 0 || mkdir(arena->set, 0700) < 0) {
		fail(arena, NULL, "%s: %s", arena->dir, strerror(errno));
		_exit(0);
	}
	arena->watch = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
}

static void work_in_arena(struct arena *arena)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0) {
		fail(arena, NULL, "mount /proc: %s", strerror(errno));
		_exit(0);
	}
	srandom(arena->seed);
	prepare_paths(arena);
	if (arena->operation != RESTORE || make_set(arena)) {
		kill_at_random(arena);
		kill_at_each_call(arena);
	}
	fflush(stdout);
	_exit(0);
}

static void remove_arena(const struct arena *arena)
{
	empty_directory(arena->images);
	empty_directory(arena->set);
	(void)rmdir(arena->images);
	(void)rmdir(arena->set);
	empty_directory(arena->dir);
	(void)rmdir(arena->dir);
}

static void run_arena(struct arena *arena)
{
	struct clone_args args = { .flags = CLONE_NEWPID | CLONE_NEWNS, .exit_signal = SIGCHLD };
	int failed_before = arena->tally->failed, status = 0;
	pid_t pid;

	snprintf(arena->dir, sizeof(arena->dir), "/tmp/kill.%s.XXXXXX", operation_names[arena->operation]);
	if (!mkdtemp(arena->dir)) {
		perror(arena->dir);
		exit(2);
	}
	fflush(stdout);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		work_in_arena(arena);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		fail(arena, NULL, "the namespace ended with wait status %#x", status);
	snprintf(arena->images, sizeof(arena->images), "%s/images", arena->dir);
	snprintf(arena->set, sizeof(arena->set), "%s/set", arena->dir);
	if (arena->tally->failed == failed_before)
		remove_arena(arena);
}

int main(int argc, char **argv)
{
	static struct arena arena;
	char criu[PATH_MAX] = "", self[PATH_MAX] = "", target[PATH_MAX];
	const char *only = NULL;
	int option, random_count = 40, points = 60;
	unsigned int seed = 1;

	while ((option = getopt(argc, argv, "c:r:s:o:S:n:k:eltv")) != -1) {
		switch (option) {
		case 'c':
			if (!realpath(optarg, criu))
				perror(optarg);
			break;
		case 'r':
			random_count = atoi(optarg);
			break;
		case 's':
			points = atoi(optarg);
			break;
		case 'n':
			arena.only_call = atol(optarg);
			break;
		case 'e':
			arena.fails_call = true;
			break;
		case 'l':
			arena.leader_ends = true;
			break;
		case 't':
			arena.has_children = true;
			break;
		case 'v':
			arena.has_vfork = true;
			break;
		case 'k':
			arena.signal = atoi(optarg);
			break;
		case 'o':
			only = optarg;
			break;
		case 'S':
			seed = (unsigned int)atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (!realpath("/proc/self/exe", self))
		return 2;
	snprintf(target, sizeof(target), "%.4000s/target", dirname(self));
	arena.criu = criu;
	arena.target_program = target;
	arena.random_count = random_count;
	arena.points = points;
	arena.seed = seed;
	if (!arena.signal)
		arena.signal = SIGKILL;
	arena.has_own_pid_max = namespaces_have_own_pid_max();
	arena.tally = mmap(NULL, sizeof(*arena.tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (arena.tally == MAP_FAILED)
		return 2;
	for (int i = 0; i < OPERATIONS; i++) {
		if (only && strcmp(only, operation_names[i]) != 0)
			continue;
		arena.operation = (enum operation)i;
		run_arena(&arena);
	}
	printf("%d passed, %d failed, 0 skipped\n", arena.tally->passed, arena.tally->failed);
	return arena.tally->failed ? 1 : 0;
}
