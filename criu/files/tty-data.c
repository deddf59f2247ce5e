/*
 * What waits to be read in a terminal: input that a program has not asked for yet, output that nobody has taken. Read
 * from the line discipline's buffer without taking anything away (kernel/tty-queue.h). Put back byte by byte as if it
 * had been typed (TIOCSTI), with all processing off but the lines of canonical mode; what would be taken for the end of
 * a line and was none is quoted, what is none by itself is made one for that moment.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/tty.h"
#include "image/image-write.h"
#include "kernel/features.h"
#include "kernel/tty-queue.h"

/* --- dump ----------------------------------------------------------------------------------------------------- */

static int keep_data(struct tty_end *end, const struct tty_queue *queue)
{
	if (!queue->bytes)
		return 0;
	end->data = malloc(queue->bytes);
	end->line_ends = calloc(queue->bytes, sizeof(*end->line_ends));
	if (!end->data || !end->line_ends)
		return -ENOMEM;
	memcpy(end->data, queue->data, queue->bytes);
	end->bytes = queue->bytes;
	if (end->is_master || !(end->modes.c_lflag & ICANON))
		return 0;
	for (size_t i = 0; i < queue->bytes; i++)
		if (queue->ends_line[i])
			end->line_ends[end->line_end_count++] = (uint32_t)i;
	return 0;
}

/* Asking for what can be read makes what is on its way arrive. */
static int waiting_bytes(struct dump *d, struct open_file *file)
{
	int fd = open_file_local(d, file), bytes = 0;
	struct pollfd ask = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return fd;
	(void)poll(&ask, 1, 0);
	if (ioctl(fd, FIONREAD, &bytes) < 0)
		bytes = -errno;
	open_file_release(d, file);
	return bytes;
}

/* In canonical mode a line that is not finished is not counted. */
static bool is_surely_empty(struct dump *d, const struct tty_end *master, const struct tty_end *slave)
{
	return slave && !(master->modes.c_lflag & ICANON) && waiting_bytes(d, master->file) == 0 &&
	       waiting_bytes(d, slave->file) == 0;
}

static bool has_status(struct dump *d, const struct tty_end *master)
{
	struct pollfd state = { .fd = -1, .events = POLLPRI };

	if (!master->has_packets)
		return false;
	state.fd = open_file_local(d, master->file);
	(void)poll(&state, 1, 0);
	open_file_release(d, master->file);
	return state.revents & POLLPRI;
}

static int look_without_help(struct dump *d, const struct tty_end *master, const struct tty_end *slave, int r,
			     struct error *err)
{
	int result;

	if (has_status(d, master))
		return open_file_refuse(master->file, err,
					"terminal /dev/pts/%u: a status byte of packet mode waits to be read",
					master->index);
	if (waiting_bytes(d, master->file) > 0 || (slave && waiting_bytes(d, slave->file) > 0)) {
		error_hint(err, "reading it needs CAP_BPF, CAP_PERFMON and a kernel with CONFIG_DEBUG_INFO_BTF");
		return open_file_error(master->file, err, r, "terminal: read what waits in it");
	}
	result = tty_output_look_without_help(d, master, slave, r, err);
	if (result < 0 || is_surely_empty(d, master, slave))
		return result;
	log_warn(TASK_FORMAT ", fd %d, terminal /dev/pts/%u: a line that is being typed would be lost: %s",
		 TASK_ARGS(master->file->task), master->file->fd, master->index, strerror(-r));
	return 0;
}

static int refuse_more(const struct tty_end *end, const struct open_file *file, struct error *err)
{
	error_hint(err, "it can be saved once the program that reads it has caught up");
	return open_file_refuse(file, err, "terminal /dev/pts/%u: more %s waits to be read than its buffer holds",
				end->index, end->is_master ? "output" : "input");
}

static int read_queues(struct dump *d, const struct tty_end *master, struct tty_queue queues[2])
{
	struct tty_table *table = &d->files->ttys;

	if (!table->queues && table->queues_result == 0)
		table->queues_result =
		    feature_is_masked("kernel_memory") ? -EOPNOTSUPP : tty_queues_open(&table->queues);
	if (table->queues_result < 0)
		return table->queues_result;
	return tty_queues_read(table->queues, master->file->task->acting_tid, master->file->fd, &queues[0], &queues[1]);
}

int tty_data_look(struct dump *d, struct tty_end *master, struct tty_end *slave, struct error *err)
{
	AUTO_FREE struct tty_queue *queues = NULL;
	int r;

	/* Asking takes milliseconds, which raw terminals can be spared. */
	if (is_surely_empty(d, master, slave) && !has_status(d, master) && tty_output_is_plain(d, master, slave))
		return 0;
	/* Only for what it makes arrive. */
	(void)waiting_bytes(d, master->file);
	if (slave)
		(void)waiting_bytes(d, slave->file);
	queues = calloc(2, sizeof(*queues));
	if (!queues)
		return open_file_error(master->file, err, -ENOMEM, "terminal");
	r = read_queues(d, master, queues);
	if (r < 0)
		return look_without_help(d, master, slave, r, err);
	if (queues[0].has_more)
		return refuse_more(master, master->file, err);
	if (queues[1].has_more)
		return refuse_more(slave ? slave : master, slave ? slave->file : master->file, err);
	if (queues[1].bytes && !slave) {
		error_hint(err, "open its other end in a program of the tree, or close it, before the dump");
		return open_file_refuse(master->file, err,
					"terminal /dev/pts/%u: %zu bytes of input wait and nobody has it open",
					master->index, queues[1].bytes);
	}
	r = tty_output_look(master, slave, queues, err);
	if (r < 0)
		return r;
	r = keep_data(master, &queues[0]);
	if (r == 0 && slave)
		r = keep_data(slave, &queues[1]);
	return r < 0 ? open_file_error(master->file, err, r, "terminal") : 0;
}

int tty_data_save(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	const struct tty_table *table = &d->files->ttys;
	size_t count = 0;

	image_writer_open(&w, d->set, IMAGE_TTY_DATA, 0);
	for (size_t i = 0; i < table->count; i++) {
		const struct tty_end *end = &table->ends[i];
		TtyDataEntry entry = TTY_DATA_ENTRY__INIT;
		int r;

		if (!end->bytes)
			continue;
		entry.tty_id = end->id;
		entry.data.data = end->data;
		entry.data.len = end->bytes;
		entry.line_end = end->line_ends;
		entry.n_line_end = end->line_end_count;
		r = image_writer_add(&w, &entry, err);
		if (r < 0)
			return r;
		count++;
	}
	return count ? image_writer_finish(&w, err) : 0;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

#define QUOTE       22 /* ^V */
#define END_OF_FILE 4  /* ^D */
#define DISABLED    0  /* _POSIX_VDISABLE */

/* Nothing is processed or echoed, but lines are lines if they will be. */
static struct termios2 quiet_modes(const struct termios2 *modes)
{
	struct termios2 quiet = *modes;

	quiet.c_iflag = 0;
	quiet.c_oflag = 0;
	quiet.c_lflag = modes->c_lflag & (ICANON | EXTPROC);
	memset(quiet.c_cc, DISABLED, sizeof(quiet.c_cc));
	if (quiet.c_lflag & ICANON) {
		quiet.c_lflag |= IEXTEN;
		quiet.c_cc[VLNEXT] = QUOTE;
		quiet.c_cc[VEOF] = END_OF_FILE;
	} else {
		quiet.c_cc[VMIN] = 1;
	}
	return quiet;
}

static bool ends_line(const TtyDataEntry *data, size_t at, size_t *next_end)
{
	if (data->n_line_end == 0)
		return data->data.data[at] == '\n';
	if (*next_end == data->n_line_end || data->line_end[*next_end] != at)
		return false;
	(*next_end)++;
	return true;
}

static int type_in(int fd, uint8_t byte)
{
	return ioctl(fd, TIOCSTI, &byte) < 0 ? -errno : 0;
}

/* A character ends the line that is not among those that do by themselves. */
static int type_end(int fd, struct termios2 *quiet, uint8_t byte)
{
	if (byte == DISABLED)
		return type_in(fd, END_OF_FILE);
	if (byte != '\n' && quiet->c_cc[VEOL] != byte) {
		quiet->c_cc[VEOL] = byte;
		if (ioctl(fd, TCSETS2, quiet) < 0)
			return -errno;
	}
	return type_in(fd, byte);
}

static int type_canonical(const TtyDataEntry *data, int fd, struct termios2 *quiet)
{
	size_t next_end = 0;
	int r = 0;

	for (size_t i = 0; i < data->data.len && r == 0; i++) {
		uint8_t byte = data->data.data[i];

		if (ends_line(data, i, &next_end)) {
			r = type_end(fd, quiet, byte);
			continue;
		}
		if (byte == '\n' || byte == QUOTE || byte == END_OF_FILE || byte == quiet->c_cc[VEOL])
			r = type_in(fd, QUOTE);
		if (r == 0)
			r = type_in(fd, byte);
	}
	return r;
}

static int type_raw(const TtyDataEntry *data, int fd)
{
	int r = 0;

	for (size_t i = 0; i < data->data.len && r == 0; i++)
		r = type_in(fd, data->data.data[i]);
	return r;
}

int tty_literal_next(int master_fd, int slave_fd, const struct termios2 *modes)
{
	struct termios2 quiet = quiet_modes(modes);

	if (!(quiet.c_lflag & ICANON))
		return 0;
	return ioctl(master_fd, TCSETS2, &quiet) < 0 ? -errno : type_in(slave_fd, QUOTE);
}

int tty_data_restore(const TtyDataEntry *data, bool is_master, int master_fd, int slave_fd,
		     const struct termios2 *modes, struct error *err)
{
	struct termios2 quiet = quiet_modes(modes);
	int r;

	if (is_master) {
		r = type_raw(data, master_fd);
	} else {
		r = ioctl(master_fd, TCSETS2, &quiet) < 0 ? -errno : 0;
		if (r == 0 && quiet.c_lflag & ICANON)
			r = type_canonical(data, slave_fd, &quiet);
		else if (r == 0)
			r = type_raw(data, slave_fd);
	}
	if (r == -EPERM || r == -EIO)
		error_hint(err, "it needs CAP_SYS_ADMIN (TIOCSTI)");
	return r < 0 ? error_set(err, r, "put back what waited in the terminal") : 0;
}
