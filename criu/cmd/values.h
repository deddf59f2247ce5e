/*
 * The values of options that are more than a string: each takes the text the user gave (NULL when an optional value is
 * absent), stores what it means and returns 0, or -EINVAL with the reason in *err; the option's name is put in front by
 * the caller.
 */
#pragma once

#include <stdint.h>

struct error;
struct options;

/* "4096", "16K", "1M", "2G": bytes. 0, -EINVAL or -ERANGE. */
int parse_size(const char *text, uint64_t *ret_bytes);

int parse_tree(struct options *opts, const char *value, struct error *err);
int parse_pid(struct options *opts, const char *value, struct error *err);
int parse_leave_running(struct options *opts, const char *value, struct error *err);
int parse_leave_stopped(struct options *opts, const char *value, struct error *err);
int parse_verbosity(struct options *opts, const char *value, struct error *err);
int parse_ghost_limit(struct options *opts, const char *value, struct error *err);
int parse_timeout(struct options *opts, const char *value, struct error *err);
int parse_io_wait(struct options *opts, const char *value, struct error *err);
int parse_manage_cgroups(struct options *opts, const char *value, struct error *err);
int parse_network_lock(struct options *opts, const char *value, struct error *err);
int parse_file_validation(struct options *opts, const char *value, struct error *err);
int parse_file_policy(struct options *opts, const char *value, struct error *err);
int parse_path_map(struct options *opts, const char *value, struct error *err);
int parse_pre_dump_mode(struct options *opts, const char *value, struct error *err);
int parse_cpu_cap(struct options *opts, const char *value, struct error *err);
int parse_external(struct options *opts, const char *value, struct error *err);
int parse_external_mount(struct options *opts, const char *value, struct error *err);
int parse_external_sharing(struct options *opts, const char *value, struct error *err);
int parse_external_masters(struct options *opts, const char *value, struct error *err);
int parse_veth_pair(struct options *opts, const char *value, struct error *err);
int parse_inherit_fd(struct options *opts, const char *value, struct error *err);
int parse_ext_unix_sk(struct options *opts, const char *value, struct error *err);
int parse_enable_fs(struct options *opts, const char *value, struct error *err);
int parse_empty_ns(struct options *opts, const char *value, struct error *err);
int parse_port(struct options *opts, const char *value, struct error *err);
int parse_ps_socket(struct options *opts, const char *value, struct error *err);
int parse_status_fd(struct options *opts, const char *value, struct error *err);
int parse_close(struct options *opts, const char *value, struct error *err);
int parse_exec_cmd(struct options *opts, const char *value, struct error *err);
