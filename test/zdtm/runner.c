/*
 * runner [-m MODE[,MODE]] [-j N] [-k PATTERN] [-c CRIU] [-s SOURCE] [-F FEATURES] [-x PROGRAM] [-X PROGRAM] [-LaK]
 *        [TEST ...]
 *
 * Runs behaviour programs, each in a pid and mount namespace of its own, several at a time. Modes: none plain
 * iterations leave-running stopped compare record mask=FEATURE, and mask for all features of the list in turn
 * (mask-some: each with some tests). -L takes the long ones in, -a those marked as not to be run by themselves, -K
 * keeps the directories. In the modes plain and compare the program of -x is run on each image directory before the
 * restore, and has to like it; that of -X in the mode iterations, on the second one, with the first as another
 * argument. The last line is the sum.
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "standing.h"

enum { MOST_TESTS = 512, MOST_FEATURES = 128, MOST_JOBS = 64 };

struct job {
	struct run run;
	pid_t pid;
	double started;
};

static struct {
	struct test tests[MOST_TESTS];
	size_t test_count;
	char features[MOST_FEATURES][64];
	size_t feature_count;
	char programs[PATH_MAX], criu[PATH_MAX], may_differ[PATH_MAX], on_set[PATH_MAX], on_next_set[PATH_MAX];
	char base[128];
	bool with_long, with_all, keep;
	struct job jobs[MOST_JOBS];
	size_t job_limit, running;
	int passed, failed, skipped;
} my = { .job_limit = 2 };

static const char *const mode_names[] = {
	[MODE_NONE] = "none",
	[MODE_PLAIN] = "plain",
	[MODE_ITERATIONS] = "iterations",
	[MODE_LEAVE_RUNNING] = "leave-running",
	[MODE_STOPPED] = "stopped",
	[MODE_COMPARE] = "compare",
	[MODE_RECORD] = "record",
	[MODE_MASK] = "mask",
};

static void die(const char *what)
{
	fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
	exit(2);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static bool cpu_has(const char *flag)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	static char line[16384];
	char word[64];
	bool found = false;

	snprintf(word, sizeof(word), " %.60s ", flag);
	while (file && !found && fgets(line, sizeof(line), file))
		found = strncmp(line, "flags", 5) == 0 && strstr(line, word);
	if (file)
		fclose(file);
	return found;
}

/* One word behind a test's name; a value may use '+' for a blank. */
static void parse_flag(struct test *test, const char *word)
{
	const char *value = strchr(word, '=');
	char text[256] = "";

	if (value) {
		snprintf(text, sizeof(text), "%s", value + 1);
		for (char *c = text; *c; c++) {
			if (*c == '+')
				*c = ' ';
		}
	}
	if (strcmp(word, "long") == 0)
		test->is_long = true;
	else if (strcmp(word, "busy") == 0)
		test->is_busy = true;
	else if (strcmp(word, "unordered") == 0)
		test->is_unordered = true;
	else if (strcmp(word, "daemon") == 0)
		test->is_daemon = true;
	else if (strcmp(word, "login") == 0)
		test->is_logged_in = true;
	else if (strcmp(word, "linked") == 0)
		test->is_linked = true;
	else if (strcmp(word, "elsewhere") == 0)
		test->is_elsewhere = true;
	else if (strcmp(word, "newnet") == 0)
		test->has_own_net = true;
	else if (strcmp(word, "noauto") == 0)
		snprintf(test->skip, sizeof(test->skip), "runs only when named");
	else if (strncmp(word, "later=", 6) == 0)
		snprintf(test->skip, sizeof(test->skip), "not supported yet: %.90s", text);
	else if (strncmp(word, "cpu=", 4) == 0 && !cpu_has(text))
		snprintf(test->skip, sizeof(test->skip), "this processor has no %.60s", text);
	else if (strncmp(word, "refused=", 8) == 0)
		snprintf(test->refused, sizeof(test->refused), "%.120s", text);
	else if (strncmp(word, "warns=", 6) == 0)
		snprintf(test->warns, sizeof(test->warns), "%.120s", text);
	else if (strncmp(word, "program=", 8) == 0)
		snprintf(test->program, sizeof(test->program), "%.60s", text);
	else if (strncmp(word, "args=", 5) == 0)
		snprintf(test->args, sizeof(test->args), "%.120s", text);
	else if (strncmp(word, "dump=", 5) == 0)
		snprintf(test->dump_options, sizeof(test->dump_options), "%s", text);
	else if (strncmp(word, "restore=", 8) == 0)
		snprintf(test->restore_options, sizeof(test->restore_options), "%s", text);
	else if (strncmp(word, "differs=", 8) == 0)
		snprintf(test->differs, sizeof(test->differs), "%.120s", text);
	else if (strncmp(word, "again=", 6) == 0)
		snprintf(test->again, sizeof(test->again), "%.250s", text);
	else if (strncmp(word, "needs=", 6) == 0)
		snprintf(test->needs, sizeof(test->needs), "%.60s", text);
	else if (strncmp(word, "huge=", 5) == 0)
		test->huge_pages = atoi(text);
	else if (strncmp(word, "timeout=", 8) == 0)
		test->timeout_s = atoi(text);
}

static void read_list(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[1024];

	if (!file)
		die(path);
	while (fgets(line, sizeof(line), file) && my.test_count < MOST_TESTS) {
		struct test *test = &my.tests[my.test_count];
		char *word = strtok(line, " \t\n");

		if (!word || word[0] == '#')
			continue;
		test->timeout_s = 150; /* ten times what a busy machine needs: it only ends what hangs */
		snprintf(test->name, sizeof(test->name), "%.60s", word);
		snprintf(test->program, sizeof(test->program), "%.60s", word);
		while ((word = strtok(NULL, " \t\n")))
			parse_flag(test, word);
		my.test_count++;
	}
	fclose(file);
}

static void read_features(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];

	if (!file)
		die(path);
	while (fgets(line, sizeof(line), file) && my.feature_count < MOST_FEATURES) {
		char *word = strtok(line, " \t\n");

		if (word && word[0] != '#')
			snprintf(my.features[my.feature_count++], 64, "%.63s", word);
	}
	fclose(file);
}

/* More of them, or less again. A test that needs them finds out itself whether they could be had. */
static void add_huge_pages(int count)
{
	FILE *file = count ? fopen("/proc/sys/vm/nr_hugepages", "r+e") : NULL;
	int present;

	if (file && fscanf(file, "%d", &present) == 1) {
		rewind(file);
		fprintf(file, "%d\n", present + count);
	}
	if (file)
		fclose(file);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

static void report(const struct run *run, const char *verdict, double seconds)
{
	char label[128];

	snprintf(label, sizeof(label), "%s%s%s", mode_names[run->mode], run->feature[0] ? "=" : "", run->feature);
	if (strncmp(verdict, "PASS", 4) == 0) {
		my.passed++;
		printf("PASS %s %s (%.2f s)\n", run->test->name, label, seconds);
	} else if (strncmp(verdict, "SKIP", 4) == 0) {
		my.skipped++;
		printf("SKIP %s %s: %.*s\n", run->test->name, label, (int)strcspn(verdict + 5, "\n"), verdict + 5);
	} else {
		my.failed++;
		printf("FAIL %s %s: %s\n", run->test->name, label,
		       verdict + (strncmp(verdict, "FAIL ", 5) == 0 ? 5 : 0));
	}
	fflush(stdout);
}

static void start(const struct run *run);

static void finish(struct job *job, const char *why)
{
	static char verdict[32768];
	bool is_again;
	char path[300];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/verdict", job->run.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, verdict, sizeof(verdict) - 1);
		close(fd);
	}
	verdict[n > 0 ? n : 0] = 0;
	if (n <= 0)
		snprintf(verdict, sizeof(verdict), "FAIL %s (directory %s)", why, job->run.dir);
	is_again = strncmp(verdict, VERDICT_AGAIN, strlen(VERDICT_AGAIN)) == 0;
	if (!is_again)
		report(&job->run, verdict, now_s() - job->started);
	if (!my.keep && (n > 0 || strncmp(verdict, "FAIL", 4) != 0))
		nftw(job->run.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	job->pid = 0;
	my.running--;
	add_huge_pages(-job->run.test->huge_pages);
	if (is_again) {
		struct run again = job->run;

		again.nap_s = LONGEST_NAP_S;
		start(&again);
	}
}

/* Waits for one job to end, or for its time to be over. */
static void wait_one(void)
{
	for (;;) {
		for (size_t i = 0; i < my.job_limit; i++) {
			struct job *job = &my.jobs[i];
			unsigned int limit = job->pid ? job->run.test->timeout_s : 0;

			if (!job->pid)
				continue;
			if (job->run.mode == MODE_ITERATIONS)
				limit *= 3;
			if (waitpid(job->pid, NULL, WNOHANG) == job->pid) {
				finish(job, "the namespace ended without a verdict");
				return;
			}
			if (now_s() - job->started > limit) {
				static char standing[16384], why[sizeof(standing) + 64];

				standing_describe(job->pid, standing, sizeof(standing));
				snprintf(why, sizeof(why), "no end after %u s%s\n", limit, standing);
				(void)kill(job->pid, SIGKILL);
				(void)waitpid(job->pid, NULL, 0);
				finish(job, why);
				return;
			}
		}
		usleep(2000);
	}
}

static void start(const struct run *run)
{
	struct clone_args args = { .flags = CLONE_NEWPID | CLONE_NEWNS, .exit_signal = SIGCHLD };
	struct job *job = my.jobs;
	static int number;

	if (run->test->has_own_net)
		args.flags |= CLONE_NEWNET;
	while (my.running >= my.job_limit)
		wait_one();
	while (job->pid)
		job++;
	job->run = *run;
	job->started = now_s();
	snprintf(job->run.dir, sizeof(job->run.dir), "%.100s/%s.%s.%d", my.base, run->test->name, mode_names[run->mode],
		 number++);
	if (mkdir(job->run.dir, 0755) < 0)
		die(job->run.dir);
	add_huge_pages(run->test->huge_pages);
	fflush(stdout);
	job->pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (job->pid < 0)
		die("clone3");
	if (job->pid == 0)
		run_inside(&job->run);
	my.running++;
}

/* Several patterns by commas. */
static bool matches_one(const char *patterns, const char *name)
{
	char list[1024], *pattern, *rest = list;

	snprintf(list, sizeof(list), "%s", patterns);
	while ((pattern = strsep(&rest, ",")))
		if (fnmatch(pattern, name, 0) == 0)
			return true;
	return false;
}

static void run_test(struct test *test, enum mode mode, const char *feature, bool is_named)
{
	struct run run = {
		.test = test, .mode = mode, .criu = my.criu, .programs = my.programs, .may_differ = my.may_differ
	};

	/* Who sleeps for a while still does so at the second of two looks. */
	run.nap_s = mode == MODE_COMPARE || mode == MODE_ITERATIONS ? 20 : 4;
	if (my.on_set[0] && (mode == MODE_PLAIN || mode == MODE_COMPARE))
		run.on_set = my.on_set;
	/* Who never sleeps is somewhere else each time. */
	if (my.on_next_set[0] && mode == MODE_ITERATIONS && !test->is_busy && !test->is_unordered)
		run.on_next_set = my.on_next_set;
	if (feature)
		snprintf(run.feature, sizeof(run.feature), "%.63s", feature);
	if (test->skip[0] && !is_named && !my.with_all) {
		char verdict[160];

		snprintf(verdict, sizeof(verdict), "SKIP %s", test->skip);
		if (!test->skip_counted)
			report(&run, verdict, 0);
		test->skip_counted = true;
		return;
	}
	if (feature && matches_one(test->needs, feature))
		return;
	if (test->is_busy && (mode == MODE_COMPARE || mode == MODE_RECORD))
		return;
	start(&run);
}

/* A pattern is of a name, or NAME:ARGUMENTS for one line of several with a name, written as in the list. */
static bool is_chosen(const struct test *test, const char *patterns)
{
	char label[200];

	snprintf(label, sizeof(label), "%s:%s", test->name, test->args);
	for (char *c = label; *c; c++) {
		if (*c == ' ')
			*c = '+';
	}
	return matches_one(patterns, test->name) || matches_one(patterns, label);
}

static bool is_wanted(const struct test *test, char **names, const char *pattern, bool *ret_is_named)
{
	*ret_is_named = false;
	for (char **name = names; *name; name++) {
		if (strcmp(*name, test->name) == 0)
			*ret_is_named = true;
	}
	if (names[0])
		return *ret_is_named;
	if (test->is_long && !my.with_long)
		return false;
	return !pattern || is_chosen(test, pattern);
}

#define SOME 4 /* portions of mask-some */

/* Every so many tests, beginning with one of them. */
struct portion {
	size_t which, of;
};

static void run_mode(enum mode mode, const char *feature, struct portion portion, char **names, const char *pattern)
{
	for (size_t i = 0; i < my.test_count; i++) {
		bool is_named;

		if (i % portion.of == portion.which && is_wanted(&my.tests[i], names, pattern, &is_named))
			run_test(&my.tests[i], mode, feature, is_named);
	}
}

/* Each feature with a portion of the tests, another one in turn: all of both are there. */
static void run_masked(size_t portions, char **names, const char *pattern)
{
	for (size_t f = 0; f < my.feature_count; f++)
		run_mode(MODE_MASK, my.features[f], (struct portion){ f % portions, portions }, names, pattern);
}

static void run_mode_named(const char *name, char **names, const char *pattern)
{
	const struct portion all = { 0, 1 };

	if (strncmp(name, "mask=", 5) == 0) {
		run_mode(MODE_MASK, name + 5, all, names, pattern);
		return;
	}
	if (strcmp(name, "mask-some") == 0) {
		run_masked(SOME, names, pattern);
		return;
	}
	for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
		if (strcmp(name, mode_names[i]) != 0)
			continue;
		if (i == MODE_MASK)
			run_masked(1, names, pattern);
		else
			run_mode((enum mode)i, NULL, all, names, pattern);
		return;
	}
	fprintf(stderr, "runner: unknown mode %s\n", name);
	exit(2);
}

static void set_paths(const char *self, const char *criu, const char *source)
{
	static char copy[PATH_MAX];

	if (!realpath(self, copy))
		die(self);
	snprintf(my.programs, sizeof(my.programs), "%s", dirname(copy));
	if (criu && !realpath(criu, my.criu))
		die(criu);
	if (!realpath(source, copy))
		die(source);
	snprintf(my.may_differ, sizeof(my.may_differ), "%.4000s/may-differ.txt", copy);
}

/* What Linux gives to a program is enough for all, what a caller may have lowered it to is not. */
static void have_descriptors(void)
{
	enum { USUAL = 1024 };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= USUAL)
		return;
	limit.rlim_cur = limit.rlim_max < USUAL ? limit.rlim_max : USUAL;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	const char *pattern = NULL, *criu = NULL, *source = "test/zdtm", *features = NULL;
	char modes[1024] = "plain", list[PATH_MAX], *mode, *rest = modes;
	int option;

	while ((option = getopt(argc, argv, "m:j:k:c:s:F:x:X:LaK")) != -1) {
		switch (option) {
		case 'm':
			snprintf(modes, sizeof(modes), "%s", optarg);
			break;
		case 'j':
			my.job_limit = atoi(optarg) > 0 && atoi(optarg) <= MOST_JOBS ? atoi(optarg) : 1;
			break;
		case 'k':
			pattern = optarg;
			break;
		case 'c':
			criu = optarg;
			break;
		case 's':
			source = optarg;
			break;
		case 'F':
			features = optarg;
			break;
		case 'x':
			if (!realpath(optarg, my.on_set))
				die(optarg);
			break;
		case 'X':
			if (!realpath(optarg, my.on_next_set))
				die(optarg);
			break;
		case 'L':
			my.with_long = true;
			break;
		case 'a':
			my.with_all = true;
			break;
		case 'K':
			my.keep = true;
			break;
		default:
			fprintf(stderr,
				"usage: runner [-m mode,...] [-j N] [-k pattern] [-c criu] [-s source directory] "
				"[-F features] [-x program] [-X program] [-LaK] [test ...]\n");
			return 2;
		}
	}
	have_descriptors();
	set_paths("/proc/self/exe", criu, source);
	snprintf(list, sizeof(list), "%.4000s/tests.list", source);
	read_list(list);
	if (features)
		read_features(features);
	snprintf(my.base, sizeof(my.base), "%.80s/zdtm.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(my.base))
		die(my.base);
	(void)chmod(my.base, 0755);
	while ((mode = strsep(&rest, ",")))
		run_mode_named(mode, argv + optind, pattern);
	while (my.running)
		wait_one();
	if (!my.keep)
		(void)rmdir(my.base);
	printf("%d passed, %d failed, %d skipped\n", my.passed, my.failed, my.skipped);
	return my.failed ? 1 : 0;
}
