/* Parsers of option values: numbers, sizes, words of a list, descriptors, resources outside the tree. */
#include "cmd/values.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/options.h"

struct word {
	const char *name;
	int value;
};

static int find_word(const struct word *words, size_t count, const char *name, int *ret_value)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i].name, name) == 0) {
			*ret_value = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

/* Sets the value whose name was given; the sentence lists the names that exist. */
static int store_word(const struct word *words, size_t count, const char *name, int *ret_value, struct error *err)
{
	char names[256] = "";

	if (find_word(words, count, name, ret_value) == 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(names);

		(void)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "", words[i].name);
	}
	return error_say(err, -EINVAL, "\"%s\" is none of %s", name, names);
}

static int parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret_value, struct error *err)
{
	uint64_t value;

	if (parse_u64(text, 10, &value) < 0)
		return error_say(err, -EINVAL, "\"%s\" is not a number", text);
	if (value < low || value > high)
		return error_say(err, -EINVAL, "%s is not between %llu and %llu", text, (unsigned long long)low,
				 (unsigned long long)high);
	*ret_value = value;
	return 0;
}

/* Copies one word of a comma separated list; 1 when there was one, 0 at the end of the list, -EINVAL for an empty one.
 */
static int next_word(const char **list, char *ret_word, size_t size)
{
	size_t bytes;

	if (!*list)
		return 0;
	bytes = strcspn(*list, ",");
	if (bytes == 0 || bytes >= size)
		return -EINVAL;
	memcpy(ret_word, *list, bytes);
	ret_word[bytes] = '\0';
	*list = (*list)[bytes] ? *list + bytes + 1 : NULL;
	return 1;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct word suffixes[] = { { "", 0 }, { "K", 10 }, { "M", 20 }, { "G", 30 } };
	char digits[32];
	size_t count = strspn(text, "0123456789");
	uint64_t value;
	int shift;
	int r;

	if (count == 0 || count >= sizeof(digits) ||
	    find_word(suffixes, ARRAY_SIZE(suffixes), text + count, &shift) < 0)
		return -EINVAL;
	memcpy(digits, text, count);
	digits[count] = '\0';
	r = parse_u64(digits, 10, &value);
	if (r < 0)
		return r;
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_bytes = value << shift;
	return 0;
}

int parse_tree(struct options *opts, const char *value, struct error *err)
{
	uint64_t pid = 0;
	int r = parse_number(value, 1, INT_MAX, &pid, err);

	if (r == 0)
		opts->pid = (pid_t)pid;
	return r;
}

/* Where there is no option of this name, it stands for --pidfile. */
int parse_pid(struct options *opts, const char *value, struct error *err)
{
	char *copy;

	if (*value && strspn(value, "-0123456789") == strlen(value))
		return parse_tree(opts, value, err);
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(opts->pidfile);
	opts->pidfile = copy;
	return 0;
}

int parse_leave_running(struct options *opts, const char *value, struct error *err)
{
	opts->leave = LEAVE_RUNNING;
	return 0;
}

int parse_leave_stopped(struct options *opts, const char *value, struct error *err)
{
	opts->leave = LEAVE_STOPPED;
	return 0;
}

/* Nothing: one more. Letters "vv": one more each. A number stands for itself; "erbosity=N" is what -verbosity=N leaves.
 */
int parse_verbosity(struct options *opts, const char *value, struct error *err)
{
	static const char single_dash[] = "erbosity=";
	uint64_t level;

	if (value && strncmp(value, single_dash, sizeof(single_dash) - 1) == 0)
		value += sizeof(single_dash) - 1;
	if (!value || strspn(value, "v") == strlen(value))
		level = (uint64_t)opts->log_level + 1 + (value ? strlen(value) : 0);
	else if (parse_u64(value, 10, &level) < 0)
		return error_say(err, -EINVAL, "\"%s\" is not a level from 0 to %d", value, LOG_DEBUG);
	opts->log_level = (int)min_u64(level, LOG_DEBUG);
	return 0;
}

int parse_ghost_limit(struct options *opts, const char *value, struct error *err)
{
	if (parse_size(value, &opts->ghost_limit_bytes) < 0)
		return error_say(err, -EINVAL, "\"%s\" is not a size like 4096, 64K, 1M or 2G", value);
	return 0;
}

int parse_timeout(struct options *opts, const char *value, struct error *err)
{
	uint64_t seconds = 0;
	int r = parse_number(value, 0, INT_MAX, &seconds, err);

	if (r == 0)
		opts->timeout_sec = (unsigned int)seconds;
	return r;
}

int parse_io_wait(struct options *opts, const char *value, struct error *err)
{
	uint64_t seconds = 0;
	int r = parse_number(value, 0, INT_MAX, &seconds, err);

	if (r == 0)
		opts->io_wait_sec = (unsigned int)seconds;
	return r;
}

int parse_manage_cgroups(struct options *opts, const char *value, struct error *err)
{
	static const struct word modes[] = {
		{ "none", CGROUP_NONE }, { "props", CGROUP_PROPS },   { "soft", CGROUP_SOFT },
		{ "full", CGROUP_FULL }, { "strict", CGROUP_STRICT }, { "ignore", CGROUP_IGNORE },
	};

	return store_word(modes, ARRAY_SIZE(modes), value ? value : "soft", &opts->cgroup_mode, err);
}

int parse_network_lock(struct options *opts, const char *value, struct error *err)
{
	static const struct word methods[] = {
		{ "iptables", NETWORK_LOCK_IPTABLES },
		{ "nftables", NETWORK_LOCK_NFTABLES },
		{ "skip", NETWORK_LOCK_SKIP },
		{ "none", NETWORK_LOCK_SKIP },
	};

	return store_word(methods, ARRAY_SIZE(methods), value, &opts->network_lock, err);
}

int parse_file_validation(struct options *opts, const char *value, struct error *err)
{
	static const struct word methods[] = {
		{ "filesize", FILE_VALIDATION_SIZE },
		{ "buildid", FILE_VALIDATION_BUILD_ID },
	};

	return store_word(methods, ARRAY_SIZE(methods), value, &opts->file_validation, err);
}

/* Patterns are compared with absolute paths: one that begins otherwise would never match. */
int parse_file_policy(struct options *opts, const char *value, struct error *err)
{
	static const struct word policies[] = {
		{ "exact", FILE_POLICY_EXACT },
		{ "append", FILE_POLICY_APPEND },
		{ "any", FILE_POLICY_ANY },
	};
	const char *equals = strrchr(value, '=');
	AUTO_FREE char *pattern = strndup(value, equals ? (size_t)(equals - value) : 0);
	int policy, r;

	if (!pattern)
		return error_set(err, -ENOMEM, "\"%s\"", value);
	if (!equals || !*pattern)
		return error_say(err, -EINVAL, "\"%s\" is not of the form PATTERN=exact, =append or =any", value);
	if (!strchr("/*?[", *pattern))
		return error_say(err, -EINVAL, "\"%s\": the pattern matches no absolute path", value);
	r = store_word(policies, ARRAY_SIZE(policies), equals + 1, &policy, err);
	if (r == 0) {
		r = options_add_file_policy(opts, pattern, policy);
		return r < 0 ? error_set(err, r, "\"%s\"", value) : 0;
	}
	error_prefix(err, "\"%s\"", value);
	return r;
}

/* Cuts the slashes at the end; the root stays one. */
static void cut_slashes(char *path)
{
	size_t bytes = strlen(path);

	while (bytes > 1 && path[bytes - 1] == '/')
		path[--bytes] = '\0';
}

/* Paths of images are those of the kernel: no empty component, none that is "." or "..". */
static bool is_kernel_path(const char *path)
{
	if (strcmp(path, "/") == 0)
		return true;
	while (*path == '/') {
		size_t bytes = strcspn(++path, "/");

		if (bytes == 0 || (bytes == 1 && path[0] == '.') || (bytes == 2 && strncmp(path, "..", 2) == 0))
			return false;
		path += bytes;
	}
	return !*path;
}

/* The first "=" that has no backslash in front parts the text; a backslash in front of "=" or of another one goes. */
static char *split_at_equals(char *text)
{
	char *to = text, *second = NULL;

	for (const char *from = text; *from; from++) {
		if (*from == '\\' && (from[1] == '=' || from[1] == '\\')) {
			*to++ = *++from;
		} else if (*from == '=' && !second) {
			*to++ = '\0';
			second = to;
		} else if (*from == '=') {
			return NULL;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return second;
}

int parse_path_map(struct options *opts, const char *value, struct error *err)
{
	AUTO_FREE char *old_path = strdup(value);
	char *new_path;
	int r;

	if (!old_path)
		return error_set(err, -ENOMEM, "\"%s\"", value);
	new_path = split_at_equals(old_path);
	if (!new_path) {
		error_hint(err, "\"\\=\" stands for a \"=\" in a path");
		return error_say(err, -EINVAL, "\"%s\" is not of the form OLD=NEW", value);
	}
	if (old_path[0] != '/' || new_path[0] != '/')
		return error_say(err, -EINVAL, "\"%s\": \"%s\" is not an absolute path", value,
				 old_path[0] == '/' ? new_path : old_path);
	cut_slashes(old_path);
	cut_slashes(new_path);
	if (!is_kernel_path(old_path))
		return error_say(err, -EINVAL, "\"%s\": no path of an image has an empty part, \".\" or \"..\"", value);
	r = options_add_path_map(opts, old_path, new_path);
	return r < 0 ? error_set(err, r, "\"%s\"", value) : 0;
}

int parse_pre_dump_mode(struct options *opts, const char *value, struct error *err)
{
	static const struct word modes[] = { { "splice", PRE_DUMP_SPLICE }, { "read", PRE_DUMP_READ } };

	return store_word(modes, ARRAY_SIZE(modes), value, &opts->pre_dump_mode, err);
}

/* A list that begins with a negation takes away from all; any other begins with nothing. */
int parse_cpu_cap(struct options *opts, const char *value, struct error *err)
{
	static const struct word caps[] = {
		{ "all", CPU_CAP_ALL }, { "cpu", CPU_CAP_CPU }, { "fpu", CPU_CAP_FPU },
		{ "ins", CPU_CAP_INS }, { "none", 0 },
	};
	unsigned int set = !value || *value == '^' ? CPU_CAP_ALL : 0;
	char word[16];
	int r = 0;

	while (value && (r = next_word(&value, word, sizeof(word))) > 0) {
		bool negated = word[0] == '^';
		int bits;

		r = store_word(caps, ARRAY_SIZE(caps), word + negated, &bits, err);
		if (r < 0)
			return r;
		if (negated)
			set &= ~(unsigned int)bits;
		else
			set = bits ? set | (unsigned int)bits : 0;
	}
	if (r < 0)
		return error_say(err, r, "the list of processor features has an empty or unknown word");
	opts->cpu_cap = set ? set | CPU_CAP_IMAGE : 0;
	return 0;
}

static int add_external(struct options *opts, const char *text, struct error *err)
{
	int r = options_add_external(opts, text);

	if (r == -EINVAL)
		return error_say(err, r, "\"%s\" is not of the form TYPE[ID] or TYPE[ID]:VALUE", text);
	return r < 0 ? error_set(err, r, "\"%s\"", text) : 0;
}

int parse_external(struct options *opts, const char *value, struct error *err)
{
	static const char automatic[] = "mnt[]:";
	const char *letter = value + sizeof(automatic) - 1;

	if (strncmp(value, automatic, sizeof(automatic) - 1) == 0 && *letter && !strchr("ms", *letter))
		return error_say(err, -EINVAL, "\"%s\": only m or s may follow \"mnt[]:\"", value);
	return add_external(opts, value, err);
}

/* "KEY<separator>VALUE" becomes "TYPE[KEY]:VALUE". */
static int add_external_pair(struct options *opts, const char *type, const char *value, char separator,
			     struct error *err)
{
	const char *split = strchr(value, separator);
	AUTO_FREE char *text = NULL;

	if (!split || split == value || !split[1])
		return error_say(err, -EINVAL, "\"%s\" is not a pair with \"%c\" between", value, separator);
	if (asprintf(&text, "%s[%.*s]:%s", type, (int)(split - value), value, split + 1) < 0) {
		text = NULL;
		return error_set(err, -ENOMEM, "\"%s\"", value);
	}
	return add_external(opts, text, err);
}

int parse_external_mount(struct options *opts, const char *value, struct error *err)
{
	if (strcmp(value, "auto") == 0)
		return add_external(opts, "mnt[]", err);
	return add_external_pair(opts, "mnt", value, ':', err);
}

int parse_external_sharing(struct options *opts, const char *value, struct error *err)
{
	return add_external(opts, "mnt[]:s", err);
}

int parse_external_masters(struct options *opts, const char *value, struct error *err)
{
	return add_external(opts, "mnt[]:m", err);
}

int parse_veth_pair(struct options *opts, const char *value, struct error *err)
{
	return add_external_pair(opts, "veth", value, '=', err);
}

/* Splits "WORD[N]:REST"; *ret_rest points into text. */
static int split_descriptor(const char *text, const char *word, int *ret_fd, const char **ret_rest)
{
	size_t bytes = strlen(word);
	char digits[16];
	size_t count;
	uint64_t fd;

	if (strncmp(text, word, bytes) != 0 || text[bytes] != '[')
		return -EINVAL;
	text += bytes + 1;
	count = strspn(text, "0123456789");
	if (count == 0 || count >= sizeof(digits) || strncmp(text + count, "]:", 2) != 0 || !text[count + 2])
		return -EINVAL;
	memcpy(digits, text, count);
	digits[count] = '\0';
	if (parse_u64(digits, 10, &fd) < 0 || fd > INT_MAX)
		return -EINVAL;
	*ret_fd = (int)fd;
	*ret_rest = text + count + 2;
	return 0;
}

static int write_debug_text(int fd, const char *text, struct error *err)
{
	int r = write_all(fd, text, strlen(text));

	return r < 0 ? error_set(err, r, "cannot write to descriptor %d", fd) : 0;
}

int parse_inherit_fd(struct options *opts, const char *value, struct error *err)
{
	const char *rest;
	int fd;
	int r;

	if (split_descriptor(value, "debug", &fd, &rest) == 0)
		return write_debug_text(fd, rest, err);
	if (split_descriptor(value, "fd", &fd, &rest) < 0)
		return error_say(err, -EINVAL, "\"%s\" is not of the form fd[N]:ID", value);
	if (fcntl(fd, F_GETFD) < 0)
		return error_set(err, -errno, "\"%s\": descriptor %d", value, fd);
	r = options_add_inherit_fd(opts, fd, rest);
	return r < 0 ? error_set(err, r, "\"%s\"", value) : 0;
}

int parse_ext_unix_sk(struct options *opts, const char *value, struct error *err)
{
	char word[24];
	uint64_t inode;
	int r = 0;

	opts->ext_unix_sk = true;
	while (value && (r = next_word(&value, word, sizeof(word))) > 0) {
		r = parse_number(word, 1, UINT32_MAX, &inode, err);
		if (r < 0)
			return r;
		r = string_list_add(&opts->ext_unix_inodes, word);
		if (r < 0)
			return error_set(err, r, "inode %s", word);
	}
	return r < 0 ? error_say(err, r, "the list of socket inodes has an empty word") : 0;
}

int parse_enable_fs(struct options *opts, const char *value, struct error *err)
{
	char word[64];
	int r = 0;

	while (value && (r = next_word(&value, word, sizeof(word))) > 0) {
		r = string_list_add(&opts->enabled_filesystems, word);
		if (r < 0)
			return error_set(err, r, "%s", word);
	}
	return r < 0 ? error_say(err, r, "the list of filesystems has an empty word") : 0;
}

int parse_empty_ns(struct options *opts, const char *value, struct error *err)
{
	static const struct word kinds[] = { { "net", CLONE_NEWNET } };
	int flag;
	int r = store_word(kinds, ARRAY_SIZE(kinds), value, &flag, err);

	if (r == 0)
		opts->empty_ns |= (unsigned int)flag;
	return r;
}

int parse_port(struct options *opts, const char *value, struct error *err)
{
	uint64_t port = 0;
	int r = parse_number(value, 1, UINT16_MAX, &port, err);

	if (r == 0)
		opts->port = (unsigned int)port;
	return r;
}

static int parse_descriptor(const char *value, int *ret_fd, struct error *err)
{
	uint64_t fd = 0;
	int r = parse_number(value, 0, INT_MAX, &fd, err);

	if (r == 0)
		*ret_fd = (int)fd;
	return r;
}

int parse_ps_socket(struct options *opts, const char *value, struct error *err)
{
	return parse_descriptor(value, &opts->ps_socket, err);
}

int parse_status_fd(struct options *opts, const char *value, struct error *err)
{
	return parse_descriptor(value, &opts->status_fd, err);
}

int parse_close(struct options *opts, const char *value, struct error *err)
{
	int fd = -1;
	int r = parse_descriptor(value, &fd, err);

	if (r < 0)
		return r;
	return close(fd) < 0 ? error_set(err, -errno, "descriptor %d", fd) : 0;
}

int parse_exec_cmd(struct options *opts, const char *value, struct error *err)
{
	opts->exec_cmd_given = true;
	return 0;
}
