/*
 * Signal state: handlers of the process, and per thread the mask, pending signals with their whole siginfo in order but
 * for those of faults that come again, and the alternate stack. Handlers and the alternate stack are known to the task
 * alone and come from the parasite.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/util.h"
#include "task/core-save.h"
#include "task/task-look.h"
#include "pie/parasite-border.h"

/* Faults that are reported before the instruction has done anything: it faults again when it is made again. */
static const struct {
	int signal, code;
} repeated_faults[] = {
	{ SIGSEGV, SEGV_MAPERR }, { SIGSEGV, SEGV_ACCERR }, { SIGSEGV, SEGV_PKUERR }, { SIGBUS, BUS_ADRALN },
	{ SIGBUS, BUS_ADRERR },   { SIGILL, ILL_ILLOPN },   { SIGFPE, FPE_INTDIV },
};

/*
 * A handler finds the kind of fault and its address among the registers it gets, where the kernel puts those of the
 * thread's last fault: nothing but a fault sets them. A signal that the thread has sent to itself looks the same, but
 * waits behind a system call, or is blocked.
 */
static bool comes_again(const struct task_thread *thread, const uint8_t *bytes)
{
	siginfo_t info;

	memcpy(&info, bytes, sizeof(info));
	if ((int64_t)thread->regs.orig_rax >= 0 || thread->signal_mask >> (info.si_signo - 1) & 1)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(repeated_faults); i++)
		if (info.si_signo == repeated_faults[i].signal && info.si_code == repeated_faults[i].code)
			return true;
	return false;
}

/* Of a thread, or of the whole process. */
static int save_queue(const struct siginfo_queue *queue, const struct task_thread *thread, SignalQueueEntry **ret_entry,
		      struct arena *arena)
{
	SignalQueueEntry *entry = arena_alloc(arena, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	signal_queue_entry__init(entry);
	entry->signals = arena_alloc(arena, (queue->count + 1) * sizeof(*entry->signals));
	if (!entry->signals)
		return -ENOMEM;
	for (size_t i = 0; i < queue->count; i++) {
		SiginfoEntry *info;

		if (thread && comes_again(thread, queue->infos[i]))
			continue;
		info = arena_alloc(arena, sizeof(*info));
		if (!info)
			return -ENOMEM;
		siginfo_entry__init(info);
		info->siginfo.data = queue->infos[i];
		info->siginfo.len = SIGINFO_BYTES;
		entry->signals[entry->n_signals++] = info;
	}
	*ret_entry = entry;
	return 0;
}

/* One entry per signal from 1 to 64, but for the two that cannot have a handler. */
static int save_actions(const struct task *task, TaskCoreEntry *tc, struct arena *arena)
{
	tc->sigactions = arena_alloc(arena, PARASITE_SIGNALS * sizeof(*tc->sigactions));
	if (!tc->sigactions)
		return -ENOMEM;
	for (int signal = 1; signal <= PARASITE_SIGNALS; signal++) {
		const struct parasite_sigaction *action = &task->parasite->sigactions[signal - 1];
		SaEntry *entry;

		if (signal == SIGKILL || signal == SIGSTOP)
			continue;
		entry = arena_alloc(arena, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		sa_entry__init(entry);
		entry->sigaction = action->handler;
		entry->flags = action->flags;
		entry->restorer = action->restorer;
		entry->mask = action->mask;
		entry->has_compat_sigaction = true;
		tc->sigactions[tc->n_sigactions++] = entry;
	}
	return 0;
}

int signals_save_process(const struct task *task, TaskCoreEntry *tc, struct arena *arena)
{
	int r = save_actions(task, tc, arena);

	tc->blk_sigset = task->threads[0].signal_mask;
	if (task->stop_signal) {
		tc->has_stop_signo = true;
		tc->stop_signo = (uint32_t)task->stop_signal;
		/* The kernel forgets the signal once the parent has waited for the stop. */
		tc->has_stopped_uncollected = true;
		tc->stopped_uncollected = task->stat.exit_code != 0;
	}
	return r < 0 ? r : save_queue(&task->state->signals, NULL, &tc->signals_s, arena);
}

int signals_save_thread(const struct task *task, const struct task_thread *thread, ThreadCoreEntry *tc,
			struct arena *arena)
{
	const bool is_leader = thread == (task->ended_leader ? task->ended_leader : task->threads);
	ThreadSasEntry *sas = arena_alloc(arena, sizeof(*sas));

	if (!sas)
		return -ENOMEM;
	thread_sas_entry__init(sas);
	sas->ss_sp = thread->parasite->sas_address;
	sas->ss_size = thread->parasite->sas_bytes;
	sas->ss_flags = thread->parasite->sas_flags;
	tc->sas = sas;
	tc->has_blk_sigset = !is_leader; /* the leader's stands in its task's entry */
	tc->blk_sigset = is_leader ? 0 : thread->signal_mask;
	/* Whoever runs on makes its call again at once. */
	tc->has_waiting_sigset =
	    task->stop_signal && thread != task->ended_leader && thread->status.sig_blocked != thread->signal_mask;
	tc->waiting_sigset = tc->has_waiting_sigset ? thread->status.sig_blocked : 0;
	return save_queue(&thread->state->signals, thread, &tc->signals_p, arena);
}
