/*
 * Every option there is, in the order of the help text. To add a function behind one that is "not there yet": let the
 * engine read its member of struct options and set the state to OPTION_IMPLEMENTED. To add an option: a member of
 * struct options and a row here.
 */
#include "cmd/options.h"

#include <stddef.h>

#include "base/util.h"
#include "cmd/values.h"

#define DUMPS    (VERB_DUMP | VERB_PRE_DUMP)
#define ENGINES  (VERB_DUMP | VERB_RESTORE)
#define ALL_RUNS (DUMPS | VERB_RESTORE)
#define SERVERS  (VERB_PAGE_SERVER | VERB_SERVICE | VERB_LAZY_PAGES)
#define PAGES    (VERB_PAGE_SERVER | VERB_DUMP | VERB_PRE_DUMP | VERB_LAZY_PAGES)

#define NOT_YET        .state = OPTION_NOT_THERE_YET
#define CAN_BE_NEGATED .negatable = true

#define FLAG(member)        .store = STORE_FLAG, .offset = offsetof(struct options, member)
#define STRING(member)      .store = STORE_STRING, .offset = offsetof(struct options, member), .argument = ARGUMENT_REQUIRED
#define LIST(member)        .store = STORE_LIST, .offset = offsetof(struct options, member), .argument = ARGUMENT_REQUIRED
#define ACTION(parser)      .store = STORE_PARSED, .parse = (parser)
#define VALUE(parser)       .store = STORE_PARSED, .parse = (parser), .argument = ARGUMENT_REQUIRED
#define MAYBE_VALUE(parser) .store = STORE_PARSED, .parse = (parser), .argument = ARGUMENT_OPTIONAL

static const struct option_row rows[] = {
	{ "tree", 't', VALUE(parse_tree), .argument_name = "PID", .verbs = DUMPS | VERB_CHECK,
	  .help = "the process at the root of the tree" },
	{ "pid", 0, VALUE(parse_pid), .argument_name = "PID", .verbs = VERB_CHECK,
	  .help = "list what of this tree could not be saved, and why" },
	{ "images-dir", 'D', STRING(images_dir), .argument_name = "DIR", .verbs = VERB_ANY,
	  .help = "where the image files are (default: the current directory)" },
	{ "work-dir", 'W', STRING(work_dir), .argument_name = "DIR", .verbs = VERB_ANY,
	  .help = "where log, pidfile and statistics go (default: the image directory)" },
	{ "log-file", 'o', STRING(log_file), .argument_name = "FILE", .verbs = VERB_ANY,
	  .help = "log file in the work directory, \"-\" is standard output (default: standard error)" },
	{ "log-pid", 0, FLAG(log_pid), .verbs = VERB_RESTORE, CAN_BE_NEGATED,
	  .help = "a log file FILE.PID of its own for each restored task" },
	{ "verbosity", 'v', MAYBE_VALUE(parse_verbosity), .argument_name = "NUM", .verbs = VERB_ANY,
	  .help = "1 errors, 2 warnings (default), 3 what is done, 4 everything; -v, -vv: that much more" },
	{ "display-stats", 0, FLAG(display_stats), .verbs = ENGINES, CAN_BE_NEGATED,
	  .help = "print the figures of the run" },
	{ "pidfile", 0, STRING(pidfile), .argument_name = "FILE", .verbs = VERB_RESTORE | SERVERS,
	  .help = "write the pid to this new file" },

	{ "leave-running", 'R', ACTION(parse_leave_running), .verbs = VERB_DUMP,
	  .help = "let the tasks run on after the dump" },
	{ "leave-stopped", 's', ACTION(parse_leave_stopped), .verbs = ENGINES,
	  .help = "leave the tasks stopped afterwards" },
	{ "restore-detached", 'd', FLAG(detach), .verbs = VERB_RESTORE, CAN_BE_NEGATED,
	  .help = "exit once the tasks run" },
	{ "daemon", 'd', FLAG(detach), .verbs = SERVERS, CAN_BE_NEGATED, NOT_YET, .help = "go to the background" },
	{ "restore-sibling", 'S', FLAG(restore_sibling), .verbs = VERB_RESTORE, CAN_BE_NEGATED,
	  .help = "make the root a child of this command's parent; needs -d" },
	{ "exec-cmd", 0, ACTION(parse_exec_cmd), .verbs = VERB_RESTORE,
	  .help = "after the restore become the command behind \"--\", the tree's parent; not with -d" },

	{ "shell-job", 'j', FLAG(shell_job), .verbs = ENGINES, CAN_BE_NEGATED,
	  .help = "the tree takes session, process group and terminal from outside" },
	{ "file-locks", 'l', FLAG(file_locks), .verbs = ENGINES, CAN_BE_NEGATED,
	  .help = "save and restore file locks" },
	{ "external", 0, VALUE(parse_external), .argument_name = "RES", .verbs = ENGINES,
	  .help = "a resource outside the tree: mnt[..], dev[..], file[..], tty[..], unix[..], net[..], pid[..] ..." },
	{ "inherit-fd", 0, VALUE(parse_inherit_fd), .argument_name = "fd[N]:ID", .verbs = VERB_RESTORE,
	  .help = "descriptor N takes the place of the resource ID" },
	{ "link-remap", 0, FLAG(link_remap), .verbs = ENGINES, CAN_BE_NEGATED,
	  .help = "allow to link deleted files back in under a name of ours" },
	{ "evasive-devices", 0, FLAG(evasive_devices), .verbs = VERB_DUMP, CAN_BE_NEGATED,
	  .help = "take any path to the same device" },
	{ "ghost-limit", 0, VALUE(parse_ghost_limit), .argument_name = "SIZE", .verbs = VERB_DUMP,
	  .help = "the largest deleted file that is saved with its content (default: 1M)" },
	{ "ghost-fiemap", 0, FLAG(ghost_fiemap), .verbs = VERB_DUMP, CAN_BE_NEGATED,
	  .help = "find the holes of such a file by FIEMAP (no effect)" },
	{ "file-validation", 0, VALUE(parse_file_validation), .argument_name = "METHOD", .verbs = ENGINES,
	  .help = "how a file is known to be the same: buildid (default) or filesize" },
	{ "skip-file-rwx-check", 0, FLAG(skip_file_rwx_check), .verbs = VERB_RESTORE, CAN_BE_NEGATED,
	  .help = "permissions of files may have changed" },
	{ "file-policy", 0, VALUE(parse_file_policy), .argument_name = "PATTERN=POLICY", .verbs = ENGINES,
	  .help = "what may have happened to these files: nothing (exact), growth (append) or any change (any)" },
	{ "path-map", 0, VALUE(parse_path_map), .argument_name = "OLD=NEW", .verbs = VERB_RESTORE,
	  .help = "what was at or below OLD is at NEW now" },
	{ "force-irmap", 0, FLAG(force_irmap), .verbs = VERB_DUMP, CAN_BE_NEGATED,
	  .help = "always resolve watches to paths" },
	{ "irmap-scan-path", 0, LIST(irmap_scan_paths), .argument_name = "PATH", .verbs = DUMPS,
	  .help = "search watched files here too" },

	{ "tcp-established", 0, FLAG(tcp_established), .verbs = ENGINES, CAN_BE_NEGATED, NOT_YET,
	  .help = "save and restore TCP connections" },
	{ "tcp-close", 0, FLAG(tcp_close), .verbs = ENGINES, CAN_BE_NEGATED, NOT_YET,
	  .help = "TCP connections come back closed" },
	{ "skip-in-flight", 0, FLAG(skip_in_flight), .verbs = VERB_DUMP, CAN_BE_NEGATED, NOT_YET,
	  .help = "forget TCP connections nobody has accepted yet" },
	{ "ext-unix-sk", 'x', MAYBE_VALUE(parse_ext_unix_sk), .argument_name = "INO,..", .verbs = ENGINES, NOT_YET,
	  .help = "allow unix sockets with peers outside the tree (old: --external unix[INO])" },
	{ "network-lock", 0, VALUE(parse_network_lock), .argument_name = "METHOD", .verbs = VERB_DUMP,
	  .help = "how traffic is held during a dump: iptables (default), nftables, skip (no effect yet)" },

	{ "action-script", 0, LIST(action_scripts), .argument_name = "FILE", .verbs = ALL_RUNS | VERB_PAGE_SERVER,
	  .help = "program to run at the hooks" },
	{ "libdir", 'L', STRING(lib_dir), .argument_name = "DIR", .verbs = ALL_RUNS, NOT_YET,
	  .help = "where plugins are" },
	{ "timeout", 0, VALUE(parse_timeout), .argument_name = "SEC", .verbs = DUMPS,
	  .help = "how long stopping all tasks may take (default: 10)" },
	{ "io-wait", 0, VALUE(parse_io_wait), .argument_name = "SEC", .verbs = VERB_DUMP | VERB_CHECK,
	  .help = "how long AIO and io_uring requests in flight are waited for (default: 1)" },
	{ "freeze-cgroup", 0, STRING(freeze_cgroup), .argument_name = "PATH", .verbs = DUMPS, NOT_YET,
	  .help = "stop the tasks by this freezer cgroup" },

	{ "manage-cgroups", 0, MAYBE_VALUE(parse_manage_cgroups), .argument_name = "MODE", .verbs = ENGINES,
	  .help = "none, props, soft (default), full, strict or ignore" },
	{ "cgroup-root", 0, LIST(cgroup_roots), .argument_name = "[CTRL:]/PATH", .verbs = ENGINES, NOT_YET,
	  .help = "other root for a controller" },
	{ "cgroup-props", 0, STRING(cgroup_props), .argument_name = "TEXT", .verbs = VERB_DUMP, NOT_YET,
	  .help = "further cgroup properties to save" },
	{ "cgroup-props-file", 0, STRING(cgroup_props_file), .argument_name = "FILE", .verbs = VERB_DUMP, NOT_YET,
	  .help = "the same from a file" },
	{ "cgroup-dump-controller", 0, LIST(cgroup_controllers), .argument_name = "NAME", .verbs = VERB_DUMP, NOT_YET,
	  .help = "save this controller only" },
	{ "cgroup-yard", 0, STRING(cgroup_yard), .argument_name = "DIR", .verbs = ENGINES, NOT_YET,
	  .help = "directory with the hierarchies mounted" },
	{ "lsm-profile", 0, STRING(lsm_profile), .argument_name = "TYPE:NAME", .verbs = VERB_RESTORE, NOT_YET,
	  .help = "replace the saved security label" },
	{ "lsm-mount-context", 0, STRING(lsm_mount_context), .argument_name = "CTX", .verbs = VERB_RESTORE, NOT_YET,
	  .help = "replace context= of mounts that have one" },

	{ "root", 'r', STRING(root), .argument_name = "PATH", .verbs = VERB_RESTORE, NOT_YET,
	  .help = "root of the restored mount namespace" },
	{ "skip-mnt", 0, LIST(skip_mounts), .argument_name = "PATH", .verbs = VERB_DUMP, NOT_YET,
	  .help = "leave out this mount" },
	{ "enable-fs", 0, VALUE(parse_enable_fs), .argument_name = "NAME,..", .verbs = ENGINES, NOT_YET,
	  .help = "mount these unknown filesystems as they are, or all" },
	{ "ext-mount-map", 'M', VALUE(parse_external_mount), .argument_name = "KEY:VAL", .verbs = ENGINES, NOT_YET,
	  .help = "external mount (old: --external mnt[KEY]:VAL)" },
	{ "enable-external-sharing", 0, ACTION(parse_external_sharing), .verbs = VERB_DUMP, NOT_YET,
	  .help = "old: --external mnt[]:s" },
	{ "enable-external-masters", 0, ACTION(parse_external_masters), .verbs = VERB_DUMP, NOT_YET,
	  .help = "old: --external mnt[]:m" },
	{ "veth-pair", 0, VALUE(parse_veth_pair), .argument_name = "IN=OUT", .verbs = VERB_RESTORE, NOT_YET,
	  .help = "old: --external veth[IN]:OUT" },
	{ "empty-ns", 0, VALUE(parse_empty_ns), .argument_name = "net", .verbs = ENGINES, NOT_YET,
	  .help = "make the namespace, leave its content to scripts" },
	{ "join-ns", 'J', LIST(join_ns), .argument_name = "NS:{PID|FILE}", .verbs = VERB_RESTORE, NOT_YET,
	  .help = "enter an existing namespace" },
	{ "mntns-compat-mode", 0, FLAG(mntns_compat_mode), .verbs = VERB_RESTORE, CAN_BE_NEGATED, NOT_YET,
	  .help = "mount without MOVE_MOUNT_SET_GROUP" },
	{ "weak-sysctls", 0, FLAG(weak_sysctls), .verbs = VERB_RESTORE, CAN_BE_NEGATED,
	  .help = "a sysctl this kernel lacks is no error (no effect yet)" },

	{ "cpu-cap", 0, MAYBE_VALUE(parse_cpu_cap), .argument_name = "CAP,..", .verbs = ENGINES | VERB_CPUINFO,
	  .help = "which processor features must match: all, cpu, fpu, ins, none; ^CAP takes one away" },
	{ "allow-uprobes", 0, FLAG(allow_uprobes), .verbs = ENGINES, CAN_BE_NEGATED,
	  .help = "the tree may have been traced by uprobes" },
	{ "unprivileged", 0, FLAG(unprivileged), .verbs = VERB_ANY, CAN_BE_NEGATED,
	  .help = "run with CAP_CHECKPOINT_RESTORE instead of as root (no effect)" },

	{ "track-mem", 0, FLAG(track_mem), .verbs = DUMPS, CAN_BE_NEGATED, NOT_YET,
	  .help = "track which memory changes" },
	{ "prev-images-dir", 0, STRING(parent_images_dir), .argument_name = "DIR", .verbs = DUMPS, NOT_YET,
	  .help = "the set this one builds on, relative to the image directory" },
	{ "auto-dedup", 0, FLAG(auto_dedup), .verbs = ENGINES | VERB_PAGE_SERVER, CAN_BE_NEGATED,
	  .verbs_missing = VERB_DUMP | VERB_PAGE_SERVER,
	  .help = "restore: give the space of the pages back, the set cannot be used again" },
	{ "pre-dump-mode", 0, VALUE(parse_pre_dump_mode), .argument_name = "MODE", .verbs = VERB_PRE_DUMP, NOT_YET,
	  .help = "splice (default) or read" },
	{ "page-server", 0, FLAG(page_server), .verbs = DUMPS | VERB_LAZY_PAGES, CAN_BE_NEGATED, NOT_YET,
	  .help = "send pages to a page server" },
	{ "address", 0, STRING(address), .argument_name = "ADDR", .verbs = PAGES | VERB_SERVICE, NOT_YET,
	  .help = "of the server, or the service's socket" },
	{ "port", 0, VALUE(parse_port), .argument_name = "NUM", .verbs = PAGES, NOT_YET, .help = "of the page server" },
	{ "ps-socket", 0, VALUE(parse_ps_socket), .argument_name = "FD", .verbs = PAGES, NOT_YET,
	  .help = "connected socket instead of address and port" },
	{ "lazy-pages", 0, FLAG(lazy_pages), .verbs = ENGINES | VERB_PRE_DUMP | VERB_PAGE_SERVER, NOT_YET,
	  .help = "bring memory over when it is touched" },
	{ "stream", 0, FLAG(stream), .verbs = VERB_ANY, CAN_BE_NEGATED, NOT_YET, .help = "use the image streamer" },
	{ "status-fd", 0, VALUE(parse_status_fd), .argument_name = "FD", .verbs = SERVERS, NOT_YET,
	  .help = "write one zero byte here when ready" },
	{ "tls", 0, FLAG(tls), .verbs = PAGES, CAN_BE_NEGATED, NOT_YET, .help = "encrypt the page server connection" },
	{ "tls-cacert", 0, STRING(tls_cacert), .argument_name = "FILE", .verbs = PAGES, NOT_YET,
	  .help = "certificate authority" },
	{ "tls-cacrl", 0, STRING(tls_cacrl), .argument_name = "FILE", .verbs = PAGES, NOT_YET,
	  .help = "revocation list" },
	{ "tls-cert", 0, STRING(tls_cert), .argument_name = "FILE", .verbs = PAGES, NOT_YET, .help = "certificate" },
	{ "tls-key", 0, STRING(tls_key), .argument_name = "FILE", .verbs = PAGES, NOT_YET, .help = "private key" },
	{ "tls-no-cn-verify", 0, FLAG(tls_no_cn_verify), .verbs = PAGES, NOT_YET,
	  .help = "do not compare the host name" },

	{ "feature", 0, STRING(check_feature), .argument_name = "NAME", .verbs = VERB_CHECK,
	  .help = "ask for one feature only" },
	{ "extra", 0, FLAG(check_extra), .verbs = VERB_CHECK, CAN_BE_NEGATED, .help = "also what few programs need" },
	{ "experimental", 0, FLAG(check_experimental), .verbs = VERB_CHECK, CAN_BE_NEGATED,
	  .help = "also what is experimental" },
	{ "all", 0, FLAG(check_all), .verbs = VERB_CHECK,
	  .help = "both, and list everything with what it is needed for" },
	{ "ms", 0, .store = STORE_EARLY, .verbs = VERB_ANY, .state = OPTION_REMOVED },

	{ "config", 0, .store = STORE_EARLY, .argument = ARGUMENT_REQUIRED, .argument_name = "FILE", .verbs = VERB_ANY,
	  .help = "read options from this file, not from the default ones" },
	{ "no-default-config", 0, .store = STORE_EARLY, .verbs = VERB_ANY,
	  .help = "do not read the default configuration files" },
	{ "deprecated", 0, FLAG(deprecated), .verbs = VERB_ANY, CAN_BE_NEGATED,
	  .help = "allow what is going away (no effect)" },
	{ "close", 0, VALUE(parse_close), .argument_name = "FD", .verbs = VERB_ANY,
	  .help = "close a descriptor first" },
	{ "help", 'h', .store = STORE_EARLY, .verbs = VERB_ANY, .help = "this text" },
	{ "version", 'V', .store = STORE_EARLY, .verbs = VERB_ANY,
	  .help = "version of the interfaces and of the program" },
};

_Static_assert(ARRAY_SIZE(rows) <= OPTION_TABLE_MAX, "struct command_line has room for every row");

const struct option_row *option_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(rows);
	return rows;
}
