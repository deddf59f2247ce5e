#include "kernel/link-settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

#define TEXT_MAX 512

static int ask(const char *interface, void *request)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_data = request };

	if (fd < 0)
		return -errno;
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	return ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

__attribute__((format(printf, 2, 3))) static int add(struct buffer *ret, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return buffer_append(ret, text, strlen(text) + 1);
}

/* --- one number each --------------------------------------------------------------------------------------------- */

static int get_coalescing(const char *interface, struct ethtool_coalesce *to)
{
	*to = (struct ethtool_coalesce){ .cmd = ETHTOOL_GCOALESCE };
	return ask(interface, to);
}

static int get_frames(const char *interface, uint32_t *ret)
{
	struct ethtool_coalesce all;
	int r = get_coalescing(interface, &all);

	*ret = all.rx_max_coalesced_frames;
	return r;
}

static int set_frames(const char *interface, uint32_t value)
{
	struct ethtool_coalesce all;
	int r = get_coalescing(interface, &all);

	all.cmd = ETHTOOL_SCOALESCE;
	all.rx_max_coalesced_frames = value;
	return r < 0 ? r : ask(interface, &all);
}

static int get_messages(const char *interface, uint32_t *ret)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GMSGLVL };
	int r = ask(interface, &value);

	*ret = value.data;
	return r;
}

static int set_messages(const char *interface, uint32_t value)
{
	struct ethtool_value request = { .cmd = ETHTOOL_SMSGLVL, .data = value };

	return ask(interface, &request);
}

static int get_link(const char *interface, struct ethtool_cmd *to)
{
	*to = (struct ethtool_cmd){ .cmd = ETHTOOL_GSET };
	return ask(interface, to);
}

static int get_speed(const char *interface, uint32_t *ret)
{
	struct ethtool_cmd all;
	int r = get_link(interface, &all);

	*ret = ethtool_cmd_speed(&all);
	return r;
}

static int set_speed(const char *interface, uint32_t value)
{
	struct ethtool_cmd all;
	int r = get_link(interface, &all);

	all.cmd = ETHTOOL_SSET;
	ethtool_cmd_speed_set(&all, value);
	return r < 0 ? r : ask(interface, &all);
}

static int get_duplex(const char *interface, uint32_t *ret)
{
	struct ethtool_cmd all;
	int r = get_link(interface, &all);

	*ret = all.duplex;
	return r;
}

static int set_duplex(const char *interface, uint32_t value)
{
	struct ethtool_cmd all;
	int r = get_link(interface, &all);

	all.cmd = ETHTOOL_SSET;
	all.duplex = (uint8_t)value;
	return r < 0 ? r : ask(interface, &all);
}

static const struct number {
	const char *name;
	int (*get)(const char *interface, uint32_t *ret);
	int (*set)(const char *interface, uint32_t value);
} numbers[] = {
	{ "rx-frames", get_frames, set_frames },
	{ "msglvl", get_messages, set_messages },
	{ "speed", get_speed, set_speed },
	{ "duplex", get_duplex, set_duplex },
};

/* --- features ---------------------------------------------------------------------------------------------------- */

#define FEATURES_MAX 256

struct features {
	uint32_t count;
	char names[FEATURES_MAX][ETH_GSTRING_LEN];
	struct ethtool_get_features_block blocks[FEATURES_MAX / 32];
};

static int count_features(const char *interface, uint32_t *ret)
{
	uint64_t room[sizeof(struct ethtool_sset_info) / sizeof(uint64_t) + 1] = { 0 };
	struct ethtool_sset_info *request = (void *)room;
	int r;

	request->cmd = ETHTOOL_GSSET_INFO;
	request->sset_mask = 1ull << ETH_SS_FEATURES;
	r = ask(interface, request);
	*ret = request->data[0];
	return r < 0 ? r : *ret > FEATURES_MAX ? -E2BIG : 0;
}

/* The kernel numbers them as it likes: only their names mean something elsewhere. */
static int read_features(const char *interface, struct features *ret)
{
	struct ethtool_gstrings *strings;
	struct ethtool_gfeatures *features;
	AUTO_FREE void *memory = calloc(1, sizeof(*ret) + sizeof(*strings) + sizeof(*features));
	int r = memory ? count_features(interface, &ret->count) : -ENOMEM;

	if (r < 0)
		return r;
	strings = memory;
	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_FEATURES;
	strings->len = ret->count;
	r = ask(interface, strings);
	if (r < 0)
		return r;
	memcpy(ret->names, strings->data, (size_t)ret->count * ETH_GSTRING_LEN);
	features = memory;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = (ret->count + 31) / 32;
	r = ask(interface, features);
	if (r == 0)
		memcpy(ret->blocks, features->features, features->size * sizeof(features->features[0]));
	return r;
}

static int add_features(const char *interface, struct buffer *ret)
{
	AUTO_FREE struct features *features = calloc(1, sizeof(*features));
	int r = features ? read_features(interface, features) : -ENOMEM;

	for (uint32_t i = 0; i < (features ? features->count : 0) && r == 0; i++) {
		const struct ethtool_get_features_block *block = &features->blocks[i / 32];

		if (block->available & ~block->never_changed & 1u << i % 32)
			r = add(ret, "feature/%.*s=%u", ETH_GSTRING_LEN, features->names[i],
				block->requested >> i % 32 & 1);
	}
	return r;
}

static int set_feature(const char *interface, const char *name, uint32_t value)
{
	AUTO_FREE struct features *features = calloc(1, sizeof(*features));
	AUTO_FREE struct ethtool_sfeatures *request =
	    calloc(1, sizeof(*request) + FEATURES_MAX / 32 * sizeof(request->features[0]));
	int r = features && request ? read_features(interface, features) : -ENOMEM;

	if (r < 0)
		return r;
	request->cmd = ETHTOOL_SFEATURES;
	request->size = (features->count + 31) / 32;
	for (uint32_t i = 0; i < features->count; i++) {
		if (strncmp(features->names[i], name, ETH_GSTRING_LEN) != 0)
			continue;
		request->features[i / 32].valid = 1u << i % 32;
		request->features[i / 32].requested = (value & 1) << i % 32;
		return ask(interface, request);
	}
	return -ENOENT;
}

/* --- link addresses of multicast groups -------------------------------------------------------------------------- */

/* Those added by hand: "INDEX NAME USERS BY-HAND ADDRESS". */
static int add_groups(const char *interface, struct buffer *ret)
{
	FILE *file = fopen("/proc/self/net/dev_mcast", "re");
	char line[256], name[IFNAMSIZ + 1], address[128];
	int r = 0, by_hand;

	while (file && r == 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*d %16s %*d %d %127s", name, &by_hand, address) == 3 && by_hand &&
		    !strcmp(name, interface))
			r = add(ret, "multicast/%s=1", address);
	if (file)
		(void)fclose(file);
	return r;
}

static int add_group(const char *interface, const char *address)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_hwaddr = { .sa_family = AF_UNSPEC } };

	if (fd < 0)
		return -errno;
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	for (size_t i = 0; i < sizeof(ifr.ifr_hwaddr.sa_data) && address[2 * i]; i++) {
		unsigned int byte;
		int digits = 0;

		if (sscanf(address + 2 * i, "%2x%n", &byte, &digits) != 1 || digits != 2)
			return -EBADMSG;
		ifr.ifr_hwaddr.sa_data[i] = (char)byte;
	}
	return ioctl(fd, SIOCADDMULTI, &ifr) < 0 && errno != EEXIST ? -errno : 0;
}

/* --- queues ------------------------------------------------------------------------------------------------------ */

static const char *const queue_settings[] = { "rps_cpus", "rps_flow_cnt", "xps_cpus", "xps_rxqs", "tx_maxrate" };

/* The sysfs that is mounted may be that of another network namespace. */
static int open_queues(const char *interface)
{
	AUTO_CLOSE int context = fsopen("sysfs", FSOPEN_CLOEXEC), mount = -1;
	char path[64];
	int fd;

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (mount < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "class/net/%s/queues", interface);
	fd = openat(mount, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int add_queue(int queues, const char *queue, struct buffer *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(queue_settings); i++) {
		char path[NAME_MAX + 32], value[256];
		AUTO_CLOSE int fd = -1;
		ssize_t n;
		int r;

		(void)snprintf(path, sizeof(path), "%s/%s", queue, queue_settings[i]);
		fd = openat(queues, path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, value, sizeof(value));
		if (n <= 1)
			continue;
		r = add(ret, "queue/%s=%.*s", path, (int)n - 1, value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_queues(const char *interface, struct buffer *ret)
{
	int queues = open_queues(interface), r = 0;
	DIR *dir = queues < 0 ? NULL : fdopendir(queues);
	const struct dirent *entry;

	if (!dir)
		return 0;
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = add_queue(queues, entry->d_name, ret);
	(void)closedir(dir);
	return r;
}

static bool is_queue_setting(const char *path)
{
	const char *name = strrchr(path, '/');

	for (size_t i = 0; name && i < ARRAY_SIZE(queue_settings); i++)
		if (!strcmp(name + 1, queue_settings[i]))
			return path[0] != '/' && !strstr(path, "..");
	return false;
}

static int set_queue(const char *interface, const char *path, const char *value)
{
	AUTO_CLOSE int queues = open_queues(interface), fd = -1;

	if (queues < 0)
		return queues;
	fd = openat(queues, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

int link_settings_read(const char *interface, struct buffer *ret)
{
	uint32_t value;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++)
		if (numbers[i].get(interface, &value) == 0)
			r = add(ret, "%s=%u", numbers[i].name, value);
	if (r == 0)
		r = add_features(interface, ret);
	if (r != -ENOMEM) /* otherwise it has none that could be told */
		r = add_groups(interface, ret);
	return r < 0 ? r : add_queues(interface, ret);
}

/* What follows a prefix; NULL: another one. */
static const char *behind(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix)) ? text + strlen(prefix) : NULL;
}

int link_setting_set(const char *interface, const char *setting)
{
	const char *equals = strchr(setting, '='), *rest;
	char name[TEXT_MAX];
	uint32_t value;

	if (!equals || (size_t)(equals - setting) >= sizeof(name))
		return -EBADMSG;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - setting), setting);
	value = (uint32_t)strtoul(equals + 1, NULL, 10);
	if ((rest = behind(name, "feature/")))
		return set_feature(interface, rest, value);
	if ((rest = behind(name, "multicast/")))
		return add_group(interface, rest);
	if ((rest = behind(name, "queue/")))
		return is_queue_setting(rest) ? set_queue(interface, rest, equals + 1) : -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!strcmp(numbers[i].name, name))
			return numbers[i].set(interface, value);
	return -ENOENT;
}
