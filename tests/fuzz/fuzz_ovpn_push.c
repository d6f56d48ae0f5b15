/*
 * Texts after key method 2: what a client says, farewells with any reason, and PUSH_REPLY from any
 * settings at all. Every part ends in its NUL within bounds, holds nothing unprintable, and names
 * no flag that the client has not announced.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "ovpn/keys.h"
#include "ovpn/push.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

enum { PARSE, FAREWELL, REPLY, KINDS };

static void printable(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		REQUIRE(text[i] >= ' ' && text[i] <= '~');
}

/* A value of the promises that struct ip_addr makes, or none. */
static struct ip_addr address(struct reader *r, enum ip_family family)
{
	struct ip_addr a = {.family = (uint8_t)(reader_u8(r) & 1 ? family : IP_NONE)};

	reader_bytes(r, a.bytes, ip_addr_size(&a));
	return a;
}

static struct ip_prefix prefix(struct reader *r, enum ip_family family)
{
	struct ip_prefix p = {.addr = address(r, family)};

	p.len = (uint8_t)(reader_u8(r) % (8 * ip_addr_size(&p.addr) + 1));
	return p;
}

static void check_flags(const struct push_conf *c, const char *part)
{
	const char *flags = strstr(part, ",protocol-flags");

	REQUIRE(!flags || c->client_proto & IV_PROTO_CC_EXIT);
	REQUIRE(!flags || !strstr(flags, " tls-ekm") || c->client_proto & IV_PROTO_TLS_EKM);
	REQUIRE(!flags || !strstr(flags, " dyn-tls") || c->client_proto & IV_PROTO_DYN_TLS_CRYPT);
	REQUIRE(!flags || !strstr(flags, " aead-epoch") || c->client_proto & IV_PROTO_EPOCH);
	REQUIRE(!strstr(part, ",key-derivation") ||
		(c->client_proto & (IV_PROTO_CC_EXIT | IV_PROTO_TLS_EKM)) == IV_PROTO_TLS_EKM);
}

static void reply(const uint8_t *data, size_t size)
{
	char(*out)[PUSH_MESSAGE] = malloc(sizeof(*out) * PUSH_MESSAGES);
	struct reader r = reader_init(data, size);
	struct push_conf c = {.net4 = prefix(&r, IP_V4), .net6 = prefix(&r, IP_V6)};

	c.address4 = address(&r, IP_V4);
	c.address6 = address(&r, IP_V6);
	c.mtu = reader_u16(&r);
	c.ping_s = reader_u16(&r);
	c.restart_s = reader_u16(&r);
	c.peer_id = reader_u32(&r);
	c.cipher = (enum aead_cipher)(reader_u8(&r) & 7);
	c.client_proto = reader_u32(&r);
	const uint8_t flags = reader_u8(&r);

	c.epoch = flags & 1;
	c.dyn_tls_crypt = flags & 2;
	c.udp = flags & 4;
	const size_t times = 1 + (flags >> 3), left = reader_left(&r);
	char *dns = calloc(1, left * times + 1);

	REQUIRE(out && dns);
	for (size_t i = 0; i < times && left; i++)
		memcpy(dns + i * left, r.at, left);
	c.dns = dns;
	memset(out, 0x5a, sizeof(*out) * PUSH_MESSAGES);
	int n = push_reply(&c, out);

	REQUIRE(n == -EMSGSIZE || (n > 0 && n <= PUSH_MESSAGES));
	for (int i = 0; i < n; i++) {
		const size_t len = strnlen(out[i], PUSH_MESSAGE);

		REQUIRE(len < PUSH_MESSAGE && strncmp(out[i], "PUSH_REPLY,", 11) == 0);
		REQUIRE((strstr(out[i], ",push-continuation 2") != NULL) == (i < n - 1));
		REQUIRE((strstr(out[i], ",cipher ") != NULL) == (i == n - 1));
		printable(out[i], len);
		check_flags(&c, out[i]);
	}
	free(dns);
	free(out);
}

static void farewell(const uint8_t *data, size_t size)
{
	char *reason = malloc(size + 1);
	const size_t cap = size % 300;
	char *out = malloc(cap ? cap : 1);

	REQUIRE(reason && out);
	memcpy(reason, data, size);
	reason[size] = '\0';
	const size_t n = push_farewell("AUTH_FAILED", reason, out, cap);

	REQUIRE(n < cap || (n == 0 && cap == 0));
	printable(out, n);
	if (n > 12)
		REQUIRE(!memchr(out + 12, ',', n - 12));
	free(reason);
	free(out);
}

static void parse(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1);

	REQUIRE(text);
	memcpy(text, data, size);
	const enum push_request r = push_parse(text, size);

	REQUIRE(r == PUSH_UNKNOWN || (size >= 12 && r == PUSH_REQUEST) ||
		(size >= 4 && r == PUSH_EXIT));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	switch (data[0] % KINDS) {
	case PARSE:
		parse(data + 1, size - 1);
		break;
	case FAREWELL:
		farewell(data + 1, size - 1);
		break;
	case REPLY:
		reply(data + 1, size - 1);
		break;
	}
	return 0;
}
