/*
 * Files that cannot be saved, or not yet: each is refused by its name. What is not recognised here or by another kind
 * is refused as well, by what its link in /proc says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <netinet/in.h>

#include "base/buffer.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define CLOSE_HINT "have the program close it before the dump and make it again after the restore"

/* --- sockets -------------------------------------------------------------------------------------------------- */

static const struct {
	int family;
	const char *name;
} families[] = {
	{ AF_UNIX, "unix socket" },   { AF_NETLINK, "netlink socket" }, { AF_PACKET, "packet socket" },
	{ AF_VSOCK, "vsock socket" }, { AF_ALG, "crypto socket" },      { AF_BLUETOOTH, "bluetooth socket" },
	{ AF_CAN, "CAN socket" },     { AF_KEY, "IPsec key socket" },   { AF_TIPC, "TIPC socket" },
	{ AF_XDP, "XDP socket" },     { AF_RDS, "RDS socket" },         { AF_SMC, "SMC socket" },
	{ AF_NFC, "NFC socket" },     { AF_QIPCRTR, "QIPCRTR socket" }, { AF_PPPOX, "PPP socket" },
};

static const struct {
	int protocol;
	const char *name;
} protocols[] = {
	{ IPPROTO_TCP, "tcp socket" },
	{ IPPROTO_UDP, "udp socket" },
	{ IPPROTO_UDPLITE, "udplite socket" },
	{ IPPROTO_SCTP, "sctp socket" },
	{ IPPROTO_MPTCP, "multipath tcp socket" },
	{ IPPROTO_ICMP, "ping socket" },
	{ IPPROTO_ICMPV6, "ping socket" },
	{ IPPROTO_DCCP, "dccp socket" },
};

static int socket_option(int fd, int option)
{
	int value;
	socklen_t bytes = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &bytes) < 0 ? -errno : value;
}

/* "tcp socket": the family, and the protocol where it is an internet one. */
static const char *describe_socket(int fd)
{
	int family = socket_option(fd, SO_DOMAIN), protocol;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (families[i].family == family)
			return families[i].name;
	if (family != AF_INET && family != AF_INET6)
		return "socket of an unknown family";
	if (socket_option(fd, SO_TYPE) == SOCK_RAW)
		return "raw socket";
	protocol = socket_option(fd, SO_PROTOCOL);
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].protocol == protocol)
			return protocols[i].name;
	return "internet socket";
}

static bool is_socket(const struct dump *d, const struct open_file *file)
{
	return S_ISSOCK(file->st.st_mode) && !(file->flags & O_PATH);
}

static int look_socket(struct dump *d, struct open_file *file, struct error *err)
{
	int fd = open_file_local(d, file);
	const char *what = fd >= 0 ? describe_socket(fd) : "socket";

	open_file_release(d, file);
	error_hint(err, CLOSE_HINT);
	return error_say(err, -ENOTSUP, TASK_FORMAT ", fd %d, %s: sockets are not supported yet", TASK_ARGS(file->task),
			 file->fd, what);
}

const struct file_kind unsupported_socket_kind = {
	.name = "socket",
	.type = FD_TYPES__UND,
	.is = is_socket,
	.look = look_socket,
};

/* No option can save these: only the program can do without, or make it again. */
static int refuse_kind(const struct open_file *file, struct error *err, const char *what)
{
	error_hint(err, CLOSE_HINT);
	if (file->fd < 0 && file->map_end)
		return error_say(err, -ENOTSUP,
				 TASK_FORMAT ", mapping %llx-%llx, %s: files of this kind are not supported",
				 TASK_ARGS(file->task), (unsigned long long)file->map_start,
				 (unsigned long long)file->map_end, what);
	return error_say(err, -ENOTSUP, TASK_FORMAT ", fd %d, %s: files of this kind are not supported",
			 TASK_ARGS(file->task), file->fd, what);
}

/* --- handles ---------------------------------------------------------------------------------------------------- */

/* What the kernel opens with O_PATH by its link in /proc; that of a memfd is like the path of a file. */
static bool is_handle(const struct dump *d, const struct open_file *file)
{
	static const char *const links[] = { "anon_inode:", "socket:[" };

	if (!(file->flags & O_PATH) || file->fd < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (file->link && !strncmp(file->link, links[i], strlen(links[i])))
			return true;
	return file->st.st_dev == d->files->pipe_dev;
}

static int look_handle(struct dump *d, struct open_file *file, struct error *err)
{
	error_hint(err, CLOSE_HINT);
	return error_say(err, -ENOTSUP, TASK_FORMAT ", fd %d, %s: is open with O_PATH and cannot be opened so again",
			 TASK_ARGS(file->task), file->fd, file->link ? file->link : "pipe");
}

const struct file_kind unsupported_handle_kind = {
	.name = "handle",
	.type = FD_TYPES__UND,
	.is = is_handle,
	.look = look_handle,
};

/* --- anonymous inodes ----------------------------------------------------------------------------------------- */

static const struct {
	const char *link; /* beginning of what follows "anon_inode:" */
	const char *what;
} anonymous[] = {
	{ "[userfaultfd]", "userfaultfd" },
	{ "[perf_event]", "perf event" },
	{ "bpf-map", "BPF map" },
	{ "bpf-prog", "BPF program" },
	{ "bpf_link", "BPF link" },
	{ "bpf_iter", "BPF iterator" },
	{ "btf", "BPF type information" },
	{ "seccomp notify", "seccomp listener" },
	{ "[landlock-ruleset]", "landlock ruleset" },
	{ "[fscontext]", "filesystem context (fsopen)" },
	{ "kvm-", "virtual machine (KVM)" },
	{ "[vfio", "VFIO device" },
	{ "iommufd", "IOMMU" },
	{ "sync_file", "sync file" },
	{ "[papr", "hypervisor handle" },
	{ "[gpio", "GPIO line" },
	{ "counter", "counter device" },
	{ "[secretmem]", "secret memory (memfd_secret)" },
	{ "vtpm", "TPM" },
	{ "ntsync", "NT synchronization object" },
};

static bool is_anonymous(const struct dump *d, const struct open_file *file)
{
	return file->link && !strncmp(file->link, "anon_inode:", strlen("anon_inode:"));
}

static int look_anonymous(struct dump *d, struct open_file *file, struct error *err)
{
	const char *name = file->link + strlen("anon_inode:"), *what = name;

	for (size_t i = 0; i < ARRAY_SIZE(anonymous); i++)
		if (!strncmp(name, anonymous[i].link, strlen(anonymous[i].link)))
			what = anonymous[i].what;
	return refuse_kind(file, err, what);
}

const struct file_kind unsupported_anonymous_kind = {
	.name = "anonymous inode",
	.type = FD_TYPES__UND,
	.is = is_anonymous,
	.look = look_anonymous,
};

/* --- filesystems whose files are objects of another sort ---------------------------------------------------------- */

static const struct {
	const char *prefix; /* of the link */
	const char *suffix;
	const char *what;
} special_links[] = {
	{ "/secretmem", " (deleted)", "secret memory (memfd_secret)" },
	{ "/SYSV", " (deleted)", "System V shared memory" },
	{ "/dmabuf:", "", "DMA buffer" },
	{ "pid_for_children:[", "]", "pid namespace" },
	{ "time_for_children:[", "]", "time namespace" },
};

static const char *special_link(const char *link)
{
	size_t length = strlen(link);

	for (size_t i = 0; i < ARRAY_SIZE(special_links); i++) {
		size_t suffix = strlen(special_links[i].suffix);

		if (!strncmp(link, special_links[i].prefix, strlen(special_links[i].prefix)) && length > suffix &&
		    !strcmp(link + (length - suffix), special_links[i].suffix))
			return special_links[i].what;
	}
	return NULL;
}

static const char *special_what(const struct open_file *file)
{
	return file->link && file->name_state != FILE_NAME_GOOD ? special_link(file->link) : NULL;
}

static bool is_special(const struct dump *d, const struct open_file *file)
{
	return special_what(file) != NULL;
}

static int look_special(struct dump *d, struct open_file *file, struct error *err)
{
	return refuse_kind(file, err, special_what(file));
}

const struct file_kind unsupported_special_kind = {
	.name = "special file",
	.type = FD_TYPES__UND,
	.is = is_special,
	.look = look_special,
};

/* --- message queues ------------------------------------------------------------------------------------------- */

#define MQUEUE_MAGIC 0x19800202

/* A queue looks like a regular file of 80 bytes; only the filesystem tells, which need not be mounted anywhere. */
static bool is_queue(const struct dump *d, const struct open_file *file)
{
	char path[64];
	struct statfs fs;

	if (!S_ISREG(file->st.st_mode) || file->st.st_size != 80 || file->flags & O_PATH || file->fd < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/fd/%d", file->task->procfd, file->fd);
	return statfs(path, &fs) == 0 && fs.f_type == MQUEUE_MAGIC;
}

static int look_queue(struct dump *d, struct open_file *file, struct error *err)
{
	return refuse_kind(file, err, "POSIX message queue");
}

const struct file_kind unsupported_queue_kind = {
	.name = "message queue",
	.type = FD_TYPES__UND,
	.is = is_queue,
	.look = look_queue,
};

/* --- mounts ------------------------------------------------------------------------------------------------------ */

static bool is_mounted(const struct task *task, int mnt_id)
{
	AUTO_BUFFER struct buffer mounts = { 0 };
	char start[24];
	size_t length = (size_t)snprintf(start, sizeof(start), "\n%d ", mnt_id);

	if (buffer_read_at(&mounts, task->procfd, "mountinfo") < 0)
		return true;
	return !strncmp(mounts.data, start + 1, length - 1) || strstr(mounts.data, start);
}

/* What open_tree(2) and fsmount(2) give: a mount that is nowhere, whose path says nothing. */
static bool is_detached_mount(const struct dump *d, const struct open_file *file)
{
	struct statx st;

	if (!(file->flags & O_PATH) || !S_ISDIR(file->st.st_mode) || file->mnt_id < 0 || file->fd < 0 || !file->link)
		return false;
	if (file->name_state == FILE_NAME_GOOD &&
	    statx(AT_FDCWD, file->link, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &st) == 0 &&
	    st.stx_mnt_id == (uint64_t)file->mnt_id)
		return false;
	return !is_mounted(file->task, file->mnt_id);
}

static int look_detached_mount(struct dump *d, struct open_file *file, struct error *err)
{
	return refuse_kind(file, err, "detached mount");
}

const struct file_kind unsupported_mount_kind = {
	.name = "detached mount",
	.type = FD_TYPES__UND,
	.is = is_detached_mount,
	.look = look_detached_mount,
};
