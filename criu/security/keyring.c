#include "security/keyring.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "engine/dump.h"
#include "pie/parasite-border.h"
#include "kernel/proc-keys.h"
#include "security/session-keyring.h"

/* One whose contents were read, and who has them in its image. */
struct saved_keyring {
	const struct task *holder;
	uint32_t number;
	bool is_session;
	KeyringContents *contents;
};

struct saved_keyrings {
	struct arena arena;
	struct saved_keyring *items;
	size_t count;
};

/* --- what can be saved ------------------------------------------------------------------------------------------- */

/* Behind "type;uid;gid;perm;"; NULL: not known. */
static const char *name_of(const struct parasite_thread *told)
{
	const char *at = told->keyring_name;

	for (int i = 0; at && i < 4; i++)
		at = (at = strchr(at, ';')) ? at + 1 : NULL;
	return at;
}

static int refuse(const struct task *task, const struct task_thread *thread, const char *what, struct error *err)
{
	const char *name = name_of(thread->parasite);

	return error_say(err, -ENOTSUP, TASK_FORMAT ", thread %d: has a %s, \"%s\", which cannot be saved",
			 TASK_ARGS(task), thread->tid, what, name ? name : "?");
}

static bool is_known_answer(int64_t session)
{
	return session >= 0 || session == -EKEYREVOKED || session == -ENOSYS || session == -EPERM;
}

int keyrings_check(const struct task *task, const struct task_thread *thread, struct error *err)
{
	const struct parasite_thread *told = thread->parasite, *first = task->threads[0].parasite;

	if (told->thread_keyring > 0)
		return refuse(task, thread, "thread keyring of its own", err);
	if (told->process_keyring != first->process_keyring)
		return refuse(task, told->process_keyring > 0 ? thread : &task->threads[0],
			      "process keyring that other threads do not have", err);
	if (told->request_keyring == KEY_REQKEY_DEFL_THREAD_KEYRING ||
	    (told->request_keyring == KEY_REQKEY_DEFL_PROCESS_KEYRING && told->process_keyring <= 0))
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ", thread %d: has inherited that request_key() puts keys into a thread's "
					     "or process's own keyring, which cannot be brought back",
				 TASK_ARGS(task), thread->tid);
	if (!is_known_answer(told->session_keyring))
		return error_set(err, (int)told->session_keyring,
				 TASK_FORMAT ", thread %d: has a session keyring that it cannot use, and that cannot "
					     "be saved",
				 TASK_ARGS(task), thread->tid);
	if (told->session_keyring != first->session_keyring)
		return refuse(task, told->session_keyring > 0 ? thread : &task->threads[0],
			      "session keyring that other threads do not have", err);
	return 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

struct reader {
	struct dump *d;
	struct task *task;
	struct remote_addr scratch;
	size_t bytes;
	char *text; /* a copy of the scratch memory, and one byte more */
	bool is_process;
	KeyringContents *contents;
	struct error *err;
};

static struct arena *arena_of(const struct reader *reader)
{
	return &reader->d->keyrings->arena;
}

/* What the kernel has written, which may be more than there is room for; -errno from inside. */
static int64_t ask(struct reader *reader, int operation, uint32_t number)
{
	const uint64_t args[6] = { (uint64_t)operation, number, reader->scratch.value, reader->bytes };
	struct compel_error compel_err = { 0 };
	int64_t result;
	int r = compel_syscall(reader->task->compel, SYS_keyctl, args, &result, &compel_err);

	if (r < 0)
		return error_say(reader->err, r, TASK_FORMAT ": let it look at its keyrings: %s",
				 TASK_ARGS(reader->task), compel_err.text);
	if (result <= 0 || result > (int64_t)reader->bytes)
		return result;
	r = compel_read(reader->task->compel, reader->scratch, reader->text, (size_t)result);
	reader->text[result] = '\0';
	return r < 0 ? r : result;
}

static int no_memory(const struct reader *reader)
{
	return error_set(reader->err, -ENOMEM, TASK_FORMAT ": its keyrings", TASK_ARGS(reader->task));
}

/* Whoever has the same keyring need not know what is in it: only the first thing is told. */
static void note_unsaved(const struct reader *reader, const char *what, const KeyEntry *key, const char *why)
{
	char text[512];

	if (reader->contents->unsaved)
		return;
	(void)snprintf(text, sizeof(text), "%s \"%.300s\" of type %.50s %s", what, key->description, key->type, why);
	reader->contents->unsaved = arena_strdup(arena_of(reader), text);
}

/* "type;uid;gid;perm;description" */
static int describe(struct reader *reader, uint32_t number, KeyEntry *key)
{
	char type[64];
	int64_t r = ask(reader, KEYCTL_DESCRIBE, number);
	int end = 0;

	if (r < 0)
		return (int)r;
	if (r > (int64_t)reader->bytes ||
	    sscanf(reader->text, "%63[^;];%u;%u;%x;%n", type, &key->uid, &key->gid, &key->perm, &end) != 4 || !end)
		return -EMSGSIZE;
	key->type = arena_strdup(arena_of(reader), type);
	key->description = arena_strdup(arena_of(reader), reader->text + end);
	return key->type && key->description ? 0 : -ENOMEM;
}

/* NULL: it does. No call tells when a key expires but /proc/keys, which tells it too roughly to set it again. */
static const char *why_not_for_good(uint32_t number, uint32_t uid)
{
	struct proc_key line;

	if (!proc_keys_find(number, uid, &line))
		return "may expire, for its owner may not view it";
	return line.is_permanent ? NULL : "expires";
}

/* Anybody may give a keyring of his such a name: whose it really is its owner tells. */
static bool is_users_keyring(const KeyEntry *key)
{
	uint32_t uid;
	int end = 0;
	const bool is_named = session_keyring_is_users(key->description, &uid) ||
			      (sscanf(key->description, "_uid.%u%n", &uid, &end) == 1 && !key->description[end]) ||
			      (sscanf(key->description, "_persistent.%u%n", &uid, &end) == 1 && !key->description[end]);

	return is_named && uid == key->uid;
}

static int read_payload(struct reader *reader, uint32_t number, KeyEntry *key)
{
	int64_t r = ask(reader, KEYCTL_READ, number);

	if (error_is_set(reader->err))
		return reader->err->code;
	if (r < 0)
		note_unsaved(reader, "key", key, r == -EACCES ? "may not be read" : "cannot be read");
	else if (r > (int64_t)reader->bytes)
		note_unsaved(reader, "key", key, "is too large");
	if (r < 0 || r > (int64_t)reader->bytes)
		return 0;
	key->payload.data = arena_memdup(arena_of(reader), reader->text, (size_t)r);
	key->payload.len = (size_t)r;
	key->has_payload = true;
	return key->payload.data ? 0 : no_memory(reader);
}

static int read_key(struct reader *reader, uint32_t number)
{
	KeyEntry *key = arena_alloc(arena_of(reader), sizeof(*key));
	const char *why;
	int r;

	if (!key)
		return no_memory(reader);
	key_entry__init(key);
	r = describe(reader, number, key);
	if (error_is_set(reader->err) || r == -ENOMEM)
		return error_is_set(reader->err) ? r : no_memory(reader);
	/* One that is revoked or has expired is as good as gone. */
	if (r == -EKEYREVOKED || r == -EKEYEXPIRED || r == -ENOKEY)
		return 0;
	if (r < 0) {
		key->type = key->description = "?";
		note_unsaved(reader, "key", key, "may not be looked at");
		return 0;
	}
	reader->contents->keys[reader->contents->n_keys++] = key;
	if (strcmp(key->type, "keyring") == 0) {
		if (!is_users_keyring(key))
			note_unsaved(reader, "key", key, "is in it");
		return 0;
	}
	if (strcmp(key->type, "user") != 0 && strcmp(key->type, "big_key") != 0)
		note_unsaved(reader, "key", key, "shows nobody what it holds");
	else if ((why = why_not_for_good(number, key->uid)))
		note_unsaved(reader, "key", key, why);
	return reader->contents->unsaved ? 0 : read_payload(reader, number, key);
}

static int read_keys(struct reader *reader, uint32_t number)
{
	AUTO_FREE uint32_t *numbers = NULL;
	int64_t bytes = ask(reader, KEYCTL_READ, number);
	int r = 0;

	if (error_is_set(reader->err))
		return reader->err->code;
	if (bytes < 0 || bytes > (int64_t)reader->bytes) {
		const KeyEntry all = { .description = "*", .type = "any" };

		note_unsaved(reader, "key", &all, bytes < 0 ? "may not be listed" : "makes too many");
		return 0;
	}
	numbers = calloc((size_t)bytes / sizeof(*numbers) + 1, sizeof(*numbers));
	reader->contents->keys = arena_alloc(arena_of(reader), ((size_t)bytes / sizeof(*numbers) + 1) * sizeof(void *));
	if (!numbers || !reader->contents->keys)
		return no_memory(reader);
	memcpy(numbers, reader->text, (size_t)bytes);
	for (size_t i = 0; r == 0 && i < (size_t)bytes / sizeof(*numbers); i++)
		r = read_key(reader, numbers[i]);
	return r;
}

static int read_contents(struct reader *reader, uint32_t number)
{
	KeyEntry self = KEY_ENTRY__INIT;
	const char *why;
	uint32_t uid;
	int r;

	reader->contents = arena_alloc(arena_of(reader), sizeof(*reader->contents));
	if (!reader->contents)
		return no_memory(reader);
	keyring_contents__init(reader->contents);
	r = describe(reader, number, &self);
	if (r < 0)
		return error_set(reader->err, r, TASK_FORMAT ": look at its %s keyring", TASK_ARGS(reader->task),
				 reader->is_process ? "process" : "session");
	reader->contents->description = self.description;
	reader->contents->uid = self.uid;
	reader->contents->gid = self.gid;
	reader->contents->perm = self.perm;
	if (session_keyring_is_users(self.description, &uid)) {
		if (!is_users_keyring(&self))
			note_unsaved(reader, "it, which is", &self, "has the name of a user's, but another owner");
		return 0;
	}
	why = why_not_for_good(number, self.uid);
	if (why)
		note_unsaved(reader, "it, which is", &self, why);
	return read_keys(reader, number);
}

static int check_contents(const struct reader *reader, uint32_t number)
{
	if (!reader->contents->unsaved)
		return 0;
	if (!reader->is_process && session_keyring_own() == number)
		return 0;
	if (!reader->is_process)
		error_hint(reader->err, "dump it from a process with the same session keyring (as in its login "
					"session): those who restore it there have that keyring, too");
	return error_say(reader->err, -ENOTSUP, TASK_FORMAT ": its %s keyring, \"%s\", cannot be saved: %s",
			 TASK_ARGS(reader->task), reader->is_process ? "process" : "session",
			 reader->contents->description, reader->contents->unsaved);
}

static int add(struct reader *reader, uint32_t number)
{
	struct saved_keyrings *all = reader->d->keyrings;
	struct saved_keyring *items = reallocarray(all->items, all->count + 1, sizeof(*items));

	if (!items)
		return no_memory(reader);
	all->items = items;
	items[all->count++] = (struct saved_keyring){ .holder = reader->task,
						      .number = number,
						      .is_session = !reader->is_process,
						      .contents = reader->contents };
	return 0;
}

static int read_one(struct reader *reader, int64_t number)
{
	int r = read_contents(reader, (uint32_t)number);

	if (r == 0)
		r = check_contents(reader, (uint32_t)number);
	return r < 0 ? r : add(reader, (uint32_t)number);
}

/* --- what the engine calls --------------------------------------------------------------------------------------- */

static bool is_own_session(const struct task *task)
{
	const struct parasite_thread *told = task->threads[0].parasite;
	const char *name = name_of(told);

	/* Where the process has a keyring, that one was described. */
	return told->session_keyring > 0 &&
	       (told->process_keyring > 0 || !name || strcmp(name, told->user_session) != 0);
}

static const struct saved_keyring *find(const struct dump *d, int64_t number)
{
	for (size_t i = 0; d->keyrings && i < d->keyrings->count; i++)
		if (d->keyrings->items[i].number == number)
			return &d->keyrings->items[i];
	return NULL;
}

bool keyrings_are_to_be_read(const struct dump *d, const struct task *task)
{
	const struct parasite_thread *told = task->threads[0].parasite;

	return told->process_keyring > 0 || (is_own_session(task) && !find(d, told->session_keyring));
}

int keyrings_read(struct dump *d, struct task *task, struct remote_addr scratch, size_t bytes, struct error *err)
{
	const struct parasite_thread *told = task->threads[0].parasite;
	AUTO_FREE char *text = malloc(bytes + 1);
	struct reader reader = { .d = d, .task = task, .scratch = scratch, .bytes = bytes, .text = text, .err = err };
	int r = 0;

	if (!d->keyrings)
		d->keyrings = calloc(1, sizeof(*d->keyrings));
	if (!d->keyrings || !text)
		return no_memory(&reader);
	if (is_own_session(task) && !find(d, told->session_keyring))
		r = read_one(&reader, told->session_keyring);
	if (r < 0 || told->process_keyring <= 0)
		return r;
	reader.is_process = true;
	return read_one(&reader, told->process_keyring);
}

static KeyringEntry *make_entry(const struct dump *d, const struct task *task, int64_t number, struct arena *arena)
{
	const struct saved_keyring *saved = number > 0 ? find(d, number) : NULL;
	KeyringEntry *entry = arena_alloc(arena, sizeof(*entry));

	if (!entry)
		return NULL;
	keyring_entry__init(entry);
	entry->has_revoked = entry->revoked = number == -EKEYREVOKED;
	entry->serial = number > 0 ? (uint32_t)number : 0;
	entry->contents = saved && saved->holder == task ? saved->contents : NULL;
	return entry;
}

static bool knows_session(const struct task *task)
{
	const int64_t told = task->threads[0].parasite->session_keyring;

	return told >= 0 || told == -EKEYREVOKED;
}

static int64_t session_of(const struct task *task)
{
	const int64_t told = task->threads[0].parasite->session_keyring;

	return told < 0 || is_own_session(task) ? told : 0;
}

bool keyrings_differ(const struct dump *d)
{
	const struct task *first = NULL;

	for_each_task (d, task) {
		if (task->is_zombie || !knows_session(task))
			continue;
		if (first && session_of(task) != session_of(first))
			return true;
		first = task;
	}
	return false;
}

KeyringEntry *keyring_make_session_entry(const struct dump *d, const struct task *task, struct arena *arena)
{
	return knows_session(task) ? make_entry(d, task, session_of(task), arena) : NULL;
}

int keyrings_save(const struct dump *d, const struct task *task, TaskCoreEntry *tc, struct arena *arena)
{
	const struct parasite_thread *told = task->threads[0].parasite;

	tc->session_keyring = keyring_make_session_entry(d, task, arena);
	if (told->process_keyring > 0)
		tc->process_keyring = make_entry(d, task, told->process_keyring, arena);
	return (knows_session(task) && !tc->session_keyring) || (told->process_keyring > 0 && !tc->process_keyring)
		   ? -ENOMEM
		   : 0;
}

void keyrings_free(struct dump *d)
{
	if (!d->keyrings)
		return;
	arena_done(&d->keyrings->arena);
	free(d->keyrings->items);
	free(d->keyrings);
	d->keyrings = NULL;
}
