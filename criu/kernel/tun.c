#include "kernel/tun.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/kernel-memory.h"

/* --- a queue ----------------------------------------------------------------------------------------------------- */

static int read_namespace(int own_fd, bool *ret_elsewhere)
{
	AUTO_CLOSE int fd = ioctl(own_fd, SIOCGSKNS);
	struct stat own, other;

	if (fd < 0 || fstat(fd, &other) < 0 || stat("/proc/self/ns/net", &own) < 0)
		return -errno;
	*ret_elsewhere = own.st_ino != other.st_ino;
	return 0;
}

/*
 * TUNGETFILTER gives the address that the program gave, which says no more than that there was one. (IFF_NOFILTER has
 * the value of IFF_NO_PI.)
 */
static void read_filter(int own_fd, struct tun_queue *queue)
{
	struct sock_fprog filter = { 0 };

	queue->has_filter = queue->flags & IFF_TAP && ioctl(own_fd, TUNGETFILTER, &filter) == 0 && filter.len;
}

/* Programs in place of a filter are known to the kernel alone. */
static void read_programs(struct kernel_memory *km, int pidfd, int fd, struct tun_queue *queue)
{
	uint64_t file, queue_at, tun, steering = 0, program = 0;

	if (kernel_memory_file(km, pidfd, fd, &file) == 0 &&
	    KERNEL_MEMBER(km, file, "file", "private_data", &queue_at) == 0 &&
	    KERNEL_MEMBER(km, queue_at, "tun_file", "tun", &tun) == 0 &&
	    KERNEL_MEMBER(km, tun, "tun_struct", "steering_prog", &steering) == 0 &&
	    KERNEL_MEMBER(km, tun, "tun_struct", "filter_prog", &program) == 0)
		queue->has_filter |= steering || program;
}

#define QUEUE_FLAGS                                                                                                    \
	((unsigned int)(IFF_TUN | IFF_TAP | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_PERSIST | IFF_NAPI | IFF_NAPI_FRAGS))

int tun_read(int own_fd, struct kernel_memory *km, int pidfd, int fd, struct tun_queue *ret)
{
	struct ifreq request = { 0 };

	memset(ret, 0, sizeof(*ret));
	if (ioctl(own_fd, TUNGETIFF, &request) < 0)
		return errno == EBADFD ? 0 : -errno;
	memcpy(ret->name, request.ifr_name, sizeof(ret->name));
	ret->flags = (unsigned short)request.ifr_flags & QUEUE_FLAGS;
	ret->is_detached = request.ifr_flags & IFF_DETACH_QUEUE;
	if (ioctl(own_fd, TUNGETVNETHDRSZ, &ret->vnet_header) < 0 || ioctl(own_fd, TUNGETSNDBUF, &ret->send_buffer) < 0)
		return -errno;
	/* Kernels may lack these. */
	(void)ioctl(own_fd, TUNGETVNETLE, &ret->vnet_le);
	(void)ioctl(own_fd, TUNGETVNETBE, &ret->vnet_be);
	read_filter(own_fd, ret);
	if (km)
		read_programs(km, pidfd, fd, ret);
	return read_namespace(own_fd, &ret->is_elsewhere);
}

/* --- offloads ---------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name; /* as ethtool calls it */
	unsigned int offload;
} offloads[] = {
	{ "tx-checksum-ip-generic", TUN_F_CSUM }, { "tx-tcp-segmentation", TUN_F_TSO4 },
	{ "tx-tcp6-segmentation", TUN_F_TSO6 },   { "tx-tcp-ecn-segmentation", TUN_F_TSO_ECN },
	{ "tx-udp-segmentation", 0x60 }, /* TUN_F_USO4 | TUN_F_USO6 */
};

static int ask(int socket_fd, const char *name, void *data)
{
	struct ifreq request = { .ifr_data = data };

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(socket_fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static int count_features(int socket_fd, const char *name, uint32_t *ret)
{
	union {
		struct ethtool_sset_info info;
		char room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} sets = { .room = { 0 } };
	int r;

	sets.info.cmd = ETHTOOL_GSSET_INFO;
	sets.info.sset_mask = 1ull << ETH_SS_FEATURES;
	r = ask(socket_fd, name, &sets);
	if (r == 0)
		*ret = sets.info.sset_mask ? sets.info.data[0] : 0;
	return r;
}

int tun_offload(const char *name, unsigned int *ret)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	AUTO_FREE struct ethtool_gstrings *names = NULL;
	AUTO_FREE struct ethtool_gfeatures *features = NULL;
	uint32_t count = 0;
	int r = fd < 0 ? -errno : count_features(fd, name, &count);

	if (r < 0)
		return r;
	names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	features = calloc(1, sizeof(*features) + (count + 31) / 32 * sizeof(features->features[0]));
	if (!names || !features)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = (count + 31) / 32;
	r = ask(fd, name, names);
	if (r == 0)
		r = ask(fd, name, features);
	if (r < 0)
		return r;
	*ret = 0;
	for (uint32_t i = 0; i < count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(offloads); k++)
			if (features->features[i / 32].active & 1u << i % 32 &&
			    !strncmp((const char *)names->data + i * ETH_GSTRING_LEN, offloads[k].name,
				     ETH_GSTRING_LEN))
				*ret |= offloads[k].offload;
	return 0;
}
