/*
 * A restore: everything one run knows. Stages, in order (engine/restore.c):
 *
 *	open      the whole set is read and checked; pids are free, files are there; nothing is created yet
 *	fork      clone3 with set_tid builds the tree, helpers for dead leaders
 *	files     descriptors
 *	memory    the restorer blob unmaps what is ours and builds the task's mappings in place
 *	switch    what only the task itself can set
 *	resume    registers from outside, all together; until here any failure kills the whole new tree
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "engine/options.h"
#include "image/image-check.h"
#include "mm/vdso.h"

struct mapped_file;
struct own_creds;
struct own_limits;
struct restore_area;
struct restore_file;
struct restore_shared;
struct restorer_task;
struct session_keyring;
struct session_keyrings;
struct undo;

struct restore_task {
	const struct checked_task *image; /* NULL for a helper */
	pid_t pid, pgid, sid;
	struct restore_task *parent; /* in the restored tree; NULL for the root */
	size_t parent_thread;        /* of this one's threads the one that is to have it as a child */
	struct restore_task **children;
	size_t child_count;
	size_t index; /* in restore->tasks, and its slot in the shared area */
	bool is_helper, is_zombie;
	bool has_continued;     /* was stopped, and its parent has not collected yet that it goes on */
	int exit_signal;        /* what its parent gets at its end; kept here because a creator looks at all */
	bool owns_shared_files; /* opens descriptions that others inherit */
	struct restore_task *files_owner; /* whose descriptor table it uses (CLONE_FILES), itself in most cases */

	/*
	 * How it comes into being (engine/tree-plan.h). The creator calls clone3: mostly the parent, but a sibling or a
	 * helper where only that gives the right session. Descriptors are inherited from the creator, so what is shared
	 * by inheritance belongs to the lowest common ancestor in the tree of creators.
	 */
	struct restore_task *creator;  /* NULL for the root */
	struct restore_task **created; /* in the order of their creation; those before setsid come first */
	size_t created_count;
	bool is_listed;             /* among those */
	struct restore_task *older; /* the sibling it comes behind, see engine/birth-order.h; NULL: no matter */
	bool may_lose_place;        /* among its siblings */
	bool as_sibling;            /* by CLONE_PARENT */
	bool before_setsid;         /* of the creator */
	bool make_session, make_group;
	bool join_group;                    /* pgid is a group that someone else makes, */
	struct restore_task *group_leader;  /* this one; NULL: the caller's */
	struct restore_task *orphan_target; /* of a go-between: who is to get its child */
	bool go_between;          /* a helper that exits once it has created: its children go to a subreaper */
	bool subreaper_meanwhile; /* takes in children of go-betweens */
	uint32_t passing_orphans; /* so many go further up before it is a subreaper */
	bool is_waited_for;       /* someone joins its group */
	/*
	 * Created by the restorer of its parent, which waits for the end of its vfork, when all others are ready: see
	 * engine/restore-vfork.h.
	 */
	struct restore_task *vfork_parent, *vfork_child;
	int *lent; /* in the worker: descriptors that such a child is going to get */
	size_t lent_count;
	/* Whether it sets the login uid: see task/restore-loginuid.h. */
	enum { LOGINUID_INHERITED, LOGINUID_EARLY, LOGINUID_LATE } sets_loginuid;
	/*
	 * Session keyrings it has in turn (security/restore-keyring.h): that in which it is born, that of its first
	 * steps, that which it keeps; NULL: no matter.
	 */
	const KeyringEntry *keyring_entry; /* at dump, where there is no image */
	const struct session_keyring *birth_keyring, *first_keyring, *keyring;
	bool is_heir;           /* created by the restorer of its creator, see engine/restore-heirs.c */
	bool has_younger_other; /* a child that is none */

	struct restorer_task *restorer; /* in the shared area; NULL for helpers and zombies */
	struct mapped_file *mapped;     /* mm/: what restorer->files stand for */
};

struct restore {
	const struct options *opts;
	struct image_set *set;
	struct checked_set *images;
	struct undo *undo;
	struct restore_task **tasks; /* parents before children; [0] is the root; helpers behind all others */
	size_t task_count;
	size_t helper_count;         /* the last so many of them */
	struct restore_file **files; /* sorted by id */
	size_t file_count;
	int service_fd_base;               /* descriptors of ours live from here on, */
	int service_fd_end;                /* to before this number: see engine/service-fds.h */
	struct restore_shared *shared;     /* mapped MAP_SHARED by all processes of the restore */
	struct restore_area *area;         /* what shared lies in */
	void *shared_memory;               /* mm/: objects by shmid */
	struct vdso_image vdso;            /* of this kernel */
	const struct own_creds *own_creds; /* what new processes inherit */
	const struct own_limits *own_limits;
	struct session_keyrings *keyrings;             /* NULL where nobody needs one */
	const struct session_keyring *current_keyring; /* in each process: the one that it has now */
	bool files_need_all;           /* some file can only be finished when all processes have theirs */
	pid_t caller_sid, caller_pgid; /* session and group of who restores: with --shell-job the root stays in them */
	pid_t ended_session; /* without it: that of the root, where its leader has ended: born into it; else 0 */
	bool caller_leads_session;
	bool sets_slacks;   /* see task/timer-slack.h */
	bool needs_time_ns; /* see ns/time-ns.h */
	int log_fd;         /* the log, out of the way of restored descriptors */
	int log_dirfd;      /* likewise, with --log-pid: where each process opens a log of its own; else -1 */
	uint64_t start_us;
	uint64_t pages_restored;
};

/* With a plan of the tree: all tasks, creators before those whom they create, in an array to free; NULL: no memory. */
struct restore_task **restore_order(const struct restore *r);
