/*
 * Addresses as values. Whatever comes in, IPv4-mapped IPv6 becomes IPv4 here, once, so that the
 * rest of the tree compares bytes.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static struct ip_addr from_v4(const void *bytes)
{
	struct ip_addr a = {.family = IP_V4};

	memcpy(a.bytes, bytes, 4);
	return a;
}

static struct ip_addr from_v6(const uint8_t bytes[16])
{
	struct ip_addr a = {.family = IP_V6};

	if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
		return from_v4(bytes + sizeof(mapped));
	memcpy(a.bytes, bytes, 16);
	return a;
}

/* fe80::/10: the only addresses that mean nothing without their interface. */
static bool is_link_local(const struct ip_addr *a)
{
	return a->family == IP_V6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

int ip_addr_parse(struct ip_addr *out, const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*out = from_v4(bytes);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*out = from_v6(bytes);
	else
		return -EINVAL;
	return 0;
}

const char *ip_addr_format(const struct ip_addr *a, char *buf)
{
	buf[0] = '\0';
	if (a->family == IP_V4)
		inet_ntop(AF_INET, a->bytes, buf, IP_ADDR_TEXT);
	else if (a->family == IP_V6)
		inet_ntop(AF_INET6, a->bytes, buf, IP_ADDR_TEXT);
	return buf;
}

bool ip_addr_is_loopback(const struct ip_addr *a)
{
	static const uint8_t six[16] = {[15] = 1};
	if (a->family == IP_V4)
		return a->bytes[0] == 127;
	return a->family == IP_V6 && memcmp(a->bytes, six, sizeof(six)) == 0;
}

size_t ip_addr_size(const struct ip_addr *a)
{
	if (a->family == IP_V4)
		return 4;
	return a->family == IP_V6 ? 16 : 0;
}

bool ip_addr_valid(const struct ip_addr *a)
{
	if (a->family != IP_NONE && a->family != IP_V4 && a->family != IP_V6)
		return false;
	for (size_t i = ip_addr_size(a); i < sizeof(a->bytes); i++) {
		if (a->bytes[i])
			return false;
	}
	return a->family != IP_V6 || memcmp(a->bytes, mapped, sizeof(mapped)) != 0;
}

/* A decimal number without sign, blanks or leading zeros. Returns: 0, -EINVAL. */
static int parse_number(const char *text, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;

	if (*text == '\0' || (text[0] == '0' && text[1] != '\0'))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max)
			return -EINVAL;
	}
	*out = (uint32_t)v;
	return 0;
}

/* Copies text[0..n) as a string. Returns: 0, -EINVAL when it is longer than any address. */
static int copy_part(char *buf, size_t cap, const char *text, size_t n)
{
	if (n >= cap)
		return -EINVAL;
	memcpy(buf, text, n);
	buf[n] = '\0';
	return 0;
}

int ip_prefix_parse(struct ip_prefix *out, const char *text)
{
	const char *slash = strchrnul(text, '/');
	char host[IP_ADDR_TEXT];
	struct ip_addr addr;
	uint32_t len;

	if (copy_part(host, sizeof(host), text, (size_t)(slash - text)) ||
		ip_addr_parse(&addr, host))
		return -EINVAL;
	len = (uint32_t)(8 * ip_addr_size(&addr));
	if (*slash) {
		/* The length of a mapped prefix counts 96 bits that are no longer there. */
		if (addr.family == IP_V4 && strchr(host, ':'))
			return -EINVAL;
		if (parse_number(slash + 1, len, &len))
			return -EINVAL;
	}
	*out = (struct ip_prefix){.addr = addr, .len = (uint8_t)len};
	return 0;
}

const char *ip_prefix_format(const struct ip_prefix *p, char *buf)
{
	size_t n = strlen(ip_addr_format(&p->addr, buf));

	if (n)
		snprintf(buf + n, IP_PREFIX_TEXT - n, "/%u", p->len);
	return buf;
}

struct ip_addr ip_prefix_network(const struct ip_prefix *p)
{
	struct ip_addr a = p->addr;

	for (size_t i = 0; i < ip_addr_size(&a); i++) {
		size_t first = 8 * i;

		if (p->len <= first)
			a.bytes[i] = 0;
		else if (p->len < first + 8)
			a.bytes[i] &= (uint8_t)(0xff << (first + 8 - p->len));
	}
	return a;
}

bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_addr *a)
{
	struct ip_addr net = ip_prefix_network(p);
	struct ip_addr other = ip_prefix_network(&(struct ip_prefix){.addr = *a, .len = p->len});

	return ip_addr_size(a) != 0 && ip_addr_equal(&net, &other);
}

struct ip_addr ip_prefix_nth(const struct ip_prefix *p, uint64_t n)
{
	struct ip_addr a = ip_prefix_network(p);
	unsigned carry = 0;

	for (size_t i = ip_addr_size(&a); i-- > 0;) {
		carry += a.bytes[i] + (unsigned)(n & 0xff);
		a.bytes[i] = (uint8_t)carry;
		carry >>= 8;
		n >>= 8;
	}
	return a;
}

/* "address" or "address%scope" between brackets; only a link-local address takes a scope. */
static int parse_bracketed(struct endpoint *out, const char *host)
{
	const char *percent = strchrnul(host, '%');
	char addr[IP_ADDR_TEXT];

	if (copy_part(addr, sizeof(addr), host, (size_t)(percent - host)))
		return -EINVAL;
	if (!strchr(addr, ':') || ip_addr_parse(&out->addr, addr))
		return -EINVAL;
	if (*percent == '\0')
		return 0;
	if (!is_link_local(&out->addr))
		return -EINVAL;
	return parse_number(percent + 1, UINT32_MAX, &out->scope_id);
}

int endpoint_parse(struct endpoint *out, const char *text)
{
	const char *colon = strrchr(text, ':');
	struct endpoint e = {.port = 0};
	char host[ENDPOINT_TEXT];
	uint32_t port;
	size_t n;

	if (!colon || copy_part(host, sizeof(host), text, (size_t)(colon - text)))
		return -EINVAL;
	if (parse_number(colon + 1, UINT16_MAX, &port))
		return -EINVAL;
	n = strlen(host);
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		if (parse_bracketed(&e, host + 1))
			return -EINVAL;
	} else if (strchr(host, ':') || ip_addr_parse(&e.addr, host)) {
		return -EINVAL;
	}
	e.port = (uint16_t)port;
	*out = e;
	return 0;
}

const char *endpoint_format(const struct endpoint *e, char *buf)
{
	char addr[IP_ADDR_TEXT];

	ip_addr_format(&e->addr, addr);
	if (e->addr.family == IP_V4)
		snprintf(buf, ENDPOINT_TEXT, "%s:%u", addr, e->port);
	else if (e->addr.family == IP_V6 && e->scope_id)
		snprintf(buf, ENDPOINT_TEXT, "[%s%%%u]:%u", addr, e->scope_id, e->port);
	else if (e->addr.family == IP_V6)
		snprintf(buf, ENDPOINT_TEXT, "[%s]:%u", addr, e->port);
	else
		buf[0] = '\0';
	return buf;
}

int endpoint_from_sockaddr(struct endpoint *out, const struct sockaddr *sa)
{
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	/* Copied, because the caller's buffer need not be aligned for either. */
	if (sa->sa_family == AF_INET) {
		memcpy(&in4, sa, sizeof(in4));
		*out = (struct endpoint){
			.addr = from_v4(&in4.sin_addr), .port = ntohs(in4.sin_port)};
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(&in6, sa, sizeof(in6));
	*out = (struct endpoint){
		.addr = from_v6(in6.sin6_addr.s6_addr), .port = ntohs(in6.sin6_port)};
	if (is_link_local(&out->addr))
		out->scope_id = in6.sin6_scope_id;
	return 0;
}

socklen_t endpoint_to_sockaddr6(const struct endpoint *e, struct sockaddr_storage *out)
{
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(e->port), .sin6_scope_id = e->scope_id};

	if (e->addr.family == IP_V4) {
		memcpy(in6.sin6_addr.s6_addr, mapped, sizeof(mapped));
		memcpy(in6.sin6_addr.s6_addr + sizeof(mapped), e->addr.bytes, 4);
	} else if (e->addr.family == IP_V6) {
		memcpy(in6.sin6_addr.s6_addr, e->addr.bytes, 16);
	}
	memset(out, 0, sizeof(*out));
	memcpy(out, &in6, sizeof(in6));
	return sizeof(in6);
}
