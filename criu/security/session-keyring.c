#include "security/session-keyring.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "engine/dump.h"
#include "kernel/kernel-memory.h"
#include "kernel/thread-facts.h"
#include "pie/parasite-border.h"
#include "kernel/proc-keys.h"

void session_keyring_name(uint32_t uid, char *text, size_t size)
{
	(void)snprintf(text, size, "_uid_ses.%u", uid);
}

bool session_keyring_is_users(const char *description, uint32_t *ret_uid)
{
	int end = 0;

	return sscanf(description, "_uid_ses.%u%n", ret_uid, &end) == 1 && !description[end];
}

/* Nobody has a link to it, and nobody has been given it for good: who finds it has no other one. */
static bool is_unused(int64_t users, uint32_t uid)
{
	struct proc_key line;

	/* Its user's register of keyrings is one use. */
	return proc_keys_find((uint32_t)users, uid, &line) && line.uses <= 1;
}

/* --- of the calling thread --------------------------------------------------------------------------------------- */

static int64_t ask(void)
{
	const long r = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);

	return r < 0 ? -errno : r;
}

/* A thread begins with the credentials of its creator, and what it is given goes with it. */
static void *ask_in_thread(void *arg)
{
	*(int64_t *)arg = ask();
	return NULL;
}

static int64_t find_users(void)
{
	char name[32];

	session_keyring_name(getuid(), name, sizeof(name));
	return syscall(SYS_request_key, "keyring", name, NULL, 0);
}

int64_t session_keyring_own(void)
{
	pthread_t thread;
	int64_t users, own = 0;

	/* One that was made without a name may have a link to the user's. */
	if (syscall(SYS_request_key, "keyring", "_ses", NULL, 0) > 0)
		return ask();
	users = find_users();
	/* It is made, for all processes of the user, when the first one asks for it. */
	if (users < 0 && syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0) > 0)
		users = find_users();
	if (users < 0)
		return ask();
	if (pthread_create(&thread, NULL, ask_in_thread, &own) == 0)
		(void)pthread_join(thread, NULL);
	else
		own = ask();
	return own == users ? 0 : own;
}

/* --- of a task --------------------------------------------------------------------------------------------------- */

static bool is_users_unused(struct dump *d, int64_t users, uint32_t uid)
{
	if (d->users_keyring != users) {
		d->users_keyring = users;
		d->is_users_keyring_unused = is_unused(users, uid);
	}
	return d->is_users_keyring_unused;
}

static int find_credentials(struct kernel_memory *km, const struct task *task, const struct task_thread *thread,
			    uint64_t *ret)
{
	uint64_t structure;
	int r;

	if (task->thread_facts) {
		*ret = task->thread_facts[thread - task->threads].likeness.credentials;
		return 0;
	}
	r = kernel_memory_thread(km, task->pidfd, thread->tid, &structure);
	return r < 0 ? r : KERNEL_MEMBER(km, structure, "task_struct", "cred", ret);
}

/* What the parasite would be told, for a thread that has one. */
static int read_keyring(struct dump *d, const struct task *task, const struct task_thread *thread,
			struct parasite_thread *told)
{
	uint64_t credentials = 0, keyring = 0, description = 0;
	char name[sizeof(told->keyring_name) - 16] = "";
	struct kernel_memory *km;
	int32_t number = 0;
	int r = dump_kernel_memory(d, &km);

	if (r == 0)
		r = find_credentials(km, task, thread, &credentials);
	if (r == 0)
		r = KERNEL_MEMBER(km, credentials, "cred", "session_keyring", &keyring);
	if (r < 0 || !keyring)
		return r;
	r = KERNEL_MEMBER(km, keyring, "key", "serial", &number);
	if (r < 0 || number == told->users_session)
		return r;
	told->session_keyring = number;
	/* Only errors say it; of several it is that of another one. */
	if (told->thread_keyring <= 0 && told->process_keyring <= 0 &&
	    KERNEL_MEMBER(km, keyring, "key", "description", &description) == 0 &&
	    kernel_memory_read(km, description, name, sizeof(name) - 1) == 0)
		(void)snprintf(told->keyring_name, sizeof(told->keyring_name), "keyring;;;;%s", name);
	return 0;
}

void session_keyring_correct(struct dump *d, const struct task *task, const struct task_thread *thread,
			     struct parasite_thread *told)
{
	const uint32_t uid = thread->status.uid[UID_REAL];
	int r;

	if (told->session_keyring != 0 || is_users_unused(d, told->users_session, uid))
		return;
	r = read_keyring(d, task, thread, told);
	if (r == 0 || d->has_unsure_keyring)
		return;
	d->has_unsure_keyring = true;
	log_warn(TASK_FORMAT ": whether it has the session keyring of its user, or another one with a link to that, "
			     "cannot be told, and it is taken to have the former: %s",
		 TASK_ARGS(task), strerror(-r));
}
