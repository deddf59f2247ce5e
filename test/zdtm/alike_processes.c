/*
 * Forty processes that are all alike, and with each of them one that differs from it in a single respect, which nothing
 * but code inside of it is told by an interface. Each looks at all of these respects before and after: no difference
 * may be lost, and none may reach another process.
 *
 *	confined: one of them is in a Landlock domain; keyring: one has a session keyring of its own
 */
#include <asm/ldt.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <linux/securebits.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "zdtmlib.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif
#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif

#define GET_CPUID 0x1011
#define SET_CPUID 0x1012

#define PLAIN 40
#define PAGE  4096

static char signal_stack[65536];
static char *page; /* of its own mapping, there in all of them */

static void no_handler(int signal)
{
	(void)signal;
}

/* Some number that depends on all of it. */
static uint64_t sum(const void *data, size_t bytes)
{
	uint64_t result = 14695981039346656037ull;

	for (size_t i = 0; i < bytes; i++)
		result = (result ^ ((const unsigned char *)data)[i]) * 1099511628211ull;
	return result;
}

static uint64_t get_actions(void)
{
	uint64_t actions[64][4] = { 0 };

	for (int i = 0; i < 64; i++)
		(void)syscall(SYS_rt_sigaction, i + 1, NULL, actions[i], 8);
	return sum(actions, sizeof(actions));
}

static int set_handler(void)
{
	struct sigaction action = { .sa_handler = no_handler, .sa_flags = SA_ONSTACK | SA_NODEFER };

	(void)sigaddset(&action.sa_mask, SIGUSR2);
	return sigaction(SIGUSR1, &action, NULL);
}

static int set_ignored(void)
{
	return signal(SIGHUP, SIG_IGN) == SIG_ERR ? -1 : 0;
}

static int set_no_zombies(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT | SA_NOCLDSTOP };

	return sigaction(SIGCHLD, &action, NULL);
}

static uint64_t get_limits(void)
{
	struct rlimit limits[RLIM_NLIMITS] = { 0 };

	for (int i = 0; i < RLIM_NLIMITS; i++)
		(void)getrlimit((__rlimit_resource_t)i, &limits[i]);
	return sum(limits, sizeof(limits));
}

static int set_limit(void)
{
	struct rlimit limit = { 100, 200 };

	return setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t get_timer(int which)
{
	struct itimerval timer = { 0 };

	(void)getitimer((__itimer_which_t)which, &timer);
	return (uint64_t)timer.it_interval.tv_sec << 1 | (timer.it_value.tv_sec || timer.it_value.tv_usec);
}

static int set_timer(int which)
{
	const struct itimerval timer = { .it_interval = { 5000, 0 }, .it_value = { 4000, 0 } };

	return setitimer((__itimer_which_t)which, &timer, NULL);
}

static uint64_t get_real_timer(void)
{
	return get_timer(ITIMER_REAL);
}

static uint64_t get_virtual_timer(void)
{
	return get_timer(ITIMER_VIRTUAL);
}

static uint64_t get_profiling_timer(void)
{
	return get_timer(ITIMER_PROF);
}

static int set_real_timer(void)
{
	return set_timer(ITIMER_REAL);
}

static int set_real_timer_once(void)
{
	const struct itimerval timer = { .it_value = { 4000, 0 } };

	return setitimer(ITIMER_REAL, &timer, NULL);
}

static int set_virtual_timer(void)
{
	return set_timer(ITIMER_VIRTUAL);
}

static int set_profiling_timer(void)
{
	return set_timer(ITIMER_PROF);
}

static uint64_t get_death_signal(void)
{
	int signal = 0;

	(void)prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0);
	return (uint64_t)signal;
}

static int set_death_signal(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGUSR2, 0, 0, 0);
}

static uint64_t get_subreaper(void)
{
	int is_set = 0;

	(void)prctl(PR_GET_CHILD_SUBREAPER, &is_set, 0, 0, 0);
	return (uint64_t)is_set;
}

static uint64_t get_tsc(void)
{
	int mode = 0;

	(void)prctl(PR_GET_TSC, &mode, 0, 0, 0);
	return (uint64_t)mode;
}

/* Switches of prctl(2): what reads them, what sets them to which value. */
static const struct prctl_switch {
	int get, set;
	unsigned long argument, to;
} switches[] = {
	{ PR_GET_TIMERSLACK, PR_SET_TIMERSLACK, 0, 123456 },
	{ PR_GET_DUMPABLE, PR_SET_DUMPABLE, 0, 0 },
	{ PR_GET_THP_DISABLE, PR_SET_THP_DISABLE, 0, 1 },
	{ PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS, 0, 1 },
	{ PR_GET_SECUREBITS, PR_SET_SECUREBITS, 0, SECBIT_NOROOT | SECBIT_KEEP_CAPS },
	{ PR_GET_MEMORY_MERGE, PR_SET_MEMORY_MERGE, 0, 1 },
	{ PR_GET_MDWE, PR_SET_MDWE, 0, 1 },
	{ PR_GET_IO_FLUSHER, PR_SET_IO_FLUSHER, 0, 1 },
	{ PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE },
	{ PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_DISABLE },
};
#define SWITCHES (sizeof(switches) / sizeof(switches[0]))

static uint64_t get_switch(size_t i)
{
	return (uint64_t)prctl(switches[i].get, switches[i].argument, 0, 0, 0);
}

static int set_switch(size_t i)
{
	const struct prctl_switch *one = &switches[i];

	return one->argument ? prctl(one->set, one->argument, one->to, 0, 0) : prctl(one->set, one->to, 0, 0, 0);
}

static int set_subreaper(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static int set_tsc(void)
{
	return prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
}

static uint64_t get_cpuid(void)
{
	return (uint64_t)syscall(SYS_arch_prctl, GET_CPUID, 0);
}

static int set_cpuid(void)
{
	return (int)syscall(SYS_arch_prctl, SET_CPUID, 0);
}

static uint64_t get_machine_check(void)
{
	return (uint64_t)prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
}

static int set_machine_check(void)
{
	return prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
}

static uint64_t get_barriers(void)
{
	return (uint64_t)syscall(SYS_membarrier, 1 << 9 /* MEMBARRIER_CMD_GET_REGISTRATIONS */, 0, 0);
}

static int set_barriers(void)
{
	return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

static uint64_t get_personality(void)
{
	return (uint64_t)personality(0xffffffff);
}

static int set_personality(void)
{
	return personality(ADDR_NO_RANDOMIZE);
}

static uint64_t get_task_policy(void)
{
	int mode = 0;

	return syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) < 0 ? 0 : (uint64_t)mode;
}

static int set_task_policy(void)
{
	unsigned long nodes = 1;

	return (int)syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64);
}

static uint64_t get_signal_stack(void)
{
	stack_t stack = { 0 };

	(void)sigaltstack(NULL, &stack);
	return sum(&stack.ss_sp, sizeof(stack.ss_sp)) + stack.ss_size + (uint64_t)(unsigned int)stack.ss_flags;
}

static int set_signal_stack(void)
{
	const stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };

	return sigaltstack(&stack, NULL);
}

static uint64_t get_tid_address(void)
{
	uint64_t address = 0;

	(void)prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0);
	return address;
}

static int set_tid_address_elsewhere(void)
{
	return syscall(SYS_set_tid_address, signal_stack) < 0 ? -1 : 0;
}

static const int descriptors[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, 20, 21 };

static uint64_t get_descriptors(void)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++)
		flags = flags * 3 + (uint64_t)(fcntl(descriptors[i], F_GETFD) + 1);
	return flags;
}

static int set_close_on_exec(void)
{
	return fcntl(STDIN_FILENO, F_SETFD, FD_CLOEXEC);
}

static int set_far_descriptor(void)
{
	return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 700) < 0 ? -1 : 0;
}

static uint64_t get_far_descriptor(void)
{
	return (uint64_t)(fcntl(700, F_GETFD) + 1);
}

static uint64_t get_heap_end(void)
{
	return (uint64_t)(uintptr_t)sbrk(0);
}

static int set_heap_end(void)
{
	return sbrk(3 * PAGE + 100) == (void *)-1 ? -1 : 0;
}

static uint64_t get_auxv(void)
{
	uint64_t words[128] = { 0 };

	(void)prctl(PR_GET_AUXV, words, sizeof(words), 0, 0);
	return sum(words, sizeof(words));
}

static int set_auxv(void)
{
	uint64_t words[] = { 6, 4096, 17, 100, 0, 0 }; /* AT_PAGESZ, AT_CLKTCK, AT_NULL */

	return prctl(PR_SET_MM, PR_SET_MM_AUXV, words, sizeof(words), 0);
}

static uint64_t get_segments(void)
{
	char room[256];

	return (uint64_t)syscall(SYS_modify_ldt, 0, room, sizeof(room));
}

static int set_segment(void)
{
	struct user_desc segment = { .entry_number = 3, .limit = 100, .seg_32bit = 1, .useable = 1 };

	return (int)syscall(SYS_modify_ldt, 1, &segment, sizeof(segment));
}

/* Whether what is mapped from now on is locked. */
static uint64_t get_future_locks(void)
{
	char *new = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const bool is_locked = madvise(new, PAGE, 20 /* MADV_COLD */) < 0;

	(void)munmap(new, PAGE);
	return is_locked;
}

static int set_future_locks(void)
{
	return mlockall(MCL_FUTURE);
}

static uint64_t get_page_policy(void)
{
	int mode = 0;

	return syscall(SYS_get_mempolicy, &mode, NULL, 0, page, MPOL_F_ADDR) < 0 ? 0 : (uint64_t)mode;
}

static int set_page_policy(void)
{
	unsigned long nodes = 1;

	return (int)syscall(SYS_mbind, page, PAGE, MPOL_BIND, &nodes, 64, 0);
}

static int set_ids(void)
{
	return setresgid(1001, 1002, 1001) < 0 ? -1 : setresuid(1001, 1001, 0);
}

static uint64_t get_ids(void)
{
	uid_t uids[3];
	gid_t gids[3];

	return getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0
		   ? 0
		   : sum(uids, sizeof(uids)) + sum(gids, sizeof(gids));
}

static const struct respect {
	uint64_t (*get)(void);
	int (*set)(void);
} respects[] = {
	{ get_actions, set_handler },
	{ get_actions, set_ignored },
	{ get_actions, set_no_zombies },
	{ get_limits, set_limit },
	{ get_real_timer, set_real_timer },
	{ get_real_timer, set_real_timer_once },
	{ get_virtual_timer, set_virtual_timer },
	{ get_profiling_timer, set_profiling_timer },
	{ get_death_signal, set_death_signal },
	{ get_subreaper, set_subreaper },
	{ get_tsc, set_tsc },
	{ get_cpuid, set_cpuid },
	{ get_machine_check, set_machine_check },
	{ get_barriers, set_barriers },
	{ get_personality, set_personality },
	{ get_task_policy, set_task_policy },
	{ get_signal_stack, set_signal_stack },
	{ get_tid_address, set_tid_address_elsewhere },
	{ get_descriptors, set_close_on_exec },
	{ get_far_descriptor, set_far_descriptor },
	{ get_heap_end, set_heap_end },
	{ get_auxv, set_auxv },
	{ get_segments, set_segment },
	{ get_future_locks, set_future_locks },
	{ get_page_policy, set_page_policy },
	{ get_ids, set_ids },
};
#define RESPECTS (sizeof(respects) / sizeof(respects[0]))

static void look(uint64_t found[RESPECTS + SWITCHES])
{
	for (size_t i = 0; i < RESPECTS; i++)
		found[i] = respects[i].get();
	for (size_t i = 0; i < SWITCHES; i++)
		found[RESPECTS + i] = get_switch(i);
}

static void wait_and_compare(void)
{
	uint64_t before[RESPECTS + SWITCHES], after[RESPECTS + SWITCHES];

	look(before);
	child_wait();
	look(after);
	for (size_t i = 0; i < RESPECTS + SWITCHES; i++)
		if (before[i] != after[i])
			FAIL("respect %zu: expected %#llx, found %#llx", i, (unsigned long long)before[i],
			     (unsigned long long)after[i]);
}

static void be_plain(void *arg)
{
	(void)arg;
	wait_and_compare();
}

/* What this machine does not have is no difference. */
static void differ(void *arg)
{
	const size_t i = (size_t)(uintptr_t)arg;

	if (i >= RESPECTS)
		(void)set_switch(i - RESPECTS);
	else
		(void)respects[i].set();
	wait_and_compare();
}

static void be_confined(void *arg)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK };
	const int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	(void)arg;
	if (ruleset < 0)
		test_skip("no Landlock here");
	MUST(syscall(SYS_landlock_restrict_self, ruleset, 0));
	MUST(close(ruleset));
	child_wait();
}

static void have_keyring(void *arg)
{
	char text[64];

	(void)arg;
	MUST(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "alike"));
	child_wait();
	MUST(syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof(text)));
	EXPECT(strstr(text, ";alike"));
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	pid_t pids[PLAIN + RESPECTS + SWITCHES + 1];
	size_t count = 0;

	test_start();
	page = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 20));
	MUST(fcntl(STDIN_FILENO, F_DUPFD, 21));
	if (strcmp(kind, "confined") == 0)
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); /* which the domain asks for, and would tell */
	for (size_t i = 0; i < PLAIN; i++)
		pids[count++] = test_fork(be_plain, NULL);
	if (strcmp(kind, "confined") == 0)
		pids[count++] = test_fork(be_confined, NULL);
	else if (strcmp(kind, "keyring") == 0)
		pids[count++] = test_fork(have_keyring, NULL);
	else
		for (size_t i = 0; i < RESPECTS + SWITCHES; i++)
			pids[count++] = test_fork(differ, (void *)(uintptr_t)i);
	test_wait();
	for (size_t i = 0; i < count; i++)
		test_end_child(pids[i]);
	return test_pass();
}
