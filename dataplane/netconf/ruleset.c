/*
 * The table, by hook:
 *
 *   prerouting raw   source of a device's packet must be its network's; our ports are not tracked
 *   output raw       our ports are not tracked
 *   input            from the TUN only ping to the server's tunnel addresses
 *   forward          TUN -> elsewhere, never TUN -> TUN; back only what a device asked for
 *   postrouting      masquerade of devices
 *
 * Every base chain accepts by policy and every drop names the TUN or a tunnel address, so the
 * host's other traffic and other tables are left as they were. An accept of ours ends only our own
 * chain; another table may still drop.
 */
#include "netconf/ruleset.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* What no device reaches, whatever routes the host has (RFC 6890). The ranges for documentation are
 * not in it: nobody owns a network there that would need protection. */
static const char *const private4[] = {
	"0.0.0.0/8",
	"10.0.0.0/8",
	"100.64.0.0/10",
	"127.0.0.0/8",
	"169.254.0.0/16",
	"172.16.0.0/12",
	"192.0.0.0/24",
	"192.168.0.0/16",
	"198.18.0.0/15",
	"224.0.0.0/4",
	"240.0.0.0/4",
};
/* 64:ff9b::/96 (NAT64, RFC 6052) stays open, because on an IPv6-only host it is the way to the IPv4
 * internet; its addresses that embed one of private4 are added below. 64:ff9b:1::/48 may embed at
 * any position (RFC 8215) and 2002::/16 is 6to4, dead and able to embed: both closed whole. */
static const char *const private6[] = {
	"::/64", /* unspecified, loopback, v4-compatible, v4-mapped, v4-translated */
	"64:ff9b:1::/48",
	"100::/64",
	"2002::/16",
	"fc00::/7",
	"fe80::/9", /* link-local and the old site-local */
	"ff00::/8",
};

static const char *const counters[] = {
	"drop_spoofed",
	"drop_to_host",
	"drop_device_to_device",
	"drop_private",
	"drop_invalid",
	"drop_too_many_flows",
	"drop_from_outside",
};

enum { MIN_NAT_PORT = 1024, MAX_NAT_PORT = 65535 };

/* Text that grows; the first short write makes it bad for good. */
struct text {
	char *buf;
	size_t cap, len;
	bool bad;
};

static printf_like(2, 3) void put(struct text *t, const char *fmt, ...)
{
	va_list ap;

	if (t->bad)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(t->buf + t->len, t->cap - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->cap - t->len)
		t->bad = true;
	else
		t->len += (size_t)n;
}

/* One family of the tunnel, as text. */
struct family {
	const char *ip;	     /* "ip", "ip6" */
	const char *nfproto; /* "ipv4", "ipv6" */
	const char *echo;    /* match of a ping */
	char net[IP_PREFIX_TEXT];
	char server[IP_ADDR_TEXT];
	char digit;
};

struct plan {
	const struct netconf_static *conf;
	struct family family[2];
	size_t n_families;
	char ports[NETCONF_PORTS * 7];
	struct port_range nat;
	unsigned flags;
};

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool name_ok(const char *name, size_t cap)
{
	size_t n = strnlen(name, cap), good = 0;

	while (good < n &&
		strchr(good == 0 ? LETTERS : LETTERS "0123456789_.-", name[good]) != NULL)
		good++;
	return n > 0 && n < cap && good == n;
}

static bool prefix_ok(const struct ip_prefix *p, uint8_t family, uint8_t min, uint8_t max)
{
	return p->addr.family == IP_NONE ||
	       (p->addr.family == family && p->len >= min && p->len <= max);
}

int ruleset_check_static(const struct netconf_static *conf)
{
	if (!name_ok(conf->tun, sizeof(conf->tun)) || conf->n_ports > NETCONF_PORTS)
		return -EINVAL;
	for (uint32_t i = 0; i < conf->n_ports; i++) {
		if (conf->ports[i] == 0)
			return -EINVAL;
	}
	return 0;
}

int ruleset_check_networks(const struct netconf_networks *w)
{
	if (!prefix_ok(&w->net4, IP_V4, 8, 30) || !prefix_ok(&w->net6, IP_V6, 16, 126))
		return -EINVAL;
	if (w->net4.addr.family == IP_NONE && w->net6.addr.family == IP_NONE)
		return -EINVAL;
	/* RFC 791 and RFC 8200 section 5: what every link must carry. */
	if (w->mtu < (w->net6.addr.family == IP_V6 ? 1280 : 576) || w->mtu > 65500)
		return -EINVAL;
	return 0;
}

struct port_range ruleset_nat_ports(const struct netconf_static *conf)
{
	struct port_range best = {MIN_NAT_PORT, MIN_NAT_PORT};
	uint32_t longest = 0, first = MIN_NAT_PORT;

	for (uint32_t port = MIN_NAT_PORT; port <= MAX_NAT_PORT + 1; port++) {
		bool ours = port > MAX_NAT_PORT;

		for (uint32_t i = 0; i < conf->n_ports; i++)
			ours |= conf->ports[i] == port;
		if (!ours)
			continue;
		if (port - first > longest) {
			longest = port - first;
			best = (struct port_range){(uint16_t)first, (uint16_t)(port - 1)};
		}
		first = port + 1;
	}
	return best;
}

static void family_init(struct family *f, const struct ip_prefix *net)
{
	struct ip_prefix canonical = {ip_prefix_network(net), net->len};
	struct ip_addr server = ip_prefix_nth(&canonical, 1);

	bool v4 = net->addr.family == IP_V4;
	f->ip = v4 ? "ip" : "ip6";
	f->nfproto = v4 ? "ipv4" : "ipv6";
	f->echo = v4 ? "icmp type echo-request" : "icmpv6 type echo-request";
	f->digit = v4 ? '4' : '6';
	ip_prefix_format(&canonical, f->net);
	ip_addr_format(&server, f->server);
}

static void plan_init(struct plan *p, const struct netconf_static *conf,
	const struct netconf_networks *w, unsigned flags)
{
	*p = (struct plan){.conf = conf, .nat = ruleset_nat_ports(conf), .flags = flags};
	if (w->net4.addr.family != IP_NONE)
		family_init(&p->family[p->n_families++], &w->net4);
	if (w->net6.addr.family != IP_NONE)
		family_init(&p->family[p->n_families++], &w->net6);

	struct text t = {p->ports, sizeof(p->ports), 0, false};
	for (uint32_t i = 0; i < conf->n_ports; i++)
		put(&t, "%s%u", i == 0 ? "" : ", ", conf->ports[i]);
}

/* NAT64 addresses of the private4 prefixes: 10.0.0.0/8 is 64:ff9b::a00:0/104. */
static void put_nat64(struct text *t)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	char name[IP_PREFIX_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(private4); i++) {
		struct ip_prefix v4, v6 = {.addr.family = IP_V6};

		if (ip_prefix_parse(&v4, private4[i]) != 0) {
			t->bad = true;
			return;
		}
		memcpy(v6.addr.bytes, nat64, sizeof(nat64));
		memcpy(v6.addr.bytes + sizeof(nat64), v4.addr.bytes, 4);
		v6.len = (uint8_t)(96 + v4.len);
		put(t, ", %s", ip_prefix_format(&v6, name));
	}
}

static void put_sets(struct text *t, const struct plan *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		put(t, "\tcounter %s { }\n", counters[i]);

	put(t, "\tset private4 { type ipv4_addr; flags interval; elements = { ");
	for (size_t i = 0; i < ARRAY_SIZE(private4); i++)
		put(t, "%s%s", i == 0 ? "" : ", ", private4[i]);
	put(t, " }; }\n\tset private6 { type ipv6_addr; flags interval; elements = { ");
	for (size_t i = 0; i < ARRAY_SIZE(private6); i++)
		put(t, "%s%s", i == 0 ? "" : ", ", private6[i]);
	put_nat64(t);
	put(t, " }; }\n");

	for (size_t i = 0; p->flags & RULESET_FLOW_CAP && i < p->n_families; i++) {
		const struct family *f = &p->family[i];
		put(t, "\tset flows%c { type %s_addr; size 65535; flags dynamic; }\n", f->digit,
			f->nfproto);
	}
}

/*
 * Our ports are not tracked (port shadow, CVE-2021-3773): no flow that a device makes can then
 * claim packets between us and another client. Only for this host's own addresses, because other
 * hosts that we forward for may use the same port numbers, and never for packets of the tunnel.
 */
static void put_raw(struct text *t, const struct plan *p)
{
	const char *tun = p->conf->tun;

	put(t,
		"\tchain prerouting {\n"
		"\t\ttype filter hook prerouting priority raw; policy accept;\n"
		"\t\tiifname \"%s\" goto device_source\n",
		tun);
	if (p->conf->n_ports > 0) {
		put(t, "\t\tudp dport { %s } fib daddr type local notrack\n", p->ports);
		put(t, "\t\ttcp dport { %s } fib daddr type local notrack\n", p->ports);
	}
	/* The forwarding engine has checked the exact address; this holds without it. */
	put(t, "\t}\n\tchain device_source {\n");
	for (size_t i = 0; i < p->n_families; i++) {
		const struct family *f = &p->family[i];
		put(t, "\t\t%s saddr %s %s saddr != %s accept\n", f->ip, f->net, f->ip, f->server);
	}
	put(t, "\t\tcounter name drop_spoofed drop\n\t}\n");

	/* What the kernel would say by itself ends here: group reports when the device goes up, and
	 * a redirect for each packet from device to device, which goes out before forward refuses
	 * the packet. */
	put(t,
		"\tchain output {\n"
		"\t\ttype filter hook output priority raw; policy accept;\n"
		"\t\toifname \"%s\" goto host_to_device\n",
		p->conf->tun);
	if (p->conf->n_ports > 0) {
		put(t, "\t\tudp sport { %s } notrack\n", p->ports);
		put(t, "\t\ttcp sport { %s } notrack\n", p->ports);
	}
	put(t, "\t}\n\tchain host_to_device {\n"
	       "\t\tip daddr 224.0.0.0/4 drop\n"
	       "\t\tip6 daddr ff00::/8 drop\n"
	       "\t\ticmp type redirect drop\n"
	       "\t}\n");
}

/* Strong host model for the server's tunnel addresses, and the host closed to devices. */
static void put_input(struct text *t, const struct plan *p)
{
	put(t,
		"\tchain input {\n"
		"\t\ttype filter hook input priority filter; policy accept;\n"
		"\t\tiifname \"%s\" goto device_to_host\n"
		"\t\tiifname \"lo\" accept\n",
		p->conf->tun);
	for (size_t i = 0; i < p->n_families; i++) {
		const struct family *f = &p->family[i];
		put(t, "\t\t%s daddr %s counter name drop_from_outside drop\n", f->ip, f->server);
	}
	put(t, "\t}\n\tchain device_to_host {\n");
	for (size_t i = 0; i < p->n_families; i++) {
		const struct family *f = &p->family[i];
		put(t, "\t\t%s daddr %s %s accept\n", f->ip, f->server, f->echo);
	}
	/* Answers to what the host itself asked of a device; a device can't begin such a flow. */
	put(t, "\t\tct state established accept\n"
	       "\t\tcounter name drop_to_host drop\n"
	       "\t}\n");
}

static void put_forward(struct text *t, const struct plan *p)
{
	const char *tun = p->conf->tun;
	/* "rt mtu" is the smaller one of both directions' routes. */
	const char *clamp = "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu";

	put(t,
		"\tchain forward {\n"
		"\t\ttype filter hook forward priority filter; policy accept;\n"
		"\t\tiifname \"%s\" goto from_device\n"
		"\t\toifname \"%s\" goto to_device\n"
		"\t}\n",
		tun, tun);

	put(t,
		"\tchain from_device {\n"
		"\t\toifname \"%s\" counter name drop_device_to_device drop\n"
		"\t\tip daddr @private4 counter name drop_private drop\n"
		"\t\tip6 daddr @private6 counter name drop_private drop\n"
		/* Untracked or invalid packets would leave with their inner source. */
		"\t\tct state invalid,untracked counter name drop_invalid drop\n",
		tun);
	for (size_t i = 0; p->flags & RULESET_FLOW_CAP && i < p->n_families; i++) {
		const struct family *f = &p->family[i];
		put(t,
			"\t\tct state new add @flows%c { %s saddr ct count over %d } "
			"counter name drop_too_many_flows drop\n",
			f->digit, f->ip, RULESET_FLOWS);
	}
	put(t, "\t\t%s\n\t}\n", clamp);

	/* De-NATed answers are established; whoever sends to a tunnel address from another
	 * interface is not (blind in-tunnel inference, CVE-2019-14899). */
	put(t,
		"\tchain to_device {\n"
		"\t\t%s\n"
		"\t\tct state established,related accept\n"
		"\t\tcounter name drop_from_outside drop\n"
		"\t}\n",
		clamp);
}

static void put_nat(struct text *t, const struct plan *p)
{
	put(t,
		"\tchain postrouting {\n"
		"\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
		"\t\toifname \"%s\" accept\n",
		p->conf->tun);
	for (size_t i = 0; i < p->n_families; i++) {
		const struct family *f = &p->family[i];
		put(t, "\t\t%s saddr %s %s saddr != %s goto masquerade%c\n", f->ip, f->net, f->ip,
			f->server, f->digit);
	}
	put(t, "\t}\n");
}

static void put_masquerade(struct text *t, const struct plan *p)
{
	for (size_t i = 0; i < p->n_families; i++) {
		put(t,
			"\tchain masquerade%c {\n"
			"\t\tmeta l4proto { tcp, udp } masquerade to :%u-%u random,fully-random\n"
			"\t\tmasquerade random,fully-random\n"
			"\t}\n",
			p->family[i].digit, p->nat.first, p->nat.last);
	}
}

int ruleset_text(char *buf, size_t cap, const struct netconf_static *conf,
	const struct netconf_networks *w, unsigned flags)
{
	int err = ruleset_check_static(conf);
	if (err == 0)
		err = ruleset_check_networks(w);
	if (err != 0)
		return err;

	struct plan plan;
	struct text t = {buf, cap, 0, false};

	plan_init(&plan, conf, w, flags);
	/* "add" makes the delete of a table succeed that may not be there; an owned one refuses to
	 * be added again without its flag. */
	if (!(flags & RULESET_REPLACE))
		put(&t, "add table inet %s\n", conf->tun);
	put(&t, "delete table inet %s\n", conf->tun);
	put(&t, "table inet %s {\n%s", conf->tun, flags & RULESET_OWNER ? "\tflags owner\n" : "");
	put_sets(&t, &plan);
	if (conf->nat)
		put_masquerade(&t, &plan);
	put_raw(&t, &plan);
	put_input(&t, &plan);
	put_forward(&t, &plan);
	if (conf->nat)
		put_nat(&t, &plan);
	put(&t, "}\n");
	return t.bad ? -ENOSPC : 0;
}
