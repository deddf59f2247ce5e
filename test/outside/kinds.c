/*
 * kinds NAME: opens one file of a kind, says so in "ready", and waits for SIGUSR1. Without a name: lists the kinds.
 * "ready" says SKIP with a reason where the kernel has no such kind.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int open_userfaultfd(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC);
}

static int open_perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_DUMMY };

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static int open_bpf_map(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_QUEUE, .value_size = 4, .max_entries = 1 };

	return bpf(BPF_MAP_CREATE, &attr);
}

static int open_bpf_program(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insn_cnt = 2,
		.insns = (uintptr_t)program,
		.license = (uintptr_t) "GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int open_secret(void)
{
	return (int)syscall(SYS_memfd_secret, 0);
}

static int open_seccomp_listener(void)
{
	struct sock_filter allow = { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
	struct sock_fprog program = { 1, &allow };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static int open_landlock(void)
{
	const uint64_t rules = 1;

	return (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
}

static int open_fscontext(void)
{
	return (int)syscall(SYS_fsopen, "tmpfs", 0);
}

static int open_fsmount(void)
{
	int fd = open_fscontext();

	if (fd < 0 || syscall(SYS_fsconfig, fd, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fd, 0, 0) < 0 ? -1 : close(fd);
}

static int open_mount_copy(void)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */);
}

static int open_machine(void)
{
	int kvm = open("/dev/kvm", O_RDWR);

	return kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
}

static int open_mount_pick(void)
{
	return (int)syscall(SYS_fspick, AT_FDCWD, "/", 0);
}

/* Also a file that is deleted there. */
static int open_in_mount(void)
{
	int fd = open_fscontext(), mount, file;

	if (fd < 0 || syscall(SYS_fsconfig, fd, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
		return -1;
	mount = (int)syscall(SYS_fsmount, fd, 0, 0);
	file = openat(mount, "file", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (file < 0 || unlinkat(mount, "file", 0) < 0 || close(mount) < 0 || close(fd) < 0)
		return -1;
	return file;
}

static int open_type_information(void)
{
	union bpf_attr attr = { .btf_id = 1 };

	return bpf(BPF_BTF_GET_FD_BY_ID, &attr);
}

static int open_bpf_link(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
		.insn_cnt = 2,
		.insns = (uintptr_t)program,
		.license = (uintptr_t) "GPL",
	};
	union bpf_attr attr = { .raw_tracepoint.name = (uintptr_t) "sys_enter" };
	int fd = bpf(BPF_PROG_LOAD, &load), link;

	attr.raw_tracepoint.prog_fd = (uint32_t)fd;
	link = fd < 0 ? -1 : bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	return link < 0 || close(fd) < 0 ? -1 : link;
}

/* Of a machine that nobody has a descriptor of. */
static int open_processor(void)
{
	int machine = open_machine(), processor = machine < 0 ? -1 : ioctl(machine, KVM_CREATE_VCPU, 0);

	return processor < 0 || close(machine) < 0 ? -1 : processor;
}

static int map_secret(void)
{
	int fd = open_secret();
	char *memory;

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return -1;
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -1;
	memory[0] = 'x';
	return close(fd);
}

static int open_stranger(void)
{
	return (int)syscall(SYS_pidfd_open, getppid(), 0);
}

static int open_lost_namespace(void)
{
	int own = open("/proc/self/ns/uts", O_RDONLY), fd;

	if (own < 0 || unshare(CLONE_NEWUTS) < 0)
		return -1;
	fd = open("/proc/self/ns/uts", O_RDONLY);
	return setns(own, 0) < 0 || close(own) < 0 ? -1 : fd;
}

static int open_queue(void)
{
	char name[32];
	int fd;

	(void)snprintf(name, sizeof(name), "/kinds.%d", getpid());
	fd = mq_open(name, O_RDWR | O_CREAT, 0600, NULL);
	(void)mq_unlink(name);
	return fd;
}

static int open_named_queue(void)
{
	return mq_open("/kinds", O_RDWR | O_CREAT, 0600, NULL);
}

static int open_fuse(void)
{
	return open("/dev/fuse", O_RDWR);
}

static int open_latency(void)
{
	return open("/dev/cpu_dma_latency", O_RDWR);
}

static int open_userfaultfd_device(void)
{
	return open("/dev/userfaultfd", O_RDWR);
}

static int open_msr(void)
{
	return open("/dev/cpu/0/msr", O_RDONLY);
}

static int open_alg(void)
{
	return socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static int open_autofs(void)
{
	return open("/dev/autofs", O_RDONLY);
}

static const struct {
	const char *name;
	int (*open)(void);
} kinds[] = {
	{ "userfaultfd", open_userfaultfd },
	{ "perf", open_perf },
	{ "bpf-map", open_bpf_map },
	{ "bpf-program", open_bpf_program },
	{ "secret", open_secret },
	{ "seccomp-listener", open_seccomp_listener },
	{ "landlock", open_landlock },
	{ "fsopen", open_fscontext },
	{ "fsmount", open_fsmount },
	{ "mount-copy", open_mount_copy },
	{ "queue", open_queue },
	{ "named-queue", open_named_queue },
	{ "fuse", open_fuse },
	{ "machine", open_machine },
	{ "latency", open_latency },
	{ "userfaultfd-device", open_userfaultfd_device },
	{ "msr", open_msr },
	{ "crypto-socket", open_alg },
	{ "autofs", open_autofs },
	{ "fspick", open_mount_pick },
	{ "deleted-in-mount", open_in_mount },
	{ "bpf-types", open_type_information },
	{ "bpf-link", open_bpf_link },
	{ "processor", open_processor },
	{ "secret-mapping", map_secret },
	{ "stranger", open_stranger },
	{ "lost-namespace", open_lost_namespace },
};

static void say(const char *text)
{
	int fd = open("saying", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0 || rename("saying", "ready") < 0)
		_exit(2);
}

int main(int argc, char **argv)
{
	sigset_t set;
	int sig;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (argc < 2) {
			puts(kinds[i].name);
		} else if (!strcmp(argv[1], kinds[i].name)) {
			char text[128];

			sigemptyset(&set);
			sigaddset(&set, SIGUSR1);
			sigprocmask(SIG_BLOCK, &set, NULL);
			if (kinds[i].open() < 0) {
				(void)snprintf(text, sizeof(text), "SKIP %s: %s", kinds[i].name, strerror(errno));
				say(text);
				return 1;
			}
			say("READY");
			return sigwait(&set, &sig) == 0 && sig == SIGUSR1 ? 0 : 1;
		}
	}
	return argc < 2 ? 0 : 2;
}
