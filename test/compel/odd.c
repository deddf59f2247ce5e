/* Targets that are hard to enter: filtered, without a vdso, forbidden to map code, half gone, traced by someone else.
 */
#include "harness.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

extern const ptrdiff_t __rseq_offset;
extern const unsigned int __rseq_size;

/* The C library's: another one takes its place, or its memory goes. */
static void unregister_rseq(void)
{
	if (__rseq_size)
		(void)syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, 1, 0x53053053);
}

/* Runs two cycles; the target must be unharmed and run on. */
static int run_on(target_function *function, int ready)
{
	struct target target = target_start(function, ready);
	struct cycle cycle = { .seize_flags = COMPEL_SEIZE_SUSPEND_SECCOMP };
	struct compel_error err;
	struct snapshot before;
	const char *differs = NULL;
	int failed = 0, r = 0;
	uint64_t ticks;

	snapshot_take(target.pid, &before);
	for (int i = 0; r == 0 && !differs && i < 2; i++) {
		r = run_cycle(&target, &cycle, &err);
		differs = r == 0 ? snapshot_differs(&before, target.pid) : NULL;
	}
	if (r < 0)
		failed = test_fail("%s", err.text);
	else if (differs)
		failed = test_fail("%s", differs);
	ticks = target.shared->ticks[0];
	for (uint64_t end = now_ns() + PATIENCE_NS; now_ns() < end && target.shared->ticks[0] == ticks;)
		sleep_ms(1);
	if (!failed && target.shared->ticks[0] == ticks)
		failed = test_fail("does not run on");
	if (!failed && target.shared->failure[0])
		failed = test_fail("%s", (const char *)target.shared->failure);
	snapshot_done(&before);
	target_kill(&target);
	return failed;
}

/* The cycle must be refused with this error and this word in the sentence, and the target run on. */
static int run_refused(target_function *function, int ready, int expected, const char *word, unsigned int flags)
{
	struct target target = target_start(function, ready);
	struct cycle cycle = { .seize_flags = flags };
	struct compel_error err;
	int failed = 0, r = run_cycle(&target, &cycle, &err);
	uint64_t ticks = target.shared->ticks[0];

	if (r != expected || !strstr(err.text, word))
		failed = test_fail("expected %s and \"%s\", found %s: %s", strerror(-expected), word, strerror(-r),
				   r ? err.text : "");
	for (uint64_t end = now_ns() + PATIENCE_NS; now_ns() < end && target.shared->ticks[0] == ticks;)
		sleep_ms(1);
	if (!failed && target.shared->ticks[0] == ticks)
		failed = test_fail("does not run on");
	target_kill(&target);
	return failed;
}

/* Inlined, because a sanitizer puts a system call in front of a call that does not return. */
static inline __attribute__((always_inline)) void tick_for_ever(struct shared *shared)
{
	shared->ready = 1;
	for (;;)
		shared->ticks[0]++;
}

static void tick_for_ever_target(struct shared *shared)
{
	tick_for_ever(shared);
}

/* --- seccomp ------------------------------------------------------------------------------------------------------ */

static void filter_target(struct shared *shared)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_yield, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
	shared->ready = 1;
	for (;;) {
		shared->ticks[0]++;
		(void)syscall(SYS_sched_yield);
	}
}

static void strict_target(struct shared *shared)
{
	(void)syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
	tick_for_ever(shared);
}

static int test_filter(void)
{
	return run_on(filter_target, 1);
}

static int test_strict(void)
{
	return run_on(strict_target, 1);
}

static int test_filter_in_force(void)
{
	return run_refused(filter_target, 1, -EPERM, "seccomp", 0) |
	       run_refused(strict_target, 1, -EPERM, "seccomp", 0);
}

/* --- system calls caught by the task itself ----------------------------------------------------------------------- */

static void dispatch_target(struct shared *shared)
{
	static char selector;

	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector) < 0)
		shared->error = 1;
	selector = shared->error ? 0 : 1; /* block */
	tick_for_ever(shared);
}

static int test_dispatch(void)
{
	return run_on(dispatch_target, 1);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void mdwe_target(struct shared *shared)
{
	if (prctl(PR_SET_MDWE, 1, 0, 0, 0) < 0)
		shared->error = errno;
	tick_for_ever(shared);
}

static int test_mdwe(void)
{
	return run_on(mdwe_target, 1);
}

static bool unmap_vdso(void)
{
	char *vdso = (char *)getauxval(AT_SYSINFO_EHDR), line[256];
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end, bytes = 0;

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && (char *)start == vdso)
			bytes = end - start;
	if (maps)
		(void)fclose(maps);
	return bytes && munmap(vdso, bytes) == 0;
}

static void no_vdso_target(struct shared *shared)
{
	if (!unmap_vdso())
		target_fail(shared, "cannot unmap the vdso");
	tick_for_ever(shared);
}

static int test_no_vdso(void)
{
	return run_on(no_vdso_target, 1);
}

/* Nothing is left but one anonymous executable page and the shared one. */
static void bare_target(struct shared *shared)
{
	static const unsigned char unmap[] = { 0xb8, 11, 0, 0, 0, 0x0f, 0x05 };
	static const unsigned char loop[] = { 0xf0, 0x48, 0xff, 0x07, 0xeb, 0xfa }; /* lock incq (%rdi); jmp . - 4 */
	unsigned char *page = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	unsigned char *at = page + 64;
	unsigned long above = ((unsigned long)shared + sizeof(*shared) + 4095) & ~4095UL;

	unregister_rseq();
	memcpy(page, loop, sizeof(loop));
	/* munmap(below the shared page); munmap(above it); ready = 1; loop */
	memcpy(at, unmap, sizeof(unmap));
	at += sizeof(unmap);
	memcpy(at, "\x4c\x89\xe7\x4c\x89\xee", 6); /* mov %r12,%rdi; mov %r13,%rsi */
	at += 6;
	memcpy(at, unmap, sizeof(unmap));
	at += sizeof(unmap);
	memcpy(at, "\xc7\x03\x01\x00\x00\x00\x4c\x89\xf7", 9); /* movl $1,(%rbx); mov %r14,%rdi */
	at += 9;
	*at++ = 0xe9;
	memcpy(at, &(int){ (int)(page - (at + 4)) }, sizeof(int));
	asm volatile("	mov %0, %%rbx\n"
		     "	mov %1, %%r12\n"
		     "	mov %2, %%r13\n"
		     "	mov %3, %%r14\n"
		     "	jmp *%4\n"
		     :
		     : "r"(&shared->ready), "r"(above), "r"(0x7ffffffff000 - above), "r"(&shared->ticks[0]),
		       "a"(page + 64), "D"(0x10001000), "S"((unsigned long)shared - 0x10001000)
		     : "rbx", "r12", "r13", "r14", "memory");
}

static int test_bare(void)
{
	return run_refused(bare_target, 1, -ENOTSUP, "padding", 0);
}

/* --- processes in odd states -------------------------------------------------------------------------------------- */

static void vfork_target(struct shared *shared)
{
	shared->scratch[0] = getpid();
	if (vfork() == 0) {
		shared->ready = 1;
		while (!shared->stop)
			(void)syscall(SYS_sched_yield);
		syscall(SYS_exit, 0);
	}
	tick_for_ever(shared);
}

static int test_vfork(void)
{
	struct target target = target_start(vfork_target, 1);
	struct compel_task *task;
	struct compel_error err;
	size_t count;
	int failed = 0, r;
	pid_t tracer;
	uint64_t ticks;

	/* Only the tracer's end lets go of a thread that does not stop. */
	tracer = fork();
	if (tracer == 0) {
		r = compel_task_new(NULL, target.pid, &task, &err);
		if (r == 0)
			r = compel_seize(task, 0, &count, &err);
		if (r == 0)
			r = compel_wait_stopped(task, now_ns() + 200000000, &err);
		if (r != -ETIMEDOUT || !strstr(err.text, "vfork"))
			_exit(test_fail("expected ETIMEDOUT and \"vfork\", found %s: %s", strerror(-r), err.text));
		r = compel_detach(task, &err);
		if (r != -EBUSY)
			_exit(test_fail("expected EBUSY, found %s", strerror(-r)));
		_exit(0);
	}
	(void)waitpid(tracer, &failed, 0);
	target.shared->stop = 1;
	ticks = target.shared->ticks[0];
	for (uint64_t end = now_ns() + PATIENCE_NS; now_ns() < end && target.shared->ticks[0] == ticks;)
		sleep_ms(1);
	if (!failed && target.shared->ticks[0] == ticks)
		failed = test_fail("does not run on");
	target_kill(&target);
	return failed;
}

/* Nobody else gets that processor for a while. */
static pid_t hog_processor(int cpu)
{
	const struct sched_param first = { .sched_priority = 1 };
	pid_t pid = fork();
	cpu_set_t set;

	if (pid != 0)
		return pid;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0 || sched_setscheduler(0, SCHED_FIFO, &first) < 0)
		_exit(1);
	for (uint64_t end = now_ns() + 400000000; now_ns() < end;)
		;
	_exit(0);
}

static void pinned_target(struct shared *shared)
{
	const struct sched_param last = { 0 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	(void)sched_setscheduler(0, SCHED_IDLE, &last);
	tick_for_ever(shared);
}

/* It cannot stop for longer than one that never will is waited for. */
static int test_no_processor(void)
{
	struct target target = target_start(pinned_target, 1);
	struct compel_task *task = NULL;
	struct compel_error err;
	int failed = 0, status = 0, r;
	cpu_set_t all, set;
	size_t count;
	pid_t hog;

	(void)sched_getaffinity(0, sizeof(all), &all);
	set = all;
	CPU_CLR(0, &set);
	if (!CPU_ISSET(0, &all) || sched_setaffinity(0, sizeof(set), &set) < 0) {
		target_kill(&target);
		return SKIP;
	}
	hog = hog_processor(0);
	sleep_ms(20);
	r = compel_task_new(NULL, target.pid, &task, &err);
	if (r == 0)
		r = compel_seize(task, 0, &count, &err);
	if (r == 0)
		r = compel_detach(task, &err);
	if (r < 0)
		failed = test_fail("%s", err.text);
	compel_task_free(task);
	(void)waitpid(hog, &status, 0);
	(void)sched_setaffinity(0, sizeof(all), &all);
	target_kill(&target);
	return !failed && status ? SKIP : failed;
}

static struct shared *leader_shared;

static void *outlive_leader(void *arg)
{
	sleep_ms(20);
	tick_for_ever(leader_shared);
	return NULL;
}

static void no_leader_target(struct shared *shared)
{
	pthread_t thread;

	leader_shared = shared;
	(void)pthread_create(&thread, NULL, outlive_leader, NULL);
	syscall(SYS_exit, 0);
}

static int test_no_leader(void)
{
	return run_refused(no_leader_target, 1, 0, "", 0);
}

static int test_traced(void)
{
	struct target target = target_start(tick_for_ever, 1);
	struct cycle cycle = { 0 };
	struct compel_error err;
	int failed = 0, fds[2], r;
	char word[32], byte;
	pid_t other;

	(void)!pipe(fds);
	other = fork();
	if (other == 0) {
		(void)ptrace(PTRACE_SEIZE, target.pid, NULL, NULL);
		(void)!write(fds[1], "x", 1);
		for (;;)
			(void)pause();
	}
	(void)!read(fds[0], &byte, 1);
	(void)snprintf(word, sizeof(word), "traced by pid %d", other);
	r = run_cycle(&target, &cycle, &err);
	if (r != -EPERM || !strstr(err.text, word))
		failed = test_fail("expected EPERM and \"%s\", found %s: %s", word, strerror(-r), r ? err.text : "");
	(void)kill(other, SIGKILL);
	(void)waitpid(other, NULL, 0);
	target_kill(&target);
	return failed;
}

static int test_no_process(void)
{
	struct target target = { .pid = 4194303 };
	struct compel_task *task;
	struct compel_error err;
	int r = compel_task_new(NULL, target.pid, &task, &err);

	return r == -ESRCH ? 0 : test_fail("expected ESRCH, found %s", strerror(-r));
}

/* --- the tracer's death at each stage ----------------------------------------------------------------------------- */

static void die_at(enum stage stage, const struct target *target, struct compel_task *task, void *arg)
{
	if (stage == *(const enum stage *)arg)
		(void)kill(getpid(), SIGKILL);
}

static int die_and_rescue(target_function *function, bool stopped, enum stage stage)
{
	struct target target = target_start(function, 1);
	struct compel_journal *journal =
	    mmap(NULL, compel_journal_bytes(1, 8), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct cycle cycle = {
		.seize_flags = COMPEL_SEIZE_SUSPEND_SECCOMP, .hook = die_at, .arg = &stage, .journal = journal
	};
	struct compel_error err = { 0 };
	struct snapshot before;
	const char *differs;
	int failed = 0, status;
	uint64_t ticks;
	pid_t tracer;

	compel_journal_init(journal, 1, 8);
	if (stopped) {
		(void)kill(target.pid, SIGSTOP);
		(void)waitpid(target.pid, &status, WUNTRACED);
	}
	snapshot_take(target.pid, &before);
	ticks = target.shared->ticks[0];
	tracer = fork();
	if (tracer == 0)
		_exit(run_cycle(&target, &cycle, &err) != 0);
	(void)waitpid(tracer, &status, 0);
	sleep_ms(2);
	if (!WIFSIGNALED(status))
		failed = test_fail("stage %d: the tracer has not died", (int)stage);
	else if (compel_rescue(journal, &err) != 0)
		failed = test_fail("stage %d: %s", (int)stage, err.text);
	sleep_ms(2);
	differs = snapshot_differs(&before, target.pid);
	if (!failed && differs)
		failed = test_fail("stage %d: %s", (int)stage, differs);
	for (int i = 0; stopped && i < 60000 && thread_state(target.pid, target.pid) != 'T'; i++)
		sleep_ms(1);
	if (!failed && stopped && target.shared->ticks[0] != ticks)
		failed = test_fail("stage %d: it has run although it is stopped", (int)stage);
	if (!failed && stopped && thread_state(target.pid, target.pid) != 'T')
		failed = test_fail("stage %d: it is not stopped any more", (int)stage);
	if (!failed && stopped && waitpid(target.pid, &status, WUNTRACED | WNOHANG) != 0)
		failed = test_fail("stage %d: its parent is told a second time that it has stopped", (int)stage);
	(void)kill(target.pid, SIGCONT);
	ticks = target.shared->ticks[0];
	for (uint64_t end = now_ns() + PATIENCE_NS; now_ns() < end && target.shared->ticks[0] == ticks;)
		sleep_ms(1);
	if (!failed && target.shared->ticks[0] == ticks)
		failed = test_fail("stage %d: does not run on", (int)stage);
	snapshot_done(&before);
	(void)munmap(journal, compel_journal_bytes(1, 8));
	target_kill(&target);
	return failed;
}

static int test_tracer_dies(void)
{
	target_function *const functions[] = { tick_for_ever_target, mdwe_target, no_vdso_target, filter_target,
					       strict_target };
	int failed = 0;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		for (enum stage stage = STAGE_STOPPED; stage <= STAGE_DETACHED; stage++) {
			bool filtered = functions[i] == filter_target || functions[i] == strict_target;

			/* While code of ours runs, only the tracer holds the filters back. */
			if (filtered && stage == STAGE_STARTED)
				continue;
			failed |= die_and_rescue(functions[i], false, stage);
			if (i == 0)
				failed |= die_and_rescue(functions[i], true, stage);
		}
	return failed;
}

/* --- the target's parent ------------------------------------------------------------------------------------------ */

static void kill_at_finish(enum stage stage, const struct target *target, struct compel_task *task, void *arg)
{
	if (stage == STAGE_FINISHED)
		(void)kill(target->pid, SIGKILL);
}

static void threads_target(struct shared *shared)
{
	pthread_t thread;

	leader_shared = shared;
	for (int i = 0; i < 7; i++)
		(void)pthread_create(&thread, NULL, outlive_leader, NULL);
	sleep_ms(40);
	tick_for_ever(shared);
}

/* The tracer lives on; still the parent, which is another process, must hear that its child was killed. */
static int test_parent_hears(void)
{
	struct target target = target_start(threads_target, 1);
	struct cycle cycle = { .hook = kill_at_finish };
	struct compel_error err;
	int failed = 0, status = 0;
	pid_t tracer = fork();

	if (tracer == 0) {
		(void)run_cycle(&target, &cycle, &err);
		for (;;)
			(void)pause();
	}
	for (int i = 0; i < 60000 && waitpid(target.pid, &status, WNOHANG) == 0; i++)
		sleep_ms(1);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		failed = test_fail("it is not told that its child was killed");
	(void)kill(tracer, SIGKILL);
	(void)waitpid(tracer, NULL, 0);
	target_kill(&target);
	return failed;
}

/* --- restartable sequences ---------------------------------------------------------------------------------------- */

/*
 * Spins inside a sequence for ever; whoever resumes it in the middle after a preemption instead of at the abort handler
 * leaves the count of aborts where it was.
 */
static void rseq_target(struct shared *shared)
{
	static struct rseq area __attribute__((aligned(32)));
	static struct rseq_cs sequence;

	unregister_rseq();
	if (syscall(SYS_rseq, &area, sizeof(area), 0, 0x53053053) < 0)
		target_fail(shared, "rseq: %s", strerror(errno));
	shared->ready = 1;
	asm volatile("	lea 2f(%%rip), %%rax\n"
		     "	mov %%rax, 8(%0)\n"      /* start_ip */
		     "	movq $(3f-2f), 16(%0)\n" /* post_commit_offset */
		     "	lea 4f(%%rip), %%rax\n"
		     "	mov %%rax, 24(%0)\n" /* abort_ip */
		     "	jmp 1f\n"
		     "	.long 0x53053053\n"
		     "4:	lock incq (%2)\n"
		     "1:	mov %0, 8(%1)\n"
		     "2:	lock incq 8(%2)\n"
		     "	jmp 2b\n"
		     "3:	ud2\n"
		     :
		     : "r"(&sequence), "r"(&area), "r"(&shared->ticks[0])
		     : "rax", "memory");
}

static int test_rseq(void)
{
	struct target target = target_start(rseq_target, 1);
	struct cycle cycle = { 0 };
	struct compel_error err;
	int failed = 0;

	for (int i = 0; !failed && i < 20; i++) {
		uint64_t aborts = target.shared->ticks[0];

		if (run_cycle(&target, &cycle, &err) < 0)
			failed = test_fail("%s", err.text);
		for (int n = 0; n < 100 && target.shared->ticks[0] == aborts; n++)
			sleep_ms(1);
		if (!failed && target.shared->ticks[0] == aborts)
			failed = test_fail("cycle %d: goes on in the middle of its sequence", i);
	}
	if (!failed && target.shared->failure[0])
		failed = test_fail("%s", (const char *)target.shared->failure);
	target_kill(&target);
	return failed;
}

/* --- a program executed by a thread while the others are seized ------------------------------------------------------
 */

enum { EXEC_THREADS = 60, EXEC_ROUNDS = 60, EXEC_ROUND_MS = 60000 };

static void *wait_to_execute(void *arg)
{
	struct shared *shared = arg;
	char *argv[] = { "sleep", "1000", NULL };

	(void)__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!shared->stop)
		(void)sched_yield();
	for (volatile long i = 0; i < shared->scratch[0]; i++)
		;
	(void)execv("/bin/sleep", argv);
	target_fail(shared, "exec: %s", strerror(errno));
	return NULL;
}

static void *wait_for_end(void *arg)
{
	(void)__atomic_add_fetch(&((struct shared *)arg)->ready, 1, __ATOMIC_SEQ_CST);
	for (;;)
		(void)pause();
	return NULL;
}

static void executing_target(struct shared *shared)
{
	pthread_t thread;

	for (int i = 0; i < EXEC_THREADS; i++)
		(void)pthread_create(&thread, NULL, i == EXEC_THREADS - 1 ? wait_to_execute : wait_for_end, shared);
	(void)wait_for_end(shared);
}

/* Whether it fails is a matter of luck: it must come to an end and let the target go. */
static int seize_while_executing(const struct target *target)
{
	struct compel_task *task;
	struct compel_error err;
	size_t fresh = 0;
	int r;

	if (compel_task_new(NULL, target->pid, &task, &err) < 0)
		return test_fail("%s", err.text);
	target->shared->stop = 1;
	r = compel_seize(task, 0, &fresh, &err);
	if (r == 0)
		r = compel_wait_stopped(task, now_ns() + EXEC_ROUND_MS / 2 * 1000000ull, &err);
	(void)compel_detach(task, &err);
	compel_task_free(task);
	return r == -ETIMEDOUT ? test_fail("%s", err.text) : 0;
}

/* One that waits in PTRACE_SEIZE for ever hears nothing but SIGKILL. */
static int seize_in_child(const struct target *target)
{
	const uint64_t deadline = now_ns() + EXEC_ROUND_MS * 1000000ull;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(seize_while_executing(target));
	while (waitpid(pid, &status, WNOHANG) == 0) {
		sleep_ms(1);
		if (now_ns() < deadline)
			continue;
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return test_fail("seizing does not come to an end");
	}
	return status ? test_fail("wait status %x", status) : 0;
}

static int test_exec(void)
{
	int failed = 0;

	for (int i = 0; !failed && i < EXEC_ROUNDS; i++) {
		struct target target = target_start(executing_target, EXEC_THREADS + 1);
		char letter;

		target.shared->scratch[0] = i * 2000;
		failed = seize_in_child(&target);
		/* The first thread is dead for a moment, until the one that executes takes its place. */
		for (int n = 0; (letter = thread_state(target.pid, target.pid)) == 'Z' && n < 60000; n++)
			sleep_ms(1);
		if (!failed && (letter == 't' || letter == 'Z' || !letter))
			failed = test_fail("round %d: the target is left in state %c", i, letter ? letter : '-');
		if (!failed && target.shared->failure[0])
			failed = test_fail("%s", (const char *)target.shared->failure);
		target_kill(&target);
	}
	return failed;
}

const struct test odd_tests[] = {
	{ "odd: a seccomp filter that kills", test_filter },
	{ "odd: strict seccomp", test_strict },
	{ "odd: a seccomp filter that stays in force is not risked", test_filter_in_force },
	{ "odd: system calls caught by the task", test_dispatch },
	{ "odd: no memory both writable and executable", test_mdwe },
	{ "odd: without a vdso", test_no_vdso },
	{ "odd: without any place for a stub", test_bare },
	{ "odd: waiting for the end of a vfork", test_vfork },
	{ "odd: waiting for a processor", test_no_processor },
	{ "odd: the first thread has exited", test_no_leader },
	{ "odd: traced by another process", test_traced },
	{ "odd: no such process", test_no_process },
	{ "odd: the tracer dies at each stage", test_tracer_dies },
	{ "odd: the parent of a killed target", test_parent_hears },
	{ "odd: inside a restartable sequence", test_rseq },
	{ "odd: a thread executes a program while it is seized", test_exec },
	{ 0 },
};
