/*
 * What is set of a TAP interface that goes with its file, by ethtool (features, frames, speed, duplex, messages), by
 * ip maddr, and in sysfs (which processors serve which queue).
 */
#include "zdtmlib.h"

#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NAME   "zdtmtap"
#define QUEUES 2

static int make_queue(void)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE };
	int fd = open("/dev/net/tun", O_RDWR);

	if (fd < 0)
		test_skip("/dev/net/tun: %s", strerror(errno));
	strcpy(request.ifr_name, NAME);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		test_skip("TUNSETIFF: %s", strerror(errno));
	return fd;
}

static void ask(void *command)
{
	int control = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq request = { .ifr_data = command };

	strcpy(request.ifr_name, NAME);
	MUST(ioctl(control, SIOCETHTOOL, &request));
	close(control);
}

static uint32_t get_value(uint32_t command)
{
	struct ethtool_value value = { .cmd = command };

	ask(&value);
	return value.data;
}

static void set_value(uint32_t command, uint32_t data)
{
	struct ethtool_value value = { .cmd = command, .data = data };

	ask(&value);
}

static struct ethtool_cmd get_link(void)
{
	struct ethtool_cmd link = { .cmd = ETHTOOL_GSET };

	ask(&link);
	return link;
}

static struct ethtool_coalesce get_coalescing(void)
{
	struct ethtool_coalesce coalescing = { .cmd = ETHTOOL_GCOALESCE };

	ask(&coalescing);
	return coalescing;
}

static void set_all(void)
{
	struct ethtool_coalesce coalescing = get_coalescing();
	struct ethtool_cmd link = get_link();

	coalescing.cmd = ETHTOOL_SCOALESCE;
	coalescing.rx_max_coalesced_frames = 5;
	ask(&coalescing);
	link.cmd = ETHTOOL_SSET;
	link.duplex = DUPLEX_HALF;
	ethtool_cmd_speed_set(&link, 2500);
	ask(&link);
	set_value(ETHTOOL_SGRO, 0);
	set_value(ETHTOOL_SGSO, 0);
}

static bool has_group(void)
{
	const char *list = test_slurp("/proc/self/net/dev_mcast");

	return list && strstr(list, "01005e000077");
}

/* An attribute of a queue, in the sysfs of this network namespace; written where there is a value. */
static void queue_attribute(const char *name, const char *write_value, char *ret, size_t room)
{
	char path[128];
	ssize_t n;
	int fd;

	(void)mkdir("sysfs", 0700);
	if (mount("none", "sysfs", "sysfs", 0, NULL) < 0)
		test_skip("cannot mount sysfs: %s", strerror(errno));
	snprintf(path, sizeof(path), "sysfs/class/net/" NAME "/queues/%s", name);
	fd = MUST(open(path, write_value ? O_WRONLY : O_RDONLY));
	if (write_value) {
		MUST(write(fd, write_value, strlen(write_value)));
	} else {
		n = MUST(read(fd, ret, room - 1));
		ret[n] = '\0';
	}
	close(fd);
	MUST(umount("sysfs"));
}

int main(void)
{
	struct ethtool_cmd link;
	char text[256];

	test_start();
	for (int i = 0; i < QUEUES; i++)
		make_queue();
	if (system("PATH=$PATH:/sbin:/usr/sbin; ip link set dev " NAME
		   " up && ip maddr add 01:00:5e:00:00:77 dev " NAME) != 0)
		test_skip("cannot add a multicast address");
	EXPECT(has_group());
	set_all();
	queue_attribute("rx-0/rps_cpus", "1", NULL, 0);
	queue_attribute("rx-1/rps_flow_cnt", "64", NULL, 0);
	queue_attribute("tx-1/xps_cpus", "1", NULL, 0);
	test_wait();
	EXPECT_EQ(get_coalescing().rx_max_coalesced_frames, 5);
	link = get_link();
	EXPECT_EQ(ethtool_cmd_speed(&link), 2500);
	EXPECT_EQ(link.duplex, DUPLEX_HALF);
	EXPECT_EQ(get_value(ETHTOOL_GGRO), 0);
	EXPECT_EQ(get_value(ETHTOOL_GGSO), 0);
	EXPECT(has_group());
	queue_attribute("rx-0/rps_cpus", NULL, text, sizeof(text));
	EXPECT_EQ(strtoul(text, NULL, 16), 1);
	queue_attribute("rx-1/rps_flow_cnt", NULL, text, sizeof(text));
	EXPECT_EQ(strtoul(text, NULL, 10), 64);
	queue_attribute("tx-1/xps_cpus", NULL, text, sizeof(text));
	EXPECT_EQ(strtoul(text, NULL, 16), 1);
	queue_attribute("tx-0/xps_cpus", NULL, text, sizeof(text));
	EXPECT_EQ(strtoul(text, NULL, 16), 0);
	return test_pass();
}
