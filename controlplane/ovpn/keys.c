/*
 * From a client's first message to keys. Its text is hostile: every field is bounded by its buffer
 * and must end in its only NUL; what becomes known of the client is a few numbers and names.
 */
#include "ovpn/keys.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/secret.h"
#include "ovpn/ovpn_crypto.h"

enum { METHOD = 2, METHOD_MASK = 15, MASTER = 48 };

/* ---- peer info (A9) ---- */

struct text {
	const char *p;
	size_t n;
};

/* A decimal number; 0 when it is none or has more than 32 bits. */
static uint32_t number(struct text t)
{
	uint64_t v = 0;

	for (size_t i = 0; i < t.n; i++) {
		if (t.p[i] < '0' || t.p[i] > '9')
			return 0;
		v = v * 10 + (uint64_t)(t.p[i] - '0');
		if (v > UINT32_MAX)
			return 0;
	}
	return (uint32_t)v;
}

static void copy_printable(char *out, size_t cap, struct text t)
{
	size_t n = t.n < cap - 1 ? t.n : cap - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = t.p[i] >= ' ' && t.p[i] <= '~' ? t.p[i] : '?';
	out[n] = '\0';
}

static void read_proto(struct km2_peer_info *out, struct text value)
{
	out->proto = number(value);
}
static void read_mtu(struct km2_peer_info *out, struct text value)
{
	out->mtu = number(value);
}
static void read_ncp(struct km2_peer_info *out, struct text value)
{
	out->ncp = number(value) >= 2;
}
/* A list too long is cut between two names: half a name could be another one. */
static void read_ciphers(struct km2_peer_info *out, struct text value)
{
	if (value.n >= sizeof(out->ciphers)) {
		value.n = sizeof(out->ciphers) - 1;
		while (value.n > 0 && value.p[value.n] != ':')
			value.n--;
	}
	copy_printable(out->ciphers, sizeof(out->ciphers), value);
}
static void read_version(struct km2_peer_info *out, struct text value)
{
	copy_printable(out->version, sizeof(out->version), value);
}
static void read_platform(struct km2_peer_info *out, struct text value)
{
	copy_printable(out->platform, sizeof(out->platform), value);
}

static const struct {
	const char *name;
	void (*read)(struct km2_peer_info *out, struct text value);
} peer_info_keys[] = {
	{"IV_PROTO", read_proto},
	{"IV_MTU", read_mtu},
	{"IV_NCP", read_ncp},
	{"IV_CIPHERS", read_ciphers},
	{"IV_VER", read_version},
	{"IV_PLAT", read_platform},
};

static void read_line(struct km2_peer_info *out, struct text line)
{
	const char *equals = memchr(line.p, '=', line.n);
	const size_t name = equals ? (size_t)(equals - line.p) : 0;

	for (size_t i = 0; name && i < ARRAY_SIZE(peer_info_keys); i++)
		if (strlen(peer_info_keys[i].name) == name &&
			memcmp(peer_info_keys[i].name, line.p, name) == 0)
			peer_info_keys[i].read(out, (struct text){equals + 1, line.n - name - 1});
}

void km2_peer_info_parse(struct km2_peer_info *out, const char *text, size_t n)
{
	memset(out, 0, sizeof(*out));
	while (n > 0) {
		const char *end = memchr(text, '\n', n);
		const size_t line = end ? (size_t)(end - text) : n;

		read_line(out, (struct text){text, line});
		text += line + (end ? 1 : 0);
		n -= line + (end ? 1 : 0);
	}
}

/* ---- key method 2 (A8) ---- */

void km2_wipe(struct km2 *k)
{
	secret_wipe(k, sizeof(*k));
}

/* A length and as many bytes, the last of them the only NUL; nothing at all is "". Borrowed, and
 * shorter than cap; n is without the NUL. */
static struct text field(struct reader *r, size_t cap)
{
	const size_t n = reader_be16(r);
	const char *p = (const char *)reader_view(r, n);

	if (n == 0 || !p)
		return (struct text){"", 0};
	if (n > cap || memchr(p, '\0', n) != p + n - 1) {
		r->bad = true;
		return (struct text){"", 0};
	}
	return (struct text){p, n - 1};
}

static void field_copy(struct reader *r, char *out, size_t cap)
{
	struct text t = field(r, cap);

	memcpy(out, t.p, t.n);
	out[t.n] = '\0';
}

/* Fields behind the options may be missing, from any one on. */
static void optional_fields(struct reader *r, struct km2 *k)
{
	struct text peer = {"", 0};

	if (reader_left(r) > 0)
		field_copy(r, k->username, sizeof(k->username));
	if (reader_left(r) > 0)
		field_copy(r, k->password, sizeof(k->password));
	if (reader_left(r) > 0)
		peer = field(r, KM2_PEER_INFO);
	km2_peer_info_parse(&k->peer, peer.p, peer.n);
}

static int parse(struct km2 *out, const uint8_t *p, size_t n, bool client)
{
	struct km2 k cleanup(km2_wipe) = {0};
	struct reader r = reader_init(p, n);

	reader_be32(&r);
	if ((reader_u8(&r) & METHOD_MASK) != METHOD)
		return -EBADMSG;
	if (client)
		reader_bytes(&r, k.pre_master, sizeof(k.pre_master));
	reader_bytes(&r, k.random1, sizeof(k.random1));
	reader_bytes(&r, k.random2, sizeof(k.random2));
	field_copy(&r, k.options, sizeof(k.options));
	optional_fields(&r, &k);
	if (r.bad)
		return -EBADMSG;
	*out = k;
	return 0;
}

int km2_parse_client(struct km2 *out, const uint8_t *p, size_t n)
{
	return parse(out, p, n, true);
}

int km2_parse_server(struct km2 *out, const uint8_t *p, size_t n)
{
	return parse(out, p, n, false);
}

/* An empty text is a length of 0 and no bytes. */
static void put_field(struct writer *w, const char *text, size_t cap)
{
	const size_t n = strnlen(text, cap);

	if (n == cap) {
		w->bad = true;
		return;
	}
	writer_be16(w, n ? (uint16_t)(n + 1) : 0);
	writer_bytes(w, text, n ? n + 1 : 0);
}

static int pack(const struct km2 *k, bool client, const char *peer_info, uint8_t *out, size_t cap)
{
	struct writer w = writer_init(out, cap);

	writer_be32(&w, 0);
	writer_u8(&w, METHOD);
	if (client)
		writer_bytes(&w, k->pre_master, sizeof(k->pre_master));
	writer_bytes(&w, k->random1, sizeof(k->random1));
	writer_bytes(&w, k->random2, sizeof(k->random2));
	put_field(&w, k->options, sizeof(k->options));
	put_field(&w, client ? k->username : "", sizeof(k->username));
	put_field(&w, client ? k->password : "", sizeof(k->password));
	put_field(&w, peer_info ? peer_info : "", KM2_PEER_INFO);
	return writer_end(&w) < 0 ? -EMSGSIZE : (int)writer_len(&w);
}

int km2_pack_client(const struct km2 *k, const char *peer_info, uint8_t *out, size_t cap)
{
	return pack(k, true, peer_info, out, cap);
}

int km2_pack_server(const struct km2 *k, uint8_t *out, size_t cap)
{
	return pack(k, false, NULL, out, cap);
}

/* ---- the cipher (A12) ---- */

static const enum aead_cipher offered[] = {
	AEAD_AES_256_GCM, AEAD_AES_128_GCM, AEAD_CHACHA20_POLY1305};

const char *km2_cipher_name(enum aead_cipher c)
{
	return aead_cipher_name(c);
}

static bool listed(const char *list, const char *name)
{
	const size_t n = strlen(name);

	for (const char *at = list; *at; at += *at == ':') {
		const size_t here = strcspn(at, ":");

		if (here == n && memcmp(at, name, n) == 0)
			return true;
		at += here;
	}
	return false;
}

int km2_choose_cipher(const struct km2_peer_info *p, enum aead_cipher *out)
{
	/* What IV_NCP alone promises. */
	const char *list = p->ciphers[0] ? p->ciphers : p->ncp ? "AES-256-GCM:AES-128-GCM" : "";

	for (size_t i = 0; i < ARRAY_SIZE(offered); i++) {
		if (!listed(list, km2_cipher_name(offered[i])))
			continue;
		*out = offered[i];
		return 0;
	}
	return -ENOENT;
}

/* ---- keys (A11) ---- */

int ovpn_prf_keys(const struct km2 *client, const struct km2 *server,
	const uint8_t client_sid[OVPN_SID], const uint8_t server_sid[OVPN_SID],
	struct ovpn_key2 *out)
{
	static const char master_label[] = "OpenVPN master secret";
	static const char keys_label[] = "OpenVPN key expansion";
	uint8_t seed[128], master[MASTER];
	struct writer w = writer_init(seed, sizeof(seed));
	int rc;

	writer_bytes(&w, master_label, sizeof(master_label) - 1);
	writer_bytes(&w, client->random1, KM2_RANDOM);
	writer_bytes(&w, server->random1, KM2_RANDOM);
	rc = ovpn_tls1_prf(
		master, MASTER, client->pre_master, KM2_PRE_MASTER, seed, writer_len(&w));
	if (rc < 0)
		goto out;
	w = writer_init(seed, sizeof(seed));
	writer_bytes(&w, keys_label, sizeof(keys_label) - 1);
	writer_bytes(&w, client->random2, KM2_RANDOM);
	writer_bytes(&w, server->random2, KM2_RANDOM);
	writer_bytes(&w, client_sid, OVPN_SID);
	writer_bytes(&w, server_sid, OVPN_SID);
	rc = ovpn_tls1_prf(out->bytes, OVPN_KEY2, master, MASTER, seed, writer_len(&w));
out:
	secret_wipe(master, sizeof(master));
	secret_wipe(seed, sizeof(seed));
	return rc;
}

void ovpn_data_keys_wipe(struct ovpn_data_keys *k)
{
	secret_wipe(k, sizeof(*k));
}

static void split_one(uint8_t key[AEAD_KEY_MAX], uint8_t iv[8], const uint8_t *half,
	enum aead_cipher cipher, bool epoch)
{
	memcpy(key, half, epoch ? AEAD_KEY_MAX : aead_key_size(cipher));
	if (!epoch)
		memcpy(iv, half + 64, 8);
}

/* The first half is the client's to the server, unlike in the wrapper (A4.1). */
void ovpn_data_keys_split(struct ovpn_data_keys *out, const struct ovpn_key2 *key2,
	enum aead_cipher cipher, enum ovpn_side side, bool epoch)
{
	const uint8_t *up = key2->bytes, *down = key2->bytes + OVPN_KEY2 / 2;
	const bool server = side == OVPN_SERVER;

	memset(out, 0, sizeof(*out));
	out->cipher = cipher;
	split_one(out->seal, out->seal_iv, server ? down : up, cipher, epoch);
	split_one(out->open, out->open_iv, server ? up : down, cipher, epoch);
}
