/*
 * The restorer: runs in each process of the new tree on memory of the restore area, where the engine has laid down what
 * to do (restorer-border.h). It unmaps everything else, makes the mappings of the task in place and puts the contents
 * in, then sets what only the task itself can set, thread by thread, and sleeps until it is taken over from outside.
 * All signals are blocked while it runs.
 *
 * One short function per kind of state. A failure is a step, an errno and up to two numbers; the worker makes the
 * sentence.
 */
#include <asm/prctl.h>
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/ioctl.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <stdint.h>

#include "pie/restorer-border.h"
#include "pie/syscall.h"

#define ERROR_NOMEM 12
#define ERROR_EXIST 17
#define ERROR_INVAL 22
#define ERROR_IO    5
#define ERROR_AGAIN 11
#define ERROR_INTR  4

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define CALL_MSEAL           462
#define CALL_CLOSE_RANGE     436
#define CALL_RSEQ            334
#define CALL_SECCOMP         317
#define CALL_MEMBARRIER      324
#define ADVICE_GUARD_INSTALL 102
#define MAP_VDSO_64          0x2003
#define SET_MEMORY_MERGE     67
#define SET_MDWE             65
#define SET_CPUID            0x1012
#define SET_IO_FLUSHER       57
#define TIMER_RESTORE_IDS    77
#define WRITE_LDT            0x11
#define UFFD_USER_MODE       1

#define TASK_END  0x7ffffffff000ull
#define PAGE_SIZE 4096ull

#define CAPABILITY_VERSION 0x20080522u
#define NO_SETUID_FIXUP    (1ul << 2)

#define SECCOMP_MODE_STRICT_ 1
#define SECCOMP_MODE_FILTER_ 2
#define SECCOMP_FLAGS_KEPT   0x7ul /* TSYNC, LOG, SPEC_ALLOW */

#define SPECULATION_SETTABLE 0x1u
#define SPECULATION_VALUES   0x1eu

#define MADV_LAST 63

#define CALL_IO_URING_REGISTER 427
#define REGISTER_BUFFERS2      15

#define AIO_BATCH 64
#define CPU_WORDS 128 /* 8192 processors */

#define NSEC_PER_SEC   1000000000ll
#define OTHERS_WAIT_MS 10000
#define SIGINFO_TIMER  -2 /* si_code SI_TIMER */
#define TIMER_ABSOLUTE 1

void pie_entry(struct restorer_task *task);

/* --- words shared with others ------------------------------------------------------------------------------------ */

static void wake(uint32_t *word, uint32_t count)
{
	(void)SYS3(__NR_futex, word, FUTEX_WAKE, count);
}

static void wait_while(uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		(void)SYS4(__NR_futex, word, FUTEX_WAIT, value, 0);
}

static void report_progress(struct restorer_shared *shared)
{
	__atomic_add_fetch(&shared->progress, 1, __ATOMIC_RELEASE);
	wake(&shared->progress, 1);
}

static _Noreturn void fail_thread(struct restorer_task *task, int32_t tid, uint32_t step, long error, uint64_t detail,
				  uint64_t detail2)
{
	struct restorer_shared *shared = task->shared;
	uint32_t none = 0;

	if (__atomic_compare_exchange_n(&shared->failed, &none, task->slot_index + 1, 0, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED)) {
		task->slot->error = (int32_t)error;
		task->slot->error_step = step;
		task->slot->error_tid = tid;
		task->slot->detail[0] = detail;
		task->slot->detail[1] = detail2;
		__atomic_store_n(&shared->error_ready, 1, __ATOMIC_RELEASE);
		report_progress(shared);
	}
	for (;;)
		(void)SYS1(__NR_exit_group, 1);
}

static _Noreturn void fail(struct restorer_task *task, long error, uint64_t detail, uint64_t detail2)
{
	fail_thread(task, task->pid, task->slot->step, error, detail, detail2);
}

static void enter(struct restorer_task *task, uint32_t step)
{
	task->slot->step = step;
}

static void check(struct restorer_task *task, long result, uint64_t detail)
{
	if (result < 0)
		fail(task, result, detail, 0);
}

static void check_thread(struct restorer_thread *thread, uint32_t step, long result, uint64_t detail)
{
	if (result < 0)
		fail_thread(thread->task, thread->tid, step, result, detail, 0);
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

static void unmap_others(struct restorer_task *task)
{
	const uint64_t end = task->area_start + task->area_bytes;

	enter(task, STEP_UNMAP);
	check(task, SYS2(__NR_munmap, 0, task->area_start), 0);
	check(task, SYS2(__NR_munmap, end, TASK_END - end), end);
}

static void set_thp(struct restorer_task *task)
{
	if (task->thp_disable < 0)
		return;
	enter(task, STEP_THP);
	check(task, SYS5(__NR_prctl, PR_SET_THP_DISABLE, task->thp_disable, task->thp_flags, 0, 0), 0);
}

/* The kernel takes the address as a wish only: whether it was granted is seen by what is there now. */
static void map_vdso(struct restorer_task *task)
{
	long result;

	if (task->vdso == VDSO_NONE)
		return;
	enter(task, STEP_VDSO);
	check(task, SYS2(__NR_arch_prctl, MAP_VDSO_64, task->vdso_map_at), task->vdso_map_at);
	result = SYS6(__NR_mmap, task->vdso_map_at, PAGE_SIZE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (result != -ERROR_EXIST)
		fail(task, -ERROR_EXIST, task->vdso_map_at, 0);
}

static void map_one(struct restorer_task *task, const struct restorer_vma *vma)
{
	const int fd = vma->file < 0 || vma->flags & RESTORER_VMA_RING ? -1 : task->files[vma->file];
	const long result = SYS6(__NR_mmap, vma->start, vma->end - vma->start, vma->map_prot, vma->map_flags, fd,
				 fd < 0 ? 0 : vma->offset);

	if (result < 0 && result > -4096)
		fail(task, result, vma->start, vma->end);
	/* Kernels that do not know the flag take the address as a wish. */
	if ((uint64_t)result != vma->start)
		fail(task, -ERROR_EXIST, vma->start, vma->end);
}

static void advise_one(struct restorer_task *task, const struct restorer_vma *vma)
{
	for (uint32_t n = 0; n <= MADV_LAST; n++) {
		long result;

		if (!(vma->advice >> n & 1))
			continue;
		result = SYS3(__NR_madvise, vma->start, vma->end - vma->start, n);
		if (result < 0)
			fail(task, result, vma->start, n);
	}
}

/* --- AIO contexts */

/* The head of a ring, as the kernel lays it out. */
struct ring_head {
	uint32_t id, slots, head, tail, magic, compat_features, incompat_features, header_bytes;
};

static struct ring_head *ring_of(const struct restorer_aio *aio)
{
	return (struct ring_head *)aio->start;
}

/*
 * Requests that complete while they are submitted: reads of nothing. Each takes a slot and moves the tail on by one.
 * Those that are dropped are not left in the ring: its head follows.
 */
static void complete_requests(struct restorer_task *task, const struct restorer_aio *aio, uint32_t count, int dropped)
{
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)task->files[task->exe] };
	volatile struct ring_head *ring = ring_of(aio);
	struct iocb *list[AIO_BATCH];

	for (uint32_t i = 0; i < AIO_BATCH; i++)
		list[i] = &request;
	while (count) {
		const uint32_t before = ring->tail;
		const uint32_t batch = count < AIO_BATCH ? count : AIO_BATCH;
		const long result = SYS3(__NR_io_submit, aio->start, batch, list);

		if (result <= 0)
			fail(task, result ? result : -ERROR_AGAIN, aio->start, 0);
		if (ring->tail != (before + (uint32_t)result) % aio->slots)
			fail(task, -ERROR_IO, aio->start, 0);
		if (dropped)
			ring->head = ring->tail;
		count -= (uint32_t)result;
	}
}

/*
 * Each processor keeps some free slots for itself: on another one the last slots of a full ring could not be taken. The
 * thread stays where it is meanwhile.
 */
static void fill_ring(struct restorer_task *task, const struct restorer_aio *aio)
{
	uint64_t allowed[CPU_WORDS], here[CPU_WORDS];
	uint32_t cpu = 0;
	long bytes;

	if (aio->head == 0 && aio->tail == 0)
		return;
	enter(task, STEP_AIO_FILL);
	for (uint32_t i = 0; i < CPU_WORDS; i++)
		allowed[i] = here[i] = 0;
	bytes = SYS3(__NR_sched_getaffinity, 0, sizeof(allowed), allowed);
	if (bytes > 0 && SYS3(__NR_getcpu, &cpu, 0, 0) == 0 && cpu < CPU_WORDS * 64) {
		here[cpu / 64] = 1ull << cpu % 64;
		(void)SYS3(__NR_sched_setaffinity, 0, bytes, here);
	}
	complete_requests(task, aio, aio->head, 1);
	complete_requests(task, aio, (aio->tail + aio->slots - aio->head) % aio->slots, 0);
	if (bytes > 0)
		(void)SYS3(__NR_sched_setaffinity, 0, bytes, allowed);
}

/* The kernel puts the ring where it likes, which is not where something else is. */
static void set_up_aio(struct restorer_task *task, struct restorer_aio *aio)
{
	uint64_t context = 0;
	long result;

	enter(task, STEP_AIO_SETUP);
	check(task, SYS2(__NR_io_setup, aio->requests, &context), aio->start);
	if (((struct ring_head *)context)->slots != aio->slots)
		fail(task, -ERROR_INVAL, aio->start, 0);
	enter(task, STEP_AIO_MOVE);
	result = SYS5(__NR_mremap, context, aio->bytes, aio->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, aio->start);
	if ((uint64_t)result != aio->start)
		fail(task, result < 0 ? result : -ERROR_EXIST, aio->start, 0);
	aio->id = ring_of(aio)->id;
	fill_ring(task, aio);
}

/* The contents of the ring came with all others. The kernel finds a context by its own number, which stays. */
static void finish_aios(struct restorer_task *task)
{
	for (uint64_t i = 0; i < task->aio_count; i++)
		ring_of(&task->aios[i])->id = task->aios[i].id;
}

/* --- all mappings */

static void map_all(struct restorer_task *task)
{
	uint64_t aios = 0;

	for (uint64_t i = 0; i < task->vma_count; i++) {
		enter(task, STEP_MAP);
		map_one(task, &task->vmas[i]);
		if (task->vmas[i].flags & RESTORER_VMA_AIO)
			set_up_aio(task, &task->aios[aios++]);
		if (task->vmas[i].flags & RESTORER_VMA_RING)
			continue;
		if (!task->vmas[i].advice)
			continue;
		enter(task, STEP_MADVISE);
		advise_one(task, &task->vmas[i]);
	}
}

/* --- rings of io_urings */

static void fill_gaps(struct restorer_task *task)
{
	enter(task, STEP_RING_GAP);
	for (uint64_t i = 0; i < task->gap_count; i++) {
		const struct restorer_range *gap = &task->gaps[i];
		long result = SYS6(__NR_mmap, gap->start, gap->end - gap->start, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

		if ((uint64_t)result != gap->start)
			fail(task, result < 0 ? result : -ERROR_EXIST, gap->start, 0);
	}
}

static void clear_gaps(struct restorer_task *task)
{
	enter(task, STEP_RING_GAP);
	for (uint64_t i = 0; i < task->gap_count; i++)
		check(task, SYS2(__NR_munmap, task->gaps[i].start, task->gaps[i].end - task->gaps[i].start),
		      task->gaps[i].start);
}

/* What kept the place goes, and there is no other. */
static void map_ring(struct restorer_task *task, const struct restorer_vma *vma)
{
	const uint64_t bytes = vma->end - vma->start;
	long result;

	enter(task, STEP_RING_MAP);
	check(task, SYS2(__NR_munmap, vma->start, bytes), vma->start);
	result = SYS6(__NR_mmap, 0, bytes, vma->map_prot, MAP_SHARED, task->files[vma->file], vma->offset);
	if ((uint64_t)result != vma->start)
		fail(task, result < 0 ? result : -ERROR_EXIST, vma->start, 0);
	enter(task, STEP_MADVISE);
	advise_one(task, vma);
}

static void map_rings(struct restorer_task *task)
{
	if (!task->ring_count)
		return;
	fill_gaps(task);
	for (uint64_t i = 0; i < task->vma_count; i++)
		if (task->vmas[i].flags & RESTORER_VMA_RING)
			map_ring(task, &task->vmas[i]);
	clear_gaps(task);
}

/* Laid out as the kernel's struct io_uring_rsrc_register. */
struct buffers_record {
	uint32_t count, flags;
	uint64_t reserved;
	const void *iov, *tags;
};

static void register_buffers(struct restorer_task *task)
{
	enter(task, STEP_RING_BUFFERS);
	for (uint64_t i = 0; i < task->buffers_count; i++) {
		const struct restorer_buffers *buffers = &task->buffers[i];
		const struct buffers_record record = { .count = buffers->count,
						       .iov = buffers->iov,
						       .tags = buffers->tags };

		check(task, SYS4(CALL_IO_URING_REGISTER, buffers->fd, REGISTER_BUFFERS2, &record, sizeof(record)),
		      (uint64_t)buffers->fd);
	}
}

/* Skips what a short read has already brought. */
static void advance(struct restorer_read *read, uint64_t bytes)
{
	read->offset += bytes;
	while (bytes && read->iov_count) {
		uint64_t part = bytes < read->iov->bytes ? bytes : read->iov->bytes;

		read->iov->base += part;
		read->iov->bytes -= part;
		bytes -= part;
		if (read->iov->bytes == 0) {
			read->iov++;
			read->iov_count--;
		}
	}
}

static void read_pages(struct restorer_task *task, struct restorer_read *reads, uint64_t count)
{
	enter(task, STEP_READ_PAGES);
	for (uint64_t i = 0; i < count; i++) {
		struct restorer_read *read = &reads[i];

		while (read->iov_count) {
			uint64_t at = read->iov->base;
			long result =
			    SYS5(__NR_preadv, task->files[read->file], read->iov, read->iov_count, read->offset, 0);

			if (result == -ERROR_INTR || result == -ERROR_AGAIN)
				continue;
			if (result <= 0)
				fail(task, result ? result : -ERROR_IO, at, 0);
			advance(read, (uint64_t)result);
		}
	}
}

static int register_ranges(const struct restorer_task *task, int uffd)
{
	struct uffdio_api api = { .api = UFFD_API };

	if (SYS3(__NR_ioctl, uffd, UFFDIO_API, &api) < 0)
		return 0;
	for (uint64_t i = 0; i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];
		struct uffdio_register range = {
			.range = { vma->start, vma->end - vma->start },
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		if (vma->flags & RESTORER_VMA_FILL && SYS3(__NR_ioctl, uffd, UFFDIO_REGISTER, &range) < 0)
			return 0;
	}
	return 1;
}

/* Closing the descriptor unregisters: nothing of it stays in the mappings. */
static int fill_from_outside(struct restorer_task *task)
{
	struct restorer_slot *slot = task->slot;
	long uffd = SYS1(__NR_userfaultfd, UFFD_USER_MODE);
	int filled = 0;

	if (uffd < 0)
		return 0;
	if (register_ranges(task, (int)uffd)) {
		slot->fill_uffd = (int32_t)uffd;
		__atomic_store_n(&slot->fill_state, FILL_WANTED, __ATOMIC_RELEASE);
		report_progress(task->shared);
		wait_while(&slot->fill_state, FILL_WANTED);
		filled = __atomic_load_n(&slot->fill_state, __ATOMIC_ACQUIRE) == FILL_DONE;
	}
	(void)SYS1(__NR_close, uffd);
	return filled;
}

static void fill_large(struct restorer_task *task)
{
	if (!task->large_read_count)
		return;
	enter(task, STEP_USERFAULTFD);
	if (!fill_from_outside(task))
		read_pages(task, task->large_reads, task->large_read_count);
}

/* jmp *0(%rip), and the address right behind it */
static void write_jumps(const struct restorer_task *task)
{
	static const uint8_t opcode[6] = { 0xff, 0x25, 0, 0, 0, 0 };

	for (uint32_t i = 0; i < task->jump_count; i++) {
		volatile uint8_t *at = (volatile uint8_t *)task->jumps[i].from;

		for (uint32_t k = 0; k < sizeof(opcode); k++)
			at[k] = opcode[k];
		for (uint32_t k = 0; k < 8; k++)
			at[sizeof(opcode) + k] = (uint8_t)(task->jumps[i].to >> (8 * k));
	}
}

static void protect_all(struct restorer_task *task)
{
	enter(task, STEP_PROTECT);
	for (uint64_t i = 0; i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];
		long result =
		    vma->prot == vma->map_prot ? 0 : SYS3(__NR_mprotect, vma->start, vma->end - vma->start, vma->prot);

		if (result < 0)
			fail(task, result, vma->start, vma->end);
	}
}

static void install_guards(struct restorer_task *task)
{
	enter(task, STEP_GUARD);
	for (uint64_t i = 0; i < task->guard_count; i++) {
		const struct restorer_range *guard = &task->guards[i];
		long result = SYS3(__NR_madvise, guard->start, guard->end - guard->start, ADVICE_GUARD_INSTALL);

		if (result < 0)
			fail(task, result, guard->start, guard->end);
	}
}

static void lock_all(struct restorer_task *task)
{
	enter(task, STEP_LOCK);
	for (uint64_t i = 0; i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];
		long result = 0;

		if (vma->flags & RESTORER_VMA_LOCK)
			result = SYS3(__NR_mlock2, vma->start, vma->end - vma->start,
				      vma->flags & RESTORER_VMA_LOCK_ON_FAULT ? MLOCK_ONFAULT : 0);
		if (result < 0 && !(result == -ERROR_NOMEM && vma->flags & RESTORER_VMA_LOCK_QUIET))
			fail(task, result, vma->start, vma->end);
	}
}

/* Without MCL_CURRENT nothing that is there changes. */
static void lock_future(struct restorer_task *task)
{
	if (!task->lock_future)
		return;
	enter(task, STEP_LOCK_FUTURE);
	check(task, SYS1(__NR_mlockall, task->lock_future), task->lock_future);
}

static void seal_all(struct restorer_task *task)
{
	enter(task, STEP_SEAL);
	for (uint64_t i = 0; i < task->vma_count; i++) {
		const struct restorer_vma *vma = &task->vmas[i];
		long result = 0;

		if (vma->flags & RESTORER_VMA_SEAL)
			result = SYS3(CALL_MSEAL, vma->start, vma->end - vma->start, 0);
		if (result < 0)
			fail(task, result, vma->start, vma->end);
	}
}

static void set_mm_map(struct restorer_task *task)
{
	enter(task, STEP_MM_MAP);
	task->mm_map.exe_fd = task->files[task->exe];
	check(task, SYS5(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &task->mm_map, sizeof(task->mm_map), 0), 0);
}

static void close_files(struct restorer_task *task)
{
	/* In a table that others use as well the last one cleans up: until then they need theirs. */
	if (task->table_users && __atomic_sub_fetch(task->table_users, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	for (uint64_t i = 0; i < task->closing_count; i++)
		(void)SYS3(CALL_CLOSE_RANGE, task->closings[i].first, task->closings[i].last, 0);
	enter(task, STEP_FILE_LOCK);
	for (uint64_t i = 0; i < task->file_lock_count; i++)
		check(task, SYS3(__NR_fcntl, task->file_locks[i].fd, F_SETLK, &task->file_locks[i]),
		      task->file_locks[i].fd);
}

static void build_memory(struct restorer_task *task)
{
	set_thp(task);
	map_vdso(task);
	map_all(task);
	map_rings(task);
	fill_large(task);
	read_pages(task, task->reads, task->read_count);
	finish_aios(task);
	write_jumps(task);
	protect_all(task);
	install_guards(task);
	lock_all(task);
	register_buffers(task);
	set_mm_map(task);
	close_files(task);
	seal_all(task);
	lock_future(task);
}

/* --- the process ------------------------------------------------------------------------------------------------- */

static void set_personality(struct restorer_task *task)
{
	enter(task, STEP_PERSONALITY);
	check(task, SYS1(__NR_personality, task->personality), task->personality);
}

static void set_sigactions(struct restorer_task *task)
{
	enter(task, STEP_SIGACTION);
	for (uint32_t signal = 1; signal <= RESTORER_SIGNALS; signal++) {
		if (signal == 9 || signal == 19)
			continue;
		check(task, SYS4(__NR_rt_sigaction, signal, &task->sigactions[signal - 1], 0, sizeof(uint64_t)),
		      signal);
	}
}

static void set_ksm(struct restorer_task *task)
{
	if (task->ksm < 0)
		return;
	enter(task, STEP_KSM);
	check(task, SYS5(__NR_prctl, SET_MEMORY_MERGE, task->ksm, 0, 0, 0), 0);
}

static void set_subreaper(struct restorer_task *task)
{
	if (task->subreaper < 0)
		return;
	enter(task, STEP_SUBREAPER);
	check(task, SYS5(__NR_prctl, PR_SET_CHILD_SUBREAPER, task->subreaper, 0, 0, 0), 0);
}

static void register_membarriers(struct restorer_task *task)
{
	enter(task, STEP_MEMBARRIER);
	for (uint32_t bit = 0; bit < 32; bit++)
		if (task->membarrier_commands >> bit & 1)
			check(task, SYS3(CALL_MEMBARRIER, 1u << bit, 0, 0), bit);
}

/* The only call whose failure is a positive number: 32 bits without sign. */
static void set_ldt(struct restorer_task *task)
{
	enter(task, STEP_LDT);
	for (uint64_t i = 0; i < task->ldt_count; i++)
		check(task, (int32_t)SYS3(__NR_modify_ldt, WRITE_LDT, task->ldt[i], sizeof(task->ldt[i])), i);
}

/* Laid out as the kernel's struct sigevent. */
struct sigevent_record {
	uint64_t value;
	int32_t signal, notify, tid;
	int32_t reserved[11];
};

static long try_timer(const struct restorer_posix_timer *timer, int32_t *id)
{
	struct sigevent_record event = {
		.value = timer->value, .signal = timer->signal, .notify = timer->notify, .tid = timer->notify_tid
	};

	return SYS3(__NR_timer_create, timer->clock_id, &event, id);
}

/* The process whose time it counts may not be there yet: a negative clock has the pid in it. */
static long create_timer(const struct restorer_task *task, const struct restorer_posix_timer *timer, int32_t *id)
{
	const int64_t pause[2] = { 0, 1000000 };
	long result = try_timer(timer, id);

	for (uint32_t i = 0; result == -ERROR_INVAL && timer->clock_id < 0 && i < OTHERS_WAIT_MS; i++) {
		if (__atomic_load_n(&task->shared->failed, __ATOMIC_ACQUIRE))
			break;
		(void)SYS2(__NR_nanosleep, pause, 0);
		result = try_timer(timer, id);
	}
	return result;
}

/* Without the kernel's help ids count up: unwanted timers are made and deleted until the number comes. */
static long create_timer_by_counting(const struct restorer_task *task, const struct restorer_posix_timer *timer)
{
	for (;;) {
		int32_t id = -1;
		long result = create_timer(task, timer, &id);

		if (result < 0 || id == timer->id)
			return result;
		(void)SYS1(__NR_timer_delete, id);
		if (id > timer->id)
			return -ERROR_EXIST;
	}
}

static void create_timers(struct restorer_task *task)
{
	long by_id;

	enter(task, STEP_POSIX_TIMER);
	by_id =
	    !task->posix_timer_count || task->timers_by_counting ? -1 : SYS5(__NR_prctl, TIMER_RESTORE_IDS, 1, 0, 0, 0);
	for (uint64_t i = 0; i < task->posix_timer_count; i++) {
		const struct restorer_posix_timer *timer = &task->posix_timers[i];
		int32_t id = timer->id;
		long result = by_id == 0 ? create_timer(task, timer, &id) : create_timer_by_counting(task, timer);

		check(task, result, (uint64_t)timer->id);
	}
	if (by_id == 0)
		(void)SYS5(__NR_prctl, TIMER_RESTORE_IDS, 0, 0, 0, 0);
	__atomic_store_n(&task->timers_made, 1, __ATOMIC_RELEASE);
	if (task->thread_count > 1)
		wake(&task->timers_made, ~0u >> 1);
}

/* Laid out as the kernel's struct itimerspec. */
struct timer_record {
	int64_t interval_sec, interval_nsec, value_sec, value_nsec;
};

/*
 * The expiry that the pending signal stands for, on the timer's own clock: a period before the next one. Whatever is in
 * the past does for a timer without a period.
 */
static int64_t find_past_expiry(const struct restorer_posix_timer *timer)
{
	const int64_t interval = timer->interval_sec * NSEC_PER_SEC + timer->interval_nsec;
	const int64_t value = timer->value_sec * NSEC_PER_SEC + timer->value_nsec;
	int64_t now[2] = { 0, 0 }, expiry;

	if (!interval)
		return 1;
	if (SYS2(__NR_clock_gettime, timer->clock_id, now) < 0)
		return 0;
	expiry = now[0] * NSEC_PER_SEC + now[1] + value - interval;
	return expiry > 0 ? expiry : 1;
}

static struct restorer_posix_timer *find_timer(const struct restorer_task *task, int32_t id)
{
	for (uint64_t i = 0; i < task->posix_timer_count; i++)
		if (task->posix_timers[i].id == id && !task->posix_timers[i].armed)
			return &task->posix_timers[i];
	return 0;
}

/*
 * A timer whose signal is pending counts later expiries in it instead of queueing more. So that it does so again, its
 * signal is not put back as it was: the timer is set to have expired already, and sends it itself.
 */
static int expire_timer(struct restorer_task *task, const struct restorer_siginfo *info)
{
	const int32_t *words = (const int32_t *)(const void *)info->bytes;
	struct restorer_posix_timer *timer = words[2] == SIGINFO_TIMER ? find_timer(task, words[4]) : 0;
	struct timer_record record;
	int64_t expiry;

	if (!timer || timer->signal != words[0])
		return 0;
	expiry = find_past_expiry(timer);
	record = (struct timer_record){ timer->interval_sec, timer->interval_nsec, expiry / NSEC_PER_SEC,
					expiry % NSEC_PER_SEC };
	if (!expiry || SYS4(__NR_timer_settime, timer->id, TIMER_ABSOLUTE, &record, 0) < 0)
		return 0;
	timer->armed = 1;
	return 1;
}

static void queue_shared_signals(struct restorer_task *task)
{
	enter(task, STEP_PENDING_SIGNAL);
	for (uint64_t i = 0; i < task->pending_count; i++) {
		const struct restorer_siginfo *info = &task->pending[i];
		int32_t signal = *(const int32_t *)(const void *)info->bytes;

		if (!expire_timer(task, info))
			check(task, SYS3(__NR_rt_sigqueueinfo, task->pid, signal, info), (uint64_t)signal);
	}
}

static void arm_timers(struct restorer_task *task)
{
	enter(task, STEP_POSIX_TIMER);
	for (uint64_t i = 0; i < task->posix_timer_count; i++) {
		const struct restorer_posix_timer *timer = &task->posix_timers[i];

		if (!timer->armed && (timer->value_sec || timer->value_nsec))
			check(task, SYS4(__NR_timer_settime, timer->id, 0, &timer->interval_sec, 0),
			      (uint64_t)timer->id);
	}
	enter(task, STEP_ITIMER);
	for (uint32_t which = 0; which < 3; which++) {
		const struct restorer_itimer *timer = &task->itimers[which];

		if (timer->value_sec || timer->value_usec)
			check(task, SYS3(__NR_setitimer, which, timer, 0), which);
	}
}

/*
 * 2 is what the kernel itself sets after a change of ids, where fs.suid_dumpable says so; it cannot be asked for. While
 * there is the right to, an id is changed that gives and takes nothing, and back.
 */
static void become_suid_dumpable(struct restorer_task *task)
{
	long own;

	if (task->dumpable != 2)
		return;
	own = SYS1(__NR_setfsgid, -1);
	(void)SYS1(__NR_setfsgid, own ^ 1);
	(void)SYS1(__NR_setfsgid, own);
}

static void set_dumpable(struct restorer_task *task)
{
	if (task->dumpable < 0)
		return;
	enter(task, STEP_DUMPABLE);
	if (SYS5(__NR_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0) == task->dumpable)
		return;
	if (task->dumpable == 2)
		fail(task, -ERROR_INVAL, 2, 0);
	else
		check(task, SYS5(__NR_prctl, PR_SET_DUMPABLE, task->dumpable == 1, 0, 0, 0), (uint64_t)task->dumpable);
}

/* Another user's could be set from outside with CAP_SYS_RESOURCE only; to lower one's own needs no right. */
static void set_limits(struct restorer_task *task)
{
	enter(task, STEP_RLIMIT);
	for (uint32_t i = 0; i < RESTORER_LIMITS; i++)
		if (task->limits_to_set >> i & 1)
			check(task, SYS4(__NR_prlimit64, 0, i, &task->limits[i], 0), i);
}

static void set_mdwe(struct restorer_task *task)
{
	if (!task->mdwe)
		return;
	enter(task, STEP_MDWE);
	check(task, SYS5(__NR_prctl, SET_MDWE, task->mdwe, 0, 0, 0), task->mdwe);
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

static void set_tls(struct restorer_thread *thread)
{
	for (uint32_t i = 0; i < RESTORER_TLS_SLOTS; i++)
		if (thread->has_tls >> i & 1)
			check_thread(thread, STEP_TLS, SYS1(__NR_set_thread_area, thread->tls[i]), i);
}

/* Laid out as the kernel's stack_t. */
struct altstack_record {
	uint64_t address;
	uint32_t flags, reserved;
	uint64_t bytes;
};

static void set_addresses(struct restorer_thread *thread)
{
	struct altstack_record stack = { .address = thread->sas_address,
					 .flags = thread->sas_flags,
					 .bytes = thread->sas_bytes };

	/* That of another thread was told when it was created. */
	if (thread == thread->task->threads)
		(void)SYS1(__NR_set_tid_address, thread->clear_tid);
	if (thread->robust_list)
		check_thread(thread, STEP_ROBUST_LIST,
			     SYS2(__NR_set_robust_list, thread->robust_list, thread->robust_list_bytes),
			     thread->robust_list);
	if (thread->has_sas)
		check_thread(thread, STEP_SIGALTSTACK, SYS2(__NR_sigaltstack, &stack, 0), thread->sas_address);
}

static void set_speculation(struct restorer_thread *thread)
{
	for (uint32_t i = 0; i < thread->speculation_count; i++) {
		uint32_t which = thread->speculation[i][0], value = thread->speculation[i][1];

		if (value & SPECULATION_SETTABLE && value & SPECULATION_VALUES)
			check_thread(thread, STEP_SPECULATION,
				     SYS5(__NR_prctl, PR_SET_SPECULATION_CTRL, which, value & SPECULATION_VALUES, 0, 0),
				     which);
	}
}

static void set_name(struct restorer_thread *thread)
{
	check_thread(thread, STEP_COMM, SYS2(__NR_prctl, PR_SET_NAME, thread->comm), 0);
}

/* Threads are born with the name of the first one. */
static int has_name_of_leader(const struct restorer_thread *thread)
{
	const char *leader = thread->task->threads[0].comm;

	for (uint32_t i = 0; i < sizeof(thread->comm); i++)
		if (thread->comm[i] != leader[i])
			return 0;
	return 1;
}

static void set_attributes(struct restorer_thread *thread)
{
	if (!has_name_of_leader(thread))
		set_name(thread);
	if (thread->flags & RESTORER_THREAD_SLACK)
		check_thread(thread, STEP_TIMER_SLACK, SYS2(__NR_prctl, PR_SET_TIMERSLACK, thread->timer_slack_ns),
			     thread->timer_slack_ns);
	if (thread->flags & RESTORER_THREAD_IO_FLUSHER)
		check_thread(thread, STEP_IO_FLUSHER, SYS5(__NR_prctl, SET_IO_FLUSHER, 1, 0, 0, 0), 0);
	if (thread->flags & RESTORER_THREAD_MCE_KILL)
		check_thread(thread, STEP_MCE_KILL,
			     SYS5(__NR_prctl, PR_MCE_KILL, PR_MCE_KILL_SET, thread->mce_kill, 0, 0), thread->mce_kill);
	if (thread->flags & RESTORER_THREAD_MEMPOLICY)
		check_thread(thread, STEP_MEMPOLICY,
			     SYS3(__NR_set_mempolicy, thread->mempolicy_mode,
				  thread->mempolicy_bits ? thread->mempolicy_nodes : 0, thread->mempolicy_bits),
			     (uint64_t)thread->mempolicy_mode);
	if (thread->flags & RESTORER_THREAD_NO_TSC)
		check_thread(thread, STEP_TSC, SYS2(__NR_prctl, PR_SET_TSC, PR_TSC_SIGSEGV), 0);
	if (thread->flags & RESTORER_THREAD_NO_CPUID)
		check_thread(thread, STEP_CPUID, SYS2(__NR_arch_prctl, SET_CPUID, 0), 0);
	set_speculation(thread);
}

static void queue_own_signals(struct restorer_thread *thread)
{
	if (thread->pending_count)
		wait_while(&thread->task->timers_made, 0);
	for (uint64_t i = 0; i < thread->pending_count; i++) {
		const struct restorer_siginfo *info = &thread->pending[i];
		int32_t signal = *(const int32_t *)(const void *)info->bytes;

		if (!expire_timer(thread->task, info))
			check_thread(thread, STEP_PENDING_SIGNAL,
				     SYS4(__NR_rt_tgsigqueueinfo, thread->task->pid, thread->tid, signal, info),
				     (uint64_t)signal);
	}
}

static void set_capabilities(struct restorer_thread *thread, uint64_t inheritable, uint64_t permitted,
			     uint64_t effective)
{
	struct __user_cap_header_struct header = { CAPABILITY_VERSION, 0 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) },
	};

	check_thread(thread, STEP_CAPABILITIES, SYS2(__NR_capset, &header, data), permitted);
}

static void set_ambient(struct restorer_thread *thread, uint64_t set)
{
	check_thread(thread, STEP_AMBIENT_SET, SYS5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
	for (uint32_t i = 0; i < 64; i++)
		if (set >> i & 1)
			check_thread(thread, STEP_AMBIENT_SET,
				     SYS5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0), i);
}

static void drop_bounding(struct restorer_thread *thread, uint64_t set)
{
	for (uint32_t i = 0; i < 64; i++)
		if (set >> i & 1)
			check_thread(thread, STEP_BOUNDING_SET, SYS2(__NR_prctl, PR_CAPBSET_DROP, i), i);
}

/* With this bit a change of ids leaves the capabilities alone. */
static void hold_capabilities(struct restorer_thread *thread)
{
	unsigned long bits = (unsigned long)SYS1(__NR_prctl, PR_GET_SECUREBITS);

	if (!(bits & NO_SETUID_FIXUP))
		check_thread(thread, STEP_SECUREBITS, SYS2(__NR_prctl, PR_SET_SECUREBITS, bits | NO_SETUID_FIXUP),
			     bits);
}

static void set_ids(struct restorer_thread *thread, const struct restorer_creds *creds)
{
	hold_capabilities(thread);
	check_thread(thread, STEP_GROUP_IDS, SYS3(__NR_setresgid, creds->gid, creds->egid, creds->sgid), creds->gid);
	(void)SYS1(__NR_setfsgid, creds->fsgid);
	if ((uint32_t)SYS1(__NR_setfsgid, -1) != creds->fsgid)
		check_thread(thread, STEP_GROUP_IDS, -ERROR_INVAL, creds->fsgid);
	check_thread(thread, STEP_USER_IDS, SYS3(__NR_setresuid, creds->uid, creds->euid, creds->suid), creds->uid);
	(void)SYS1(__NR_setfsuid, creds->fsuid);
	if ((uint32_t)SYS1(__NR_setfsuid, -1) != creds->fsuid)
		check_thread(thread, STEP_USER_IDS, -ERROR_INVAL, creds->fsuid);
}

/*
 * The order: inheritable capabilities cannot be added once the bounding set lacks them; ambient ones need to be
 * permitted and inheritable, and no secure bit against it; giving up rights comes last.
 */
static void set_credentials(struct restorer_thread *thread)
{
	const struct restorer_creds *creds = &thread->creds;

	if (creds->needed & RESTORER_CREDS_CAPS)
		set_capabilities(thread, creds->cap_inh, creds->own_prm, creds->own_eff);
	if (creds->needed & RESTORER_CREDS_AMBIENT)
		set_ambient(thread, creds->cap_amb);
	if (creds->needed & RESTORER_CREDS_GROUPS)
		check_thread(thread, STEP_GROUPS, SYS2(__NR_setgroups, creds->group_count, creds->groups),
			     creds->group_count);
	if (creds->needed & RESTORER_CREDS_BOUNDING)
		drop_bounding(thread, creds->cap_drop);
	if (creds->needed & RESTORER_CREDS_IDS)
		set_ids(thread, creds);
	if (creds->needed & RESTORER_CREDS_SECUREBITS)
		check_thread(thread, STEP_SECUREBITS, SYS2(__NR_prctl, PR_SET_SECUREBITS, creds->securebits),
			     creds->securebits);
	if (creds->needed & RESTORER_CREDS_CAPS)
		set_capabilities(thread, creds->cap_inh, creds->cap_prm, creds->cap_eff);
	if (creds->needed & RESTORER_CREDS_NO_NEW_PRIVS)
		check_thread(thread, STEP_NO_NEW_PRIVS, SYS5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
}

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
static void install_filters(struct restorer_thread *thread)
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

static void set_strict_mode(struct restorer_thread *thread)
{
	if (thread->seccomp_mode == SECCOMP_MODE_STRICT_)
		check_thread(thread, STEP_SECCOMP, SYS2(__NR_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT_), 0);
}

/* Changing credentials takes the signal away, so it comes behind. */
static void set_pdeath_signal(struct restorer_thread *thread)
{
	if (thread->pdeath_signal)
		check_thread(thread, STEP_PDEATH_SIGNAL, SYS2(__NR_prctl, PR_SET_PDEATHSIG, thread->pdeath_signal),
			     thread->pdeath_signal);
}

static void register_rseq(struct restorer_thread *thread)
{
	if (thread->rseq_address)
		check_thread(thread, STEP_RSEQ,
			     SYS4(CALL_RSEQ, thread->rseq_address, thread->rseq_bytes, 0, thread->rseq_signature),
			     thread->rseq_address);
}

static void set_up_thread(struct restorer_thread *thread)
{
	set_addresses(thread);
	set_tls(thread);
	set_attributes(thread);
	queue_own_signals(thread);
	install_filters(thread);
	set_credentials(thread);
	set_pdeath_signal(thread);
	register_rseq(thread);
}

/* These bits stay as they are when the other registers are set from outside. The red zone is left alone. */
static void set_own_flags(const struct restorer_thread *thread)
{
	uint64_t flags;

	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\tpopq %0\n\tleaq 128(%%rsp), %%rsp"
			 : "=r"(flags)
			 :
			 : "memory");
	flags = (flags & ~RESTORER_OWN_FLAGS) | (thread->own_flags & RESTORER_OWN_FLAGS);
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushq %0\n\tpopfq\n\tleaq 128(%%rsp), %%rsp"
			 :
			 : "r"(flags)
			 : "memory", "cc");
}

/* None of it is used in here, and no system call touches it. */
static void load_extended_registers(const struct restorer_thread *thread)
{
	if (thread->xstate_bytes == RESTORER_LEGACY_XSTATE)
		__asm__ volatile("fxrstor64 (%0)" : : "r"(thread->xstate) : "memory");
	else
		__asm__ volatile("xrstor64 (%0)"
				 :
				 : "r"(thread->xstate), "a"((uint32_t)thread->xstate_components),
				   "d"((uint32_t)(thread->xstate_components >> 32))
				 : "memory");
}

/* A filtered thread makes no call any more: when its tracer dies, filters come into force again. */
static _Noreturn void sleep_until_taken(struct restorer_thread *thread)
{
	struct restorer_shared *shared = thread->task->shared;

	load_extended_registers(thread);
	set_own_flags(thread);
	if (__atomic_sub_fetch(&shared->preparing, 1, __ATOMIC_ACQ_REL) == 0)
		report_progress(shared);
	if (thread->is_filtered)
		for (;;)
			__asm__ volatile("pause");
	for (;;)
		(void)SYS4(__NR_futex, &shared->hold, FUTEX_WAIT, 0, 0);
}

__attribute__((used)) static _Noreturn void thread_main(struct restorer_thread *thread)
{
	struct restorer_task *task = thread->task;

	set_up_thread(thread);
	if (__atomic_sub_fetch(&task->threads_left, 1, __ATOMIC_ACQ_REL) == 0)
		wake(&task->threads_left, 1);
	set_strict_mode(thread);
	sleep_until_taken(thread);
}

/* Laid out as the kernel's struct clone_args. */
struct clone_record {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls, set_tid, set_tid_count;
	uint64_t cgroup;
};

/* The new one calls main(argument) on its own stack. */
#define CLONE_INTO(record, main, argument)                                                                             \
	({                                                                                                             \
		long created_;                                                                                         \
		__asm__ volatile("syscall\n\t"                                                                         \
				 "testq %%rax, %%rax\n\t"                                                              \
				 "jnz 1f\n\t"                                                                          \
				 "xorl %%ebp, %%ebp\n\t"                                                               \
				 "movq %%rbx, %%rdi\n\t"                                                               \
				 "call %P[entry]\n\t"                                                                  \
				 "1:"                                                                                  \
				 : "=a"(created_)                                                                      \
				 : "a"((long)__NR_clone3), "D"(record), "S"(sizeof(*(record))),                        \
				   "b"(argument), [entry] "i"(main)                                                    \
				 : "rcx", "r11", "memory", "cc");                                                      \
		created_;                                                                                              \
	})

static void start_thread(struct restorer_task *task, struct restorer_thread *thread)
{
	const struct clone_record record = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
			 (thread->clear_tid ? CLONE_CHILD_CLEARTID : 0),
		.child_tid = thread->clear_tid,
		.stack = thread->stack_top - RESTORER_THREAD_STACK_BYTES,
		.stack_bytes = RESTORER_THREAD_STACK_BYTES,
		.set_tid = (uint64_t)&thread->tid,
		.set_tid_count = 1,
	};

	check(task, CLONE_INTO(&record, thread_main, thread), (uint64_t)thread->tid);
}

static void start_threads(struct restorer_task *task)
{
	enter(task, STEP_THREAD);
	for (uint64_t i = 1; i < task->thread_count; i++)
		start_thread(task, &task->threads[i]);
}

static void wait_for_threads(struct restorer_task *task)
{
	uint32_t left;

	while ((left = __atomic_load_n(&task->threads_left, __ATOMIC_ACQUIRE)) != 0)
		wait_while(&task->threads_left, left);
}

/*
 * Where a call is made from outside (engine/restore-resume.c finds the code by its bytes). When the tracer dies the
 * thread waits behind it without another call, which filters could forbid.
 */
__attribute__((naked, used, section(".text.pie_kept"))) static void call_from_outside(void)
{
	__asm__ volatile("syscall\n"
			 "1: pause\n"
			 "jmp 1b\n");
}

static _Noreturn void build_task(struct restorer_task *task);

/* The images were checked: a file that was exchanged since is noticed when it is read. */
static void open_pages(struct restorer_task *heir)
{
	long fd;

	if (heir->pages_file < 0)
		return;
	enter(heir, STEP_OPEN_PAGES);
	fd = SYS4(__NR_openat, heir->images_dirfd, heir->pages_name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
	check(heir, fd, 0);
	heir->files[heir->pages_file] = (int32_t)fd;
}

__attribute__((used)) static _Noreturn void heir_main(struct restorer_task *heir)
{
	__atomic_store_n(&heir->slot->state, SLOT_ALIVE, __ATOMIC_RELEASE);
	open_pages(heir);
	build_task(heir);
}

static void bequeath_files(const struct restorer_task *task, struct restorer_task *heir)
{
	for (uint64_t i = 0; i < heir->file_count; i++)
		if ((int32_t)i != heir->pages_file)
			heir->files[i] = task->files[heir->files[i]];
}

/* The slot says what may exist before it exists, as in engine/restore-fork.c. */
static void create_heir(struct restorer_task *task, struct restorer_task *heir)
{
	const struct clone_record record = {
		.exit_signal = (uint64_t)heir->exit_signal,
		.stack = heir->threads[0].stack_top - RESTORER_LEADER_STACK_BYTES,
		.stack_bytes = RESTORER_LEADER_STACK_BYTES,
		.set_tid = (uint64_t)&heir->pid,
		.set_tid_count = 1,
	};
	struct restorer_slot *slot = heir->slot;
	uint32_t forking = SLOT_FORKING;
	long result;

	bequeath_files(task, heir);
	slot->pid = heir->pid;
	__atomic_store_n(&slot->state, SLOT_FORKING, __ATOMIC_RELEASE);
	result = CLONE_INTO(&record, heir_main, heir);
	if (result < 0) {
		__atomic_store_n(&slot->state, SLOT_NONE, __ATOMIC_RELEASE);
		fail(task, result, heir->slot_index, 0);
	}
	(void)__atomic_compare_exchange_n(&slot->state, &forking, SLOT_ALIVE, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void create_heirs(struct restorer_task *task)
{
	enter(task, STEP_CREATE);
	for (uint64_t i = 0; i < task->heir_count; i++)
		create_heir(task, task->heirs[i]);
}

/* Nothing of the task's own was set yet: its heirs are born as it was. */
static _Noreturn void build_task(struct restorer_task *task)
{
	create_heirs(task);
	build_memory(task);
	set_personality(task);
	set_sigactions(task);
	set_ksm(task);
	set_subreaper(task);
	register_membarriers(task);
	set_ldt(task);
	become_suid_dumpable(task);
	set_name(&task->threads[0]);
	start_threads(task);
	create_timers(task);
	queue_shared_signals(task);
	set_up_thread(&task->threads[0]);
	wait_for_threads(task);
	set_dumpable(task);
	set_mdwe(task);
	arm_timers(task);
	set_limits(task);
	enter(task, STEP_READY);
	set_strict_mode(&task->threads[0]);
	sleep_until_taken(&task->threads[0]);
}

__attribute__((section(".text.pie_entry"))) void pie_entry(struct restorer_task *task)
{
	unmap_others(task);
	build_task(task);
}
