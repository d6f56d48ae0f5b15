#include "service/profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
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

/* Half a profile is none. */
static int finish(const struct text *t, char *out, size_t cap)
{
	if (!t->bad)
		return 0;
	secret_wipe(out, cap);
	return -EMSGSIZE;
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
	return finish(&t, out, cap);
}

/* A literal IPv6 address stands without brackets here. */
static void add_remote(struct text *t, const char *host, uint16_t port, const char *protocol)
{
	const size_t n = strlen(host);
	const bool brackets = n > 2 && host[0] == '[' && host[n - 1] == ']';

	if (port)
		add(t, "remote %.*s %u %s\n", (int)(brackets ? n - 2 : n), host + brackets, port,
			protocol);
}

static void add_block(struct text *t, const char *name, const char *pem)
{
	const size_t n = strlen(pem);

	add(t, "<%s>\n%s%s</%s>\n", name, pem, n && pem[n - 1] == '\n' ? "" : "\n", name);
}

int profile_openvpn(const struct ovpn_profile *p, char *out, size_t cap)
{
	struct text t = {.at = out, .end = out + cap};

	add(&t, "client\n"
		"dev tun\n"
		"nobind\n"
		"persist-tun\n"); /* what goes through the tunnel outlives a new connection */
	add_remote(&t, p->endpoint_host, p->udp_port, "udp");
	add_remote(&t, p->endpoint_host, p->tcp_port, "tcp");
	/* Soon to TCP where UDP is blocked, and soon back when the server is. */
	add(&t, "server-poll-timeout 10\n"
		"connect-retry 1 10\n"
		"resolv-retry infinite\n"
		"remote-cert-tls server\n");
	add(&t, "verify-x509-name %s name\n", p->server_name);
	add(&t, "data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\n"
		"auth-nocache\n"
		"verb 3\n");
	add_block(&t, "ca", p->ca_pem);
	add_block(&t, "cert", p->cert_pem);
	if (p->key_pem)
		add_block(&t, "key", p->key_pem);
	else
		add(&t, "# Your private key never left your device: paste its PEM text here, in a\n"
			"# block like the one above that begins with <key> and ends with "
			"</key>.\n");
	add_block(&t, "tls-crypt-v2", p->tls_crypt_v2_pem);
	return finish(&t, out, cap);
}

static bool safe(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

void profile_filename(const char *device_name, const char *suffix, char *out, size_t cap)
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
	snprintf(out, cap, "%s.%s", n ? stem : "ireko", suffix);
}
