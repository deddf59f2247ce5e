/*
 * The compel command. One half prints what is needed to build code that runs inside a task and packs it into a C
 * header; the other half shows the library at work on a live task. A live verb is two processes: the one that was
 * started only waits, and puts the task right again if the one that does the work is killed.
 */
#include <compel/compel.h>
#include <compel/pack.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VERSION "1.0.0"

#define STOP_NS         10000000000ULL
#define RUN_NS          60000000000ULL
#define RUN_DATA_BYTES  65536
#define JOURNAL_THREADS 32768

struct options {
	bool compat;
	bool is_static;
	const char *file, *output, *prefix;
	int log_level;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* --- where things are --------------------------------------------------------------------------------------------- */

/* The source tree's folder, or NULL when installed. */
static const char *source_tree(void)
{
	const char *dir = getenv("COMPEL_UNINSTALLED_ROOTDIR");

	return dir && *dir ? dir : NULL;
}

/* PREFIX of PREFIX/bin/compel. */
static const char *installed_prefix(void)
{
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n <= 0)
		return "/usr/local";
	path[n] = 0;
	for (int i = 0; i < 2; i++) {
		slash = strrchr(path, '/');
		if (slash)
			*slash = 0;
	}
	return *path ? path : "/usr";
}

static void print_path(const char *installed, const char *in_tree)
{
	if (source_tree())
		printf("%s/%s", source_tree(), in_tree);
	else
		printf("%s/%s", installed_prefix(), installed);
}

static bool has_standard_headers(void)
{
	const char *prefix = installed_prefix();

	return !source_tree() && (strcmp(prefix, "/usr") == 0 || strcmp(prefix, "/usr/local") == 0);
}

/* --- verbs for building ------------------------------------------------------------------------------------------- */

static int verb_includes(const struct options *options, int argc, char **argv)
{
	if (!has_standard_headers()) {
		printf("-I");
		print_path("include", "include");
	}
	printf("\n");
	return 0;
}

static int verb_cflags(const struct options *options, int argc, char **argv)
{
	printf("%s -ffreestanding -fno-stack-protector -fomit-frame-pointer -mgeneral-regs-only -fcf-protection=none "
	       "-fno-asynchronous-unwind-tables -Wa,--noexecstack ",
	       options->compat ? "-m32 -fno-pic" : "-fpie");
	return verb_includes(options, argc, argv);
}

static int verb_ldflags(const struct options *options, int argc, char **argv)
{
	printf("-r -z noexecstack %s-T ", options->compat ? "-m elf_i386 " : "");
	print_path("lib/compel/scripts/compel-pack.lds", "scripts/compel-pack.lds");
	printf("\n");
	return 0;
}

static void print_plugin(const char *name)
{
	char installed[256], in_tree[256];

	(void)snprintf(installed, sizeof(installed), "lib/compel/%s.lib.a", name);
	(void)snprintf(in_tree, sizeof(in_tree), "plugins/%s.lib.a", name);
	print_path(installed, in_tree);
	printf("\n");
}

static int verb_plugins(const struct options *options, int argc, char **argv)
{
	print_plugin("std");
	for (int i = 0; i < argc; i++)
		print_plugin(argv[i]);
	return 0;
}

static int verb_libs(const struct options *options, int argc, char **argv)
{
	if (source_tree() && !options->is_static) {
		(void)fprintf(stderr, "compel: a source tree has only the static library: use --static\n");
		return 1;
	}
	print_path(options->is_static ? "lib/libcompel.a" : "lib/libcompel.so", "libcompel.a");
	printf("\n");
	return 0;
}

/* The file's name without folders and extensions, as an identifier. */
static bool derive_prefix(const char *path, char *ret_prefix, size_t bytes)
{
	const char *name = strrchr(path, '/');
	size_t n = 0;

	name = name ? name + 1 : path;
	for (; *name && *name != '.' && n + 1 < bytes; name++)
		ret_prefix[n++] = isalnum((unsigned char)*name) ? *name : '_';
	ret_prefix[n] = 0;
	return n && !isdigit((unsigned char)ret_prefix[0]);
}

static bool is_identifier(const char *text)
{
	if (!*text || isdigit((unsigned char)*text))
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '_')
			return false;
	return true;
}

static int read_file(const char *path, void **ret_data, size_t *ret_bytes)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	void *data = NULL;
	int r = 0;

	if (!f || fstat(fileno(f), &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size == 0)
		r = -EINVAL;
	else if (!(data = malloc((size_t)st.st_size)))
		r = -ENOMEM;
	else if (fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		r = -EIO;
	if (f)
		(void)fclose(f);
	if (r < 0) {
		free(data);
		(void)fprintf(stderr, "compel: cannot read %s: %s\n", path, strerror(-r));
		return r;
	}
	*ret_data = data;
	*ret_bytes = (size_t)st.st_size;
	return 0;
}

static int write_packed(const struct options *options, const char *prefix, const void *object, size_t bytes)
{
	struct compel_error err = { 0 };
	FILE *out = fopen(options->output, "we");
	int r;

	if (!out) {
		(void)fprintf(stderr, "compel: cannot write %s: %s\n", options->output, strerror(errno));
		return 1;
	}
	r = compel_pack(object, bytes, prefix, out, &err);
	if (fclose(out) != 0 && r == 0) {
		r = -errno;
		(void)snprintf(err.text, sizeof(err.text), "cannot write %s: %s", options->output, strerror(-r));
	}
	if (r < 0) {
		(void)unlink(options->output);
		(void)fprintf(stderr, "compel: %s: %s\n", options->file, err.text);
	} else if (options->log_level > 2) {
		(void)fprintf(stderr, "compel: %s packed into %s as %s\n", options->file, options->output, prefix);
	}
	return r < 0;
}

static int verb_hgen(const struct options *options, int argc, char **argv)
{
	const char *prefix = options->prefix;
	char derived[128];
	size_t bytes;
	void *object;
	int r;

	if (!options->file || !options->output) {
		(void)fprintf(stderr, "compel: hgen needs --file and --output\n");
		return 1;
	}
	if (!prefix && (derive_prefix(options->file, derived, sizeof(derived)) ||
			derive_prefix(options->output, derived, sizeof(derived))))
		prefix = derived;
	if (!prefix || !is_identifier(prefix)) {
		(void)fprintf(stderr, "compel: cannot make a prefix of the file names: use --prefix\n");
		return 2;
	}
	if (read_file(options->file, &object, &bytes) < 0)
		return 1;
	r = write_packed(options, prefix, object, bytes);
	free(object);
	return r;
}

/* --- verbs for live tasks ----------------------------------------------------------------------------------------- */

typedef int live_work(struct compel_task *task, int argc, char **argv, struct compel_error *err);

static bool parse_number(const char *text, uint64_t *ret_value)
{
	char *end;

	errno = 0;
	*ret_value = strtoull(text, &end, 0);
	return !errno && *text && !*end;
}

static int stop_all(struct compel_task *task, struct compel_error *err)
{
	const uint64_t deadline_ns = now_ns() + STOP_NS;
	size_t new_threads = 0;
	int r;

	do {
		r = compel_seize(task, COMPEL_SEIZE_SUSPEND_SECCOMP, &new_threads, err);
		if (r == 0)
			r = compel_wait_stopped(task, deadline_ns, err);
		if (r == 0 && !new_threads)
			r = compel_confirm_stopped(task, err);
	} while ((r == 0 && new_threads) || (r == -EAGAIN && now_ns() < deadline_ns));
	return r;
}

/* What goes wrong last matters less than what went wrong first. */
static int let_go(struct compel_task *task, int r, struct compel_error *err)
{
	struct compel_error later = { 0 };
	int later_r = compel_cure(task, &later);

	if (later_r == 0 || later_r == -ESRCH)
		later_r = compel_detach(task, &later);
	if (r == 0 && later_r < 0) {
		*err = later;
		return later_r;
	}
	return r;
}

static int work_on(struct compel_journal *journal, pid_t pid, live_work *work, int argc, char **argv)
{
	struct compel_error err = { 0 };
	struct compel_task *task;
	int r;

	r = compel_task_new(journal, pid, &task, &err);
	if (r == 0) {
		r = stop_all(task, &err);
		if (r == 0)
			r = work(task, argc, argv, &err);
		r = let_go(task, r, &err);
		compel_task_free(task);
	}
	if (r < 0)
		(void)fprintf(stderr, "compel: %s\n", err.text);
	(void)fflush(NULL);
	return r < 0;
}

static int wait_worker(pid_t worker)
{
	int status = 0;

	while (waitpid(worker, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		(void)fprintf(stderr, "compel: ended by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run_live(const char *pid_text, live_work *work, int argc, char **argv)
{
	size_t bytes = compel_journal_bytes(1, JOURNAL_THREADS);
	struct compel_journal *journal;
	struct compel_error err = { 0 };
	uint64_t pid;
	pid_t worker;
	int r;

	if (!parse_number(pid_text, &pid) || pid == 0 || pid > INT_MAX) {
		(void)fprintf(stderr, "compel: %s is not a pid\n", pid_text);
		return 1;
	}
	journal = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (journal == MAP_FAILED) {
		(void)fprintf(stderr, "compel: cannot make a journal: %s\n", strerror(errno));
		return 1;
	}
	compel_journal_init(journal, 1, JOURNAL_THREADS);
	worker = fork();
	if (worker < 0) {
		(void)fprintf(stderr, "compel: cannot fork: %s\n", strerror(errno));
		return 1;
	}
	if (worker == 0)
		_exit(work_on(journal, (pid_t)pid, work, argc, argv));
	/* Ctrl-C ends the worker only. */
	(void)signal(SIGINT, SIG_IGN);
	r = wait_worker(worker);
	if (compel_rescue(journal, &err) != 0) {
		(void)fprintf(stderr, "compel: %s\n", err.text);
		return 1;
	}
	return r;
}

static int work_freeze(struct compel_task *task, int argc, char **argv, struct compel_error *err)
{
	uint64_t seconds = 0;
	struct timespec ts;

	(void)parse_number(argv[0], &seconds);
	for (size_t i = 0; i < task->thread_count; i++) {
		const struct compel_thread *thread = &task->threads[i];

		printf("thread %d: rip 0x%llx", thread->tid, thread->regs.rip);
		if ((long long)thread->regs.orig_rax >= 0)
			printf(", in system call %llu", thread->regs.orig_rax);
		if (thread->stop_signal)
			printf(", stopped by signal %d", thread->stop_signal);
		printf("\n");
	}
	(void)fflush(stdout);
	ts = (struct timespec){ .tv_sec = (time_t)seconds };
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
	return 0;
}

static int verb_freeze(const struct options *options, int argc, char **argv)
{
	uint64_t seconds;

	if (argc != 2 || !parse_number(argv[1], &seconds)) {
		(void)fprintf(stderr, "Usage: compel freeze PID SECONDS\n");
		return 1;
	}
	return run_live(argv[0], work_freeze, argc - 1, argv + 1);
}

static int work_syscall(struct compel_task *task, int argc, char **argv, struct compel_error *err)
{
	uint64_t number = 0, args[6] = { 0 };
	int64_t value;
	int r;

	(void)parse_number(argv[0], &number);
	for (int i = 1; i < argc; i++)
		(void)parse_number(argv[i], &args[i - 1]);
	r = compel_syscall(task, (long)number, args, &value, err);
	if (r < 0)
		return r;
	if (value < 0 && value >= -4095)
		printf("%ld (%s)\n", (long)value, strerror((int)-value));
	else
		printf("%ld (0x%lx)\n", (long)value, (unsigned long)value);
	return 0;
}

static int verb_syscall(const struct options *options, int argc, char **argv)
{
	bool valid = argc >= 2 && argc <= 8;
	uint64_t number;

	for (int i = 1; valid && i < argc; i++)
		valid = parse_number(argv[i], &number);
	if (!valid) {
		(void)fprintf(stderr, "Usage: compel syscall PID NUMBER [ARGUMENT...]\n");
		return 1;
	}
	return run_live(argv[0], work_syscall, argc - 1, argv + 1);
}

static int run_blob(struct compel_task *task, const void *code, size_t bytes, struct compel_error *err)
{
	struct remote_addr code_addr, data;
	char answer[257] = "";
	uint32_t done = 0;
	int r;

	r = compel_inject(task, code, bytes, RUN_DATA_BYTES, &code_addr, &data, err);
	if (r == 0)
		r = compel_start(task, 0, code_addr, data.value, data.value + RUN_DATA_BYTES, err);
	if (r == 0)
		r = compel_finish(task, &data, 1, now_ns() + RUN_NS, err);
	if (r < 0)
		return r;
	(void)compel_read(task, data, &done, sizeof(done));
	(void)compel_read(task, (struct remote_addr){ data.value + sizeof(done) }, answer, sizeof(answer) - 1);
	printf("%u%s%s\n", done, *answer ? " " : "", answer);
	return 0;
}

static int work_run(struct compel_task *task, int argc, char **argv, struct compel_error *err)
{
	size_t bytes;
	void *code;
	int r;

	r = read_file(argv[0], &code, &bytes);
	if (r < 0) {
		(void)snprintf(err->text, sizeof(err->text), "nothing to run");
		return r;
	}
	r = run_blob(task, code, bytes, err);
	free(code);
	return r;
}

static int verb_run(const struct options *options, int argc, char **argv)
{
	if (argc != 2) {
		(void)fprintf(stderr, "Usage: compel run PID BLOB\n");
		return 1;
	}
	return run_live(argv[0], work_run, argc - 1, argv + 1);
}

/* --- the command line --------------------------------------------------------------------------------------------- */

struct verb {
	const char *name, *arguments, *help;
	int (*run)(const struct options *options, int argc, char **argv);
};

static const struct verb verbs[] = {
	{ "includes", "", "print the -I flag for the headers, if one is needed", verb_includes },
	{ "cflags", "", "print compiler flags for code that runs inside a task", verb_cflags },
	{ "ldflags", "", "print linker flags for it", verb_ldflags },
	{ "plugins", "[NAME...]", "print the paths of plugin archives, std first", verb_plugins },
	{ "libs", "", "print the path of the library", verb_libs },
	{ "hgen", "-f FILE -o FILE", "convert a linked object into a C header", verb_hgen },
	{ "freeze", "PID SECONDS", "stop a process, show its threads, let it go on", verb_freeze },
	{ "syscall", "PID NUMBER [ARGUMENT...]", "run one system call in a process, print its result", verb_syscall },
	{ "run", "PID BLOB", "run a flat binary in a process: rdi points to the word it sets when done", verb_run },
};

static void print_usage(FILE *out)
{
	(void)fprintf(out, "Usage: compel VERB [OPTIONS]\n\n");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		(void)fprintf(out, "  %-8s %-24s  %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
	(void)fprintf(out, "\n"
			   "  -c, --compat          the 32-bit variant (cflags, ldflags, includes, libs)\n"
			   "  -s, --static          the static library (libs)\n"
			   "  -f, --file FILE       object to convert (hgen)\n"
			   "  -o, --output FILE     header to write (hgen)\n"
			   "  -p, --prefix NAME     prefix of its identifiers; made of the file name otherwise (hgen)\n"
			   "  -l, --log-level NUM   0 to 4, 2 by default (hgen)\n"
			   "  -h, --help            this text\n"
			   "  -V, --version         the version\n");
}

static const struct option long_options[] = {
	{ "compat", no_argument, NULL, 'c' },
	{ "static", no_argument, NULL, 's' },
	{ "file", required_argument, NULL, 'f' },
	{ "output", required_argument, NULL, 'o' },
	{ "prefix", required_argument, NULL, 'p' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ 0 },
};

/* 0: go on, 1: all is said, -1: a mistake. */
static int parse_options(int argc, char **argv, struct options *options)
{
	int c;

	while ((c = getopt_long(argc, argv, "csf:o:p:l:hV", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->compat = true;
			break;
		case 's':
			options->is_static = true;
			break;
		case 'f':
			options->file = optarg;
			break;
		case 'o':
			options->output = optarg;
			break;
		case 'p':
			options->prefix = optarg;
			break;
		case 'l':
			options->log_level = atoi(optarg);
			break;
		case 'h':
			print_usage(stdout);
			return 1;
		case 'V':
			printf("Version: %s\n", VERSION);
			return 1;
		default:
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = { .log_level = 2 };
	int r = parse_options(argc, argv, &options);

	if (r > 0)
		return 0;
	for (size_t i = 0; r == 0 && optind < argc && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[optind], verbs[i].name) == 0)
			return verbs[i].run(&options, argc - optind - 1, argv + optind + 1);
	if (r == 0 && optind < argc)
		(void)fprintf(stderr, "compel: unknown verb %s\n", argv[optind]);
	print_usage(stderr);
	return 1;
}
