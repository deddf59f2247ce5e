/*
 * The stub: "syscall; jmp ." in eight bytes of zero padding behind the image of the vdso (or, without one, at the end
 * of another executable private file mapping), which no thread ever executes. Its upper half is the pid, so that it is
 * recognised as ours, also by a survivor, and so that two tasks that share their memory have one each.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t stub_word(pid_t pid)
{
	return STUB_CODE | (uint64_t)(uint32_t)pid << 32;
}

bool stub_is_ours(const struct compel_journal_task *journal)
{
	uint64_t word;

	return journal->stub_addr && read_memory(journal->caller_tid, journal->stub_addr, &word, sizeof(word)) == 0 &&
	       word == stub_word(journal->pid);
}

bool is_borrowed_address(const struct compel_journal_task *journal, uint64_t addr)
{
	if (journal->stub_addr && addr - journal->stub_addr < STUB_CODE_BYTES)
		return true;
	return journal->blob_addr && addr - journal->blob_addr < journal->blob_bytes;
}

/* The highest free word of those that a mapping ends in, if they are padding: the word below must be zero too. */
static bool find_free_word(const uint64_t words[STUB_SEARCH_WORDS], uint64_t end, uint64_t *ret_addr)
{
	int i;

	for (i = STUB_SEARCH_WORDS - 1; i > 0; i--)
		if ((uint32_t)words[i] != STUB_CODE)
			break;
	if (i == 0 || words[i] || words[i - 1])
		return false;
	*ret_addr = end - (uint64_t)(STUB_SEARCH_WORDS - i) * sizeof(words[0]);
	return true;
}

static bool find_padding(pid_t pid, uint64_t start, uint64_t end, uint64_t *ret_addr)
{
	uint64_t words[STUB_SEARCH_WORDS];

	return end - start >= sizeof(words) && read_memory(pid, end - sizeof(words), words, sizeof(words)) == 0 &&
	       find_free_word(words, end, ret_addr);
}

static bool find_offered(const struct compel_task *task, uint64_t *ret_addr)
{
	const struct task_state *state = task_state(task);

	if (state->offered_words_known)
		return find_free_word(state->offered_words, state->offered_end, ret_addr);
	return find_padding(acting_tid(task), state->offered_start, state->offered_end, ret_addr);
}

struct mapping {
	uint64_t start, end;
	char permissions[5];
	unsigned long inode;
	char name[16];
};

static bool parse_mapping(const char *line, struct mapping *ret_mapping)
{
	struct mapping m = { 0 };

	if (sscanf(line, "%lx-%lx %4s %*x %*s %lu %15s", &m.start, &m.end, m.permissions, &m.inode, m.name) < 4)
		return false;
	*ret_mapping = m;
	return true;
}

/* 2: the vdso, 1: private, executable, of a file, 0: no place for a stub. */
static int suitability(const struct mapping *m)
{
	if (m->permissions[0] != 'r' || m->permissions[2] != 'x' || m->permissions[3] != 'p')
		return 0;
	if (strcmp(m->name, "[vdso]") == 0)
		return 2;
	return m->inode != 0;
}

static int search_maps(pid_t pid, uint64_t *ret_addr)
{
	char path[32], *line = NULL;
	size_t capacity = 0;
	int best = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (best < 2 && getline(&line, &capacity, f) > 0) {
		struct mapping m;

		if (parse_mapping(line, &m) && suitability(&m) > best && find_padding(pid, m.start, m.end, ret_addr))
			best = suitability(&m);
	}
	free(line);
	(void)fclose(f);
	return best ? 0 : -ENOTSUP;
}

int stub_put(struct compel_task *task, struct compel_error *err)
{
	struct user_regs_struct regs;
	uint64_t addr;
	int r = 0;

	if (task->journal->stub_addr)
		return 0;
	if (!find_offered(task, &addr))
		r = search_maps(acting_tid(task), &addr);
	/* One that has been killed has no mappings any more. */
	if (r == -ENOTSUP && compel_get_regs(acting_tid(task), &regs) == -ESRCH)
		return fail_gone(err, task->pid);
	if (r == -ENOTSUP)
		return fail_say(
		    err, r,
		    "pid %d: no zero padding at the end of the vdso or of an executable private file mapping "
		    "to run a system call from",
		    task->pid);
	if (r < 0)
		return fail(err, r, "pid %d: cannot look for a place to run a system call from", task->pid);

	memset(task->journal->stub_saved, 0, sizeof(task->journal->stub_saved));
	task->journal->stub_addr = addr;
	journal_barrier();
	r = ptrace_poke_word(task->threads[0].tid, addr, stub_word(task->pid));
	if (r < 0) {
		task->journal->stub_addr = 0;
		return fail(err, r, "pid %d: cannot write to its mapping at 0x%lx", task->pid, addr);
	}
	return 0;
}

int stub_remove(struct compel_journal_task *journal, pid_t tid)
{
	uint64_t saved;
	int r = 0;

	if (stub_is_ours(journal)) {
		memcpy(&saved, journal->stub_saved, sizeof(saved));
		r = ptrace_poke_word(tid, journal->stub_addr, saved);
	}
	journal_barrier();
	if (r == 0)
		journal->stub_addr = 0;
	return r;
}
