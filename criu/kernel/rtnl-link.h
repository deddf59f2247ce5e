/* Network interfaces over rtnetlink: what one is, its addresses, and setting both. In the caller's network namespace.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct rtnl_link {
	int index, master; /* master 0: none */
	unsigned int flags, type;
	uint32_t mtu, txqlen, group;
	uint8_t address[32];
	size_t address_bytes;
	char kind[16], qdisc[IFNAMSIZ], alias[256];
	bool carrier, has_program; /* XDP */
	bool has_other_names;
	int tun_owner, tun_group; /* -1: anybody */
	unsigned int tun_flags;   /* IFF_TUN, ... as TUNSETIFF takes them */
};

/* 0, -ENODEV or -errno. */
int rtnl_link_get(const char *name, struct rtnl_link *ret);

/* Appends to ret each address as a 32-bit length and an ifaddrmsg with its attributes. */
int rtnl_addresses(int index, struct buffer *ret);

/* The same for neighbours that do not have to be found again, permanent ones and proxies, with ndmsg. */
int rtnl_neighbours(int index, struct buffer *ret);

/* Whether somebody made routes through the interface, besides those that addresses bring. */
int rtnl_has_routes(int index, bool *ret);

/* Sets type-independent properties: mtu, txqlen, address, alias, group; then IFF_UP and the like. */
int rtnl_link_set(int index, const struct rtnl_link *link);

/* How IPv6 makes addresses by itself from now on (IN6_ADDR_GEN_MODE_xx). Unlike the sysctl it makes none by being set.
 */
int rtnl_set_address_generation(int index, uint8_t mode);

struct rtnl_address {
	uint8_t family, prefix;
	uint32_t flags;    /* IFA_F_xx */
	uint8_t local[16]; /* the own one of the two of a point-to-point link */
};

/* An address as rtnl_addresses() gave it. -EBADMSG when it is none. */
int rtnl_address_parse(const void *message, size_t bytes, struct rtnl_address *ret);

/* Also changes one that is there. An IPv6 address that was not tentative is not looked for on the link again. */
int rtnl_address_add(int index, const void *message, size_t bytes);
int rtnl_address_remove(int index, const void *message, size_t bytes);
int rtnl_neighbour_add(int index, const void *message, size_t bytes);
