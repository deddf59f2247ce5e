/*
 * What the user asked for, as the engines see it. The command line, the configuration files and the RPC requests all
 * fill this one structure; below it nobody knows where an option came from. The engines take it as const.
 *
 * options_init() gives the defaults, options_done() releases all strings, lists and the two directory descriptors.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What becomes of the tasks after a dump (or whether a restore leaves them stopped). */
enum leave_mode {
	LEAVE_DEFAULT, /* dump: killed; restore: running */
	LEAVE_RUNNING,
	LEAVE_STOPPED,
};

/* The numbers are those of the wire and of the images; the order is not by strength. */
enum cgroup_mode {
	CGROUP_IGNORE = 0,
	CGROUP_NONE = 1,
	CGROUP_PROPS = 2,
	CGROUP_SOFT = 3,
	CGROUP_FULL = 4,
	CGROUP_STRICT = 5,
};

/* Numbered as in inventory.img; RPC counts from one. */
enum network_lock {
	NETWORK_LOCK_IPTABLES = 0,
	NETWORK_LOCK_NFTABLES = 1,
	NETWORK_LOCK_SKIP = 2,
};

enum file_validation {
	FILE_VALIDATION_SIZE,
	FILE_VALIDATION_BUILD_ID,
};

enum pre_dump_mode {
	PRE_DUMP_SPLICE,
	PRE_DUMP_READ,
};

enum cpu_cap {
	CPU_CAP_FPU = 1 << 0,
	CPU_CAP_CPU = 1 << 1,
	CPU_CAP_INS = 1 << 2,
	CPU_CAP_IMAGE = 1 << 3, /* write or read cpuinfo.img: only set by an explicit value */
	CPU_CAP_ALL = CPU_CAP_FPU | CPU_CAP_CPU | CPU_CAP_INS,
	CPU_CAP_DEFAULT = CPU_CAP_FPU | CPU_CAP_INS,
};

struct string_list {
	char **items;
	size_t count;
	size_t capacity;
};

/* TYPE[ID]:VALUE; id is "" for "mnt[]", value is NULL where there is none. */
struct external {
	char *type;
	char *id;
	char *value;
};

/* A descriptor of this process that takes the place of the resource called key, e.g. "pipe:[1234]" or "tty[1:2]". */
struct inherit_fd {
	int fd;
	char *key;
};

/* What may have happened to a file until the restore. */
enum file_policy {
	FILE_POLICY_NONE, /* none was given: size, mode and build-id */
	FILE_POLICY_EXACT,
	FILE_POLICY_APPEND,
	FILE_POLICY_ANY,
};

struct file_policy_rule {
	char *pattern;
	int policy; /* enum file_policy */
};

/* What is at OLD or below it in the images is looked for at NEW. Without slashes at the end but for "/" itself. */
struct path_map {
	char *from;
	char *to;
};

/* May be called often; done and total are bytes, total is 0 while unknown. phase is a word or two: "write pages". */
struct progress {
	void (*report)(void *ctx, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
	void *ctx;
};

/* Asked before the action scripts run, with the hook's name; pid is 0 when there is none to tell. Non-zero: failed. */
struct hook_listener {
	int (*notify)(void *ctx, const char *action, pid_t pid);
	void *ctx;
};

struct options {
	/* what to work on */
	pid_t pid; /* root of the tree, as seen from here; 0 while not given */
	char *images_dir;
	char *work_dir;
	int images_dir_fd; /* open before any stage runs */
	int work_dir_fd;   /* the process has changed to it too */

	/* how the run shows itself */
	char *log_file;
	int log_level;
	bool log_pid;
	char *pidfile; /* relative to the work directory */
	bool display_stats;
	const struct progress *progress;      /* may be NULL */
	const struct hook_listener *listener; /* may be NULL */

	/* what becomes of the tasks */
	int leave; /* enum leave_mode */
	bool detach;
	bool restore_sibling;
	char **exec_cmd; /* NULL-terminated, NULL when not given */
	bool exec_cmd_given;

	/* state that is dumped only on demand */
	bool shell_job;
	bool file_locks;
	bool tcp_established;
	bool tcp_close;
	bool skip_in_flight;
	bool ext_unix_sk;
	struct string_list ext_unix_inodes;

	/* files */
	bool link_remap;
	bool evasive_devices;
	uint64_t ghost_limit_bytes;
	bool ghost_fiemap;
	bool force_irmap;
	struct string_list irmap_scan_paths;
	int file_validation; /* enum file_validation */
	bool skip_file_rwx_check;

	struct file_policy_rule *file_policies;
	size_t file_policy_count;
	size_t file_policy_capacity;
	struct path_map *path_maps;
	size_t path_map_count;
	size_t path_map_capacity;

	/* things outside the tree */
	struct external *externals;
	size_t external_count;
	size_t external_capacity;
	struct inherit_fd *inherit_fds;
	size_t inherit_fd_count;
	size_t inherit_fd_capacity;

	/* hooks */
	struct string_list action_scripts; /* in the order given; the last one runs first */
	char *lib_dir;

	/* freezing */
	unsigned int timeout_sec; /* 0: the default */
	unsigned int io_wait_sec; /* how long requests in flight are waited for */
	char *freeze_cgroup;

	/* cgroups */
	int cgroup_mode; /* enum cgroup_mode */
	struct string_list cgroup_roots;
	char *cgroup_props;
	char *cgroup_props_file;
	struct string_list cgroup_controllers;
	char *cgroup_yard;

	/* security */
	char *lsm_profile;
	char *lsm_mount_context;
	bool unprivileged;

	/* mounts and namespaces */
	char *root;
	struct string_list skip_mounts;
	struct string_list enabled_filesystems;
	bool mntns_compat_mode;
	unsigned int empty_ns; /* CLONE_NEW* */
	struct string_list join_ns;
	bool weak_sysctls;
	int network_lock; /* enum network_lock */

	/* processor */
	unsigned int cpu_cap; /* enum cpu_cap */
	bool allow_uprobes;

	/* memory, incremental sets, page transfer */
	bool track_mem;
	char *parent_images_dir; /* relative to the image directory */
	bool auto_dedup;
	int pre_dump_mode; /* enum pre_dump_mode */
	bool page_server;
	char *address;
	unsigned int port;
	int ps_socket;
	bool lazy_pages;
	bool stream;
	int status_fd;
	bool tls;
	char *tls_cacert;
	char *tls_cacrl;
	char *tls_cert;
	char *tls_key;
	bool tls_no_cn_verify;

	/* the rest */
	bool deprecated;
	bool check_extra;
	bool check_experimental;
	bool check_all;
	char *check_feature;
};

void options_init(struct options *opts);
void options_done(struct options *opts);

/* --timeout: how long all tasks of a tree may take to stop, and later to end. */
uint64_t options_timeout_ns(const struct options *opts);

/* Copies text to the end of the list: 0 or -ENOMEM. */
int string_list_add(struct string_list *list, const char *text);

/* "TYPE[ID]" or "TYPE[ID]:VALUE": 0, -EINVAL when it is not of this form, -ENOMEM. */
int options_add_external(struct options *opts, const char *text);

/* The last one given of this type and id, NULL if there is none. */
const struct external *options_find_external(const struct options *opts, const char *type, const char *id);

/* Which descriptor takes the place of key; -ENOENT if none does. The first one given wins. */
int options_find_inherit_fd(const struct options *opts, const char *key);
int options_add_inherit_fd(struct options *opts, int fd, const char *key);

int options_add_file_policy(struct options *opts, const char *pattern, int policy);

/* Of the last rule whose pattern matches the whole path, FILE_POLICY_NONE. */
enum file_policy options_find_file_policy(const struct options *opts, const char *path);

/* Both without slashes at their end: 0 or -ENOMEM. */
int options_add_path_map(struct options *opts, const char *from, const char *to);

/* The map with the longest OLD that path is or lies below, the last one given of several; NULL when there is none. */
const struct path_map *options_find_path_map(const struct options *opts, const char *path);

static inline bool leaves_tasks_dead(const struct options *opts)
{
	return opts->leave == LEAVE_DEFAULT;
}
