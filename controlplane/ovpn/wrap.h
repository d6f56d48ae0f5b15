/*
 * What is around a control packet: tls-crypt, tls-crypt-v2 and dynamic tls-crypt (reference A3.4,
 * A3.5, A3.6, A4). Pure; both ends of the wire, so that tests and tools can be the client.
 *
 *   op | sid | packet id | time | tag | AES-256-CTR(tail)     tag = HMAC-SHA256(head | clear tail)
 */
#ifndef OVPN_WRAP_H
#define OVPN_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/ulid.h"
#include "wire/ovpn_wire.h"

enum {
	OVPN_KEY2 = 256,	   /* two halves, each cipher 64 and HMAC 64 (A4.1) */
	OVPN_V2_SERVER_KEY = 128,  /* tls-crypt-v2 server key: Ke at 0, Ka at 64 (A4.3) */
	OVPN_TAIL_MAX = 1500,	   /* longest clear tail */
	OVPN_CLIENT_KEY_PEM = 2048 /* room for a client key as PEM, with its NUL */
};

/* A 256-byte key, wiped by its owner. */
struct ovpn_key2 {
	uint8_t bytes[OVPN_KEY2];
};
void ovpn_key2_wipe(struct ovpn_key2 *k);

enum ovpn_side { OVPN_SERVER, OVPN_CLIENT };

/* One direction each way under one key2, with the replay state of both. */
struct ovpn_wrap {
	uint8_t seal_cipher[32], seal_mac[32], open_cipher[32], open_mac[32];
	uint32_t next_id, time; /* what we send; time is fixed when the counting began */
	uint64_t greatest;	/* seen: time << 32 | packet id; 0: nothing yet */
	uint64_t window;	/* bit n: greatest - n was seen */
};

/* Looks algorithms up once. Call before threads. Returns: 0, -EIO. */
int ovpn_wrap_global_init(void) must_check;

/* first_id: the packet id of the first packet sent, at least 1; time is Unix seconds. */
void ovpn_wrap_init(struct ovpn_wrap *w, const struct ovpn_key2 *key, enum ovpn_side side,
	uint32_t first_id, uint32_t time);
void ovpn_wrap_wipe(struct ovpn_wrap *w);

/* Writes a whole packet: head | tag | sealed tail, OVPN_WRAP_HEAD + n bytes; uses up a packet id.
 * Returns: its length, -EMSGSIZE (out has less room, or n > OVPN_TAIL_MAX), -EOVERFLOW (ids used
 * up), -EIO. */
int ovpn_wrap_seal(struct ovpn_wrap *w, uint8_t first, const uint8_t sid[OVPN_SID],
	const uint8_t *tail, size_t n, uint8_t *out, size_t cap) must_check;

/* What a wrapped packet said. tail points into the caller's buffer. */
struct ovpn_opened {
	uint8_t first; /* opcode and key id */
	uint8_t sid[OVPN_SID];
	uint32_t packet_id, time;
	uint8_t *tail;
	size_t tail_len;
};
/* Opens a packet whose wrapped client key has been cut off. buf has n bytes at least. The tag is
 * checked first, in constant time, then the packet id against replays; a packet id of 0 is refused.
 * With w->open_* set but check_replay false (stateless) the replay state is neither read nor
 * changed.
 * Returns: 0, -EMSGSIZE (shorter than head and one byte, or longer than the tail may be), -EBADMSG
 * (tag), -EALREADY (replayed or too old), -EIO. */
int ovpn_wrap_open(struct ovpn_wrap *w, const uint8_t *packet, size_t n, bool check_replay,
	uint8_t *buf, struct ovpn_opened *out) must_check;

/* Cuts the wrapped client key off an opcode 10 or 11 packet. Returns: 0 with *wkc inside packet and
 * *front the bytes before it, -EBADMSG (lengths do not fit). */
int ovpn_wkc_cut(const uint8_t *packet, size_t n, const uint8_t **wkc, size_t *wkc_len,
	size_t *front) must_check;

/* What our own wrapped keys carry: user metadata (type 0), a version byte and the credential. */
struct ovpn_wkc {
	struct ovpn_key2 key;	/* Kc */
	bool has_credential;	/* the metadata is ours */
	struct ulid credential; /* when it is */
};
void ovpn_wkc_wipe(struct ovpn_wkc *w);
/* Any well-formed metadata is accepted; ours is told apart. Returns: 0, -EBADMSG (length or tag),
 * -EIO. Wipes *out unless 0. */
int ovpn_wkc_open(const uint8_t server_key[OVPN_V2_SERVER_KEY], const uint8_t *wkc, size_t n,
	struct ovpn_wkc *out) must_check;
/* Wraps key for a client of that credential (NULL: with metadata of type 1, the time, as a stock
 * tool does). Returns: length, -EMSGSIZE, -EIO. */
int ovpn_wkc_seal(const uint8_t server_key[OVPN_V2_SERVER_KEY], const struct ovpn_key2 *key,
	const struct ulid *credential, uint64_t unix_s, uint8_t *out, size_t cap) must_check;

/* A new client key, as the PEM text that goes into <tls-crypt-v2>; the caller wipes pem.
 * Returns: 0, -EIO, -EMSGSIZE. */
int ovpn_client_key_pem(const uint8_t server_key[OVPN_V2_SERVER_KEY], const struct ulid *credential,
	uint64_t unix_s, char *pem, size_t cap) must_check;
/* For clients: reads such a PEM. wkc has OVPN_WKC_MAX bytes. Returns: 0, -EINVAL. */
int ovpn_client_key_parse(
	const char *pem, struct ovpn_key2 *key, uint8_t *wkc, size_t *wkc_len) must_check;
/* "-----BEGIN OpenVPN Static key V1-----" (A4.2); text around the markers, any line lengths and
 * blanks are accepted. Returns: 0, -EINVAL (no markers, not 512 hex digits). */
int ovpn_static_key_parse(const char *text, struct ovpn_key2 *key) must_check;

/* Dynamic tls-crypt (A4.5): exported XOR original. */
void ovpn_key2_mix(
	struct ovpn_key2 *out, const uint8_t exported[OVPN_KEY2], const struct ovpn_key2 *original);

#endif
