/* WireGuard through wg_peer, OpenVPN through the TLS client of tests/sim. */
#include "entry.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ssl.h>

#include "base/codec.h"
#include "crypto/blake2s.h"
#include "ovpn_client.h"
#include "ovpn_profile.h"
#include "wg_peer.h"

enum { PATIENCE_MS = 10000, PACKET = 2048, OUR_INDEX = 0x5eed };

static void die(const char *what)
{
	fprintf(stderr, "entry: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t real_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- WireGuard ---- */

/* The value of "Name = value", up to the end of its first word. */
static bool value(const char *profile, const char *name, char *out, size_t room)
{
	for (const char *at = profile; (at = strstr(at, name)); at++) {
		const char *from = at + strlen(name);

		from += strspn(from, " \t");
		if ((at != profile && at[-1] != '\n') || *from != '=')
			continue;
		from += 1 + strspn(from + 1, " \t");
		const size_t n = strcspn(from, " \t\r\n,");
		if (n >= room)
			return false;
		memcpy(out, from, n);
		out[n] = '\0';
		return true;
	}
	return false;
}

static void wg_identity_read(struct wg_identity *id, struct in_addr *own, const char *profile)
{
	char key[64], server[64], psk[64], address[64];

	memset(id, 0, sizeof(*id));
	if (!value(profile, "PrivateKey", key, sizeof(key)) ||
		base64_decode(key, id->key.bytes, 32) != 0 ||
		!value(profile, "PublicKey", server, sizeof(server)) ||
		base64_decode(server, id->server, 32) != 0 ||
		!value(profile, "Address", address, sizeof(address)))
		die("profile");
	if (value(profile, "PresharedKey", psk, sizeof(psk)) &&
		base64_decode(psk, id->psk.bytes, 32) != 0)
		die("PresharedKey");
	address[strcspn(address, "/")] = '\0';
	if (inet_aton(address, own) == 0)
		die("Address");
}

static void enter_wg(struct entry *e, const char *profile)
{
	struct wg_identity id;
	struct wg_peer peer;
	struct noise_keys keys;
	uint8_t packet[PACKET];
	enum wg_peer_outcome got = WG_PEER_IGNORED;
	size_t n;

	wg_identity_read(&id, &e->own, profile);
	if (wg_peer_init(&peer, &id, OUR_INDEX) != 0)
		die("identity");
	for (int i = 0; i < PATIENCE_MS / 1000 && got != WG_PEER_UP; i++) {
		if (got != WG_PEER_COOKIE && wg_peer_begin(&peer, real_us()) != 0)
			die("initiation");
		(void)!outer_send(&e->outer, &peer.sent, sizeof(peer.sent));
		got = WG_PEER_IGNORED;
		while (got == WG_PEER_IGNORED &&
			(n = outer_hear(&e->outer, packet, sizeof(packet), 1000)) > 0)
			got = wg_peer_input(&peer, packet, n, &keys);
	}
	if (got != WG_PEER_UP || lane_wg(&e->lane, &keys, peer.their_index) != 0)
		die("no handshake");
	wg_peer_fini(&peer);
	noise_keys_wipe(&keys);
}

/* ---- OpenVPN ---- */

/* What 2.6 says of itself, with the ciphers of the profile. */
static const char *peer_info(const char *profile)
{
	static const char key[] = "data-ciphers ";
	static char text[512];
	const char *at = strstr(profile, key);
	const char *ciphers = at ? at + strlen(key) : OVPN_CLIENT_CIPHERS "\n";

	snprintf(text, sizeof(text),
		"IV_VER=2.6.14\nIV_PLAT=linux\nIV_TCPNL=1\nIV_MTU=1600\nIV_NCP=2\n"
		"IV_CIPHERS=%.*s\nIV_PROTO=990\n",
		(int)strcspn(ciphers, "\r\n"), ciphers);
	return text;
}

static struct ovpn_client *ovpn_make(const char *profile, bool stream)
{
	struct ovpn_client_conf conf = {
		.mode = OVPN_CLIENT_V3, .stream = stream, .peer_info = peer_info(profile)};
	struct ovpn_client *c;

	if (ovpn_wrap_global_init() != 0 || ovpn_profile_read(&conf, profile) != 0 ||
		ovpn_client_new(&c, &conf) != 0)
		die("profile");
	SSL_CTX_free(conf.tls);
	if (ovpn_client_start(c, now_ms(), time(NULL)) != 0)
		die("reset");
	return c;
}

/* Returns: whether the options were pushed, and with them everything is there. */
static bool on_event(
	struct entry *e, const struct ovpn_client_event *ev, struct ovpn_client_event *keys)
{
	char own[32] = "";
	const char *at = strstr(ev->text, "ifconfig ");

	if (ev->kind == OVPN_CLIENT_KEYS)
		*keys = *ev;
	if (ev->kind == OVPN_CLIENT_TEXT || ev->kind == OVPN_CLIENT_FAILED)
		die(ev->text);
	if (ev->kind != OVPN_CLIENT_UP)
		return false;
	if (!at || sscanf(at, "ifconfig %31[0-9.]", own) != 1 || inet_aton(own, &e->own) == 0 ||
		lane_ovpn(&e->lane, &keys->keys, keys->key_id, ev->peer_id) != 0)
		die("options");
	return true;
}

static void enter_ovpn(struct entry *e, const char *profile)
{
	struct ovpn_client *c = ovpn_make(profile, e->outer.stream);
	struct ovpn_client_event ev, keys = {0};
	uint8_t packet[PACKET];
	bool up = false;
	size_t n;

	/* Until everything of ours was acknowledged: the server must not wait for us. */
	for (const uint64_t until = now_ms() + PATIENCE_MS; !up || !ovpn_client_established(c);) {
		if (now_ms() > until)
			die("no handshake");
		while ((n = ovpn_client_output(c, packet, sizeof(packet))) > 0)
			(void)!outer_send(&e->outer, packet, n);
		n = outer_hear(&e->outer, packet, sizeof(packet), 20);
		if (n > 0 && ovpn_opcode(packet[0]) != OVPN_DATA_V2)
			(void)ovpn_client_input(c, packet, n, now_ms());
		ovpn_client_tick(c, now_ms());
		while (ovpn_client_event(c, &ev))
			up |= on_event(e, &ev, &keys);
	}
	while ((n = ovpn_client_output(c, packet, sizeof(packet))) > 0)
		(void)!outer_send(&e->outer, packet, n);
	ovpn_data_keys_wipe(&keys.keys);
	ovpn_client_free(c);
}

void entry_make(struct entry *e, int fd, const char *profile)
{
	if (aead_init() != 0 || blake2s_init() != 0)
		die("cryptography");
	outer_init(&e->outer, fd);
	if (strstr(profile, "[Interface]"))
		enter_wg(e, profile);
	else
		enter_ovpn(e, profile);
}
