/*
 * Who needs a file of the images, in words: every sentence of a restore about a file begins with one of its users, and
 * says how many there are besides.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "files/restore-files.h"
#include "image/image-check.h"
#include "image/vma-status.h"
#include "images/core.pb-c.h"
#include "images/fs.pb-c.h"

/* The first use found, and how many there are. */
struct uses {
	char first[128];
	size_t count;
};

const char *restore_comm_of(const struct checked_task *task)
{
	const CoreEntry *core = task->thread_count ? task->threads[0].core : NULL;

	return core && core->tc && core->tc->comm ? core->tc->comm : "?";
}

static void __attribute__((format(printf, 3, 4)))
add_use(struct uses *uses, const struct checked_task *task, const char *format, ...)
{
	char place[64];
	va_list args;

	if (uses->count++)
		return;
	va_start(args, format);
	(void)vsnprintf(place, sizeof(place), format, args);
	va_end(args);
	(void)snprintf(uses->first, sizeof(uses->first), "pid %u (%s), %s", task->entry->pid, restore_comm_of(task),
		       place);
}

/* Of a descriptor table that several tasks share, the first task is named. */
static void find_descriptors(const struct restore *r, const struct checked_task *task, uint32_t id, FdTypes type,
			     struct uses *uses)
{
	for (const struct checked_task *before = r->images->tasks; before < task; before++)
		if (before->fds == task->fds)
			return;
	for (size_t i = 0; task->fds && i < task->fds->count; i++) {
		const FdinfoEntry *entry = task->fds->entries[i];

		if (entry->id == id && entry->type == type)
			add_use(uses, task, "fd %u", entry->fd);
	}
}

static bool is_mapped_file(const VmaEntry *vma, uint32_t id)
{
	return vma->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED) && vma->shmid == id;
}

static void find_paths(const struct checked_task *task, uint32_t id, struct uses *uses)
{
	if (task->fs && task->fs->cwd_id == id)
		add_use(uses, task, "working directory");
	if (task->fs && task->fs->root_id == id)
		add_use(uses, task, "root directory");
	if (task->mm && task->mm->exe_file_id == id)
		add_use(uses, task, "program");
	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *vma = task->mm->vmas[i];

		if (!is_mapped_file(vma, id))
			continue;
		add_use(uses, task, "mapping %llx-%llx", (unsigned long long)vma->start, (unsigned long long)vma->end);
		while (i + 1 < task->mm->n_vmas && is_mapped_file(task->mm->vmas[i + 1], id))
			i++; /* the next piece of the same file */
	}
}

/* Fifos and terminals have the path in an entry of its own, which no descriptor refers to. */
static const struct restore_file *user_of_path(const struct restore *r, uint32_t id)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const FileEntry *entry = r->files[i]->entry;

		if (entry->type == FD_TYPES__FIFO && entry->fifo->has_regf_id && entry->fifo->regf_id == id)
			return r->files[i];
		if (entry->type == FD_TYPES__TTY && entry->tty->has_regf_id && entry->tty->regf_id == id)
			return r->files[i];
	}
	return NULL;
}

static void find_uses(const struct restore *r, const struct restore_file *file, struct uses *uses)
{
	bool has_path = file->entry->type == FD_TYPES__REG;

	for (size_t i = 0; i < r->images->task_count; i++) {
		find_descriptors(r, &r->images->tasks[i], file->id, file->entry->type, uses);
		if (has_path)
			find_paths(&r->images->tasks[i], file->id, uses);
	}
}

const char *restore_describe(const struct restore *r, const struct restore_file *file, char *buffer, size_t bytes)
{
	struct uses uses = { .count = 0 };

	find_uses(r, file, &uses);
	if (!uses.count && file->entry->type == FD_TYPES__REG) {
		const struct restore_file *user = user_of_path(r, file->id);

		if (user)
			find_uses(r, user, &uses);
	}
	if (!uses.count)
		(void)snprintf(buffer, bytes, "file %u", file->id);
	else if (uses.count == 1)
		(void)snprintf(buffer, bytes, "%s", uses.first);
	else
		(void)snprintf(buffer, bytes, "%s and %zu more use%s of it", uses.first, uses.count - 1,
			       uses.count > 2 ? "s" : "");
	return buffer;
}

int restore_refuse(const struct restore *r, const struct restore_file *file, struct error *err, const char *format, ...)
{
	char place[256], reason[ERROR_WHOLE_BYTES];
	size_t used;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	used = strlen(reason);
	if (file->dumped_name)
		(void)snprintf(reason + used, sizeof(reason) - used, " (at the dump it was %s)", file->dumped_name);
	return error_say(err, -EINVAL, "%s, %s", restore_describe(r, file, place, sizeof(place)), reason);
}
