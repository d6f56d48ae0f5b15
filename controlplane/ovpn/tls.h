/*
 * The TLS of one key id, as the server: bytes in, bytes out, no socket (reference A7). One message
 * is one record. What OpenSSL finds wrong comes out as a constant text.
 */
#ifndef OVPN_TLS_H
#define OVPN_TLS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "ovpn/ovpn_engine.h"
#include "ovpn/wrap.h"

enum {
	TLS_HANDSHAKE_MAX = 24 * 1024, /* bytes of a client until it is verified */
	TLS_CERTS_MAX = 6 * 1024,      /* one of ours has 1 kB; goes into a HELLO_RECORD */
};

struct tls;

/* Returns: 0, -ENOMEM. */
int ovpn_tls_new(struct tls **out, SSL_CTX *ctx) must_check;
void ovpn_tls_free(struct tls *t);

enum tls_outcome {
	TLS_MORE = 0, /* the client's turn */
	TLS_DONE = 1, /* its certificate is verified */
};
/* Takes bytes of the client, which may end anywhere, and goes on with the handshake when records of
 * them are whole (hello.h). Returns: an outcome, -EPROTO (for good:
 * ovpn_tls_failure says why; an alert may be pending), -ENOMEM. */
int ovpn_tls_handshake(struct tls *t, const uint8_t *bytes, size_t n) must_check;
/* After the handshake. Returns: 0, -ENOMEM. */
int ovpn_tls_feed(struct tls *t, const uint8_t *bytes, size_t n) must_check;
/* The next record. Returns: its length, 0 when there is none, -EMSGSIZE (longer than cap: dropped
 * as a whole), -EPROTO. */
int ovpn_tls_read(struct tls *t, uint8_t *buf, size_t cap) must_check;
/* One record. Returns: 0, -EPROTO. */
int ovpn_tls_write(struct tls *t, const void *p, size_t n) must_check;

/* Whether our first flight was made. */
bool ovpn_tls_has_answered(const struct tls *t);
/* What is to be sent: how much, and up to cap bytes of it. */
size_t ovpn_tls_pending(const struct tls *t);
size_t ovpn_tls_take(struct tls *t, uint8_t *buf, size_t cap);

/* Why it failed: constant text. */
const char *ovpn_tls_failure(const struct tls *t);
/* Whether the client's certificate is to blame, not the bytes. */
bool ovpn_tls_refused_certificate(const struct tls *t);
/* Serial number and fingerprint of the verified certificate. Returns: 0, -EPROTO (none, or a serial
 * number that is negative or longer than OVPN_SERIAL). */
int ovpn_tls_identity(const struct tls *t, struct ovpn_identity *who) must_check;
/* Exports 256 bytes under an RFC 5705 label, without context. Returns: 0, -EIO. */
int ovpn_tls_export(const struct tls *t, const char *label, struct ovpn_key2 *out) must_check;
uint16_t ovpn_tls_version(const struct tls *t); /* 0x0303, 0x0304 */

#endif
