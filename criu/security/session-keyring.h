/*
 * Which session keyring a thread has: the one of its user, which every task has without doing anything for it, or
 * another. To ask for it (KEYCTL_GET_KEYRING_ID) would give a thread that has none the user's for good, so it is looked
 * for in what can be found from the thread, which changes nothing; and where that leaves open which one it is, because
 * another one may have a link to the user's, in the kernel's memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dump;
struct parasite_thread;
struct task;
struct task_thread;

/* The name of the session keyring of a user. */
void session_keyring_name(uint32_t uid, char *text, size_t size);

/* Of a session keyring: named as that of the user with this number, who is its owner then. */
bool session_keyring_is_users(const char *description, uint32_t *ret_uid);

/* The calling thread's: its number, 0 when it is the user's, -errno (-EKEYREVOKED ...). Changes nothing. */
int64_t session_keyring_own(void);

/*
 * Infect stage, with what the parasite has told: corrects that of a thread which has found the session keyring of its
 * user, but has another one. Warns, once, where that cannot be told.
 */
void session_keyring_correct(struct dump *d, const struct task *task, const struct task_thread *thread,
			     struct parasite_thread *told);
