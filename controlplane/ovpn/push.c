/*
 * Control messages as text. Options are collected into parts; those that decide about the data
 * channel stay together in the last one, as a stock server sends them.
 */
#include "ovpn/push.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ovpn/keys.h"

enum { OPTION = 256, TAIL = 512 };

struct parts {
	char (*out)[PUSH_MESSAGE];
	size_t n; /* begun so far */
	size_t len;
	bool bad;
};

static void part_begin(struct parts *p)
{
	if (p->n == PUSH_MESSAGES) {
		p->bad = true;
		return;
	}
	p->len = (size_t)snprintf(p->out[p->n++], PUSH_MESSAGE, "PUSH_REPLY");
}

/* PUSH_SPLIT leaves room for it. */
static void part_end(struct parts *p, bool last)
{
	if (!p->bad)
		snprintf(p->out[p->n - 1] + p->len, PUSH_MESSAGE - p->len, ",push-continuation %d",
			last ? 1 : 2);
}

/* One option, or some that stay together; shorter than TAIL. */
static void place(struct parts *p, const char *text)
{
	const size_t n = strlen(text);

	if (!p->bad && p->len + 1 + n > PUSH_SPLIT) {
		part_end(p, false);
		part_begin(p);
	}
	if (!p->bad)
		p->len += (size_t)snprintf(
			p->out[p->n - 1] + p->len, PUSH_MESSAGE - p->len, ",%s", text);
}

printf_like(2, 3) static void option(struct parts *p, const char *format, ...)
{
	char text[OPTION];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || n >= OPTION)
		p->bad = true;
	else
		place(p, text);
}

/* What is no address is left out: the list comes from our own settings, checked there. */
static void resolver(struct parts *p, const char *item, size_t n)
{
	char text[IP_ADDR_TEXT];
	struct ip_addr a;

	while (n > 0 && *item == ' ') {
		item++;
		n--;
	}
	while (n > 0 && item[n - 1] == ' ')
		n--;
	if (n >= sizeof(text))
		return;
	memcpy(text, item, n);
	text[n] = '\0';
	if (ip_addr_parse(&a, text) == 0)
		option(p, "dhcp-option DNS %s", ip_addr_format(&a, text));
}

static void resolvers(struct parts *p, const char *list)
{
	while (*list) {
		const size_t n = strcspn(list, ",");

		resolver(p, list, n);
		list += n + (list[n] == ',');
	}
}

static const char *server_address(const struct ip_prefix *net, char *buf)
{
	const struct ip_addr a = ip_prefix_nth(net, 1);

	return ip_addr_format(&a, buf);
}

static const char *netmask(const struct ip_prefix *net, char *buf)
{
	struct ip_prefix all = {.addr = {.family = IP_V4}, .len = net->len};

	memset(all.addr.bytes, 0xff, 4);
	const struct ip_addr mask = ip_prefix_network(&all);

	return ip_addr_format(&mask, buf);
}

static void addresses(struct parts *p, const struct push_conf *c)
{
	char own[IP_ADDR_TEXT], other[IP_ADDR_TEXT];

	if (c->address6.family == IP_V6)
		option(p, "ifconfig-ipv6 %s/%u %s", ip_addr_format(&c->address6, own),
			(unsigned)c->net6.len, server_address(&c->net6, other));
	option(p, "ifconfig %s %s", ip_addr_format(&c->address4, own), netmask(&c->net4, other));
}

/* A word that the client has not announced ends an OpenVPN 3 client (A13.2). */
static const struct {
	uint32_t announced;
	const char *word;
} protocol_flags[] = {
	{IV_PROTO_CC_EXIT, "cc-exit"},
	{IV_PROTO_TLS_EKM, "tls-ekm"},
	{IV_PROTO_DYN_TLS_CRYPT, "dyn-tls-crypt"},
	{IV_PROTO_EPOCH, "aead-epoch"},
};

static uint32_t flags_used(const struct push_conf *c)
{
	uint32_t ours = IV_PROTO_CC_EXIT | IV_PROTO_TLS_EKM;

	if (c->dyn_tls_crypt)
		ours |= IV_PROTO_DYN_TLS_CRYPT;
	if (c->epoch)
		ours |= IV_PROTO_EPOCH;
	return ours & c->client_proto;
}

/* The options that stay together, into text of TAIL bytes: all of it is ours and short. */
static void data_channel(const struct push_conf *c, char *text)
{
	const uint32_t flags = flags_used(c);
	size_t at = 0;

#define ADD(...) at += (size_t)snprintf(text + at, TAIL - at, __VA_ARGS__)
	if (c->peer_id < OVPN_NO_PEER_ID && c->client_proto & IV_PROTO_DATA_V2)
		ADD("peer-id %u,", (unsigned)c->peer_id);
	ADD("cipher %s", km2_cipher_name(c->cipher));
	if (flags & IV_PROTO_CC_EXIT) {
		ADD(",protocol-flags");
		for (size_t i = 0; i < ARRAY_SIZE(protocol_flags); i++)
			if (flags & protocol_flags[i].announced)
				ADD(" %s", protocol_flags[i].word);
	} else if (flags & IV_PROTO_TLS_EKM) {
		ADD(",key-derivation tls-ekm");
	}
	if (c->mtu)
		ADD(",tun-mtu %u", (unsigned)c->mtu);
#undef ADD
}

int push_reply(const struct push_conf *c, char out[PUSH_MESSAGES][PUSH_MESSAGE])
{
	struct parts p = {.out = out};
	char text[IP_ADDR_TEXT], tail[TAIL];

	part_begin(&p);
	resolvers(&p, c->dns);
	option(&p, "redirect-gateway def1%s", c->address6.family == IP_V6 ? " ipv6" : "");
	option(&p, "route-gateway %s", server_address(&c->net4, text));
	option(&p, "topology subnet");
	option(&p, "ping %u", (unsigned)c->ping_s);
	option(&p, "ping-restart %u", (unsigned)c->restart_s);
	if (c->udp)
		option(&p, "explicit-exit-notify 1");
	addresses(&p, c);
	data_channel(c, tail);
	place(&p, tail);
	if (p.n > 1)
		part_end(&p, true);
	return p.bad ? -EMSGSIZE : (int)p.n;
}

static bool is(const char *text, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(text, word, n) == 0;
}

enum push_request push_parse(const char *text, size_t n)
{
	while (n > 0 && (text[n - 1] == '\r' || text[n - 1] == '\n'))
		n--;
	if (is(text, n, "PUSH_REQUEST"))
		return PUSH_REQUEST;
	if (is(text, n, "EXIT"))
		return PUSH_EXIT;
	return PUSH_UNKNOWN;
}

/* The comma comes with the first character behind it. */
size_t push_farewell(const char *keyword, const char *reason, char *out, size_t cap)
{
	size_t at = 0;
	bool comma = false;

	if (cap == 0)
		return 0;
	for (; *keyword && at < cap - 1; keyword++)
		out[at++] = *keyword;
	for (; reason && *reason; reason++) {
		if (*reason < ' ' || *reason > '~' || *reason == ',')
			continue;
		if (at + !comma >= cap - 1)
			break;
		if (!comma)
			out[at++] = ',';
		comma = true;
		out[at++] = *reason;
	}
	out[at] = '\0';
	return at;
}
