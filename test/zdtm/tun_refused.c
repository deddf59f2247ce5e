/*
 * TUN interfaces that go with their file and have what nobody can bring back, one each: the argument says which.
 * Another interface that is persistent has the same, and is no obstacle. "elsewhere": of another network namespace.
 */
#include "zdtmlib.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#define NAME "z-refused"

static const struct {
	const char *name;
	const char *commands; /* of a shell; $I is the interface */
} variants[] = {
	{ "bridge", "ip link add $I-br type bridge && ip link set $I master $I-br" },
	{ "route", "ip link set $I up && ip addr add 192.0.2.1/24 dev $I && ip route add 198.51.100.0/24 dev $I" },
	{ "route6", "ip link set $I up && ip -6 route add 2001:db8:1::/64 dev $I" },
	{ "queueing", "tc qdisc replace dev $I root tbf rate 1mbit burst 32kbit latency 400ms" },
	{ "name", "ip link property add dev $I altname $I-alternative" },
};

static int make(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR);

	if (fd < 0)
		test_skip("/dev/net/tun: %s", strerror(errno));
	strcpy(request.ifr_name, name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		test_skip("TUNSETIFF: %s", strerror(errno));
	return fd;
}

static void run(const char *interface, const char *commands)
{
	char line[512];

	snprintf(line, sizeof(line), "exec 2>/dev/null; PATH=$PATH:/sbin:/usr/sbin; I=%s; %s", interface, commands);
	if (system(line) != 0)
		test_skip("%s", commands);
}

static int set_up(const char *variant)
{
	int own, fd;

	if (strcmp(variant, "elsewhere") == 0) {
		own = MUST(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
		MUST(unshare(CLONE_NEWNET));
		fd = make(NAME);
		MUST(setns(own, CLONE_NEWNET));
		close(own);
		return fd;
	}
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (strcmp(variant, variants[i].name) == 0) {
			fd = make(NAME);
			run(NAME, variants[i].commands);
			return fd;
		}
	FAIL("which one?");
}

int main(int argc, char **argv)
{
	struct ifreq request;
	int fd;

	test_start();
	fd = set_up(argc > 1 ? argv[1] : "");
	test_wait();
	MUST(ioctl(fd, TUNGETIFF, &request));
	EXPECT_STR(request.ifr_name, NAME);
	return test_pass();
}
