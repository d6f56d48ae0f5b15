/*
 * Key method 2, the choice of a cipher, and data keys (reference A8, A9, A11, A12). Pure.
 */
#ifndef OVPN_KEYS_H
#define OVPN_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "crypto/aead.h"
#include "ovpn/wrap.h"
#include "wire/ovpn_wire.h"

enum {
	KM2_PRE_MASTER = 48,
	KM2_RANDOM = 32,
	KM2_TEXT = 512,	      /* options string, with its NUL */
	KM2_CREDENTIAL = 128, /* user name, password, with their NULs */
	KM2_PEER_INFO = 2048,
	KM2_MAX = 2048, /* one TLS record (A7) */
};

/* IV_PROTO (A9). */
enum {
	IV_PROTO_DATA_V2 = 1 << 1,
	IV_PROTO_REQUEST_PUSH = 1 << 2,
	IV_PROTO_TLS_EKM = 1 << 3,
	IV_PROTO_NCP_P2P = 1 << 5,
	IV_PROTO_CC_EXIT = 1 << 7,
	IV_PROTO_AUTH_FAILED_TEMP = 1 << 8,
	IV_PROTO_DYN_TLS_CRYPT = 1 << 9,
	IV_PROTO_EPOCH = 1 << 10,
};

struct km2_peer_info {
	uint32_t proto;			/* IV_PROTO, 0 without one */
	uint32_t mtu;			/* IV_MTU, 0 without one */
	bool ncp;			/* IV_NCP >= 2 */
	char ciphers[128];		/* IV_CIPHERS, "" without it */
	char version[32], platform[16]; /* IV_VER, IV_PLAT: printable characters only, others '?' */
};
/* "KEY=VALUE\n" lines, unknown ones skipped; n without the NUL. Anything may be in it. */
void km2_peer_info_parse(struct km2_peer_info *out, const char *text, size_t n);

struct km2 {
	uint8_t pre_master[KM2_PRE_MASTER]; /* client's only */
	uint8_t random1[KM2_RANDOM], random2[KM2_RANDOM];
	char options[KM2_TEXT];
	char username[KM2_CREDENTIAL], password[KM2_CREDENTIAL];
	struct km2_peer_info peer;
};
void km2_wipe(struct km2 *k);
/* A client's message: one whole TLS record. Fields after the options may be missing; what follows
 * the last field is ignored. Returns: 0, -EBADMSG (short, another key method, over-long field, no
 * NUL at the end of a string). */
int km2_parse_client(struct km2 *out, const uint8_t *p, size_t n) must_check;
int km2_parse_server(struct km2 *out, const uint8_t *p, size_t n) must_check; /* for clients */
/* Returns: length, -EMSGSIZE. peer_info is the text, NULL for none. */
int km2_pack_client(
	const struct km2 *k, const char *peer_info, uint8_t *out, size_t cap) must_check;
int km2_pack_server(const struct km2 *k, uint8_t *out, size_t cap) must_check;

/* Our order decides: AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305. Returns: 0, -ENOENT (nothing in
 * common). */
int km2_choose_cipher(const struct km2_peer_info *p, enum aead_cipher *out) must_check;
/* As it is pushed. */
const char *km2_cipher_name(enum aead_cipher c);

/* What both ends derive, 256 bytes: c->s key at 0, its IV at 64, s->c at 128 and 192 (A11.3). The
 * PRF is for clients without IV_PROTO_TLS_EKM. Returns: 0, -EIO. */
#define OVPN_EKM_DATA	   "EXPORTER-OpenVPN-datakeys"
#define OVPN_EKM_TLS_CRYPT "EXPORTER-OpenVPN-dynamic-tls-crypt"
int ovpn_prf_keys(const struct km2 *client, const struct km2 *server,
	const uint8_t client_sid[OVPN_SID], const uint8_t server_sid[OVPN_SID],
	struct ovpn_key2 *out) must_check;

/* Keys as the dataplane takes them. */
struct ovpn_data_keys {
	enum aead_cipher cipher;
	uint8_t seal[AEAD_KEY_MAX], open[AEAD_KEY_MAX];
	uint8_t seal_iv[8], open_iv[8]; /* zero for the epoch format */
};
void ovpn_data_keys_wipe(struct ovpn_data_keys *k);
/* epoch: the keys are E_1 of each direction (A11.4), 32 bytes whatever the cipher. */
void ovpn_data_keys_split(struct ovpn_data_keys *out, const struct ovpn_key2 *key2,
	enum aead_cipher cipher, enum ovpn_side side, bool epoch);

#endif
