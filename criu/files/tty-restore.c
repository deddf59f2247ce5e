/*
 * Terminals made again. A pair is made by opening /dev/ptmx until the kernel hands out the number it had; what it is at
 * last (exclusive, locked, in packet mode) is set when all its descriptions are open. In place of a terminal from
 * outside of the tree stands the caller's, or one that was named.
 */
#include "files/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "files/registry.h"
#include "files/restore-files.h"

#define KERNEL_LARGEFILE 0100000 /* O_LARGEFILE is 0 here */
#define TAKEN_HINT       "end the program that has it, or restore in a mount namespace with a /dev/pts of its own"

/* --- what the images say ------------------------------------------------------------------------------------------ */

const TtyInfoEntry *tty_info_at(const struct restore *r, size_t i)
{
	return restore_files_of(r)->ttys.items[i];
}

static const TtyInfoEntry *find_info(const struct restore *r, uint32_t id)
{
	for (size_t i = 0; i < restore_files_of(r)->ttys.count; i++)
		if (tty_info_at(r, i)->id == id)
			return tty_info_at(r, i);
	return NULL;
}

const TtyInfoEntry *tty_info_of(const struct restore *r, const struct restore_file *file)
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

const RegFileEntry *tty_path_of(const struct restore *r, const struct restore_file *file)
{
	return restore_find_file(r, FD_TYPES__REG, file->entry->tty->regf_id)->entry->reg;
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

bool tty_makes_path(const struct restore *r, const char *path)
{
	unsigned int index;
	int end = 0;

	if (sscanf(path, "/dev/pts/%u%n", &index, &end) != 1 || path[end])
		return false;
	for (size_t i = 0; i < restore_files_of(r)->ttys.count; i++)
		if (tty_info_at(r, i)->pty && tty_info_at(r, i)->pty->index == index)
			return true;
	return false;
}

/* --- check -------------------------------------------------------------------------------------------------------- */

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

static int check_end(const struct restore *r, const struct restore_file *file, const TtyInfoEntry *info,
		     struct error *err)
{
	if (info->type == TTY_TYPE__PTY && (!info->pty || info->pty->index >= PTY_INDEX_LIMIT))
		return restore_refuse(r, file, err, "terminal %u has no number", info->id);
	if (info->termios && info->termios->n_c_cc < NCCS)
		return restore_refuse(r, file, err, "terminal %u: its settings are incomplete", info->id);
	if (!tty_output_is_sane(info->other_output))
		return restore_refuse(r, file, err, "terminal %u: its cursor is nowhere", info->id);
	if (is_master(info) && !info->termios)
		return restore_refuse(r, file, err, "terminal %u: its settings are missing", info->id);
	return 0;
}

/* An end that nobody has open is described, too. */
static int check_pair(const struct restore *r, const struct restore_file *file, const struct restore_tty *tty,
		      struct error *err)
{
	const TtyInfoEntry *ends[] = { tty->slave, tty->master };
	int result = 0;

	for (size_t i = 0; result == 0 && i < 2; i++) {
		if (ends[i] && ends[i]->type != TTY_TYPE__PTY)
			return restore_refuse(r, file, err, "terminal %u is no end of a pair", ends[i]->id);
		if (ends[i])
			result = check_end(r, file, ends[i], err);
	}
	return result;
}

static int check_info(const struct restore *r, struct restore_file *file, const TtyInfoEntry *info, struct error *err)
{
	int result;

	if (!info)
		return restore_refuse(r, file, err, "the images do not describe terminal %u",
				      file->entry->tty->tty_info_id);
	result = check_end(r, file, info, err);
	if (result < 0)
		return result;
	if (info->type != TTY_TYPE__EXT_TTY && !file->entry->tty->has_regf_id)
		return restore_refuse(r, file, err, "terminal %u: the images do not say which path it has", info->id);
	return 0;
}

int tty_check(struct restore *r, struct restore_file *file, struct error *err)
{
	const TtyInfoEntry *info = tty_info_of(r, file);
	struct restore_tty *tty;
	struct restore_task *leader;
	bool is_first = false;
	int result = check_info(r, file, info, err);

	if (result == 0)
		result = restore_join_group(r, file, info->type == TTY_TYPE__PTY ? info->id / 2 : info->id,
					    sizeof(*tty), &is_first, err);
	if (result < 0)
		return result;
	tty = file->kind_data;
	if (is_first) {
		*tty = (struct restore_tty){ .holder = -1, .outside = -1 };
		tty->slave = info;
		if (info->type == TTY_TYPE__PTY) {
			tty->slave = find_info(r, info->id & ~1u);
			tty->master = find_info(r, info->id | 1u);
			result = check_pair(r, file, tty, err);
		}
		if (result == 0)
			result = check_first(r, file, tty, err);
	}
	tty->to_open++;
	file->is_late = info->type == TTY_TYPE__CTTY;
	leader = info->type == TTY_TYPE__CTTY ? NULL : tty_session_leader(r, info->sid);
	if (leader) { /* it must have the terminal before the rest of its session comes into being */
		restore_add_user(r, file, leader);
		file->is_shared = true;
	}
	return result;
}

/* --- pairs -------------------------------------------------------------------------------------------------------- */

#define NUMBERS_WAIT_US 100
#define NUMBERS_TRIES   10000

/*
 * Whoever looks for a number holds those before it meanwhile: other tasks, and other restores, wait for their turn. Not
 * for ever: anybody may lock the directory. Without it nothing is lost but the order.
 */
static int lock_numbers(void)
{
	int fd = open("/dev/pts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < NUMBERS_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		(void)usleep(NUMBERS_WAIT_US);
	return fd;
}

/* A master with the wanted number: those that come before it are held until it is reached. */
static int open_master(uint32_t wanted, struct error *err)
{
	AUTO_CLOSE int lock = lock_numbers();
	int held[PTY_INDEX_LIMIT], result = -EEXIST;
	size_t count = 0;

	(void)lock; /* given back at the end */
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

/*
 * By its old path if that leads there, so that the name is the same; by the master what has no O_LARGEFILE, which the
 * kernel sets for whatever is opened by a path.
 */
static int open_slave(struct restore *r, const struct restore_file *file, int master, uint32_t flags)
{
	const char *path = tty_path_of(r, file)->name;
	uint32_t index;
	struct stat st;
	int fd;

	if (flags & KERNEL_LARGEFILE && ioctl(master, TIOCGPTN, &index) == 0 && stat(path, &st) == 0 &&
	    st.st_rdev == makedev(PTY_SLAVE_MAJOR, index)) {
		fd = open(path, (int)flags);
		if (fd >= 0 || errno != EXDEV)
			return fd < 0 ? -errno : fd;
	}
	/* Unlike open(2) it leaves O_CLOEXEC among the flags of the description, where F_GETFL shows it. */
	fd = ioctl(master, TIOCGPTPEER, flags & ~(uint32_t)O_CLOEXEC);
	if (fd >= 0 && flags & O_CLOEXEC)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void set_owner(const struct restore *r, const struct restore_file *file, const TtyInfoEntry *info, int fd)
{
	const RegFileEntry *path = tty_path_of(r, file);

	if (info->has_uid && info->has_gid)
		(void)!fchown(fd, info->uid, info->gid);
	if (path->has_mode)
		(void)fchmod(fd, path->mode & 07777);
}

/* --- when all descriptions of a pair are open --------------------------------------------------------------------- */

static int restore_data(struct restore *r, const struct restore_tty *tty, int slave_fd, struct error *err)
{
	const TtyDataEntry *from_slave = find_data(r, tty->master), *from_master = find_data(r, tty->slave);
	struct termios2 modes = tty_modes_of(tty->master->termios);
	const TtyOutputEntry *output = tty->master->other_output;
	int result = output && slave_fd >= 0 ? tty_columns_restore(output, tty->holder, slave_fd) : 0;

	if (result < 0)
		return error_set(err, result, "terminal /dev/pts/%u: move its cursor", tty->master->pty->index);
	if (from_master)
		result = tty_data_restore(from_master, false, tty->holder, slave_fd, &modes, err);
	if (result == 0 && from_slave)
		result = tty_data_restore(from_slave, true, tty->holder, slave_fd, &modes, err);
	if (result == 0 && output && output->next_literal && slave_fd >= 0) {
		result = tty_literal_next(tty->holder, slave_fd, &modes);
		if (result < 0)
			return error_set(err, result, "terminal /dev/pts/%u: type ^V", tty->master->pty->index);
	}
	return result;
}

static int set_state(const struct restore_tty *tty, int slave_fd)
{
	const TtyInfoEntry *master = tty->master;
	int on = 1, r = tty_modes_set(tty->holder, master->termios);

	if (r == 0)
		r = tty_output_restore(master, tty->holder, slave_fd);
	if (r == 0 && master->winsize)
		r = tty_size_set(tty->holder, master->winsize);
	if (r == 0 && master->termios_locked)
		r = tty_modes_lock(tty->holder, master->termios_locked);
	if (r == 0 && master->exclusive && ioctl(tty->holder, TIOCEXCL) < 0)
		r = -errno;
	if (r == 0 && tty->slave && tty->slave->exclusive && slave_fd >= 0 && ioctl(slave_fd, TIOCEXCL) < 0)
		r = -errno;
	if (r == 0 && master->locked && ioctl(tty->holder, TIOCSPTLCK, &on) < 0)
		r = -errno;
	return r;
}

static bool needs_slave(const struct restore *r, const struct restore_tty *tty)
{
	const TtyOutputEntry *output = tty->master->other_output;

	return (tty->master->has_is_left && tty->master->is_left) || find_data(r, tty->slave) ||
	       (output &&
		(output->stopped || output->held || output->column || output->line_column || output->next_literal));
}

/* As with set_owner(): a restore goes on without. */
static void set_node(const TtyInfoEntry *master)
{
	char path[32];

	if (!master->has_node_uid || !master->has_node_gid || !master->has_node_mode)
		return;
	(void)snprintf(path, sizeof(path), "/dev/pts/%u", master->pty->index);
	(void)!chown(path, master->node_uid, master->node_gid);
	(void)chmod(path, master->node_mode & 07777);
}

static bool reads_and_writes(int fd)
{
	int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

	return flags >= 0 && (flags & O_ACCMODE) == O_RDWR;
}

/* slave_fd: any descriptor of the slave, -1 when nobody in the tree has it open. */
static int complete_pair(struct restore *r, struct restore_tty *tty, int slave_fd, struct error *err)
{
	AUTO_CLOSE int own = -1;
	int result;

	if (!tty->master)
		return 0; /* the end of the holder hangs it up */
	if (slave_fd < 0)
		set_node(tty->master);
	if (!reads_and_writes(slave_fd) && needs_slave(r, tty)) {
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
	if (!is_master(tty_info_of(r, file)))
		return opened;
	for (const struct restore_file *f = file->group_next; f != file; f = f->group_next)
		if (f->fd >= 0 && !is_master(tty_info_of(r, f)))
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
	const TtyInfoEntry *info = tty_info_of(r, file);
	struct restore_tty *tty = file->kind_data;
	AUTO_CLOSE int fd = -1;
	int result = tty->is_made ? 0 : make_pair(r, tty, err);

	if (result < 0)
		return result;
	fd = is_master(info) ? dup_master(tty, flags) : open_slave(r, file, tty->holder, flags);
	if (fd < 0)
		return error_set(err, fd, "open %s", tty_path_of(r, file)->name);
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

/* --- other devices ------------------------------------------------------------------------------------------------ */

static int open_outside(const struct restore_file *file, struct restore_tty *tty, uint32_t flags, int *ret_fd,
			struct error *err)
{
	AUTO_CLOSE int fd = restore_reopen(tty->outside, flags);
	int r = fd < 0 ? fd : 0;

	if (r == 0 && !tty->is_made && tty->slave->termios)
		r = tty_modes_set(fd, tty->slave->termios);
	if (r < 0)
		return error_set(err, r, "open the terminal that takes its place");
	tty->is_made = true;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Anything else may wait for somebody when it is opened. */
static int open_terminal(const char *path, uint32_t flags)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode))
		return -ENOTTY;
	fd = open(path, (int)flags);
	return fd < 0 ? -errno : fd;
}

static int open_device(struct restore *r, struct restore_file *file, uint32_t flags, int *ret_fd, struct error *err)
{
	const char *path = tty_path_of(r, file)->name;
	struct restore_tty *tty = file->kind_data;
	AUTO_CLOSE int fd = open_terminal(path, flags);
	int result = fd < 0 ? fd : 0;

	if (result == 0 && !tty->is_made && tty->slave->termios)
		result = tty_modes_set(fd, tty->slave->termios);
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
	int fd = getsid(0) == (pid_t)tty_info_of(r, file)->sid ? open_terminal(tty_path_of(r, file)->name, flags) : -1;

	if (fd < 0)
		fd = open("/", (int)(O_PATH | file->cloexec));
	if (fd < 0)
		return error_set(err, -errno, "open /");
	*ret_fd = fd;
	return 0;
}

int tty_open(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	uint32_t flags = restore_open_flags(file->entry->tty->flags) | file->cloexec;
	const TtyInfoEntry *info = tty_info_of(r, file);
	struct restore_tty *tty = file->kind_data;

	if (info->type == TTY_TYPE__CTTY)
		return open_controlling(r, file, flags, ret_fd, err);
	if (tty->outside >= 0)
		return open_outside(file, tty, flags, ret_fd, err);
	if (info->type == TTY_TYPE__PTY)
		return open_end(r, file, ret_fd, err);
	return open_device(r, file, flags, ret_fd, err);
}

int tty_finish(struct restore *r, struct restore_task *task, struct restore_file *file, int fd, struct error *err)
{
	uint32_t flags = restore_open_flags(file->entry->tty->flags) | O_CLOEXEC;
	struct stat st;
	int opened, result;

	if (tty_info_of(r, file)->type != TTY_TYPE__CTTY || (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode)))
		return 0;
	opened = open_terminal(tty_path_of(r, file)->name, flags);
	if (opened < 0)
		return error_set(err, opened, "open %s", tty_path_of(r, file)->name);
	result = restore_replace_fd(r, task, file, opened);
	return result < 0 ? error_set(err, result, "put %s in place", tty_path_of(r, file)->name) : 0;
}
