/*
 * The last thing a process does that waits for the end of its vfork: it makes its child, in its own memory, when the
 * worker traces it, and then stands in that call. The child sets what it has for itself, and lowers limits of its
 * parent that would have been in its way.
 *
 * What it has open and its parent has not cannot be opened here, and must not be open in its parent: the worker has it,
 * and sends it.
 */
#include "pie/restorer-vfork.h"

#include <linux/fcntl.h>
#include <linux/sched.h>

#include "pie/restorer-clone.h"
#include "pie/restorer-files.h"
#include "pie/restorer-process.h"
#include "pie/restorer-report.h"
#include "pie/restorer-seccomp.h"
#include "pie/restorer-signals.h"
#include "pie/restorer-thread.h"
#include "pie/restorer-timers.h"

/* A number is free a little later than its last holder is gone. */
#define CREATION_ATTEMPTS 2000

#define SOCKETS_UNIX   1
#define SOCKET_PACKETS (5 | 02000000) /* SOCK_SEQPACKET | SOCK_CLOEXEC */
#define LEVEL_SOCKET   1
#define SEND_RIGHTS    1
#define CLOSE_ON_EXEC  0x40000000 /* MSG_CMSG_CLOEXEC */

/* Laid out as struct msghdr, and as struct cmsghdr with one descriptor. */
struct message_record {
	uint64_t name, name_bytes;
	const struct restorer_iovec *iov;
	uint64_t iov_count;
	void *control;
	uint64_t control_bytes;
	uint64_t flags;
};

struct rights_record {
	uint64_t bytes;
	int32_t level, type;
	int32_t fd, padding;
};

/* Out of the way of all numbers that are to be something else. */
static int32_t make_socket(struct restorer_task *child)
{
	int32_t ends[2], moved[2];

	enter(child, STEP_SOCKET);
	check(child, SYS4(__NR_socketpair, SOCKETS_UNIX, SOCKET_PACKETS, 0, ends), 0);
	for (int i = 0; i < 2; i++) {
		const long fd = SYS3(__NR_fcntl, ends[i], F_DUPFD_CLOEXEC, child->spare_fd_base);

		check(child, fd, 0);
		(void)SYS1(__NR_close, ends[i]);
		moved[i] = (int32_t)fd;
	}
	child->slot->lend_socket = moved[1];
	__atomic_store_n(&child->slot->lend_state, LEND_WANTED, __ATOMIC_RELEASE);
	report_progress(child->shared);
	return moved[0];
}

static int32_t receive(struct restorer_task *child, int32_t socket, uint64_t detail)
{
	struct rights_record rights = { .fd = -1 };
	char byte;
	const struct restorer_iovec iov = { (uint64_t)&byte, 1 };
	struct message_record message = {
		.iov = &iov, .iov_count = 1, .control = &rights, .control_bytes = sizeof(rights)
	};
	const long r = SYS3(__NR_recvmsg, socket, &message, CLOSE_ON_EXEC);

	check(child, r, detail);
	if (r != 1 || rights.level != LEVEL_SOCKET || rights.type != SEND_RIGHTS || rights.fd < 0)
		fail(child, -ERROR_IO, detail, 0);
	return rights.fd;
}

static void put_in_place(struct restorer_task *child, int32_t fd, const struct restorer_take *take)
{
	if (fd == take->fd) {
		check(child, SYS3(__NR_fcntl, fd, F_SETFD, take->fd_flags ? FD_CLOEXEC : 0), (uint64_t)take->fd);
		return;
	}
	check(child, SYS3(__NR_dup3, fd, take->fd, take->fd_flags), (uint64_t)take->fd);
	(void)SYS1(__NR_close, fd);
}

static int is_sent_anything(const struct restorer_task *child)
{
	for (uint64_t i = 0; i < child->take_count; i++)
		if (child->takes[i].from >= 0)
			return 1;
	return child->directory >= 0;
}

static void take_files(struct restorer_task *child)
{
	const int32_t socket = is_sent_anything(child) ? make_socket(child) : -1;

	enter(child, STEP_TAKE);
	for (uint64_t i = 0; i < child->take_count; i++) {
		const struct restorer_take *take = &child->takes[i];

		put_in_place(child, take->from < 0 ? take->fd : receive(child, socket, (uint64_t)take->fd), take);
	}
	enter(child, STEP_DIRECTORY);
	if (child->directory >= 0)
		check(child, SYS1(__NR_fchdir, receive(child, socket, 0)), 0);
	(void)SYS1(__NR_umask, child->umask);
	close_files(child);
}

static void take_place(struct restorer_task *child)
{
	enter(child, STEP_GROUP);
	if (child->makes_session)
		check(child, SYS0(__NR_setsid), 0);
	else if (child->makes_group)
		check(child, SYS2(__NR_setpgid, 0, 0), 0);
}

/* Credentials and memory are its parent's. */
__attribute__((used)) static _Noreturn void vforked_main(struct restorer_task *child)
{
	__atomic_store_n(&child->slot->state, SLOT_ALIVE, __ATOMIC_RELEASE);
	take_files(child);
	take_place(child);
	set_limits(child->vfork_parent, child->vfork_parent->pid);
	set_sigactions(child);
	set_subreaper(child);
	set_name(&child->threads[0]);
	create_timers(child);
	queue_shared_signals(child);
	set_up_thread(&child->threads[0]);
	arm_timers(child);
	set_limits(child, 0);
	enter(child, STEP_READY);
	sleep_until_taken(&child->threads[0]);
}

/* The slot says what may exist before it exists, as in engine/restore-fork.c. */
static long make_child(struct restorer_task *child)
{
	const struct clone_record record = {
		.flags = CLONE_VM | CLONE_VFORK,
		.exit_signal = (uint64_t)child->exit_signal,
		.stack = child->threads[0].stack_top - RESTORER_LEADER_STACK_BYTES,
		.stack_bytes = RESTORER_LEADER_STACK_BYTES,
		.set_tid = (uint64_t)&child->pid,
		.set_tid_count = 1,
	};
	const int64_t pause[2] = { 0, 1000000 };
	long r;

	child->slot->pid = child->pid;
	for (int attempt = 1;; attempt++) {
		__atomic_store_n(&child->slot->state, SLOT_FORKING, __ATOMIC_RELEASE);
		r = CLONE_INTO(&record, vforked_main, child);
		if (r >= 0)
			return r;
		__atomic_store_n(&child->slot->state, SLOT_NONE, __ATOMIC_RELEASE);
		if (r != -ERROR_EXIST || attempt == CREATION_ATTEMPTS)
			return r;
		(void)SYS2(__NR_nanosleep, pause, 0);
	}
}

int is_to_wait_in_vfork(const struct restorer_thread *thread)
{
	return thread->task->vfork_child && thread == &thread->task->threads[thread->task->vfork_thread];
}

_Noreturn void wait_in_vfork(struct restorer_thread *thread)
{
	struct restorer_task *task = thread->task;
	struct restorer_shared *shared = task->shared;
	long r;

	if (__atomic_sub_fetch(&shared->preparing, 1, __ATOMIC_ACQ_REL) == 0)
		report_progress(shared);
	wait_while(&task->vfork_go, 0);
	load_registers(thread);
	r = make_child(task->vfork_child);
	if (r < 0) {
		enter(task, STEP_CREATE);
		fail(task, r, task->vfork_child->slot_index, 0);
	}
	for (;;)
		(void)SYS4(__NR_futex, &shared->hold, FUTEX_WAIT, 0, 0);
}
