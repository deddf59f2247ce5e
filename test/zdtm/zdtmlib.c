/* What every behaviour program shares; the header says how a program uses it. */
#include "zdtmlib.h"

#include <stdarg.h>
#include <time.h>
#include <linux/futex.h>

static volatile sig_atomic_t told;
static int sync_fd = -1; /* in a child: its parent waits for a byte or the end of this pipe */

static void on_term(int signo)
{
	(void)signo;
	told = 1;
}

static void say(const char *first, const char *format, va_list args)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "%s", first);

	n += vsnprintf(text + n, sizeof(text) - n - 1, format, args);
	if (n > (int)sizeof(text) - 2)
		n = sizeof(text) - 2;
	text[n++] = '\n';
	if (write(1, text, n) != n)
		_exit(3);
}

void test_start(void)
{
	struct sigaction action = { .sa_handler = on_term };
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	MUST(sigprocmask(SIG_BLOCK, &mask, NULL));
	MUST(sigaction(SIGTERM, &action, NULL));
}

void test_ready(void)
{
	if (write(1, "READY\n", 6) != 6)
		_exit(3);
}

bool test_told(void)
{
	return told != 0;
}

void test_wait_mask(sigset_t *ret_mask)
{
	pthread_sigmask(SIG_SETMASK, NULL, ret_mask);
	sigdelset(ret_mask, SIGTERM);
}

int test_nap_s(void)
{
	const char *seconds = getenv("ZDTM_NAP_S");

	return seconds ? atoi(seconds) : 4;
}

static void suspend_until_told(void)
{
	sigset_t mask;

	test_wait_mask(&mask);
	while (!told)
		sigsuspend(&mask);
}

void test_wait(void)
{
	test_ready();
	suspend_until_told();
}

int test_pass(void)
{
	return write(1, "PASS\n", 5) == 5 ? 0 : 3;
}

void test_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("SKIP ", format, args);
	va_end(args);
	_exit(77);
}

void test_fail(const char *file, int line, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	char first[128];
	va_list args;

	snprintf(first, sizeof(first), "FAIL %s:%d: pid %d: ", name ? name + 1 : file, line, getpid());
	va_start(args, format);
	say(first, format, args);
	va_end(args);
	_exit(1);
}

pid_t test_fork(void (*act)(void *), void *arg)
{
	int ends[2];
	char byte;
	pid_t pid;

	MUST(pipe(ends));
	pid = MUST(fork());
	if (pid == 0) {
		close(ends[0]);
		if (sync_fd >= 0)
			close(sync_fd);
		sync_fd = ends[1];
		act(arg);
		_exit(0);
	}
	close(ends[1]);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
		;
	close(ends[0]);
	return pid;
}

void child_ready(void)
{
	if (sync_fd < 0)
		return;
	if (write(sync_fd, "", 1) != 1)
		_exit(3);
	close(sync_fd);
	sync_fd = -1;
}

void child_wait(void)
{
	child_ready();
	suspend_until_told();
}

int test_reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid) {
		if (errno != EINTR)
			FAIL("waitpid(%d): %s", pid, strerror(errno));
	}
	return status;
}

void test_end_child(pid_t pid)
{
	int status;

	MUST(kill(pid, SIGTERM));
	status = test_reap(pid);
	if (status != 0)
		FAIL("child %d: expected exit status 0, found wait status %#x", pid, status);
}

void test_await(volatile int *word, int value)
{
	int now;

	while ((now = __atomic_load_n(word, __ATOMIC_SEQ_CST)) < value)
		syscall(SYS_futex, word, FUTEX_WAIT, now, NULL);
}

void test_post(volatile int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX);
}

static volatile int thread_ready, thread_go;

static void *run_thread(void *act)
{
	((void (*)(void))act)();
	return NULL;
}

pthread_t test_thread(void (*act)(void))
{
	pthread_t thread;

	EXPECT_EQ(pthread_create(&thread, NULL, run_thread, act), 0);
	test_await(&thread_ready, 1);
	return thread;
}

void thread_wait(void)
{
	test_post(&thread_ready, 1);
	test_await(&thread_go, 1);
}

void test_end_thread(pthread_t thread)
{
	test_post(&thread_go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

void test_pattern(void *data, size_t bytes, uint32_t seed)
{
	uint32_t state = seed * 2654435761u + 1, *word = data;

	for (size_t i = 0; i < bytes / 4; i++)
		word[i] = next_random(&state);
}

void test_pattern_check(const char *file, int line, const void *data, size_t bytes, uint32_t seed)
{
	uint32_t state = seed * 2654435761u + 1;
	const uint32_t *word = data;

	for (size_t i = 0; i < bytes / 4; i++) {
		uint32_t expected = next_random(&state);

		if (word[i] != expected)
			test_fail(file, line, "memory at %p + %#zx: expected %08x, found %08x", data, i * 4, expected,
				  word[i]);
	}
}

const char *test_slurp(const char *path)
{
	static char text[1 << 20];
	size_t have = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += n;
	close(fd);
	text[have] = 0;
	return text;
}

long long test_field(const char *text, const char *key, int base)
{
	size_t bytes = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (strncmp(line, key, bytes) == 0 && line[bytes] == ':')
			return strtoll(line + bytes + 1, NULL, base);
	}
	return -1;
}

void test_until_asleep(pid_t pid, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	for (int i = 0; i < 6000; i++) {
		const char *text = test_slurp(path);
		const char *state = text ? strrchr(text, ')') : NULL;

		if (!state)
			FAIL("%s: no such task", path);
		if (state[2] == 'S' || state[2] == 'Z')
			return;
		usleep(10000);
	}
	FAIL("task %d does not go to sleep", tid);
}

uint64_t test_file_offset(const void *function)
{
	uint64_t start, end, offset;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 && (uint64_t)function >= start &&
		    (uint64_t)function < end) {
			fclose(maps);
			return (uint64_t)function - start + offset;
		}
	}
	test_fail(__FILE__, __LINE__, "the function is not mapped");
}
