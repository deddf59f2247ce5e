/*
 * The look at an io_uring: what state it is in, from the kernel's structures; requests in flight are waited for. The
 * record of the image is made here already, and kept packed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "compel/compel.h"
#include "engine/dump.h"
#include "engine/undo.h"
#include "files/io-uring-internal.h"
#include "files/registry.h"
#include "images/io-uring.pb-c.h"
#include "kernel/io-uring-context.h"

#define NO_NUMBER      (-1)
#define LOOK_US        5000 /* between two looks at one that is busy */
#define REQUESTS_NAMED 4

/* --- whose it is ------------------------------------------------------------------------------------------------- */

/* The record is made while the tree is looked at, and kept packed. */
struct packed_entry {
	size_t bytes;
	uint8_t data[];
};

struct uring_look {
	struct dump *d;
	struct open_file *file;
	struct kernel_memory *km;
	struct io_uring_context context;
	struct task *owner;
	int owner_fd;
	struct io_uring_thread owner_leader;
	uint64_t *owner_files; /* struct file by number */
	size_t owner_file_count;
	struct io_uring_memory memory;
	IoUringFileEntry entry;
	size_t number_capacity;
};

static int number_in(const struct task *task, const struct open_file *file)
{
	for (size_t i = 0; task->files_owner && i < task->files_owner->fd_count; i++)
		if (task->files_owner->fds[i].file == file)
			return task->files_owner->fds[i].fd;
	return NO_NUMBER;
}

static int read_leader(struct kernel_memory *km, const struct task *task, struct io_uring_thread *ret)
{
	AUTO_FREE uint64_t *threads = NULL;
	size_t count;
	int r = kernel_memory_threads(km, task->pidfd, &threads, &count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		r = io_uring_thread_read(km, threads[i], ret);
		if (r < 0 || ret->at == ret->leader || task->ended_leader)
			return r;
	}
	return r < 0 ? r : -ESRCH;
}

static int find_context(struct uring_look *look, uint64_t *ret_context)
{
	const struct open_file *file = look->file;
	AUTO_FREE uint64_t *files = NULL;
	struct io_uring_thread leader;
	size_t count = 0;
	int r = read_leader(look->km, file->task, &leader);

	if (r == 0)
		r = io_uring_read_table(look->km, &leader, &files, &count);
	if (r == 0 && ((size_t)file->fd >= count || !files[file->fd]))
		r = -EBADF;
	return r < 0 ? r : io_uring_private(look->km, files[file->fd], ret_context);
}

/* Who made it, or who has it if that one is not of the tree. */
static int find_owner(struct uring_look *look)
{
	int r = 0;

	look->owner = look->file->task;
	for_each_task (look->d, task) {
		if (task->is_zombie || number_in(task, look->file) < 0)
			continue;
		r = read_leader(look->km, task, &look->owner_leader);
		if (r < 0)
			return r;
		if (look->owner_leader.mm == look->context.mm) {
			look->owner = task;
			break;
		}
	}
	look->owner_fd = number_in(look->owner, look->file);
	r = read_leader(look->km, look->owner, &look->owner_leader);
	if (r == 0)
		r = io_uring_read_table(look->km, &look->owner_leader, &look->owner_files, &look->owner_file_count);
	return r;
}

/* --- what is refused --------------------------------------------------------------------------------------------- */

static int refuse(const struct uring_look *look, struct error *err, const char *reason)
{
	return open_file_refuse(look->file, err, "%s", reason);
}

static int check_features(const struct uring_look *look, struct error *err)
{
	const struct io_uring_context *c = &look->context;
	const struct {
		bool is_there;
		const char *reason;
	} refusals[] = {
		{ c->flags & IORING_SETUP_SQPOLL, "a thread of the kernel submits for it (IORING_SETUP_SQPOLL)" },
		{ c->flags & (IORING_SETUP_NO_MMAP | IORING_SETUP_REGISTERED_FD_ONLY),
		  "its rings are memory of the program (IORING_SETUP_NO_MMAP), and the kernel does not tell where" },
		{ c->flags & ~(IO_URING_FLAGS_RESTORED | IORING_SETUP_ATTACH_WQ | IORING_SETUP_SQPOLL |
			       IORING_SETUP_SQ_AFF | IORING_SETUP_NO_MMAP | IORING_SETUP_REGISTERED_FD_ONLY),
		  "it was set up with a flag that this program does not know" },
		{ c->has_restrictions, "it has restrictions" },
		{ c->has_personalities, "it has personalities (credentials that are registered)" },
		{ c->has_buffer_rings, "it has provided buffers" },
		{ c->has_receive_queues, "it has queues of a network device" },
		{ c->has_wait_region, "it has registered memory for waits" },
		{ c->polls_network, "it polls network devices (NAPI)" },
		{ c->overflows, "completions that did not fit into its ring wait in the kernel" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].is_there) {
			error_hint(err, "have the program close it before the dump and set up another one after the "
					"restore");
			return refuse(look, err, refusals[i].reason);
		}
	return 0;
}

static bool descends(const struct task *task, const struct task *ancestor)
{
	for (; task; task = task->parent)
		if (task == ancestor)
			return true;
	return false;
}

/* Only the thread that makes such a ring may use it: at the restore that is the first one of the owner. */
static int check_submitter(const struct uring_look *look, struct error *err)
{
	const struct io_uring_context *c = &look->context;

	if (!(c->flags & IORING_SETUP_SINGLE_ISSUER) || !c->submitter)
		return 0;
	if (c->submitter != look->owner_leader.at || look->owner->ended_leader)
		return open_file_refuse(
		    look->file, err,
		    "only one of the threads may use it (IORING_SETUP_SINGLE_ISSUER), which is supported "
		    "for the first thread of a process only");
	for_each_task (look->d, task)
		if (!task->is_zombie && number_in(task, look->file) >= 0 && !descends(task, look->owner))
			return open_file_refuse(
			    look->file, err,
			    "only pid %d may use it (IORING_SETUP_SINGLE_ISSUER), but pid %d has it, too",
			    look->owner->host_pid, task->host_pid);
	return 0;
}

/* --- requests in flight ------------------------------------------------------------------------------------------ */

/*
 * A request that is complete for a device still has to be completed by the task itself, in some system call. What we
 * put into the task for that is taken out again: the look at its memory is to come.
 */
static int let_complete(const struct uring_look *look)
{
	const uint64_t args[6] = { (uint64_t)look->owner_fd, 0, 0, IORING_ENTER_GETEVENTS, 0, 0 };
	struct compel_error compel_err = { 0 };
	int64_t result;

	if (look->d->is_live || !look->owner->compel)
		return 0;
	(void)compel_syscall(look->owner->compel, SYS_io_uring_enter, args, &result, &compel_err);
	return compel_cure(look->owner->compel, &compel_err);
}

/* What a request may wait in for long: the names of the constants, in small letters. */
static const char *const operations[] = {
	[IORING_OP_READV] = "readv",
	[IORING_OP_WRITEV] = "writev",
	[IORING_OP_POLL_ADD] = "poll_add",
	[IORING_OP_SENDMSG] = "sendmsg",
	[IORING_OP_RECVMSG] = "recvmsg",
	[IORING_OP_TIMEOUT] = "timeout",
	[IORING_OP_ACCEPT] = "accept",
	[IORING_OP_LINK_TIMEOUT] = "link_timeout",
	[IORING_OP_CONNECT] = "connect",
	[IORING_OP_READ] = "read",
	[IORING_OP_WRITE] = "write",
	[IORING_OP_SEND] = "send",
	[IORING_OP_RECV] = "recv",
	[IORING_OP_URING_CMD] = "uring_cmd",
	[IORING_OP_READ_FIXED] = "read_fixed",
	[IORING_OP_WRITE_FIXED] = "write_fixed",
};

/* ": poll_add (user data 0x5), timeout (user data 0x6) and 1 more" */
static void describe_requests(const struct uring_look *look, uint32_t total, char *text, size_t bytes)
{
	struct io_uring_request requests[REQUESTS_NAMED];
	int found = io_uring_context_waiting(look->km, look->context.at, requests, REQUESTS_NAMED);
	size_t at = 0;

	text[0] = '\0';
	for (int i = 0; i < found && at < bytes; i++) {
		const uint8_t number = requests[i].operation;
		char name[24];

		if (number < ARRAY_SIZE(operations) && operations[number])
			(void)snprintf(name, sizeof(name), "%s", operations[number]);
		else
			(void)snprintf(name, sizeof(name), "operation %u", number);
		at += (size_t)snprintf(text + at, bytes - at, "%s%s (user data 0x%llx)", i ? ", " : ": ", name,
				       (unsigned long long)requests[i].user_data);
	}
	if (found > 0 && (uint32_t)found < total && at < bytes)
		(void)snprintf(text + at, bytes - at, " and %u more", total - (uint32_t)found);
}

static int refuse_requests(const struct uring_look *look, uint32_t count, struct error *err)
{
	char which[256];

	describe_requests(look, count, which, sizeof(which));
	error_hint(err, "--io-wait gives them more time to complete");
	return open_file_refuse(look->file, err, "%u request%s in flight%s", count, count == 1 ? " is" : "s are",
				which);
}

static int wait_for_requests(struct uring_look *look, struct error *err)
{
	const uint64_t deadline_ns = now_ns() + look->d->opts->io_wait_sec * (uint64_t)NS_PER_SEC;
	uint32_t count = 0;
	int r;

	for (;;) {
		r = io_uring_context_in_flight(look->km, look->context.at, &count);
		if (r < 0 || count == 0 || now_ns() >= deadline_ns)
			break;
		if (!look->d->is_live && undo_interrupted(look->d->undo))
			return error_say(err, -EINTR, "interrupted");
		r = let_complete(look);
		if (r < 0)
			break;
		(void)usleep(LOOK_US);
	}
	if (r < 0)
		return open_file_error(look->file, err, r, "wait for its requests in flight");
	return count ? refuse_requests(look, count, err) : 0;
}

/* --- rings ------------------------------------------------------------------------------------------------------- */

/* One of the same shape tells where what is. */
static int find_layout(const struct io_uring_context *context, struct io_uring_params *ret)
{
	struct io_uring_params params = {
		.flags = (context->flags & IO_URING_LAYOUT_FLAGS) | IORING_SETUP_CQSIZE,
		.cq_entries = context->cq_entries,
	};
	AUTO_CLOSE int fd = io_uring_make(context->sq_entries, &params);

	*ret = params;
	return fd < 0 ? fd : 0;
}

static int map_rings(struct uring_look *look, struct error *err)
{
	struct io_uring_params params;
	int fd = open_file_local(look->d, look->file);
	int r = fd < 0 ? fd : find_layout(&look->context, &params);

	if (r == 0)
		r = io_uring_map(fd, &params, &look->memory);
	open_file_release(look->d, look->file);
	return r < 0 ? open_file_error(look->file, err, r, "map its rings") : 0;
}

static int check_counters(const struct uring_look *look, struct error *err)
{
	const struct io_uring_memory *memory = &look->memory;
	const struct io_uring_context *c = &look->context;
	const uint32_t sq_head = *io_uring_word(memory, memory->params.sq_off.head);
	const uint32_t cq_head = *io_uring_word(memory, memory->params.cq_off.head);

	if (sq_head != c->cached_sq_head || *io_uring_word(memory, memory->params.cq_off.tail) != c->cached_cq_tail)
		return refuse(look, err, "its rings are not as the kernel left them");
	if (c->cached_cq_tail - cq_head > c->cq_entries)
		return refuse(look, err, "the head of its completions was moved beyond the tail");
	if (c->cached_sq_head > IO_URING_COUNT_LIMIT || c->cached_cq_tail > IO_URING_COUNT_LIMIT)
		return open_file_refuse(
		    look->file, err,
		    "%u requests went through it: restoring its counters, by so many that do nothing, would "
		    "take too long (the limit is %u)",
		    c->cached_sq_head, IO_URING_COUNT_LIMIT);
	return 0;
}

/* --- what is registered ------------------------------------------------------------------------------------------ */

static int find_registered(const struct uring_look *look, uint64_t file)
{
	for (size_t i = 0; i < look->owner_file_count; i++)
		if (look->owner_files[i] == file)
			return (int)i;
	return NO_NUMBER;
}

static int look_files(struct uring_look *look, struct error *err)
{
	const struct io_uring_resources *files = &look->context.files;
	IoUringSlot *slots = files_scratch(look->d, (files->count + 1) * sizeof(*slots));
	IoUringSlot **list = files_scratch(look->d, (files->count + 1) * sizeof(*list));

	if (!files->slots)
		return 0;
	if (!slots || !list)
		return open_file_error(look->file, err, -ENOMEM, "look");
	for (size_t i = 0; i < files->count; i++) {
		const struct io_uring_resource *item = &files->items[i];
		int number = find_registered(look, item->file);

		if (number < 0)
			return open_file_refuse(look->file, err, "its registered file %u is not open in pid %d",
						item->slot, look->owner->host_pid);
		io_uring_slot__init(&slots[i]);
		slots[i].slot = item->slot;
		slots[i].fd = (uint32_t)number;
		slots[i].has_tag = item->tag != 0;
		slots[i].tag = item->tag;
		list[i] = &slots[i];
	}
	look->entry.has_file_slots = true;
	look->entry.file_slots = files->slots;
	look->entry.files = list;
	look->entry.n_files = files->count;
	look->entry.has_alloc_start = look->entry.has_alloc_end =
	    look->context.alloc_start != 0 || look->context.alloc_end != files->slots;
	look->entry.alloc_start = look->context.alloc_start;
	look->entry.alloc_end = look->context.alloc_end;
	return 0;
}

static bool is_mapped(const struct task *task, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < task->maps.count && start < end; i++) {
		const struct proc_vma *vma = &task->maps.vmas[i];

		if (vma->end <= start)
			continue;
		if (vma->start > start)
			return false;
		start = vma->end;
	}
	return start >= end;
}

static int check_buffer(const struct uring_look *look, const struct io_uring_resource *item, struct error *err)
{
	if (item->is_kernels)
		return open_file_refuse(look->file, err, "its registered buffer %u is not memory of the program",
					item->slot);
	if (look->context.mm != look->owner_leader.mm)
		return open_file_refuse(look->file, err,
					"the process whose buffers are registered does not have it open");
	if (!is_mapped(look->owner, item->address, item->address + item->bytes))
		return open_file_refuse(look->file, err, "its registered buffer %u is not mapped any more", item->slot);
	return 0;
}

static int look_buffers(struct uring_look *look, struct error *err)
{
	const struct io_uring_resources *buffers = &look->context.buffers;
	IoUringBuffer *items = files_scratch(look->d, (buffers->count + 1) * sizeof(*items));
	IoUringBuffer **list = files_scratch(look->d, (buffers->count + 1) * sizeof(*list));

	if (!buffers->slots)
		return 0;
	if (!items || !list)
		return open_file_error(look->file, err, -ENOMEM, "look");
	for (size_t i = 0; i < buffers->count; i++) {
		const struct io_uring_resource *item = &buffers->items[i];
		int r = check_buffer(look, item, err);

		if (r < 0)
			return r;
		io_uring_buffer__init(&items[i]);
		items[i].slot = item->slot;
		items[i].address = item->address;
		items[i].bytes = item->bytes;
		items[i].has_tag = item->tag != 0;
		items[i].tag = item->tag;
		list[i] = &items[i];
	}
	look->entry.has_buffer_slots = true;
	look->entry.buffer_slots = buffers->slots;
	look->entry.buffers = list;
	look->entry.n_buffers = buffers->count;
	return 0;
}

static int look_eventfd(struct uring_look *look, struct error *err)
{
	const struct task *table = look->owner->files_owner;

	if (!look->context.eventfd)
		return 0;
	for (size_t i = 0; i < table->fd_count; i++) {
		const struct open_file *file = table->fds[i].file;
		const size_t fd = (size_t)table->fds[i].fd;
		uint64_t event = 0;

		if (!file->link || strcmp(file->link, "anon_inode:[eventfd]") != 0 || fd >= look->owner_file_count)
			continue;
		if (io_uring_private(look->km, look->owner_files[fd], &event) < 0 || event != look->context.eventfd)
			continue;
		look->entry.has_eventfd = true;
		look->entry.eventfd = (uint32_t)fd;
		look->entry.has_eventfd_async = look->context.eventfd_async != 0;
		look->entry.eventfd_async = look->context.eventfd_async != 0;
		return 0;
	}
	return open_file_refuse(look->file, err, "its eventfd is not open in pid %d", look->owner->host_pid);
}

/* --- numbers of threads ------------------------------------------------------------------------------------------ */

static int add_number(struct uring_look *look, struct task_thread *thread, uint32_t number)
{
	IoUringNumber *added = files_scratch(look->d, sizeof(*added));

	if (!added ||
	    array_reserve(&look->entry.numbers, &look->number_capacity, look->entry.n_numbers, sizeof(added)) < 0)
		return -ENOMEM;
	io_uring_number__init(added);
	added->tid = (uint32_t)thread->tid;
	added->number = number;
	look->entry.numbers[look->entry.n_numbers++] = added;
	thread->known_ring_numbers |= 1u << number;
	return 0;
}

static int look_at_thread(struct uring_look *look, struct task_thread *thread, const uint64_t *addresses, size_t count)
{
	uint64_t rings[IO_URING_THREAD_NUMBERS], address;
	int r = kernel_memory_find_thread(look->km, addresses, count, thread->tid, &address);

	if (r == -ESRCH)
		return 0;
	if (r == 0)
		r = io_uring_thread_numbers(look->km, address, rings);
	for (uint32_t i = 0; i < IO_URING_THREAD_NUMBERS && r == 0; i++)
		if (rings[i] == look->context.at)
			r = add_number(look, thread, i);
	return r;
}

/* A thread whose process has no descriptor is left to the parasite, which refuses numbers that nobody knows. */
static int look_numbers(struct uring_look *look, struct error *err)
{
	for_each_task (look->d, task) {
		AUTO_FREE uint64_t *addresses = NULL;
		size_t count;
		int r;

		if (task->is_zombie || number_in(task, look->file) < 0)
			continue;
		r = kernel_memory_threads(look->km, task->pidfd, &addresses, &count);
		for (size_t i = 0; i < task->thread_count && r == 0; i++)
			r = look_at_thread(look, &task->threads[i], addresses, count);
		if (r < 0)
			return open_file_error(look->file, err, r, "find out which threads have a number for it");
	}
	return 0;
}

/* --- the record -------------------------------------------------------------------------------------------------- */

static int pack(struct uring_look *look, struct error *err)
{
	const struct io_uring_context *c = &look->context;
	IoUringFileEntry *entry = &look->entry;
	FownEntry nobody = FOWN_ENTRY__INIT;
	struct io_uring_offsets offsets;
	struct packed_entry *packed;
	size_t bytes;

	io_uring_get_offsets(&look->memory.params, &offsets);
	entry->fown = &nobody;
	entry->setup_flags = c->flags & IO_URING_FLAGS_RESTORED;
	entry->sq_entries = c->sq_entries;
	entry->cq_entries = c->cq_entries;
	entry->owner_pid = (uint32_t)task_id_own(&look->owner->id);
	entry->offsets = (uint32_t *)&offsets;
	entry->n_offsets = IO_URING_OFFSETS;
	entry->rings = (ProtobufCBinaryData){ look->memory.ring_bytes, (uint8_t *)look->memory.rings };
	entry->sqes = (ProtobufCBinaryData){ look->memory.sqe_bytes, (uint8_t *)look->memory.sqes };
	entry->has_clock_id = c->clock_id != CLOCK_MONOTONIC;
	entry->clock_id = c->clock_id;
	entry->has_bounded_workers = c->workers[0] != 0;
	entry->bounded_workers = c->workers[0];
	entry->has_unbounded_workers = c->workers[1] != 0;
	entry->unbounded_workers = c->workers[1];
	bytes = io_uring_file_entry__get_packed_size(entry);
	packed = malloc(sizeof(*packed) + bytes);
	if (!packed)
		return open_file_error(look->file, err, -ENOMEM, "look");
	packed->bytes = io_uring_file_entry__pack(entry, packed->data);
	look->file->kind_data = packed;
	return 0;
}

static int look_at_kernel(struct uring_look *look, struct error *err)
{
	uint64_t at = 0;
	int r = dump_kernel_memory(look->d, &look->km);

	if (r == 0)
		r = find_context(look, &at);
	if (r == 0)
		r = io_uring_context_read(look->km, at, &look->context);
	if (r == 0)
		r = find_owner(look);
	if (r < 0) {
		error_hint(
		    err, "it is read from the kernel's memory, which needs CAP_BPF, CAP_PERFMON, CONFIG_DEBUG_INFO_BTF "
			 "and a kernel like 6.18");
		if (r == -ENOENT)
			return open_file_refuse(look->file, err,
						"this kernel keeps its state in structures that we do not know");
		return open_file_error(look->file, err, r, "find out what state it is in");
	}
	return 0;
}

static int look_closely(struct uring_look *look, struct error *err)
{
	struct io_uring_context before = { 0 };
	int r = check_features(look, err);

	if (r == 0)
		r = check_submitter(look, err);
	if (r == 0)
		r = wait_for_requests(look, err);
	if (r < 0)
		return r;
	/* Waiting has changed it. */
	before = look->context;
	r = io_uring_context_read(look->km, before.at, &look->context);
	io_uring_context_done(&before);
	if (r < 0)
		return open_file_error(look->file, err, r, "find out what state it is in");
	r = check_features(look, err);
	if (r == 0)
		r = map_rings(look, err);
	if (r == 0)
		r = check_counters(look, err);
	if (r == 0)
		r = look_files(look, err);
	if (r == 0)
		r = look_buffers(look, err);
	if (r == 0)
		r = look_eventfd(look, err);
	if (r == 0)
		r = look_numbers(look, err);
	return r < 0 ? r : pack(look, err);
}

int io_uring_look(struct dump *d, struct open_file *file, struct error *err)
{
	struct uring_look look = { .d = d, .file = file, .entry = IO_URING_FILE_ENTRY__INIT };
	int r = look_at_kernel(&look, err);

	if (r == 0)
		r = look_closely(&look, err);
	io_uring_context_done(&look.context);
	io_uring_unmap(&look.memory);
	free(look.owner_files);
	free(look.entry.numbers);
	return r;
}

static void *allocate_scratch(void *d, size_t bytes)
{
	return files_scratch(d, bytes);
}

static void free_scratch(void *d, void *pointer)
{
}

int io_uring_save(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	const struct packed_entry *packed = file->kind_data;
	ProtobufCAllocator allocator = { .alloc = allocate_scratch, .free = free_scratch, .allocator_data = d };
	IoUringFileEntry *uring = io_uring_file_entry__unpack(&allocator, packed->bytes, packed->data);

	if (!uring)
		return open_file_error(file, err, -ENOMEM, "save");
	uring->id = file->id;
	uring->flags = file->flags;
	uring->fown = fown_save(d, file);
	if (!uring->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->io_uring = uring;
	return 0;
}
