/*
 * Terminals: the ends of pseudo terminals, the console and other terminal devices, /dev/tty. Each description refers to
 * an end (tty-info.img) with its settings, its window size, and the session it controls. At restore a pair is made by
 * opening /dev/ptmx until the kernel hands out the number it had; what it is at last (exclusive, locked, in packet
 * mode) is set when all its descriptions are open. The leader of a session takes its terminal before it creates the
 * rest of the session, for that is inherited.
 *
 * Of a slave whose master is held outside of the tree there is only one end: with --shell-job the terminal of whoever
 * restores takes its place, else it is refused. A slave whose master was closed is hung up for ever.
 *
 * Not saved: that output is stopped (^S), and the column of the cursor.
 */
#include "files/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/pstree.pb-c.h"

#define TAKEN_HINT       "end the program that has it, or restore in a mount namespace with a /dev/pts of its own"
#define TTY_MAJOR        4 /* virtual consoles below FIRST_SERIAL, then serial lines */
#define FIRST_SERIAL     64
#define AUX_MAJOR        5 /* /dev/tty, /dev/console, /dev/ptmx */
#define AUX_TTY          0
#define AUX_CONSOLE      1
#define AUX_PTMX         2
#define PTY_SLAVE_MAJOR  136
#define PTY_SLAVE_MAJORS 8

/* What stands for the number of a pty in the ids of other devices. */
#define INDEX_CONSOLE 1002
#define INDEX_VT      1004
#define INDEX_CTTY    1006
#define INDEX_SERIAL  1010
#define INDEX_OUTSIDE 1013
#define OUTSIDE_LIMIT 64

static const struct {
	unsigned int major, first_minor, last_minor;
	TtyType type;
	uint32_t index; /* 0: of the pty */
} devices[] = {
	{ AUX_MAJOR, AUX_TTY, AUX_TTY, TTY_TYPE__CTTY, INDEX_CTTY },
	{ AUX_MAJOR, AUX_CONSOLE, AUX_CONSOLE, TTY_TYPE__CONSOLE, INDEX_CONSOLE },
	{ AUX_MAJOR, AUX_PTMX, AUX_PTMX, TTY_TYPE__PTY, 0 },
	{ PTY_SLAVE_MAJOR, 0, ~0u, TTY_TYPE__PTY, 0 },
	{ TTY_MAJOR, 0, FIRST_SERIAL - 1, TTY_TYPE__VT, INDEX_VT },
	{ TTY_MAJOR, FIRST_SERIAL, ~0u, TTY_TYPE__SERIAL, INDEX_SERIAL },
	{ 204, 0, ~0u, TTY_TYPE__SERIAL, INDEX_SERIAL },
	{ 229, 0, ~0u, TTY_TYPE__SERIAL, INDEX_SERIAL },
};

/* --- dump: one end -------------------------------------------------------------------------------------------- */

static bool is_terminal(const struct dump *d, const struct open_file *file)
{
	unsigned int number = major(file->st.st_rdev), of = minor(file->st.st_rdev);

	if (!S_ISCHR(file->st.st_mode) || file->flags & O_PATH)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i].major == number && of >= devices[i].first_minor && of <= devices[i].last_minor)
			return true;
	return false;
}

static int refuse_end(const struct tty_end *end, struct error *err, const char *reason)
{
	if (end->is_master)
		return open_file_refuse(end->file, err, "terminal /dev/pts/%u: %s", end->index, reason);
	return open_file_refuse(end->file, err, "terminal: %s", reason);
}

static struct tty_end *find_end(const struct tty_table *table, uint32_t id)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->ends[i].id == id)
			return &table->ends[i];
	return NULL;
}

struct tty_end *tty_other_end(const struct tty_table *table, const struct tty_end *end)
{
	return end->type == TTY_TYPE__PTY && !end->is_hung_up ? find_end(table, end->id ^ 1) : NULL;
}

/* Which device it is: its type, number and id. */
static int identify(struct open_file *file, int fd, struct tty_end *end)
{
	unsigned int number = major(file->st.st_rdev), of = minor(file->st.st_rdev);
	uint32_t index = 0;

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		if (devices[i].major != number || of < devices[i].first_minor || of > devices[i].last_minor)
			continue;
		end->type = devices[i].type;
		index = devices[i].index;
		break;
	}
	end->rdev = file->st.st_rdev;
	end->file = file;
	end->id = index * 2;
	if (end->type != TTY_TYPE__PTY)
		return 0;
	end->is_master = number == AUX_MAJOR;
	end->index = of;
	if (end->is_master && ioctl(fd, TIOCGPTN, &end->index) < 0)
		return -errno;
	end->rdev = makedev(PTY_SLAVE_MAJOR, end->index);
	end->id = end->index * 2 + end->is_master;
	return 0;
}

static int read_modes(int fd, struct tty_end *end)
{
	struct termios locked;

	if (ioctl(fd, TCGETS2, &end->modes) < 0) {
		end->is_hung_up = errno == EIO;
		return end->is_hung_up ? 0 : -errno;
	}
	if (ioctl(fd, TIOCGLCKTRMIOS, &locked) == 0) {
		end->locked_modes.c_iflag = locked.c_iflag;
		end->locked_modes.c_oflag = locked.c_oflag;
		end->locked_modes.c_cflag = locked.c_cflag;
		end->locked_modes.c_lflag = locked.c_lflag;
		end->locked_modes.c_line = locked.c_line;
		memcpy(end->locked_modes.c_cc, locked.c_cc, sizeof(locked.c_cc));
	}
	if (ioctl(fd, TIOCGWINSZ, &end->size) < 0 || ioctl(fd, TIOCGEXCL, &end->is_exclusive) < 0)
		return -errno;
	return 0;
}

static int read_master(int fd, struct tty_end *end)
{
	struct pollfd state = { .fd = fd };

	if (ioctl(fd, TIOCGPTLCK, &end->is_locked) < 0 || ioctl(fd, TIOCGPKT, &end->has_packets) < 0)
		return -errno;
	(void)poll(&state, 1, 0);
	end->is_left = state.revents & POLLHUP;
	if (ioctl(fd, TIOCGSID, &end->sid) < 0)
		end->sid = 0;
	else if (ioctl(fd, TIOCGPGRP, &end->pgrp) < 0)
		end->pgrp = 0;
	return 0;
}

static bool is_external(const struct dump *d, const struct tty_end *end)
{
	char id[64];

	(void)snprintf(id, sizeof(id), "%llx:%llx", (unsigned long long)end->file->st.st_rdev,
		       (unsigned long long)end->file->st.st_dev);
	return options_find_external(d->opts, "tty", id) != NULL;
}

static struct tty_end *find_external(const struct tty_table *table, const struct open_file *file)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->ends[i].type == TTY_TYPE__EXT_TTY && table->ends[i].rdev == file->st.st_rdev &&
		    table->ends[i].file->st.st_dev == file->st.st_dev)
			return &table->ends[i];
	return NULL;
}

static int make_external(const struct tty_table *table, struct tty_end *end, struct error *err)
{
	uint32_t index = INDEX_OUTSIDE;

	while (find_end(table, index * 2))
		index++;
	end->type = TTY_TYPE__EXT_TTY;
	end->rdev = end->file->st.st_rdev;
	end->id = index * 2;
	return index < INDEX_OUTSIDE + OUTSIDE_LIMIT ? 0 : refuse_end(end, err, "too many external terminals");
}

static int add_end(struct dump *d, const struct tty_end *end, struct tty_end **ret_end)
{
	struct tty_table *table = &d->files->ttys;

	if (array_reserve(&table->ends, &table->capacity, table->count, sizeof(*table->ends)) < 0)
		return -ENOMEM;
	table->ends[table->count] = *end;
	*ret_end = &table->ends[table->count++];
	return 0;
}

static int find_or_add_end(struct dump *d, struct open_file *file, int fd, struct tty_end **ret_end, struct error *err)
{
	struct tty_table *table = &d->files->ttys;
	struct tty_end end = { 0 };
	int r = identify(file, fd, &end);

	if (r == 0)
		r = read_modes(fd, &end);
	if (r == 0 && end.is_master)
		r = read_master(fd, &end);
	if (r < 0)
		return open_file_error(file, err, r, "terminal: read its state");
	if (is_external(d, &end)) {
		*ret_end = find_external(table, file);
		r = *ret_end ? 0 : make_external(table, &end, err);
	} else {
		*ret_end = find_end(table, end.id);
		if (*ret_end && (*ret_end)->is_hung_up != end.is_hung_up)
			return refuse_end(&end, err, "is hung up, and its number was taken by another one");
		if (*ret_end && (*ret_end)->rdev != end.rdev)
			return refuse_end(&end, err, "only one device of this sort can be saved");
		if (!*ret_end && end.type == TTY_TYPE__PTY && end.index >= PTY_INDEX_LIMIT)
			return refuse_end(&end, err, "numbers above 1000 do not fit the image format");
	}
	if (r < 0 || *ret_end)
		return r;
	r = add_end(d, &end, ret_end);
	return r < 0 ? open_file_error(file, err, r, "terminal") : 0;
}

static int look_terminal(struct dump *d, struct open_file *file, struct error *err)
{
	int fd = open_file_local(d, file), r;
	struct tty_end *end = NULL;

	if (fd < 0)
		return open_file_error(file, err, fd, "terminal: borrow the descriptor");
	r = find_or_add_end(d, file, fd, &end, err);
	open_file_release(d, file);
	if (r < 0)
		return r;
	file->serial = end->id;
	if (end->type == TTY_TYPE__EXT_TTY)
		return 0;
	file->path_id = ++d->next_file_id;
	return end->is_hung_up ? 0 : regular_look(d, file, err);
}

/* --- dump: what they are to each other -------------------------------------------------------------------------- */

/* As /proc/PID/stat shows it. */
static dev_t controlling_device(const struct task *task)
{
	unsigned int number = (unsigned int)task->stat.tty_nr;

	return makedev(number >> 8 & 0xfff, (number & 0xff) | (number >> 12 & 0xfff00));
}

static bool is_task(const struct dump *d, pid_t pid)
{
	for_each_task (d, task)
		if (task->host_pid == pid)
			return true;
	return false;
}

static int look_controlling(struct dump *d, const struct task *task, struct error *err)
{
	const struct tty_table *table = &d->files->ttys;
	dev_t device = controlling_device(task);
	bool found = false;

	for (size_t i = 0; i < table->count; i++) {
		struct tty_end *end = &table->ends[i];

		if (end->type == TTY_TYPE__CTTY && end->file->task->stat.sid != task->stat.sid)
			continue;
		if (end->type != TTY_TYPE__CTTY && (end->rdev != device || end->is_hung_up))
			continue;
		found |= end->type != TTY_TYPE__CTTY;
		end->sid = task->stat.sid;
		end->pgrp = task->stat.tty_pgrp > 0 ? task->stat.tty_pgrp : 0;
	}
	if (found || d->opts->shell_job)
		return 0;
	error_hint(err, "--shell-job (-j) takes the terminal from the caller at restore; setsid starts a program "
			"without one");
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ": its controlling terminal, %u:%u, is open in no process of the tree",
			 TASK_ARGS(task), major(device), minor(device));
}

static int check_end(struct dump *d, struct tty_end *end, struct error *err)
{
	const struct tty_table *table = &d->files->ttys;
	struct tty_end *other = tty_other_end(table, end);

	if (end->type == TTY_TYPE__EXT_TTY || end->is_hung_up)
		return 0;
	if (end->type == TTY_TYPE__CTTY && end->file->task->stat.tty_nr == 0)
		return refuse_end(end, err, "it was opened by a process that has no controlling terminal any more");
	if (end->sid && !d->opts->shell_job && !is_task(d, end->sid))
		return refuse_end(end, err, "controls a session whose leader is not of the tree");
	if (end->type != TTY_TYPE__PTY || end->is_master || other)
		return 0;
	end->is_outside = true;
	if (d->opts->shell_job)
		return 0;
	error_hint(err,
		   "--shell-job (-j) takes the terminal from the caller at restore; else dump the program that holds "
		   "its other end, too");
	return refuse_end(end, err, "its other end is open in no process of the tree");
}

/* Only one terminal can be that of the caller. */
static int check_outside(const struct dump *d, struct error *err)
{
	const struct tty_table *table = &d->files->ttys;
	const struct tty_end *first = NULL;

	for (size_t i = 0; i < table->count && d->opts->shell_job; i++) {
		if (!table->ends[i].is_outside)
			continue;
		if (first)
			return refuse_end(&table->ends[i], err,
					  "is the second one from outside of the tree, only one can be the caller's");
		first = &table->ends[i];
	}
	return 0;
}

static int look_data(struct dump *d, struct tty_end *end, struct error *err)
{
	struct pollfd state = { .fd = -1, .events = POLLPRI };

	if (!end->is_master || end->type != TTY_TYPE__PTY || d->is_live)
		return 0;
	if (end->has_packets) {
		state.fd = open_file_local(d, end->file);
		(void)poll(&state, 1, 0);
		open_file_release(d, end->file);
		if (state.revents & POLLPRI)
			return refuse_end(end, err, "a status byte of packet mode waits to be read");
	}
	return tty_data_look(d, end, tty_other_end(&d->files->ttys, end), err);
}

void ttys_look(struct dump *d)
{
	struct tty_table *table = &d->files->ttys;
	struct error outside = { 0 };

	for_each_task (d, task) {
		struct error reason = { 0 };

		if (!task->is_zombie && task->stat.tty_nr && look_controlling(d, task, &reason) < 0)
			refusals_add(&d->refusals, &reason);
	}
	for (size_t i = 0; i < table->count; i++) {
		struct error reason = { 0 };
		int r = check_end(d, &table->ends[i], &reason);

		if (r == 0)
			r = look_data(d, &table->ends[i], &reason);
		if (r < 0)
			refusals_add(&d->refusals, &reason);
	}
	if (check_outside(d, &outside) < 0)
		refusals_add(&d->refusals, &outside);
}

void ttys_free(struct dump *d)
{
	struct tty_table *table = &d->files->ttys;

	for (size_t i = 0; i < table->count; i++) {
		free(table->ends[i].data);
		free(table->ends[i].line_ends);
	}
	free(table->ends);
}

/* --- dump: images ----------------------------------------------------------------------------------------------- */

static int save_path(struct dump *d, struct open_file *file, struct error *err)
{
	FileEntry entry = FILE_ENTRY__INIT;
	int r = regular_fill(d, file, file->path_id, &entry.reg, err);

	if (r < 0)
		return r;
	entry.type = FD_TYPES__REG;
	entry.id = file->path_id;
	return image_writer_add(d->files->writer, &entry, err);
}

static int save_terminal(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	TtyFileEntry *tty = files_scratch(d, sizeof(*tty));
	int r = file->path_id != file->id ? save_path(d, file, err) : 0;

	if (r < 0)
		return r;
	if (!tty)
		return open_file_error(file, err, -ENOMEM, "save");
	tty_file_entry__init(tty);
	tty->id = file->id;
	tty->tty_info_id = (uint32_t)file->serial;
	tty->flags = file->flags;
	tty->fown = fown_save(d, file);
	tty->has_regf_id = file->path_id != file->id;
	tty->regf_id = file->path_id;
	if (!tty->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->tty = tty;
	return 0;
}

struct modes_message {
	TermiosEntry entry;
	uint32_t characters[NCCS];
};

static TermiosEntry *fill_modes(struct modes_message *message, const struct termios2 *modes)
{
	termios_entry__init(&message->entry);
	message->entry.c_iflag = modes->c_iflag;
	message->entry.c_oflag = modes->c_oflag;
	message->entry.c_cflag = modes->c_cflag;
	message->entry.c_lflag = modes->c_lflag;
	message->entry.c_line = modes->c_line;
	message->entry.c_ispeed = modes->c_ispeed;
	message->entry.c_ospeed = modes->c_ospeed;
	for (size_t i = 0; i < NCCS; i++)
		message->characters[i] = modes->c_cc[i];
	message->entry.c_cc = message->characters;
	message->entry.n_c_cc = NCCS;
	return &message->entry;
}

static int save_end(const struct tty_end *end, struct image_writer *w, struct error *err)
{
	TtyInfoEntry info = TTY_INFO_ENTRY__INIT;
	WinsizeEntry size = WINSIZE_ENTRY__INIT;
	TtyPtyEntry pty = TTY_PTY_ENTRY__INIT;
	struct modes_message modes, locked;

	info.id = end->id;
	info.type = end->type;
	info.locked = end->is_locked;
	info.exclusive = end->is_exclusive;
	info.packet_mode = end->has_packets;
	info.sid = (uint32_t)end->sid;
	info.pgrp = (uint32_t)end->pgrp;
	info.rdev = (uint32_t)end->file->st.st_rdev;
	info.has_dev = info.has_uid = info.has_gid = true;
	info.dev = (uint32_t)end->file->st.st_dev;
	info.uid = end->file->st.st_uid;
	info.gid = end->file->st.st_gid;
	info.has_is_left = info.is_left = end->is_left;
	if (end->type == TTY_TYPE__PTY) {
		pty.index = end->index;
		info.pty = &pty;
	}
	if (!end->is_hung_up) {
		size.ws_row = end->size.ws_row;
		size.ws_col = end->size.ws_col;
		size.ws_xpixel = end->size.ws_xpixel;
		size.ws_ypixel = end->size.ws_ypixel;
		info.winsize = &size;
		info.termios = fill_modes(&modes, &end->modes);
		info.termios_locked = fill_modes(&locked, &end->locked_modes);
	}
	return image_writer_add(w, &info, err);
}

int ttys_save(struct dump *d, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	const struct tty_table *table = &d->files->ttys;
	int r;

	if (!table->count)
		return 0;
	image_writer_open(&w, d->set, IMAGE_TTY_INFO, 0);
	for (size_t i = 0; i < table->count; i++) {
		r = save_end(&table->ends[i], &w, err);
		if (r < 0)
			return r;
	}
	r = image_writer_finish(&w, err);
	return r < 0 ? r : tty_data_save(d, err);
}

/* --- restore: check ----------------------------------------------------------------------------------------------- */

/* One for all descriptions of both ends of a pair, or of another device. */
struct restore_tty {
	const TtyInfoEntry *master, *slave; /* of another device: slave */
	int holder;                         /* the master while descriptions are being opened, -1 */
	int outside;                        /* the terminal that takes its place, -1 */
	size_t to_open;
	bool is_made;
};

static const TtyInfoEntry *info_at(const struct restore *r, size_t i)
{
	return restore_files_of(r)->ttys.items[i];
}

static const TtyInfoEntry *find_info(const struct restore *r, uint32_t id)
{
	for (size_t i = 0; i < restore_files_of(r)->ttys.count; i++)
		if (info_at(r, i)->id == id)
			return info_at(r, i);
	return NULL;
}

static const TtyInfoEntry *info_of(const struct restore *r, const struct restore_file *file)
{
	return find_info(r, file->entry->tty->tty_info_id);
}

static bool is_master(const TtyInfoEntry *info)
{
	return info->type == TTY_TYPE__PTY && info->id & 1;
}

static const TtyDataEntry *find_data(const struct restore *r, const TtyInfoEntry *info)
{
	const struct image_list *list = &restore_files_of(r)->tty_data;

	for (size_t i = 0; info && i < list->count; i++)
		if (((const TtyDataEntry *)list->items[i])->tty_id == info->id)
			return list->items[i];
	return NULL;
}

int ttys_read(struct restore *r, struct error *err)
{
	struct restore_files *rf = restore_files_of(r);
	bool has_any = false;
	int result;

	for (size_t i = 0; i < r->images->file_count && !has_any; i++)
		has_any = r->images->files[i].entry->type == FD_TYPES__TTY;
	if (!has_any)
		return 0;
	result = image_read_list(r->set, IMAGE_TTY_INFO, 0, &tty_info_entry__descriptor, &rf->ttys, err);
	if (result == 0)
		result = image_read_list(r->set, IMAGE_TTY_DATA, 0, &tty_data_entry__descriptor, &rf->tty_data, err);
	return result;
}

void ttys_restore_free(struct restore *r)
{
	image_list_done(&restore_files_of(r)->ttys);
	image_list_done(&restore_files_of(r)->tty_data);
}

bool tty_has_path(const struct restore *r, uint32_t regf_id)
{
	for (size_t i = 0; restore_files_of(r)->tty_count && i < r->file_count; i++) {
		const FileEntry *entry = r->files[i]->entry;

		if (entry->type == FD_TYPES__TTY && entry->tty->has_regf_id && entry->tty->regf_id == regf_id)
			return true;
	}
	return false;
}

static struct restore_task *find_task(const struct restore *r, uint32_t pid)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (r->tasks[i]->image && pid && r->tasks[i]->pid == (pid_t)pid)
			return r->tasks[i];
	return NULL;
}

/* The caller's terminal, in place of one from outside of the tree. */
static int take_callers(struct restore *r, struct restore_file *file, struct restore_tty *tty, struct error *err)
{
	int fd;

	if (!r->opts->shell_job) {
		error_hint(err, "--shell-job (-j) takes the terminal from the caller");
		return restore_refuse(r, file, err,
				      "terminal /dev/pts/%u: its other end was outside of the tree when it was dumped",
				      tty->slave->pty->index);
	}
	if (!isatty(STDIN_FILENO)) {
		error_hint(err, "start the restore in a terminal, or give it one: script -c \"criu restore -j ...\"");
		return restore_refuse(r, file, err,
				      "terminal /dev/pts/%u: the standard input is no terminal that "
				      "could take its place",
				      tty->slave->pty->index);
	}
	fd = service_fds_copy(r, STDIN_FILENO);
	if (fd < 0)
		return error_set(err, fd, "keep the standard input");
	tty->outside = fd;
	return 0;
}

static int take_external(struct restore *r, struct restore_file *file, struct restore_tty *tty, struct error *err)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "tty[%x:%x]", tty->slave->rdev, tty->slave->dev);
	tty->outside = restore_inherited(r, key);
	if (tty->outside >= 0)
		return 0;
	error_hint(err, "give it with --inherit-fd fd[N]:%s", key);
	return restore_refuse(r, file, err, "%s: is external and no descriptor was given for it", key);
}

static int check_number(struct restore *r, struct restore_file *file, const struct restore_tty *tty, struct error *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/dev/pts/%u", tty->master->pty->index);
	if (access(path, F_OK) < 0)
		return 0;
	error_hint(err, TAKEN_HINT);
	return restore_refuse(r, file, err, "terminal %s: this number is taken", path);
}

static int check_first(struct restore *r, struct restore_file *file, struct restore_tty *tty, struct error *err)
{
	const TtyInfoEntry *info = tty->master ? tty->master : tty->slave;

	if (info->type == TTY_TYPE__EXT_TTY)
		return take_external(r, file, tty, err);
	if (info->type != TTY_TYPE__PTY)
		return 0;
	if (!tty->master && tty->slave->termios)
		return take_callers(r, file, tty, err);
	return tty->master ? check_number(r, file, tty, err) : 0;
}

static int check_info(const struct restore *r, struct restore_file *file, const TtyInfoEntry *info, struct error *err)
{
	if (!info)
		return restore_refuse(r, file, err, "the images do not describe terminal %u",
				      file->entry->tty->tty_info_id);
	if (info->type == TTY_TYPE__PTY && (!info->pty || info->pty->index >= PTY_INDEX_LIMIT))
		return restore_refuse(r, file, err, "terminal %u has no number", info->id);
	if (info->termios && info->termios->n_c_cc < NCCS)
		return restore_refuse(r, file, err, "terminal %u: its settings are incomplete", info->id);
	if (is_master(info) && !info->termios)
		return restore_refuse(r, file, err, "terminal %u: its settings are missing", info->id);
	if (info->type != TTY_TYPE__EXT_TTY && !file->entry->tty->has_regf_id)
		return restore_refuse(r, file, err, "terminal %u: the images do not say which path it has", info->id);
	return 0;
}

static int check_terminal(struct restore *r, struct restore_file *file, struct error *err)
{
	const TtyInfoEntry *info = info_of(r, file);
	struct restore_tty *tty;
	struct restore_file *first;
	struct restore_task *leader;
	int result = check_info(r, file, info, err);

	if (result < 0)
		return result;
	first = restore_join_group(r, file, info->type == TTY_TYPE__PTY ? info->id / 2 : info->id);
	tty = first == file ? restore_alloc(r, sizeof(*tty)) : first->kind_data;
	if (!first || !tty)
		return error_set(err, -ENOMEM, "open files");
	file->kind_data = tty;
	if (first == file) {
		*tty = (struct restore_tty){ .holder = -1, .outside = -1 };
		tty->slave = info;
		if (info->type == TTY_TYPE__PTY) {
			tty->slave = find_info(r, info->id & ~1u);
			tty->master = find_info(r, info->id | 1u);
		}
		result = check_first(r, file, tty, err);
	}
	tty->to_open++;
	file->finish_in_each_user = info->type == TTY_TYPE__CTTY;
	leader = info->type == TTY_TYPE__CTTY ? NULL : find_task(r, info->sid);
	if (leader) { /* it must have the terminal before the rest of its session comes into being */
		restore_add_user(r, file, leader);
		file->is_shared = true;
	}
	return result;
}

/* --- restore: pairs ----------------------------------------------------------------------------------------------- */

static struct termios2 modes_of(const TermiosEntry *entry)
{
	struct termios2 modes = {
		.c_iflag = entry->c_iflag,
		.c_oflag = entry->c_oflag,
		.c_cflag = entry->c_cflag,
		.c_lflag = entry->c_lflag,
		.c_line = (cc_t)entry->c_line,
		.c_ispeed = entry->c_ispeed,
		.c_ospeed = entry->c_ospeed,
	};

	for (size_t i = 0; i < NCCS; i++)
		modes.c_cc[i] = (cc_t)entry->c_cc[i];
	return modes;
}

/* Speeds are in the flags unless these say otherwise; not every image has them. */
static int set_modes(int fd, const TermiosEntry *entry)
{
	struct termios2 modes = modes_of(entry);
	struct termios plain = { .c_iflag = modes.c_iflag,
				 .c_oflag = modes.c_oflag,
				 .c_cflag = modes.c_cflag,
				 .c_lflag = modes.c_lflag,
				 .c_line = modes.c_line };

	memcpy(plain.c_cc, modes.c_cc, sizeof(plain.c_cc));
	if ((modes.c_cflag & CBAUD) == BOTHER || (modes.c_cflag >> IBSHIFT & CBAUD) == BOTHER)
		return ioctl(fd, TCSETS2, &modes) < 0 ? -errno : 0;
	return ioctl(fd, TCSETS, &plain) < 0 ? -errno : 0;
}

static int set_size(int fd, const WinsizeEntry *entry)
{
	struct winsize size = {
		.ws_row = (unsigned short)entry->ws_row,
		.ws_col = (unsigned short)entry->ws_col,
		.ws_xpixel = (unsigned short)entry->ws_xpixel,
		.ws_ypixel = (unsigned short)entry->ws_ypixel,
	};

	return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

static int lock_modes(int fd, const TermiosEntry *entry)
{
	struct termios locked = { .c_iflag = entry->c_iflag,
				  .c_oflag = entry->c_oflag,
				  .c_cflag = entry->c_cflag,
				  .c_lflag = entry->c_lflag,
				  .c_line = (cc_t)entry->c_line };
	bool any = entry->c_iflag || entry->c_oflag || entry->c_cflag || entry->c_lflag || entry->c_line;

	for (size_t i = 0; i < NCCS && i < entry->n_c_cc; i++) {
		locked.c_cc[i] = (cc_t)entry->c_cc[i];
		any |= locked.c_cc[i] != 0;
	}
	return any && ioctl(fd, TIOCSLCKTRMIOS, &locked) < 0 ? -errno : 0;
}

/* A master with the wanted number: those that come before it are held until it is reached. */
static int open_master(uint32_t wanted, struct error *err)
{
	int held[PTY_INDEX_LIMIT], result = -EEXIST;
	size_t count = 0;

	while (count < PTY_INDEX_LIMIT) {
		int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
		uint32_t index;

		if (fd < 0) {
			result = -errno;
			break;
		}
		if (ioctl(fd, TIOCGPTN, &index) == 0 && index == wanted) {
			result = fd;
			break;
		}
		held[count++] = fd;
		if (index > wanted)
			break;
	}
	while (count > 0)
		(void)close(held[--count]);
	if (result == -EEXIST) {
		error_hint(err, TAKEN_HINT);
		return error_say(err, result, "terminal /dev/pts/%u: this number is taken", wanted);
	}
	return result < 0 ? error_set(err, result, "make terminal /dev/pts/%u", wanted) : result;
}

static int open_any_master(struct error *err)
{
	int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? error_set(err, -errno, "make a terminal") : fd;
}

static int make_pair(struct restore *r, struct restore_tty *tty, struct error *err)
{
	AUTO_CLOSE int fd = tty->master ? open_master(tty->master->pty->index, err) : open_any_master(err);
	int unlocked = 0, kept;

	if (fd < 0)
		return fd;
	if (ioctl(fd, TIOCSPTLCK, &unlocked) < 0)
		return error_set(err, -errno, "unlock a terminal");
	kept = restore_keep_fd(r, &fd);
	if (kept < 0)
		return error_set(err, kept, "keep a terminal");
	tty->holder = kept;
	tty->is_made = true;
	return 0;
}

static const RegFileEntry *path_of(const struct restore *r, const struct restore_file *file)
{
	return restore_find_file(r, FD_TYPES__REG, file->entry->tty->regf_id)->entry->reg;
}

/* By its old path if that leads there, so that the name is the same. */
static int open_slave(struct restore *r, const struct restore_file *file, int master, uint32_t flags)
{
	const char *path = path_of(r, file)->name;
	uint32_t index;
	struct stat st;
	int fd;

	if (ioctl(master, TIOCGPTN, &index) == 0 && stat(path, &st) == 0 &&
	    st.st_rdev == makedev(PTY_SLAVE_MAJOR, index)) {
		fd = open(path, (int)flags);
		if (fd >= 0 || errno != EXDEV)
			return fd < 0 ? -errno : fd;
	}
	fd = ioctl(master, TIOCGPTPEER, flags);
	return fd < 0 ? -errno : fd;
}

static void set_owner(const struct restore *r, const struct restore_file *file, const TtyInfoEntry *info, int fd)
{
	const RegFileEntry *path = path_of(r, file);

	if (info->has_uid && info->has_gid)
		(void)!fchown(fd, info->uid, info->gid);
	if (path->has_mode)
		(void)fchmod(fd, path->mode & 07777);
}

/* --- restore: when all descriptions of a pair are open --------------------------------------------------------------
 */

static int restore_data(struct restore *r, const struct restore_tty *tty, int slave_fd, struct error *err)
{
	const TtyDataEntry *from_slave = find_data(r, tty->master), *from_master = find_data(r, tty->slave);
	struct termios2 modes = modes_of(tty->master->termios);
	int result = 0;

	if (from_master)
		result = tty_data_restore(from_master, false, tty->holder, slave_fd, &modes, err);
	if (result == 0 && from_slave)
		result = tty_data_restore(from_slave, true, tty->holder, slave_fd, &modes, err);
	return result;
}

static int set_state(const struct restore_tty *tty, int slave_fd)
{
	const TtyInfoEntry *master = tty->master;
	int on = 1, r = set_modes(tty->holder, master->termios);

	if (r == 0 && master->winsize)
		r = set_size(tty->holder, master->winsize);
	if (r == 0 && master->termios_locked)
		r = lock_modes(tty->holder, master->termios_locked);
	if (r == 0 && master->exclusive && ioctl(tty->holder, TIOCEXCL) < 0)
		r = -errno;
	if (r == 0 && tty->slave && tty->slave->exclusive && slave_fd >= 0 && ioctl(slave_fd, TIOCEXCL) < 0)
		r = -errno;
	if (r == 0 && master->packet_mode && ioctl(tty->holder, TIOCPKT, &on) < 0)
		r = -errno;
	if (r == 0 && master->locked && ioctl(tty->holder, TIOCSPTLCK, &on) < 0)
		r = -errno;
	return r;
}

static bool needs_slave(const struct restore *r, const struct restore_tty *tty)
{
	return (tty->master->has_is_left && tty->master->is_left) || find_data(r, tty->slave);
}

/* slave_fd: any descriptor of the slave, -1 when nobody in the tree has it open. */
static int complete_pair(struct restore *r, struct restore_tty *tty, int slave_fd, struct error *err)
{
	AUTO_CLOSE int own = -1;
	int result;

	if (!tty->master)
		return 0; /* the end of the holder hangs it up */
	if (slave_fd < 0 && needs_slave(r, tty)) {
		own = ioctl(tty->holder, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (own < 0)
			return error_set(err, -errno, "open the other end of a terminal");
		slave_fd = own;
	}
	result = restore_data(r, tty, slave_fd, err);
	if (result < 0)
		return result;
	result = set_state(tty, slave_fd);
	return result < 0 ? error_set(err, result, "terminal /dev/pts/%u: set its state", tty->master->pty->index) : 0;
}

static int any_slave_fd(const struct restore *r, const struct restore_file *file, int opened)
{
	if (!is_master(info_of(r, file)))
		return opened;
	for (const struct restore_file *f = file->group_next; f != file; f = f->group_next)
		if (f->fd >= 0 && !is_master(info_of(r, f)))
			return f->fd;
	return -1;
}

static int dup_master(const struct restore_tty *tty, uint32_t flags)
{
	int fd = fcntl(tty->holder, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);

	if (fd < 0 || fcntl(fd, F_SETFL, (int)(flags & ~(uint32_t)(O_CLOEXEC | O_NOCTTY))) < 0)
		return -errno;
	return fd;
}

static int open_end(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	uint32_t flags = restore_open_flags(file->entry->tty->flags) | file->cloexec;
	const TtyInfoEntry *info = info_of(r, file);
	struct restore_tty *tty = file->kind_data;
	AUTO_CLOSE int fd = -1;
	int result = tty->is_made ? 0 : make_pair(r, tty, err);

	if (result < 0)
		return result;
	fd = is_master(info) ? dup_master(tty, flags) : open_slave(r, file, tty->holder, flags);
	if (fd < 0)
		return error_set(err, fd, "open %s", path_of(r, file)->name);
	if (!is_master(info))
		set_owner(r, file, info, fd);
	if (--tty->to_open == 0) {
		result = complete_pair(r, tty, any_slave_fd(r, file, fd), err);
		close_fd(&tty->holder);
	}
	if (result == 0)
		*ret_fd = take_fd(&fd);
	return result;
}

/* --- restore: other devices -----------------------------------------------------------------------------------------
 */

static int open_outside(const struct restore_file *file, struct restore_tty *tty, uint32_t flags, int *ret_fd,
			struct error *err)
{
	AUTO_CLOSE int fd = restore_reopen(tty->outside, flags);
	int r = fd < 0 ? fd : 0;

	if (r == 0 && !tty->is_made && tty->slave->termios)
		r = set_modes(fd, tty->slave->termios);
	if (r < 0)
		return error_set(err, r, "open the terminal that takes its place");
	tty->is_made = true;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_device(struct restore *r, struct restore_file *file, uint32_t flags, int *ret_fd, struct error *err)
{
	const char *path = path_of(r, file)->name;
	struct restore_tty *tty = file->kind_data;
	AUTO_CLOSE int fd = open(path, (int)flags);
	int result = fd < 0 ? -errno : 0;

	if (result == 0 && !tty->is_made && tty->slave->termios)
		result = set_modes(fd, tty->slave->termios);
	if (result < 0)
		return error_set(err, result, "open %s", path);
	tty->is_made = true;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* /dev/tty can only be opened by who has a controlling terminal; until then something else keeps the number. */
static int open_controlling(const struct restore *r, struct restore_file *file, uint32_t flags, int *ret_fd,
			    struct error *err)
{
	int fd = getsid(0) == (pid_t)info_of(r, file)->sid ? open(path_of(r, file)->name, (int)flags) : -1;

	if (fd < 0)
		fd = open("/", (int)(O_PATH | file->cloexec));
	if (fd < 0)
		return error_set(err, -errno, "open /");
	*ret_fd = fd;
	return 0;
}

static int open_terminal(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	uint32_t flags = restore_open_flags(file->entry->tty->flags) | file->cloexec;
	const TtyInfoEntry *info = info_of(r, file);
	struct restore_tty *tty = file->kind_data;

	if (info->type == TTY_TYPE__CTTY)
		return open_controlling(r, file, flags, ret_fd, err);
	if (tty->outside >= 0)
		return open_outside(file, tty, flags, ret_fd, err);
	if (info->type == TTY_TYPE__PTY)
		return open_end(r, file, ret_fd, err);
	return open_device(r, file, flags, ret_fd, err);
}

static int finish_terminal(struct restore *r, struct restore_task *task, struct restore_file *file, int fd,
			   struct error *err)
{
	uint32_t flags = restore_open_flags(file->entry->tty->flags) | O_CLOEXEC;
	struct stat st;
	int opened, result;

	if (info_of(r, file)->type != TTY_TYPE__CTTY || (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode)))
		return 0;
	opened = open(path_of(r, file)->name, (int)flags);
	if (opened < 0)
		return error_set(err, -errno, "open %s", path_of(r, file)->name);
	result = restore_replace_fd(r, task, file, opened);
	return result < 0 ? error_set(err, result, "put %s in place", path_of(r, file)->name) : 0;
}

/* --- restore: sessions ----------------------------------------------------------------------------------------------
 */

/* The caller's terminal may be taken from its session only by the leader of that: nobody else loses it. */
static int describe_taken(const struct restore *r, const struct restore_task *task, int fd, struct error *err)
{
	error_hint(err, "make the restore the leader of the terminal: exec criu ..., script -c \"criu ...\" or "
			"setsid --ctty criu ...");
	return error_say(err, -EPERM, "terminal: session %d controls it, and session %d of the images has to",
			 r->caller_sid, task->pid);
}

static int take_terminal(struct restore *r, const struct restore_task *task, const struct restore_file *file,
			 struct error *err)
{
	const struct restore_tty *tty = file->kind_data;

	if (ioctl(file->fd, TIOCSCTTY, 0) == 0)
		return 0;
	if (errno == EPERM && tty->outside >= 0) {
		if (r->caller_leads_session && ioctl(file->fd, TIOCSCTTY, 1) == 0)
			return 0;
		return describe_taken(r, task, file->fd, err);
	}
	return error_set(err, -errno, "take %s as controlling terminal", path_of(r, file)->name);
}

int files_take_terminal(struct restore *r, struct restore_task *task, struct error *err)
{
	for (size_t i = 0; i < r->file_count; i++) {
		const struct restore_file *file = r->files[i];
		const TtyInfoEntry *info;

		if (file->entry->type != FD_TYPES__TTY || file->fd < 0)
			continue;
		info = info_of(r, file);
		if (info->type != TTY_TYPE__CTTY && info->sid && (pid_t)info->sid == task->pid)
			return take_terminal(r, task, file, err);
	}
	return 0;
}

static bool is_group(const struct restore *r, uint32_t pgid)
{
	for (size_t i = 0; i < r->task_count; i++)
		if (pgid && r->tasks[i]->image && r->tasks[i]->image->entry->pgid == pgid && r->tasks[i]->pgid > 0)
			return true;
	return false;
}

/* Who sets the foreground group: the leader of the session, or the root when the session is the caller's. */
static bool sets_group(const struct restore *r, const struct restore_task *task, const TtyInfoEntry *info)
{
	const struct restore_task *leader = find_task(r, info->sid);

	return info->sid && is_group(r, info->pgrp) && (leader ? leader : r->tasks[0]) == task;
}

bool ttys_need_groups(const struct restore *r)
{
	for (size_t i = 0; i < restore_files_of(r)->ttys.count; i++)
		if (info_at(r, i)->sid && is_group(r, info_at(r, i)->pgrp))
			return true;
	return false;
}

int ttys_finish(struct restore *r, struct restore_task *task, struct error *err)
{
	for (size_t i = 0; i < restore_files_of(r)->ttys.count; i++) {
		const TtyInfoEntry *info = info_at(r, i);
		AUTO_CLOSE int fd = -1;
		pid_t pgrp = (pid_t)info->pgrp;

		if (!sets_group(r, task, info))
			continue;
		fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (fd < 0 || ioctl(fd, TIOCSPGRP, &pgrp) < 0)
			return error_set(err, -errno, "set the foreground group of its terminal, %d", pgrp);
		return 0;
	}
	return 0;
}

static const FownEntry *terminal_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->tty->flags;
	return entry->tty->fown;
}

const struct file_kind tty_kind = {
	.name = "terminal",
	.type = FD_TYPES__TTY,
	.is = is_terminal,
	.look = look_terminal,
	.save = save_terminal,
	.check = check_terminal,
	.open = open_terminal,
	.finish = finish_terminal,
	.owner = terminal_owner,
};
