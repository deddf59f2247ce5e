/*
 * A process that waits for its child of vfork, which sleeps. The child has changed all that is its own: descriptors,
 * actions, mask, directory, group or session, name, pending signals; and what is not, the memory. The argument says in
 * which call it sleeps and what comes then. Its parent goes on with the child's pid, the registers it had, and what it
 * had itself.
 */
#include "zdtmlib.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

enum { SLEEPING = 1, GO = 2 };
enum { CODE = 7, FD_A = 40, FD_B = 41, FD_CLOSED = 42, FD_OWN = 60, FD_PIPE = 61 };
enum { STACK_BYTES = 65536, WORDS = 5, NAP_MS = 60000 };

static volatile int *stage;
static const char *variant;
static int wake[2];         /* what the child that reads sleeps on */
static volatile int memory; /* private, and common to both */
static pid_t group_before;
static char cwd_before[256];

static void on_signal(int signal)
{
	(void)signal;
}

static bool is(const char *name)
{
	return strcmp(variant, name) == 0;
}

static void set_action(int signal, void (*handler)(int), int flags)
{
	const struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	MUST(sigaction(signal, &action, NULL));
}

static void expect_action(int signal, void (*handler)(int), int flags)
{
	struct sigaction action;

	MUST(sigaction(signal, NULL, &action));
	EXPECT(action.sa_handler == handler);
	EXPECT_EQ(action.sa_flags & (SA_RESTART | SA_NODEFER), flags);
}

static int open_named(const char *name, const char *text)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600));

	EXPECT_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static void expect_text(int fd, const char *text)
{
	char found[64] = "";

	EXPECT(pread(fd, found, sizeof(found) - 1, 0) >= 0);
	EXPECT_STR(found, text);
}

static void move(int fd, int number)
{
	EXPECT_EQ(MUST(dup2(fd, number)), number);
	MUST(close(fd));
}

/* --- the child --------------------------------------------------------------------------------------------------- */

static const sigset_t *one_signal(int signal)
{
	static sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, signal);
	return &set;
}

static void change_descriptors(void)
{
	int spare = MUST(dup(FD_A)), ends[2];

	EXPECT_EQ(dup2(FD_B, FD_A), FD_A);
	EXPECT_EQ(dup2(spare, FD_B), FD_B);
	MUST(close(spare));
	MUST(close(FD_CLOSED));
	MUST(fcntl(FD_B, F_SETFD, FD_CLOEXEC));
	move(open_named("own", "own"), FD_OWN);
	MUST(lseek(FD_OWN, 2, SEEK_SET));
	MUST(pipe(ends));
	EXPECT_EQ(write(ends[1], "kept", 4), 4);
	move(ends[0], FD_PIPE);
	move(ends[1], FD_PIPE + 1);
}

static void expect_descriptors(void)
{
	char found[8] = "";

	expect_text(FD_A, "b");
	expect_text(FD_B, "a");
	EXPECT_EQ(fcntl(FD_A, F_GETFD), 0);
	EXPECT_EQ(fcntl(FD_B, F_GETFD), FD_CLOEXEC);
	EXPECT(fcntl(FD_CLOSED, F_GETFD) < 0);
	expect_text(FD_OWN, "own");
	EXPECT_EQ(lseek(FD_OWN, 0, SEEK_CUR), 2);
	EXPECT_EQ(read(FD_PIPE, found, sizeof(found)), 4);
	EXPECT_STR(found, "kept");
}

static void change_place(void)
{
	MUST(mkdir("below", 0700));
	MUST(chdir("below"));
	(void)umask(011);
	if (is("session"))
		MUST(setsid());
	else if (!is("same_group"))
		MUST(setpgid(0, 0));
	MUST(prctl(PR_SET_NAME, "vforked", 0, 0, 0));
}

static void expect_place(void)
{
	char found[300], wanted[300], name[16] = "";

	(void)snprintf(wanted, sizeof(wanted), "%s/below", cwd_before);
	EXPECT(getcwd(found, sizeof(found)) != NULL);
	EXPECT_STR(found, wanted);
	EXPECT_EQ(umask(011), 011);
	EXPECT_EQ(getpgrp(), is("same_group") ? group_before : getpid());
	EXPECT_EQ(getsid(0) == getpid(), is("session"));
	MUST(prctl(PR_GET_NAME, name, 0, 0, 0));
	EXPECT_STR(name, "vforked");
}

static void change_signals(void)
{
	set_action(SIGUSR1, on_signal, SA_NODEFER);
	set_action(SIGUSR2, SIG_IGN, 0);
	MUST(sigprocmask(SIG_BLOCK, one_signal(SIGRTMIN), NULL));
	MUST(kill(getpid(), SIGRTMIN));
}

static void expect_signals(void)
{
	const struct timespec now = { 0 };
	siginfo_t info;
	sigset_t mask;

	expect_action(SIGUSR1, on_signal, SA_NODEFER);
	expect_action(SIGUSR2, SIG_IGN, 0);
	expect_action(SIGHUP, SIG_IGN, 0);
	MUST(sigprocmask(SIG_SETMASK, NULL, &mask));
	EXPECT_EQ(sigismember(&mask, SIGRTMIN), 1);
	EXPECT_EQ(sigismember(&mask, SIGWINCH), 1);
	EXPECT_EQ(sigismember(&mask, SIGUSR1), 0);
	EXPECT_EQ(sigtimedwait(one_signal(SIGRTMIN), &info, &now), SIGRTMIN);
	EXPECT_EQ(info.si_pid, getpid());
}

static void sleep_in_call(void)
{
	struct pollfd end = { .fd = wake[0], .events = POLLIN };
	char byte;

	if (is("read"))
		EXPECT_EQ(read(wake[0], &byte, 1), 1);
	else if (is("poll"))
		EXPECT_EQ(poll(&end, 1, NAP_MS), 1);
	else
		test_await(stage, GO);
}

static int child(void *unused)
{
	(void)unused;
	memory = 1;
	change_descriptors();
	change_place();
	change_signals();
	test_post(stage, SLEEPING);
	sleep_in_call();
	expect_descriptors();
	expect_place();
	expect_signals();
	EXPECT_EQ(memory, 1);
	memory = 2;
	if (is("exec"))
		(void)execl("/bin/sh", "sh", "-c", "exit 7", NULL);
	_exit(CODE);
}

/* --- the parent -------------------------------------------------------------------------------------------------- */

struct registers {
	uint64_t general[WORDS];
	uint64_t vector[8];
	uint32_t mxcsr, padding;
};

/*
 * clone(2) with a stack for the child, which calls begin(NULL), and the registers of the parent as they are given; what
 * they are behind it goes to out.
 */
__attribute__((naked, noinline)) static long clone_with_registers(void *stack_top, const struct registers *in,
								  struct registers *out, int (*begin)(void *))
{
	__asm__ volatile("pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
			 "pushq %rdx\n\t"
			 "movq %rcx, %r9\n\t"
			 "movq %rdi, %rax\n\t"
			 "ldmxcsr 104(%rsi)\n\t"
			 "movdqu 40(%rsi), %xmm6\n\tmovdqu 56(%rsi), %xmm15\n\t"
			 "movdqu 72(%rsi), %xmm0\n\tmovdqu 88(%rsi), %xmm7\n\t"
			 "movq 0(%rsi), %rbx\n\tmovq 8(%rsi), %r12\n\tmovq 16(%rsi), %r13\n\t"
			 "movq 24(%rsi), %r14\n\tmovq 32(%rsi), %r15\n\tmovq %rbx, %rbp\n\t"
			 "movq %rax, %rsi\n\t"
			 "movl $0x4111, %edi\n\t" /* CLONE_VM | CLONE_VFORK | SIGCHLD */
			 "xorl %edx, %edx\n\txorl %r10d, %r10d\n\txorl %r8d, %r8d\n\t"
			 "movl $56, %eax\n\tsyscall\n\t"
			 "testq %rax, %rax\n\tjnz 1f\n\t"
			 "andq $-16, %rsp\n\txorl %edi, %edi\n\tcall *%r9\n\tud2\n"
			 "1:\n\tpopq %rdx\n\t"
			 "movq %rbx, 0(%rdx)\n\tmovq %r12, 8(%rdx)\n\tmovq %r13, 16(%rdx)\n\t"
			 "movq %r14, 24(%rdx)\n\tmovq %r15, 32(%rdx)\n\t"
			 "movdqu %xmm6, 40(%rdx)\n\tmovdqu %xmm15, 56(%rdx)\n\t"
			 "movdqu %xmm0, 72(%rdx)\n\tmovdqu %xmm7, 88(%rdx)\n\t"
			 "stmxcsr 104(%rdx)\n\t"
			 "popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n\t"
			 "ret\n\t");
}

static long vfork_with_registers(void)
{
	char *stack = MUST(mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	struct registers in = { .mxcsr = 0x1f80 | 0x6000 }, out = { .mxcsr = 0 }, usual = { .mxcsr = 0x1f80 };
	long pid;

	for (int i = 0; i < WORDS; i++)
		in.general[i] = 0x0123456789abcd00u + (unsigned)i;
	for (int i = 0; i < 8; i++)
		in.vector[i] = 0xfedcba9876543200u + (unsigned)i;
	pid = clone_with_registers(stack + STACK_BYTES, &in, &out, child);
	__asm__ volatile("ldmxcsr %0" : : "m"(usual.mxcsr));
	EXPECT_EQ(memcmp(&in, &out, sizeof(in)), 0);
	return pid;
}

static pid_t make_child(void)
{
	pid_t pid;

	if (!is("plain"))
		return (pid_t)vfork_with_registers();
	pid = vfork();
	if (pid == 0)
		(void)child(NULL);
	return pid;
}

static void wait_as_sibling(void *unused)
{
	(void)unused;
	child_wait();
}

static void run_parent(void)
{
	pid_t sibling = 0, ended = 0;
	sigset_t before = { 0 }, after = { 0 };
	const struct timespec now = { 0 };
	char found[256];
	siginfo_t info;
	pid_t pid;

	move(open_named("a", "a"), FD_A);
	move(open_named("b", "b"), FD_B);
	move(open_named("closed", "closed"), FD_CLOSED);
	set_action(SIGHUP, SIG_IGN, 0);
	set_action(SIGUSR1, on_signal, SA_RESTART);
	MUST(sigprocmask(SIG_BLOCK, one_signal(SIGWINCH), NULL));
	MUST(sigprocmask(SIG_SETMASK, NULL, &before));
	if (is("siblings")) {
		sibling = test_fork(wait_as_sibling, NULL);
		ended = MUST(fork());
		if (ended == 0)
			_exit(3);
		MUST(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT));
		(void)sigtimedwait(one_signal(SIGCHLD), NULL, &now);
	}
	pid = make_child();
	EXPECT(pid > 0);
	EXPECT_EQ(memory, 2);
	expect_text(FD_A, "a");
	expect_text(FD_B, "b");
	expect_text(FD_CLOSED, "closed");
	EXPECT(fcntl(FD_OWN, F_GETFD) < 0);
	EXPECT(fcntl(FD_PIPE, F_GETFD) < 0);
	expect_action(SIGUSR1, on_signal, SA_RESTART);
	expect_action(SIGUSR2, SIG_DFL, 0);
	MUST(sigprocmask(SIG_SETMASK, NULL, &after));
	EXPECT_EQ(memcmp(&before, &after, sizeof(before)), 0);
	EXPECT(getcwd(found, sizeof(found)) != NULL);
	EXPECT_STR(found, cwd_before);
	EXPECT_EQ(umask(022), 022);
	EXPECT_EQ(getpgrp(), group_before);
	if (sibling) {
		test_end_child(sibling);
		EXPECT_EQ(test_reap(ended), 3 << 8);
	}
	EXPECT_EQ(test_reap(pid), CODE << 8);
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t parent;

	variant = argc > 1 ? argv[1] : "plain";
	test_start();
	(void)umask(022);
	EXPECT(getcwd(cwd_before, sizeof(cwd_before)) != NULL);
	group_before = getpgrp();
	stage = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(pipe(wake));
	parent = MUST(fork());
	if (parent == 0)
		run_parent();
	test_await(stage, SLEEPING);
	test_wait();
	test_post(stage, GO);
	EXPECT_EQ(write(wake[1], "", 1), 1);
	EXPECT_EQ(test_reap(parent), 0);
	return test_pass();
}
