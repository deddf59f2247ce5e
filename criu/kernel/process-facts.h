/*
 * What a BPF iterator tells of every process in our pid namespace at once: the values that else only code inside of it
 * could ask for, and all that its other answers hang on in one piece, which is equal where two processes would answer
 * alike. Reads the kernel's structures where its type information says they are; what is read of ourselves must be what
 * the kernel tells us.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

#define PROCESS_SIGNALS        64
#define PROCESS_LIMITS         16
#define PROCESS_SECURITY_BYTES 64 /* of what security modules keep with credentials */

/*
 * Two processes of one thread each with the same contents get the same answers to everything that struct process_facts
 * does not tell and /proc does not show. Addresses are the kernel's: of equal objects, not of alike ones.
 */
struct process_likeness {
	uint32_t ids[8];
	uint64_t capabilities[5];
	uint64_t session_keyring, process_keyring, thread_keyring, request_key;
	uint64_t user_ns, namespaces;
	uint8_t security[PROCESS_SECURITY_BYTES]; /* zeros where no module keeps anything */
	uint64_t mm_flags, mm_default_flags, context, ldt, untag_mask, futex_hash;
	uint64_t state_components;        /* what it may use of the processor's state */
	uint64_t switches;                /* of prctl(2): no_new_privs, speculation */
	uint64_t port_level, port_bitmap; /* of iopl(2); of ioperm(2) */
	uint64_t arch_switches;           /* TSC and CPUID faults, beside what comes and goes */
	uint32_t securebits, membarrier, flags, personality;
	uint32_t jit_keyring, subreaper;
	uint32_t allocated_keys, execute_only_key; /* protection keys */
};

struct process_cpu_timer {
	uint64_t expires, interval;
};

struct process_values {
	struct process_likeness likeness;
	uint64_t pid;
	uint64_t clear_tid, timer_slack_ns, sas_address, sas_bytes;
	uint32_t sas_flags, pdeath_signal;
	uint64_t heap_end;
	uint64_t io_uring, numa_policy;          /* 0: it has used none, it has none */
	struct process_cpu_timer cpu_timers[2];  /* ITIMER_PROF, ITIMER_VIRTUAL; zeros: not set */
	uint64_t real_interval, real_is_running; /* ITIMER_REAL */
	uint64_t pending, shared_pending;        /* signals, read behind the timers; bit 0 is signal 1 */
	uint64_t close_on_exec;                  /* bit N: descriptor N, of the first 64 */
};

struct process_action {
	uint64_t handler, flags, restorer, mask; /* the kernel's struct sigaction */
};

struct process_limit {
	uint64_t current, maximum;
};

/* Of one process; points into the list. */
struct process_facts {
	const struct process_values *values;
	const struct process_limit *limits;   /* [PROCESS_LIMITS] */
	const struct process_action *actions; /* [PROCESS_SIGNALS], signal 1 first */
	const uint64_t *auxv;
	size_t auxv_bytes;
};

struct process_fact_list {
	struct buffer records;
	size_t record_bytes, count;
};

/* A descriptor of the program, or -errno: there is always another way. */
int process_facts_open(void);

int process_facts_read(int program_fd, struct process_fact_list *ret);
void process_facts_done(struct process_fact_list *list);

/* False: nothing is known of it. */
bool process_facts_find(const struct process_fact_list *list, pid_t pid, struct process_facts *ret);
