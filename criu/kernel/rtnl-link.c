#include "kernel/rtnl-link.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"

#define REPLY_BYTES   32768
#define REQUEST_BYTES 4096

struct request {
	union {
		struct nlmsghdr header;
		char bytes[REQUEST_BYTES];
	};
};

typedef int (*reply_fn)(void *ctx, const struct nlmsghdr *message);

/* --- talking ----------------------------------------------------------------------------------------------------- */

static void start_request(struct request *request, int type, int flags, const void *body, size_t bytes)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_type = (uint16_t)type;
	request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	request->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(bytes);
	memcpy(NLMSG_DATA(&request->header), body, bytes);
}

static int add_attribute(struct request *request, int type, const void *data, size_t bytes)
{
	size_t at = NLMSG_ALIGN(request->header.nlmsg_len);
	struct rtattr *attribute = (struct rtattr *)(void *)(request->bytes + at);

	if (at + RTA_SPACE(bytes) > sizeof(*request))
		return -E2BIG;
	attribute->rta_type = (uint16_t)type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(bytes);
	memcpy(RTA_DATA(attribute), data, bytes);
	request->header.nlmsg_len = (uint32_t)(at + RTA_LENGTH(bytes));
	return 0;
}

/* 1: there is more to come. */
static int take_messages(const char *reply, size_t bytes, reply_fn take, void *ctx)
{
	const struct nlmsghdr *message = (const void *)reply;

	for (; NLMSG_OK(message, bytes); message = NLMSG_NEXT(message, bytes)) {
		int r = 0;

		if (message->nlmsg_type == NLMSG_DONE)
			return 0;
		if (message->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
		if (take)
			r = take(ctx, message);
		if (r < 0)
			return r;
	}
	return 1;
}

static int talk(struct request *request, reply_fn take, void *ctx)
{
	AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	AUTO_FREE char *reply = malloc(REPLY_BYTES);
	int r = 1;

	if (fd < 0)
		return -errno;
	if (!reply)
		return -ENOMEM;
	if ((request->header.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) /* NLM_F_REPLACE is a part of it */
		request->header.nlmsg_flags |= NLM_F_ACK;
	if (send(fd, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	while (r == 1) {
		ssize_t n = recv(fd, reply, REPLY_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		r = take_messages(reply, (size_t)n, take, ctx);
	}
	return r;
}

static void copy_text(const struct rtattr *attribute, char *to, size_t room)
{
	size_t bytes = min_u64(RTA_PAYLOAD(attribute), room - 1);

	memcpy(to, RTA_DATA(attribute), bytes);
	to[bytes] = '\0';
}

static uint32_t number_of(const struct rtattr *attribute)
{
	uint32_t number = 0;

	memcpy(&number, RTA_DATA(attribute), min_u64(RTA_PAYLOAD(attribute), sizeof(number)));
	return number;
}

/* --- what is there ----------------------------------------------------------------------------------------------- */

#define for_each_attribute(attribute, first, room)                                                                     \
	for (const struct rtattr *attribute = (const void *)(first); RTA_OK(attribute, room);                          \
	     attribute = RTA_NEXT(attribute, room))

static void take_tun(const struct rtattr *data, struct rtnl_link *link)
{
	size_t room = RTA_PAYLOAD(data);

	for_each_attribute(attribute, RTA_DATA(data), room)
	{
		uint32_t value = number_of(attribute);

		if (attribute->rta_type == IFLA_TUN_OWNER)
			link->tun_owner = (int)value;
		else if (attribute->rta_type == IFLA_TUN_GROUP)
			link->tun_group = (int)value;
		else if (attribute->rta_type == IFLA_TUN_TYPE)
			link->tun_flags |= value;
		else if (attribute->rta_type == IFLA_TUN_PI)
			link->tun_flags |= value ? 0 : IFF_NO_PI;
		else if (attribute->rta_type == IFLA_TUN_VNET_HDR)
			link->tun_flags |= value ? IFF_VNET_HDR : 0;
		else if (attribute->rta_type == IFLA_TUN_MULTI_QUEUE)
			link->tun_flags |= value ? IFF_MULTI_QUEUE : 0;
		else if (attribute->rta_type == IFLA_TUN_PERSIST)
			link->tun_flags |= value ? IFF_PERSIST : 0;
	}
}

static void take_info(const struct rtattr *info, struct rtnl_link *link)
{
	size_t room = RTA_PAYLOAD(info);
	const struct rtattr *data = NULL;

	for_each_attribute(attribute, RTA_DATA(info), room)
	{
		if (attribute->rta_type == IFLA_INFO_KIND)
			copy_text(attribute, link->kind, sizeof(link->kind));
		else if (attribute->rta_type == IFLA_INFO_DATA)
			data = attribute;
	}
	if (data && !strcmp(link->kind, "tun"))
		take_tun(data, link);
}

static void take_attribute(const struct rtattr *attribute, struct rtnl_link *link)
{
	size_t room = RTA_PAYLOAD(attribute);

	switch (attribute->rta_type & NLA_TYPE_MASK) {
	case IFLA_MTU:
		link->mtu = number_of(attribute);
		break;
	case IFLA_GROUP:
		link->group = number_of(attribute);
		break;
	case IFLA_PROP_LIST:
		link->has_other_names = room > 0;
		break;
	case IFLA_TXQLEN:
		link->txqlen = number_of(attribute);
		break;
	case IFLA_MASTER:
		link->master = (int)number_of(attribute);
		break;
	case IFLA_CARRIER:
		link->carrier = *(const uint8_t *)RTA_DATA(attribute) != 0;
		break;
	case IFLA_QDISC:
		copy_text(attribute, link->qdisc, sizeof(link->qdisc));
		break;
	case IFLA_IFALIAS:
		copy_text(attribute, link->alias, sizeof(link->alias));
		break;
	case IFLA_ADDRESS:
		link->address_bytes = min_u64(room, sizeof(link->address));
		memcpy(link->address, RTA_DATA(attribute), link->address_bytes);
		break;
	case IFLA_LINKINFO:
		take_info(attribute, link);
		break;
	case IFLA_XDP:
		for_each_attribute(inner, RTA_DATA(attribute), room) if (inner->rta_type == IFLA_XDP_ATTACHED)
		    link->has_program |= *(const uint8_t *)RTA_DATA(inner) != XDP_ATTACHED_NONE;
		break;
	}
}

static int take_link(void *ctx, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	struct rtnl_link *link = ctx;
	size_t room;

	if (message->nlmsg_type != RTM_NEWLINK)
		return 0;
	link->index = info->ifi_index;
	link->flags = info->ifi_flags;
	link->type = info->ifi_type;
	room = IFLA_PAYLOAD(message);
	for_each_attribute(attribute, IFLA_RTA(info), room) take_attribute(attribute, link);
	return 0;
}

int rtnl_link_get(const char *name, struct rtnl_link *ret)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct request request;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->tun_owner = ret->tun_group = -1;
	start_request(&request, RTM_GETLINK, 0, &info, sizeof(info));
	r = add_attribute(&request, IFLA_IFNAME, name, strlen(name) + 1);
	return r < 0 ? r : talk(&request, take_link, ret);
}

struct addresses {
	int index;
	struct buffer *to;
};

static int take_address(void *ctx, const struct nlmsghdr *message)
{
	struct addresses *addresses = ctx;
	const struct ifaddrmsg *address = NLMSG_DATA(message);
	uint32_t bytes = (uint32_t)NLMSG_PAYLOAD(message, 0);
	int r;

	if (message->nlmsg_type != RTM_NEWADDR || (int)address->ifa_index != addresses->index)
		return 0;
	r = buffer_append(addresses->to, &bytes, sizeof(bytes));
	return r < 0 ? r : buffer_append(addresses->to, address, bytes);
}

int rtnl_addresses(int index, struct buffer *ret)
{
	struct addresses addresses = { index, ret };
	struct ifaddrmsg address = { .ifa_family = AF_UNSPEC };
	struct request request;

	start_request(&request, RTM_GETADDR, NLM_F_DUMP, &address, sizeof(address));
	return talk(&request, take_address, &addresses);
}

static int take_neighbour(void *ctx, const struct nlmsghdr *message)
{
	struct addresses *neighbours = ctx;
	const struct ndmsg *neighbour = NLMSG_DATA(message);
	uint32_t bytes = (uint32_t)NLMSG_PAYLOAD(message, 0);
	int r;

	if (message->nlmsg_type != RTM_NEWNEIGH || neighbour->ndm_ifindex != neighbours->index ||
	    !(neighbour->ndm_state & NUD_PERMANENT || neighbour->ndm_flags & NTF_PROXY))
		return 0;
	r = buffer_append(neighbours->to, &bytes, sizeof(bytes));
	return r < 0 ? r : buffer_append(neighbours->to, neighbour, bytes);
}

static int list_neighbours(int flags, struct addresses *to)
{
	struct ndmsg neighbour = { .ndm_family = AF_UNSPEC, .ndm_flags = (uint8_t)flags };
	struct request request;

	start_request(&request, RTM_GETNEIGH, NLM_F_DUMP, &neighbour, sizeof(neighbour));
	return talk(&request, take_neighbour, to);
}

int rtnl_neighbours(int index, struct buffer *ret)
{
	struct addresses to = { index, ret };
	int r = list_neighbours(0, &to);

	return r < 0 ? r : list_neighbours(NTF_PROXY, &to);
}

struct routes {
	int index;
	bool found;
};

static int take_route(void *ctx, const struct nlmsghdr *message)
{
	struct routes *routes = ctx;
	const struct rtmsg *route = NLMSG_DATA(message);
	size_t room = RTM_PAYLOAD(message);

	if (message->nlmsg_type != RTM_NEWROUTE || route->rtm_protocol == RTPROT_KERNEL ||
	    route->rtm_protocol == RTPROT_RA || route->rtm_flags & RTM_F_CLONED)
		return 0;
	for_each_attribute(attribute, RTM_RTA(route), room) if (attribute->rta_type == RTA_OIF) routes->found |=
	    (int)number_of(attribute) == routes->index;
	return 0;
}

int rtnl_has_routes(int index, bool *ret)
{
	struct routes routes = { .index = index };
	struct rtmsg route = { .rtm_family = AF_UNSPEC };
	struct request request;
	int r;

	start_request(&request, RTM_GETROUTE, NLM_F_DUMP, &route, sizeof(route));
	r = talk(&request, take_route, &routes);
	if (r == 0)
		*ret = routes.found;
	return r;
}

/* --- setting it -------------------------------------------------------------------------------------------------- */

#define FLAGS_SET                                                                                                      \
	((unsigned int)(IFF_UP | IFF_DEBUG | IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST | IFF_DYNAMIC))

int rtnl_link_set(int index, const struct rtnl_link *link)
{
	struct ifinfomsg info = {
		.ifi_index = index,
		.ifi_flags = link->flags & FLAGS_SET,
		.ifi_change = FLAGS_SET,
	};
	struct request request;
	int r;

	start_request(&request, RTM_NEWLINK, 0, &info, sizeof(info));
	r = add_attribute(&request, IFLA_MTU, &link->mtu, sizeof(link->mtu));
	if (r == 0)
		r = add_attribute(&request, IFLA_TXQLEN, &link->txqlen, sizeof(link->txqlen));
	if (r == 0 && link->group)
		r = add_attribute(&request, IFLA_GROUP, &link->group, sizeof(link->group));
	if (r == 0 && link->address_bytes)
		r = add_attribute(&request, IFLA_ADDRESS, link->address, link->address_bytes);
	if (r == 0 && link->alias[0])
		r = add_attribute(&request, IFLA_IFALIAS, link->alias, strlen(link->alias) + 1);
	return r < 0 ? r : talk(&request, NULL, NULL);
}

int rtnl_set_address_generation(int index, uint8_t mode)
{
	struct ifinfomsg info = { .ifi_index = index };
	struct {
		struct rtattr family, mode;
		uint8_t value, padding[3];
	} spec = {
		.family = { .rta_len = RTA_LENGTH(RTA_LENGTH(sizeof(mode))), .rta_type = AF_INET6 },
		.mode = { .rta_len = RTA_LENGTH(sizeof(mode)), .rta_type = IFLA_INET6_ADDR_GEN_MODE },
		.value = mode,
	};
	struct request request;
	int r;

	start_request(&request, RTM_NEWLINK, 0, &info, sizeof(info));
	r = add_attribute(&request, IFLA_AF_SPEC | NLA_F_NESTED, &spec, sizeof(spec));
	return r < 0 ? r : talk(&request, NULL, NULL);
}

static int start_address(struct request *request, int type, int flags, int index, const void *message, size_t bytes)
{
	struct ifaddrmsg *address;

	if (bytes < sizeof(*address) || NLMSG_SPACE(bytes) > sizeof(*request))
		return -EBADMSG;
	start_request(request, type, flags, message, bytes);
	address = NLMSG_DATA(&request->header);
	address->ifa_index = (uint32_t)index;
	return 0;
}

/* Of its attributes. A message from an image may end anywhere; what follows it here is zero up to the alignment. */
static size_t address_room(struct request *request)
{
	return NLMSG_ALIGN(IFA_PAYLOAD(&request->header));
}

int rtnl_address_parse(const void *message, size_t bytes, struct rtnl_address *ret)
{
	const struct ifaddrmsg *address;
	bool has_local = false;
	struct request request;
	size_t room;
	int r = start_address(&request, RTM_NEWADDR, 0, 0, message, bytes); /* a copy that is aligned */

	if (r < 0)
		return r;
	address = NLMSG_DATA(&request.header);
	*ret = (struct rtnl_address){ address->ifa_family, address->ifa_prefixlen, address->ifa_flags, { 0 } };
	room = address_room(&request);
	for_each_attribute(attribute, IFA_RTA(address), room)
	{
		if (attribute->rta_type == IFA_FLAGS)
			ret->flags = number_of(attribute);
		if (attribute->rta_type != IFA_LOCAL && (attribute->rta_type != IFA_ADDRESS || has_local))
			continue;
		has_local = attribute->rta_type == IFA_LOCAL;
		memcpy(ret->local, RTA_DATA(attribute), min_u64(RTA_PAYLOAD(attribute), sizeof(ret->local)));
	}
	return 0;
}

static void put_address_flags(struct request *request, uint32_t flags)
{
	struct ifaddrmsg *address = NLMSG_DATA(&request->header);
	size_t room = address_room(request);

	address->ifa_flags = (uint8_t)flags;
	for (struct rtattr *attribute = IFA_RTA(address); RTA_OK(attribute, room);
	     attribute = RTA_NEXT(attribute, room))
		if (attribute->rta_type == IFA_FLAGS && RTA_PAYLOAD(attribute) == sizeof(flags))
			memcpy(RTA_DATA(attribute), &flags, sizeof(flags));
}

int rtnl_address_add(int index, const void *message, size_t bytes)
{
	struct rtnl_address address;
	struct request request;
	int r = rtnl_address_parse(message, bytes, &address);

	if (r == 0)
		r = start_address(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, message, bytes);
	if (r < 0)
		return r;
	if (address.family != AF_INET6 || address.flags & (IFA_F_TENTATIVE | IFA_F_NODAD))
		return talk(&request, NULL, NULL);
	put_address_flags(&request, address.flags | IFA_F_NODAD);
	r = talk(&request, NULL, NULL);
	put_address_flags(&request, address.flags);
	return r < 0 ? r : talk(&request, NULL, NULL);
}

int rtnl_address_remove(int index, const void *message, size_t bytes)
{
	struct request request;
	int r = start_address(&request, RTM_DELADDR, 0, index, message, bytes);

	return r < 0 ? r : talk(&request, NULL, NULL);
}

int rtnl_neighbour_add(int index, const void *message, size_t bytes)
{
	struct request request;
	struct ndmsg *neighbour;

	if (bytes < sizeof(*neighbour) || NLMSG_SPACE(bytes) > sizeof(request))
		return -EBADMSG;
	start_request(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, message, bytes);
	neighbour = NLMSG_DATA(&request.header);
	neighbour->ndm_ifindex = index;
	return talk(&request, NULL, NULL);
}
