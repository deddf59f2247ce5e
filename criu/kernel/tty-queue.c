#include "kernel/tty-queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/bpf-iterator.h"
#include "kernel/bpf-program.h"

#define CTX_FD   16 /* struct bpf_iter__task_file: meta, task, fd, file */
#define CTX_FILE 24

/*
 * How long what was written just before may take to arrive at the other end: the kernel's worker that moves it may have
 * to wait for a processor. Where there is little room left it may also be that it never does.
 */
#define ARRIVAL_PAUSE_US 500
#define TRIES_WITH_ROOM  6000
#define TRIES_WHEN_FULL  20

/* --- where things are ----------------------------------------------------------------------------------------- */

struct layout {
	int file_inode, inode_device, file_private, private_tty;
	int tty_link, tty_port, tty_discipline;
	int port_buffers, buffers_head, buffers_tail;
	int buffer_read, buffer_commit;
	int flow_stopped, flow_held, packet_status;
	int read_head, read_tail, read_buf, read_flags; /* this and what follows: of the line discipline */
	int column, line_column, echo_head, echo_tail, next_literal;
};

static const struct {
	const char *structure, *member;
	size_t at; /* in struct layout */
} members[] = {
	{ "file", "f_inode", offsetof(struct layout, file_inode) },
	{ "inode", "i_rdev", offsetof(struct layout, inode_device) },
	{ "file", "private_data", offsetof(struct layout, file_private) },
	{ "tty_file_private", "tty", offsetof(struct layout, private_tty) },
	{ "tty_struct", "link", offsetof(struct layout, tty_link) },
	{ "tty_struct", "port", offsetof(struct layout, tty_port) },
	{ "tty_struct", "disc_data", offsetof(struct layout, tty_discipline) },
	{ "tty_struct", "flow.stopped", offsetof(struct layout, flow_stopped) },
	{ "tty_struct", "flow.tco_stopped", offsetof(struct layout, flow_held) },
	{ "tty_struct", "ctrl.pktstatus", offsetof(struct layout, packet_status) },
	{ "tty_port", "buf", offsetof(struct layout, port_buffers) },
	{ "tty_bufhead", "head", offsetof(struct layout, buffers_head) },
	{ "tty_bufhead", "tail", offsetof(struct layout, buffers_tail) },
	{ "tty_buffer", "read", offsetof(struct layout, buffer_read) },
	{ "tty_buffer", "commit", offsetof(struct layout, buffer_commit) },
	{ "n_tty_data", "read_head", offsetof(struct layout, read_head) },
	{ "n_tty_data", "read_tail", offsetof(struct layout, read_tail) },
	{ "n_tty_data", "read_buf", offsetof(struct layout, read_buf) },
	{ "n_tty_data", "read_flags", offsetof(struct layout, read_flags) },
	{ "n_tty_data", "column", offsetof(struct layout, column) },
	{ "n_tty_data", "canon_column", offsetof(struct layout, line_column) },
	{ "n_tty_data", "echo_head", offsetof(struct layout, echo_head) },
	{ "n_tty_data", "echo_tail", offsetof(struct layout, echo_tail) },
	{ "n_tty_data", "lnext", offsetof(struct layout, next_literal) },
};

/* Bits of the byte that begins with lnext. */
#define NEXT_LITERAL 1
#define ERASING      2

static int find_layout(const struct btf *btf, struct layout *ret)
{
	struct btf_offset found[ARRAY_SIZE(members)] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		found[i].structure = members[i].structure;
		found[i].member = members[i].member;
	}
	btf_find_offsets(btf, found, ARRAY_SIZE(members));
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (found[i].offset < 0)
			return found[i].offset;
		memcpy((char *)ret + members[i].at, &found[i].offset, sizeof(found[i].offset));
	}
	return 0;
}

/* --- the program ---------------------------------------------------------------------------------------------- */

#define PIECE_BYTES  256
#define BUFFER_BYTES 64 /* of struct tty_buffer */
#define STATE_BYTES  8  /* of each of three bytes of struct tty_struct, and what follows it */

/* The stack of the program: pointers, then room for one piece. */
#define SLOT_TTY   (-8)
#define SLOT_LINK  (-16)
#define SLOT_PORT  (-24)
#define SLOT_OTHER (-32)
#define ROOM       (-32 - PIECE_BYTES)

/* What it writes for each pair: the master's descriptor, both ends. */
#define FD_BYTES 8

/* /dev/ptmx, in the kernel's own numbers */
#define MASTER_DEVICE (5 << 20 | 2)

/* What it writes for each end. */
struct end_layout {
	size_t buffers, buffer, discipline, bytes;
};

static void emit_piece(struct bpf_program *p, int32_t bytes)
{
	bpf_emit_fetch(p, ROOM, bytes);
	bpf_emit_write(p, ROOM, bytes);
}

static int pieces_of_discipline(const struct layout *layout)
{
	const int ends[] = {
		layout->read_tail,
		layout->read_buf + TTY_QUEUE_BYTES,
		layout->read_flags + TTY_QUEUE_BYTES / 8,
		layout->column,
		layout->line_column,
		layout->echo_head,
		layout->echo_tail,
		layout->next_literal,
	};
	int end = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		end = ends[i] > end ? ends[i] : end;
	return (end + 8 + PIECE_BYTES - 1) / PIECE_BYTES;
}

static void emit_end(struct bpf_program *p, const struct layout *layout, int16_t slot)
{
	const int states[] = { layout->flow_stopped, layout->flow_held, layout->packet_status };
	size_t loop;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		bpf_emit_address(p, slot, states[i]);
		emit_piece(p, STATE_BYTES);
	}
	bpf_emit_follow(p, slot, layout->tty_port, SLOT_PORT);
	bpf_emit_address(p, SLOT_PORT, layout->port_buffers);
	emit_piece(p, PIECE_BYTES);
	bpf_emit_follow(p, SLOT_PORT, layout->port_buffers + layout->buffers_head, SLOT_OTHER);
	bpf_emit_address(p, SLOT_OTHER, 0);
	emit_piece(p, BUFFER_BYTES);
	bpf_emit_follow(p, slot, layout->tty_discipline, SLOT_OTHER);
	bpf_emit_address(p, SLOT_OTHER, 0);
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 7, 0, 0, pieces_of_discipline(layout));
	loop = p->count;
	emit_piece(p, PIECE_BYTES);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_K, 9, 0, 0, PIECE_BYTES);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_K, 7, 0, 0, -1);
	bpf_emit(p, BPF_JMP | BPF_JNE | BPF_K, 7, 0, (int16_t)((int)loop - (int)p->count - 1), 0);
}

static void build(struct bpf_program *p, const struct layout *layout)
{
	size_t no_file, other_device;

	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 7, 6, CTX_FILE, 0);
	no_file = p->count;
	bpf_emit(p, BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 0, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 8, 7, (int16_t)layout->file_inode, 0);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_W, 1, 8, (int16_t)layout->inode_device, 0);
	other_device = p->count;
	bpf_emit(p, BPF_JMP | BPF_JNE | BPF_K, 1, 0, 0, MASTER_DEVICE);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_DW, 9, 7, (int16_t)layout->file_private, 0);
	bpf_emit(p, BPF_ALU64 | BPF_ADD | BPF_K, 9, 0, 0, layout->private_tty);
	bpf_emit_fetch(p, SLOT_TTY, 8);
	bpf_emit_follow(p, SLOT_TTY, layout->tty_link, SLOT_LINK);
	bpf_emit(p, BPF_LDX | BPF_MEM | BPF_W, 1, 6, CTX_FD, 0);
	bpf_emit(p, BPF_STX | BPF_MEM | BPF_DW, 10, 1, SLOT_OTHER, 0);
	bpf_emit_write(p, SLOT_OTHER, FD_BYTES);
	emit_end(p, layout, SLOT_TTY);
	emit_end(p, layout, SLOT_LINK);
	p->insns[no_file].off = (int16_t)(p->count - no_file - 1);
	p->insns[other_device].off = (int16_t)(p->count - other_device - 1);
	bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	bpf_emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* --- the answer ----------------------------------------------------------------------------------------------- */

static uint64_t word_at(const char *data, int offset)
{
	uint64_t word;

	memcpy(&word, data + offset, sizeof(word));
	return word;
}

static int number_at(const char *data, int offset)
{
	int number;

	memcpy(&number, data + offset, sizeof(number));
	return number;
}

/* What was written but did not get into the line discipline's buffer yet. */
static bool has_more(const struct layout *layout, const char *buffers, const char *buffer)
{
	return word_at(buffers, layout->buffers_head) != word_at(buffers, layout->buffers_tail) ||
	       number_at(buffer, layout->buffer_read) != number_at(buffer, layout->buffer_commit);
}

static void take_output(const struct layout *layout, const char *end, const char *discipline, struct tty_output *ret)
{
	const uint8_t bits = (uint8_t)discipline[layout->next_literal];

	ret->is_stopped = end[0];
	ret->is_held = end[STATE_BYTES];
	ret->packet_status = (uint8_t)end[2 * STATE_BYTES];
	ret->column = (uint32_t)number_at(discipline, layout->column);
	ret->line_column = (uint32_t)number_at(discipline, layout->line_column);
	ret->is_next_literal = bits & NEXT_LITERAL;
	ret->is_erasing = bits & ERASING;
	ret->has_waiting_echo = word_at(discipline, layout->echo_head) != word_at(discipline, layout->echo_tail);
}

static int take_queue(const struct layout *layout, const char *end, struct tty_queue *ret)
{
	const char *buffers = end + 3 * STATE_BYTES;
	const char *discipline = buffers + PIECE_BYTES + BUFFER_BYTES;
	uint64_t tail = word_at(discipline, layout->read_tail);

	ret->bytes = word_at(discipline, layout->read_head) - tail;
	if (ret->bytes > TTY_QUEUE_BYTES)
		return -EIO;
	for (size_t i = 0; i < ret->bytes; i++) {
		size_t at = (tail + i) % TTY_QUEUE_BYTES;

		ret->data[i] = (uint8_t)discipline[(size_t)layout->read_buf + at];
		ret->ends_line[i] = discipline[(size_t)layout->read_flags + at / 8] >> at % 8 & 1;
	}
	ret->has_more = has_more(layout, buffers, buffers + PIECE_BYTES);
	take_output(layout, end, discipline, &ret->output);
	return 0;
}

struct tty_queues {
	struct layout layout;
	int program_fd;
	pid_t tid; /* of which records are; 0: none */
	struct buffer records;
};

static size_t end_bytes(const struct tty_queues *queues)
{
	return 3 * STATE_BYTES + PIECE_BYTES + BUFFER_BYTES +
	       (size_t)pieces_of_discipline(&queues->layout) * PIECE_BYTES;
}

static size_t record_bytes(const struct tty_queues *queues)
{
	return FD_BYTES + 2 * end_bytes(queues);
}

int tty_queues_open(struct tty_queues **ret)
{
	struct bpf_program program = { .count = 0 };
	AUTO_FREE struct tty_queues *queues = calloc(1, sizeof(*queues));
	const struct btf *btf;
	int r = queues ? btf_get(&btf) : -ENOMEM;

	if (r == 0)
		r = find_layout(btf, &queues->layout);
	if (r < 0)
		return r;
	if (queues->layout.buffers_tail + 8 > PIECE_BYTES || queues->layout.buffer_read + 4 > BUFFER_BYTES)
		return -EOPNOTSUPP;
	build(&program, &queues->layout);
	queues->program_fd = bpf_iterator_load(btf, "bpf_iter_task_file", program.insns, program.count);
	if (queues->program_fd < 0)
		return queues->program_fd;
	*ret = TAKE_PTR(queues);
	return 0;
}

void tty_queues_free(struct tty_queues *queues)
{
	if (!queues)
		return;
	(void)close(queues->program_fd);
	buffer_done(&queues->records);
	free(queues);
}

static int list_records(struct tty_queues *queues, pid_t tid)
{
	struct buffer records = { 0 };
	int r = bpf_iterator_run_thread(queues->program_fd, tid, &records);

	if (r == 0 && records.bytes % record_bytes(queues))
		r = -EIO;
	if (r < 0) {
		buffer_done(&records);
		return r;
	}
	buffer_done(&queues->records);
	queues->records = records;
	queues->tid = tid;
	return 0;
}

/* They are in the order of descriptors. */
static const char *find_record(const struct tty_queues *queues, int fd)
{
	size_t bytes = record_bytes(queues), low = 0, high = queues->records.bytes / bytes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *record = queues->records.data + middle * bytes;

		if (number_at(record, 0) == fd)
			return record;
		if (number_at(record, 0) < fd)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static int take_record(const struct tty_queues *queues, int fd, struct tty_queue *own, struct tty_queue *other)
{
	const char *record = find_record(queues, fd);
	int r = record ? take_queue(&queues->layout, record + FD_BYTES, own) : -EIO;

	return r < 0 ? r : take_queue(&queues->layout, record + FD_BYTES + end_bytes(queues), other);
}

/* There is no room, or not for what a byte may become (PARMRK). */
static bool may_never_arrive(const struct tty_queue *queue)
{
	return queue->has_more && queue->bytes > TTY_QUEUE_BYTES - 16;
}

int tty_queues_read(struct tty_queues *queues, pid_t tid, int fd, struct tty_queue *ret_own,
		    struct tty_queue *ret_other)
{
	int r = queues->tid == tid ? 0 : list_records(queues, tid);

	for (int i = 0, tries = TRIES_WHEN_FULL; r == 0 && i < tries; i++) {
		if (i > 0) {
			(void)usleep(ARRIVAL_PAUSE_US);
			r = list_records(queues, tid);
		}
		if (r == 0)
			r = take_record(queues, fd, ret_own, ret_other);
		if (r == 0 && !ret_own->has_more && !ret_other->has_more)
			return 0;
		if (r == 0)
			tries = may_never_arrive(ret_own) || may_never_arrive(ret_other) ? TRIES_WHEN_FULL
											 : TRIES_WITH_ROOM;
	}
	return r;
}
