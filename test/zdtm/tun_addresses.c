/*
 * Addresses of TAP and TUN interfaces that go with their file: each way in which IPv6 makes link-local ones by itself,
 * with what became of them (deleted, of another secret, made before it was switched off), of interfaces that are up,
 * down, or without carrier, and what addresses have: peer, label, lifetimes, metric, origin, flags, order.
 * "temporary": besides one that cannot be made again. In a network namespace of its own.
 */
#include "zdtmlib.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

/* Shell commands; $I is the interface. */
static const struct interface {
	const char *name;
	int type;
	const char *setup;
} interfaces[] = {
	{ "z-eui64", IFF_TAP,
	  "ip link set $I up && "
	  "ip addr add 192.0.2.1/24 broadcast 192.0.2.99 label $I:x dev $I && ip addr add 192.0.2.2/24 dev $I && "
	  "ip addr add 198.51.100.1 peer 198.51.100.2 scope link metric 77 dev $I && "
	  "ip addr add 203.0.113.1/28 dev $I valid_lft 10000 preferred_lft 9999 noprefixroute && "
	  "ip addr add 2001:db8::1/64 dev $I && ip addr add 2001:db8::2/64 dev $I nodad && "
	  "ip addr add 2001:db8:1::3/56 dev $I metric 99 valid_lft 10000 preferred_lft 0 && "
	  "ip addr add 2001:db8:2::4/64 dev $I home noprefixroute && "
	  "ip addr add 2001:db8:3::5/64 dev $I mngtmpaddr && "
	  "ip addr add 2001:db8:4::6 peer 2001:db8:4::7 dev $I" },
	{ "z-deleted", IFF_TAP, "ip link set $I up && ip -6 addr flush dev $I" },
	{ "z-random", IFF_TUN, "ip link set $I up && ip addr add 2001:db8:5::1/64 dev $I" },
	{ "z-norandom", IFF_TUN, "ip link set $I up && ip -6 addr flush dev $I" },
	{ "z-stable", IFF_TAP, "echo 2001:db8::77 >/proc/sys/net/ipv6/conf/$I/stable_secret && ip link set $I up" },
	{ "z-nostable", IFF_TAP,
	  "echo 2001:db8::78 >/proc/sys/net/ipv6/conf/$I/stable_secret && ip link set $I up && "
	  "ip -6 addr flush dev $I && ip addr add fe80::1/64 dev $I" },
	{ "z-newsecret", IFF_TAP,
	  "echo 2001:db8::79 >/proc/sys/net/ipv6/conf/$I/stable_secret && ip link set $I up && "
	  "echo 2001:db8::80 >/proc/sys/net/ipv6/conf/$I/stable_secret" },
	{ "z-nottmp", IFF_TAP,
	  "echo 2 >/proc/sys/net/ipv6/conf/$I/use_tempaddr && ip link set $I up && "
	  "ip addr add 2001:db8:8::1/64 dev $I mngtmpaddr && ip -6 addr flush dev $I temporary" },
	{ "z-none", IFF_TAP, "ip link set $I addrgenmode none && ip link set $I up && ip addr add fe80::9/64 dev $I" },
	{ "z-nonenow", IFF_TAP, "ip link set $I up && ip link set $I addrgenmode none" },
	{ "z-eui64now", IFF_TAP,
	  "ip link set $I addrgenmode none && ip link set $I up && ip link set $I addrgenmode eui64" },
	{ "z-down", IFF_TAP, "ip addr add 192.0.2.130/25 dev $I && ip addr add 2001:db8:6::1/64 dev $I" },
	{ "z-downrandom", IFF_TUN, "ip link set $I addrgenmode random" },
	{ "z-cableless", IFF_TUN, "ip link set $I up" },
	{ "z-unborn", IFF_TAP, "" },
};

static const struct interface temporary = { "z-temporary", IFF_TAP,
					    "echo 2 >/proc/sys/net/ipv6/conf/$I/use_tempaddr && ip link set $I up && "
					    "ip addr add 2001:db8:9::1/64 dev $I mngtmpaddr" };

enum { COUNT = sizeof(interfaces) / sizeof(interfaces[0]), ROOM = 32768 };

static void run(const char *interface, const char *commands, char text[ROOM])
{
	static char line[4096];
	FILE *output;

	snprintf(line, sizeof(line), "PATH=$PATH:/sbin:/usr/sbin; I=%s; %s", interface, commands);
	output = popen(line, "r");
	EXPECT(output);
	text[fread(text, 1, ROOM - 1, output)] = '\0';
	if (pclose(output) != 0)
		test_skip("%s", commands);
}

static int make(const struct interface *interface)
{
	struct ifreq request = { .ifr_flags = (short)(interface->type | IFF_NO_PI) };
	int fd = open("/dev/net/tun", O_RDWR);
	char nothing[ROOM];

	if (fd < 0)
		test_skip("/dev/net/tun: %s", strerror(errno));
	strcpy(request.ifr_name, interface->name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		test_skip("TUNSETIFF: %s", strerror(errno));
	run(interface->name, interface->setup, nothing);
	return fd;
}

/* Lifetimes go on. That an address is of a secret is not kept where the secret is another by now. */
static void look(const char *name, char text[ROOM])
{
	run(name,
	    "ip -d addr show dev $I | sed -E 's/ (10000|99[0-9][0-9])sec/ limited/g' | "
	    "if [ $I = z-newsecret ]; then sed 's/ stable-privacy//'; else cat; fi; "
	    "ip -4 route show table all dev $I | sort; "
	    "ip -6 route show table all dev $I | sed -E 's/ (10000|99[0-9][0-9])sec/ limited/g' | sort; "
	    "ip maddr show dev $I | sort; cat /proc/sys/net/ipv6/conf/$I/addr_gen_mode; "
	    "cat /proc/sys/net/ipv6/conf/$I/stable_secret 2>/dev/null; ip -d link show dev $I",
	    text);
}

/* Until the kernel has looked on the link for each address. */
static void settle(const char *name, char text[ROOM])
{
	for (int i = 0; i < 600; i++) {
		look(name, text);
		if (!strstr(text, "tentative") || strstr(text, "state DOWN"))
			return;
		usleep(100000);
	}
	FAIL("addresses stay tentative: %s", text);
}

/* Of long texts, from the line on that differs. */
static void expect_same(const char *name, const char *before, const char *after)
{
	size_t at = 0;

	while (before[at] && before[at] == after[at])
		at++;
	if (!before[at] && !after[at])
		return;
	while (at > 0 && before[at - 1] != '\n')
		at--;
	FAIL("%s: expected \"%.300s\", found \"%.300s\"", name, before + at, after + at);
}

int main(int argc, char **argv)
{
	static char before[COUNT][ROOM], after[ROOM];
	int no_carrier = 0;

	test_start();
	if (argc > 1)
		make(&temporary);
	for (int i = 0; i < COUNT; i++) {
		int fd = make(&interfaces[i]);

		if (strcmp(interfaces[i].name, "z-cableless") != 0 && strcmp(interfaces[i].name, "z-unborn") != 0)
			continue;
		MUST(ioctl(fd, TUNSETCARRIER, &no_carrier));
		run(interfaces[i].name, "ip link set $I up; ip addr add 2001:db8:7::1/64 dev $I", after);
	}
	for (int i = 0; i < COUNT; i++)
		settle(interfaces[i].name, before[i]);
	test_wait();
	for (int i = 0; i < COUNT; i++) {
		look(interfaces[i].name, after);
		/* What the kernel itself has to make again it looks for again, too. */
		if (strstr(before[i], "stable-privacy"))
			settle(interfaces[i].name, after);
		expect_same(interfaces[i].name, before[i], after);
	}
	return test_pass();
}
