/*
 * A small image set that passes the whole-set check: a process with two threads, a zombie child, a pipe with data, an
 * epoll, a memfd mapping, a seccomp filter and some pages. Tests and fuzz targets write it and then damage it.
 */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-check.h"
#include "image/image-write.h"
#include "image/vma-status.h"

#define SAMPLE_PID    100u
#define SAMPLE_TID    101u
#define SAMPLE_ZOMBIE 102u

#define SAMPLE_PAGES_AT 0x10000000ull

static inline int sample_core(struct image_set *set, uint32_t tid, struct error *err)
{
	static uint32_t st[32], xmm[64], ymm[64], caps[2];
	static uint8_t siginfo[128] = { 10 };
	CoreEntry core = CORE_ENTRY__INIT;
	ThreadInfoX86 info = THREAD_INFO_X86__INIT;
	UserX86RegsEntry regs = USER_X86_REGS_ENTRY__INIT;
	UserX86FpregsEntry fp = USER_X86_FPREGS_ENTRY__INIT;
	UserX86XsaveEntry xsave = USER_X86_XSAVE_ENTRY__INIT;
	ThreadCoreEntry thread = THREAD_CORE_ENTRY__INIT;
	CredsEntry creds = CREDS_ENTRY__INIT;
	TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;
	TaskTimersEntry timers = TASK_TIMERS_ENTRY__INIT;
	ItimerEntry timer = ITIMER_ENTRY__INIT;
	PosixTimerEntry posix = POSIX_TIMER_ENTRY__INIT, *posix_list[] = { &posix };
	TaskRlimitsEntry rlimits = TASK_RLIMITS_ENTRY__INIT;
	RlimitEntry rlimit = RLIMIT_ENTRY__INIT, *rlimit_list[16];
	SaEntry action = SA_ENTRY__INIT, *action_list[62];
	SignalQueueEntry queue = SIGNAL_QUEUE_ENTRY__INIT;
	SiginfoEntry signal = SIGINFO_ENTRY__INIT, *signal_list[] = { &signal };

	for (size_t i = 0; i < ARRAY_SIZE(rlimit_list); i++)
		rlimit_list[i] = &rlimit;
	for (size_t i = 0; i < ARRAY_SIZE(action_list); i++)
		action_list[i] = &action;
	signal.siginfo = (ProtobufCBinaryData){ sizeof(siginfo), siginfo };
	queue.n_signals = 1;
	queue.signals = signal_list;

	regs.cs = 0x33;
	regs.ss = 0x2b;
	regs.flags = 0x202;
	regs.ip = 0x401000;
	regs.sp = 0x7ffc00000100;
	fp.n_st_space = 32;
	fp.st_space = st;
	fp.n_xmm_space = 64;
	fp.xmm_space = xmm;
	fp.mxcsr = 0x1f80;
	xsave.xstate_bv = 7;
	xsave.n_ymmh_space = 64;
	xsave.ymmh_space = ymm;
	fp.xsave = &xsave;
	info.gpregs = &regs;
	info.fpregs = &fp;

	creds.n_cap_inh = creds.n_cap_prm = creds.n_cap_eff = creds.n_cap_bnd = 2;
	creds.cap_inh = creds.cap_prm = creds.cap_eff = creds.cap_bnd = caps;
	thread.futex_rla_len = 24;
	thread.creds = &creds;
	thread.comm = (char *)"sample";
	thread.has_seccomp_mode = true;
	thread.seccomp_mode = SECCOMP_MODE__filter;
	thread.has_seccomp_filter = true;
	thread.seccomp_filter = 1;

	timers.real = timers.virt = timers.prof = &timer;
	posix.si_signo = 10;
	timers.n_posix = 1;
	timers.posix = posix_list;
	rlimits.n_rlimits = 16;
	rlimits.rlimits = rlimit_list;
	tc.task_state = 1;
	tc.comm = (char *)"sample";
	tc.n_sigactions = 62;
	tc.sigactions = action_list;
	tc.timers = &timers;
	tc.rlimits = &rlimits;
	tc.signals_s = &queue;

	core.mtype = CORE_ENTRY__MARCH__X86_64;
	core.thread_info = &info;
	core.thread_core = &thread;
	if (tid == SAMPLE_PID)
		core.tc = &tc;
	return image_write_one(set, IMAGE_CORE, tid, &core, err);
}

static inline int sample_zombie(struct image_set *set, struct error *err)
{
	CoreEntry core = CORE_ENTRY__INIT;
	TaskCoreEntry tc = TASK_CORE_ENTRY__INIT;

	tc.task_state = 2;
	tc.exit_code = 0x300;
	tc.comm = (char *)"gone";
	core.mtype = CORE_ENTRY__MARCH__X86_64;
	core.tc = &tc;
	return image_write_one(set, IMAGE_CORE, SAMPLE_ZOMBIE, &core, err);
}

static inline int sample_tree(struct image_set *set, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	uint32_t threads[] = { SAMPLE_PID, SAMPLE_TID }, garbage[] = { 0 };
	PstreeEntry root = PSTREE_ENTRY__INIT, zombie = PSTREE_ENTRY__INIT;
	int r;

	root.pid = root.pgid = root.sid = SAMPLE_PID;
	root.n_threads = 2;
	root.threads = threads;
	zombie.pid = SAMPLE_ZOMBIE;
	zombie.ppid = zombie.pgid = zombie.sid = SAMPLE_PID;
	zombie.n_threads = 1;
	zombie.threads = garbage;
	image_writer_open(&w, set, IMAGE_PSTREE, 0);
	r = image_writer_add(&w, &root, err);
	if (r == 0)
		r = image_writer_add(&w, &zombie, err);
	return r < 0 ? r : image_writer_finish(&w, err);
}

static inline int sample_add_reg(struct image_writer *w, uint32_t id, const char *path, struct error *err)
{
	FileEntry file = FILE_ENTRY__INIT;
	RegFileEntry reg = REG_FILE_ENTRY__INIT;
	FownEntry fown = FOWN_ENTRY__INIT;

	reg.id = id;
	reg.fown = &fown;
	reg.name = (char *)path;
	file.type = FD_TYPES__REG;
	file.id = id;
	file.reg = &reg;
	return image_writer_add(w, &file, err);
}

static inline int sample_files(struct image_set *set, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT;
	FownEntry fown = FOWN_ENTRY__INIT;
	FileEntry file = FILE_ENTRY__INIT;
	PipeEntry pipe = PIPE_ENTRY__INIT;
	EventpollFileEntry epoll = EVENTPOLL_FILE_ENTRY__INIT;
	EventpollTfdEntry target = EVENTPOLL_TFD_ENTRY__INIT, *targets[] = { &target };
	MemfdFileEntry memfd = MEMFD_FILE_ENTRY__INIT;
	int r;

	image_writer_open(&w, set, IMAGE_FILES, 0);
	r = sample_add_reg(&w, 1, "/bin/sample", err);
	if (r == 0)
		r = sample_add_reg(&w, 2, "/", err);
	pipe.id = file.id = 3;
	pipe.pipe_id = 777;
	pipe.fown = epoll.fown = memfd.fown = &fown;
	file.type = FD_TYPES__PIPE;
	file.pipe = &pipe;
	if (r == 0)
		r = image_writer_add(&w, &file, err);
	file = (FileEntry)FILE_ENTRY__INIT;
	target.tfd = 0;
	epoll.id = file.id = 4;
	epoll.n_tfd = 1;
	epoll.tfd = targets;
	file.type = FD_TYPES__EVENTPOLL;
	file.epfd = &epoll;
	if (r == 0)
		r = image_writer_add(&w, &file, err);
	file = (FileEntry)FILE_ENTRY__INIT;
	memfd.id = file.id = 5;
	memfd.inode_id = 1;
	file.type = FD_TYPES__MEMFD;
	file.memfd = &memfd;
	if (r == 0)
		r = image_writer_add(&w, &file, err);
	return r < 0 ? r : image_writer_finish(&w, err);
}

static inline int sample_descriptors(struct image_set *set, struct error *err)
{
	AUTO_IMAGE_WRITER struct image_writer w = IMAGE_WRITER_INIT, pipes = IMAGE_WRITER_INIT;
	FdinfoEntry entry = FDINFO_ENTRY__INIT;
	PipeDataEntry data = PIPE_DATA_ENTRY__INIT;
	MemfdInodeEntry inode = MEMFD_INODE_ENTRY__INIT;
	int r;

	image_writer_open(&w, set, IMAGE_FDINFO, 2);
	entry.id = 3;
	entry.type = FD_TYPES__PIPE;
	r = image_writer_add(&w, &entry, err);
	entry.id = 4;
	entry.fd = 7;
	entry.flags = 1;
	entry.type = FD_TYPES__EVENTPOLL;
	if (r == 0)
		r = image_writer_add(&w, &entry, err);
	if (r == 0)
		r = image_writer_finish(&w, err);
	image_writer_open(&pipes, set, IMAGE_PIPES_DATA, 0);
	data.pipe_id = 777;
	data.bytes = 5;
	if (r == 0)
		r = image_writer_add_payload(&pipes, &data, "hello", 5, err);
	if (r == 0)
		r = image_writer_finish(&pipes, err);
	inode.name = (char *)"sample";
	inode.size = 8192;
	inode.shmid = 4242;
	inode.inode_id = 1;
	return r < 0 ? r : image_write_one(set, IMAGE_MEMFD, 0, &inode, err);
}

static inline int sample_pages(struct image_set *set, uint32_t nr_pages, struct error *err)
{
	AUTO_PAGEMAP_WRITER struct pagemap_writer w = PAGEMAP_WRITER_INIT;
	AUTO_CLOSE int fd = -1;
	uint32_t pages_id = image_set_next_pages_id(set);
	int r = pagemap_writer_open(&w, set, IMAGE_PAGEMAP, SAMPLE_PID, pages_id, err);

	if (r == 0)
		r = pagemap_writer_add(&w, SAMPLE_PAGES_AT, nr_pages, PAGEMAP_PRESENT | PAGEMAP_LAZY, err);
	if (r == 0)
		r = pagemap_writer_finish(&w, err);
	if (r == 0)
		r = image_create_raw(set, IMAGE_PAGES, pages_id, &fd, err);
	if (r == 0 && ftruncate(fd, (off_t)(nr_pages * PAGE_BYTES)) < 0)
		r = -errno;
	return r;
}

static inline VmaEntry sample_vma(uint64_t start, uint64_t pages, uint32_t status, uint32_t flags, uint64_t shmid)
{
	VmaEntry vma = VMA_ENTRY__INIT;

	vma.start = start;
	vma.end = start + pages * PAGE_BYTES;
	vma.status = status;
	vma.flags = flags;
	vma.prot = PROT_READ | PROT_WRITE;
	vma.shmid = shmid;
	vma.fd = -1;
	return vma;
}

static inline int sample_mm(struct image_set *set, struct error *err)
{
	VmaEntry code = sample_vma(0x400000, 4, VMA_REGULAR | VMA_FILE_PRIVATE, MAP_PRIVATE, 1);
	VmaEntry heap = sample_vma(SAMPLE_PAGES_AT, 16, VMA_REGULAR | VMA_ANON_PRIVATE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	VmaEntry memfd = sample_vma(0x7f0000000000, 2, VMA_REGULAR | VMA_FILE_SHARED | VMA_MEMFD, MAP_SHARED, 5);
	VmaEntry stack = sample_vma(0x7ffc00000000, 8, VMA_REGULAR | VMA_ANON_PRIVATE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, 0);
	VmaEntry *vmas[] = { &code, &heap, &memfd, &stack };
	uint64_t auxv[] = { 6, 4096, 0, 0 };
	MmEntry mm = MM_ENTRY__INIT;

	mm.exe_file_id = 1;
	mm.n_vmas = ARRAY_SIZE(vmas);
	mm.vmas = vmas;
	mm.n_mm_saved_auxv = ARRAY_SIZE(auxv);
	mm.mm_saved_auxv = auxv;
	return image_write_one(set, IMAGE_MM, SAMPLE_PID, &mm, err);
}

static inline int sample_rest(struct image_set *set, struct error *err)
{
	static uint8_t filter[16];
	SeccompFilter first = SECCOMP_FILTER__INIT, second = SECCOMP_FILTER__INIT, *filters[] = { &first, &second };
	SeccompEntry seccomp = SECCOMP_ENTRY__INIT;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;
	FsEntry fs = FS_ENTRY__INIT;
	int r;

	first.filter = second.filter = (ProtobufCBinaryData){ sizeof(filter), filter };
	second.has_prev = true;
	seccomp.n_seccomp_filters = 2;
	seccomp.seccomp_filters = filters;
	ids.vm_id = ids.files_id = ids.fs_id = ids.sighand_id = 2;
	fs.cwd_id = fs.root_id = 2;
	r = image_write_one(set, IMAGE_SECCOMP, 0, &seccomp, err);
	if (r == 0)
		r = image_write_one(set, IMAGE_IDS, SAMPLE_PID, &ids, err);
	return r < 0 ? r : image_write_one(set, IMAGE_FS, SAMPLE_PID, &fs, err);
}

static inline int sample_commit(struct image_set *set, struct error *err)
{
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;
	PluginsEntry plugins = PLUGINS_ENTRY__INIT;

	inventory.img_version = 2;
	inventory.has_fdinfo_per_id = inventory.fdinfo_per_id = true;
	inventory.root_ids = &ids;
	inventory.plugins_entry = &plugins;
	return image_set_commit(set, &inventory, err);
}

/* Writes the whole set into an open directory. */
static inline int sample_write(int dirfd, struct error *err)
{
	AUTO_IMAGE_SET struct image_set set = IMAGE_SET_INIT;
	int r = image_set_create(&set, dirfd, NULL, 0, err);

	if (r == 0)
		r = sample_tree(&set, err);
	if (r == 0)
		r = sample_core(&set, SAMPLE_PID, err);
	if (r == 0)
		r = sample_core(&set, SAMPLE_TID, err);
	if (r == 0)
		r = sample_zombie(&set, err);
	if (r == 0)
		r = sample_files(&set, err);
	if (r == 0)
		r = sample_descriptors(&set, err);
	if (r == 0)
		r = sample_mm(&set, err);
	if (r == 0)
		r = sample_pages(&set, 3, err);
	if (r == 0)
		r = sample_rest(&set, err);
	return r < 0 ? r : sample_commit(&set, err);
}

/* A new directory below $TMPDIR or /tmp, open; its path is written to ret_path. */
static inline int sample_directory(char *ret_path, size_t bytes)
{
	const char *base = getenv("TMPDIR");

	(void)snprintf(ret_path, bytes, "%s/image-test-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(ret_path))
		return -errno;
	return open(ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Removes a directory that holds files only. */
static inline void sample_remove(const char *path)
{
	AUTO_CLOSEDIR DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)rmdir(path);
}
