/*
 * Probes of sockets, netlink, network devices and packet filters. What makes objects does so in a network namespace
 * that goes away with the probe.
 */
#include "kernel/feature-probes.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/inet_diag.h>
#include <linux/net_namespace.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/missing-socket.h"
#include "kernel/probe-child.h"

/* --- netlink messages, as few as the probes need ----------------------------------------------------------------- */

struct message {
	union {
		struct nlmsghdr header;
		char bytes[1024];
	};
};

static void *message_start(struct message *m, uint16_t type, uint16_t flags, size_t payload)
{
	memset(m, 0, sizeof(*m));
	m->header.nlmsg_type = type;
	m->header.nlmsg_flags = NLM_F_REQUEST | flags;
	m->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(payload);
	return NLMSG_DATA(&m->header);
}

/* Returns the attribute, for nests. The fixed messages here always fit. */
static struct rtattr *add_attribute(struct message *m, uint16_t type, const void *data, size_t bytes)
{
	struct rtattr *at = (void *)(m->bytes + NLMSG_ALIGN(m->header.nlmsg_len));

	at->rta_type = type;
	at->rta_len = (uint16_t)RTA_LENGTH(bytes);
	if (bytes)
		memcpy(RTA_DATA(at), data, bytes);
	m->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(m->header.nlmsg_len) + RTA_ALIGN(at->rta_len));
	return at;
}

static void add_number(struct message *m, uint16_t type, uint32_t number)
{
	(void)add_attribute(m, type, &number, sizeof(number));
}

static void add_text(struct message *m, uint16_t type, const char *text)
{
	(void)add_attribute(m, type, text, strlen(text) + 1);
}

static void end_nest(const struct message *m, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)(m->bytes + m->header.nlmsg_len - (char *)nest);
}

static int open_netlink(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	return fd < 0 ? -errno : fd;
}

/* Sends and receives one datagram: its first message is in *reply. The kernel's error, 0 for an acknowledgement too. */
static int exchange(int fd, const struct message *m, void *reply, size_t capacity, size_t *ret_bytes)
{
	const struct nlmsghdr *header = reply;
	ssize_t bytes;

	if (send(fd, m, m->header.nlmsg_len, 0) < 0)
		return -errno;
	bytes = recv(fd, reply, capacity, 0);
	if (bytes < 0)
		return -errno;
	if (!NLMSG_OK(header, (size_t)bytes))
		return -EBADMSG;
	*ret_bytes = (size_t)bytes;
	if (header->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
	return 0;
}

static const struct rtattr *find_attribute(const struct nlmsghdr *header, size_t payload, uint16_t type)
{
	const struct rtattr *at = (const void *)((const char *)NLMSG_DATA(header) + NLMSG_ALIGN(payload));
	int left = (int)(header->nlmsg_len - NLMSG_SPACE(payload));

	for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
		if ((at->rta_type & NLA_TYPE_MASK) == type)
			return at;
	return NULL;
}

/* --- sock_diag --------------------------------------------------------------------------------------------------- */

static int dump_sockets(const void *request, size_t request_bytes)
{
	AUTO_CLOSE int fd = open_netlink(NETLINK_SOCK_DIAG);
	char reply[16384];
	struct message m;
	size_t bytes;
	int r;

	if (fd < 0)
		return fd == -EPROTONOSUPPORT ? 0 : fd;
	memcpy(message_start(&m, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, request_bytes), request, request_bytes);
	r = exchange(fd, &m, reply, sizeof(reply), &bytes);
	return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r < 0 ? r : 1;
}

static int dump_inet_sockets(uint8_t protocol)
{
	/* No state asked for: no socket is reported, but the handler is found or not. */
	const struct inet_diag_req_v2 request = { .sdiag_family = AF_INET, .sdiag_protocol = protocol };

	return dump_sockets(&request, sizeof(request));
}

int probe_net_diag_raw(void)
{
	return dump_inet_sockets(IPPROTO_RAW);
}

int probe_sock_diag(void)
{
	const struct unix_diag_req unix_request = { .sdiag_family = AF_UNIX };
	int r = dump_sockets(&unix_request, sizeof(unix_request));

	return r <= 0 ? r : dump_inet_sockets(IPPROTO_TCP);
}

/* --- socket options and requests --------------------------------------------------------------------------------- */

int probe_sk_ns(void)
{
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_CLOSE int ns = -1;

	if (sock < 0)
		return -errno;
	ns = ioctl(sock, SIOCGSKNS);
	return probe_answer(ns);
}

/* A socket without a name has no file, and a kernel that knows the request says so. */
int probe_sk_unix_file(void)
{
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_CLOSE int file = -1;

	if (sock < 0)
		return -errno;
	file = ioctl(sock, SIOCUNIXFILE);
	if (file < 0 && errno == ENOENT)
		return 1;
	return probe_answer(file);
}

int probe_so_peek_off(void)
{
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int offset = 0;

	if (sock < 0)
		return -errno;
	return probe_answer(setsockopt(sock, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)));
}

int probe_so_get_filter(void)
{
	AUTO_CLOSE int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char device[IFNAMSIZ];
	socklen_t bytes = 0;
	int r;

	if (sock < 0)
		return -errno;
	r = probe_answer(getsockopt(sock, SOL_SOCKET, SO_GET_FILTER, NULL, &bytes));
	if (r <= 0)
		return r;
	bytes = sizeof(device);
	return probe_answer(getsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, device, &bytes));
}

int probe_sockopt_buf_lock(void)
{
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int lock = 0;
	socklen_t bytes = sizeof(lock);

	if (sock < 0)
		return -errno;
	return probe_answer(getsockopt(sock, SOL_SOCKET, SO_BUF_LOCK, &lock, &bytes));
}

int probe_ipv6_freebind(void)
{
	AUTO_CLOSE int sock = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (sock < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno;
	return probe_answer(setsockopt(sock, SOL_IPV6, IPV6_FREEBIND, &on, sizeof(on)));
}

/* --- TCP repair: in a network namespace of its own, so that no rule of the host is in the way -------------------- */

static int enable_loopback(void)
{
	AUTO_CLOSE int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &request) < 0)
		return -errno;
	return 0;
}

/* A connection with both ends here. All descriptors end with the child that asks. */
static int make_connection(int *ret_client, int *ret_server)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	int listener, client, server, r = enable_loopback();

	if (r < 0)
		return r;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || client < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &bytes) < 0 ||
	    connect(client, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	server = accept(listener, NULL, NULL);
	if (server < 0)
		return -errno;
	*ret_client = client;
	*ret_server = server;
	return 0;
}

static int enter_repair(int sock)
{
	int on = TCP_REPAIR_ON;

	return setsockopt(sock, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on));
}

static int repair_connection(void)
{
	struct tcp_repair_window window;
	uint32_t timestamp;
	socklen_t bytes = sizeof(timestamp);
	int client = -1, server = -1, r = make_connection(&client, &server);

	if (r < 0)
		return r;
	r = probe_answer(enter_repair(client));
	if (r <= 0)
		return r;
	r = probe_answer(getsockopt(client, IPPROTO_TCP, TCP_TIMESTAMP, &timestamp, &bytes));
	if (r <= 0)
		return r;
	bytes = sizeof(window);
	return probe_answer(getsockopt(client, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &bytes));
}

int probe_tcp_repair(void)
{
	return probe_in_namespaces(CLONE_NEWNET, repair_connection);
}

static int repair_half_closed(void)
{
	char byte;
	int client = -1, server = -1, r = make_connection(&client, &server);

	if (r < 0)
		return r;
	/* The end of the stream is there: the server's end is in CLOSE_WAIT, the client's in FIN_WAIT2. */
	if (shutdown(client, SHUT_WR) < 0 || read(server, &byte, 1) < 0)
		return -errno;
	/* Kernels before 4.10 refuse by state with the errno of a missing right, which the namespace's owner has. */
	if (enter_repair(server) < 0 || enter_repair(client) < 0)
		return errno == EPERM ? 0 : probe_answer(-1);
	return 1;
}

int probe_tcp_half_closed(void)
{
	return probe_in_namespaces(CLONE_NEWNET, repair_half_closed);
}

/* --- tun --------------------------------------------------------------------------------------------------------- */

static int make_tun(int *ret_fd)
{
	AUTO_CLOSE int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq request = { .ifr_name = "probe%d", .ifr_flags = IFF_TUN | IFF_NO_PI };

	if (fd < 0)
		return errno == ENOENT || errno == ENODEV || errno == ENXIO ? 0 : -errno;
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return probe_answer(-1);
	*ret_fd = take_fd(&fd);
	return 1;
}

static int read_tun(void)
{
	AUTO_CLOSE int fd = -1;
	struct ifreq request = { 0 };
	int number, r = make_tun(&fd);

	if (r <= 0)
		return r;
	if (ioctl(fd, TUNGETIFF, &request) < 0 || ioctl(fd, TUNGETSNDBUF, &number) < 0 ||
	    ioctl(fd, TUNGETVNETHDRSZ, &number) < 0)
		return probe_answer(-1);
	return 1;
}

int probe_tun(void)
{
	return probe_in_namespaces(CLONE_NEWNET, read_tun);
}

static int read_tun_ns(void)
{
	AUTO_CLOSE int fd = -1;
	int r = make_tun(&fd);

	return r <= 0 ? r : probe_answer(ioctl(fd, SIOCGSKNS));
}

int probe_tun_ns(void)
{
	return probe_in_namespaces(CLONE_NEWNET, read_tun_ns);
}

/* --- rtnetlink --------------------------------------------------------------------------------------------------- */

int probe_nsid(void)
{
	AUTO_CLOSE int fd = open_netlink(NETLINK_ROUTE);
	AUTO_CLOSE int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct rtgenmsg *request;
	char reply[4096];
	struct message m;
	size_t bytes;
	int r;

	if (fd < 0)
		return fd;
	if (ns < 0)
		return errno == ENOENT ? 0 : -errno;
	request = message_start(&m, RTM_GETNSID, 0, sizeof(*request));
	request->rtgen_family = AF_UNSPEC;
	add_number(&m, NETNSA_FD, (uint32_t)ns);
	r = exchange(fd, &m, reply, sizeof(reply), &bytes);
	if (r < 0)
		return r == -EOPNOTSUPP || r == -EINVAL ? 0 : r;
	return find_attribute((const void *)reply, sizeof(*request), NETNSA_NSID) != NULL;
}

#define PEER_INDEX 4242

/* A pair of virtual devices. */
static int make_pair(int fd, const char *name, const char *peer_name)
{
	struct rtattr *info, *data, *peer;
	struct ifinfomsg *request, peer_header = { 0 };
	char reply[4096];
	struct message m;
	size_t bytes;

	request = message_start(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sizeof(*request));
	request->ifi_family = AF_UNSPEC;
	add_text(&m, IFLA_IFNAME, name);
	info = add_attribute(&m, IFLA_LINKINFO, NULL, 0);
	add_text(&m, IFLA_INFO_KIND, "veth");
	data = add_attribute(&m, IFLA_INFO_DATA, NULL, 0);
	peer = add_attribute(&m, VETH_INFO_PEER, &peer_header, sizeof(peer_header));
	add_text(&m, IFLA_IFNAME, peer_name);
	end_nest(&m, peer);
	end_nest(&m, data);
	end_nest(&m, info);
	return exchange(fd, &m, reply, sizeof(reply), &bytes);
}

static int move_device(int fd, const char *name, int ns, bool choose_index)
{
	struct ifinfomsg *request;
	char reply[4096];
	struct message m;
	size_t bytes;

	request = message_start(&m, RTM_NEWLINK, NLM_F_ACK, sizeof(*request));
	request->ifi_family = AF_UNSPEC;
	request->ifi_index = (int)if_nametoindex(name);
	add_number(&m, IFLA_NET_NS_FD, (uint32_t)ns);
	if (choose_index)
		add_number(&m, IFLA_NEW_IFINDEX, PEER_INDEX);
	return exchange(fd, &m, reply, sizeof(reply), &bytes);
}

static int get_device(int fd, const char *name, char *reply, size_t capacity)
{
	struct ifinfomsg *request;
	struct message m;
	size_t bytes;

	request = message_start(&m, RTM_GETLINK, 0, sizeof(*request));
	request->ifi_family = AF_UNSPEC;
	request->ifi_index = (int)if_nametoindex(name);
	return exchange(fd, &m, reply, capacity, &bytes);
}

/* The end that stayed tells the namespace and the index of the one that left. */
static int make_split_pair(bool choose_index, char *reply, size_t capacity)
{
	AUTO_CLOSE int other_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int fd = -1;
	int r;

	if (other_ns < 0 || unshare(CLONE_NEWNET) < 0)
		return -errno;
	fd = open_netlink(NETLINK_ROUTE);
	if (fd < 0)
		return fd;
	r = make_pair(fd, "probe0", "probe1");
	if (r == 0)
		r = move_device(fd, "probe1", other_ns, choose_index);
	return r < 0 ? r : get_device(fd, "probe0", reply, capacity);
}

static int find_link_ns(void)
{
	char reply[16384];
	int r = make_split_pair(false, reply, sizeof(reply));

	if (r < 0)
		return r;
	return find_attribute((const void *)reply, sizeof(struct ifinfomsg), IFLA_LINK_NETNSID) != NULL;
}

int probe_link_nsid(void)
{
	return probe_in_namespaces(CLONE_NEWNET, find_link_ns);
}

static int find_chosen_index(void)
{
	char reply[16384];
	const struct rtattr *link;
	uint32_t index;
	int r = make_split_pair(true, reply, sizeof(reply));

	if (r < 0)
		return r == -EINVAL || r == -EOPNOTSUPP ? 0 : r;
	link = find_attribute((const void *)reply, sizeof(struct ifinfomsg), IFLA_LINK);
	if (!link)
		return -ENODATA;
	memcpy(&index, RTA_DATA(link), sizeof(index));
	return index == PEER_INDEX;
}

int probe_newifindex(void)
{
	return probe_in_namespaces(CLONE_NEWNET, find_chosen_index);
}

/* --- packet filters ---------------------------------------------------------------------------------------------- */

int probe_nftables(void)
{
	void *library = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
	int found;

	if (!library)
		return 0;
	found = dlsym(library, "nft_run_cmd_from_buffer") != NULL;
	(void)dlclose(library);
	return found;
}

struct batch {
	char bytes[2048];
	size_t used;
};

static void batch_add(struct batch *batch, const struct message *m)
{
	memcpy(batch->bytes + batch->used, m, m->header.nlmsg_len);
	batch->used += NLMSG_ALIGN(m->header.nlmsg_len);
}

static void batch_message(struct message *m, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
	struct nfgenmsg *header = message_start(m, type, flags, sizeof(*header));

	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	header->res_id = htons(resource);
}

static void add_table(struct batch *batch)
{
	struct message m;

	batch_message(&m, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, NFPROTO_INET, 0);
	add_text(&m, NFTA_TABLE_NAME, "probe");
	batch_add(batch, &m);
}

/* A set whose keys are an address and a port in one: the shape in which connections are listed. */
static void add_concatenated_set(struct batch *batch)
{
	static const uint32_t field_bytes[] = { 4, 2 };
	struct rtattr *description, *concat;
	struct message m;
	size_t i;

	batch_message(&m, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
	add_text(&m, NFTA_SET_TABLE, "probe");
	add_text(&m, NFTA_SET_NAME, "pairs");
	add_number(&m, NFTA_SET_FLAGS, htonl(NFT_SET_CONCAT));
	add_number(&m, NFTA_SET_KEY_TYPE, htonl(0));
	add_number(&m, NFTA_SET_KEY_LEN, htonl(8));
	add_number(&m, NFTA_SET_ID, htonl(1));
	description = add_attribute(&m, NFTA_SET_DESC | NLA_F_NESTED, NULL, 0);
	concat = add_attribute(&m, NFTA_SET_DESC_CONCAT | NLA_F_NESTED, NULL, 0);
	for (i = 0; i < ARRAY_SIZE(field_bytes); i++) {
		struct rtattr *field = add_attribute(&m, NFTA_LIST_ELEM | NLA_F_NESTED, NULL, 0);

		add_number(&m, NFTA_SET_FIELD_LEN, htonl(field_bytes[i]));
		end_nest(&m, field);
	}
	end_nest(&m, concat);
	end_nest(&m, description);
	batch_add(batch, &m);
}

/* In a namespace of its own: the transaction is committed there, and goes away with it. */
static int make_concatenated_set(void)
{
	AUTO_CLOSE int fd = open_netlink(NETLINK_NETFILTER);
	const struct timeval patience = { .tv_sec = 2 };
	struct batch batch = { 0 };
	const struct nlmsghdr *header;
	char reply[4096];
	struct message m;
	ssize_t bytes;

	if (fd < 0)
		return fd == -EPROTONOSUPPORT ? 0 : fd;
	batch_message(&m, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	batch_add(&batch, &m);
	add_table(&batch);
	add_concatenated_set(&batch);
	batch_message(&m, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	batch_add(&batch, &m);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, batch.bytes, batch.used, 0) < 0)
		return -errno;
	bytes = recv(fd, reply, sizeof(reply), 0);
	if (bytes < 0)
		return -errno;
	header = (const void *)reply;
	if (!NLMSG_OK(header, (size_t)bytes) || header->nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	switch (((const struct nlmsgerr *)NLMSG_DATA(header))->error) {
	case 0:
		return 1;
	case -EINVAL:
	case -EOPNOTSUPP:
		return 0;
	default:
		return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
	}
}

int probe_network_lock_nftables(void)
{
	return probe_in_namespaces(CLONE_NEWNET, make_concatenated_set);
}

int probe_ipt_legacy(void)
{
	static const char *const dirs[] = { "/usr/sbin", "/sbin",           "/usr/bin",
					    "/bin",      "/usr/local/sbin", "/usr/local/bin" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "%s/iptables-legacy", dirs[i]);
		if (access(path, X_OK) == 0)
			return 1;
	}
	return 0;
}
