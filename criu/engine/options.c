/* Defaults, release and look-ups of struct options; no parsing of command lines (that is cmd/options.c). */
#include "engine/options.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"

#define TIMEOUT_SEC 10

void options_init(struct options *opts)
{
	*opts = (struct options){
		.images_dir_fd = -1,
		.work_dir_fd = -1,
		.log_level = LOG_WARN,
		.ghost_limit_bytes = 1024 * 1024,
		.ghost_fiemap = true,
		.file_validation = FILE_VALIDATION_BUILD_ID,
		.timeout_sec = TIMEOUT_SEC,
		.io_wait_sec = 1,
		.cgroup_mode = CGROUP_SOFT,
		.network_lock = NETWORK_LOCK_IPTABLES,
		.cpu_cap = CPU_CAP_DEFAULT,
		.pre_dump_mode = PRE_DUMP_SPLICE,
		.ps_socket = -1,
		.status_fd = -1,
	};
}

uint64_t options_timeout_ns(const struct options *opts)
{
	return (opts->timeout_sec ? opts->timeout_sec : TIMEOUT_SEC) * (uint64_t)NS_PER_SEC;
}

static void string_list_done(struct string_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct string_list){ 0 };
}

static void free_externals(struct options *opts)
{
	for (size_t i = 0; i < opts->external_count; i++) {
		free(opts->externals[i].type);
		free(opts->externals[i].id);
		free(opts->externals[i].value);
	}
	free(opts->externals);
	for (size_t i = 0; i < opts->inherit_fd_count; i++)
		free(opts->inherit_fds[i].key);
	free(opts->inherit_fds);
}

static void free_file_policies(struct options *opts)
{
	for (size_t i = 0; i < opts->file_policy_count; i++)
		free(opts->file_policies[i].pattern);
	free(opts->file_policies);
}

static void free_path_maps(struct options *opts)
{
	for (size_t i = 0; i < opts->path_map_count; i++) {
		free(opts->path_maps[i].from);
		free(opts->path_maps[i].to);
	}
	free(opts->path_maps);
}

static void free_exec_cmd(struct options *opts)
{
	for (size_t i = 0; opts->exec_cmd && opts->exec_cmd[i]; i++)
		free(opts->exec_cmd[i]);
	free(opts->exec_cmd);
}

void options_done(struct options *opts)
{
	char **strings[] = {
		&opts->images_dir,  &opts->work_dir,      &opts->log_file,          &opts->pidfile,
		&opts->lib_dir,     &opts->freeze_cgroup, &opts->cgroup_props,      &opts->cgroup_props_file,
		&opts->cgroup_yard, &opts->lsm_profile,   &opts->lsm_mount_context, &opts->root,
		&opts->address,     &opts->tls_cacert,    &opts->tls_cacrl,         &opts->tls_cert,
		&opts->tls_key,     &opts->check_feature, &opts->parent_images_dir,
	};
	struct string_list *lists[] = {
		&opts->ext_unix_inodes, &opts->irmap_scan_paths,    &opts->action_scripts, &opts->cgroup_roots,
		&opts->skip_mounts,     &opts->enabled_filesystems, &opts->join_ns,        &opts->cgroup_controllers,
	};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		free(*strings[i]);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		string_list_done(lists[i]);
	free_externals(opts);
	free_file_policies(opts);
	free_path_maps(opts);
	free_exec_cmd(opts);
	cleanup_close(&opts->images_dir_fd);
	cleanup_close(&opts->work_dir_fd);
	options_init(opts);
}

int string_list_add(struct string_list *list, const char *text)
{
	AUTO_FREE char *copy = strdup(text);
	int r;

	if (!copy)
		return -ENOMEM;
	r = array_reserve(&list->items, &list->capacity, list->count, sizeof(*list->items));
	if (r < 0)
		return r;
	list->items[list->count++] = TAKE_PTR(copy);
	return 0;
}

/* The bracket that closes is the last one before ":VALUE", so that an id may hold brackets: "file[pipe:[1]]". */
static const char *find_closing_bracket(const char *text)
{
	const char *end = strstr(text, "]:");

	if (end)
		return end;
	end = text + strlen(text) - 1;
	return end > text && *end == ']' ? end : NULL;
}

int options_add_external(struct options *opts, const char *text)
{
	const char *open = strchr(text, '[');
	const char *close = open ? find_closing_bracket(open) : NULL;
	AUTO_FREE char *type = NULL;
	AUTO_FREE char *id = NULL;
	AUTO_FREE char *value = NULL;
	int r;

	if (!close || open == text)
		return -EINVAL;
	type = strndup(text, (size_t)(open - text));
	id = strndup(open + 1, (size_t)(close - open - 1));
	if (close[1] == ':')
		value = strdup(close + 2);
	if (!type || !id || (close[1] == ':' && !value))
		return -ENOMEM;
	r = array_reserve(&opts->externals, &opts->external_capacity, opts->external_count, sizeof(*opts->externals));
	if (r < 0)
		return r;
	opts->externals[opts->external_count++] = (struct external){ TAKE_PTR(type), TAKE_PTR(id), TAKE_PTR(value) };
	return 0;
}

const struct external *options_find_external(const struct options *opts, const char *type, const char *id)
{
	for (size_t i = opts->external_count; i > 0; i--) {
		const struct external *e = &opts->externals[i - 1];

		if (strcmp(e->type, type) == 0 && strcmp(e->id, id) == 0)
			return e;
	}
	return NULL;
}

int options_find_inherit_fd(const struct options *opts, const char *key)
{
	for (size_t i = 0; i < opts->inherit_fd_count; i++) {
		if (strcmp(opts->inherit_fds[i].key, key) == 0)
			return opts->inherit_fds[i].fd;
	}
	return -ENOENT;
}

int options_add_inherit_fd(struct options *opts, int fd, const char *key)
{
	AUTO_FREE char *copy = strdup(key);
	int r;

	if (!copy)
		return -ENOMEM;
	r = array_reserve(&opts->inherit_fds, &opts->inherit_fd_capacity, opts->inherit_fd_count,
			  sizeof(*opts->inherit_fds));
	if (r < 0)
		return r;
	opts->inherit_fds[opts->inherit_fd_count++] = (struct inherit_fd){ fd, TAKE_PTR(copy) };
	return 0;
}

int options_add_file_policy(struct options *opts, const char *pattern, int policy)
{
	AUTO_FREE char *copy = strdup(pattern);

	if (!copy || array_reserve(&opts->file_policies, &opts->file_policy_capacity, opts->file_policy_count,
				   sizeof(*opts->file_policies)) < 0)
		return -ENOMEM;
	opts->file_policies[opts->file_policy_count++] = (struct file_policy_rule){ TAKE_PTR(copy), policy };
	return 0;
}

enum file_policy options_find_file_policy(const struct options *opts, const char *path)
{
	for (size_t i = opts->file_policy_count; i > 0; i--)
		if (fnmatch(opts->file_policies[i - 1].pattern, path, 0) == 0)
			return (enum file_policy)opts->file_policies[i - 1].policy;
	return FILE_POLICY_NONE;
}

int options_add_path_map(struct options *opts, const char *from, const char *to)
{
	AUTO_FREE char *from_copy = strdup(from);
	AUTO_FREE char *to_copy = strdup(to);

	if (!from_copy || !to_copy ||
	    array_reserve(&opts->path_maps, &opts->path_map_capacity, opts->path_map_count, sizeof(*opts->path_maps)) <
		0)
		return -ENOMEM;
	opts->path_maps[opts->path_map_count++] = (struct path_map){ TAKE_PTR(from_copy), TAKE_PTR(to_copy) };
	return 0;
}

/* Whole components only: /a is no prefix of /ab. */
static bool is_at_or_below(const char *path, const char *directory, size_t bytes)
{
	if (strncmp(path, directory, bytes) != 0)
		return false;
	return bytes == 1 || path[bytes] == '/' || !path[bytes];
}

const struct path_map *options_find_path_map(const struct options *opts, const char *path)
{
	const struct path_map *found = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < opts->path_map_count; i++) {
		const struct path_map *map = &opts->path_maps[i];
		size_t bytes = strlen(map->from);

		if (bytes < longest || !is_at_or_below(path, map->from, bytes))
			continue;
		found = map;
		longest = bytes;
	}
	return found;
}
