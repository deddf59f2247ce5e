#include "kernel/io-uring-context.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define SLOT_LIMIT   (1u << 20) /* the kernel allows 32768 files, 16384 buffers */
#define TABLE_LIMIT  (1u << 26)
#define CACHED_LIMIT (1u << 20)

#define NAPI_INACTIVE 255

#define POINTER_KIND 7ull /* low bits of a pointer that say something else */

#define CONTEXT "io_ring_ctx"

int io_uring_thread_read(struct kernel_memory *km, uint64_t thread, struct io_uring_thread *ret)
{
	int r = KERNEL_MEMBER(km, thread, "task_struct", "mm", &ret->mm);

	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "files", &ret->files);
	if (r == 0)
		r = KERNEL_MEMBER(km, thread, "task_struct", "group_leader", &ret->leader);
	ret->at = thread;
	return r;
}

int io_uring_read_table(struct kernel_memory *km, const struct io_uring_thread *thread, uint64_t **ret_files,
			size_t *ret_count)
{
	AUTO_FREE uint64_t *files = NULL;
	uint64_t table = 0, at = 0;
	uint32_t count = 0;
	int r = KERNEL_MEMBER(km, thread->files, "files_struct", "fdt", &table);

	if (r == 0)
		r = KERNEL_MEMBER(km, table, "fdtable", "max_fds", &count);
	if (r == 0)
		r = KERNEL_MEMBER(km, table, "fdtable", "fd", &at);
	if (r < 0)
		return r;
	if (count > TABLE_LIMIT)
		return -EINVAL;
	files = calloc(count + 1ul, sizeof(*files));
	if (!files)
		return -ENOMEM;
	r = kernel_memory_read(km, at, files, count * sizeof(*files));
	if (r < 0)
		return r;
	*ret_files = TAKE_PTR(files);
	*ret_count = count;
	return 0;
}

int io_uring_thread_numbers(struct kernel_memory *km, uint64_t thread, uint64_t ret[IO_URING_THREAD_NUMBERS])
{
	int offset = kernel_memory_offset(km, "io_uring_task", "registered_rings");
	uint64_t files[IO_URING_THREAD_NUMBERS] = { 0 }, own = 0;
	int r = offset < 0 ? offset : KERNEL_MEMBER(km, thread, "task_struct", "io_uring", &own);

	if (r == 0 && own)
		r = kernel_memory_read(km, own + (uint64_t)offset, files, sizeof(files));
	for (size_t i = 0; i < IO_URING_THREAD_NUMBERS && r == 0; i++) {
		ret[i] = 0;
		if (files[i])
			r = io_uring_private(km, files[i], &ret[i]);
	}
	return r;
}

int io_uring_private(struct kernel_memory *km, uint64_t file, uint64_t *ret_private)
{
	return KERNEL_MEMBER(km, file, "file", "private_data", ret_private);
}

/* --- resources --------------------------------------------------------------------------------------------------- */

static int read_buffer(struct kernel_memory *km, uint64_t buffer, struct io_uring_resource *ret)
{
	uint32_t bytes = 0;
	uint8_t is_kernels = 0;
	int r = KERNEL_MEMBER(km, buffer, "io_mapped_ubuf", "ubuf", &ret->address);

	if (r == 0)
		r = KERNEL_MEMBER(km, buffer, "io_mapped_ubuf", "len", &bytes);
	if (r == 0 && kernel_memory_offset(km, "io_mapped_ubuf", "is_kbuf") >= 0)
		r = KERNEL_MEMBER(km, buffer, "io_mapped_ubuf", "is_kbuf", &is_kernels);
	ret->bytes = bytes;
	ret->is_kernels = is_kernels;
	return r;
}

static int read_resource(struct kernel_memory *km, uint64_t node, bool are_buffers, struct io_uring_resource *ret)
{
	uint64_t object = 0;
	int r = KERNEL_MEMBER(km, node, "io_rsrc_node", "tag", &ret->tag);

	if (r == 0)
		r = KERNEL_MEMBER(km, node, "io_rsrc_node", "buf", &object);
	if (r < 0)
		return r;
	if (are_buffers)
		return read_buffer(km, object, ret);
	ret->file = object & ~POINTER_KIND;
	return 0;
}

static int read_resources(struct kernel_memory *km, uint64_t table, bool are_buffers, struct io_uring_resources *ret)
{
	uint64_t nodes = 0;
	int r = KERNEL_MEMBER(km, table, "io_rsrc_data", "nr", &ret->slots);

	if (r == 0)
		r = KERNEL_MEMBER(km, table, "io_rsrc_data", "nodes", &nodes);
	if (r < 0)
		return r;
	if (ret->slots > SLOT_LIMIT)
		return -EINVAL;
	ret->items = calloc(ret->slots + 1ul, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < ret->slots; i++) {
		uint64_t node = 0;

		r = kernel_memory_read(km, nodes + i * sizeof(node), &node, sizeof(node));
		if (r < 0 || !node)
			continue;
		ret->items[ret->count].slot = i;
		r = read_resource(km, node, are_buffers, &ret->items[ret->count++]);
	}
	return r;
}

static int read_all_resources(struct kernel_memory *km, uint64_t at, struct io_uring_context *ret)
{
	int files = kernel_memory_offset(km, CONTEXT, "file_table"),
	    data = kernel_memory_offset(km, "io_file_table", "data");
	int buffers = kernel_memory_offset(km, CONTEXT, "buf_table");
	int r = files < 0 || data < 0 || buffers < 0 ? -ENOENT : 0;

	if (r == 0)
		r = read_resources(km, at + (uint64_t)files + (uint64_t)data, false, &ret->files);
	return r < 0 ? r : read_resources(km, at + (uint64_t)buffers, true, &ret->buffers);
}

/* --- what cannot be made again ----------------------------------------------------------------------------------- */

static int is_used(struct kernel_memory *km, uint64_t at, const char *array, bool *ret)
{
	int offset = kernel_memory_offset(km, CONTEXT, array);
	uint64_t head = 0;
	int r = offset < 0 ? offset : KERNEL_MEMBER(km, at + (uint64_t)offset, "xarray", "xa_head", &head);

	*ret = head != 0;
	return r;
}

/* What older kernels do not know is not used there. */
static int is_used_if_known(struct kernel_memory *km, uint64_t at, const char *array, bool *ret)
{
	int r = is_used(km, at, array, ret);

	return r == -ENOENT ? 0 : r;
}

static int read_restrictions(struct kernel_memory *km, uint64_t at, bool *ret)
{
	int offset = kernel_memory_offset(km, CONTEXT, "restrictions");
	uint8_t registered = 0;
	int r =
	    offset < 0 ? offset : KERNEL_MEMBER(km, at + (uint64_t)offset, "io_restriction", "registered", &registered);

	*ret = registered != 0;
	return r;
}

static int read_polling(struct kernel_memory *km, uint64_t at, bool *ret)
{
	uint8_t mode = NAPI_INACTIVE;
	int r = KERNEL_MEMBER(km, at, CONTEXT, "napi_track_mode", &mode);

	*ret = mode != NAPI_INACTIVE;
	return r == -ENOENT ? 0 : r;
}

static int read_wait_region(struct kernel_memory *km, uint64_t at, bool *ret)
{
	int offset = kernel_memory_offset(km, CONTEXT, "param_region");
	uint64_t pages = 0;
	int r = offset < 0 ? offset : KERNEL_MEMBER(km, at + (uint64_t)offset, "io_mapped_region", "pages", &pages);

	*ret = pages != 0;
	return r == -ENOENT ? 0 : r;
}

static int read_overflow(struct kernel_memory *km, uint64_t at, bool *ret)
{
	int offset = kernel_memory_offset(km, CONTEXT, "cq_overflow_list");
	uint64_t next = 0;
	int r = offset < 0 ? offset : kernel_memory_read(km, at + (uint64_t)offset, &next, sizeof(next));

	*ret = r == 0 && next != at + (uint64_t)offset;
	return r;
}

static int read_refused(struct kernel_memory *km, uint64_t at, struct io_uring_context *ret)
{
	int r = read_restrictions(km, at, &ret->has_restrictions);

	if (r == 0)
		r = is_used(km, at, "personalities", &ret->has_personalities);
	if (r == 0)
		r = is_used(km, at, "io_bl_xa", &ret->has_buffer_rings);
	if (r == 0)
		r = is_used_if_known(km, at, "zcrx_ctxs", &ret->has_receive_queues);
	if (r == 0)
		r = read_polling(km, at, &ret->polls_network);
	if (r == 0)
		r = read_wait_region(km, at, &ret->has_wait_region);
	return r < 0 ? r : read_overflow(km, at, &ret->overflows);
}

/* --- the instance ------------------------------------------------------------------------------------------------ */

static int read_eventfd(struct kernel_memory *km, uint64_t at, struct io_uring_context *ret)
{
	uint64_t event = 0;
	int r = KERNEL_MEMBER(km, at, CONTEXT, "io_ev_fd", &event);

	if (r < 0 || !event)
		return r;
	r = KERNEL_MEMBER(km, event, "io_ev_fd", "cq_ev_fd", &ret->eventfd);
	return r < 0 ? r : KERNEL_MEMBER(km, event, "io_ev_fd", "eventfd_async", &ret->eventfd_async);
}

static int read_numbers(struct kernel_memory *km, uint64_t at, struct io_uring_context *ret)
{
	const struct {
		const char *member;
		void *to;
		size_t bytes;
	} members[] = {
		{ "flags", &ret->flags, sizeof(ret->flags) },
		{ "sq_entries", &ret->sq_entries, sizeof(ret->sq_entries) },
		{ "cq_entries", &ret->cq_entries, sizeof(ret->cq_entries) },
		{ "cached_sq_head", &ret->cached_sq_head, sizeof(ret->cached_sq_head) },
		{ "cached_cq_tail", &ret->cached_cq_tail, sizeof(ret->cached_cq_tail) },
		{ "submitter_task", &ret->submitter, sizeof(ret->submitter) },
		{ "mm_account", &ret->mm, sizeof(ret->mm) },
		{ "clockid", &ret->clock_id, sizeof(ret->clock_id) },
		{ "iowq_limits", &ret->workers, sizeof(ret->workers) },
		{ "file_alloc_start", &ret->alloc_start, sizeof(ret->alloc_start) },
		{ "file_alloc_end", &ret->alloc_end, sizeof(ret->alloc_end) },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(members) / sizeof(members[0]); i++)
		r = kernel_memory_member(km, at, CONTEXT, members[i].member, members[i].to, members[i].bytes);
	return r;
}

int io_uring_context_read(struct kernel_memory *km, uint64_t at, struct io_uring_context *ret)
{
	int r;

	*ret = (struct io_uring_context){ .at = at };
	r = read_numbers(km, at, ret);
	if (r == 0)
		r = read_eventfd(km, at, ret);
	if (r == 0)
		r = read_refused(km, at, ret);
	return r < 0 ? r : read_all_resources(km, at, ret);
}

void io_uring_context_done(struct io_uring_context *context)
{
	free(context->files.items);
	free(context->buffers.items);
	*context = (struct io_uring_context){ 0 };
}

/* Requests are allocated when they are submitted, and kept for the next ones when they have ended. */
int io_uring_context_in_flight(struct kernel_memory *km, uint64_t at, uint32_t *ret_count)
{
	int state = kernel_memory_offset(km, CONTEXT, "submit_state");
	uint32_t allocated = 0, cached = 0;
	uint64_t request = 0;
	int r = state < 0 ? state : KERNEL_MEMBER(km, at, CONTEXT, "nr_req_allocated", &allocated);

	if (r == 0)
		r = KERNEL_MEMBER(km, at + (uint64_t)state, "io_submit_state", "free_list", &request);
	while (r == 0 && request && cached < CACHED_LIMIT) {
		cached++;
		r = kernel_memory_read(km, request, &request, sizeof(request));
	}
	if (r == 0)
		*ret_count = allocated > cached ? allocated - cached : 0;
	return r;
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

struct request_list {
	struct io_uring_request *requests;
	size_t count, room;
};

static int add_request(struct kernel_memory *km, uint64_t request, struct request_list *list)
{
	struct io_uring_request *to = &list->requests[list->count];
	int completion = kernel_memory_offset(km, "io_kiocb", "cqe");
	int r = completion < 0 ? completion : KERNEL_MEMBER(km, request, "io_kiocb", "opcode", &to->operation);

	if (r == 0)
		r = KERNEL_MEMBER(km, request + (uint64_t)completion, "io_cqe", "user_data", &to->user_data);
	list->count += r == 0;
	return r;
}

/* What waits for files is in a hash table. */
static int add_polls(struct kernel_memory *km, uint64_t at, struct request_list *list)
{
	int table = kernel_memory_offset(km, CONTEXT, "cancel_table"),
	    node = kernel_memory_offset(km, "io_kiocb", "hash_node");
	int bucket_bytes = kernel_memory_bytes(km, "io_hash_bucket");
	uint64_t buckets = 0, request = 0;
	uint32_t bits = 0;
	int r = table < 0 || node < 0 || bucket_bytes < 0
		    ? -ENOENT
		    : KERNEL_MEMBER(km, at + (uint64_t)table, "io_hash_table", "hbs", &buckets);

	if (r == 0)
		r = KERNEL_MEMBER(km, at + (uint64_t)table, "io_hash_table", "hash_bits", &bits);
	for (uint64_t i = 0; r == 0 && i < 1ull << (bits & 31) && list->count < list->room; i++) {
		r = kernel_memory_read(km, buckets + i * (uint64_t)bucket_bytes, &request, sizeof(request));
		while (r == 0 && request && list->count < list->room) {
			r = add_request(km, request - (uint64_t)node, list);
			if (r == 0)
				r = kernel_memory_read(km, request, &request, sizeof(request));
		}
	}
	return r;
}

static int add_timeouts(struct kernel_memory *km, uint64_t at, struct request_list *list)
{
	int head = kernel_memory_offset(km, CONTEXT, "timeout_list"),
	    node = kernel_memory_offset(km, "io_timeout", "list");
	uint64_t next = 0;
	int r = head < 0 || node < 0 ? -ENOENT : kernel_memory_read(km, at + (uint64_t)head, &next, sizeof(next));

	while (r == 0 && next != at + (uint64_t)head && list->count < list->room) {
		/* A request begins with what belongs to its kind. */
		r = add_request(km, next - (uint64_t)node, list);
		if (r == 0)
			r = kernel_memory_read(km, next, &next, sizeof(next));
	}
	return r;
}

int io_uring_context_waiting(struct kernel_memory *km, uint64_t at, struct io_uring_request *requests, size_t room)
{
	struct request_list list = { .requests = requests, .room = room };
	int r = add_polls(km, at, &list);

	if (r == 0)
		r = add_timeouts(km, at, &list);
	return r < 0 ? r : (int)list.count;
}
