/*
 * The whole-set check: real sets pass, each kind of contradiction is refused with a sentence that names the file, and
 * random damage never does more than that. GOLDEN_DIR is where the real sets are.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "image/image-check.h"
#include "images/ghost-file.pb-c.h"
#include "images/pagemap.pb-c.h"
#include "test_image_sample.h"

#define MUTATIONS 300

struct fixture {
	char path[128];
	int dirfd;
	struct error err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dirfd = sample_directory(f->path, sizeof(f->path));
	*state = f;
	return f->dirfd < 0 ? -1 : sample_write(f->dirfd, &f->err);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_fd(&f->dirfd);
	sample_remove(f->path);
	free(f);
	return 0;
}

static int check(struct fixture *f)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	struct checked_set *checked = NULL;
	int r;

	f->err = (struct error){ 0 };
	r = image_set_open(&set, f->dirfd, NULL, &f->err);
	if (r == 0)
		r = image_check(&set, &checked, &f->err);
	assert_true(r <= 0);
	assert_true((r < 0) == error_is_set(&f->err));
	assert_true((r == 0) == (checked != NULL));
	checked_set_free(checked);
	return r;
}

static void sample_passes(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	struct checked_set *checked = NULL;
	const struct checked_task *task;

	assert_int_equal(image_set_open(&set, f->dirfd, NULL, &f->err), 0);
	assert_int_equal(image_check(&set, &checked, &f->err), 0);
	assert_int_equal(checked->task_count, 2);
	task = checked_set_find_task(checked, SAMPLE_PID);
	assert_ptr_equal(task, &checked->tasks[0]);
	assert_int_equal(task->thread_count, 2);
	assert_int_equal(task->fds->count, 2);
	assert_int_equal(task->pagemap->extent_count, 1);
	assert_true(checked->tasks[1].is_zombie);
	assert_ptr_equal(checked->tasks[1].parent, task);
	assert_non_null(checked_set_find_typed_file(checked, FD_TYPES__PIPE, 3));
	assert_null(checked_set_find_typed_file(checked, FD_TYPES__REG, 3));
	assert_null(checked_set_find_file(checked, 33));
	assert_memory_equal(checked_set_find_pipe_data(checked, 777)->data, "hello", 5);
	assert_int_equal(checked_set_find_shmem(checked, 4242)->bytes, 8192);
	checked_set_free(checked);
}

/* Reads a message, lets `damage` change it, writes it back, and expects the check to refuse with the sentence. */
static void refuse_changed(struct fixture *f, enum image_kind kind, uint64_t id, void (*damage)(void *message),
			   const char *sentence)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	const ProtobufCMessageDescriptor *descriptor = image_type(kind)->message;
	ProtobufCMessage *whole, *message;
	int r;

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	assert_int_equal(image_read_one(&set, kind, id, descriptor, &whole, &f->err), 0);
	assert_int_equal(image_read_one(&set, kind, id, descriptor, &message, &f->err), 0);
	damage(message);
	assert_int_equal(image_write_one(&set, kind, id, message, &f->err), 0);
	r = check(f);
	if (r == 0 || !strstr(f->err.text, sentence))
		fail_msg("expected \"%s\", found \"%s\"", sentence, f->err.text);
	assert_true(r == -EBADMSG || r == -EINVAL);
	assert_int_equal(image_write_one(&set, kind, id, whole, &f->err), 0);
	assert_int_equal(check(f), 0);
	image_message_free(whole);
	image_message_free(message);
}

#define DAMAGE(name, type, change)                                                                                     \
	static void name(void *message)                                                                                \
	{                                                                                                              \
		type *m = message;                                                                                     \
		change;                                                                                                \
	}

static void end_leader(CoreEntry *core, uint32_t exit_code, uint32_t state)
{
	core->tc->task_state = 1000;
	core->tc->has_leader_exit_code = core->tc->has_leader_task_state = true;
	core->tc->leader_exit_code = exit_code;
	core->tc->leader_task_state = state;
}

static void drop_registers(CoreEntry *core)
{
	image_message_free(core->thread_info);
	core->thread_info = NULL;
}

static PosixTimerEntry *timer_of(CoreEntry *core)
{
	return core->tc->timers->posix[0];
}

DAMAGE(kernel_cs, CoreEntry, m->thread_info->gpregs->cs = 0x10)
DAMAGE(kernel_ss, CoreEntry, m->thread_info->gpregs->ss = 0x18)
DAMAGE(io_privilege, CoreEntry, m->thread_info->gpregs->flags |= 0x3000)
DAMAGE(kernel_ip, CoreEntry, m->thread_info->gpregs->ip = 0xffffffff81000000)
DAMAGE(kernel_fs, CoreEntry, m->thread_info->gpregs->fs_base = 0x7ffffffff000)
DAMAGE(short_xmm, CoreEntry, m->thread_info->fpregs->n_xmm_space = 63)
DAMAGE(short_ymm, CoreEntry, m->thread_info->fpregs->xsave->n_ymmh_space = 63)
DAMAGE(other_march, CoreEntry, m->mtype = CORE_ENTRY__MARCH__AARCH64)
DAMAGE(unknown_march, CoreEntry, m->mtype = 77)
DAMAGE(long_comm, CoreEntry, free(m->tc->comm); m->tc->comm = strdup("a name of 16 byt"))
DAMAGE(few_actions, CoreEntry, image_message_free(m->tc->sigactions[--m->tc->n_sigactions]))
DAMAGE(few_rlimits, CoreEntry, image_message_free(m->tc->rlimits->rlimits[--m->tc->rlimits->n_rlimits]))
DAMAGE(short_siginfo, CoreEntry, m->tc->signals_s->signals[0]->siginfo.len = 127)
DAMAGE(filter_index, CoreEntry, m->thread_core->seccomp_filter = 2)
DAMAGE(big_usec, CoreEntry, m->tc->timers->real->vusec = 1000000)
DAMAGE(no_registers, CoreEntry, drop_registers(m))
DAMAGE(odd_state, CoreEntry, m->tc->task_state = 6)
DAMAGE(lone_leader_state, CoreEntry, m->tc->task_state = 1000)
DAMAGE(ended_with_registers, CoreEntry, end_leader(m, 7 << 8, 1))
DAMAGE(ended_by_signal, CoreEntry, end_leader(m, 9, 1); drop_registers(m))
DAMAGE(ended_twice, CoreEntry, end_leader(m, 7 << 8, 1000); drop_registers(m))
DAMAGE(version, InventoryEntry, m->img_version = 3)
DAMAGE(pre_dump, InventoryEntry, m->img_version = 0)
DAMAGE(by_process, InventoryEntry, m->has_fdinfo_per_id = false)
DAMAGE(no_exe, MmEntry, m->exe_file_id = 3)
DAMAGE(overlap, MmEntry, m->vmas[1]->start = 0x403000)
DAMAGE(unaligned, MmEntry, m->vmas[1]->end++)
DAMAGE(kernel_half, MmEntry, m->vmas[3]->end = 0x800000000000)
DAMAGE(odd_status, MmEntry, m->vmas[1]->status |= 1u << 31)
DAMAGE(odd_prot, MmEntry, m->vmas[1]->prot = 0x1000)
DAMAGE(odd_flags, MmEntry, m->vmas[1]->flags |= 0x200)
DAMAGE(odd_advice, MmEntry, m->vmas[1]->has_madv = true; m->vmas[1]->madv = 1 << 4)
DAMAGE(shared_private, MmEntry, m->vmas[1]->flags = 1)
DAMAGE(lost_file, MmEntry, m->vmas[0]->shmid = 0x100000001)
DAMAGE(not_memfd, MmEntry, m->vmas[2]->shmid = 1)
DAMAGE(pages_outside, MmEntry, m->vmas[1]->end = SAMPLE_PAGES_AT + PAGE_BYTES)
DAMAGE(long_auxv, MmEntry, m->n_mm_saved_auxv = 3)
DAMAGE(filter_bytes, SeccompEntry, m->seccomp_filters[0]->filter.len = 15)
DAMAGE(filter_cycle, SeccompEntry, m->seccomp_filters[1]->prev = 1)
DAMAGE(no_cwd, FsEntry, m->cwd_id = 3)
DAMAGE(other_files_id, TaskKobjIdsEntry, m->files_id = 9)
DAMAGE(zombie_status, CoreEntry, m->tc->exit_code = 0x7f)
DAMAGE(clockless, CoreEntry, timer_of(m)->clock_id = 5)
DAMAGE(clock_of_file, CoreEntry, timer_of(m)->clock_id = 0xfffffffb)
DAMAGE(odd_notification, CoreEntry, timer_of(m)->it_sigev_notify = 3)
DAMAGE(id_of_nobody, CoreEntry, m->thread_core->creds->fsgid = UINT32_MAX)
DAMAGE(write_only_map, MmEntry, m->vmas[0]->has_fdflags = true; m->vmas[0]->fdflags = 1)
DAMAGE(other_memfd, MemfdInodeEntry, m->inode_id = 2)

/* The set as it is written by whoever keeps no list of its images in the inventory. */
static void forget_images(struct fixture *f)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	InventoryEntry *inventory;
	size_t count;

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	assert_int_equal(image_read_one(&set, IMAGE_INVENTORY, 0, &inventory_entry__descriptor, &inventory, &f->err),
			 0);
	count = inventory->n_images;
	inventory->n_images = 0;
	assert_int_equal(image_write_one(&set, IMAGE_INVENTORY, 0, inventory, &f->err), 0);
	inventory->n_images = count;
	image_message_free(inventory);
}

static void contradictions_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct {
		enum image_kind kind;
		uint64_t id;
		void (*damage)(void *message);
		const char *sentence;
	} cases[] = {
		{ IMAGE_CORE, SAMPLE_PID, kernel_cs, "core-100.img: cs 0x10 is no code segment of a program" },
		{ IMAGE_CORE, SAMPLE_TID, kernel_ss, "core-101.img: ss 0x18" },
		{ IMAGE_CORE, SAMPLE_TID, io_privilege, "core-101.img: flags 0x3202" },
		{ IMAGE_CORE, SAMPLE_PID, kernel_ip, "core-100.img: instruction pointer 0xffffffff81000000" },
		{ IMAGE_CORE, SAMPLE_PID, kernel_fs, "core-100.img: fs base 0x7ffffffff000" },
		{ IMAGE_CORE, SAMPLE_PID, short_xmm, "core-100.img: the floating point registers are incomplete" },
		{ IMAGE_CORE, SAMPLE_PID, short_ymm, "core-100.img: component 2 of the vector registers has 63 words" },
		{ IMAGE_CORE, SAMPLE_TID, other_march, "core-101.img: dumped on another architecture (aarch64)" },
		{ IMAGE_CORE, SAMPLE_PID, unknown_march, "core-100.img: processor architecture 77 is not known" },
		{ IMAGE_CORE, SAMPLE_PID, few_actions, "core-100.img: 61 signal handlers, not 62" },
		{ IMAGE_CORE, SAMPLE_PID, few_rlimits, "core-100.img: 15 resource limits, not 16" },
		{ IMAGE_CORE, SAMPLE_PID, short_siginfo, "core-100.img: a pending signal of 127 bytes" },
		{ IMAGE_CORE, SAMPLE_PID, filter_index, "core-100.img: seccomp filter 2 of 2" },
		{ IMAGE_CORE, SAMPLE_PID, big_usec, "core-100.img: an interval timer is out of range" },
		{ IMAGE_CORE, SAMPLE_TID, no_registers, "core-101.img: registers or thread state are missing" },
		{ IMAGE_CORE, SAMPLE_PID, odd_state, "core-100.img: task state 6 is not known" },
		{ IMAGE_CORE, SAMPLE_PID, lone_leader_state, "core-100.img: task state 1000 is not known" },
		{ IMAGE_CORE, SAMPLE_PID, ended_with_registers, "core-100.img: registers of a thread that has ended" },
		{ IMAGE_CORE, SAMPLE_PID, ended_by_signal, "core-100.img: 0x9 is no exit code" },
		{ IMAGE_CORE, SAMPLE_PID, ended_twice, "core-100.img: task state 1000 is not known" },
		{ IMAGE_CORE, SAMPLE_ZOMBIE, zombie_status, "core-102.img: 0x7f is no exit status" },
		{ IMAGE_CORE, SAMPLE_PID, clockless, "core-100.img: timer 0: no timer has clock 5" },
		{ IMAGE_CORE, SAMPLE_PID, clock_of_file, "core-100.img: timer 0: no timer has clock -5" },
		{ IMAGE_CORE, SAMPLE_PID, odd_notification, "core-100.img: timer 0: notification 3 is not known" },
		{ IMAGE_CORE, SAMPLE_PID, id_of_nobody, "core-100.img: 4294967295 is the id of nobody" },
		{ IMAGE_MM, SAMPLE_PID, write_only_map, "of a file that cannot be read" },
		{ IMAGE_INVENTORY, 0, version, "inventory.img: image version 3 is not known" },
		{ IMAGE_INVENTORY, 0, pre_dump, "this image set is of a pre-dump" },
		{ IMAGE_INVENTORY, 0, by_process, "inventory.img: this image set is too old" },
		{ IMAGE_MM, SAMPLE_PID, no_exe, "mm-100.img: the executable, file 3, is not there" },
		{ IMAGE_MM, SAMPLE_PID, overlap, "mm-100.img: mapping 0x403000-0x10010000: overlaps" },
		{ IMAGE_MM, SAMPLE_PID, unaligned, "not at page boundaries" },
		{ IMAGE_MM, SAMPLE_PID, kernel_half, "above the addresses of a program" },
		{ IMAGE_MM, SAMPLE_PID, odd_status, "unknown status bits" },
		{ IMAGE_MM, SAMPLE_PID, odd_prot, "unknown protection bits" },
		{ IMAGE_MM, SAMPLE_PID, odd_flags, "unknown flags" },
		{ IMAGE_MM, SAMPLE_PID, odd_advice, "unknown advice" },
		{ IMAGE_MM, SAMPLE_PID, shared_private, "shared by its flags, private by its status" },
		{ IMAGE_MM, SAMPLE_PID, lost_file, "file 4294967297 is not there" },
		{ IMAGE_MM, SAMPLE_PID, not_memfd, "file 1 is not there as a memfd" },
		{ IMAGE_MM, SAMPLE_PID, pages_outside, "pagemap-100.img: holds pages outside of private mappings" },
		{ IMAGE_MM, SAMPLE_PID, long_auxv, "mm-100.img: an auxiliary vector of 3 words" },
		{ IMAGE_SECCOMP, 0, filter_bytes, "seccomp.img: filter 0 is 15 bytes long" },
		{ IMAGE_SECCOMP, 0, filter_cycle, "seccomp.img: filter 1 follows filter 1" },
		{ IMAGE_FS, SAMPLE_PID, no_cwd, "fs-100.img: the working directory, file 3, is not there" },
		{ IMAGE_MEMFD, 0, other_memfd, "files.img: file 5: its memory, inode 1, is not there" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse_changed(f, cases[i].kind, cases[i].id, cases[i].damage, cases[i].sentence);
}

static void long_name_is_refused(void **state)
{
	struct fixture *f = *state;

	refuse_changed(f, IMAGE_CORE, SAMPLE_PID, long_comm, "core-100.img: the name of the process is too long");
}

/* Rewrites files.img with the paths of the sample alone, and the memory. */
static void keep_paths(struct fixture *f, struct image_set *set, uint32_t more)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	struct image_list files;

	assert_int_equal(image_read_list(set, IMAGE_FILES, 0, &file_entry__descriptor, &files, &f->err), 0);
	image_writer_open(&w, set, IMAGE_FILES, 0);
	for (size_t i = 0; i < files.count; i++) {
		FdTypes type = ((FileEntry *)files.items[i])->type;

		if (type == FD_TYPES__REG || type == FD_TYPES__MEMFD)
			assert_int_equal(image_writer_add(&w, files.items[i], &f->err), 0);
	}
	if (more)
		assert_int_equal(sample_add_reg(&w, more, "/more", &f->err), 0);
	assert_int_equal(image_writer_finish(&w, &f->err), 0);
	image_list_done(&files);
}

/* A table that is not there is an empty one, unless there are files that were in it. */
static void lost_table_is_noticed(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	TaskKobjIdsEntry *ids;

	forget_images(f);
	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	assert_int_equal(image_read_one(&set, IMAGE_IDS, SAMPLE_PID, &task_kobj_ids_entry__descriptor, &ids, &f->err),
			 0);
	other_files_id(ids);
	assert_int_equal(image_write_one(&set, IMAGE_IDS, SAMPLE_PID, ids, &f->err), 0);
	image_message_free(ids);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text, "fdinfo-9.img is missing or empty, and nothing refers to file 3");
	assert_int_equal(unlinkat(f->dirfd, "pipes-data.img", 0), 0);
	keep_paths(f, &set, 0);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text, "fdinfo-9.img is missing or empty, and fdinfo-2.img belongs to no process");
	assert_int_equal(unlinkat(f->dirfd, "fdinfo-2.img", 0), 0);
	assert_int_equal(check(f), 0);
	keep_paths(f, &set, 9);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text, "fdinfo-9.img is missing or empty, and nothing refers to file 9");
}

static void cut_table_is_noticed(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	FdinfoEntry entry = FDINFO_ENTRY__INIT;

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	entry.id = 3;
	entry.type = FD_TYPES__PIPE;
	image_writer_open(&w, &set, IMAGE_FDINFO, 2);
	assert_int_equal(image_writer_add(&w, &entry, &f->err), 0);
	assert_int_equal(image_writer_finish(&w, &f->err), 0);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text, "files.img: nothing refers to file 4: a table of descriptors is incomplete");
}

/* What is left of an older dump in the same directory does not matter, unless a file is without who has it. */
static void lost_process_is_noticed(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	struct image_list files;

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	assert_int_equal(linkat(f->dirfd, "core-101.img", f->dirfd, "core-103.img", 0), 0);
	assert_int_equal(check(f), 0);
	assert_int_equal(image_read_list(&set, IMAGE_FILES, 0, &file_entry__descriptor, &files, &f->err), 0);
	image_writer_open(&w, &set, IMAGE_FILES, 0);
	for (size_t i = 0; i < files.count; i++)
		assert_int_equal(image_writer_add(&w, files.items[i], &f->err), 0);
	assert_int_equal(sample_add_reg(&w, 9, "/of/another", &f->err), 0);
	assert_int_equal(image_writer_finish(&w, &f->err), 0);
	image_list_done(&files);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text,
			    "pstree.img: thread 103 is missing: there is its core image, and nothing refers to file 9");
	assert_int_equal(unlinkat(f->dirfd, "core-103.img", 0), 0);
	assert_int_equal(check(f), 0);
}

/* A sparse file holds as much as it likes; a pipe does not. */
static void endless_pipe_is_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	AUTO_CLOSE int fd = openat(f->dirfd, "pipes-data.img", O_WRONLY | O_CLOEXEC);
	PipeDataEntry data = PIPE_DATA_ENTRY__INIT;

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	data.pipe_id = 777;
	data.bytes = UINT32_MAX;
	image_writer_open(&w, &set, IMAGE_PIPES_DATA, 0);
	assert_int_equal(image_writer_add(&w, &data, &f->err), 0);
	assert_int_equal(image_writer_finish(&w, &f->err), 0);
	assert_int_equal(ftruncate(fd, 5ll << 30), 0);
	assert_int_equal(check(f), -EBADMSG);
	assert_non_null(strstr(f->err.text, "4294967295 bytes in a pipe for 268435456"));
}

static void swollen_message_is_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	const size_t count = 3 << 20;
	SeccompFilter filter = SECCOMP_FILTER__INIT;
	SeccompEntry seccomp = SECCOMP_ENTRY__INIT;
	AUTO_FREE SeccompFilter **filters = calloc(count, sizeof(*filters));

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	for (size_t i = 0; i < count; i++)
		filters[i] = &filter;
	seccomp.n_seccomp_filters = count;
	seccomp.seccomp_filters = filters;
	assert_int_equal(image_write_one(&set, IMAGE_SECCOMP, 0, &seccomp, &f->err), 0);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text, "seccomp.img: record 1 at byte 8: too many parts in one message");
}

static void move_seccomp(struct fixture *f, struct image_set *set, uint32_t tid)
{
	CoreEntry *core;

	assert_int_equal(image_read_one(set, IMAGE_CORE, tid, &core_entry__descriptor, &core, &f->err), 0);
	core->thread_core->has_seccomp_mode = core->thread_core->has_seccomp_filter = false;
	if (core->tc) {
		core->tc->has_old_seccomp_mode = core->tc->has_old_seccomp_filter = true;
		core->tc->old_seccomp_mode = SECCOMP_MODE__filter;
		core->tc->old_seccomp_filter = 1;
	}
	assert_int_equal(image_write_one(set, IMAGE_CORE, tid, core, &f->err), 0);
	image_message_free(core);
}

/* Filters were of the process, and are still those of each thread. */
static void old_filters_are_of_all_threads(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	struct checked_set *checked = NULL;

	assert_int_equal(image_set_open(&set, f->dirfd, NULL, &f->err), 0);
	move_seccomp(f, &set, SAMPLE_PID);
	move_seccomp(f, &set, SAMPLE_TID);
	assert_int_equal(image_check(&set, &checked, &f->err), 0);
	for (size_t i = 0; i < 2; i++) {
		const ThreadCoreEntry *thread = checked->tasks[0].threads[i].core->thread_core;

		assert_true(thread->has_seccomp_mode && thread->has_seccomp_filter);
		assert_int_equal(thread->seccomp_mode, SECCOMP_MODE__filter);
		assert_int_equal(thread->seccomp_filter, 1);
	}
	checked_set_free(checked);
}

static void write_tree(struct image_set *set, const struct image_list *tree, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;

	image_writer_open(&w, set, IMAGE_PSTREE, 0);
	for (size_t i = 0; i < tree->count; i++)
		assert_int_equal(image_writer_add(&w, tree->items[i], err), 0);
	assert_int_equal(image_writer_finish(&w, err), 0);
}

static void groups_are_within_sessions(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	struct image_list tree;
	PstreeEntry *root, *zombie;

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	assert_int_equal(image_read_list(&set, IMAGE_PSTREE, 0, &pstree_entry__descriptor, &tree, &f->err), 0);
	root = tree.items[0];
	zombie = tree.items[1];
	root->pgid = 0;
	write_tree(&set, &tree, &f->err);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text, "pstree.img: pid 100: leads its session and is in process group 0");
	root->pgid = root->pid;
	zombie->sid = 7;
	write_tree(&set, &tree, &f->err);
	assert_int_equal(check(f), -EBADMSG);
	assert_non_null(strstr(f->err.text, "pstree.img: process group 100: pid"));
	/* led from outside */
	root->pgid = root->sid = zombie->pgid = 0;
	write_tree(&set, &tree, &f->err);
	assert_int_equal(check(f), 0);
	image_list_done(&tree);
}

static void each_missing_file_is_named(void **state)
{
	struct fixture *f = *state;
	const char *const needed[] = { "inventory.img",   "core-100.img", "core-101.img",  "core-102.img",
				       "ids-100.img",     "mm-100.img",   "fs-100.img",    "pages-1.img",
				       "memfd.img",       "seccomp.img",  "files.img",     "pstree.img",
				       "pagemap-100.img", "fdinfo-2.img", "pipes-data.img" };

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		assert_int_equal(renameat(f->dirfd, needed[i], f->dirfd, "away"), 0);
		assert_true(check(f) < 0);
		assert_int_equal(renameat(f->dirfd, "away", f->dirfd, needed[i]), 0);
	}
	assert_int_equal(check(f), 0);
}

/* Shared memory that nobody has written to may be without a page map, as long as no pages are left over. */
static void lost_shared_pages_are_noticed(void **state)
{
	struct fixture *f = *state;
	AUTO_CLOSE int fd = -1;

	assert_int_equal(faccessat(f->dirfd, "pagemap-shmem-4242.img", F_OK, 0), -1);
	assert_int_equal(check(f), 0);
	fd = openat(f->dirfd, "pages-9.img", O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text, "pagemap-shmem-4242.img is missing, and pages-9.img is named by no other");
}

static void shared_pages_are_noticed(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	PagemapHead head = PAGEMAP_HEAD__INIT;
	PagemapEntry entry = PAGEMAP_ENTRY__INIT;
	struct pagemap *map = NULL;
	MemfdInodeEntry *inode;

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	assert_int_equal(image_read_one(&set, IMAGE_MEMFD, 0, &memfd_inode_entry__descriptor, &inode, &f->err), 0);
	inode->size = 1 << 20;
	assert_int_equal(image_write_one(&set, IMAGE_MEMFD, 0, inode, &f->err), 0);
	image_message_free(inode);
	assert_int_equal(pagemap_load(&set, IMAGE_PAGEMAP, SAMPLE_PID, &map, &f->err), 0);
	head.pages_id = map->pages_id;
	entry.has_nr_pages = entry.has_flags = true;
	entry.nr_pages = map->present_pages;
	entry.flags = 4;
	image_writer_open(&w, &set, IMAGE_PAGEMAP_SHMEM, 4242);
	assert_int_equal(image_writer_add(&w, &head, &f->err), 0);
	assert_int_equal(image_writer_add(&w, &entry, &f->err), 0);
	assert_int_equal(image_writer_finish(&w, &f->err), 0);
	pagemap_free(map);
	assert_int_equal(check(f), -EBADMSG);
	assert_non_null(strstr(f->err.text, "is named by two page maps"));
}

static void write_ghost(struct image_set *set, uint64_t chunk_len, uint64_t second_at, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer remaps = IMAGE_WRITER_INIT, w = IMAGE_WRITER_INIT;
	RemapFilePathEntry remap = REMAP_FILE_PATH_ENTRY__INIT;
	GhostFileEntry ghost = GHOST_FILE_ENTRY__INIT;
	GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;

	remap.orig_id = 1;
	remap.remap_id = 0x8000000a; /* the old way to say ghost */
	image_writer_open(&remaps, set, IMAGE_REMAP_FPATH, 0);
	assert_int_equal(image_writer_add(&remaps, &remap, err), 0);
	assert_int_equal(image_writer_finish(&remaps, err), 0);
	ghost.mode = S_IFREG | 0600;
	ghost.has_chunks = ghost.chunks = true;
	ghost.has_size = true;
	ghost.size = 100;
	chunk.off = 90;
	chunk.len = chunk_len;
	image_writer_open(&w, set, IMAGE_GHOST_FILE, 10);
	assert_int_equal(image_writer_add(&w, &ghost, err), 0);
	assert_int_equal(image_writer_add_payload(&w, &chunk, NULL, chunk_len, err), 0);
	if (second_at) {
		chunk.off = second_at;
		assert_int_equal(image_writer_add_payload(&w, &chunk, NULL, chunk_len, err), 0);
	}
	assert_int_equal(image_writer_finish(&w, err), 0);
}

static void ghosts_are_looked_at(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;

	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	write_ghost(&set, 10, 0, &f->err);
	assert_int_equal(check(f), 0);
	write_ghost(&set, 2, 92, &f->err);
	assert_int_equal(check(f), 0);
	write_ghost(&set, 2, 91, &f->err);
	assert_int_equal(check(f), -EBADMSG);
	assert_non_null(strstr(f->err.text, "content that overlaps what is before it"));
	write_ghost(&set, 11, 0, &f->err);
	assert_int_equal(check(f), -EBADMSG);
	assert_non_null(strstr(f->err.text, "ghost-file-a.img: record 2"));
	assert_int_equal(unlinkat(f->dirfd, "ghost-file-a.img", 0), 0);
	assert_int_equal(check(f), -EBADMSG);
	assert_string_equal(f->err.text, "ghost-file-a.img is missing");
}

/* Files by type, as sets had them before files.img. */
static void old_file_images_are_read(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	struct image_list files;

	forget_images(f);
	assert_int_equal(image_set_open_plain(&set, f->dirfd, NULL, &f->err), 0);
	assert_int_equal(image_read_list(&set, IMAGE_FILES, 0, &file_entry__descriptor, &files, &f->err), 0);
	assert_int_equal(unlinkat(f->dirfd, "files.img", 0), 0);
	for (unsigned int pass = 0; pass < 3; pass++) {
		AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
		const enum image_kind kinds[] = { IMAGE_OLD_REG_FILES, IMAGE_OLD_PIPES, IMAGE_OLD_EVENTPOLL };

		image_writer_open(&w, &set, kinds[pass], 0);
		for (size_t i = 0; i < files.count; i++) {
			const FileEntry *entry = files.items[i];
			const void *member = pass == 0   ? (void *)entry->reg
					     : pass == 1 ? (void *)entry->pipe
							 : (void *)entry->epfd;

			if (member)
				assert_int_equal(image_writer_add(&w, member, &f->err), 0);
		}
		assert_int_equal(image_writer_finish(&w, &f->err), 0);
	}
	image_list_done(&files);
	/* memfds are younger than that */
	assert_int_equal(check(f), -EBADMSG);
	assert_non_null(strstr(f->err.text, "file 5 is not there as a memfd"));
}

static void real_sets_pass(void **state)
{
	const char *base = getenv("GOLDEN_DIR");
	const char *const names[] = { "plain", "threads", "tree", "files", "signals", "shm", "unix", "tcp" };
	struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
		struct checked_set *checked = NULL;
		char path[512];

		(void)snprintf(path, sizeof(path), "%s/img/%s", base ? base : "../shared/golden", names[i]);
		if (access(path, F_OK) < 0) {
			print_message("skipped: no real image set %s\n", names[i]);
			skip();
		}
		if (image_set_open(&set, AT_FDCWD, path, &err) < 0 || image_check(&set, &checked, &err) < 0)
			fail_msg("%s: %s", names[i], err.text);
		checked_set_free(checked);
	}
}

/* The names of the files in a directory; how many. */
static size_t list_files(int dirfd, char (*names)[IMAGE_NAME_MAX], size_t max)
{
	AUTO_CLOSEDIR DIR *dir = fdopendir(dup(dirfd));
	struct dirent *entry;
	size_t count = 0;

	rewinddir(dir);
	while (count < max && (entry = readdir(dir))) {
		if (strstr(entry->d_name, ".img") && strncmp(entry->d_name, "pages-", 6) != 0)
			(void)snprintf(names[count++], IMAGE_NAME_MAX, "%.60s", entry->d_name);
	}
	return count;
}

/* Cuts a file, flips a bit, overwrites a number or repeats a piece. */
static void mutate(int dirfd, const char *name, const struct buffer *whole)
{
	AUTO_CLOSE int fd = openat(dirfd, name, O_WRONLY | O_TRUNC);
	AUTO_BUFFER struct buffer b = { 0 };
	size_t at = (size_t)rand() % whole->bytes;
	const uint32_t numbers[] = { 0, 1, 0x7f, 0x7fffffff, 0x80000000, 0xffffffff, (uint32_t)rand() };

	assert_int_equal(buffer_append(&b, whole->data, whole->bytes), 0);
	switch (rand() % 4) {
	case 0:
		b.bytes = at;
		break;
	case 1:
		b.data[at] = (char)(b.data[at] ^ 1 << rand() % 8);
		break;
	case 2:
		if (at + 4 <= b.bytes)
			memcpy(b.data + at, &numbers[(size_t)rand() % ARRAY_SIZE(numbers)], 4);
		break;
	default:
		assert_int_equal(buffer_append(&b, whole->data + at, whole->bytes - at), 0);
		break;
	}
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, b.data, b.bytes), 0);
}

static void random_damage_is_survived(void **state)
{
	struct fixture *f = *state;
	char names[64][IMAGE_NAME_MAX];
	size_t count = list_files(f->dirfd, names, ARRAY_SIZE(names)), refused = 0;

	srand(1);
	assert_true(count > 10);
	for (unsigned int i = 0; i < MUTATIONS; i++) {
		const char *name = names[(size_t)rand() % count];
		AUTO_BUFFER struct buffer whole = { 0 };
		AUTO_CLOSE int fd = -1;

		assert_int_equal(buffer_read_at(&whole, f->dirfd, name), 0);
		mutate(f->dirfd, name, &whole);
		refused += check(f) < 0;
		fd = openat(f->dirfd, name, O_WRONLY | O_TRUNC);
		assert_int_equal(write_all(fd, whole.data, whole.bytes), 0);
	}
	assert_true(refused > MUTATIONS / 4);
	assert_int_equal(check(f), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(sample_passes),
		TEST(contradictions_are_refused),
		TEST(long_name_is_refused),
		TEST(endless_pipe_is_refused),
		TEST(swollen_message_is_refused),
		TEST(old_filters_are_of_all_threads),
		TEST(lost_table_is_noticed),
		TEST(cut_table_is_noticed),
		TEST(lost_process_is_noticed),
		TEST(groups_are_within_sessions),
		TEST(each_missing_file_is_named),
		TEST(lost_shared_pages_are_noticed),
		TEST(shared_pages_are_noticed),
		TEST(ghosts_are_looked_at),
		TEST(old_file_images_are_read),
		cmocka_unit_test(real_sets_pass),
		TEST(random_damage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
