/*
 * What crosses the border between the restore engine and the restorer blob: included by both sides. Everything here
 * lives in the restore area: one shared mapping that the worker, the rescuer and all processes of the new tree have at
 * the same address, in a hole of every address space that is restored. Pointers therefore mean the same on both sides.
 *
 * The restorer runs once per process, on a stack in the area. It unmaps all else, builds the mappings in place, sets
 * what only the task itself can set, starts the threads, loads the extended registers and sleeps; those it runs with
 * are set from outside.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RESTORER_SIGNALS            64
#define RESTORER_SIGINFO_BYTES      128
#define RESTORER_LIMITS             16
#define RESTORER_TLS_SLOTS          3
#define RESTORER_USER_DESC_BYTES    16
#define RESTORER_LEADER_STACK_BYTES 8192
#define RESTORER_THREAD_STACK_BYTES 4096
#define RESTORER_OWN_FLAGS          0x200000ull /* ID: ptrace does not set it */
#define RESTORER_LEGACY_XSTATE      512         /* bytes of extended state on a processor without XSAVE */
#define RESTORER_IOV_LIMIT          1024        /* UIO_MAXIOV */
#define RESTORER_NAME_BYTES         64          /* of a file in the image directory */

/* How far a process has come; what a failure happened in. Names for sentences are in engine/restore-failure.c. */
enum restorer_step {
	STEP_BEFORE, /* still in the engine's own code */
	STEP_UNMAP,
	STEP_CREATE,
	STEP_SOCKET,
	STEP_TAKE,
	STEP_DIRECTORY,
	STEP_GROUP,
	STEP_OPEN_PAGES,
	STEP_VDSO,
	STEP_KEYS,
	STEP_MAP,
	STEP_RING_GAP,
	STEP_RING_MAP,
	STEP_AIO_SETUP,
	STEP_AIO_MOVE,
	STEP_AIO_FILL,
	STEP_USERFAULTFD,
	STEP_READ_PAGES,
	STEP_PROTECT,
	STEP_MADVISE,
	STEP_MBIND,
	STEP_GUARD,
	STEP_LOCK,
	STEP_LOCK_FUTURE,
	STEP_RING_BUFFERS,
	STEP_MM_MAP,
	STEP_FILE_LOCK,
	STEP_THREAD_FILE,
	STEP_WATCH,
	STEP_SEAL,
	STEP_MDWE,
	STEP_PERSONALITY,
	STEP_SIGACTION,
	STEP_THREAD,
	STEP_ROBUST_LIST,
	STEP_SIGALTSTACK,
	STEP_COMM,
	STEP_TIMER_SLACK,
	STEP_IO_FLUSHER,
	STEP_MCE_KILL,
	STEP_MEMPOLICY,
	STEP_IOPL,
	STEP_REQUEST_KEYRING,
	STEP_FUTEX_HASH,
	STEP_TSC,
	STEP_CPUID,
	STEP_SPECULATION,
	STEP_PENDING_SIGNAL,
	STEP_CAPABILITIES,
	STEP_BOUNDING_SET,
	STEP_AMBIENT_SET,
	STEP_GROUPS,
	STEP_GROUP_IDS,
	STEP_USER_IDS,
	STEP_SECUREBITS,
	STEP_NO_NEW_PRIVS,
	STEP_SECCOMP,
	STEP_PDEATH_SIGNAL,
	STEP_RSEQ,
	STEP_RING_NUMBER,
	STEP_DUMPABLE,
	STEP_THP,
	STEP_KSM,
	STEP_SUBREAPER,
	STEP_MEMBARRIER,
	STEP_LDT,
	STEP_COMPONENT,
	STEP_POSIX_TIMER,
	STEP_ITIMER,
	STEP_RLIMIT,
	STEP_READY,
	STEP_COUNT
};

enum restorer_slot_state {
	SLOT_NONE,
	SLOT_FORKING, /* clone3 is about to be called: there may be such a process, and it may be ours */
	SLOT_ALIVE,   /* said by the process itself */
	SLOT_ENDED,   /* about to exit by plan: a zombie or a helper */
};

/* One per process of the plan, helpers included. */
struct restorer_slot {
	int32_t pid;
	uint32_t state;      /* enum restorer_slot_state; futex */
	uint32_t group_made; /* futex: its process group exists */
	uint32_t step;       /* enum restorer_step of the leader */
	int32_t error;       /* of the failure: -errno, */
	uint32_t error_step; /* in which step, */
	int32_t error_tid;   /* of which thread, */
	uint32_t reserved;
	uint64_t detail[2]; /* and about what (an address, a number) */

	/* filling large memory from outside */
	uint32_t fill_state; /* enum restorer_fill; futex */
	int32_t fill_uffd;

	/* handing over, see engine/hand-over.h */
	uint32_t stub_poked; /* a stub may stand at restorer_task.stub_addr */
	uint32_t stop_sent;
	uint32_t table_ready; /* futex: the descriptor table is complete */

	/* for a subreaper meanwhile, see engine/tree-plan.h */
	uint32_t orphans_passing; /* that go to one further up, */
	uint32_t orphans_passed;  /* futex: 1 when there is none */
	uint32_t takes_orphans;   /* futex: it is one now */

	/* of the child of a vfork: its files, on their way from its parent */
	uint32_t lend_state; /* enum restorer_lending; futex */
	int32_t lend_socket; /* its own descriptor of the socket they are to be sent to */

	uint32_t has_continued; /* futex: it was stopped for a moment, and goes on */
	uint32_t is_orphaned;   /* futex: its creator, a go-between, is gone */
};

enum restorer_fill {
	FILL_NONE,
	FILL_WANTED, /* the userfaultfd is ready, the task sleeps */
	FILL_DONE,
	FILL_FAILED, /* the task is to read its pages itself */
};

enum restorer_lending {
	LEND_NONE,
	LEND_OFFERED, /* open in its parent, which waits until they are taken */
	LEND_TAKEN,
	LEND_WANTED, /* it has a socket for them */
	LEND_SENT,
};

/* Words that all processes of a restore share. */
struct restorer_shared {
	uint32_t progress;    /* futex: the worker sleeps on it */
	uint32_t failed;      /* 1 + number of the slot that failed first */
	uint32_t error_ready; /* its reason is complete */
	uint32_t forking;     /* processes that are not done with forking, */
	uint32_t forked;      /* futex: 1 when there is none */
	uint32_t installing;  /* processes whose descriptor tables are not complete, */
	uint32_t installed;   /* futex: 1 when there is none */
	uint32_t preparing;   /* threads that are not ready */
	uint32_t hold;        /* futex that nobody wakes: ready threads sleep on it */
	uint32_t filtering;   /* threads that have not come to their seccomp filters */
	uint32_t seccomp_go;  /* futex: 1 when they are traced and may install them */
	uint32_t tracer_ends; /* threads are let go by the end of the one that traces them */
	uint32_t reserved;
	struct restorer_slot *slots;
};

/* --- memory ------------------------------------------------------------------------------------------------------ */

#define RESTORER_VMA_LOCK          0x1u
#define RESTORER_VMA_SEAL          0x2u
#define RESTORER_VMA_FILL          0x4u  /* contents come through the userfaultfd */
#define RESTORER_VMA_LOCK_ON_FAULT 0x10u /* with LOCK: pages as they come */
#define RESTORER_VMA_LOCK_QUIET    0x8u  /* pages that cannot be faulted in are no failure */
#define RESTORER_VMA_AIO           0x20u /* the ring of the next element of aios */
#define RESTORER_VMA_RING          0x40u /* of an io_uring */
#define RESTORER_VMA_HOME_NODE     0x80u

struct restorer_vma {
	uint64_t start, end, offset;
	uint64_t advice; /* bit N: madvise number N */
	int32_t file;    /* index into files, -1: anonymous */
	uint32_t map_flags;
	uint32_t map_prot; /* with PROT_WRITE while contents are put in */
	uint32_t prot;
	uint32_t flags;       /* RESTORER_VMA_xx */
	uint32_t policy_mode; /* of NUMA, 0: none */
	uint64_t policy_nodes;
	uint64_t home_node;
	uint64_t key; /* protection key */
};

/* An AIO context. */
struct restorer_aio {
	uint64_t start, bytes; /* of its ring, and what io_setup() is asked for */
	uint32_t requests, slots;
	uint32_t head, tail;
	uint32_t id; /* the kernel's own number, which stands in the ring */
	uint32_t reserved;
};

struct restorer_range {
	uint64_t start, end;
};

/* Descriptors, the last one included. */
struct restorer_closing {
	uint32_t first, last;
};

/* Laid out as struct flock; the descriptor stands in its padding. */
struct restorer_file_lock {
	int16_t type, whence;
	int32_t padding;
	int64_t start, length;
	int32_t pid, fd;
};

/* A descriptor of the task that stands for one of its threads, in place of what keeps its number. */
struct restorer_thread_file {
	uint64_t path; /* 0: a pidfd */
	int32_t tid;
	uint32_t flags;
	int32_t fd;
	uint32_t fd_flags; /* O_CLOEXEC or 0 */
	int32_t same_as;   /* the descriptor of which it is a copy, -1: none */
	int32_t reserved;
};

/* A descriptor of the child of a vfork: its parent has the same, or the worker sends it. */
struct restorer_take {
	int32_t fd;
	int32_t from;      /* where its parent has it open when the worker takes it; -1: it has the same */
	uint32_t fd_flags; /* O_CLOEXEC or 0 */
	uint32_t reserved;
};

/* What an epoll watches. */
struct restorer_watch {
	int32_t epoll, fd;
	uint32_t events, reserved;
	uint64_t data;
};

/* Laid out as struct iovec. */
struct restorer_iovec {
	uint64_t base, bytes;
};

/* A thread's own number for an io_uring: begins as struct io_uring_rsrc_update. */
struct restorer_ring_number {
	uint32_t number, reserved;
	uint64_t fd;
	struct restorer_ring_number *next;
};

/* The buffers of an io_uring. */
struct restorer_buffers {
	int32_t fd;
	uint32_t count;
	struct restorer_iovec *iov;
	uint64_t *tags;
};

/* One stretch of a pages file, spread over iovecs. */
struct restorer_read {
	struct restorer_iovec *iov;
	uint64_t iov_count;
	uint64_t offset;
	int32_t file; /* index into files */
	uint32_t reserved;
};

/* The kernel's struct prctl_mm_map. */
struct restorer_mm_map {
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end;
	uint64_t *auxv;
	uint32_t auxv_bytes;
	int32_t exe_fd;
};

/* How the new task gets its vdso. */
enum restorer_vdso {
	VDSO_NONE,  /* the image has none */
	VDSO_SAME,  /* the kernel's, at the address it had */
	VDSO_DATA,  /* the kernel's data at the address they had, without code */
	VDSO_PROXY, /* the old one is ordinary memory whose functions jump into the kernel's, which is somewhere else */
};

/* A function of the old vdso that becomes a jump. */
struct restorer_jump {
	uint64_t from, to;
};

/* --- the process ------------------------------------------------------------------------------------------------- */

/* The kernel's struct sigaction. */
struct restorer_sigaction {
	uint64_t handler, flags, restorer, mask;
};

struct restorer_itimer {
	int64_t interval_sec, interval_usec, value_sec, value_usec;
};

struct restorer_posix_timer {
	int32_t id, clock_id, signal, notify, notify_tid;
	uint32_t armed; /* by the restorer: its signal waits */
	uint64_t value; /* sigev_value */
	int64_t interval_sec, interval_nsec, value_sec, value_nsec;
	int64_t wall_ns; /* != 0: the time it expires, in place of what is left */
	int64_t missed;  /* expiries that its waiting signal stands for, beside the first one */
	int64_t overrun; /* what timer_getoverrun tells */
};

struct restorer_limit {
	uint64_t current, maximum;
};

struct restorer_siginfo {
	uint8_t bytes[RESTORER_SIGINFO_BYTES];
};

/* --- threads ----------------------------------------------------------------------------------------------------- */

/* Which calls are needed to come from the restorer's credentials to those of the image. */
#define RESTORER_CREDS_CAPS         0x01u
#define RESTORER_CREDS_BOUNDING     0x02u
#define RESTORER_CREDS_AMBIENT      0x04u
#define RESTORER_CREDS_GROUPS       0x08u
#define RESTORER_CREDS_IDS          0x10u
#define RESTORER_CREDS_SECUREBITS   0x20u
#define RESTORER_CREDS_NO_NEW_PRIVS 0x40u

struct restorer_creds {
	uint32_t needed; /* RESTORER_CREDS_xx */
	uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	uint32_t securebits;
	uint32_t *groups;
	uint64_t group_count;
	uint64_t cap_inh, cap_prm, cap_eff, cap_amb;
	uint64_t cap_drop;         /* bounding capabilities to give up */
	uint64_t own_prm, own_eff; /* what the restorer has */
};

struct restorer_filter {
	uint64_t instruction_count;
	void *instructions;
	uint64_t flags;
};

#define RESTORER_THREAD_SLACK      0x01u
#define RESTORER_THREAD_IO_FLUSHER 0x02u
#define RESTORER_THREAD_MCE_KILL   0x04u
#define RESTORER_THREAD_MEMPOLICY  0x08u
#define RESTORER_THREAD_NO_TSC     0x10u
#define RESTORER_THREAD_NO_CPUID   0x20u
#define RESTORER_THREAD_REQUEST    0x40u

/*
 * What a thread is to do that was started while its process is still in the engine's code, for it has children of its
 * own: it waits in the blob, and makes the calls that only itself can make.
 */
enum restorer_order {
	ORDER_ARRIVE,  /* in the blob */
	ORDER_CLONE,   /* clone3(2) with the record at [0]: the new process calls the function at [1] with [2] */
	ORDER_CALL,    /* the system call with the number [0], with the others as arguments */
	ORDER_DONE,    /* there is a result */
	ORDER_TAKE_UP, /* become the thread of the task */
};

struct restorer_thread {
	int32_t tid;
	uint32_t flags; /* RESTORER_THREAD_xx */
	uint64_t stack_top;
	struct restorer_task *task;
	uint64_t clear_tid;
	uint64_t robust_list, robust_list_bytes;
	uint64_t sas_address, sas_bytes;
	uint32_t sas_flags, has_sas;
	uint64_t rseq_address;
	uint32_t rseq_bytes, rseq_signature;
	uint64_t rseq_cs; /* written last, from outside; 0: none */
	char comm[16];
	uint32_t pdeath_signal;
	uint32_t mce_kill;
	uint64_t timer_slack_ns;
	uint64_t birth_slack_ns; /* with which its creator makes it, with RESTORER_THREAD_SLACK */
	uint64_t request_keyring;
	int32_t mempolicy_mode;
	uint32_t mempolicy_bits;
	uint64_t *mempolicy_nodes;
	uint32_t speculation_count;
	uint32_t has_tls;
	uint32_t (*speculation)[2];
	uint8_t tls[RESTORER_TLS_SLOTS][RESTORER_USER_DESC_BYTES];
	struct restorer_siginfo *pending;
	uint64_t pending_count;
	struct restorer_ring_number *ring_numbers; /* NULL: none */
	struct restorer_creds creds;
	uint32_t seccomp_mode;
	uint32_t filter_count;
	uint32_t is_filtered;            /* this thread or another one of its process has filters */
	uint32_t port_level;             /* of iopl(2) */
	struct restorer_filter *filters; /* oldest first */

	uint64_t call_number;  /* a call to go on with, 0: none */
	uint64_t call_ns;      /* what is left of its time, */
	int64_t call_time[2];  /* the same as a timespec */
	uint64_t call_address; /* of the code from which it is made */
	int64_t call_result;
	uint32_t call_made;    /* it has been made from outside, with that result */
	uint32_t restart_code; /* a call to be made again, unless the kernel finds a handler to run; 0: none */

	/* of one that is there early, see pie/restorer-early.h */
	uint32_t order; /* enum restorer_order; futex */
	uint32_t reserved_order;
	uint64_t order_arguments[4];
	int64_t order_result;

	uint64_t own_flags; /* bits of the flags register that only the thread itself can set */

	/* System calls it catches itself: laid out as the kernel's struct ptrace_sud_config, mode 0: none. */
	uint64_t user_dispatch[4];
	uint32_t user_dispatch_set;
	uint32_t reserved3;

	/* for those who hand over from outside */
	uint64_t signal_mask;
	uint64_t waiting_mask; /* of a stopped one: with which its call waits */
	uint32_t has_waiting_mask;
	uint32_t reserved5;
	uint64_t *debug_registers; /* NULL: none is armed */
	uint32_t key_rights;       /* of protection keys */
	uint32_t key_rights_set;   /* they are closed again for our memory */
	void *regs;                /* struct user_regs_struct */

	/* extended registers: an XSAVE area */
	void *xstate;
	uint64_t xstate_bytes;
	uint64_t xstate_components; /* what the thread itself loads of it */
	uint32_t xstate_outside;    /* all of it has to be set from outside */
	uint32_t reserved4;
};

/* --- all that one process is made of ----------------------------------------------------------------------------- */

struct restorer_task {
	struct restorer_shared *shared;
	struct restorer_slot *slot;
	uint32_t slot_index;
	int32_t pid;
	uint64_t area_start, area_bytes;

	uint32_t acting;          /* index of the thread that stands for the process: 1 when the first one ends, */
	int32_t leader_exit_code; /* so, */
	uint32_t leader_is_there; /* futex: 0 once it does */
	uint32_t reserved_leader;

	/*
	 * Processes that have nothing their creator has not: created by its restorer, once nothing else is mapped, so
	 * that there is nothing to copy. Of its own an heir opens its pages only.
	 */
	struct restorer_task **heirs;
	uint64_t heir_count;
	int32_t exit_signal;
	int32_t images_dirfd;
	int32_t pages_file; /* which of files is opened by name; -1: none */
	char pages_name[RESTORER_NAME_BYTES];

	/*
	 * Of one that waits in a vfork: its child, which begins when all of it is complete, in the memory they have in
	 * common.
	 */
	struct restorer_task *vfork_child;
	uint32_t vfork_go;     /* futex: the thread is traced, and may make the child */
	uint32_t vfork_thread; /* which of its threads waits */
	/* Of such a child: */
	struct restorer_task *vfork_parent;
	struct restorer_take *takes;
	uint64_t take_count;
	int32_t directory; /* to change to, like restorer_take.from: sent behind all others */
	uint32_t umask;
	uint32_t makes_session, makes_group;
	int32_t spare_fd_base; /* from here on no number is a task's */
	uint32_t reserved_child;

	int32_t *files; /* descriptors; of an heir that is not created yet: which of its creator's they are */
	uint64_t file_count;
	struct restorer_closing *closings; /* all that is not the task's */
	uint64_t closing_count;
	struct restorer_file_lock *file_locks; /* lost when a descriptor of the file is closed: taken again then */
	uint64_t file_lock_count;
	struct restorer_thread_file *thread_files;
	uint64_t thread_file_count;
	struct restorer_watch *watches; /* of some of these */
	uint64_t watch_count;
	uint32_t *table_users; /* who else uses the descriptor table: the last one closes */

	struct restorer_vma *vmas;
	uint64_t vma_count;
	struct restorer_aio *aios; /* in the order of vmas */
	uint64_t aio_count;
	struct restorer_range *gaps; /* all that nothing is in, where there are rings of io_urings */
	uint64_t gap_count, ring_count;
	struct restorer_buffers *buffers;
	uint64_t buffers_count;
	struct restorer_range *guards;
	uint64_t guard_count;
	struct restorer_read *reads;
	uint64_t read_count;
	struct restorer_read *large_reads; /* through a userfaultfd, if that works */
	uint64_t large_read_count;
	struct restorer_mm_map mm_map;
	int32_t exe; /* index into files */
	uint32_t personality;

	uint32_t vdso; /* enum restorer_vdso */
	uint32_t jump_count;
	uint64_t vdso_map_at;             /* where the kernel's vvar and vdso go */
	struct restorer_range vdso_unmap; /* of them is taken away again */
	struct restorer_jump *jumps;

	struct restorer_sigaction sigactions[RESTORER_SIGNALS]; /* [n - 1] */
	struct restorer_itimer itimers[3];
	struct restorer_posix_timer *posix_timers;
	uint64_t posix_timer_count;
	struct restorer_siginfo *pending;
	uint64_t pending_count;
	struct restorer_limit limits[RESTORER_LIMITS]; /* by RLIMIT_ number */
	uint32_t limits_to_set;                        /* bit N: number N */
	int32_t dumpable;                              /* -1: leave */
	int32_t thp_disable;                           /* -1: leave; else the argument, */
	uint32_t thp_flags;                            /* with these flags */
	int32_t ksm;                                   /* -1: leave */
	int32_t subreaper;                             /* -1: leave */
	uint32_t mdwe;                                 /* 0: none */
	uint32_t lock_future;                          /* MCL_ flags, 0: none */
	int64_t futex_hash;                            /* buckets of its own, -1: leave */
	uint64_t membarrier_commands;
	uint64_t requested_components; /* of the processor's state; bit N: component N */
	uint32_t sets_keys;        /* the keys below are to be allocated, and all rights of threads come from outside */
	uint32_t keys;             /* protection keys that are allocated: bit N: key N */
	uint32_t execute_only_key; /* that the kernel has taken; 0: none */
	uint32_t keys_to_free;     /* the restorer's own */
	uint8_t (*ldt)[RESTORER_USER_DESC_BYTES]; /* segment descriptors of its own */
	uint64_t ldt_count;
	uint32_t stop_signal;        /* the task is stopped by it in the end, 0: runs */
	uint32_t stop_is_pending;    /* it is stopped, and SIGSTOP was sent once more */
	int32_t last_timer;          /* an id: the next timer gets the one behind it; -1: whichever comes */
	uint32_t threads_left;       /* futex: threads without the leader that have not set their credentials */
	uint32_t timers_made;        /* futex */
	uint32_t timers_by_counting; /* the kernel's help with ids is not to be used */

	struct restorer_thread *threads; /* [0] is the leader */
	uint64_t thread_count;
	uint64_t early_count; /* so many behind the leader are there when the blob begins */

	uint64_t stub_addr;   /* where an injected system call can stand, in memory that stays */
	uint64_t call_code;   /* for calls from outside, in the blob */
	uint32_t stub_is_own; /* it is in the blob: nothing is written */
	uint32_t reserved;
};

_Static_assert(sizeof(void *) == 8, "border");
_Static_assert(sizeof(struct restorer_mm_map) == 104, "the kernel's layout");
_Static_assert(sizeof(struct restorer_sigaction) == 32, "the kernel's layout");
_Static_assert(sizeof(struct restorer_iovec) == 16, "the kernel's layout");
