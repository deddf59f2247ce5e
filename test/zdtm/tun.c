/*
 * TUN and TAP interfaces in the machine's network namespace: one that goes with its file, with number, addresses,
 * neighbours, sysctls and settings, one without carrier, one of two queues, one of them detached, in two processes, a
 * persistent one, and a file without interface.
 */
#include "zdtmlib.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/random.h>

static char plain[IFNAMSIZ], queued[IFNAMSIZ], kept[IFNAMSIZ], silent[IFNAMSIZ];
static int control, second = -1;

static int make(const char *name, int flags, int open_flags)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | open_flags);

	if (fd < 0)
		test_skip("/dev/net/tun: %s", strerror(errno));
	strcpy(request.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		test_skip("TUNSETIFF: %s", strerror(errno));
	return fd;
}

static struct ifreq ask(int fd, unsigned long what, const char *name)
{
	struct ifreq request = { 0 };

	strcpy(request.ifr_name, name);
	MUST(ioctl(fd, what, &request));
	return request;
}

static void set_address(const char *name, const char *text)
{
	struct ifreq request = { 0 };
	struct sockaddr_in *in = (void *)&request.ifr_addr;

	strcpy(request.ifr_name, name);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, text, &in->sin_addr);
	MUST(ioctl(control, SIOCSIFADDR, &request));
}

static void child(void *arg)
{
	struct ifreq found;

	(void)arg;
	second = make(queued, IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, 0);
	child_wait();
	found = ask(second, TUNGETIFF, "");
	EXPECT_EQ(strcmp(found.ifr_name, queued), 0);
}

/* What only sysfs tells; nothing where it is not mounted. */
static void expect_attribute(const char *interface, const char *name, long long expected)
{
	char path[128];
	const char *text;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", interface, name);
	text = test_slurp(path);
	if (text)
		EXPECT_EQ(strtoll(text, NULL, 10), expected);
}

/* Sends a datagram into the interface; its packet is read from the queue. */
static void expect_packet(int fd)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int sender = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct pollfd state = { .fd = fd, .events = POLLIN };
	unsigned char packet[2048];
	bool found = false;
	ssize_t n;

	MUST(setsockopt(sender, SOL_SOCKET, SO_BINDTODEVICE, plain, strlen(plain) + 1));
	inet_pton(AF_INET, "192.0.2.77", &to.sin_addr);
	EXPECT_EQ(sendto(sender, "hello", 5, 0, (void *)&to, sizeof(to)), 5);
	/* Another processor may be about to hand it over. */
	while (!found && poll(&state, 1, 60000) == 1 && (n = read(fd, packet, sizeof(packet))) > 0)
		found = n == 12 + 28 + 5 && memcmp(packet + 12 + 28, "hello", 5) == 0;
	EXPECT(found);
	close(sender);
}

static void put_sysctl(const char *name, const char *setting, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), setting, name);
	fd = open(path, O_WRONLY);
	if (fd < 0 && (errno == EROFS || errno == ENOENT))
		return;
	MUST(fd);
	EXPECT_EQ(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

/* All of them, one behind the other. */
static void read_sysctls(const char *name, char *text, size_t room)
{
	static const char *const groups[] = { "ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh" };
	char command[512];
	FILE *output;
	size_t used = 0;

	for (int i = 0; i < 4; i++) {
		snprintf(command, sizeof(command), "cd /proc/sys/net/%s/%s 2>/dev/null && grep -s . *", groups[i],
			 name);
		output = popen(command, "r");
		EXPECT(output);
		used += fread(text + used, 1, room - used - 1, output);
		pclose(output);
	}
	text[used] = '\0';
}

static void run(const char *format, const char *name)
{
	char command[256];

	snprintf(command, sizeof(command), format, name);
	if (system(command) != 0)
		test_skip("%s", command);
}

static void read_neighbours(const char *name, char *text, size_t room)
{
	char command[256];
	FILE *output;

	snprintf(command, sizeof(command),
		 "PATH=$PATH:/sbin:/usr/sbin; ip neigh show nud permanent dev %s; ip neigh show proxy dev %s; "
		 "ip -o link show dev %s | grep -o 'group [^ ]*'",
		 name, name, name);
	output = popen(command, "r");
	EXPECT(output);
	text[fread(text, 1, room - 1, output)] = '\0';
	pclose(output);
}

int main(void)
{
	static char sysctls[2][32768], plain_sysctls[2][32768], neighbours[2][4096];
	const unsigned char mac[6] = { 2, 3, 4, 5, 6, 7 };
	int fd, queue, detached, persistent, without, none, header = 12, is_little = 1, buffer = 100000, no_carrier = 0,
							    index, other_index;
	struct ifreq request = { 0 };
	unsigned int number;
	char path[128];
	pid_t pid;

	test_start();
	EXPECT_EQ(getrandom(&number, sizeof(number), 0), sizeof(number));
	snprintf(plain, sizeof(plain), "zp%x", number);
	snprintf(queued, sizeof(queued), "zq%x", number);
	snprintf(kept, sizeof(kept), "zk%x", number);
	snprintf(silent, sizeof(silent), "zs%x", number);
	none = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (none < 0)
		test_skip("/dev/net/tun: %s", strerror(errno));
	fd = make(plain, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
	MUST(ioctl(fd, TUNSETVNETHDRSZ, &header));
	MUST(ioctl(fd, TUNSETVNETLE, &is_little));
	MUST(ioctl(fd, TUNSETSNDBUF, &buffer));
	MUST(ioctl(fd, TUNSETOWNER, 1234));
	MUST(ioctl(fd, TUNSETGROUP, 99));
	MUST(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4));
	queue = make(queued, IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, 0);
	detached = make(queued, IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, 0);
	buffer = 50000;
	MUST(ioctl(queue, TUNSETSNDBUF, &buffer));
	request.ifr_flags = IFF_DETACH_QUEUE;
	MUST(ioctl(detached, TUNSETQUEUE, &request));
	without = make(silent, IFF_TUN, 0);
	persistent = make(kept, IFF_TAP, 0);
	MUST(ioctl(persistent, TUNSETPERSIST, 1));
	buffer = 70000;
	MUST(ioctl(persistent, TUNSETSNDBUF, &buffer));
	control = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	set_address(plain, "192.0.2.1");
	request = ask(control, SIOCGIFFLAGS, plain);
	request.ifr_flags |= IFF_UP;
	MUST(ioctl(control, SIOCSIFFLAGS, &request));
	request.ifr_mtu = 1400;
	MUST(ioctl(control, SIOCSIFMTU, &request));
	request = ask(control, SIOCGIFHWADDR, queued);
	memcpy(request.ifr_hwaddr.sa_data, mac, 6);
	MUST(ioctl(control, SIOCSIFHWADDR, &request));
	put_sysctl(queued, "/proc/sys/net/ipv4/conf/%s/forwarding", "1");
	put_sysctl(queued, "/proc/sys/net/ipv4/conf/%s/rp_filter", "2");
	put_sysctl(queued, "/proc/sys/net/ipv4/neigh/%s/gc_stale_time", "77");
	put_sysctl(queued, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", "1");
	put_sysctl(queued, "/proc/sys/net/ipv6/conf/%s/hop_limit", "33");
	put_sysctl(queued, "/proc/sys/net/ipv6/neigh/%s/retrans_time_ms", "1234");
	run("PATH=$PATH:/sbin:/usr/sbin; ip link set dev %1$s up group 7 alias 'by another name' && "
	    "ip neigh add 198.51.100.7 lladdr 02:00:00:00:00:07 nud permanent dev %1$s && "
	    "ip neigh add proxy 198.51.100.8 dev %1$s",
	    queued);
	read_sysctls(queued, sysctls[0], sizeof(sysctls[0]));
	read_sysctls(plain, plain_sysctls[0], sizeof(plain_sysctls[0]));
	read_neighbours(queued, neighbours[0], sizeof(neighbours[0]));
	index = ask(control, SIOCGIFINDEX, plain).ifr_ifindex;
	other_index = ask(control, SIOCGIFINDEX, queued).ifr_ifindex;
	request = ask(control, SIOCGIFFLAGS, silent);
	request.ifr_flags |= IFF_UP;
	MUST(ioctl(control, SIOCSIFFLAGS, &request));
	MUST(ioctl(without, TUNSETCARRIER, &no_carrier));
	close(control);
	pid = test_fork(child, NULL);
	test_wait();
	control = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	EXPECT_EQ(ask(control, SIOCGIFINDEX, plain).ifr_ifindex, index);
	EXPECT_EQ(ask(control, SIOCGIFINDEX, queued).ifr_ifindex, other_index);
	read_sysctls(queued, sysctls[1], sizeof(sysctls[1]));
	EXPECT_STR(sysctls[1], sysctls[0]);
	read_sysctls(plain, plain_sysctls[1], sizeof(plain_sysctls[1]));
	EXPECT_STR(plain_sysctls[1], plain_sysctls[0]);
	read_neighbours(queued, neighbours[1], sizeof(neighbours[1]));
	EXPECT_STR(neighbours[1], neighbours[0]);
	EXPECT(strstr(neighbours[0], "198.51.100.7"));
	request = ask(fd, TUNGETIFF, "");
	EXPECT_EQ(strcmp(request.ifr_name, plain), 0);
	EXPECT_EQ(request.ifr_flags & (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR),
		  IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	MUST(ioctl(fd, TUNGETVNETHDRSZ, &header));
	EXPECT_EQ(header, 12);
	MUST(ioctl(fd, TUNGETVNETLE, &is_little));
	EXPECT_EQ(is_little, 1);
	MUST(ioctl(fd, TUNGETSNDBUF, &buffer));
	EXPECT_EQ(buffer, 100000);
	MUST(ioctl(queue, TUNGETSNDBUF, &buffer));
	EXPECT_EQ(buffer, 50000);
	MUST(ioctl(persistent, TUNGETSNDBUF, &buffer));
	EXPECT_EQ(buffer, 70000);
	EXPECT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(ask(control, SIOCGIFMTU, plain).ifr_mtu, 1400);
	request = ask(control, SIOCGIFADDR, plain);
	EXPECT_EQ(((struct sockaddr_in *)(void *)&request.ifr_addr)->sin_addr.s_addr, inet_addr("192.0.2.1"));
	/* The kernel finds out about a carrier a bit later. */
	for (int i = 0; i < 60000 && !(ask(control, SIOCGIFFLAGS, plain).ifr_flags & IFF_RUNNING); i++)
		usleep(1000);
	EXPECT_EQ(ask(control, SIOCGIFFLAGS, plain).ifr_flags & (IFF_UP | IFF_RUNNING), IFF_UP | IFF_RUNNING);
	EXPECT_EQ(ask(control, SIOCGIFFLAGS, silent).ifr_flags & IFF_UP, IFF_UP);
	expect_attribute(silent, "carrier", 0);
	snprintf(path, sizeof(path), "/sys/class/net/%s/ifalias", queued);
	if (test_slurp(path))
		EXPECT_STR(test_slurp(path), "by another name\n");
	expect_attribute(plain, "owner", 1234);
	expect_attribute(plain, "group", 99);
	expect_packet(fd);
	EXPECT_MEM(ask(control, SIOCGIFHWADDR, queued).ifr_hwaddr.sa_data, mac, 6);
	EXPECT_EQ(strcmp(ask(queue, TUNGETIFF, "").ifr_name, queued), 0);
	request = ask(detached, TUNGETIFF, "");
	EXPECT_EQ(strcmp(request.ifr_name, queued), 0);
	EXPECT_EQ(request.ifr_flags & IFF_DETACH_QUEUE, IFF_DETACH_QUEUE);
	request.ifr_flags = IFF_ATTACH_QUEUE;
	MUST(ioctl(detached, TUNSETQUEUE, &request));
	EXPECT_EQ(ask(detached, TUNGETIFF, "").ifr_flags & IFF_DETACH_QUEUE, 0);
	MUST(ioctl(detached, TUNGETSNDBUF, &buffer));
	EXPECT_EQ(buffer, 50000);
	EXPECT_EQ(ioctl(none, TUNGETIFF, &request), -1);
	EXPECT_EQ(errno, EBADFD);
	EXPECT_EQ(fcntl(none, F_GETFD), FD_CLOEXEC);
	request = ask(persistent, TUNGETIFF, "");
	EXPECT_EQ(strcmp(request.ifr_name, kept), 0);
	EXPECT_EQ(request.ifr_flags & (IFF_TAP | IFF_TUN), IFF_TAP);
	MUST(ioctl(persistent, TUNSETPERSIST, 0));
	test_end_child(pid);
	return test_pass();
}
