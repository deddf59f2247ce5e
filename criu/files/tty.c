/*
 * Terminals: the ends of pseudo terminals, the console and other terminal devices, /dev/tty. Each description refers to
 * an end (tty-info.img) with its settings (tty-settings.c), what waits in it (tty-data.c), the state of its output
 * (tty-output.c) and the session it controls (tty-session.c); tty-restore.c makes them again.
 *
 * Of a slave whose master is held outside of the tree there is only one end: with --shell-job the terminal of whoever
 * restores takes its place, else it is refused. A slave whose master was closed is hung up for ever.
 */
#include "files/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"

#define TTY_MAJOR    4 /* virtual consoles below FIRST_SERIAL, then serial lines */
#define FIRST_SERIAL 64
#define AUX_MAJOR    5 /* /dev/tty, /dev/console, /dev/ptmx */
#define AUX_TTY      0
#define AUX_CONSOLE  1
#define AUX_PTMX     2

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

/* The other end of a pty, NULL when it is not of the tree. */
static struct tty_end *other_end(const struct tty_table *table, const struct tty_end *end)
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

static void external_id(const struct open_file *file, char *buffer, size_t bytes)
{
	(void)snprintf(buffer, bytes, "%llx:%llx", (unsigned long long)file->st.st_rdev,
		       (unsigned long long)file->st.st_dev);
}

static bool is_external(const struct dump *d, const struct tty_end *end)
{
	char id[64];

	external_id(end->file, id, sizeof(id));
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

/* What a node for new terminals makes is of the filesystem beside it, unless it stands in one itself. */
static int devpts_of(const struct open_file *file, int fd, dev_t *ret_device)
{
	const char *slash = file->link ? strrchr(file->link, '/') : NULL;
	char path[PATH_MAX];
	struct statfs fs;
	struct stat st;

	*ret_device = file->st.st_dev;
	if (major(file->st.st_rdev) != AUX_MAJOR || (fstatfs(fd, &fs) == 0 && fs.f_type == DEVPTS_SUPER_MAGIC))
		return 0;
	if (!slash)
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "%.*s/pts", (int)(slash - file->link), file->link);
	if (stat(path, &st) < 0)
		return -errno;
	*ret_device = st.st_dev;
	return 0;
}

/* Terminals are made in /dev/pts, and each devpts filesystem has numbers of its own. */
static int check_devpts(const struct tty_end *end, int fd, struct error *err)
{
	dev_t device;
	struct stat st;

	if (end->type != TTY_TYPE__PTY || stat("/dev/pts", &st) < 0 || devpts_of(end->file, fd, &device) < 0 ||
	    device == st.st_dev)
		return 0;
	error_hint(err, "in a mount namespace (unshare -m) in which that is bound to /dev/pts, dump and restore work");
	return open_file_refuse(end->file, err, "terminal %u of another devpts filesystem than /dev/pts", end->index);
}

static int find_or_add_end(struct dump *d, struct open_file *file, int fd, struct tty_end **ret_end, struct error *err)
{
	struct tty_table *table = &d->files->ttys;
	struct tty_end end = { 0 };
	int r = identify(file, fd, &end);

	if (r == 0)
		r = tty_settings_read(fd, &end);
	if (r == 0 && end.is_master)
		r = read_master(fd, &end);
	if (r < 0)
		return open_file_error(file, err, r, "terminal: read its state");
	if (end.discipline)
		return open_file_refuse(
		    file, err, "terminal: line discipline %d instead of that for terminals (TIOCSETD)", end.discipline);
	if (is_external(d, &end)) {
		*ret_end = find_external(table, file);
		r = *ret_end ? 0 : make_external(table, &end, err);
	} else {
		r = check_devpts(&end, fd, err);
		if (r < 0)
			return r;
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

static bool is_task(const struct dump *d, pid_t pid)
{
	for_each_task (d, task)
		if (task->host_pid == pid)
			return true;
	return false;
}

static int check_end(struct dump *d, struct tty_end *end, struct error *err)
{
	const struct tty_table *table = &d->files->ttys;
	struct tty_end *other = other_end(table, end);
	char id[64];

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
	external_id(end->file, id, sizeof(id));
	error_hint(err,
		   "--shell-job (-j) takes the terminal from the caller at restore, --external tty[%s] from "
		   "--inherit-fd; else dump the program that holds its other end, too",
		   id);
	return refuse_end(end, err, "its other end is open in no process of the tree");
}

/* Only one terminal can be that of the caller. */
static int check_outside(const struct dump *d, struct error *err)
{
	const struct tty_table *table = &d->files->ttys;
	const struct tty_end *first = NULL;
	char id[64];

	for (size_t i = 0; i < table->count && d->opts->shell_job; i++) {
		if (!table->ends[i].is_outside)
			continue;
		if (first) {
			external_id(table->ends[i].file, id, sizeof(id));
			error_hint(err, "--external tty[%s] takes it from --inherit-fd at restore", id);
			return refuse_end(&table->ends[i], err,
					  "is the second one from outside of the tree, only one can be the caller's");
		}
		first = &table->ends[i];
	}
	return 0;
}

static int look_data(struct dump *d, struct tty_end *end, struct error *err)
{
	if (!end->is_master || end->type != TTY_TYPE__PTY || d->is_live)
		return 0;
	return tty_data_look(d, end, other_end(&d->files->ttys, end), err);
}

void ttys_look(struct dump *d)
{
	struct tty_table *table = &d->files->ttys;
	struct error outside = { 0 };

	tty_session_find_left(d);
	for_each_task (d, task) {
		struct error reason = { 0 };

		if (!task->is_zombie && task->stat.tty_nr && tty_session_look(d, task, &reason) < 0)
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
	tty_queues_free(table->queues);
}

/* --- dump: images ----------------------------------------------------------------------------------------------- */

static int save_terminal(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	TtyFileEntry *tty = files_scratch(d, sizeof(*tty));
	int r = file->path_id != file->id ? files_save_path(d, file, err) : 0;

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

/* Who has one end may open the other one later, if its node lets them. */
static void save_node(const struct dump *d, const struct tty_end *end, TtyInfoEntry *info)
{
	struct stat st;
	char path[32];

	if (!end->is_master || other_end(&d->files->ttys, end))
		return;
	(void)snprintf(path, sizeof(path), "root/dev/pts/%u", end->index);
	if (fstatat(end->file->task->procfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != end->rdev)
		return;
	info->has_node_uid = info->has_node_gid = info->has_node_mode = true;
	info->node_uid = st.st_uid;
	info->node_gid = st.st_gid;
	info->node_mode = st.st_mode & 07777;
}

static int save_end(const struct dump *d, const struct tty_end *end, struct image_writer *w, struct error *err)
{
	TtyInfoEntry info = TTY_INFO_ENTRY__INIT;
	WinsizeEntry size = WINSIZE_ENTRY__INIT;
	TtyPtyEntry pty = TTY_PTY_ENTRY__INIT;
	struct tty_modes_message modes, locked;
	TtyOutputEntry output, other_output;

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
	save_node(d, end, &info);
	if (end->type == TTY_TYPE__PTY) {
		pty.index = end->index;
		info.pty = &pty;
	}
	if (end->is_master) {
		tty_output_fill(&end->output, &output);
		tty_output_fill(&end->other_output, &other_output);
		info.output = &output;
		info.other_output = &other_output;
	}
	if (!end->is_hung_up) {
		size.ws_row = end->size.ws_row;
		size.ws_col = end->size.ws_col;
		size.ws_xpixel = end->size.ws_xpixel;
		size.ws_ypixel = end->size.ws_ypixel;
		info.winsize = &size;
		info.termios = tty_modes_fill(&modes, &end->modes);
		info.termios_locked = tty_modes_fill(&locked, &end->locked_modes);
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
		r = save_end(d, &table->ends[i], &w, err);
		if (r < 0)
			return r;
	}
	r = image_writer_finish(&w, err);
	return r < 0 ? r : tty_data_save(d, err);
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
	.check = tty_check,
	.open = tty_open,
	.finish = tty_finish,
	.owner = terminal_owner,
};
