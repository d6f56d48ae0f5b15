/*
 * One rtnetlink socket, one request and its acknowledgement at a time. Addresses are changed by
 * difference, so that applying the same networks again disturbs nothing.
 */
#include "netconf/link.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>

#include "base/log.h"

enum { TX_QUEUE = 1000, MAX_STALE = 64, LOCAL_WAIT_MS = 2000 };

/* More than enough for our requests and for one datagram of a dump (NLMSG_GOODSIZE). */
enum { NL_BUFFER = 32768 };

struct link_nl {
	struct mnl_socket *nl;
	int index;
	uint32_t seq;
	char name[IFNAMSIZ];
	_Alignas(struct nlmsghdr) char buf[NL_BUFFER];
};

/* Addresses of the device, as they are and as they should be. */
struct address_list {
	struct ip_prefix have[MAX_STALE];
	size_t n;
	int index;
};

static struct nlmsghdr *request(struct link_nl *l, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(l->buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++l->seq;
	return h;
}

/* Sends what request() began and hears the answer out. Returns: 0, -errno. */
static int exchange(struct link_nl *l, struct nlmsghdr *h, mnl_cb_t cb, void *arg)
{
	unsigned portid = mnl_socket_get_portid(l->nl);

	if (mnl_socket_sendto(l->nl, h, h->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(l->nl, l->buf, sizeof(l->buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		int more = mnl_cb_run(l->buf, (size_t)n, l->seq, portid, cb, arg);
		if (more < 0)
			return -errno;
		if (more == MNL_CB_STOP)
			return 0;
	}
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(*info))
		*(int *)arg = info->ifi_index;
	return MNL_CB_OK;
}

int link_new(struct link_nl **out, const char *name)
{
	int err = -ENODEV;
	struct link_nl *l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;

	size_t len = strlen(name);
	if (len >= sizeof(l->name))
		goto fail;
	memcpy(l->name, name, len + 1);

	l->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (l->nl == NULL || mnl_socket_bind(l->nl, 0, MNL_SOCKET_AUTOPID) != 0) {
		err = -errno;
		goto fail;
	}
	struct nlmsghdr *h = request(l, RTM_GETLINK, NLM_F_ACK);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(h, IFLA_IFNAME, l->name);
	err = exchange(l, h, on_link, &l->index);
	if (err == 0 && l->index <= 0)
		err = -ENODEV;
	if (err != 0)
		goto fail;
	*out = l;
	return 0;
fail:
	link_free(l);
	return err;
}

/* Flags are set where the mask has them. */
static int set_flags(struct link_nl *l, unsigned flags, unsigned mask)
{
	struct nlmsghdr *h = request(l, RTM_NEWLINK, NLM_F_ACK);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = l->index;
	info->ifi_flags = flags;
	info->ifi_change = mask;
	return exchange(l, h, NULL, NULL);
}

static int set_mtu(struct link_nl *l, uint16_t mtu)
{
	struct nlmsghdr *h = request(l, RTM_NEWLINK, NLM_F_ACK);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = l->index;
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_TXQLEN, TX_QUEUE);
	return exchange(l, h, NULL, NULL);
}

/* No link-local address comes up with the device. */
static int set_no_autoconf(struct link_nl *l)
{
	struct nlmsghdr *h = request(l, RTM_NEWLINK, NLM_F_ACK);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = l->index;
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, inet6);
	mnl_attr_nest_end(h, spec);
	return exchange(l, h, NULL, NULL);
}

/* Type is RTM_NEWADDR or RTM_DELADDR. */
static int change_address(struct link_nl *l, uint16_t type, const struct ip_prefix *p)
{
	bool add = type == RTM_NEWADDR;
	struct nlmsghdr *h = request(l, type, NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0));
	struct ifaddrmsg *msg = mnl_nlmsg_put_extra_header(h, sizeof(*msg));

	msg->ifa_family = p->addr.family == IP_V4 ? AF_INET : AF_INET6;
	msg->ifa_prefixlen = p->len;
	msg->ifa_index = (uint32_t)l->index;
	mnl_attr_put(h, IFA_LOCAL, ip_addr_size(&p->addr), p->addr.bytes);
	mnl_attr_put(h, IFA_ADDRESS, ip_addr_size(&p->addr), p->addr.bytes);
	if (add && p->addr.family == IP_V6)
		mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NODAD);
	return exchange(l, h, NULL, NULL);
}

static int on_address(const struct nlmsghdr *h, void *arg)
{
	struct address_list *list = arg;
	const struct ifaddrmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*msg) || (int)msg->ifa_index != list->index ||
		list->n == MAX_STALE)
		return MNL_CB_OK;

	struct ip_prefix p = {.len = msg->ifa_prefixlen};
	p.addr.family = msg->ifa_family == AF_INET ? IP_V4 : IP_V6;
	/* IFA_LOCAL is the address of a point-to-point device where it is there. */
	bool local = false;
	mnl_attr_for_each(a, h, sizeof(*msg))
	{
		uint16_t type = mnl_attr_get_type(a);
		if ((type != IFA_LOCAL && (type != IFA_ADDRESS || local)) ||
			mnl_attr_get_payload_len(a) != ip_addr_size(&p.addr))
			continue;
		memcpy(p.addr.bytes, mnl_attr_get_payload(a), ip_addr_size(&p.addr));
		local = type == IFA_LOCAL;
	}
	list->have[list->n++] = p;
	return MNL_CB_OK;
}

static bool prefix_same(const struct ip_prefix *a, const struct ip_prefix *b)
{
	return a->len == b->len && ip_addr_equal(&a->addr, &b->addr);
}

/* Removes what is not wanted, then adds what is not there. */
static int set_addresses(struct link_nl *l, const struct ip_prefix *want, size_t n_want)
{
	struct address_list list = {.index = l->index};
	bool stands[2] = {false, false};

	struct nlmsghdr *h = request(l, RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *msg = mnl_nlmsg_put_extra_header(h, sizeof(*msg));
	msg->ifa_family = AF_UNSPEC;
	int err = exchange(l, h, on_address, &list);

	for (size_t i = 0; i < list.n && err == 0; i++) {
		bool wanted = false;
		for (size_t j = 0; j < n_want; j++) {
			bool same = prefix_same(&list.have[i], &want[j]);
			wanted |= same;
			stands[j] |= same;
		}
		if (!wanted)
			err = change_address(l, RTM_DELADDR, &list.have[i]);
	}
	for (size_t j = 0; j < n_want && err == 0; j++) {
		if (!stands[j])
			err = change_address(l, RTM_NEWADDR, &want[j]);
	}
	return err;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *msg = mnl_nlmsg_get_payload(h);

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(*msg))
		*(bool *)arg = msg->rtm_type == RTN_LOCAL;
	return MNL_CB_OK;
}

/* Whether the kernel takes packets to this address as its own. */
static bool is_local(struct link_nl *l, const struct ip_addr *a)
{
	bool local = false;
	struct nlmsghdr *h = request(l, RTM_GETROUTE, NLM_F_ACK);
	struct rtmsg *msg = mnl_nlmsg_put_extra_header(h, sizeof(*msg));

	msg->rtm_family = a->family == IP_V4 ? AF_INET : AF_INET6;
	msg->rtm_dst_len = (unsigned char)(8 * ip_addr_size(a));
	mnl_attr_put(h, RTA_DST, ip_addr_size(a), a->bytes);
	return exchange(l, h, on_route, &local) == 0 && local;
}

/* The kernel makes the local route of an IPv6 address later, in its own thread, also without
 * duplicate detection; until then it would forward what is for us. */
static int await_local(struct link_nl *l, const struct ip_prefix *want, size_t n)
{
	const struct timespec pause = {.tv_nsec = 1000 * 1000};

	for (size_t i = 0; i < n; i++) {
		for (int waited = 0; !is_local(l, &want[i].addr); waited++) {
			if (waited == LOCAL_WAIT_MS)
				return -ETIMEDOUT;
			nanosleep(&pause, NULL);
		}
	}
	return 0;
}

int link_apply(struct link_nl *l, const struct netconf_networks *w)
{
	struct ip_prefix want[2];
	size_t n = 0;
	const char *step = "IPv6 address mode";

	if (w->net4.addr.family != IP_NONE)
		want[n++] = (struct ip_prefix){ip_prefix_nth(&w->net4, 1), w->net4.len};
	if (w->net6.addr.family != IP_NONE)
		want[n++] = (struct ip_prefix){ip_prefix_nth(&w->net6, 1), w->net6.len};

	int err = w->net6.addr.family != IP_NONE ? set_no_autoconf(l) : 0;
	if (err == 0) {
		step = "MTU and queue";
		err = set_mtu(l, w->mtu);
	}
	if (err == 0) {
		/* Host services that announce themselves everywhere skip such a device. */
		step = "multicast";
		err = set_flags(l, 0, IFF_MULTICAST);
	}
	if (err == 0) {
		step = "addresses";
		err = set_addresses(l, want, n);
	}
	if (err == 0) {
		step = "up";
		err = set_flags(l, IFF_UP, IFF_UP);
	}
	if (err == 0) {
		step = "local routes";
		err = await_local(l, want, n);
	}
	if (err != 0)
		log_error("netconf", "%s: %s: refused, %s", l->name, step, strerror(-err));
	return err;
}

void link_down(struct link_nl *l)
{
	int err = set_flags(l, 0, IFF_UP);

	/* The dataplane that died took its device along. */
	if (err != 0 && err != -ENODEV)
		log_warn("netconf", "%s: down: refused, %s", l->name, strerror(-err));
}

void link_free(struct link_nl *l)
{
	if (l == NULL)
		return;
	if (l->nl != NULL)
		mnl_socket_close(l->nl);
	free(l);
}
