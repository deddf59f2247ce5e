/*
 * Whether a file with a path is still what it was. Always: its size, but for logs (write-only and appending), which may
 * have grown. --file-policy says for the paths that match a pattern what else may have happened:
 *
 *	exact	nothing: size and time of modification are the same and, if it is the same inode, the time of its last
 *		change; a copy on another machine is recognised by time and size, as rsync does
 *	append	it is the same inode and has not become shorter
 *	any	anything, as long as it is a file
 *
 * A dump notes for each file what these need. With --file-policy exact or append it also notes a hash of the content,
 * which then decides instead of times and inode: over copies, and against changes that put the times back.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"

/* --- the hash of a content --------------------------------------------------------------------------------------- */

#define HASH_LIBRARY "libxxhash.so.0"
#define READ_BYTES   (256 * 1024)

/* The functions of the library, loaded by whoever wants a hash. */
struct hasher {
	void *library;
	void *(*create)(void);
	int (*free)(void *state);
	int (*reset)(void *state, unsigned long long seed);
	int (*update)(void *state, const void *data, size_t bytes);
	unsigned long long (*digest)(const void *state);
};

static void hasher_close(struct hasher *hasher)
{
	if (hasher->library)
		(void)dlclose(hasher->library);
	hasher->library = NULL;
}

static bool find_function(const struct hasher *hasher, const char *name, void *ret_function)
{
	void *found = dlsym(hasher->library, name);

	/* The way POSIX has it for functions: copied as an object. */
	memcpy(ret_function, &found, sizeof(found));
	return found != NULL;
}

static int hasher_open(struct hasher *ret)
{
	ret->library = dlopen(HASH_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!ret->library)
		return -ENOENT;
	if (find_function(ret, "XXH64_createState", &ret->create) &&
	    find_function(ret, "XXH64_freeState", &ret->free) && find_function(ret, "XXH64_reset", &ret->reset) &&
	    find_function(ret, "XXH64_update", &ret->update) && find_function(ret, "XXH64_digest", &ret->digest))
		return 0;
	hasher_close(ret);
	return -ENOENT;
}

static int hash_pieces(const struct hasher *hasher, void *state, int fd, uint64_t bytes)
{
	AUTO_FREE char *buffer = malloc(READ_BYTES);
	uint64_t offset = 0;

	if (!buffer || hasher->reset(state, 0) != 0)
		return -ENOMEM;
	while (offset < bytes) {
		size_t n = min_u64(bytes - offset, READ_BYTES);
		int r = pread_all(fd, buffer, n, offset);

		if (r < 0)
			return r;
		if (hasher->update(state, buffer, n) != 0)
			return -EIO;
		offset += n;
	}
	return 0;
}

static int hash_content(int fd, uint64_t bytes, uint64_t *ret_hash)
{
	__attribute__((cleanup(hasher_close))) struct hasher hasher = { 0 };
	int r = hasher_open(&hasher);
	void *state;

	if (r < 0)
		return r;
	state = hasher.create();
	if (!state)
		return -ENOMEM;
	r = hash_pieces(&hasher, state, fd, bytes);
	if (r == 0)
		*ret_hash = hasher.digest(state);
	(void)hasher.free(state);
	return r;
}

/* --- dump -------------------------------------------------------------------------------------------------------- */

/* Many descriptors may be of one file. */
#define REMEMBERED 64

struct hashed_content {
	dev_t dev;
	ino_t ino;
	uint64_t size, hash;
	bool is_set;
};

static bool wants_hash(const struct dump *d, const struct open_file *file, const char *path)
{
	enum file_policy policy;

	if (d->opts->file_policy_count == 0 || !S_ISREG(file->st.st_mode))
		return false;
	policy = options_find_file_policy(d->opts, path);
	return policy == FILE_POLICY_EXACT || policy == FILE_POLICY_APPEND;
}

int file_policy_look(struct dump *d, struct open_file *file, struct error *err)
{
	__attribute__((cleanup(hasher_close))) struct hasher hasher = { 0 };
	AUTO_CLOSE int fd = -1;

	if (!wants_hash(d, file, file->link))
		return 0;
	if (hasher_open(&hasher) < 0) {
		error_hint(err, "install libxxhash0, or leave out --file-policy");
		return open_file_refuse(file, err, "its content cannot be noted for --file-policy: no " HASH_LIBRARY);
	}
	fd = open_file_content(d, file);
	return fd < 0 ? open_file_error(file, err, fd, "read its content for --file-policy") : 0;
}

static int note_content(struct dump *d, struct open_file *file, FileIdentity *identity)
{
	struct file_registry *registry = d->files;
	struct hashed_content *known;
	AUTO_CLOSE int fd = -1;
	int r = 0;

	if (!registry->hashed)
		registry->hashed = calloc(REMEMBERED, sizeof(*registry->hashed));
	if (!registry->hashed)
		return -ENOMEM;
	known = &registry->hashed[file->st.st_ino % REMEMBERED];
	if (!known->is_set || known->dev != file->st.st_dev || known->ino != file->st.st_ino ||
	    known->size != identity->size) {
		fd = open_file_content(d, file);
		r = fd < 0 ? fd : hash_content(fd, identity->size, &known->hash);
		known->is_set = r == 0;
		known->dev = file->st.st_dev;
		known->ino = file->st.st_ino;
		known->size = identity->size;
	}
	identity->has_content = r == 0;
	identity->content = known->hash;
	return r;
}

int file_policy_record(struct dump *d, struct open_file *file, RegFileEntry *entry, struct error *err)
{
	FileIdentity *identity;
	int r;

	if (!S_ISREG(file->st.st_mode) || file->st.st_nlink == 0)
		return 0;
	identity = files_scratch(d, sizeof(*identity));
	if (!identity)
		return open_file_error(file, err, -ENOMEM, "save");
	file_identity__init(identity);
	identity->dev = file->st.st_dev;
	identity->ino = file->st.st_ino;
	identity->size = (uint64_t)file->st.st_size;
	identity->mtime = file_policy_ns(file->st.st_mtim.tv_sec, (uint32_t)file->st.st_mtim.tv_nsec);
	identity->has_ctime = !link_remap_touches(d, &file->st);
	identity->ctime = file_policy_ns(file->st.st_ctim.tv_sec, (uint32_t)file->st.st_ctim.tv_nsec);
	identity->has_btime = file->btime_ns != 0;
	identity->btime = file->btime_ns;
	entry->identity = identity;
	if (!wants_hash(d, file, entry->name))
		return 0;
	r = note_content(d, file, identity);
	return r < 0 ? open_file_error(file, err, r, "read its content for --file-policy") : 0;
}

/* --- restore ----------------------------------------------------------------------------------------------------- */

enum file_policy file_policy_of(const struct restore *r, const struct restore_file *file)
{
	const RegFileEntry *entry = file->entry->reg;

	if (r->opts->file_policy_count == 0 || !entry)
		return FILE_POLICY_NONE;
	return options_find_file_policy(r->opts, file->dumped_name ? file->dumped_name : entry->name);
}

bool file_policy_is_same(const struct restore *r, const struct restore_file *a, const struct restore_file *b)
{
	const FileIdentity *one = a->entry->reg->identity, *other = b->entry->reg->identity;
	enum file_policy policy = file_policy_of(r, b);

	if (policy != file_policy_of(r, a))
		return false;
	if (policy == FILE_POLICY_NONE || policy == FILE_POLICY_ANY)
		return true;
	return one && other && one->dev == other->dev && one->ino == other->ino && one->size == other->size &&
	       one->mtime == other->mtime && one->ctime == other->ctime && one->has_content == other->has_content &&
	       one->content == other->content;
}

static const char *describe_time(uint64_t ns, char *buffer, size_t bytes)
{
	time_t seconds = (time_t)(ns / NS_PER_SEC);
	struct tm parts;
	size_t used;

	if (!localtime_r(&seconds, &parts))
		return "?";
	used = strftime(buffer, bytes, "%Y-%m-%d %H:%M:%S", &parts);
	(void)snprintf(buffer + used, bytes - used, ".%09u", (unsigned int)(ns % NS_PER_SEC));
	return buffer;
}

/* Inode numbers are used again, and device numbers change with a reboot: the time at which it was made says more. */
static bool is_same_inode(const FileIdentity *identity, const char *path, const struct stat *st)
{
	struct statx sx;

	if (identity->ino != st->st_ino)
		return false;
	if (identity->has_btime && statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &sx) == 0 &&
	    sx.stx_mask & STATX_BTIME)
		return identity->btime == file_policy_ns(sx.stx_btime.tv_sec, sx.stx_btime.tv_nsec);
	return identity->dev == st->st_dev;
}

static int check_content(struct restore *r, const struct restore_file *file, const FileIdentity *identity,
			 const char *path, struct error *err)
{
	AUTO_CLOSE int fd = restore_open_content(path);
	int result = fd < 0 ? fd : 0;
	uint64_t hash;

	if (result == 0)
		result = hash_content(fd, identity->size, &hash);
	if (result == -ENOENT && fd >= 0) {
		error_hint(err, "install libxxhash0");
		return restore_refuse(r, file, err, "%s: its content cannot be compared: no " HASH_LIBRARY, path);
	}
	if (result < 0)
		return restore_refuse(r, file, err, "%s: its content cannot be compared: %s", path, strerror(-result));
	if (hash == identity->content)
		return 0;
	return restore_refuse(r, file, err, "%s: its first %" PRIu64 " bytes are not what they were when it was dumped",
			      path, identity->size);
}

static int check_size(struct restore *r, const struct restore_file *file, uint64_t size, const char *path,
		      const struct stat *st, struct error *err)
{
	if (size == (uint64_t)st->st_size)
		return 0;
	if (file_policy_of(r, file) == FILE_POLICY_NONE)
		error_hint(err, "--file-policy PATTERN=append for what may have grown, =any for what may have changed");
	return restore_refuse(r, file, err, "%s: has %llu bytes, had %llu when it was dumped", path,
			      (unsigned long long)st->st_size, (unsigned long long)size);
}

static int check_exact(struct restore *r, const struct restore_file *file, const FileIdentity *identity,
		       const char *path, const struct stat *st, struct error *err)
{
	uint64_t mtime = file_policy_ns(st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec);
	uint64_t ctime = file_policy_ns(st->st_ctim.tv_sec, (uint32_t)st->st_ctim.tv_nsec);
	char now[64], before[64];
	int result = check_size(r, file, identity->size, path, st, err);

	if (result < 0)
		return result;
	if (identity->has_content)
		return check_content(r, file, identity, path, err);
	if (mtime != identity->mtime)
		return restore_refuse(r, file, err, "%s: was modified at %s, at the dump that was %s", path,
				      describe_time(mtime, now, sizeof(now)),
				      describe_time(identity->mtime, before, sizeof(before)));
	if (identity->has_ctime && ctime != identity->ctime && is_same_inode(identity, path, st))
		return restore_refuse(r, file, err,
				      "%s: was changed at %s, although that is not its time of modification", path,
				      describe_time(ctime, now, sizeof(now)));
	return 0;
}

static int check_append(struct restore *r, const struct restore_file *file, const FileIdentity *identity,
			const char *path, const struct stat *st, struct error *err)
{
	if ((uint64_t)st->st_size < identity->size)
		return restore_refuse(r, file, err, "%s: is shorter than when it was dumped: %llu bytes of %llu", path,
				      (unsigned long long)st->st_size, (unsigned long long)identity->size);
	if (identity->has_content)
		return check_content(r, file, identity, path, err);
	if (is_same_inode(identity, path, st))
		return 0;
	error_hint(err, "with --file-policy at the dump, too, the content decides, wherever it was copied to");
	return restore_refuse(r, file, err, "%s: is another file than the one that was dumped", path);
}

int file_policy_check(struct restore *r, const struct restore_file *file, const RegFileEntry *entry, const char *path,
		      const struct stat *st, struct error *err)
{
	enum file_policy policy = file_policy_of(r, file);

	if (!S_ISREG(st->st_mode) || policy == FILE_POLICY_ANY)
		return 0;
	if (policy == FILE_POLICY_NONE)
		return entry->has_size ? check_size(r, file, entry->size, path, st, err) : 0;
	if (!entry->identity) {
		error_hint(err,
			   "only sets of this program tell; without a policy the size is compared, with =any nothing");
		return restore_refuse(r, file, err, "%s: the set does not say enough about it for --file-policy", path);
	}
	return policy == FILE_POLICY_EXACT ? check_exact(r, file, entry->identity, path, st, err)
					   : check_append(r, file, entry->identity, path, st, err);
}
