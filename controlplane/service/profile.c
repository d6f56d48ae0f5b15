#include "service/profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/secret.h"

struct text {
	char *at, *end;
	bool bad;
};

static void add(struct text *t, const char *fmt, ...) printf_like(2, 3);
static void add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->at, (size_t)(t->end - t->at), fmt, args);
	va_end(args);
	if (n < 0 || n >= t->end - t->at)
		t->bad = true;
	else
		t->at += n;
}

static void add_key(struct text *t, const char *name, const uint8_t key[32])
{
	char base64[BASE64_TEXT(32)];

	base64_encode(key, 32, base64);
	add(t, "%s = %s\n", name, base64);
	secret_wipe(base64, sizeof(base64));
}

/* A host that parses as IPv6 gets its brackets, unless it came with them. */
static void add_endpoint(struct text *t, const char *host, uint16_t port)
{
	struct ip_addr a;
	bool v6 = ip_addr_parse(&a, host) == 0 && a.family == IP_V6;

	add(t, v6 ? "Endpoint = [%s]:%u\n" : "Endpoint = %s:%u\n", host, port);
}

int profile_wireguard(const struct wg_profile *p, char *out, size_t cap)
{
	struct text t = {.at = out, .end = out + cap};
	char a4[IP_ADDR_TEXT], a6[IP_ADDR_TEXT];

	add(&t, "[Interface]\n");
	if (p->private_key)
		add_key(&t, "PrivateKey", p->private_key);
	else
		add(&t, "# PrivateKey = put yours here: it never left your device\n");
	add(&t, "Address = %s/32, %s/128\n", ip_addr_format(&p->address4, a4),
		ip_addr_format(&p->address6, a6));
	if (p->dns[0])
		add(&t, "DNS = %s\n", p->dns);
	if (p->mtu)
		add(&t, "MTU = %u\n", p->mtu);
	add(&t, "\n[Peer]\n");
	add_key(&t, "PublicKey", p->server_public);
	add_key(&t, "PresharedKey", p->psk);
	add_endpoint(&t, p->endpoint_host, p->endpoint_port);
	add(&t, "AllowedIPs = 0.0.0.0/0, ::/0\n");
	if (p->keepalive_s)
		add(&t, "PersistentKeepalive = %u\n", p->keepalive_s);
	if (!t.bad)
		return 0;
	secret_wipe(out, cap);
	return -EMSGSIZE;
}

static bool safe(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

void profile_filename(const char *device_name, char *out, size_t cap)
{
	char stem[16];
	size_t n = 0;

	/* Whatever is not safe becomes one dash, none at the ends. */
	for (const char *p = device_name; *p && n < sizeof(stem) - 1; p++) {
		if (safe(*p) && !(*p == '-' && n == 0))
			stem[n++] = *p;
		else if (n > 0 && stem[n - 1] != '-')
			stem[n++] = '-';
	}
	while (n > 0 && stem[n - 1] == '-')
		n--;
	stem[n] = '\0';
	snprintf(out, cap, "%s.conf", n ? stem : "ireko");
}
