/*
 * The restorer blob reports a step, an errno and two numbers; here they become a sentence that names the object. A
 * failure in the engine's own code brings its sentence along.
 */
#include "engine/restore-failure.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/util.h"
#include "engine/restore-check.h"
#include "engine/restore.h"
#include "kernel/process-end.h"
#include "mm/restore-area.h"
#include "pie/restorer-border.h"

enum detail {
	DETAIL_NONE,
	DETAIL_RANGE, /* start and end of a mapping */
	DETAIL_ADDRESS,
	DETAIL_NUMBER,
	DETAIL_SIGNAL,
};

static const struct {
	const char *name;
	enum detail detail;
	const char *what; /* in front of the number */
} steps[STEP_COUNT] = {
	[STEP_BEFORE] = { "prepare", DETAIL_NONE, NULL },
	[STEP_UNMAP] = { "unmap the restorer's memory", DETAIL_NONE, NULL },
	[STEP_CREATE] = { "create processes", DETAIL_NONE, NULL },
	[STEP_SOCKET] = { "make a socket for its files", DETAIL_NONE, NULL },
	[STEP_TAKE] = { "take over the file of descriptor", DETAIL_NUMBER, "" },
	[STEP_DIRECTORY] = { "change to its working directory", DETAIL_NONE, NULL },
	[STEP_GROUP] = { "start its process group or session", DETAIL_NONE, NULL },
	[STEP_OPEN_PAGES] = { "open its pages file", DETAIL_NONE, NULL },
	[STEP_VDSO] = { "map the vdso", DETAIL_ADDRESS, "at" },
	[STEP_KEYS] = { "allocate or free protection keys", DETAIL_NUMBER, "" },
	[STEP_MAP] = { "map memory", DETAIL_RANGE, NULL },
	[STEP_USERFAULTFD] = { "fill large memory", DETAIL_NONE, NULL },
	[STEP_READ_PAGES] = { "read page contents", DETAIL_ADDRESS, "for" },
	[STEP_PROTECT] = { "set the protection of", DETAIL_RANGE, NULL },
	[STEP_RING_GAP] = { "fill the address space", DETAIL_ADDRESS, "from" },
	[STEP_RING_MAP] = { "map the rings of an io_uring", DETAIL_ADDRESS, "at" },
	[STEP_AIO_SETUP] = { "make the AIO context", DETAIL_ADDRESS, "at" },
	[STEP_AIO_MOVE] = { "move the ring of the AIO context", DETAIL_ADDRESS, "to" },
	[STEP_AIO_FILL] = { "complete requests of the AIO context", DETAIL_ADDRESS, "at" },
	[STEP_MADVISE] = { "madvise", DETAIL_ADDRESS, "memory at" },
	[STEP_MBIND] = { "set the NUMA policy of", DETAIL_RANGE, NULL },
	[STEP_GUARD] = { "install guard pages", DETAIL_RANGE, NULL },
	[STEP_LOCK] = { "lock memory", DETAIL_RANGE, NULL },
	[STEP_LOCK_FUTURE] = { "lock the memory that it will map", DETAIL_NONE, NULL },
	[STEP_RING_BUFFERS] = { "register buffers in the io_uring with descriptor", DETAIL_NUMBER, "" },
	[STEP_MM_MAP] = { "set the memory layout and the exe link (PR_SET_MM_MAP)", DETAIL_NONE, NULL },
	[STEP_THREAD_FILE] = { "open what stands for a thread", DETAIL_NUMBER, "as descriptor" },
	[STEP_WATCH] = { "watch a thread", DETAIL_NUMBER, "by descriptor" },
	[STEP_FILE_LOCK] = { "take a record lock again", DETAIL_NUMBER, "of descriptor" },
	[STEP_RING_NUMBER] = { "give an io_uring a number of the thread's own", DETAIL_NUMBER, "" },
	[STEP_SEAL] = { "seal memory", DETAIL_RANGE, NULL },
	[STEP_MDWE] = { "deny memory that is writable and executable", DETAIL_NONE, NULL },
	[STEP_PERSONALITY] = { "set the personality", DETAIL_NUMBER, "" },
	[STEP_SIGACTION] = { "set the handler", DETAIL_SIGNAL, NULL },
	[STEP_THREAD] = { "create thread", DETAIL_NUMBER, "" },
	[STEP_ROBUST_LIST] = { "set the robust futex list", DETAIL_ADDRESS, "at" },
	[STEP_SIGALTSTACK] = { "set the alternate signal stack", DETAIL_ADDRESS, "at" },
	[STEP_COMM] = { "set the name", DETAIL_NONE, NULL },
	[STEP_TIMER_SLACK] = { "set the timer slack", DETAIL_NUMBER, "to" },
	[STEP_IO_FLUSHER] = { "set the I/O flusher state", DETAIL_NONE, NULL },
	[STEP_MCE_KILL] = { "set the machine check policy", DETAIL_NUMBER, "" },
	[STEP_TSC] = { "make the time stamp counter fault", DETAIL_NONE, "" },
	[STEP_CPUID] = { "make the CPUID instruction fault", DETAIL_NONE, "" },
	[STEP_MEMPOLICY] = { "set the memory policy", DETAIL_NUMBER, "" },
	[STEP_IOPL] = { "let it use I/O ports (iopl), level", DETAIL_NUMBER, "" },
	[STEP_REQUEST_KEYRING] = { "choose where request_key() puts keys", DETAIL_NUMBER, "" },
	[STEP_FUTEX_HASH] = { "set how many buckets its futexes have", DETAIL_NUMBER, "to" },
	[STEP_SPECULATION] = { "set the speculation control", DETAIL_NUMBER, "" },
	[STEP_PENDING_SIGNAL] = { "queue a pending signal", DETAIL_SIGNAL, NULL },
	[STEP_CAPABILITIES] = { "set capabilities", DETAIL_NONE, NULL },
	[STEP_BOUNDING_SET] = { "drop from the bounding set capability", DETAIL_NUMBER, "" },
	[STEP_AMBIENT_SET] = { "raise ambient capability", DETAIL_NUMBER, "" },
	[STEP_GROUPS] = { "set supplementary groups", DETAIL_NONE, NULL },
	[STEP_GROUP_IDS] = { "set group id", DETAIL_NUMBER, "" },
	[STEP_USER_IDS] = { "set user id", DETAIL_NUMBER, "" },
	[STEP_SECUREBITS] = { "set the secure bits", DETAIL_NUMBER, "" },
	[STEP_NO_NEW_PRIVS] = { "set no_new_privs", DETAIL_NONE, NULL },
	[STEP_SECCOMP] = { "install seccomp filter", DETAIL_NUMBER, "number" },
	[STEP_PDEATH_SIGNAL] = { "set the parent death signal", DETAIL_SIGNAL, NULL },
	[STEP_RSEQ] = { "register restartable sequences", DETAIL_ADDRESS, "at" },
	[STEP_DUMPABLE] = { "set the dumpable state", DETAIL_NUMBER, "" },
	[STEP_THP] = { "switch transparent huge pages off", DETAIL_NONE, NULL },
	[STEP_KSM] = { "switch memory merging on", DETAIL_NONE, NULL },
	[STEP_SUBREAPER] = { "set the child subreaper", DETAIL_NONE, NULL },
	[STEP_MEMBARRIER] = { "register for membarrier", DETAIL_NUMBER, "command bit" },
	[STEP_LDT] = { "set its segment descriptors", DETAIL_NUMBER, "number" },
	[STEP_COMPONENT] = { "ask for the use of processor state (ARCH_REQ_XCOMP_PERM)", DETAIL_NUMBER, "component" },
	[STEP_POSIX_TIMER] = { "make POSIX timer", DETAIL_NUMBER, "" },
	[STEP_ITIMER] = { "set interval timer", DETAIL_NUMBER, "" },
	[STEP_RLIMIT] = { "set resource limit", DETAIL_NUMBER, "number" },
	[STEP_READY] = { "wait for the others", DETAIL_NONE, NULL },
};

static const char *step_name(uint32_t step)
{
	return step < STEP_COUNT && steps[step].name ? steps[step].name : "an unknown step";
}

const char *restore_task_name(const struct restore_task *task, char *buffer, unsigned long bytes)
{
	const char *comm = task->image ? task->image->threads[0].core->tc->comm : NULL;

	if (comm)
		(void)snprintf(buffer, bytes, "pid %d (%s)", task->pid, comm);
	else
		(void)snprintf(buffer, bytes, "helper process %d", task->pid);
	return buffer;
}

/* What is mapped there, for sentences about a mapping. */
static const char *file_of_mapping(const struct restore *r, const struct restore_task *task, uint64_t start)
{
	const MmEntry *mm = task->image ? task->image->mm : NULL;

	for (size_t i = 0; mm && i < mm->n_vmas; i++) {
		const struct checked_file *file;

		if (mm->vmas[i]->start != start || !mm->vmas[i]->shmid)
			continue;
		file = checked_set_find_typed_file(r->images, FD_TYPES__REG, (uint32_t)mm->vmas[i]->shmid);
		return file && file->entry->reg ? file->entry->reg->name : NULL;
	}
	return NULL;
}

static void describe_detail(const struct restore *r, const struct restore_task *task, const struct restorer_slot *slot,
			    char *text, size_t bytes)
{
	const uint32_t step = slot->error_step < STEP_COUNT ? slot->error_step : STEP_BEFORE;
	const char *file;

	text[0] = '\0';
	switch (steps[step].detail) {
	case DETAIL_NONE:
		break;
	case DETAIL_RANGE:
		file = file_of_mapping(r, task, slot->detail[0]);
		(void)snprintf(text, bytes, " %llx-%llx%s%s", (unsigned long long)slot->detail[0],
			       (unsigned long long)slot->detail[1], file ? " of " : "", file ? file : "");
		break;
	case DETAIL_ADDRESS:
		(void)snprintf(text, bytes, " %s 0x%llx", steps[step].what, (unsigned long long)slot->detail[0]);
		break;
	case DETAIL_NUMBER:
		(void)snprintf(text, bytes, "%s%s %llu", steps[step].what[0] ? " " : "", steps[step].what,
			       (unsigned long long)slot->detail[0]);
		break;
	case DETAIL_SIGNAL:
		(void)snprintf(text, bytes, " of signal %llu", (unsigned long long)slot->detail[0]);
		break;
	}
}

static void hint_at_process_limit(struct error *err)
{
	error_hint(err, "the limit on processes (RLIMIT_NPROC, pids.max, kernel.threads-max) may be reached");
}

static void hint_at_remedy(const struct restorer_slot *slot, struct error *err)
{
	if (slot->error == -ENOMEM && slot->error_step <= STEP_LOCK)
		error_hint(err, "is there enough memory, and do vm.overcommit_memory, vm.max_map_count and the limits "
				"of this shell allow so much?");
	else if (slot->error == -EEXIST && slot->error_step == STEP_THREAD)
		error_hint(err, "the thread's id was taken while the tree was being restored");
	else if (slot->error == -EAGAIN && slot->error_step == STEP_THREAD)
		hint_at_process_limit(err);
	else if (slot->error == -EAGAIN && slot->error_step == STEP_AIO_SETUP)
		error_hint(err, "fs.aio-max-nr limits the requests of all AIO contexts of the machine");
	else if (slot->error == -EINVAL && slot->error_step == STEP_AIO_SETUP)
		error_hint(err, "on a machine with more processors rings are larger");
	else if (slot->error == -EPERM && slot->error_step == STEP_UNMAP)
		error_hint(err, "this kernel seals system mappings, which stands in the way of any restore");
	else if (slot->error == -EACCES && slot->error_step == STEP_MM_MAP)
		error_hint(err, "is the program's file still executable, and its file system not mounted noexec?");
}

int restore_creation_describe(const struct restore_task *task, int r, struct error *err)
{
	char name[64], holder[96];

	(void)restore_task_name(task, name, sizeof(name));
	if (r == -EEXIST && restore_describe_pid_holder(task->pid, holder, sizeof(holder)) == 0)
		return error_say(err, r, "%s cannot be created: pid %d is taken by %s", name, task->pid, holder);
	if (r == -EPERM)
		error_hint(err, "choosing a pid needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the pid namespace");
	if (r == -EAGAIN)
		hint_at_process_limit(err);
	return error_set(err, r, "%s cannot be created", name);
}

int restore_failure_describe(const struct restore *r, struct error *err)
{
	struct restore_shared *shared = r->shared;
	const uint32_t failed = __atomic_load_n(&shared->words.failed, __ATOMIC_ACQUIRE);
	const struct restore_task *task = failed && failed <= r->task_count ? r->tasks[failed - 1] : r->tasks[0];
	const struct restorer_slot *slot = &shared->words.slots[task->index];
	char name[64], detail[256], thread[32] = "";

	if (shared->error_is_sentence) {
		*err = shared->error;
		return err->code;
	}
	if (slot->error_step == STEP_CREATE && slot->detail[0] < r->task_count)
		return restore_creation_describe(r->tasks[slot->detail[0]], slot->error, err);
	describe_detail(r, task, slot, detail, sizeof(detail));
	if (slot->error_tid && slot->error_tid != task->pid)
		(void)snprintf(thread, sizeof(thread), ", thread %d", slot->error_tid);
	hint_at_remedy(slot, err);
	return error_set(err, slot->error ? slot->error : -EIO, "%s%s: %s%s",
			 restore_task_name(task, name, sizeof(name)), thread, step_name(slot->error_step), detail);
}

int restore_death_describe(const struct restore *r, const struct restore_task *task, struct error *err)
{
	const struct restorer_slot *slot = &r->shared->words.slots[task->index];
	char name[64], end[48];
	int status = -1;

	(void)process_end_status(task->pid, -1, &status);
	process_end_describe(status, end, sizeof(end));
	if (status < 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		error_hint(err, "was it killed from outside, or by the kernel for lack of memory (see its log, and the "
				"memory.events of the cgroup)?");
	return error_say(err, -ECHILD, "%s %s while it was being restored, in the step \"%s\"",
			 restore_task_name(task, name, sizeof(name)), end, step_name(slot->step));
}
