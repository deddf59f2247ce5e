/*
 * The table of image files. Names, magics and messages are those of the image format; a row is all there is to know
 * about a kind of file, except for what follows some messages as raw bytes, which those who write it know.
 */
#include "image/image-types.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "images/apparmor.pb-c.h"
#include "images/autofs.pb-c.h"
#include "images/binfmt-misc.pb-c.h"
#include "images/bpfmap-data.pb-c.h"
#include "images/bpfmap-file.pb-c.h"
#include "images/cgroup.pb-c.h"
#include "images/core.pb-c.h"
#include "images/cpuinfo.pb-c.h"
#include "images/creds.pb-c.h"
#include "images/fdinfo.pb-c.h"
#include "images/fh.pb-c.h"
#include "images/file-lock.pb-c.h"
#include "images/fs.pb-c.h"
#include "images/ghost-file.pb-c.h"
#include "images/inventory.pb-c.h"
#include "images/ipc-msg.pb-c.h"
#include "images/ipc-sem.pb-c.h"
#include "images/ipc-shm.pb-c.h"
#include "images/ipc-var.pb-c.h"
#include "images/memfd.pb-c.h"
#include "images/mm.pb-c.h"
#include "images/mnt.pb-c.h"
#include "images/netdev.pb-c.h"
#include "images/pagemap.pb-c.h"
#include "images/pidns.pb-c.h"
#include "images/pipe-data.pb-c.h"
#include "images/pstree.pb-c.h"
#include "images/remap-file-path.pb-c.h"
#include "images/seccomp.pb-c.h"
#include "images/sk-packet.pb-c.h"
#include "images/stats.pb-c.h"
#include "images/tcp-stream.pb-c.h"
#include "images/timens.pb-c.h"
#include "images/timer.pb-c.h"
#include "images/tty.pb-c.h"
#include "images/userns.pb-c.h"
#include "images/utsns.pb-c.h"

/* One such file in a set. */
#define ONE(kind, name, file_magic, msg)                                                                               \
	[kind] = { .title = name, .prefix = name, .suffix = ".img", .magic = file_magic, .message = &msg##__descriptor }

/* One for each id. */
#define PER_ID(kind, name, file_magic, msg)                                                                            \
	[kind] = { .title = name,                                                                                      \
		   .prefix = name "-",                                                                                 \
		   .suffix = ".img",                                                                                   \
		   .id_style = IMAGE_ID_DECIMAL,                                                                       \
		   .magic = file_magic,                                                                                \
		   .message = &msg##__descriptor }

#define PER_HEX_ID(kind, name, file_magic, head_msg, msg)                                                              \
	[kind] = { .title = name,                                                                                      \
		   .prefix = name "-",                                                                                 \
		   .suffix = ".img",                                                                                   \
		   .id_style = IMAGE_ID_HEX,                                                                           \
		   .magic = file_magic,                                                                                \
		   .head = head_msg,                                                                                   \
		   .message = &msg##__descriptor }

#define PER_ID_HEADED(kind, name, file_magic, head_msg, msg)                                                           \
	[kind] = { .title = name,                                                                                      \
		   .prefix = name "-",                                                                                 \
		   .suffix = ".img",                                                                                   \
		   .id_style = IMAGE_ID_DECIMAL,                                                                       \
		   .magic = file_magic,                                                                                \
		   .head = &head_msg##__descriptor,                                                                    \
		   .message = &msg##__descriptor }

/* In the work directory, without suffix. */
#define SERVICE(kind, name, file_magic, msg)                                                                           \
	[kind] = { .title = name,                                                                                      \
		   .prefix = name,                                                                                     \
		   .suffix = "",                                                                                       \
		   .framing = IMAGE_FRAMING_SERVICE,                                                                   \
		   .magic = file_magic,                                                                                \
		   .message = &msg##__descriptor }

#define RAW(kind, name, end)                                                                                           \
	[kind] = { .title = name,                                                                                      \
		   .prefix = name "-",                                                                                 \
		   .suffix = end,                                                                                      \
		   .id_style = IMAGE_ID_DECIMAL,                                                                       \
		   .framing = IMAGE_FRAMING_RAW }

static const struct image_type types[IMAGE_KINDS] = {
	[IMAGE_INVENTORY] = { .title = "inventory",
			      .prefix = "inventory",
			      .suffix = ".img",
			      .framing = IMAGE_FRAMING_OWN,
			      .magic = 0x58313116,
			      .message = &inventory_entry__descriptor },
	ONE(IMAGE_PSTREE, "pstree", 0x50273030, pstree_entry),
	PER_ID(IMAGE_CORE, "core", 0x55053847, core_entry),
	PER_ID(IMAGE_IDS, "ids", 0x54432030, task_kobj_ids_entry),
	PER_ID(IMAGE_MM, "mm", 0x57492820, mm_entry),
	PER_ID(IMAGE_FS, "fs", 0x51403912, fs_entry),
	PER_ID(IMAGE_FDINFO, "fdinfo", 0x56213732, fdinfo_entry),
	PER_ID_HEADED(IMAGE_PAGEMAP, "pagemap", 0x56084025, pagemap_head, pagemap_entry),
	PER_ID_HEADED(IMAGE_PAGEMAP_SHMEM, "pagemap-shmem", 0x56084025, pagemap_head, pagemap_entry),
	RAW(IMAGE_PAGES, "pages", ".img"),
	ONE(IMAGE_FILES, "files", 0x56303138, file_entry),
	ONE(IMAGE_REMAP_FPATH, "remap-fpath", 0x59133954, remap_file_path_entry),
	PER_HEX_ID(IMAGE_GHOST_FILE, "ghost-file", 0x52583605, &ghost_file_entry__descriptor, ghost_chunk_entry),
	ONE(IMAGE_MEMFD, "memfd", 0x48453499, memfd_inode_entry),
	ONE(IMAGE_PIPES_DATA, "pipes-data", 0x56453709, pipe_data_entry),
	ONE(IMAGE_FIFO_DATA, "fifo-data", 0x59333054, pipe_data_entry),
	ONE(IMAGE_SK_QUEUES, "sk-queues", 0x56264026, sk_packet_entry),
	PER_HEX_ID(IMAGE_TCP_STREAM, "tcp-stream", 0x51465506, NULL, tcp_stream_entry),
	ONE(IMAGE_TTY_INFO, "tty-info", 0x59453036, tty_info_entry),
	ONE(IMAGE_TTY_DATA, "tty-data", 0x59413026, tty_data_entry),
	ONE(IMAGE_FILELOCKS, "filelocks", 0x54323616, file_lock_entry),
	ONE(IMAGE_CGROUP, "cgroup", 0x59383330, cgroup_entry),
	ONE(IMAGE_SECCOMP, "seccomp", 0x64413049, seccomp_entry),
	ONE(IMAGE_APPARMOR, "apparmor", 0x59423047, apparmor_entry),
	ONE(IMAGE_CPUINFO, "cpuinfo", 0x61404013, cpuinfo_entry),
	ONE(IMAGE_BPFMAP_FILE, "bpfmap-file", 0x57506142, bpfmap_file_entry),
	ONE(IMAGE_BPFMAP_DATA, "bpfmap-data", 0x64324033, bpfmap_data_entry),
	ONE(IMAGE_BINFMT_MISC, "binfmt-misc", 0x67343323, binfmt_misc_entry),
	PER_ID(IMAGE_AUTOFS, "autofs", 0x49353943, autofs_entry),
	PER_ID(IMAGE_MOUNTPOINTS, "mountpoints", 0x55563928, mnt_entry),
	RAW(IMAGE_TMPFS_DEV, "tmpfs-dev", ".tar.gz.img"),
	PER_ID(IMAGE_UTSNS, "utsns", 0x54473203, utsns_entry),
	PER_ID(IMAGE_TIMENS, "timens", 0x43114433, timens_entry),
	PER_ID(IMAGE_PIDNS, "pidns", 0x61157326, pidns_entry),
	PER_ID(IMAGE_USERNS, "userns", 0x55474906, userns_entry),
	PER_ID(IMAGE_IPCNS_VAR, "ipcns-var", 0x53115007, ipc_var_entry),
	PER_ID(IMAGE_IPCNS_SHM, "ipcns-shm", 0x46283044, ipc_shm_entry),
	[IMAGE_IPCNS_MSG] = { .title = "ipcns-msg",
			      .prefix = "ipcns-msg-",
			      .suffix = ".img",
			      .id_style = IMAGE_ID_DECIMAL,
			      .magic = 0x55453737,
			      .message = &ipc_msg_entry__descriptor,
			      .sub_message = &ipc_msg__descriptor },
	PER_ID(IMAGE_IPCNS_SEM, "ipcns-sem", 0x59573019, ipc_sem_entry),
	PER_ID(IMAGE_NETDEV, "netdev", 0x57373951, net_device_entry),
	PER_ID(IMAGE_NETNS, "netns", 0x55933752, netns_entry),
	RAW(IMAGE_IFADDR, "ifaddr", ".img"),
	RAW(IMAGE_ROUTE, "route", ".img"),
	RAW(IMAGE_ROUTE6, "route6", ".img"),
	RAW(IMAGE_RULE, "rule", ".img"),
	RAW(IMAGE_IPTABLES, "iptables", ".img"),
	RAW(IMAGE_IP6TABLES, "ip6tables", ".img"),
	RAW(IMAGE_NFTABLES, "nftables", ".img"),
	RAW(IMAGE_NETNS_CT, "netns-ct", ".img"),
	RAW(IMAGE_NETNS_EXP, "netns-exp", ".img"),
	SERVICE(IMAGE_STATS_DUMP, "stats-dump", 0x57093306, stats_entry),
	SERVICE(IMAGE_STATS_RESTORE, "stats-restore", 0x57093306, stats_entry),
	SERVICE(IMAGE_IRMAP_CACHE, "irmap-cache", 0x57004059, irmap_cache_entry),

	PER_ID(IMAGE_OLD_BINFMT_MISC, "binfmt-misc", 0x67343323, binfmt_misc_entry),
	RAW(IMAGE_OLD_TMPFS, "tmpfs", ".tar.gz.img"),
	ONE(IMAGE_OLD_REG_FILES, "reg-files", 0x50363636, reg_file_entry),
	ONE(IMAGE_OLD_EXT_FILES, "ext-files", 0x59255641, ext_file_entry),
	ONE(IMAGE_OLD_NS_FILES, "ns-files", 0x61394011, ns_file_entry),
	ONE(IMAGE_OLD_EVENTFD, "eventfd", 0x44523722, eventfd_file_entry),
	ONE(IMAGE_OLD_EVENTPOLL, "eventpoll", 0x45023858, eventpoll_file_entry),
	ONE(IMAGE_OLD_EVENTPOLL_TFD, "eventpoll-tfd", 0x44433746, eventpoll_tfd_entry),
	ONE(IMAGE_OLD_SIGNALFD, "signalfd", 0x57323820, signalfd_entry),
	ONE(IMAGE_OLD_INOTIFY, "inotify", 0x48424431, inotify_file_entry),
	ONE(IMAGE_OLD_INOTIFY_WD, "inotify-wd", 0x54562009, inotify_wd_entry),
	ONE(IMAGE_OLD_FANOTIFY, "fanotify", 0x55096122, fanotify_file_entry),
	ONE(IMAGE_OLD_FANOTIFY_MARK, "fanotify-mark", 0x56506035, fanotify_mark_entry),
	ONE(IMAGE_OLD_PIPES, "pipes", 0x56513555, pipe_entry),
	ONE(IMAGE_OLD_FIFO, "fifo", 0x58364939, fifo_entry),
	ONE(IMAGE_OLD_UNIXSK, "unixsk", 0x54373943, unix_sk_entry),
	ONE(IMAGE_OLD_INETSK, "inetsk", 0x56443851, inet_sk_entry),
	ONE(IMAGE_OLD_PACKETSK, "packetsk", 0x60454618, packet_sock_entry),
	ONE(IMAGE_OLD_NETLINKSK, "netlinksk", 0x58005614, netlink_sk_entry),
	ONE(IMAGE_OLD_TTY, "tty", 0x59433025, tty_file_entry),
	ONE(IMAGE_OLD_TUNFILE, "tunfile", 0x57143751, tunfile_entry),
	ONE(IMAGE_OLD_TIMERFD, "timerfd", 0x50493712, timerfd_entry),
	ONE(IMAGE_OLD_PIDFD, "pidfd", 0x54435556, pidfd_entry),
	PER_ID(IMAGE_OLD_VMAS, "vmas", 0x54123737, vma_entry),
	PER_ID(IMAGE_OLD_SIGACTS, "sigacts", 0x55344201, sa_entry),
	PER_ID(IMAGE_OLD_ITIMERS, "itimers", 0x57464056, itimer_entry),
	PER_ID(IMAGE_OLD_POSIX_TIMERS, "posix-timers", 0x52603957, posix_timer_entry),
	PER_ID(IMAGE_OLD_CREDS, "creds", 0x54023547, creds_entry),
	PER_ID(IMAGE_OLD_RLIMIT, "rlimit", 0x57113925, rlimit_entry),
	PER_ID(IMAGE_OLD_SIGNAL_S, "signal-s", 0x59255647, siginfo_entry),
	PER_ID(IMAGE_OLD_SIGNAL_P, "signal-p", 0x59255647, siginfo_entry),
};

const struct image_type *image_type(enum image_kind kind)
{
	return &types[kind];
}

void image_name(enum image_kind kind, uint64_t id, char ret_name[IMAGE_NAME_MAX])
{
	const struct image_type *type = &types[kind];

	switch (type->id_style) {
	case IMAGE_ID_NONE:
		(void)snprintf(ret_name, IMAGE_NAME_MAX, "%s%s", type->prefix, type->suffix);
		break;
	case IMAGE_ID_DECIMAL:
		(void)snprintf(ret_name, IMAGE_NAME_MAX, "%s%" PRIu64 "%s", type->prefix, id, type->suffix);
		break;
	case IMAGE_ID_HEX:
		(void)snprintf(ret_name, IMAGE_NAME_MAX, "%s%" PRIx64 "%s", type->prefix, id, type->suffix);
		break;
	}
}

/* True when name is one that image_name() makes for this kind. */
static bool name_is_of_kind(const char *name, enum image_kind kind, uint64_t *ret_id)
{
	const struct image_type *type = &types[kind];
	size_t prefix = strlen(type->prefix), suffix = strlen(type->suffix), length = strlen(name);
	char number[IMAGE_NAME_MAX], again[IMAGE_NAME_MAX];
	uint64_t id = 0;

	if (length < prefix + suffix || length >= IMAGE_NAME_MAX || strncmp(name, type->prefix, prefix) != 0)
		return false;
	(void)snprintf(number, sizeof(number), "%.*s", (int)(length - prefix - suffix), name + prefix);
	if (type->id_style != IMAGE_ID_NONE && parse_u64(number, type->id_style == IMAGE_ID_HEX ? 16 : 10, &id) < 0)
		return false;
	image_name(kind, id, again);
	if (strcmp(name, again) != 0)
		return false;
	*ret_id = id;
	return true;
}

int image_parse_name(const char *name, enum image_kind *ret_kind, uint64_t *ret_id)
{
	for (unsigned int kind = 0; kind < IMAGE_KINDS; kind++) {
		if (name_is_of_kind(name, kind, ret_id)) {
			*ret_kind = kind;
			return 0;
		}
	}
	return -ENOENT;
}

int image_find_magic(uint32_t magic, enum image_kind *ret_kind)
{
	for (unsigned int kind = 0; kind < IMAGE_KINDS; kind++) {
		if (types[kind].framing != IMAGE_FRAMING_RAW && types[kind].magic == magic) {
			*ret_kind = kind;
			return 0;
		}
	}
	return -ENOENT;
}
