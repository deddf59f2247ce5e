/*
 * The first process of a test's own pid and mount namespace: mounts /proc, starts the program in a session of its own
 * without terminal or sockets, checkpoints it as the mode says and collects its verdict. It is also who restored tasks
 * and orphans are handed to. Whatever goes wrong: when this process ends, the namespace ends.
 */
#include "runner.h"
#include "snapshot.h"
#include "surroundings.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/keyctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { ITERATIONS = 5, DUMPS = 3, LOOKS = 5, LOG_TAIL_BYTES = 6000, MOST_PIDS = 1 << 22 };

/* The program under test, and the criu that works on it. */
static struct {
	const struct run *run;
	char text[65536]; /* what the program printed */
	pid_t root;
	bool has_ended;
	int status;
	int set; /* number of the current image directory */
	double started;
} my;

static void write_verdict(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void write_verdict(const char *format, ...)
{
	char path[512], temporary[512];
	va_list args;
	FILE *file;

	snprintf(path, sizeof(path), "%s/verdict", my.run->dir);
	snprintf(temporary, sizeof(temporary), "%s/verdict.new", my.run->dir);
	file = fopen(temporary, "we");
	if (file) {
		va_start(args, format);
		vfprintf(file, format, args);
		va_end(args);
		fclose(file);
		(void)rename(temporary, path);
	}
	_exit(0);
}

/* The end of a log, for the verdict. */
static const char *log_tail(const char *name)
{
	static char text[LOG_TAIL_BYTES + 1];
	char path[512];
	struct stat st;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%d/%s", my.run->dir, my.set, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0)
		n = pread(fd, text, LOG_TAIL_BYTES, st.st_size > LOG_TAIL_BYTES ? st.st_size - LOG_TAIL_BYTES : 0);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Reaps whatever has ended; true when `pid` was among it. */
static bool reap(pid_t pid, int *ret_status)
{
	bool found = false;
	int status;
	pid_t ended;

	while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
		if (ended == my.root) {
			my.has_ended = true;
			my.status = status;
		}
		if (ended == pid) {
			*ret_status = status;
			found = true;
		}
	}
	return found;
}

static void open_stdio(const char *out)
{
	int null = open("/dev/null", O_RDONLY);
	int fd = open(out, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (null < 0 || fd < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	/* Nothing that the runner or who started it holds goes into the tree. */
	if (close_range(3, ~0U, 0) < 0)
		_exit(126);
}

static size_t split_words(char *text, const char **words, size_t most)
{
	size_t count = 0;

	for (char *word = strtok(text, " "); word && count < most; word = strtok(NULL, " "))
		words[count++] = word;
	return count;
}

/* Into a session of its own. 0 in the child. */
static pid_t fork_leader(void)
{
	pid_t pid = fork();

	if (pid == 0 && setsid() < 0)
		_exit(126);
	return pid;
}

/* Its parent has made the session, and ends; so that it becomes our child. */
static pid_t fork_daemon(void)
{
	int ends[2], status;
	pid_t parent, pid = -1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	parent = fork_leader();
	if (parent == 0) {
		pid = fork();
		if (pid == 0)
			return 0;
		_exit(write(ends[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	if (parent < 0 || read(ends[0], &pid, sizeof(pid)) != sizeof(pid) || waitpid(parent, &status, 0) < 0)
		pid = -1;
	close(ends[0]);
	close(ends[1]);
	return pid;
}

static void start_program(void)
{
	char path[512], work[300], out[300], args[128];
	const char *argv[16];
	char nap[32];
	char *const environment[] = { "PATH=/usr/bin:/bin", "LANG=C", "ZDTM=a value to find again", nap, NULL };

	snprintf(nap, sizeof(nap), "ZDTM_NAP_S=%d", my.run->nap_s);
	snprintf(path, sizeof(path), "%s/%s", my.run->programs, my.run->test->program);
	snprintf(work, sizeof(work), "%s/work", my.run->dir);
	snprintf(out, sizeof(out), "%s/out", my.run->dir);
	if (mkdir(work, 0755) < 0)
		write_verdict("FAIL mkdir %s: %s\n", work, strerror(errno));
	my.root = my.run->test->is_daemon ? fork_daemon() : fork_leader();
	if (my.root < 0)
		write_verdict("FAIL fork: %s\n", strerror(errno));
	if (my.root > 0)
		return;
	if (chdir(work) < 0)
		_exit(126);
	open_stdio(out);
	snprintf(args, sizeof(args), "%s", my.run->test->args);
	argv[0] = path;
	argv[1 + split_words(args, argv + 1, 14)] = NULL;
	execve(path, (char *const *)argv, environment);
	_exit(127);
}

static void read_out(void)
{
	char path[300];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/out", my.run->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, my.text, sizeof(my.text) - 1);
	if (fd >= 0)
		close(fd);
	my.text[n > 0 ? n : 0] = 0;
}

static const char *find_line(const char *word)
{
	size_t bytes = strlen(word);

	for (const char *line = my.text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (strncmp(line, word, bytes) == 0)
			return line;
	}
	return NULL;
}

static void check_ended_early(const char *when)
{
	const char *line;

	if (!my.has_ended)
		return;
	read_out();
	line = find_line("SKIP");
	if (line)
		write_verdict("%s", line);
	line = find_line("FAIL");
	write_verdict("FAIL %s: the program ended with wait status %#x: %s\n", when, my.status, line ? line : my.text);
}

static void wait_ready(void)
{
	int status;

	for (;;) {
		read_out();
		if (find_line("READY"))
			return;
		/* A child's, which others may wait for in vain. */
		if (find_line("FAIL"))
			write_verdict("%s", find_line("FAIL"));
		reap(0, &status);
		check_ended_early("set-up");
		usleep(2000);
	}
}

/* Calls act for each thread in the namespace but this process's: pid, tid, state letter. */
static void each_thread(void (*act)(void *arg, int pid, int tid, char state), void *arg)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry, *task;

	if (!proc)
		write_verdict("FAIL open /proc: %s\n", strerror(errno));
	while ((entry = readdir(proc))) {
		char path[300], text[512], *close_bracket;
		DIR *tasks;

		if (!isdigit((unsigned char)entry->d_name[0]) || atoi(entry->d_name) == 1)
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/task", entry->d_name);
		tasks = opendir(path);
		while (tasks && (task = readdir(tasks))) {
			FILE *file;
			size_t n;

			if (task->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "/proc/%.20s/task/%.20s/stat", entry->d_name, task->d_name);
			file = fopen(path, "re");
			n = file ? fread(text, 1, sizeof(text) - 1, file) : 0; /* a name may have line ends */
			text[n] = 0;
			if ((close_bracket = strrchr(text, ')')))
				act(arg, atoi(entry->d_name), atoi(task->d_name), close_bracket[2]);
			if (file)
				fclose(file);
		}
		if (tasks)
			closedir(tasks);
	}
	closedir(proc);
}

struct census {
	int threads, awake, traced, not_stopped, zombies;
	int example; /* a tid of what was counted last besides threads */
};

static int tracer_of(int pid, int tid)
{
	char path[64], line[256];
	int tracer = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file) && sscanf(line, "TracerPid: %d", &tracer) != 1)
		;
	if (file)
		fclose(file);
	return tracer;
}

/* The kernel has no other word for it than for who waits for a disk. */
static bool waits_in_vfork(int pid, int tid)
{
	char path[64];
	long number = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%ld", &number) != 1)
		number = 0;
	if (file)
		fclose(file);
	return number == SYS_vfork || number == SYS_clone || number == SYS_clone3;
}

static void count_thread(void *arg, int pid, int tid, char state)
{
	struct census *census = arg;

	census->threads++;
	if (state == 'D' && waits_in_vfork(pid, tid))
		state = 'V';
	if (state == 'R' || state == 'D')
		census->awake++;
	if (state == 'Z')
		census->zombies++;
	/* Nothing stops who waits in a vfork, though the signal is there. */
	if (state != 'T' && state != 'Z' && state != 'X' && state != 'V')
		census->not_stopped++;
	if (tracer_of(pid, tid) > 0) {
		census->traced++;
		census->example = tid;
	}
}

static struct census take_census(void)
{
	struct census census = { 0 };

	each_thread(count_thread, &census);
	return census;
}

/* Two looks in a row with nobody awake. */
static void wait_asleep(void)
{
	double end = now_s() + (my.run->test->is_busy ? 0.1 : 10);

	for (int quiet = 0; quiet < 2 && now_s() < end; usleep(3000))
		quiet = take_census().awake ? 0 : quiet + 1;
}

static void check_untraced(const char *when)
{
	struct census census = take_census();

	if (census.traced)
		write_verdict("FAIL %s: %d threads are still traced, %d among them\n", when, census.traced,
			      census.example);
}

static void join_session(void)
{
	(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

/* One that looks like that of the user, which can be found from it, too. */
static void join_linked_session(void)
{
	(void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "zdtm-login");
	(void)syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_SESSION_KEYRING, KEY_SPEC_SESSION_KEYRING);
}

static void exec_criu(const char *const *argv)
{
	char out[300];

	if (my.run->test->is_elsewhere && strcmp(argv[1], "restore") == 0)
		join_session();
	snprintf(out, sizeof(out), "%s/%d/criu.out", my.run->dir, my.set);
	open_stdio(out);
	if (my.run->mode == MODE_MASK && setenv("CRIU_MASK_FEATURES", my.run->feature, 1) < 0)
		_exit(126);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

/* A masked feature may be one the test cannot do without: the message must then name it. */
static void fail_criu(const char *verb, const char *log, int status)
{
	const char *said = log_tail("criu.out");

	if (my.run->mode == MODE_MASK && WIFEXITED(status) && strstr(said, my.run->feature))
		write_verdict("SKIP needs %s: %.200s\n", my.run->feature, said);
	if (WIFSIGNALED(status))
		write_verdict("FAIL criu %s was killed by signal %d\n%s\n", verb, WTERMSIG(status), log_tail(log));
	if (said[0]) {
		char copy[LOG_TAIL_BYTES + 1];

		snprintf(copy, sizeof(copy), "%s", said);
		write_verdict("FAIL criu %s: exit status %d: %s\n%s\n", verb, WEXITSTATUS(status), copy, log_tail(log));
	}
	write_verdict("FAIL criu %s: exit status %d\n%s\n", verb, WEXITSTATUS(status), log_tail(log));
}

static char *list_surroundings(void)
{
	char work[300];

	snprintf(work, sizeof(work), "%s/work", my.run->dir);
	return surroundings_list(work);
}

static void check_surroundings(const char *before)
{
	char *after = list_surroundings(), dir[300];
	const char *line = surroundings_difference(before, after);

	if (line[0])
		write_verdict("FAIL a refused dump has changed what is around the program: %s\n", line);
	free(after);
	snprintf(dir, sizeof(dir), "%s/%d", my.run->dir, my.set);
	line = surroundings_image_left(dir);
	if (line[0])
		write_verdict("FAIL a refused dump has left %s\n", line);
}

/* Refused by name, nothing harmed and nothing left. */
static void check_refusal(const char *verb, int status, const char *before)
{
	const char *said = log_tail("criu.out"), *expected = my.run->test->refused;

	if (!WIFEXITED(status) || WEXITSTATUS(status) == 0)
		write_verdict("FAIL criu %s should have said \"%s\": wait status %#x\n", verb, expected, status);
	if (!strstr(said, expected))
		write_verdict("FAIL criu %s should have said \"%s\", it said: %s\n", verb, expected, said);
	check_untraced("after a refused dump");
	check_surroundings(before);
}

/*
 * What goes well warns of nothing but what the test says, and a dump has to: a fallback taken where nothing is missing,
 * or a loss that nobody hears of, is a fault that no program would notice.
 */
static void check_warnings(const char *verb, const char *log)
{
	const char *expected = my.run->test->warns;
	bool has_warned = false;
	char path[512], line[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%d/%s", my.run->dir, my.set, log);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		const char *level = strstr(line, ") Warn ");

		if (!level || level - line >= 16)
			continue;
		if (!expected[0] || !strstr(line, expected))
			write_verdict("FAIL criu %s warns: %s", verb, line);
		has_warned = true;
	}
	if (file)
		fclose(file);
	if (expected[0] && !has_warned && strcmp(verb, my.run->test->is_elsewhere ? "restore" : "dump") == 0)
		write_verdict("FAIL criu %s should have warned \"%s\"\n", verb, expected);
}

static void run_criu(const char *verb, const char *log, const char **argv)
{
	char *before = my.run->test->refused[0] ? list_surroundings() : NULL;
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		write_verdict("FAIL fork: %s\n", strerror(errno));
	if (pid == 0)
		exec_criu(argv);
	while (!reap(pid, &status))
		usleep(500);
	if (before)
		check_refusal(verb, status, before);
	else if (status != 0)
		fail_criu(verb, log, status);
	else if (my.run->mode == MODE_PLAIN)
		check_warnings(verb, log);
	free(before);
}

/* Two looks that differ say nothing where who was to sleep through both may have woken up. */
static void check_nap(void)
{
	if (now_s() - my.started > my.run->nap_s && my.run->nap_s < LONGEST_NAP_S)
		write_verdict(VERDICT_AGAIN "\n");
}

/* What somebody else thinks of the set, or makes of it. */
static void hand_out_set(const char *program, const char *dir, const char *dir_before)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		write_verdict("FAIL fork: %s\n", strerror(errno));
	if (pid == 0) {
		char log[320];

		snprintf(log, sizeof(log), "%s/on-set.log", dir);
		open_stdio(log);
		execl(program, program, dir, dir_before, my.run->test->again, NULL);
		_exit(127);
	}
	while (!reap(pid, &status))
		usleep(500);
	if (status != 0 && dir_before)
		check_nap();
	if (status != 0)
		write_verdict("FAIL %s: wait status %#x\n%s\n", program, status, log_tail("on-set.log"));
}

static void dump(const char *how)
{
	char root[16], dir[300], options[256];
	const char *argv[48] = { my.run->criu, "dump", "-t", root, "-D", dir, "-v4", "-o", "dump.log" };
	size_t count = 9;

	my.set++;
	snprintf(root, sizeof(root), "%d", my.root);
	snprintf(dir, sizeof(dir), "%s/%d", my.run->dir, my.set);
	if (mkdir(dir, 0700) < 0)
		write_verdict("FAIL mkdir %s: %s\n", dir, strerror(errno));
	snprintf(options, sizeof(options), "%s", my.run->test->dump_options);
	count += split_words(options, argv + count, 32);
	if (how)
		argv[count++] = how;
	argv[count] = NULL;
	run_criu("dump", "dump.log", argv);
}

static void wait_gone(void)
{
	double end = now_s() + 60;
	int status;

	for (;;) {
		struct census census;

		reap(0, &status);
		census = take_census();
		if (my.has_ended && !census.threads)
			return;
		if (now_s() > end)
			write_verdict("FAIL after dump: %d threads are left\n%s\n", census.threads,
				      log_tail("dump.log"));
		usleep(1000);
	}
}

static void restore(void)
{
	char pidfile[320], dir[300], options[256], text[32] = "";
	const char *argv[48] = { my.run->criu, "restore", "-d",          "-D",        dir,
				 "-v4",        "-o",      "restore.log", "--pidfile", pidfile };
	size_t count = 10;
	int fd;

	snprintf(dir, sizeof(dir), "%s/%d", my.run->dir, my.set);
	snprintf(pidfile, sizeof(pidfile), "%s/pidfile", dir);
	snprintf(options, sizeof(options), "%s", my.run->test->restore_options);
	count += split_words(options, argv + count, 32);
	argv[count] = NULL;
	my.has_ended = false;
	run_criu("restore", "restore.log", argv);
	fd = open(pidfile, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 || atoi(text) != my.root)
		write_verdict("FAIL restore: the pid file should hold %d, it holds \"%s\"\n", my.root, text);
	close(fd);
	check_untraced("after restore");
}

static void round_trip(void)
{
	char dir[300], before[300];

	dump(NULL);
	if (my.run->test->refused[0])
		return;
	wait_gone();
	snprintf(dir, sizeof(dir), "%s/%d", my.run->dir, my.set);
	snprintf(before, sizeof(before), "%s/%d", my.run->dir, my.set - 1);
	if (my.run->on_set)
		hand_out_set(my.run->on_set, dir, NULL);
	if (my.run->on_next_set && my.set == 2)
		hand_out_set(my.run->on_next_set, dir, before);
	restore();
}

static void stop_and_continue(void)
{
	struct census census;

	dump("-s");
	if (my.run->test->refused[0])
		return;
	census = take_census();
	if (census.not_stopped)
		write_verdict("FAIL dump -s: %d of %d threads are not stopped\n", census.not_stopped, census.threads);
	check_untraced("after dump -s");
}

static void note_stopped(void *arg, int pid, int tid, char state)
{
	unsigned char *stopped = arg;

	(void)tid;
	if (state == 'T' && pid < MOST_PIDS)
		stopped[pid] = 1;
}

static void continue_process(void *arg, int pid, int tid, char state)
{
	unsigned char *done = arg;

	if ((state != 'T' && !(state == 'D' && waits_in_vfork(pid, tid))) || pid >= MOST_PIDS || done[pid])
		return;
	(void)kill(pid, SIGCONT);
	done[pid] = 1;
}

static void run_stopped(void)
{
	static unsigned char stopped_before[MOST_PIDS];

	each_thread(note_stopped, stopped_before);
	stop_and_continue();
	each_thread(continue_process, stopped_before);
}

/* Records /proc; what differs from `before` is written to `text`, which the caller frees. How much does. */
static size_t look(struct snapshot *shot, const struct snapshot *before, const struct may_differ *may, char **text)
{
	size_t bytes, differ;
	FILE *out = open_memstream(text, &bytes);

	wait_asleep();
	if (!out || snapshot_take(shot) < 0)
		write_verdict("FAIL cannot record /proc\n");
	differ = snapshot_diff(before, shot, may, out, 15);
	fclose(out);
	return differ;
}

/*
 * The kernel wakes a thread for an instant without the program noticing, to let go of an io_uring that a helper held,
 * say. So the first record is one that the next look confirms, and what differs after the checkpoint has to stay.
 */
static void compare(void)
{
	static struct snapshot before, after;
	static struct may_differ may;
	int r = may_differ_read(&may, my.run->may_differ), looks = 0;
	size_t differ;
	char *text;

	if (r < 0)
		write_verdict("FAIL %s: %s\n", my.run->may_differ, strerror(-r));
	may_differ_add(&may, my.run->test->differs);
	do {
		snapshot_done(&before);
		before = after;
		after = (struct snapshot){ 0 };
		differ = look(&after, &before, &may, &text);
		free(text);
	} while (differ && ++looks < LOOKS);
	looks = 0;
	if (my.run->mode == MODE_COMPARE)
		round_trip();
	do {
		snapshot_done(&after);
		differ = look(&after, &before, &may, &text);
		if (differ)
			check_nap();
		if (differ && ++looks == LOOKS)
			write_verdict("FAIL %zu fields of /proc differ:\n%s", differ, text);
		free(text);
	} while (differ);
	snapshot_done(&before);
	snapshot_done(&after);
}

static void checkpoint(void)
{
	switch (my.run->mode) {
	case MODE_NONE:
		break;
	case MODE_PLAIN:
	case MODE_MASK:
		round_trip();
		break;
	case MODE_ITERATIONS:
		for (int i = 0; i < ITERATIONS; i++) {
			round_trip();
			wait_asleep();
		}
		break;
	case MODE_LEAVE_RUNNING:
		for (int i = 0; i < DUMPS; i++) {
			dump("-R");
			check_untraced("after dump -R");
		}
		break;
	case MODE_STOPPED:
		run_stopped();
		break;
	case MODE_COMPARE:
	case MODE_RECORD:
		compare();
		break;
	}
}

static void __attribute__((noreturn)) collect_verdict(void)
{
	const char *line;
	int status;

	reap(0, &status);
	check_ended_early("before it was told to check");
	if (kill(my.root, SIGTERM) < 0)
		write_verdict("FAIL kill(%d): %s\n", my.root, strerror(errno));
	while (!my.has_ended) {
		reap(0, &status);
		usleep(1000);
	}
	read_out();
	line = find_line("FAIL");
	if (line)
		write_verdict("%s", line);
	if (my.status != 0 || !find_line("PASS"))
		write_verdict("FAIL the program ended with wait status %#x\n%s", my.status, my.text);
	write_verdict("PASS\n");
}

/* nohup(1), say, has SIGHUP ignored by all that it starts. */
static void take_all_signals(void)
{
	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL);
}

void run_inside(const struct run *run)
{
	my.run = run;
	take_all_signals();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	umask(022);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
		write_verdict("FAIL mount /proc: %s\n", strerror(errno));
	/* Terminals are restored by number, which another test may have taken meanwhile. */
	if (mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620") < 0)
		write_verdict("FAIL mount /dev/pts: %s\n", strerror(errno));
	if (run->test->has_own_net && mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
		write_verdict("FAIL mount /sys: %s\n", strerror(errno));
	if (run->test->is_logged_in)
		join_session();
	if (run->test->is_linked)
		join_linked_session();
	my.started = now_s();
	start_program();
	wait_ready();
	wait_asleep();
	checkpoint();
	collect_verdict();
}
