/*
 * Measures dumps and restores: the time of the whole command from its start to its end, as a ratio to reference work
 * done in the same run. Each kind of load is started, dumped (and killed by that), restored with -d and killed, several
 * times; with a second program (--peer) both take turns. All of it happens in a pid namespace of its own, with the
 * images in a tmpfs that goes away with it. "each" is what one of many costs above a load that has none: the costs of
 * each thread and of each descriptor are compared over their number, for they must not grow with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>

#include "images/stats.pb-c.h"
#include "calls.h"
#include "reference.h"

enum { MAX_RUNS = 25, MAX_PROGRAMS = 2, READY_FD = 3, STATS_HEADER_BYTES = 12 };

enum unit { UNIT_START, UNIT_COPY_READ, UNIT_OF_OTHER, UNIT_PER_PIECE, UNIT_ABOVE_IDLE };

struct workload {
	const char *name;
	const char *load[4];
	size_t warm_bytes; /* freed just before each command */
	bool cold;
	enum unit unit;
	const char *other; /* for UNIT_OF_OTHER */
	double pieces;     /* for UNIT_PER_PIECE */
	double dump_limit, restore_limit;
};

/* Limits of 0 are not judged. */
static const struct workload workloads[] = {
	{ "idle", { "idle" }, 256 * MIB, false, UNIT_START, NULL, 0, 8, 8 },
	{ "100 tasks", { "tasks", "100" }, 256 * MIB, false, UNIT_START, NULL, 0, 75, 90 },
	{ "500 tasks", { "tasks", "500" }, GIB, false, UNIT_OF_OTHER, "100 tasks", 0, 5.5, 5.5 },
	{ "200 threads, each", { "threads", "200" }, 256 * MIB, false, UNIT_PER_PIECE, NULL, 200, 0.3, 0.3 },
	{ "100 threads, each", { "threads", "100" }, 256 * MIB, false, UNIT_PER_PIECE, NULL, 100, 0, 0 },
	{ "300 threads, each", { "threads", "300" }, 256 * MIB, false, UNIT_PER_PIECE, NULL, 300, 0, 0 },
	{ "1000 threads, each", { "threads", "1000" }, 256 * MIB, false, UNIT_PER_PIECE, NULL, 1000, 0, 0 },
	{ "1000 files, more", { "files", "1000" }, 256 * MIB, false, UNIT_ABOVE_IDLE, NULL, 0, 8, 8 },
	{ "1000 descriptors, each", { "files", "1000" }, 256 * MIB, false, UNIT_PER_PIECE, NULL, 1000, 0, 0 },
	{ "3000 descriptors, each", { "files", "3000" }, 256 * MIB, false, UNIT_PER_PIECE, NULL, 3000, 0, 0 },
	{ "10000 descriptors, each", { "files", "10000" }, 256 * MIB, false, UNIT_PER_PIECE, NULL, 10000, 0, 0 },
#define OF_KIND(number, kind)                                                                                          \
	{                                                                                                              \
#number " " kind ", each", { kind, #number }, 256 * MIB, false, UNIT_PER_PIECE, NULL, number, 0, 0     \
	}
	OF_KIND(1000, "polled"),
	OF_KIND(3000, "polled"),
	OF_KIND(9000, "polled"),
	OF_KIND(1000, "moved"),
	OF_KIND(4000, "moved"),
	OF_KIND(1000, "pipes"),
	OF_KIND(4000, "pipes"),
	OF_KIND(1000, "fifos"),
	OF_KIND(4000, "fifos"),
	OF_KIND(1000, "events"),
	OF_KIND(4000, "events"),
	OF_KIND(1000, "ghosts"),
	OF_KIND(4000, "ghosts"),
	OF_KIND(1000, "ended"),
	OF_KIND(4000, "ended"),
	OF_KIND(1000, "watches"),
	OF_KIND(4000, "watches"),
	OF_KIND(1000, "ranges"),
	OF_KIND(4000, "ranges"),
	OF_KIND(1000, "locks"),
	OF_KIND(4000, "locks"),
	{ "100 x 1000 shared, each",
	  { "shared", "100", "1000" },
	  GIB,
	  false,
	  UNIT_PER_PIECE,
	  "100 tasks",
	  100000,
	  0,
	  0 },
	{ "1 GiB, warm", { "memory", "1024" }, 2 * GIB, false, UNIT_COPY_READ, NULL, 0, 1.1, 0.5 },
	{ "1 GiB, cold", { "memory", "1024" }, 0, true, UNIT_COPY_READ, NULL, 0, 0, 0 },
	{ "64 GiB, 64 MiB used", { "sparse", "64", "64" }, 2 * GIB, false, UNIT_COPY_READ, NULL, 0, 0.15, 0.15 },
};

#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

struct samples {
	uint64_t dump_us[MAX_RUNS], restore_us[MAX_RUNS], frozen_us[MAX_RUNS];
	size_t count;
	bool failed;
	uint64_t dump, restore, frozen; /* medians */
};

struct bench {
	const char *programs[MAX_PROGRAMS];
	size_t program_count;
	const char *load;
	const char *empty;
	const char *only;
	size_t runs;
	char dir[64];
	char images[80];
	bool can_count;
	uint64_t start_us, copy_us, read_us;
	struct samples samples[WORKLOADS][MAX_PROGRAMS];
};

static void fail(const char *what)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* In a namespace of its own this process is the parent of what its parent left, and kills only what is in there. */
static void enter_namespaces(struct bench *b)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
		fail("namespaces (root is needed)");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid > 0) {
		if (waitpid(pid, &status, 0) < 0)
			fail("wait");
		(void)umount2(b->dir, MNT_DETACH);
		(void)rmdir(b->dir);
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
		fail("mount /proc");
	if (mount("bench", b->dir, "tmpfs", 0, "size=16g") < 0)
		fail("mount a tmpfs");
}

static void remove_files(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
}

static void make_empty_images_dir(const struct bench *b)
{
	if (mkdir(b->images, 0700) < 0 && errno != EEXIST)
		fail(b->images);
	remove_files(b->images);
}

/* Kills by pid what is left of a load; all of it is a child of this process or below one. */
static void kill_load(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int pid = atoi(entry->d_name);

		if (pid > 1)
			(void)kill(pid, SIGKILL);
	}
	if (dir)
		(void)closedir(dir);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static pid_t start_load(const struct bench *b, const struct workload *w)
{
	char *argv[6] = { (char *)b->load, (char *)w->load[0], (char *)w->load[1], (char *)w->load[2], NULL };
	posix_spawn_file_actions_t actions;
	int ready[2];
	char byte;
	pid_t pid;
	bool ok;

	if (pipe2(ready, O_CLOEXEC) < 0)
		fail("pipe");
	(void)posix_spawn_file_actions_init(&actions);
	for (int fd = 0; fd < READY_FD; fd++)
		(void)posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, ready[1], READY_FD);
	ok = posix_spawn(&pid, b->load, &actions, NULL, argv, environ) == 0;
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(ready[1]);
	ok = ok && read(ready[0], &byte, 1) == 1;
	(void)close(ready[0]);
	if (!ok)
		fail(b->load);
	return pid;
}

/* The time from spawn to exit, 0 when the command failed. */
static uint64_t time_command(char **argv)
{
	uint64_t start = bench_now_us();
	int status;
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		return 0;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return 0;
	return bench_now_us() - start;
}

static uint64_t time_dump(const struct bench *b, const char *program, pid_t pid)
{
	char text[16];
	char *argv[] = { (char *)program, "dump", "-t", text, "-D", (char *)b->images, "-o", "dump.log", "-l", NULL };

	(void)snprintf(text, sizeof(text), "%d", pid);
	return time_command(argv);
}

static uint64_t time_restore(const struct bench *b, const char *program)
{
	char *argv[] = { (char *)program, "restore", "-d", "-D", (char *)b->images, "-o", "restore.log", NULL };

	return time_command(argv);
}

/* How long the tree stood still, from stats-dump; 0 when that cannot be read. */
static uint64_t read_frozen_time(const struct bench *b)
{
	unsigned char data[512];
	uint32_t bytes;
	char path[128];
	uint64_t us = 0;
	StatsEntry *stats;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/stats-dump", b->images);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, data, sizeof(data));
	(void)close(fd);
	if (n < STATS_HEADER_BYTES)
		return 0;
	memcpy(&bytes, data + STATS_HEADER_BYTES - sizeof(bytes), sizeof(bytes));
	if (bytes > (size_t)n - STATS_HEADER_BYTES)
		return 0;
	stats = stats_entry__unpack(NULL, bytes, data + STATS_HEADER_BYTES);
	if (stats && stats->dump)
		us = stats->dump->frozen_time;
	if (stats)
		stats_entry__free_unpacked(stats, NULL);
	return us;
}

static void prepare_memory(const struct workload *w)
{
	if (w->cold)
		make_memory_cold();
	else
		make_memory_warm(w->warm_bytes);
}

static void print_log(const struct bench *b, const char *name)
{
	char path[128];
	char line[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", b->images, name);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		(void)fprintf(stderr, "    %s", line);
	if (f)
		(void)fclose(f);
}

static bool measure_once(const struct bench *b, const struct workload *w, const char *program, struct samples *s)
{
	size_t i = s->count;
	pid_t pid;

	make_empty_images_dir(b);
	pid = start_load(b, w);
	prepare_memory(w);
	s->dump_us[i] = time_dump(b, program, pid);
	if (!s->dump_us[i]) {
		print_log(b, "dump.log");
		return false;
	}
	/* The tree is dead; a zombie would keep its pid from being restored. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	s->frozen_us[i] = read_frozen_time(b);
	prepare_memory(w);
	s->restore_us[i] = time_restore(b, program);
	if (!s->restore_us[i] || kill(pid, 0) < 0) {
		print_log(b, "restore.log");
		return false;
	}
	s->count++;
	return true;
}

static void measure_workload(struct bench *b, size_t index)
{
	const struct workload *w = &workloads[index];

	for (size_t run = 0; run < b->runs; run++) {
		for (size_t p = 0; p < b->program_count; p++) {
			struct samples *s = &b->samples[index][p];

			if (s->failed)
				continue;
			s->failed = !measure_once(b, w, b->programs[p], s);
			kill_load();
			remove_files(b->images);
			remove_files("."); /* what the load has made */
		}
	}
	for (size_t p = 0; p < b->program_count; p++) {
		struct samples *s = &b->samples[index][p];

		s->dump = median(s->dump_us, s->count);
		s->restore = median(s->restore_us, s->count);
		s->frozen = median(s->frozen_us, s->count);
	}
}

static void measure_references(struct bench *b)
{
	enum { STARTS = 51, COPIES = 3 };
	uint64_t values[STARTS];
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/reference", b->dir);
	for (size_t i = 0; i < STARTS; i++)
		values[i] = reference_start(b->empty);
	b->start_us = median(values, STARTS);
	for (size_t i = 0; i < COPIES; i++)
		values[i] = reference_copy(path, GIB);
	b->copy_us = median(values, COPIES);
	for (size_t i = 0; i < COPIES; i++)
		values[i] = reference_read(path, GIB);
	b->read_us = median(values, COPIES);
	if (!b->start_us || !b->copy_us || !b->read_us)
		fail("reference work");
	(void)printf("REF   start of an empty static program      %8.3f ms\n", (double)b->start_us / 1000);
	(void)printf("COPY  1 GiB of memory into a fresh file     %8.1f ms\n", (double)b->copy_us / 1000);
	(void)printf("READ  1 GiB of a file into fresh memory     %8.1f ms\n\n", (double)b->read_us / 1000);
}

static const struct samples *find_samples(const struct bench *b, const char *name, size_t program)
{
	for (size_t i = 0; i < WORKLOADS; i++) {
		if (strcmp(workloads[i].name, name) == 0)
			return &b->samples[i][program];
	}
	return NULL;
}

/* *ret_unit is what the ratio is a multiple of; negative when what it is compared with was not measured. */
static double get_ratio(const struct bench *b, const struct workload *w, size_t program, bool dump,
			const char **ret_unit)
{
	const struct samples *idle = find_samples(b, "idle", program);
	const struct samples *other = w->other ? find_samples(b, w->other, program) : idle;
	const struct samples *own = find_samples(b, w->name, program);
	double us = (double)(dump ? own->dump : own->restore);
	double other_us = (double)(dump ? other->dump : other->restore);
	double start_us = (double)b->start_us;

	*ret_unit = "REF";
	switch (w->unit) {
	case UNIT_COPY_READ:
		*ret_unit = dump ? "COPY" : "READ";
		return us / (double)(dump ? b->copy_us : b->read_us);
	case UNIT_OF_OTHER:
		*ret_unit = "x100";
		return other->count ? us / other_us : -1;
	case UNIT_PER_PIECE:
		return other->count ? (us - other_us) / w->pieces / start_us : -1;
	case UNIT_ABOVE_IDLE:
		return other->count ? (us - other_us) / start_us : -1;
	default:
		return us / start_us;
	}
}

static void print_side(const struct bench *b, const struct workload *w, size_t program, bool dump, uint64_t us)
{
	double limit = dump ? w->dump_limit : w->restore_limit;
	const char *unit;
	double ratio = get_ratio(b, w, program, dump, &unit);
	char text[32] = "-";

	if (limit > 0)
		(void)snprintf(text, sizeof(text), "%g", limit);
	(void)printf(" %9.2f %8.*f %-4s %5s %-4s", (double)us / 1000, w->unit == UNIT_PER_PIECE ? 4 : 2, ratio, unit,
		     text, limit > 0 && ratio > limit ? "OVER" : "");
}

static void print_row(const struct bench *b, size_t index, size_t program)
{
	const struct workload *w = &workloads[index];
	const struct samples *s = &b->samples[index][program];

	if (s->failed || s->count == 0) {
		(void)printf("%-26s failed\n", w->name);
		return;
	}
	(void)printf("%-26s", w->name);
	print_side(b, w, program, true, s->dump);
	print_side(b, w, program, false, s->restore);
	(void)printf(" %9.2f\n", (double)s->frozen / 1000);
	(void)fflush(stdout);
}

/* What is wanted may be compared with something that is not. */
static bool is_compared_with(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < WORKLOADS; i++)
		if (workloads[i].other && !strcmp(workloads[i].other, name) && strstr(workloads[i].name, b->only))
			return true;
	return strcmp(name, "idle") == 0;
}

static bool is_wanted(const struct bench *b, const struct workload *w)
{
	return !b->only || strstr(w->name, b->only) || is_compared_with(b, w->name);
}

/* --- linear ------------------------------------------------------------------------------------------------------ */

#define GROWTH_LIMIT 1.2

enum { NUMBERS = 3 };

struct growth {
	const char *things;
	const char *rows[NUMBERS]; /* of ascending numbers, NULL where there are fewer */
};

static const struct growth growths[] = {
	{ "threads", { "100 threads, each", "300 threads, each", "1000 threads, each" } },
	{ "descriptors", { "1000 descriptors, each", "3000 descriptors, each", "10000 descriptors, each" } },
	{ "polled", { "1000 polled, each", "3000 polled, each", "9000 polled, each" } },
#define GROWTH_OF_KIND(kind)                                                                                           \
	{                                                                                                              \
		kind,                                                                                                  \
		{                                                                                                      \
			"1000 " kind ", each", "4000 " kind ", each"                                                   \
		}                                                                                                      \
	}
	GROWTH_OF_KIND("moved"),
	GROWTH_OF_KIND("pipes"),
	GROWTH_OF_KIND("fifos"),
	GROWTH_OF_KIND("events"),
	GROWTH_OF_KIND("ghosts"),
	GROWTH_OF_KIND("ended"),
	GROWTH_OF_KIND("watches"),
	GROWTH_OF_KIND("ranges"),
	GROWTH_OF_KIND("locks"),
};

static double ratio_of_row(const struct bench *b, const char *name, size_t program, bool dump)
{
	const char *unit;

	for (size_t i = 0; i < WORKLOADS; i++)
		if (strcmp(workloads[i].name, name) == 0 && b->samples[i][program].count)
			return get_ratio(b, &workloads[i], program, dump, &unit);
	return -1;
}

static void print_growth(const struct bench *b, const struct growth *growth, size_t program, bool dump)
{
	double ratios[NUMBERS];
	size_t count = 0;

	(void)printf("  %-7s of", dump ? "dump" : "restore");
	for (; count < NUMBERS && growth->rows[count]; count++) {
		ratios[count] = ratio_of_row(b, growth->rows[count], program, dump);
		(void)printf("%s %lu", count ? "," : "", strtoul(growth->rows[count], NULL, 10));
	}
	(void)printf(" %s, each:", growth->things);
	for (size_t i = 0; i < count; i++)
		(void)printf(" %.4f", ratios[i]);
	(void)printf(" REF%s\n", ratios[count - 1] > GROWTH_LIMIT * ratios[0] ? " OVER: it grows" : "");
}

/* --- how many system calls each thread costs ---------------------------------------------------------------------- */

#define CALLS_LIMIT 12.0

struct calls {
	uint64_t dump, injected, restore;
};

static bool count_calls(const struct bench *b, const char *program, const char *threads, struct calls *ret)
{
	const struct workload w = { .load = { "threads", threads } };
	char text[16];
	char *dump[] = { (char *)program, "dump", "-t", text, "-D", (char *)b->images, "-o", "dump.log", NULL };
	char *restore[] = { (char *)program, "restore", "-d", "-D", (char *)b->images, "-o", "restore.log", NULL };
	struct calls_of_threads *watch;
	bool good;
	pid_t pid;

	make_empty_images_dir(b);
	pid = start_load(b, &w);
	(void)snprintf(text, sizeof(text), "%d", pid);
	watch = calls_watch(pid);
	good = calls_count_command(dump, &ret->dump);
	ret->injected = calls_watched(watch);
	while (waitpid(-1, NULL, 0) > 0)
		;
	good = good && calls_count_command(restore, &ret->restore);
	kill_load();
	return good;
}

static void print_calls(const char *what, double calls)
{
	(void)printf(" %s %.1f%s", what, calls, calls > CALLS_LIMIT ? " OVER" : "");
}

static void print_slope(const struct bench *b, const char *program)
{
	struct calls few, many;

	if (!b->can_count || !count_calls(b, program, "300", &few) || !count_calls(b, program, "1000", &many)) {
		(void)printf("  system calls per thread: cannot be counted here\n");
		return;
	}
	(void)printf("  system calls per thread (limit %g):", CALLS_LIMIT);
	print_calls("dump", (double)(many.dump + many.injected - few.dump - few.injected) / 700);
	print_calls("restore", (double)(many.restore - few.restore) / 700);
	(void)printf("\n");
}

static void print_linearity(const struct bench *b, const struct growth *growth, size_t program)
{
	bool with_calls = growth == &growths[0];

	if (b->only && !strstr(growth->rows[0], b->only) && !strstr(growth->rows[1], b->only))
		return;
	(void)printf("%s linear\n", growth->things);
	print_growth(b, growth, program, true);
	print_growth(b, growth, program, false);
	if (with_calls)
		print_slope(b, b->programs[program]);
	(void)fflush(stdout);
}

static int run_all(struct bench *b)
{
	bool failed = false;

	measure_references(b);
	for (size_t i = 0; i < WORKLOADS; i++) {
		if (is_wanted(b, &workloads[i]))
			measure_workload(b, i);
	}
	for (size_t p = 0; p < b->program_count; p++) {
		(void)printf("%s\n%-26s %9s %8s %-4s %5s %-4s %9s %8s %-4s %5s %-4s %9s\n", b->programs[p], "",
			     "dump ms", "ratio", "", "limit", "", "restore", "ratio", "", "limit", "", "frozen");
		for (size_t i = 0; i < WORKLOADS; i++) {
			if (!is_wanted(b, &workloads[i]))
				continue;
			print_row(b, i, p);
			failed |= b->samples[i][p].failed;
		}
		for (size_t i = 0; i < sizeof(growths) / sizeof(growths[0]); i++)
			print_linearity(b, &growths[i], p);
		(void)printf("\n");
	}
	return failed;
}

static const char *absolute_path(const char *path)
{
	const char *absolute = realpath(path, NULL);

	if (!absolute)
		fail(path);
	return absolute;
}

static void parse_options(struct bench *b, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "criu", required_argument, NULL, 'c' },
		{ "peer", required_argument, NULL, 'p' },
		{ "load", required_argument, NULL, 'l' },
		{ "empty", required_argument, NULL, 'e' },
		{ "runs", required_argument, NULL, 'r' },
		{ "only", required_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'c')
			b->programs[0] = absolute_path(optarg);
		else if (c == 'p' && *optarg)
			b->programs[1] = absolute_path(optarg);
		else if (c == 'l')
			b->load = absolute_path(optarg);
		else if (c == 'e')
			b->empty = absolute_path(optarg);
		else if (c == 'o')
			b->only = *optarg ? optarg : NULL;
		else if (c == 'r')
			b->runs = strtoul(optarg, NULL, 10);
	}
	b->program_count = b->programs[1] ? 2 : 1;
	if (!b->programs[0] || !b->load || !b->empty || b->runs < 1 || b->runs > MAX_RUNS) {
		(void)fprintf(stderr,
			      "usage: bench --criu PATH --load PATH --empty PATH [--peer PATH] [--runs 1..%d] "
			      "[--only NAME]\n",
			      MAX_RUNS);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct bench b = { .runs = 5, .dir = "/tmp/criu-bench-XXXXXX" };
	char trace[96];

	parse_options(&b, argc, argv);
	if (!mkdtemp(b.dir))
		fail(b.dir);
	(void)snprintf(b.images, sizeof(b.images), "%s/images", b.dir);
	enter_namespaces(&b);
	if (chdir(b.dir) < 0)
		fail(b.dir);
	(void)snprintf(trace, sizeof(trace), "%s/trace", b.dir);
	b.can_count = mkdir(trace, 0700) == 0 && calls_prepare(trace);
	return run_all(&b);
}
