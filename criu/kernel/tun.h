/* Files of /dev/net/tun: the queues of TUN and TAP interfaces. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct kernel_memory;

struct tun_queue {
	char name[IFNAMSIZ]; /* of the interface; "": none */
	unsigned int flags;  /* IFF_xx, but for IFF_NO_PI, which only the interface tells (struct rtnl_link) */
	bool is_detached;
	bool is_elsewhere; /* in another network namespace than ours */
	bool has_filter;   /* or a program; the latter is only seen where the kernel's memory can be read */
	int vnet_header, send_buffer, vnet_le, vnet_be;
};

/* Asks a descriptor of ours. km is NULL where the kernel's memory cannot be read, else pidfd and fd say whose it is. */
int tun_read(int own_fd, struct kernel_memory *km, int pidfd, int fd, struct tun_queue *ret);

/* The offloads (TUN_F_xx) of an interface: 0 or -errno. */
int tun_offload(const char *name, unsigned int *ret);
