/*
 * What the driver and the line discipline of a pair keep besides settings and data: that output is stopped and by what,
 * what packet mode has yet to tell, where the cursor is, and that the next character is taken as it is. Read with the
 * data (kernel/tty-queue.h), brought about again by what caused it: characters, and calls at the slave.
 *
 * ^S and TCOOFF are not the same: what TCOOFF has stopped goes on with TCOON only, and the other way round.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "files/registry.h"
#include "files/tty.h"

#define STOP  19 /* ^S */
#define START 17 /* ^Q */

/* --- dump ----------------------------------------------------------------------------------------------------- */

static int refuse(const struct tty_end *master, const struct open_file *file, struct error *err, const char *what)
{
	return open_file_refuse(file, err, "terminal /dev/pts/%u: %s", master->index, what);
}

/* Both ways in which changed settings are told of are tied to what they are now. */
static const char *find_obstacle(const struct tty_end *master, const struct tty_end *slave,
				 const struct tty_queue *other)
{
	const uint8_t status = master->has_packets ? other->output.packet_status : 0;
	bool is_external = master->modes.c_lflag & EXTPROC;

	if (other->output.has_waiting_echo)
		return "what was typed while its output was stopped is not echoed yet, which cannot be saved";
	if (other->output.is_erasing)
		return "characters are being erased as on paper (ECHOPRT), which cannot be saved";
	if (status & TIOCPKT_FLUSHREAD && other->bytes)
		return "packet mode has yet to tell of input that was thrown away, and there is new input";
	if (status && !slave)
		return "packet mode has yet to tell of what happened at its other end, which nobody has open";
	if (status & TIOCPKT_IOCTL ? !is_external : is_external && status & (TIOCPKT_DOSTOP | TIOCPKT_NOSTOP))
		return "packet mode has yet to tell of changed settings (EXTPROC), which cannot be saved";
	return NULL;
}

int tty_output_look(struct tty_end *master, const struct tty_end *slave, const struct tty_queue queues[2],
		    struct error *err)
{
	const char *obstacle = find_obstacle(master, slave, &queues[1]);

	if (obstacle)
		error_hint(err, "it can be saved once the programs at both ends have gone on");
	if (obstacle)
		return refuse(master, master->file, err, obstacle);
	master->output = queues[0].output;
	master->other_output = queues[1].output;
	if (!master->has_packets)
		master->other_output.packet_status = 0;
	return 0;
}

/* Nothing can be written to an end that is stopped. */
static bool takes_output(struct dump *d, struct open_file *file)
{
	struct pollfd state = { .fd = open_file_local(d, file), .events = POLLOUT };
	bool takes = state.fd < 0 || (poll(&state, 1, 0) == 1 && state.revents & (POLLOUT | POLLHUP | POLLERR));

	open_file_release(d, file);
	return takes;
}

bool tty_output_is_plain(struct dump *d, const struct tty_end *master, const struct tty_end *slave)
{
	bool counts_columns = master->modes.c_oflag & OPOST &&
			      ((master->modes.c_oflag & TABDLY) == XTABS || master->modes.c_oflag & (ONOCR | ONLRET));

	return !counts_columns && takes_output(d, master->file) && takes_output(d, slave->file);
}

int tty_output_look_without_help(struct dump *d, const struct tty_end *master, const struct tty_end *slave, int r,
				 struct error *err)
{
	if (takes_output(d, master->file) && (!slave || takes_output(d, slave->file)))
		return 0;
	error_hint(err, "reading it needs CAP_BPF, CAP_PERFMON and a kernel with CONFIG_DEBUG_INFO_BTF");
	return open_file_error(master->file, err, r, "terminal: read by what its output is stopped");
}

/* Far from the first column it matters only how far the next tab is: getting there takes a while. */
#define COLUMN_MAX 65536
#define TAB        8

static uint32_t near_column(uint32_t column)
{
	return column > COLUMN_MAX ? COLUMN_MAX + column % TAB : column;
}

bool tty_output_is_sane(const TtyOutputEntry *output)
{
	return !output || (output->column < COLUMN_MAX + TAB && output->line_column < COLUMN_MAX + TAB);
}

void tty_output_fill(const struct tty_output *output, TtyOutputEntry *entry)
{
	tty_output_entry__init(entry);
	entry->has_stopped = entry->stopped = output->is_stopped;
	entry->has_held = entry->held = output->is_held;
	entry->has_column = output->column != 0;
	entry->column = near_column(output->column);
	entry->has_line_column = output->line_column != 0;
	entry->line_column = near_column(output->line_column);
	entry->has_next_literal = entry->next_literal = output->is_next_literal;
	entry->has_packet_status = output->packet_status != 0;
	entry->packet_status = output->packet_status;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

#define PIECE_BYTES 1024
#define PATIENCE_MS 5000

static int read_back(int master_fd, size_t bytes)
{
	char piece[PIECE_BYTES];

	while (bytes) {
		struct pollfd state = { .fd = master_fd, .events = POLLIN };
		ssize_t n;

		if (poll(&state, 1, PATIENCE_MS) <= 0)
			return -ETIMEDOUT;
		n = read(master_fd, piece, bytes < sizeof(piece) ? bytes : sizeof(piece));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		bytes -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Writes so many of one character, and takes them away at the other end. */
static int write_many(int master_fd, int slave_fd, char character, uint32_t count)
{
	char piece[PIECE_BYTES];

	memset(piece, character, sizeof(piece));
	while (count) {
		ssize_t n = write(slave_fd, piece, count < sizeof(piece) ? count : sizeof(piece));
		int r = n < 0 ? -errno : read_back(master_fd, (size_t)n);

		if (r < 0)
			return r;
		count -= (uint32_t)n;
	}
	return 0;
}

/* The end of a line that leaves the cursor where it is begins a new one there. */
int tty_columns_restore(const TtyOutputEntry *output, int master_fd, int slave_fd)
{
	uint32_t column = output->column, line = output->line_column;
	struct termios2 modes, counting;
	int r;

	if (!column && !line)
		return 0;
	if (ioctl(master_fd, TCGETS2, &modes) < 0)
		return -errno;
	counting = modes;
	counting.c_iflag = 0;
	counting.c_oflag = OPOST;
	counting.c_lflag &= ICANON | EXTPROC;
	if (ioctl(master_fd, TCSETS2, &counting) < 0)
		return -errno;
	r = write_many(master_fd, slave_fd, '\n', 1);
	if (r == 0)
		r = write_many(master_fd, slave_fd, ' ', line);
	if (r == 0)
		r = write_many(master_fd, slave_fd, '\n', 1);
	if (r == 0 && column > line)
		r = write_many(master_fd, slave_fd, ' ', column - line);
	if (r == 0 && column < line)
		r = write_many(master_fd, slave_fd, '\b', line - column);
	if (ioctl(master_fd, TCSETS2, &modes) < 0 && r == 0)
		r = -errno;
	return r;
}

static int call(int fd, unsigned long request, int argument)
{
	return ioctl(fd, request, (long)argument) < 0 ? -errno : 0;
}

/* As if it had been typed, whatever character the program has chosen for it. */
static int type_stop(int master_fd, int slave_fd)
{
	struct termios2 modes, stopping;
	uint8_t stop = STOP;
	int r = 0;

	if (ioctl(master_fd, TCGETS2, &modes) < 0)
		return -errno;
	stopping = modes;
	stopping.c_iflag |= IXON;
	stopping.c_lflag &= ICANON | EXTPROC;
	stopping.c_cc[VSTOP] = STOP;
	stopping.c_cc[VSTART] = START;
	if (ioctl(master_fd, TCSETS2, &stopping) < 0 || ioctl(slave_fd, TIOCSTI, &stop) < 0)
		r = -errno;
	if (ioctl(master_fd, TCSETS2, &modes) < 0 && r == 0)
		r = -errno;
	return r;
}

/* master_fd: of an end that can be stopped by ^S, else -1. */
static int stop(const TtyOutputEntry *output, int master_fd, int fd)
{
	int r = 0;

	if (output && output->stopped && master_fd >= 0 && !output->held)
		r = type_stop(master_fd, fd);
	if (r == 0 && output && output->held)
		r = call(fd, TCXONC, TCOOFF);
	return r;
}

/* Changes the settings and back: in which direction they were changed last is what is told. */
static int change_settings(int slave_fd, const struct termios2 *modes)
{
	struct termios2 other = *modes;

	if (modes->c_iflag & IXON && modes->c_cc[VSTOP] == STOP && modes->c_cc[VSTART] == START) {
		other.c_cc[VSTART] = START ^ 1; /* without IXON what is stopped would go on */
	} else {
		other.c_iflag |= IXON;
		other.c_cc[VSTOP] = STOP;
		other.c_cc[VSTART] = START;
	}
	return ioctl(slave_fd, TCSETS2, &other) < 0 || ioctl(slave_fd, TCSETS2, modes) < 0 ? -errno : 0;
}

/* What the master is to be told, in an order in which nothing takes back what came before. */
static int cause_status(uint32_t status, int slave_fd)
{
	struct termios2 modes;
	int r = 0;

	if (ioctl(slave_fd, TCGETS2, &modes) < 0)
		return -errno;
	if (status & TIOCPKT_FLUSHREAD)
		r = call(slave_fd, TCFLSH, TCIFLUSH);
	if (r == 0 && status & TIOCPKT_FLUSHWRITE)
		r = call(slave_fd, TCFLSH, TCOFLUSH);
	if (r == 0 && status & TIOCPKT_START)
		r = call(slave_fd, TCXONC, TCOOFF);
	if (r == 0 && status & TIOCPKT_START)
		r = call(slave_fd, TCXONC, TCOON);
	if (r == 0 && status & (TIOCPKT_DOSTOP | TIOCPKT_NOSTOP))
		r = change_settings(slave_fd, &modes);
	if (r == 0 && status & TIOCPKT_IOCTL && ioctl(slave_fd, TCSETS2, &modes) < 0)
		r = -errno;
	return r;
}

int tty_output_restore(const TtyInfoEntry *master, int master_fd, int slave_fd)
{
	const TtyOutputEntry *other = master->other_output;
	uint32_t status = other && master->packet_mode ? other->packet_status : 0;
	int on = 1, r = stop(master->output, -1, master_fd);

	if (r == 0 && slave_fd >= 0 && !(status & TIOCPKT_STOP))
		r = stop(other, master_fd, slave_fd);
	if (r == 0 && master->packet_mode && ioctl(master_fd, TIOCPKT, &on) < 0)
		r = -errno;
	if (r == 0 && status && slave_fd >= 0)
		r = cause_status(status, slave_fd);
	if (r == 0 && status & TIOCPKT_STOP && slave_fd >= 0)
		r = stop(other, master_fd, slave_fd);
	return r;
}
