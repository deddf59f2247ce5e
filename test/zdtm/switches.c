/*
 * Whatever a process or thread can switch on for itself and ask for again, each in a child of its own, set by its
 * leader and differently by a second thread: what the kernel says before the dump it has to say afterwards.
 */
#include "zdtmlib.h"

#include <linux/keyctl.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif
#ifndef PR_FUTEX_HASH
#define PR_FUTEX_HASH 78
#endif
#define THP_EXCEPT_ADVISED 2
#define GET_BARRIERS       (1 << 9)

/* The kernel's, of which the C library has an older one. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

enum { VALUES = 12 };

static struct attributes get_sched(void)
{
	struct attributes attributes = { 0 };

	MUST(syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0));
	return attributes;
}

static int set_sched(struct attributes attributes)
{
	attributes.size = sizeof(attributes);
	return (int)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

static void ask_sched(long *values)
{
	struct attributes a = get_sched();

	values[0] = a.policy;
	values[1] = (long)a.flags;
	values[2] = a.nice;
	values[3] = a.priority;
	values[4] = (long)a.runtime;
	values[5] = (long)a.deadline;
	values[6] = (long)a.period;
	values[7] = a.util_min;
	values[8] = a.util_max;
}

static int set_batch(bool second)
{
	return set_sched((struct attributes){ .policy = SCHED_BATCH, .nice = second ? 11 : 3 });
}

static int set_idle(bool second)
{
	/* Otherwise two places in the kernel have different ideas of it. */
	MUST(setpriority(PRIO_PROCESS, 0, 0));
	return set_sched((struct attributes){ .policy = SCHED_IDLE, .flags = second ? 1 : 0 });
}

static int set_fifo(bool second)
{
	return set_sched((struct attributes){ .policy = SCHED_FIFO, .priority = second ? 9 : 2, .flags = second });
}

static int set_round_robin(bool second)
{
	return set_sched((struct attributes){ .policy = SCHED_RR, .priority = second ? 1 : 50 });
}

/* Whoever is kept waiting for a millisecond by the machine has overrun its time, without us too. */
static int set_deadline(bool second)
{
	signal(SIGXCPU, SIG_IGN);
	return set_sched((struct attributes){ .policy = 6,
					      .flags = second ? 4 : 0,
					      .runtime = 1000000,
					      .deadline = second ? 50000000 : 60000000,
					      .period = 100000000 });
}

static int set_clamp(bool second)
{
	return set_sched(
	    (struct attributes){ .flags = 0x60, .util_min = second ? 10 : 20, .util_max = second ? 900 : 1000 });
}

static int set_slice(bool second)
{
	return set_sched((struct attributes){ .runtime = second ? 5000000 : 200000 });
}

static int set_slack(bool second)
{
	return prctl(PR_SET_TIMERSLACK, second ? 1 : 777777);
}

static void ask_slack(long *values)
{
	values[0] = prctl(PR_GET_TIMERSLACK);
}

static int set_io_flusher(bool second)
{
	return second ? 0 : prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

static void ask_io_flusher(long *values)
{
	values[0] = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0);
}

static int set_io_flusher_second(bool second)
{
	return second ? prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) : 0;
}

static int set_mce(bool second)
{
	return prctl(PR_MCE_KILL, PR_MCE_KILL_SET, second ? PR_MCE_KILL_LATE : PR_MCE_KILL_EARLY, 0, 0);
}

static int set_mce_second(bool second)
{
	return second ? prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) : 0;
}

static void ask_mce(long *values)
{
	values[0] = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
}

static int set_speculation(bool second)
{
	unsigned long how = second ? PR_SPEC_FORCE_DISABLE : PR_SPEC_DISABLE;
	int r = -1;

	for (unsigned long what = 0; what < 3; what++)
		r = prctl(PR_SET_SPECULATION_CTRL, what, how, 0, 0) == 0 ? 0 : r;
	return r;
}

static void ask_speculation(long *values)
{
	for (unsigned long what = 0; what < 4; what++)
		values[what] = prctl(PR_GET_SPECULATION_CTRL, what, 0, 0, 0);
}

static int set_memory_policy(bool second)
{
	unsigned long nodes = 1;

	return (int)syscall(SYS_set_mempolicy, second ? MPOL_INTERLEAVE : MPOL_BIND, &nodes, 8);
}

static int set_memory_policy_flags(bool second)
{
	unsigned long nodes = 1;

	return (int)syscall(SYS_set_mempolicy, second ? MPOL_LOCAL : MPOL_PREFERRED | MPOL_F_STATIC_NODES,
			    second ? NULL : &nodes, second ? 0 : 8);
}

static void ask_memory_policy(long *values)
{
	unsigned long nodes[16] = { 0 };
	int mode = -1;

	MUST(syscall(SYS_get_mempolicy, &mode, nodes, sizeof(nodes) * 8, NULL, 0));
	values[0] = mode;
	values[1] = (long)nodes[0];
}

static int set_io_priority(bool second)
{
	return (int)syscall(SYS_ioprio_set, 1, 0, second ? 3 << 13 : 2 << 13 | 6);
}

static void ask_io_priority(long *values)
{
	values[0] = syscall(SYS_ioprio_get, 1, 0);
}

static int set_affinity(bool second)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(second ? 0 : sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static void ask_affinity(long *values)
{
	cpu_set_t set;

	MUST(sched_getaffinity(0, sizeof(set), &set));
	memcpy(values, &set, VALUES * sizeof(long) < sizeof(set) ? VALUES * sizeof(long) : sizeof(set));
}

/* The signal is forgotten when the ids change, which a restore does as well. */
static int set_death_signal(bool second)
{
	/* Of this thread alone, which the C library would not do. */
	if (!second && (syscall(SYS_setresgid, 1234, 1234, 1234) < 0 || syscall(SYS_setresuid, 1234, 1234, 1234) < 0))
		return -1;
	return prctl(PR_SET_PDEATHSIG, second ? SIGUSR2 : SIGWINCH);
}

static void ask_death_signal(long *values)
{
	int signo = -1;

	MUST(prctl(PR_GET_PDEATHSIG, &signo));
	values[0] = signo;
	values[1] = getuid();
}

static int set_huge_pages(bool second)
{
	return second ? 0 : prctl(PR_SET_THP_DISABLE, 1, THP_EXCEPT_ADVISED, 0, 0);
}

static int set_huge_pages_off(bool second)
{
	return second ? 0 : prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

static void ask_huge_pages(long *values)
{
	values[0] = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
}

static int set_mdwe(bool second)
{
	return second ? 0 : prctl(PR_SET_MDWE, 1, 0, 0, 0);
}

static int set_mdwe_here(bool second)
{
	return second ? 0 : prctl(PR_SET_MDWE, 3, 0, 0, 0);
}

static void ask_mdwe(long *values)
{
	values[0] = prctl(PR_GET_MDWE, 0, 0, 0, 0);
}

static int write_own(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

static int set_core_filter(bool second)
{
	return second ? 0 : write_own("/proc/self/coredump_filter", "0x55");
}

static void ask_core_filter(long *values)
{
	values[0] = strtol(test_slurp("/proc/self/coredump_filter"), NULL, 16);
}

static int set_login(bool second)
{
	/* Inherited by threads made later; here both set it. */
	(void)second;
	return write_own("/proc/thread-self/loginuid", "4321");
}

static void ask_login(long *values)
{
	values[0] = strtol(test_slurp("/proc/thread-self/loginuid"), NULL, 10);
}

static int set_keep_caps(bool second)
{
	return prctl(PR_SET_KEEPCAPS, second ? 0 : 1, 0, 0, 0);
}

static void ask_keep_caps(long *values)
{
	values[0] = prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0);
	values[1] = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
}

static int set_tsc(bool second)
{
	return second ? prctl(PR_SET_TSC, PR_TSC_SIGSEGV) : 0;
}

static void ask_tsc(long *values)
{
	int mode = -1;

	(void)prctl(PR_GET_TSC, &mode);
	values[0] = mode;
}

static int set_cpuid(bool second)
{
	return second ? (int)syscall(SYS_arch_prctl, 0x1012, 0) : 0;
}

static void ask_cpuid(long *values)
{
	values[0] = syscall(SYS_arch_prctl, 0x1011, 0);
}

static int set_futex_buckets(bool second)
{
	return second ? 0 : prctl(PR_FUTEX_HASH, 1, 64, 0, 0);
}

static int set_global_futex_buckets(bool second)
{
	return second ? 0 : prctl(PR_FUTEX_HASH, 1, 0, 0, 0);
}

static void ask_futex_buckets(long *values)
{
	values[0] = prctl(PR_FUTEX_HASH, 2, 0, 0, 0);
}

static int set_request_keyring(bool second)
{
	long which = second ? KEY_REQKEY_DEFL_USER_KEYRING : KEY_REQKEY_DEFL_USER_SESSION_KEYRING;

	return (int)syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, which);
}

static void ask_request_keyring(long *values)
{
	values[0] = syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE);
}

/* Two of the kinds of barriers that a process may ask for once it has said so. */
static int set_barriers(bool second)
{
	long r = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);

	(void)second;
	return (int)(r < 0 ? r : syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
}

static void ask_barriers(long *values)
{
	values[0] = syscall(SYS_membarrier, GET_BARRIERS, 0, 0);
	values[1] = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static const struct row {
	const char *name;
	int (*set)(bool second);
	void (*ask)(long *values);
	bool is_shared; /* by all threads: set by the leader */
} rows[] = {
	{ "SCHED_BATCH", set_batch, ask_sched },
	{ "SCHED_IDLE", set_idle, ask_sched },
	{ "SCHED_FIFO", set_fifo, ask_sched },
	{ "SCHED_RR", set_round_robin, ask_sched },
	{ "SCHED_DEADLINE", set_deadline, ask_sched },
	{ "utilisation clamp", set_clamp, ask_sched },
	{ "slice", set_slice, ask_sched },
	{ "timer slack", set_slack, ask_slack },
	{ "I/O flusher", set_io_flusher, ask_io_flusher },
	{ "I/O flusher of a thread", set_io_flusher_second, ask_io_flusher },
	{ "memory errors", set_mce, ask_mce },
	{ "memory errors of a thread", set_mce_second, ask_mce },
	{ "speculation", set_speculation, ask_speculation },
	{ "memory policy", set_memory_policy, ask_memory_policy },
	{ "memory policy with flags", set_memory_policy_flags, ask_memory_policy },
	{ "I/O priority", set_io_priority, ask_io_priority },
	{ "affinity", set_affinity, ask_affinity },
	{ "parent death signal", set_death_signal, ask_death_signal },
	{ "huge pages but on advice", set_huge_pages, ask_huge_pages, true },
	{ "huge pages", set_huge_pages_off, ask_huge_pages, true },
	{ "MDWE", set_mdwe, ask_mdwe, true },
	{ "MDWE not for children", set_mdwe_here, ask_mdwe, true },
	{ "futex buckets", set_futex_buckets, ask_futex_buckets, true },
	{ "futex buckets of all", set_global_futex_buckets, ask_futex_buckets, true },
	{ "barriers", set_barriers, ask_barriers, true },
	{ "keyring for keys requested", set_request_keyring, ask_request_keyring },
	{ "core dump filter", set_core_filter, ask_core_filter, true },
	{ "login uid", set_login, ask_login },
	{ "keep capabilities", set_keep_caps, ask_keep_caps },
	{ "CPUID", set_cpuid, ask_cpuid },
	{ "time stamp counter", set_tsc, ask_tsc },
};
enum { COUNT = sizeof(rows) / sizeof(rows[0]) };

static volatile int ready, go;

static void check(const struct row *row, bool second, const long *before)
{
	long now[VALUES] = { 0 };

	row->ask(now);
	for (int i = 0; i < VALUES; i++)
		if (now[i] != before[i])
			FAIL("%s%s, value %d: expected %#lx, found %#lx", row->name, second ? " (second thread)" : "",
			     i, before[i], now[i]);
}

static void *act_second(void *arg)
{
	const struct row *row = arg;
	long before[VALUES] = { 0 };

	if (!row->is_shared)
		(void)row->set(true);
	row->ask(before);
	test_post(&ready, 1);
	test_await(&go, 1);
	if (!row->is_shared)
		check(row, true, before);
	return NULL;
}

/* What this kernel does not have stays as it is, and is compared all the same. */
static void act(void *arg)
{
	const struct row *row = arg;
	long before[VALUES] = { 0 };
	pthread_t thread;

	EXPECT_EQ(pthread_create(&thread, NULL, act_second, arg), 0);
	test_await(&ready, 1);
	if (row->set(false) < 0)
		printf("# %s: %s\n", row->name, strerror(errno));
	fflush(stdout);
	row->ask(before);
	child_wait();
	check(row, false, before);
	test_post(&go, 1);
	EXPECT_EQ(pthread_join(thread, NULL), 0);
}

int main(void)
{
	pid_t pids[COUNT];

	test_start();
	for (int i = 0; i < COUNT; i++)
		pids[i] = test_fork(act, (void *)&rows[i]);
	test_wait();
	for (int i = 0; i < COUNT; i++)
		test_end_child(pids[i]);
	return test_pass();
}
