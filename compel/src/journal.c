/*
 * The journal's layout and its entries. Nothing is ever moved, because another process reads it after our death; a free
 * entry is taken again. An entry is filled before the number or state that makes it visible is set.
 */
#include "internal.h"

#include <string.h>

size_t compel_journal_bytes(uint32_t task_limit, uint32_t thread_limit)
{
	return sizeof(struct compel_journal) + (size_t)task_limit * sizeof(struct compel_journal_task) +
	       (size_t)thread_limit * sizeof(struct compel_journal_thread);
}

void compel_journal_init(struct compel_journal *journal, uint32_t task_limit, uint32_t thread_limit)
{
	journal->task_count = 0;
	journal->thread_count = 0;
	journal->task_limit = task_limit;
	journal->thread_limit = thread_limit;
	journal->threads_offset =
	    sizeof(struct compel_journal) + (uint64_t)task_limit * sizeof(struct compel_journal_task);
}

struct compel_journal_thread *journal_threads(struct compel_journal *journal)
{
	return (struct compel_journal_thread *)((char *)journal + journal->threads_offset);
}

static bool find_free_task(const struct compel_journal *journal, uint32_t *ret_index)
{
	for (uint32_t i = 0; i < journal->task_count; i++)
		if (journal->tasks[i].pid == 0) {
			*ret_index = i;
			return true;
		}
	return false;
}

int journal_add_task(struct compel_journal *journal, pid_t pid, uint32_t *ret_index)
{
	struct compel_journal_task *task;
	uint32_t index = journal->task_count;
	bool is_new = index < journal->task_limit;

	if (!is_new && !find_free_task(journal, &index))
		return -ENOSPC;
	task = &journal->tasks[index];
	memset(task, 0, sizeof(*task));
	task->caller_tid = pid;
	journal_barrier();
	task->pid = pid;
	journal_barrier();
	if (is_new)
		journal->task_count++;
	*ret_index = index;
	return 0;
}

static bool find_free_thread(struct compel_journal *journal, uint32_t *ret_index)
{
	const struct compel_journal_thread *threads = journal_threads(journal);

	for (uint32_t i = 0; i < journal->thread_count; i++)
		if (threads[i].state == COMPEL_THREAD_FREE) {
			*ret_index = i;
			return true;
		}
	return false;
}

int journal_add_thread(struct compel_journal *journal, uint32_t task_index, pid_t tid,
		       struct compel_journal_thread **ret_thread)
{
	struct compel_journal_task *task = &journal->tasks[task_index];
	struct compel_journal_thread *thread;
	uint32_t index = journal->thread_count;
	bool is_new = index < journal->thread_limit;

	if (!is_new && !find_free_thread(journal, &index))
		return -ENOSPC;
	thread = &journal_threads(journal)[index];
	thread->tid = tid;
	thread->task = task_index;
	journal_barrier();
	thread->state = COMPEL_THREAD_SEIZED;
	journal_barrier();
	if (task->thread_count++ == 0)
		task->first_thread = index;
	if (is_new)
		journal->thread_count++;
	*ret_thread = thread;
	return 0;
}
