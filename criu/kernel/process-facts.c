#include "kernel/process-facts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"
#include "kernel/bpf-program.h"
#include "kernel/pidfd.h"
#include "kernel/thread-facts.h"

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif
#ifndef SYS_lsm_list_modules
#define SYS_lsm_list_modules 461
#endif

#define CREDENTIAL_IDS  8
#define CAPABILITY_SETS 5
#define PIECE_BYTES     256 /* arrays go through the program's stack so much at a time */
#define AUXV_MAX        (2 * PIECE_BYTES)
#define OWN_FDS         64

#ifndef ARCH_GET_XCOMP_PERM
#define ARCH_GET_XCOMP_PERM 0x1022
#endif

/* --- what security modules keep with credentials ----------------------------------------------------------------- */

#define MODULES_MAX 32

/* linux/lsm.h; NULL: it keeps nothing there. */
static const struct {
	uint64_t id;
	const char *structure;
} modules[] = {
	{ 100, NULL },                     /* capability */
	{ 101, "task_security_struct" },   /* selinux */
	{ 105, NULL },                     /* yama */
	{ 106, NULL },                     /* loadpin */
	{ 108, NULL },                     /* lockdown */
	{ 109, NULL },                     /* bpf */
	{ 110, "landlock_cred_security" }, /* landlock */
	{ 111, NULL },                     /* ima */
	{ 112, NULL },                     /* evm */
	{ 113, NULL },                     /* ipe */
};

/* Appends what has to be known of the modules that are in use: so many, or -errno when one is not known. */
static int list_structures(struct btf_offset *ret, size_t room)
{
	uint64_t ids[MODULES_MAX];
	uint32_t size = sizeof(ids);
	long count = syscall(SYS_lsm_list_modules, ids, &size, 0);
	size_t found = 0;

	if (count < 0)
		return -errno;
	for (long i = 0; i < count; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(modules) && modules[k].id != ids[i])
			k++;
		if (k == ARRAY_SIZE(modules) || found == room)
			return -ENOENT;
		if (modules[k].structure)
			ret[found++] = (struct btf_offset){ modules[k].structure, "" };
	}
	return (int)found;
}

/* How long all of it is together, in whole words; -errno when that is not known. */
static int security_bytes(const struct btf_offset *structures, size_t count)
{
	int sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (structures[i].offset < 0)
			return -ENOENT;
		sum += (structures[i].offset + 7) & ~7;
	}
	return sum <= PROCESS_SECURITY_BYTES ? sum : -E2BIG;
}

/* --- the program ------------------------------------------------------------------------------------------------- */

#define RECORD      (-(int)sizeof(struct process_values))
#define AT(member)  ((int16_t)(RECORD + (int)offsetof(struct process_values, member)))
#define LIKE(m)     AT(likeness.m)
#define SLOT_TASK   ((int16_t)(RECORD - 8))
#define SLOT_OTHER  ((int16_t)(RECORD - 16))
#define SLOT_CRED   ((int16_t)(RECORD - 24))
#define SLOT_MM     ((int16_t)(RECORD - 32))
#define SLOT_SIGNAL ((int16_t)(RECORD - 40))
#define SLOT_HANDS  ((int16_t)(RECORD - 48)) /* sighand */

_Static_assert(sizeof(struct process_values) + 48 <= 512, "the stack of a BPF program");
_Static_assert(sizeof(struct process_values) % 8 == 0, "cleared in words");
_Static_assert(sizeof(struct process_values) >= PIECE_BYTES, "the arrays' pieces take the record's place");

enum {
	THREAD_PID,
	PID_LEVEL,
	PID_NUMBERS,
	TASK_PID,
	TASK_TGID,
	TASK_CRED,
	TASK_MM,
	TASK_SIGNAL,
	TASK_SIGHAND,
	TASK_FILES,
	TASK_FPU,
	FPU_STATES,
	FILES_TABLE,
	TABLE_CLOSE_ON_EXEC,
	CRED_UID,
	CRED_FSGID,
	CRED_FIRST_CAPS,
	CRED_LAST_CAPS,
	CRED_SECURITY,
	TASK_END,
	MM_AUXV,
	SIGNAL_LIMITS,
	SIGHAND_ACTION,
	OTHERS_COUNT,
};

static const struct btf_offset others[OTHERS_COUNT] = {
	[THREAD_PID] = { "task_struct", "thread_pid" },
	[PID_LEVEL] = { "pid", "level" },
	[PID_NUMBERS] = { "pid", "numbers" },
	[TASK_PID] = { "task_struct", "pid" },
	[TASK_TGID] = { "task_struct", "tgid" },
	[TASK_CRED] = { "task_struct", "cred" },
	[TASK_MM] = { "task_struct", "mm" },
	[TASK_SIGNAL] = { "task_struct", "signal" },
	[TASK_SIGHAND] = { "task_struct", "sighand" },
	[TASK_FILES] = { "task_struct", "files" },
	[TASK_FPU] = { "task_struct", "thread.fpu" },
	[FPU_STATES] = { "fpu", "perm.__state_perm" },
	[FILES_TABLE] = { "files_struct", "fdt" },
	[TABLE_CLOSE_ON_EXEC] = { "fdtable", "close_on_exec" },
	[CRED_UID] = { "cred", "uid" },
	[CRED_FSGID] = { "cred", "fsgid" },
	[CRED_FIRST_CAPS] = { "cred", "cap_inheritable" },
	[CRED_LAST_CAPS] = { "cred", "cap_ambient" },
	[CRED_SECURITY] = { "cred", "security" },
	[TASK_END] = { "task_struct", "" },
	[MM_AUXV] = { "mm_struct", "saved_auxv" },
	[SIGNAL_LIMITS] = { "signal_struct", "rlim" },
	[SIGHAND_ACTION] = { "sighand_struct", "action" },
};

#define OPTIONAL           BPF_VALUE_OPTIONAL
#define IN_TASK(m, t, n)   BPF_VALUE("task_struct", m, SLOT_TASK, t, n)
#define IN_CRED(m, t, n)   BPF_VALUE("cred", m, SLOT_CRED, t, n)
#define IN_MM(m, t, n)     BPF_VALUE("mm_struct", m, SLOT_MM, t, n)
#define IN_SIGNAL(m, t, n) BPF_VALUE("signal_struct", m, SLOT_SIGNAL, t, n)

static const struct bpf_value members[] = {
	IN_TASK("nsproxy", LIKE(namespaces), 8),
	IN_TASK("atomic_flags", LIKE(switches), 8),
	IN_TASK("thread_info.flags", LIKE(arch_switches), 8),
	IN_TASK("flags", LIKE(flags), 4),
	IN_TASK("personality", LIKE(personality), 4),
	OPTIONAL("task_struct", "thread.iopl_emul", SLOT_TASK, LIKE(port_level), 8),
	OPTIONAL("task_struct", "thread.io_bitmap", SLOT_TASK, LIKE(port_bitmap), 8),
	IN_TASK("clear_child_tid", AT(clear_tid), 8),
	IN_TASK("timer_slack_ns", AT(timer_slack_ns), 8),
	IN_TASK("sas_ss_sp", AT(sas_address), 8),
	IN_TASK("sas_ss_size", AT(sas_bytes), 8),
	IN_TASK("sas_ss_flags", AT(sas_flags), 4),
	IN_TASK("pdeath_signal", AT(pdeath_signal), 4),
	OPTIONAL("task_struct", "io_uring", SLOT_TASK, AT(io_uring), 8),
	OPTIONAL("task_struct", "mempolicy", SLOT_TASK, AT(numa_policy), 8),
	IN_CRED("uid", LIKE(ids), CREDENTIAL_IDS * 4), /* and those behind it */
	IN_CRED("cap_inheritable", LIKE(capabilities), CAPABILITY_SETS * 8),
	IN_CRED("securebits", LIKE(securebits), 4),
	IN_CRED("user_ns", LIKE(user_ns), 8),
	OPTIONAL("cred", "jit_keyring", SLOT_CRED, LIKE(jit_keyring), 1),
	OPTIONAL("cred", "session_keyring", SLOT_CRED, LIKE(session_keyring), 8),
	OPTIONAL("cred", "process_keyring", SLOT_CRED, LIKE(process_keyring), 8),
	OPTIONAL("cred", "thread_keyring", SLOT_CRED, LIKE(thread_keyring), 8),
	OPTIONAL("cred", "request_key_auth", SLOT_CRED, LIKE(request_key), 8),
	IN_MM("flags", LIKE(mm_flags), 8),
	IN_MM("def_flags", LIKE(mm_default_flags), 8),
	IN_MM("brk", AT(heap_end), 8),
	OPTIONAL("mm_struct", "context.ldt", SLOT_MM, LIKE(ldt), 8),
	OPTIONAL("mm_struct", "context.flags", SLOT_MM, LIKE(context), 8),
	OPTIONAL("mm_struct", "context.untag_mask", SLOT_MM, LIKE(untag_mask), 8),
	OPTIONAL("mm_struct", "context.pkey_allocation_map", SLOT_MM, LIKE(allocated_keys), 2),
	OPTIONAL("mm_struct", "context.execute_only_pkey", SLOT_MM, LIKE(execute_only_key), 2),
	OPTIONAL("mm_struct", "futex_phash", SLOT_MM, LIKE(futex_hash), 8),
	OPTIONAL("mm_struct", "membarrier_state", SLOT_MM, LIKE(membarrier), 4),
	IN_SIGNAL("it", AT(cpu_timers), 2 * sizeof(struct process_cpu_timer)),
	IN_SIGNAL("is_child_subreaper", LIKE(subreaper), 1),
	IN_SIGNAL("real_timer.state", AT(real_is_running), 1),
	IN_SIGNAL("it_real_incr", AT(real_interval), 8),
	IN_TASK("pending.signal", AT(pending), 8),
	IN_SIGNAL("shared_pending.signal", AT(shared_pending), 8),
};
#define MEMBERS ARRAY_SIZE(members)

/* What the program is built from. */
struct plan {
	struct bpf_value values[MEMBERS];
	struct btf_offset at[OTHERS_COUNT + MODULES_MAX];
	int state_components; /* offset in struct task_struct, or behind it */
	int security_bytes, auxv_bytes;
};

static int find_offsets(const struct btf *btf, struct plan *plan)
{
	struct btf_offset *at = plan->at;
	int modules_used = list_structures(at + OTHERS_COUNT, MODULES_MAX), fpu, r;

	if (modules_used < 0)
		return modules_used;
	memcpy(plan->values, members, sizeof(members));
	memcpy(at, others, sizeof(others));
	r = bpf_values_find(btf, plan->values, MEMBERS, at, OTHERS_COUNT + (size_t)modules_used);
	if (r < 0)
		return r;
	for (size_t i = 0; i < OTHERS_COUNT; i++)
		if (at[i].offset < 0 && i != TASK_FPU)
			return -ENOENT;
	if (at[CRED_FSGID].offset - at[CRED_UID].offset != (CREDENTIAL_IDS - 1) * 4 ||
	    at[CRED_LAST_CAPS].offset - at[CRED_FIRST_CAPS].offset != (CAPABILITY_SETS - 1) * 8)
		return -ENOENT;
	/* Since 6.16 the state of the processor stands behind the task, which is a whole number of cache lines. */
	fpu = at[TASK_FPU].offset < 0 ? at[TASK_END].offset : at[TASK_FPU].offset;
	plan->state_components = fpu + at[FPU_STATES].offset;
	plan->security_bytes = security_bytes(at + OTHERS_COUNT, (size_t)modules_used);
	return plan->security_bytes < 0 ? plan->security_bytes : 0;
}

static void emit_value(struct bpf_program *p, int16_t slot, int offset, int16_t to, int32_t bytes)
{
	bpf_emit_address(p, slot, offset);
	bpf_emit_fetch(p, to, bytes);
}

/* Only first threads have a record: the jump over it, whose distance is set at the end. */
static size_t emit_skip_others(struct bpf_program *p, const struct btf_offset *at)
{
	emit_value(p, SLOT_TASK, at[TASK_PID].offset, SLOT_OTHER, 4);
	emit_value(p, SLOT_TASK, at[TASK_TGID].offset, SLOT_CRED, 4);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_W, 1, 10, SLOT_OTHER, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_W, 2, 10, SLOT_CRED, 0);
	bpf_emit(p, BPF_JMP | BPF_JNE | BPF_X, 1, 2, 0, 0);
	return p->count - 1;
}

static void emit_values(struct bpf_program *p, const struct plan *plan)
{
	const struct btf_offset *at = plan->at;
	const struct bpf_pid_offsets pid_at = { at[THREAD_PID].offset, at[PID_LEVEL].offset, at[PID_NUMBERS].offset };

	bpf_emit_own_level(p, &pid_at, SLOT_OTHER, AT(pid));
	bpf_emit_number(p, &pid_at, SLOT_TASK, SLOT_OTHER, AT(pid), 4);
	bpf_emit_follow(p, SLOT_TASK, at[TASK_CRED].offset, SLOT_CRED);
	bpf_emit_follow(p, SLOT_TASK, at[TASK_MM].offset, SLOT_MM);
	bpf_emit_follow(p, SLOT_TASK, at[TASK_SIGNAL].offset, SLOT_SIGNAL);
	bpf_emit_follow(p, SLOT_TASK, at[TASK_SIGHAND].offset, SLOT_HANDS);
	bpf_emit_values(p, plan->values, MEMBERS);
	emit_value(p, SLOT_TASK, plan->state_components, LIKE(state_components), 8);
	if (plan->security_bytes) {
		bpf_emit_follow(p, SLOT_CRED, at[CRED_SECURITY].offset, SLOT_OTHER);
		emit_value(p, SLOT_OTHER, 0, LIKE(security), plan->security_bytes);
	}
	bpf_emit_follow(p, SLOT_TASK, at[TASK_FILES].offset, SLOT_OTHER);
	bpf_emit_follow(p, SLOT_OTHER, at[FILES_TABLE].offset, SLOT_OTHER);
	bpf_emit_follow(p, SLOT_OTHER, at[TABLE_CLOSE_ON_EXEC].offset, SLOT_OTHER);
	emit_value(p, SLOT_OTHER, 0, AT(close_on_exec), 8);
}

/* Behind the record, through its place on the stack. */
static void emit_array(struct bpf_program *p, int16_t slot, int offset, int bytes)
{
	for (int done = 0; done < bytes; done += PIECE_BYTES) {
		const int32_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;

		emit_value(p, slot, offset + done, (int16_t)RECORD, piece);
		bpf_emit_write(p, (int16_t)RECORD, piece);
	}
}

static int build(struct bpf_program *p, const struct plan *plan)
{
	size_t begin, skip, end;

	begin = bpf_emit_begin(p, BPF_CONTEXT_OBJECT, sizeof(struct process_values));
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 7, SLOT_TASK, 0);
	skip = emit_skip_others(p, plan->at);
	emit_values(p, plan);
	bpf_emit_write(p, (int16_t)RECORD, sizeof(struct process_values));
	emit_array(p, SLOT_SIGNAL, plan->at[SIGNAL_LIMITS].offset, PROCESS_LIMITS * sizeof(struct process_limit));
	emit_array(p, SLOT_HANDS, plan->at[SIGHAND_ACTION].offset, PROCESS_SIGNALS * sizeof(struct process_action));
	emit_array(p, SLOT_MM, plan->at[MM_AUXV].offset, plan->auxv_bytes);
	end = bpf_emit_close(p, begin);
	if (p->count > BPF_PROGRAM_MAX)
		return -E2BIG;
	p->insns[skip].off = (int16_t)(end - skip - 1);
	return 0;
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

#define ARRAYS_BYTES (PROCESS_LIMITS * sizeof(struct process_limit) + PROCESS_SIGNALS * sizeof(struct process_action))

static int auxv_bytes(uint64_t *words, size_t bytes)
{
	long r = prctl(PR_GET_AUXV, words, bytes, 0, 0);

	if (r < 0)
		return -errno;
	return r % 8 || (size_t)r > bytes ? -E2BIG : (int)r;
}

static struct process_values *record(const struct process_fact_list *list, size_t i)
{
	return (struct process_values *)(void *)(list->records.data + i * list->record_bytes);
}

/* pidfd: of the only one, -1: of all */
static int read_facts(int program_fd, int pidfd, struct process_fact_list *ret)
{
	uint64_t auxv[AUXV_MAX / 8];
	int auxv_size = auxv_bytes(auxv, sizeof(auxv));
	int r = auxv_size < 0 ? auxv_size : bpf_iterator_run(program_fd, pidfd, &ret->records);

	if (r < 0)
		return r;
	ret->record_bytes = sizeof(struct process_values) + ARRAYS_BYTES + (size_t)auxv_size;
	if (ret->records.bytes % ret->record_bytes)
		return -EIO;
	ret->count = ret->records.bytes / ret->record_bytes;
	for (size_t i = 0; i < ret->count; i++) {
		record(ret, i)->likeness.flags &= THREAD_FLAGS_TO_ASK_FOR;
		if (i > 0 && record(ret, i)->pid <= record(ret, i - 1)->pid)
			return -EIO;
	}
	return 0;
}

int process_facts_read(int program_fd, struct process_fact_list *ret)
{
	return read_facts(program_fd, -1, ret);
}

void process_facts_done(struct process_fact_list *list)
{
	buffer_done(&list->records);
	*list = (struct process_fact_list){ .count = 0 };
}

bool process_facts_find(const struct process_fact_list *list, pid_t pid, struct process_facts *ret)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const struct process_values *found = record(list, middle);

		if (found->pid == (uint64_t)pid) {
			ret->values = found;
			ret->limits = (const void *)(found + 1);
			ret->actions = (const void *)(ret->limits + PROCESS_LIMITS);
			ret->auxv = (const void *)(ret->actions + PROCESS_SIGNALS);
			ret->auxv_bytes = list->record_bytes - sizeof(*found) - ARRAYS_BYTES;
			return true;
		}
		if (found->pid < (uint64_t)pid)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* --- the proof on ourselves -------------------------------------------------------------------------------------- */

static bool is_true_of_arrays(const struct process_facts *own)
{
	uint64_t auxv[AUXV_MAX / 8];

	for (int i = 0; i < PROCESS_LIMITS; i++) {
		struct rlimit limit;

		if (getrlimit((__rlimit_resource_t)i, &limit) < 0 || limit.rlim_cur != own->limits[i].current ||
		    limit.rlim_max != own->limits[i].maximum)
			return false;
	}
	for (int i = 0; i < PROCESS_SIGNALS; i++) {
		struct process_action action;

		if (syscall(SYS_rt_sigaction, i + 1, NULL, &action, 8) < 0 ||
		    memcmp(&action, &own->actions[i], sizeof(action)) != 0)
			return false;
	}
	return auxv_bytes(auxv, sizeof(auxv)) == (int)own->auxv_bytes && !memcmp(auxv, own->auxv, own->auxv_bytes);
}

/* Uid and gid in turn: real, saved, effective, of the file system. */
static bool is_true_of_rights(const struct process_likeness *own)
{
	uid_t uid, euid, suid;
	gid_t gid, egid, sgid;

	return getresuid(&uid, &euid, &suid) == 0 && getresgid(&gid, &egid, &sgid) == 0 && own->ids[0] == uid &&
	       own->ids[1] == gid && own->ids[2] == suid && own->ids[3] == sgid && own->ids[4] == euid &&
	       own->ids[5] == egid && own->securebits == (uint32_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) &&
	       own->personality == (uint32_t)syscall(SYS_personality, 0xffffffff);
}

/* Other threads open and close theirs meanwhile: those to go by are what stays open, and the program's, which closes.
 */
static bool is_true_of_descriptors(uint64_t close_on_exec, int program_fd)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == 0 && close_on_exec >> fd & 1)
			return false;
	return program_fd >= OWN_FDS || close_on_exec >> program_fd & 1;
}

/* The values of the process, and of a thread what its first one has. */
static bool is_true_of_process(const struct process_values *own, uint64_t heap_end_before)
{
	struct itimerval timer = { 0 };
	uint64_t states = 0;

	/* Another thread may have made it longer. */
	return heap_end_before <= own->heap_end && own->heap_end <= (uint64_t)(uintptr_t)sbrk(0) &&
	       getitimer(ITIMER_REAL, &timer) == 0 &&
	       (timer.it_value.tv_sec || timer.it_value.tv_usec) == (own->real_is_running != 0) &&
	       (syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &states) < 0 ||
		(states & own->likeness.state_components) == states);
}

static int check(int program_fd)
{
	struct process_fact_list list = { .count = 0 };
	struct process_facts own;
	AUTO_CLOSE int pidfd = pidfd_open_pid(getpid());
	const uint64_t heap_end = (uint64_t)(uintptr_t)sbrk(0);
	int r = pidfd < 0 ? pidfd : read_facts(program_fd, pidfd, &list);

	if (r == 0 && !process_facts_find(&list, getpid(), &own))
		r = -EIO;
	if (r == 0 && !(is_true_of_arrays(&own) && is_true_of_rights(&own.values->likeness) &&
			is_true_of_descriptors(own.values->close_on_exec, program_fd) &&
			is_true_of_process(own.values, heap_end)))
		r = -EIO;
	process_facts_done(&list);
	return r;
}

int process_facts_open(void)
{
	uint64_t auxv[AUXV_MAX / 8];
	struct bpf_program program = { .count = 0 };
	struct plan plan = { .auxv_bytes = 0 };
	AUTO_CLOSE int fd = -1;
	const struct btf *btf;
	int r = btf_get(&btf);

	if (r == 0)
		r = find_offsets(btf, &plan);
	if (r >= 0)
		r = plan.auxv_bytes = auxv_bytes(auxv, sizeof(auxv));
	if (r >= 0)
		r = build(&program, &plan);
	if (r < 0)
		return r;
	fd = bpf_iterator_load(btf, "bpf_iter_task", program.insns, program.count);
	r = fd < 0 ? fd : check(fd);
	return r < 0 ? r : take_fd(&fd);
}
