/* Seccomp of a thread: its filters, and strict mode. */
#include "pie/restorer-seccomp.h"

#include <linux/prctl.h>

#include "pie/restorer-report.h"

#define CALL_SECCOMP         317
#define SECCOMP_MODE_STRICT_ 1
#define SECCOMP_FLAGS_KEPT   0x7ul /* TSYNC, LOG, SPEC_ALLOW */

/* Laid out as struct sock_fprog. */
struct filter_record {
	uint16_t count;
	uint16_t reserved[3];
	const void *instructions;
};

/*
 * Filters would stop the restorer's own calls. They are installed while the worker traces the thread with filters
 * suspended, and before rights are given up, for installing them needs rights or no_new_privs.
 */
void install_filters(struct restorer_thread *thread)
{
	struct restorer_shared *shared = thread->task->shared;

	if (!thread->is_filtered)
		return;
	if (__atomic_sub_fetch(&shared->filtering, 1, __ATOMIC_ACQ_REL) == 0)
		report_progress(shared);
	wait_while(&shared->seccomp_go, 0);
	for (uint32_t i = 0; i < thread->filter_count; i++) {
		const struct restorer_filter *filter = &thread->filters[i];
		const struct filter_record record = { .count = (uint16_t)filter->instruction_count,
						      .instructions = filter->instructions };

		check_thread(thread, STEP_SECCOMP, SYS3(CALL_SECCOMP, 1, filter->flags & SECCOMP_FLAGS_KEPT, &record),
			     i);
	}
}

void set_strict_mode(struct restorer_thread *thread)
{
	if (thread->seccomp_mode == SECCOMP_MODE_STRICT_)
		check_thread(thread, STEP_SECCOMP, SYS2(__NR_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT_), 0);
}
