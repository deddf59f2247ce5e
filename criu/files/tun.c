/*
 * Queues of TUN and TAP interfaces (/dev/net/tun). A persistent interface belongs to the machine and has to be there at
 * the restore. One that is not goes with its last queue: it is made again with its number, addresses, neighbours,
 * sysctls and settings, when its name is free. Both must be in the network namespace of the tool. Packets on their way
 * are lost, as networks may lose them. Refused is what cannot be read back: filters and programs, and for an interface
 * that has to be made again also what others built on it (routes, bridges, queueing disciplines) and
 * temporary addresses, which only the kernel makes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/dump.h"
#include "files/registry.h"
#include "files/restore-files.h"
#include "images/core.pb-c.h"
#include "images/tun.pb-c.h"
#include "kernel/kernel-memory.h"
#include "kernel/link-settings.h"
#include "kernel/net-sysctl.h"
#include "kernel/rtnl-link.h"
#include "kernel/tun.h"
#include "ns/ns-look.h"

static const char device_path[] = "/dev/net/tun";

/* --- dump ----------------------------------------------------------------------------------------------------- */

struct tun_file {
	struct tun_queue queue;
	struct rtnl_link link;
	unsigned int offload; /* this and what follows: of an interface that is made again */
	size_t address_bytes, neighbour_bytes, sysctl_bytes, setting_bytes;
	/* As rtnl_addresses(), rtnl_neighbours(), net_sysctls_read(), link_settings_read() give them, one behind the
	 * other. */
	char lists[];
};

static bool is_tun(const struct dump *d, const struct open_file *file)
{
	return S_ISCHR(file->st.st_mode) && file->st.st_rdev == makedev(10, 200) && !(file->flags & O_PATH);
}

static bool is_made_again(const struct tun_queue *queue)
{
	return queue->name[0] && !(queue->flags & IFF_PERSIST);
}

static int check_queue(const struct open_file *file, const struct tun_queue *queue, struct error *err)
{
	if (queue->is_elsewhere)
		return open_file_refuse(
		    file, err, "interface %s is in another network namespace, which is not supported", queue->name);
	if (queue->has_filter)
		return open_file_refuse(file, err, "interface %s has a packet filter, which cannot be read",
					queue->name);
	return 0;
}

static bool is_plain_qdisc(const char *name)
{
	static const char *const plain[] = { "", "noop", "noqueue", "mq", "pfifo_fast", "fq_codel", "fq" };

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (!strcmp(name, plain[i]))
			return true;
	return false;
}

/* Nobody but the kernel can make one, and it makes another. The list is as rtnl_addresses() gives it. */
static bool has_temporary(const char *list, size_t list_bytes)
{
	struct rtnl_address address;
	uint32_t bytes;

	for (size_t at = 0; at < list_bytes; at += sizeof(bytes) + bytes) {
		memcpy(&bytes, list + at, sizeof(bytes));
		if (rtnl_address_parse(list + at + sizeof(bytes), bytes, &address) == 0 && address.family == AF_INET6 &&
		    address.flags & IFA_F_TEMPORARY)
			return true;
	}
	return false;
}

static int check_link(const struct open_file *file, const char *name, const struct rtnl_link *link, bool is_temporary,
		      struct error *err)
{
	bool has_routes = false;
	int r = rtnl_has_routes(link->index, &has_routes);
	const char *what = link->master                   ? "is part of another interface"
			   : link->has_program            ? "runs a program (XDP)"
			   : has_routes                   ? "has routes of its own"
			   : !is_plain_qdisc(link->qdisc) ? "has a queueing discipline of its own"
			   : link->has_other_names        ? "has other names (altname)"
			   : is_temporary                 ? "has temporary addresses (use_tempaddr)"
							  : NULL;

	if (r < 0)
		return open_file_error(file, err, r, "read the routes of its interface");
	if (!what)
		return 0;
	error_hint(err, "make it persistent (TUNSETPERSIST): then it is not the program's to bring back");
	return open_file_refuse(file, err, "interface %s goes with the program, and %s", name, what);
}

/* What it takes to make the interface again. */
static int look_link(const struct open_file *file, struct tun_file **data, struct error *err)
{
	AUTO_BUFFER struct buffer lists = { 0 };
	const char *name = (*data)->queue.name;
	size_t address_end = 0, neighbour_end = 0, sysctl_end = 0;
	struct tun_file *grown;
	int r = tun_offload(name, &(*data)->offload);

	if (r == 0)
		r = rtnl_addresses((*data)->link.index, &lists);
	address_end = lists.bytes;
	if (r == 0)
		r = rtnl_neighbours((*data)->link.index, &lists);
	neighbour_end = lists.bytes;
	if (r == 0)
		r = net_sysctls_read(name, &lists);
	sysctl_end = lists.bytes;
	if (r == 0)
		r = link_settings_read(name, &lists);
	if (r < 0)
		return open_file_error(file, err, r, "read its interface");
	r = check_link(file, name, &(*data)->link, has_temporary(lists.data, address_end), err);
	if (r < 0)
		return r;
	grown = realloc(*data, sizeof(*grown) + lists.bytes);
	if (!grown)
		return open_file_error(file, err, -ENOMEM, "look");
	*data = grown;
	grown->address_bytes = address_end;
	grown->neighbour_bytes = neighbour_end - address_end;
	grown->sysctl_bytes = sysctl_end - neighbour_end;
	grown->setting_bytes = lists.bytes - sysctl_end;
	if (lists.bytes)
		memcpy(grown->lists, lists.data, lists.bytes);
	return 0;
}

static int look_tun(struct dump *d, struct open_file *file, struct error *err)
{
	struct tun_file *data = calloc(1, sizeof(*data));
	struct kernel_memory *km = NULL;
	int fd, r;

	if (!data)
		return open_file_error(file, err, -ENOMEM, "look");
	file->kind_data = data;
	fd = open_file_local(d, file);
	if (fd < 0)
		return open_file_error(file, err, fd, "borrow the descriptor");
	if (dump_kernel_memory(d, &km) < 0)
		km = NULL;
	r = tun_read(fd, km, file->task->pidfd, file->fd, &data->queue);
	open_file_release(d, file);
	if (r < 0)
		return open_file_error(file, err, r, "ask for its interface");
	r = check_queue(file, &data->queue, err);
	if (r < 0 || !data->queue.name[0])
		return r;
	r = rtnl_link_get(data->queue.name, &data->link);
	if (r < 0)
		return open_file_error(file, err, r, "read its interface");
	data->queue.flags |= data->link.tun_flags & IFF_NO_PI;
	if (is_made_again(&data->queue)) {
		r = look_link(file, &data, err);
		file->kind_data = data;
	}
	return r;
}

/* Each has its length in front. */
static size_t count_messages(const char *list, size_t list_bytes, ProtobufCBinaryData *to)
{
	size_t count = 0;
	uint32_t bytes;

	for (size_t at = 0; at < list_bytes; at += sizeof(bytes) + bytes) {
		memcpy(&bytes, list + at, sizeof(bytes));
		if (to)
			to[count] = (ProtobufCBinaryData){
				.len = bytes,
				.data = (uint8_t *)(uintptr_t)list + at + sizeof(bytes),
			};
		count++;
	}
	return count;
}

static int save_messages(struct dump *d, const char *list, size_t bytes, size_t *ret_count, ProtobufCBinaryData **ret)
{
	*ret_count = count_messages(list, bytes, NULL);
	*ret = files_scratch(d, (*ret_count + 1) * sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(void)count_messages(list, bytes, *ret);
	return 0;
}

static int save_texts(struct dump *d, char *list, size_t bytes, size_t *ret_count, char ***ret)
{
	size_t count = 0;

	for (size_t at = 0; at < bytes; at += strlen(list + at) + 1)
		count++;
	*ret = files_scratch(d, (count + 1) * sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	*ret_count = 0;
	for (size_t at = 0; at < bytes; at += strlen(list + at) + 1)
		(*ret)[(*ret_count)++] = list + at;
	return 0;
}

static int save_lists(struct dump *d, struct tun_file *data, TunMadeEntry *made)
{
	char *neighbours = data->lists + data->address_bytes, *sysctls = neighbours + data->neighbour_bytes;
	int r = save_messages(d, data->lists, data->address_bytes, &made->n_addresses, &made->addresses);

	if (r == 0)
		r = save_messages(d, neighbours, data->neighbour_bytes, &made->n_neighbours, &made->neighbours);
	if (r == 0)
		r = save_texts(d, sysctls, data->sysctl_bytes, &made->n_sysctls, &made->sysctls);
	return r < 0 ? r
		     : save_texts(d, sysctls + data->sysctl_bytes, data->setting_bytes, &made->n_settings,
				  &made->settings);
}

static TunMadeEntry *save_made(struct dump *d, struct tun_file *data)
{
	TunMadeEntry *made = files_scratch(d, sizeof(*made));
	TunLinkEntry *tun = files_scratch(d, sizeof(*tun));
	const struct rtnl_link *link = &data->link;

	if (!made || !tun)
		return NULL;
	tun_made_entry__init(made);
	if (save_lists(d, data, made) < 0)
		return NULL;
	tun_link_entry__init(tun);
	made->tun = tun;
	tun->flags = data->queue.flags;
	tun->owner = link->tun_owner;
	tun->group = link->tun_group;
	tun->vnethdr = (uint32_t)data->queue.vnet_header;
	tun->sndbuf = (uint32_t)data->queue.send_buffer;
	made->ifindex = (uint32_t)link->index;
	made->link_flags = link->flags;
	made->link_type = link->type;
	made->mtu = link->mtu;
	made->txqlen = link->txqlen;
	made->has_address = link->address_bytes != 0;
	made->address = (ProtobufCBinaryData){ link->address_bytes, data->link.address };
	made->alias = link->alias[0] ? data->link.alias : NULL;
	made->has_no_carrier = made->no_carrier = link->flags & IFF_UP && !link->carrier;
	made->has_offload = data->offload != 0;
	made->offload = data->offload;
	made->has_vnet_le = data->queue.vnet_le != 0;
	made->vnet_le = data->queue.vnet_le;
	made->has_vnet_be = data->queue.vnet_be != 0;
	made->vnet_be = data->queue.vnet_be;
	made->has_link_group = link->group != 0;
	made->link_group = link->group;
	return made;
}

static int save_tun(struct dump *d, struct open_file *file, FileEntry *entry, struct error *err)
{
	struct tun_file *data = file->kind_data;
	TunfileEntry *tun = files_scratch(d, sizeof(*tun));
	TaskKobjIdsEntry ids = TASK_KOBJ_IDS_ENTRY__INIT;
	struct proc_ns_ids own;
	int r = ns_read_own(&own, err);

	if (r < 0)
		return r;
	if (!tun)
		return open_file_error(file, err, -ENOMEM, "save");
	tunfile_entry__init(tun);
	ns_save_ids(&own, &ids);
	tun->id = file->id;
	tun->has_ns_id = true;
	tun->ns_id = ids.net_ns_id;
	tun->has_flags = true;
	tun->flags = file->flags;
	tun->fown = fown_save(d, file);
	if (!tun->fown)
		return open_file_error(file, err, -ENOMEM, "save");
	entry->tunf = tun;
	if (!data->queue.name[0])
		return 0;
	tun->netdev = data->queue.name;
	tun->has_detached = tun->detached = data->queue.is_detached;
	tun->has_tun_flags = true;
	tun->tun_flags = data->queue.flags;
	tun->has_sndbuf = data->queue.send_buffer != INT_MAX;
	tun->sndbuf = (uint32_t)data->queue.send_buffer;
	if (is_made_again(&data->queue)) {
		tun->made = save_made(d, data);
		if (!tun->made)
			return open_file_error(file, err, -ENOMEM, "save");
	}
	return 0;
}

/* --- restore -------------------------------------------------------------------------------------------------- */

/* One for all queues of an interface. */
struct restore_tun {
	bool is_there; /* or was made */
	unsigned int flags;
};

static uint64_t hash_name(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
	return hash;
}

static int check_interface(struct restore *r, const struct restore_file *file, struct restore_tun *tun,
			   struct error *err)
{
	const TunfileEntry *entry = file->entry->tunf;
	struct rtnl_link link;
	int result = rtnl_link_get(entry->netdev, &link);

	if (result < 0 && result != -ENODEV)
		return error_set(err, result, "look for interface %s", entry->netdev);
	tun->is_there = result == 0;
	tun->flags = (entry->has_tun_flags ? entry->tun_flags : link.tun_flags) & ~(unsigned int)IFF_PERSIST;
	if (!tun->is_there && !entry->made) {
		error_hint(err, "make it: ip tuntap add dev %s mode %s%s", entry->netdev,
			   tun->flags & IFF_TAP ? "tap" : "tun", tun->flags & IFF_MULTI_QUEUE ? " multi_queue" : "");
		return restore_refuse(r, file, err, "there is no interface %s", entry->netdev);
	}
	if (tun->is_there && strcmp(link.kind, "tun") != 0)
		return restore_refuse(r, file, err, "interface %s is neither TUN nor TAP", entry->netdev);
	if (tun->is_there && entry->made && !(tun->flags & IFF_MULTI_QUEUE)) {
		error_hint(err, "remove or rename it");
		return restore_refuse(r, file, err, "there is an interface %s already", entry->netdev);
	}
	return 0;
}

static int check_tun(struct restore *r, struct restore_file *file, struct error *err)
{
	const TunfileEntry *entry = file->entry->tunf;
	bool is_first;
	int result;

	if (!entry->netdev)
		return 0;
	if (strlen(entry->netdev) >= IFNAMSIZ)
		return restore_refuse(r, file, err, "%s is no name of an interface", entry->netdev);
	if (entry->made && (entry->made->address.len > sizeof(((struct rtnl_link *)0)->address) || !entry->made->tun))
		return restore_refuse(r, file, err, "interface %s: its address is too long", entry->netdev);
	result = restore_join_group(r, file, hash_name(entry->netdev), sizeof(struct restore_tun), &is_first, err);
	return result < 0 || !is_first ? result : check_interface(r, file, file->kind_data, err);
}

struct setting {
	unsigned long request;
	const char *what;
	uintptr_t argument;
};

static int apply(int fd, const struct setting *setting, const char *name, struct error *err)
{
	if (ioctl(fd, setting->request, setting->argument) == 0)
		return 0;
	return error_set(err, -errno, "interface %s: set its %s", name, setting->what);
}

/* What the driver keeps of an interface. */
static int set_tun(const TunfileEntry *entry, int fd, struct error *err)
{
	const TunMadeEntry *made = entry->made;
	int header = (int)made->tun->vnethdr, buffer = (int)made->tun->sndbuf, le = made->vnet_le, be = made->vnet_be;
	const struct {
		bool wanted;
		struct setting setting;
	} settings[] = {
		{ made->tun->owner != -1, { TUNSETOWNER, "owner", (uintptr_t)(uint32_t)made->tun->owner } },
		{ made->tun->group != -1, { TUNSETGROUP, "group", (uintptr_t)(uint32_t)made->tun->group } },
		{ header != 0, { TUNSETVNETHDRSZ, "header size", (uintptr_t)&header } },
		{ true, { TUNSETSNDBUF, "send buffer", (uintptr_t)&buffer } },
		{ le != 0, { TUNSETVNETLE, "byte order", (uintptr_t)&le } },
		{ be != 0, { TUNSETVNETBE, "byte order", (uintptr_t)&be } },
		{ made->offload != 0, { TUNSETOFFLOAD, "offloads", made->offload } },
		{ true, { TUNSETLINK, "type", made->link_type } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		int r = settings[i].wanted ? apply(fd, &settings[i].setting, entry->netdev, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static const char generation[] = "ipv6/conf/addr_gen_mode=";

static int set_sysctls(const TunfileEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->made->n_sysctls; i++) {
		const char *setting = entry->made->sysctls[i];
		int r = !strncmp(setting, generation, strlen(generation)) ? 0 : net_sysctl_set(entry->netdev, setting);

		if (r < 0)
			return error_set(err, r, "interface %s: set %s", entry->netdev, setting);
	}
	return 0;
}

/* How the kernel makes link-local addresses, or that it makes none. */
static int set_generation(const TunfileEntry *entry, bool is_off, struct error *err)
{
	for (size_t i = 0; i < entry->made->n_sysctls; i++) {
		const char *setting = entry->made->sysctls[i];
		unsigned long mode;
		int r;

		if (strncmp(setting, generation, strlen(generation)) != 0)
			continue;
		mode = is_off ? IN6_ADDR_GEN_MODE_NONE : strtoul(setting + strlen(generation), NULL, 10);
		r = mode > UINT8_MAX ? -EBADMSG : rtnl_set_address_generation((int)entry->made->ifindex, (uint8_t)mode);
		if (r < 0)
			return error_set(err, r, "interface %s: set %s", entry->netdev, setting);
	}
	return 0;
}

static bool read_ipv6(const ProtobufCBinaryData *message, struct rtnl_address *ret)
{
	return rtnl_address_parse(message->data, message->len, ret) == 0 && ret->family == AF_INET6;
}

/* Only the kernel marks an address as made of the secret. As that is restored, it makes the same one again. */
static bool has_secret_address(const TunMadeEntry *made)
{
	struct rtnl_address address;

	for (size_t i = 0; i < made->n_addresses; i++)
		if (read_ipv6(&made->addresses[i], &address) && address.flags & IFA_F_STABLE_PRIVACY &&
		    address.local[0] == 0xfe && (address.local[1] & 0xc0) == 0x80)
			return true;
	return false;
}

static bool is_saved(const TunMadeEntry *made, const struct rtnl_address *wanted)
{
	struct rtnl_address address;

	for (size_t i = 0; i < made->n_addresses; i++)
		if (read_ipv6(&made->addresses[i], &address) && address.prefix == wanted->prefix &&
		    !memcmp(address.local, wanted->local, sizeof(address.local)))
			return true;
	return false;
}

/* Addresses that the kernel made meanwhile, of another secret or to go with one that was added. */
static int remove_others(const TunMadeEntry *made)
{
	AUTO_BUFFER struct buffer list = { 0 };
	int r = rtnl_addresses((int)made->ifindex, &list);
	ProtobufCBinaryData message;
	struct rtnl_address address;
	uint32_t bytes;

	for (size_t at = 0; r == 0 && at < list.bytes; at += sizeof(bytes) + bytes) {
		memcpy(&bytes, list.data + at, sizeof(bytes));
		message = (ProtobufCBinaryData){ bytes, (uint8_t *)list.data + at + sizeof(bytes) };
		if (read_ipv6(&message, &address) && !is_saved(made, &address))
			r = rtnl_address_remove((int)made->ifindex, message.data, message.len);
		if (r == -EADDRNOTAVAIL) /* went with the one it was made for */
			r = 0;
	}
	return r;
}

static int add_addresses(const TunMadeEntry *made)
{
	struct rtnl_address address;
	int r = 0;

	for (size_t i = 0; r == 0 && i < made->n_addresses; i++)
		if (!read_ipv6(&made->addresses[i], &address))
			r = rtnl_address_add((int)made->ifindex, made->addresses[i].data, made->addresses[i].len);
	/* The kernel puts the last one of a scope first. */
	for (size_t i = made->n_addresses; r == 0 && i > 0; i--)
		if (read_ipv6(&made->addresses[i - 1], &address))
			r = rtnl_address_add((int)made->ifindex, made->addresses[i - 1].data,
					     made->addresses[i - 1].len);
	return r < 0 ? r : remove_others(made);
}

/* What every interface has. */
static int set_link(const TunfileEntry *entry, struct error *err)
{
	const TunMadeEntry *made = entry->made;
	struct rtnl_link link = { .mtu = made->mtu, .txqlen = made->txqlen, .group = made->link_group };
	int r;

	link.address_bytes = made->has_address ? made->address.len : 0;
	if (link.address_bytes)
		memcpy(link.address, made->address.data, link.address_bytes);
	if (made->alias)
		(void)snprintf(link.alias, sizeof(link.alias), "%s", made->alias);
	/* What it does when it comes up depends on its sysctls, and these on its size. */
	link.flags = made->link_flags & ~(uint32_t)IFF_UP;
	r = rtnl_link_set((int)made->ifindex, &link);
	if (r == 0)
		r = set_sysctls(entry, err);
	if (r == 0)
		r = set_generation(entry, !has_secret_address(made), err);
	link.flags = made->link_flags;
	if (r == 0)
		r = rtnl_link_set((int)made->ifindex, &link);
	if (r < 0)
		return error_set(err, r, "interface %s: set its flags, address and size", entry->netdev);
	r = add_addresses(made);
	if (r < 0)
		return error_set(err, r, "interface %s: give it an address", entry->netdev);
	r = set_generation(entry, false, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < made->n_neighbours; i++) {
		r = rtnl_neighbour_add((int)made->ifindex, made->neighbours[i].data, made->neighbours[i].len);
		if (r < 0)
			return error_set(err, r, "interface %s: give it a neighbour", entry->netdev);
	}
	return 0;
}

/* An address that is not tentative came while there was a carrier, and comes only then. */
static bool had_carrier(const TunMadeEntry *made)
{
	struct rtnl_address address;

	for (size_t i = 0; i < made->n_addresses; i++)
		if (read_ipv6(&made->addresses[i], &address) && !(address.flags & IFA_F_TENTATIVE))
			return true;
	return false;
}

static int make_interface(const TunfileEntry *entry, int fd, struct error *err)
{
	int carrier = 0;
	const struct setting no_carrier = { TUNSETCARRIER, "carrier", (uintptr_t)&carrier };
	bool has_no_carrier = entry->made->no_carrier, is_late = had_carrier(entry->made);
	int r = set_tun(entry, fd, err);

	if (r == 0 && has_no_carrier && !is_late)
		r = apply(fd, &no_carrier, entry->netdev, err);
	if (r == 0)
		r = set_link(entry, err);
	if (r == 0 && has_no_carrier && is_late)
		r = apply(fd, &no_carrier, entry->netdev, err);
	return r;
}

static bool has_setting(const struct buffer *list, const char *setting)
{
	for (size_t at = 0; at < list->bytes; at += strlen(list->data + at) + 1)
		if (!strcmp(list->data + at, setting))
			return true;
	return false;
}

/* Those that are not as wanted. A queue may be there later only, and processors not at all on another machine. */
static void set_settings(const TunfileEntry *entry)
{
	const TunMadeEntry *made = entry->made;
	AUTO_BUFFER struct buffer present = { 0 };

	if (!made || made->n_settings == 0)
		return;
	(void)link_settings_read(entry->netdev, &present);
	for (size_t i = 0; i < made->n_settings; i++) {
		int r =
		    has_setting(&present, made->settings[i]) ? 0 : link_setting_set(entry->netdev, made->settings[i]);

		if (r < 0 && !(r == -ENOENT && !strncmp(made->settings[i], "queue/", strlen("queue/"))))
			log_warn("interface %s: %s cannot be set again: %s\n", entry->netdev, made->settings[i],
				 strerror(-r));
	}
}

/* Each queue starts with a limit of its own that is none, also where the interface has one. */
static int set_send_buffer(const TunfileEntry *entry, int fd, struct error *err)
{
	int buffer = (int)entry->sndbuf;
	const struct setting setting = { TUNSETSNDBUF, "send buffer", (uintptr_t)&buffer };

	return entry->has_sndbuf ? apply(fd, &setting, entry->netdev, err) : 0;
}

static int attach(const TunfileEntry *entry, struct restore_tun *tun, int fd, struct error *err)
{
	struct ifreq request = { .ifr_flags = (short)tun->flags };
	bool makes = !tun->is_there;
	unsigned int index = makes ? entry->made->ifindex : 0;
	int r;

	if (makes && ioctl(fd, TUNSETIFINDEX, &index) < 0)
		return error_set(err, -errno, "interface %s: ask for number %u", entry->netdev, index);
	memcpy(request.ifr_name, entry->netdev, strlen(entry->netdev) + 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		r = -errno;
		if (r == -EBUSY && makes)
			error_hint(err, "another interface may have number %u by now", index);
		return error_set(err, r, "%s interface %s", makes ? "make" : "open", entry->netdev);
	}
	tun->is_there = true;
	r = makes ? make_interface(entry, fd, err) : 0;
	if (r == 0)
		r = set_send_buffer(entry, fd, err);
	if (r == 0)
		set_settings(entry);
	if (r < 0 || !entry->has_detached || !entry->detached)
		return r;
	request = (struct ifreq){ .ifr_flags = IFF_DETACH_QUEUE };
	return ioctl(fd, TUNSETQUEUE, &request) < 0
		   ? error_set(err, -errno, "interface %s: detach a queue", entry->netdev)
		   : 0;
}

static int open_tun(struct restore *r, struct restore_file *file, int *ret_fd, struct error *err)
{
	const TunfileEntry *entry = file->entry->tunf;
	uint32_t flags = entry->has_flags ? restore_open_flags(entry->flags) : O_RDWR;
	AUTO_CLOSE int fd = open(device_path, (int)(flags | file->cloexec));
	int result;

	if (fd < 0)
		return error_set(err, -errno, "open %s", device_path);
	result = entry->netdev ? attach(entry, file->kind_data, fd, err) : 0;
	if (result == 0)
		*ret_fd = take_fd(&fd);
	return result;
}

static const FownEntry *tun_owner(const FileEntry *entry, uint32_t *ret_flags)
{
	*ret_flags = entry->tunf->has_flags ? entry->tunf->flags : 0;
	return entry->tunf->fown;
}

const struct file_kind tun_kind = {
	.name = "tun/tap queue",
	.type = FD_TYPES__TUNF,
	.is = is_tun,
	.look = look_tun,
	.save = save_tun,
	.check = check_tun,
	.open = open_tun,
	.owner = tun_owner,
};
