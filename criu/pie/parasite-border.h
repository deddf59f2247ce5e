/*
 * What crosses the border between the dump engine and the parasite: included by both sides, fixed-width
 * members only, sizes asserted. Addresses are the target's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BORDER_VERSION 2

/* --- parasite: asks the task what only the task can tell; changes nothing in it ----------------------------------- */

#define PARASITE_SIGNALS         64
#define PARASITE_STACK_BYTES     2048
#define PARASITE_MAX_SPECULATION 4

struct parasite_sigaction {
	uint64_t handler, flags, restorer, mask; /* the kernel's struct sigaction */
};

#define PARASITE_LIMITS     16
#define PARASITE_AUXV_WORDS 64
#define PARASITE_LDT_BYTES  65536

struct parasite_limit {
	uint64_t current, maximum;
};

struct parasite_itimer {
	uint64_t interval_sec, interval_usec, value_sec, value_usec;
};

struct parasite_posix_timer {
	int32_t id;                                                 /* in */
	int32_t overrun;                                            /* out: timer_getoverrun, or -errno */
	int64_t interval_sec, interval_nsec, value_sec, value_nsec; /* out: timer_gettime */
};

/* What a thread tells of itself. Every result may be -errno of its own call. */
#define PARASITE_KEYRING_BYTES 64

struct parasite_thread {
	uint32_t done;        /* futex-sized word: set to 1 last, then the thread sleeps */
	int32_t is_leader;    /* in */
	uint64_t task;        /* in: address of struct parasite_task */
	int32_t probe_pid;    /* in: a process that a task with these credentials may look at, unless it is confined */
	int32_t probe_result; /* out: 0 or -errno of comparing it with ourselves */
	char user_session[PARASITE_KEYRING_BYTES]; /* in: the name of the session keyring that every task of the user
						      has */
	int64_t thread_keyring, process_keyring;   /* their numbers, -ENOKEY when there is none */
	int64_t session_keyring;                   /* 0: the user's */
	int64_t users_session;                     /* the number of that, where it was found */
	int64_t request_keyring;                   /* KEYCTL_SET_REQKEY_KEYRING: where request_key(2) puts keys */
	char keyring_name[PARASITE_KEYRING_BYTES]; /* what KEYCTL_DESCRIBE says of the first that is not the default */
	uint64_t clear_tid_address;
	int64_t clear_tid_result;
	uint64_t sas_address, sas_bytes;
	uint32_t sas_flags;
	int32_t pdeath_signal;
	int64_t asks_port_level; /* in: it may not raise the level of iopl(2) */
	int64_t port_level;      /* -errno: it has none */
	int64_t tsc_mode;        /* PR_GET_TSC */
	int64_t cpuid;           /* ARCH_GET_CPUID: 0 when it faults */
	int64_t personality, securebits, io_flusher, mce_kill, no_new_privs, timer_slack_ns;
	int64_t speculation[PARASITE_MAX_SPECULATION]; /* PR_GET_SPECULATION_CTRL of 0, 1, 2, 3 */
	int64_t mempolicy_result;
	int32_t mempolicy_mode;
	uint32_t ring_numbers;        /* bit N: N stands for an io_uring (IORING_REGISTER_RING_FDS) */
	uint64_t mempolicy_nodes[16]; /* 1024 nodes */
};

/* A mapping, and its own NUMA policy (mbind). */
struct parasite_mapping {
	uint64_t start; /* in; 0: it has none, nothing is asked */
	int64_t policy; /* MPOL_ mode with flags, 0: none; or -errno */
	uint64_t nodes; /* bit N: node N */
};

/* What the leader tells of the process; arrays follow behind the struct in the data area. */
struct parasite_task {
	uint32_t version;
	uint32_t posix_timer_count; /* in */
	uint32_t fd_count;          /* in */
	uint32_t child_count;       /* in */
	uint64_t posix_timers;      /* in: address of struct parasite_posix_timer[] */
	uint64_t fds;               /* in: address of int32_t[fd_count]: numbers in, F_GETFD results (or -errno) out */
	uint64_t mappings;          /* in: address of struct parasite_mapping[mapping_count] */
	uint32_t mapping_count;
	uint32_t asks_keys; /* in: this kernel has protection keys, and nobody has told which are allocated */
	uint64_t children;  /* in: address of int32_t[child_count]: pids in; out: 1 when it was stopped, goes on, and
			       wait() would tell that, else 0 */
	struct parasite_sigaction sigactions[PARASITE_SIGNALS]; /* [n - 1] */
	struct parasite_limit limits[PARASITE_LIMITS];          /* by RLIMIT_ number */
	struct parasite_itimer itimers[3];                      /* ITIMER_REAL, _VIRTUAL, _PROF */
	uint64_t pending; /* rt_sigpending() of the leader when the timers were what is told here */
	int64_t dumpable, thp_disabled, child_subreaper, membarrier, mdwe, ksm;
	int64_t futex_hash;  /* PR_FUTEX_HASH: buckets of its own; -errno: the kernel has none */
	int64_t locked_here; /* -EINVAL: this memory of ours is locked, as all that is mapped now; engine: MCL_ flags */
	int64_t personality;
	uint64_t brk;
	uint64_t untag_mask;       /* ARCH_GET_UNTAG_MASK: address bits that count; 0: not known */
	uint64_t state_components; /* ARCH_GET_XCOMP_PERM: what it may use of the processor's state; 0: not known */
	uint64_t ldt;              /* in: address of PARASITE_LDT_BYTES, 0: no room */
	int64_t ldt_bytes;         /* what modify_ldt() has read, 0 when there are no descriptors */
	int64_t auxv_bytes;        /* of auxv; -errno where the kernel has no PR_GET_AUXV (before 6.4) */
	uint64_t auxv[PARASITE_AUXV_WORDS];
	uint64_t keys; /* bit N: protection key N is allocated, and not taken by the kernel */
};

_Static_assert(sizeof(struct parasite_sigaction) == 32, "border");
_Static_assert(sizeof(struct parasite_posix_timer) == 40, "border");
_Static_assert(offsetof(struct parasite_task, sigactions) == 56, "border");
