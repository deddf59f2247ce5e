/*
 * Which word means which VmFlags is learned by reading both for the same process: this one first, which has the usual
 * mappings, then each task that has a word which is not known yet.
 */
#include "mm/map-flags.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "kernel/bpf-vmas.h"
#include "kernel/features.h"
#include "kernel/proc-pid.h"
#include "kernel/task-facts.h"

#define LARGE_BYTES (64ull << 20)

#define USER_SPACE_END 0x7ffffffff000ull /* what lies above is no mapping of the task's own */

struct known_word {
	uint64_t word, vm_flags;
	int protection_key;
};

struct map_flags {
	int program_fd;
	pthread_mutex_t lock;
	struct known_word *known;
	size_t count, capacity;
};

/* The lock is held. */
static const struct known_word *find_word(const struct map_flags *flags, uint64_t word)
{
	for (size_t i = 0; i < flags->count; i++)
		if (flags->known[i].word == word)
			return &flags->known[i];
	return NULL;
}

static const struct bpf_vma *find_vma(const struct bpf_vma *words, size_t count, uint64_t start)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (words[middle].start == start)
			return &words[middle];
		if (words[middle].start < start)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int learn(struct map_flags *flags, const struct proc_maps *maps, const struct bpf_vma *words, size_t count)
{
	int r = 0;

	(void)pthread_mutex_lock(&flags->lock);
	for (size_t i = 0; i < maps->count && r == 0; i++) {
		const struct proc_vma *vma = &maps->vmas[i];
		const struct bpf_vma *word = find_vma(words, count, vma->start);

		if (!word || !vma->has_vm_flags || find_word(flags, word->flags))
			continue;
		r = array_reserve(&flags->known, &flags->capacity, flags->count, sizeof(*flags->known));
		if (r == 0)
			flags->known[flags->count++] = (struct known_word){
				.word = word->flags,
				.vm_flags = vma->vm_flags,
				.protection_key = vma->protection_key,
			};
	}
	(void)pthread_mutex_unlock(&flags->lock);
	return r;
}

/* False when a mapping has a word that is not known. */
static bool apply(struct map_flags *flags, struct proc_maps *maps, const struct bpf_vma *words, size_t count)
{
	bool complete = true;

	(void)pthread_mutex_lock(&flags->lock);
	for (size_t i = 0; i < maps->count && complete; i++) {
		struct proc_vma *vma = &maps->vmas[i];
		const struct bpf_vma *word = find_vma(words, count, vma->start);
		const struct known_word *known = word ? find_word(flags, word->flags) : NULL;

		complete = known != NULL || vma->start >= USER_SPACE_END;
		if (!known)
			continue;
		vma->vm_flags = known->vm_flags;
		vma->has_vm_flags = true;
		vma->protection_key = known->protection_key;
		/* Objects have policies too: of shared memory, by place. */
		vma->has_no_policy = !word->policy && !word->object_policy;
		vma->anonymous_bytes = vma->swap_bytes = MAP_BYTES_UNKNOWN;
	}
	(void)pthread_mutex_unlock(&flags->lock);
	return complete;
}

bool map_flags_may_hide_policies(const struct task *task)
{
	for (size_t i = 0; i < task->maps.count; i++)
		if (!task->maps.vmas[i].has_no_policy && task->maps.vmas[i].start < USER_SPACE_END)
			return true;
	return false;
}

static int learn_from_ourselves(struct map_flags *flags)
{
	AUTO_CLOSE int procfd = proc_open(0);
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	AUTO_BUFFER struct buffer words = { 0 };
	size_t count = 0;
	int r = procfd;

	if (r >= 0)
		r = proc_maps_read(procfd, true, &maps);
	if (r == 0)
		r = bpf_vmas_list(flags->program_fd, getpid(), &words, &count);
	return r < 0 ? r : learn(flags, &maps, (const void *)words.data, count);
}

void map_flags_close(struct map_flags *flags)
{
	if (!flags)
		return;
	close_fd(&flags->program_fd);
	(void)pthread_mutex_destroy(&flags->lock);
	free(flags->known);
	free(flags);
}

static bool is_large(const struct dump *d)
{
	uint64_t bytes = 0;
	bool has_threads = false;

	for_each_task (d, task) {
		bytes += task->stat.rss_pages * PAGE_BYTES;
		has_threads |= task->thread_count >= MAP_FLAGS_MANY_THREADS;
	}
	return bytes >= LARGE_BYTES || has_threads;
}

struct map_flags *map_flags_open(void)
{
	struct map_flags *flags;
	int r;

	if (feature_is_masked("bpf_vmas"))
		return NULL;
	flags = calloc(1, sizeof(*flags));
	if (!flags)
		return NULL;
	(void)pthread_mutex_init(&flags->lock, NULL);
	flags->program_fd = bpf_vmas_open();
	r = flags->program_fd < 0 ? flags->program_fd : learn_from_ourselves(flags);
	if (r == 0)
		return flags;
	log_debug("mm: smaps of every task is read, the kernel's flag words cannot be: errno %d", -r);
	map_flags_close(flags);
	return NULL;
}

void map_flags_start(struct dump *d)
{
	if (!d->map_flags && (d->task_count >= MAP_FLAGS_MANY_TASKS || is_large(d)))
		d->map_flags = map_flags_open();
}

struct map_words {
	size_t count;
	struct bpf_vma vmas[];
};

static bool has_same_places(const struct task_facts *a, const struct task_facts *b)
{
	return a && b && a->heap_start == b->heap_start && a->heap_end == b->heap_end &&
	       a->stack_start == b->stack_start;
}

/*
 * A process that has changed none of the mappings it inherited shows what its parent shows. The parent's are complete
 * once its words are there: another thread may be at them.
 */
static bool share_with_parent(struct task *task, const struct bpf_vma *vmas, size_t count)
{
	struct task *parent = task->parent;
	const struct map_words *words =
	    parent && !parent->is_zombie ? __atomic_load_n(&parent->map_words, __ATOMIC_ACQUIRE) : NULL;

	if (!words || words->count != count || memcmp(words->vmas, vmas, count * sizeof(*vmas)) != 0 ||
	    !has_same_places(task->threads[0].facts, parent->threads[0].facts) ||
	    proc_maps_share(&parent->maps, &task->maps) < 0)
		return false;
	/* The pages in them are its own. */
	for (size_t i = 0; i < task->maps.count; i++)
		task->maps.vmas[i].anonymous_bytes = task->maps.vmas[i].swap_bytes = MAP_BYTES_UNKNOWN;
	return true;
}

static void keep_words(struct task *task, const struct bpf_vma *vmas, size_t count)
{
	struct map_words *words = task->first_child ? malloc(sizeof(*words) + count * sizeof(*vmas)) : NULL;

	if (!words)
		return;
	words->count = count;
	memcpy(words->vmas, vmas, count * sizeof(*vmas));
	__atomic_store_n(&task->map_words, words, __ATOMIC_RELEASE);
}

void map_flags_forget(struct task *task)
{
	free(task->map_words);
	task->map_words = NULL;
}

static int read_words(struct map_flags *flags, struct task *task, bool *ret_complete)
{
	AUTO_BUFFER struct buffer words = { 0 };
	const struct bpf_vma *vmas;
	size_t count = 0;
	int r = bpf_vmas_list(flags->program_fd, task->acting_tid, &words, &count);

	if (r < 0)
		return r;
	vmas = (const void *)words.data;
	*ret_complete = share_with_parent(task, vmas, count);
	if (!*ret_complete) {
		r = proc_maps_read(task->procfd, false, &task->maps);
		*ret_complete = r == 0 && apply(flags, &task->maps, vmas, count);
	}
	if (r == 0 && !*ret_complete) {
		r = proc_maps_read(task->procfd, true, &task->maps);
		if (r == 0)
			r = learn(flags, &task->maps, vmas, count);
		*ret_complete = r == 0;
	}
	if (*ret_complete)
		keep_words(task, vmas, count);
	return r;
}

int map_flags_list(const struct map_flags *flags, const struct task *task, struct buffer *output, size_t *ret_count)
{
	AUTO_CLOSE int own_fd = -1;
	int program_fd = flags ? flags->program_fd : -EOPNOTSUPP;

	if (!flags && !feature_is_masked("bpf_vmas"))
		program_fd = own_fd = bpf_vmas_open();
	return program_fd < 0 ? program_fd : bpf_vmas_list(program_fd, task->acting_tid, output, ret_count);
}

int map_flags_read(struct dump *d, struct task *task, struct error *err)
{
	bool complete = false;
	int r = 0;

	if (d->map_flags)
		r = read_words(d->map_flags, task, &complete);
	if (r < 0 || !complete)
		r = proc_maps_read(task->procfd, true, &task->maps);
	return r < 0 ? error_set(err, r, TASK_FORMAT ": read its mappings", TASK_ARGS(task)) : 0;
}
