#include "files/epoll-targets.h"

#include <stdlib.h>
#include <sys/sysmacros.h>

#include "engine/dump.h"
#include "files/file-facts.h"
#include "files/registry.h"
#include "kernel/kcmp.h"

/* A file is watched by an epoll under a number. */
struct epoll_watch {
	uint64_t epoll;
	uint64_t number;
	struct open_file *file;
};

static int compare_watches(const void *a, const void *b)
{
	const struct epoll_watch *x = a, *y = b;

	if (x->epoll != y->epoll)
		return x->epoll < y->epoll ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static size_t collect_watches(const struct file_registry *registry, struct epoll_watch *watches)
{
	size_t count = 0;

	for (size_t i = 0; i < registry->count; i++) {
		const struct bpf_file *facts = registry->files[i]->facts;

		for (size_t k = 0; facts && k < BPF_FILE_WATCHERS && facts->watchers[k].epoll; k++) {
			if (watches)
				watches[count] = (struct epoll_watch){
					.epoll = facts->watchers[k].epoll,
					.number = facts->watchers[k].number,
					.file = registry->files[i],
				};
			count++;
		}
	}
	return count;
}

/* Of all files that are known, when first asked for; where there is no memory for it none is known. */
static void list_watches(struct dump *d)
{
	struct file_registry *registry = d->files;
	size_t count;

	if (registry->watches)
		return;
	count = file_facts_know_watchers(d->file_facts) ? collect_watches(registry, NULL) : 0;
	registry->watches = calloc(count + 1, sizeof(*registry->watches));
	if (!registry->watches || count == 0)
		return;
	registry->watch_count = collect_watches(registry, registry->watches);
	qsort(registry->watches, registry->watch_count, sizeof(*registry->watches), compare_watches);
}

static size_t find_watch(const struct file_registry *registry, const struct epoll_watch *wanted)
{
	size_t low = 0, high = registry->watch_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_watches(&registry->watches[middle], wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool looks_like(const struct open_file *file, const struct epoll_target *target)
{
	if (target->inode == 0)
		return true; /* an old kernel does not tell */
	return file->st.st_ino == target->inode && major(file->st.st_dev) == target->sdev >> 20 &&
	       minor(file->st.st_dev) == (target->sdev & 0xfffff);
}

/* Whether descriptor fd of task is the nth target of this number. */
static bool is_target(const struct open_file *epoll, const struct epoll_target *target, unsigned int nth,
		      const struct task *task, int fd)
{
	int order;

	return kcmp_epoll_target(task->acting_tid, fd, epoll->task->acting_tid, epoll->fd, target->fd, nth, &order) ==
		   0 &&
	       order == 0;
}

static bool is_file(const struct open_file *epoll, const struct epoll_target *target, unsigned int nth,
		    const struct open_file *file)
{
	return looks_like(file, target) && is_target(epoll, target, nth, file->task, file->fd);
}

/* A number that only one target has is answered by the record alone. */
static struct open_file *find_by_records(struct dump *d, const struct open_file *epoll,
					 const struct epoll_target *target, unsigned int nth, bool is_repeated)
{
	const struct file_registry *registry = d->files;
	struct epoll_watch wanted = { .number = (uint64_t)target->fd };

	if (!epoll->facts)
		return NULL;
	list_watches(d);
	wanted.epoll = epoll->facts->private_data;
	for (size_t i = find_watch(registry, &wanted);
	     i < registry->watch_count && compare_watches(&registry->watches[i], &wanted) == 0; i++) {
		struct open_file *file = registry->watches[i].file;

		if (is_repeated ? is_file(epoll, target, nth, file) : looks_like(file, target))
			return file;
	}
	return NULL;
}

struct open_file *epoll_target_find(struct dump *d, const struct open_file *epoll, const struct epoll_target *target,
				    unsigned int nth, bool is_repeated)
{
	struct open_file *file = find_by_records(d, epoll, target, nth, is_repeated);
	const struct task_fd *same_number;

	if (file)
		return file;
	same_number = fd_table_find(epoll->task->files_owner, target->fd);
	if (same_number && looks_like(same_number->file, target) &&
	    is_target(epoll, target, nth, epoll->task, target->fd))
		return same_number->file;
	for (size_t i = 0; i < d->files->count; i++) {
		file = d->files->files[i];
		if (file->fd >= 0 && is_file(epoll, target, nth, file))
			return file;
	}
	return NULL;
}
