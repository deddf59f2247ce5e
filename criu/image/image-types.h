/*
 * The kinds of image files: how each is named, which magic it begins with, how it is framed and which messages it
 * holds. Writer, reader and whoever looks at a directory of images read the same table.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_kind {
	IMAGE_INVENTORY,
	IMAGE_PSTREE,
	IMAGE_CORE,
	IMAGE_IDS,
	IMAGE_MM,
	IMAGE_FS,
	IMAGE_FDINFO,
	IMAGE_PAGEMAP,
	IMAGE_PAGEMAP_SHMEM,
	IMAGE_PAGES,
	IMAGE_FILES,
	IMAGE_REMAP_FPATH,
	IMAGE_GHOST_FILE,
	IMAGE_MEMFD,
	IMAGE_PIPES_DATA,
	IMAGE_FIFO_DATA,
	IMAGE_SK_QUEUES,
	IMAGE_TCP_STREAM,
	IMAGE_TTY_INFO,
	IMAGE_TTY_DATA,
	IMAGE_FILELOCKS,
	IMAGE_CGROUP,
	IMAGE_SECCOMP,
	IMAGE_APPARMOR,
	IMAGE_CPUINFO,
	IMAGE_BPFMAP_FILE,
	IMAGE_BPFMAP_DATA,
	IMAGE_BINFMT_MISC,
	IMAGE_AUTOFS,
	IMAGE_MOUNTPOINTS,
	IMAGE_TMPFS_DEV,
	IMAGE_UTSNS,
	IMAGE_TIMENS,
	IMAGE_PIDNS,
	IMAGE_USERNS,
	IMAGE_IPCNS_VAR,
	IMAGE_IPCNS_SHM,
	IMAGE_IPCNS_MSG,
	IMAGE_IPCNS_SEM,
	IMAGE_NETDEV,
	IMAGE_NETNS,
	IMAGE_IFADDR,
	IMAGE_ROUTE,
	IMAGE_ROUTE6,
	IMAGE_RULE,
	IMAGE_IPTABLES,
	IMAGE_IP6TABLES,
	IMAGE_NFTABLES,
	IMAGE_NETNS_CT,
	IMAGE_NETNS_EXP,
	IMAGE_STATS_DUMP,
	IMAGE_STATS_RESTORE,
	IMAGE_IRMAP_CACHE,

	/* files of old versions: read, never written */
	IMAGE_OLD_BINFMT_MISC,
	IMAGE_OLD_TMPFS,
	IMAGE_OLD_REG_FILES,
	IMAGE_OLD_EXT_FILES,
	IMAGE_OLD_NS_FILES,
	IMAGE_OLD_EVENTFD,
	IMAGE_OLD_EVENTPOLL,
	IMAGE_OLD_EVENTPOLL_TFD,
	IMAGE_OLD_SIGNALFD,
	IMAGE_OLD_INOTIFY,
	IMAGE_OLD_INOTIFY_WD,
	IMAGE_OLD_FANOTIFY,
	IMAGE_OLD_FANOTIFY_MARK,
	IMAGE_OLD_PIPES,
	IMAGE_OLD_FIFO,
	IMAGE_OLD_UNIXSK,
	IMAGE_OLD_INETSK,
	IMAGE_OLD_PACKETSK,
	IMAGE_OLD_NETLINKSK,
	IMAGE_OLD_TTY,
	IMAGE_OLD_TUNFILE,
	IMAGE_OLD_TIMERFD,
	IMAGE_OLD_PIDFD,
	IMAGE_OLD_VMAS,
	IMAGE_OLD_SIGACTS,
	IMAGE_OLD_ITIMERS,
	IMAGE_OLD_POSIX_TIMERS,
	IMAGE_OLD_CREDS,
	IMAGE_OLD_RLIMIT,
	IMAGE_OLD_SIGNAL_S,
	IMAGE_OLD_SIGNAL_P,

	IMAGE_KINDS,
};

enum image_framing {
	IMAGE_FRAMING_COMMON,  /* common magic, file magic, records; in the oldest sets without the common magic */
	IMAGE_FRAMING_SERVICE, /* service magic, file magic, records */
	IMAGE_FRAMING_OWN,     /* file magic, records */
	IMAGE_FRAMING_RAW,     /* no magic, no records */
};

#define IMAGE_MAGIC_COMMON  0x54564319u
#define IMAGE_MAGIC_SERVICE 0x55105940u

enum image_id_style {
	IMAGE_ID_NONE, /* one such file in a set */
	IMAGE_ID_DECIMAL,
	IMAGE_ID_HEX,
};

struct image_type {
	const char *title; /* what a sentence calls it */
	const char *prefix;
	const char *suffix; /* file name: prefix, id, suffix */
	enum image_id_style id_style;
	enum image_framing framing;
	uint32_t magic;
	const ProtobufCMessageDescriptor *head; /* the first record, where it is of a kind of its own */
	const ProtobufCMessageDescriptor *message;
	const ProtobufCMessageDescriptor *sub_message; /* records that follow a record of `message` */
};

#define IMAGE_NAME_MAX 64

const struct image_type *image_type(enum image_kind kind);

/* Writes the file name of an image; id is ignored where the kind has none. */
void image_name(enum image_kind kind, uint64_t id, char ret_name[IMAGE_NAME_MAX]);

/* The way back: 0, or -ENOENT when no kind has such names. An old kind is found only when no current one fits. */
int image_parse_name(const char *name, enum image_kind *ret_kind, uint64_t *ret_id);

/* The first kind with this file magic: 0 or -ENOENT. */
int image_find_magic(uint32_t magic, enum image_kind *ret_kind);
