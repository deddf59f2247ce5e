/*
 * Open files: every id leads to a record of the type that is expected there, and what the records refer to exists:
 * remaps, memory inodes, inodes without a name.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-check-private.h"
#include "images/ghost-file.pb-c.h"

#define UNIX_NAME_MAX    108
#define HANDLE_BYTES_MAX 128
#define FILTER_INSNS_MAX 4096

static const struct check_place *files_place(struct check_place *at, struct error *err)
{
	*at = (struct check_place){ IMAGE_FILES, 0, err };
	return at;
}

/* Exactly the member that belongs to the type, with the same id. */
static int check_union(const FileEntry *entry, const struct check_place *at)
{
	const struct file_row *row = file_row_of(entry->type), *all;
	size_t count;
	void *member;
	uint32_t id;

	if (!row)
		return check_bad(at, "file %u: type %d is not known", entry->id, entry->type);
	all = file_rows(&count);
	for (size_t i = 0; i < count; i++) {
		memcpy(&member, (const char *)entry + all[i].member_offset, sizeof(member));
		if ((member != NULL) != (&all[i] == row))
			return check_bad(at, "file %u: its content does not belong to its type", entry->id);
	}
	memcpy(&member, (const char *)entry + row->member_offset, sizeof(member));
	memcpy(&id, (char *)member + row->id_offset, sizeof(id));
	return id == entry->id ? 0 : check_bad(at, "file %u: its content has id %u", entry->id, id);
}

/* Many types have an owner; its field is found by name. */
static int check_owner(const FileEntry *entry, const struct check_place *at)
{
	const struct file_row *row = file_row_of(entry->type);
	const ProtobufCFieldDescriptor *field =
	    protobuf_c_message_descriptor_get_field_by_name(row->descriptor, "fown");
	const FownEntry *fown;
	void *member;

	if (!field)
		return 0;
	memcpy(&member, (const char *)entry + row->member_offset, sizeof(member));
	memcpy(&fown, (char *)member + field->offset, sizeof(fown));
	if (fown && (fown->signum > CHECK_SIGNAL_MAX || fown->pid_type > 2 || fown->pid >= CHECK_PID_LIMIT))
		return check_bad(at, "file %u: its owner is out of range", entry->id);
	return 0;
}

static int check_opener(const FileOpener *opener, uint32_t id, const struct check_place *at)
{
	if (opener && opener->n_groups > CHECK_GROUPS_MAX)
		return check_bad(at, "file %u: opened by somebody with %zu groups", id, opener->n_groups);
	return 0;
}

static int check_reg(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	RegFileEntry *reg = entry->reg;
	size_t length = strlen(reg->name);

	if (reg->has_temporary && reg->temporary)
		reg->flags |= O_TMPFILE;
	if (length == 0 || length >= PATH_MAX)
		return check_bad(at, "file %u: a path of %zu bytes", entry->id, length);
	if (reg->name[0] != '/' && !(reg->has_ext && reg->ext))
		return check_bad(at, "file %u: its path is not absolute", entry->id);
	if (reg->kept_flock > 2)
		return check_bad(at, "file %u: no lock of flock(2) is of type %u", entry->id, reg->kept_flock);
	if (reg->n_build_id > 64)
		return check_bad(at, "file %u: a build id of %zu words", entry->id, reg->n_build_id);
	return check_opener(reg->opener, entry->id, at);
}

/* Old sets use one id for both. */
static int check_fifo(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	FifoEntry *fifo = entry->fifo;

	if (!fifo->has_regf_id) {
		fifo->has_regf_id = true;
		fifo->regf_id = fifo->id;
	}
	if (!checked_set_find_typed_file(cs, FD_TYPES__REG, fifo->regf_id))
		return check_bad(at, "file %u: its path, file %u, is not there", entry->id, fifo->regf_id);
	return 0;
}

static int check_tty(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	if (entry->tty->has_regf_id && !checked_set_find_typed_file(cs, FD_TYPES__REG, entry->tty->regf_id))
		return check_bad(at, "file %u: its path, file %u, is not there", entry->id, entry->tty->regf_id);
	return 0;
}

static int check_memfd(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	if (entry->memfd->pos > INT64_MAX)
		return check_bad(at, "file %u: a position that no file has", entry->id);
	if (!checked_set_find_memfd_inode(cs, entry->memfd->inode_id))
		return check_bad(at, "file %u: its memory, inode %u, is not there", entry->id, entry->memfd->inode_id);
	return 0;
}

static int check_socket_options(const SkOptsEntry *opts, uint32_t id, const struct check_place *at)
{
	if (opts->n_so_filter > FILTER_INSNS_MAX)
		return check_bad(at, "file %u: a socket filter of %zu instructions", id, opts->n_so_filter);
	return 0;
}

static int check_inet(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	const InetSkEntry *sk = entry->isk;
	size_t words = sk->family == AF_INET6 ? 4 : 1;

	if (sk->family != AF_INET && sk->family != AF_INET6)
		return check_bad(at, "file %u: address family %u is not known", entry->id, sk->family);
	if (sk->n_src_addr < words || sk->n_src_addr > 4 || sk->n_dst_addr < words || sk->n_dst_addr > 4)
		return check_bad(at, "file %u: an address of the wrong length", entry->id);
	if (sk->src_port > UINT16_MAX || sk->dst_port > UINT16_MAX)
		return check_bad(at, "file %u: a port is out of range", entry->id);
	return check_socket_options(sk->opts, entry->id, at);
}

static int check_unix(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	if (entry->usk->name.len > UNIX_NAME_MAX)
		return check_bad(at, "file %u: a socket name of %zu bytes", entry->id, entry->usk->name.len);
	return check_socket_options(entry->usk->opts, entry->id, at);
}

static int check_netlink(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	return check_socket_options(entry->nlsk->opts, entry->id, at);
}

static int check_packet(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	return check_socket_options(entry->psk->opts, entry->id, at);
}

static int check_timerfd(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	const TimerfdEntry *t = entry->tfd;

	if (t->clockid != CLOCK_REALTIME && t->clockid != CLOCK_MONOTONIC && t->clockid != CLOCK_BOOTTIME &&
	    t->clockid != CLOCK_REALTIME_ALARM && t->clockid != CLOCK_BOOTTIME_ALARM)
		return check_bad(at, "file %u: no timerfd has clock %u", entry->id, t->clockid);
	if (t->vnsec >= NS_PER_SEC || t->insec >= NS_PER_SEC || t->vsec > INT64_MAX || t->isec > INT64_MAX)
		return check_bad(at, "file %u: a time is out of range", entry->id);
	return 0;
}

static int check_handle(const FhEntry *handle, uint32_t id, const struct check_place *at)
{
	if (handle->bytes > HANDLE_BYTES_MAX || handle->n_handle > HANDLE_BYTES_MAX / sizeof(uint64_t) ||
	    handle->n_handle * sizeof(uint64_t) < handle->bytes)
		return check_bad(at, "file %u: a file handle of %u bytes in %zu words", id, handle->bytes,
				 handle->n_handle);
	return 0;
}

static int check_inotify(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	int r = check_opener(entry->ify->opener, entry->id, at);

	for (size_t i = 0; i < entry->ify->n_wd && r == 0; i++)
		r = check_handle(entry->ify->wd[i]->f_handle, entry->id, at);
	return r;
}

static int check_fanotify(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	int r = check_opener(entry->ffy->opener, entry->id, at);

	for (size_t i = 0; i < entry->ffy->n_mark && r == 0; i++) {
		const FanotifyMarkEntry *mark = entry->ffy->mark[i];

		if ((mark->type == MARK_TYPE__INODE && !mark->ie) || (mark->type == MARK_TYPE__MOUNT && !mark->me) ||
		    (mark->type != MARK_TYPE__INODE && mark->type != MARK_TYPE__MOUNT))
			return check_bad(at, "file %u: mark %zu does not say what it is on", entry->id, i);
		if (mark->ie)
			r = check_handle(mark->ie->f_handle, entry->id, at);
	}
	return r;
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* An epoll has a file once under each number. */
static int check_distinct_targets(const EventpollFileEntry *epoll, const struct check_place *at)
{
	AUTO_FREE uint64_t *keys = calloc(epoll->n_tfd + 1, sizeof(*keys));

	if (!keys)
		return error_set(at->err, -ENOMEM, "check epoll targets");
	for (size_t i = 0; i < epoll->n_tfd; i++) {
		const EventpollTfdEntry *target = epoll->tfd[i];
		uint32_t number = target->has_target_id && target->has_number ? target->number : target->tfd;

		keys[i] = (target->has_target_id ? (uint64_t)target->target_id << 32 : 0) | number;
	}
	qsort(keys, epoll->n_tfd, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < epoll->n_tfd; i++)
		if (keys[i - 1] == keys[i])
			return check_bad(at, "file %u: target %u is there twice", epoll->id, (uint32_t)keys[i]);
	return 0;
}

/* Targets are descriptors of the owner: they are looked for once the tables are known. */
static int check_epoll(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	for (size_t i = 0; i < entry->epfd->n_tfd; i++) {
		if (entry->epfd->tfd[i]->tfd >= CHECK_FD_LIMIT)
			return check_bad(at, "file %u: target %u is no descriptor", entry->id,
					 entry->epfd->tfd[i]->tfd);
	}
	return check_distinct_targets(entry->epfd, at);
}

static const struct {
	FdTypes type;
	int (*check)(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at);
} content_checks[] = {
	{ FD_TYPES__REG, check_reg },           { FD_TYPES__FIFO, check_fifo },
	{ FD_TYPES__TTY, check_tty },           { FD_TYPES__MEMFD, check_memfd },
	{ FD_TYPES__INETSK, check_inet },       { FD_TYPES__UNIXSK, check_unix },
	{ FD_TYPES__NETLINKSK, check_netlink }, { FD_TYPES__PACKETSK, check_packet },
	{ FD_TYPES__TIMERFD, check_timerfd },   { FD_TYPES__INOTIFY, check_inotify },
	{ FD_TYPES__FANOTIFY, check_fanotify }, { FD_TYPES__EVENTPOLL, check_epoll },
};

static int check_content(const struct checked_set *cs, const FileEntry *entry, const struct check_place *at)
{
	int r = check_owner(entry, at);

	for (size_t i = 0; i < ARRAY_SIZE(content_checks) && r == 0; i++) {
		if (content_checks[i].type == entry->type)
			r = content_checks[i].check(cs, entry, at);
	}
	return r;
}

static int compare_files(const void *a, const void *b)
{
	const struct checked_file *left = a, *right = b;

	if (left->id != right->id)
		return left->id < right->id ? -1 : 1;
	return (left->entry->type > right->entry->type) - (left->entry->type < right->entry->type);
}

static int take_files(struct checked_set *cs, struct image_list *list, struct error *err)
{
	cs->files = calloc(list->count + 1, sizeof(*cs->files));
	if (!cs->files)
		return error_set(err, -ENOMEM, "check files.img");
	for (size_t i = 0; i < list->count; i++) {
		cs->files[i].entry = TAKE_PTR(list->items[i]);
		cs->files[i].id = cs->files[i].entry->id;
	}
	cs->file_count = list->count;
	qsort(cs->files, cs->file_count, sizeof(*cs->files), compare_files);
	return 0;
}

static int load_files(struct checked_set *cs, const struct check_place *at)
{
	struct image_list list;
	bool is_old = false;
	int r = image_read_list_into(cs->set, IMAGE_FILES, 0, &file_entry__descriptor, &cs->arena, &list, at->err);

	if (r < 0)
		return r;
	cs->files_in_arena = list.count > 0;
	if (list.count == 0) {
		is_old = true;
		r = load_old_files(cs, &list, at->err);
	}
	if (r == 0)
		r = take_files(cs, &list, at->err);
	if (cs->files_in_arena)
		free(list.items);
	else
		image_list_done(&list);
	for (size_t i = 0; i < cs->file_count && r == 0; i++)
		r = check_union(cs->files[i].entry, at);
	for (size_t i = 1; i < cs->file_count && r == 0; i++) {
		if (cs->files[i].id == cs->files[i - 1].id &&
		    (!is_old || cs->files[i].entry->type == cs->files[i - 1].entry->type))
			return check_bad(at, "file %u is there twice", cs->files[i].id);
	}
	return r;
}

static int compare_inodes(const void *a, const void *b)
{
	const MemfdInodeEntry *left = *(MemfdInodeEntry *const *)a, *right = *(MemfdInodeEntry *const *)b;

	return (left->inode_id > right->inode_id) - (left->inode_id < right->inode_id);
}

static int load_memfd_inodes(struct checked_set *cs, struct error *err)
{
	const struct check_place at = { IMAGE_MEMFD, 0, err };
	struct image_list list;
	int r = image_read_list(cs->set, IMAGE_MEMFD, 0, &memfd_inode_entry__descriptor, &list, err);

	if (r < 0 || list.count == 0)
		return r;
	cs->memfd_inodes = (MemfdInodeEntry **)list.items;
	cs->memfd_inode_count = list.count;
	qsort(cs->memfd_inodes, cs->memfd_inode_count, sizeof(*cs->memfd_inodes), compare_inodes);
	for (size_t i = 0; i < list.count; i++) {
		const MemfdInodeEntry *inode = cs->memfd_inodes[i];

		if (inode->inode_id > UINT32_MAX || inode->size > INT64_MAX || strlen(inode->name) > NAME_MAX)
			return check_bad(&at, "inode %" PRIu64 " is out of range", inode->inode_id);
		if (i > 0 && cs->memfd_inodes[i - 1]->inode_id == inode->inode_id)
			return check_bad(&at, "inode %" PRIu64 " is there twice", inode->inode_id);
		if (inode->n_reserved_offset != inode->n_reserved_bytes)
			return check_bad(&at, "inode %" PRIu64 ": %zu reserved places and %zu lengths", inode->inode_id,
					 inode->n_reserved_offset, inode->n_reserved_bytes);
		for (size_t k = 0; k < inode->n_reserved_bytes; k++)
			if (inode->reserved_offset[k] > INT64_MAX ||
			    inode->reserved_bytes[k] > INT64_MAX - inode->reserved_offset[k])
				return check_bad(&at, "inode %" PRIu64 ": space is reserved out of range",
						 inode->inode_id);
	}
	return 0;
}

/* Pieces follow one another: they never need more room than the size that the entry tells. */
static int check_ghost_chunks(struct image_reader *reader, const GhostFileEntry *ghost, struct error *err)
{
	uint64_t end = 0;

	for (;;) {
		AUTO_MESSAGE GhostChunkEntry *chunk = NULL;
		uint64_t offset;
		int r = image_reader_next(reader, &ghost_chunk_entry__descriptor, &chunk, err);

		if (r <= 0)
			return r;
		if (chunk->off > ghost->size || chunk->len > ghost->size - chunk->off)
			return image_reader_bad(reader, err, "content beyond the end of the file");
		if (chunk->off < end)
			return image_reader_bad(reader, err, "content that overlaps what is before it");
		end = chunk->off + chunk->len;
		r = image_reader_skip(reader, chunk->len, &offset, err);
		if (r < 0)
			return r;
	}
}

static bool is_file_type(uint32_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) ||
	       S_ISBLK(mode);
}

static int check_ghost_space(const struct image_reader *reader, const GhostFileEntry *ghost, struct error *err)
{
	for (size_t i = 0; i < ghost->n_reserved; i++) {
		const GhostSpace *space = ghost->reserved[i];

		if (!space->bytes || space->offset > INT64_MAX || space->bytes > INT64_MAX - space->offset)
			return image_reader_bad(reader, err, "space that no file can have");
	}
	return 0;
}

static int check_ghost_content(struct image_reader *reader, const GhostFileEntry *ghost, struct error *err)
{
	if (ghost->has_chunks && ghost->chunks) {
		if (!ghost->has_size || ghost->size > INT64_MAX)
			return image_reader_bad(reader, err, "content in pieces without the size of the whole");
		return check_ghost_chunks(reader, ghost, err);
	}
	if (S_ISREG(ghost->mode) && ghost->has_size && ghost->size != image_reader_left(reader))
		return image_reader_bad(reader, err, "%" PRIu64 " bytes of content, not %" PRIu64,
					image_reader_left(reader), ghost->size);
	return 0;
}

/* Seconds before 1970 are negative. */
static bool is_time(const Timeval *time)
{
	return !time || time->tv_usec < CHECK_US_PER_SECOND;
}

static int check_ghost(struct checked_set *cs, uint32_t id, struct error *err)
{
	AUTO_IMAGE_READER struct image_reader reader = IMAGE_READER_INIT;
	AUTO_MESSAGE GhostFileEntry *ghost = NULL;
	int r = image_reader_open(&reader, cs->set, IMAGE_GHOST_FILE, id, err);

	if (r == -ENOENT && !error_is_set(err))
		return error_say(err, -EBADMSG, "ghost-file-%x.img is missing", id);
	if (r == 0)
		r = image_reader_next(&reader, &ghost_file_entry__descriptor, &ghost, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_say(err, -EBADMSG, "%s: truncated: holds no record", reader.name);
	if (!is_file_type(ghost->mode))
		return image_reader_bad(&reader, err, "mode 0%o is no kind of file", ghost->mode);
	if (S_ISLNK(ghost->mode) && (!ghost->symlnk_target || strlen(ghost->symlnk_target) >= PATH_MAX))
		return image_reader_bad(&reader, err, "a symbolic link without a target");
	/* chown(2) would take this for "as it is" */
	if (ghost->uid == UINT32_MAX || ghost->gid == UINT32_MAX)
		return image_reader_bad(&reader, err, "it belongs to nobody");
	if (!is_time(ghost->atim) || !is_time(ghost->mtim))
		return image_reader_bad(&reader, err, "a time is out of range");
	r = check_ghost_space(&reader, ghost, err);
	return r < 0 ? r : check_ghost_content(&reader, ghost, err);
}

/* Old sets have no type: the top bit of the id says that it is a ghost. */
static void fill_remap_type(RemapFilePathEntry *remap)
{
	if (remap->has_remap_type)
		return;
	remap->has_remap_type = true;
	remap->remap_type = remap->remap_id & 1u << 31 ? REMAP_TYPE__GHOST : REMAP_TYPE__LINKED;
	remap->remap_id &= ~(1u << 31);
}

static int check_remap(struct checked_set *cs, const RemapFilePathEntry *remap, const struct check_place *at)
{
	switch (remap->remap_type) {
	case REMAP_TYPE__LINKED:
		if (!checked_set_find_typed_file(cs, FD_TYPES__REG, remap->remap_id))
			return check_bad(at, "file %u: its other name, file %u, is not there", remap->orig_id,
					 remap->remap_id);
		return remap->handle ? check_handle(remap->handle, remap->orig_id, at) : 0;
	case REMAP_TYPE__GHOST:
		return check_ghost(cs, remap->remap_id, at->err);
	case REMAP_TYPE__PROCFS:
		if (remap->remap_id == 0 || remap->remap_id >= CHECK_PID_LIMIT)
			return check_bad(at, "file %u: pid %u is out of range", remap->orig_id, remap->remap_id);
		return 0;
	default:
		return check_bad(at, "file %u: remap type %d is not known", remap->orig_id, remap->remap_type);
	}
}

static int load_remaps(struct checked_set *cs, struct error *err)
{
	const struct check_place at = { IMAGE_REMAP_FPATH, 0, err };
	int r = image_read_list(cs->set, IMAGE_REMAP_FPATH, 0, &remap_file_path_entry__descriptor, &cs->remaps, err);

	for (size_t i = 0; i < cs->remaps.count && r == 0; i++) {
		RemapFilePathEntry *remap = cs->remaps.items[i];
		const struct checked_file *file = checked_set_find_typed_file(cs, FD_TYPES__REG, remap->orig_id);

		if (!file)
			return check_bad(&at, "file %u is not there", remap->orig_id);
		if (file->remap)
			return check_bad(&at, "file %u is remapped twice", remap->orig_id);
		fill_remap_type(remap);
		r = check_remap(cs, remap, &at);
		cs->files[file - cs->files].remap = remap;
	}
	return r;
}

int check_files(struct checked_set *cs, struct error *err)
{
	struct check_place at;
	int r = load_files(cs, files_place(&at, err));

	if (r == 0)
		r = load_memfd_inodes(cs, err);
	if (r == 0)
		r = check_pipes(cs, IMAGE_PIPES_DATA, FD_TYPES__PIPE, &cs->pipes, err);
	if (r == 0)
		r = check_pipes(cs, IMAGE_FIFO_DATA, FD_TYPES__FIFO, &cs->fifos, err);
	for (size_t i = 0; i < cs->file_count && r == 0; i++)
		r = check_content(cs, cs->files[i].entry, &at);
	return r < 0 ? r : load_remaps(cs, err);
}
