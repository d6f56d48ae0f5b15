/*
 * An OpenVPN client of ours for tests and tools: real TLS, every wrapper that the server takes, and
 * ways to misbehave. Pure like the engine: bytes and a time in, bytes and keys out; TCP framing,
 * sockets and data packets are the caller's.
 *
 *   start -> input/tick -> output (packets), event (keys, up, refused, gone)
 */
#ifndef SIM_OVPN_CLIENT_H
#define SIM_OVPN_CLIENT_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "ovpn/keys.h"
#include "ovpn/reliable.h"
#include "ovpn/wrap.h"

enum ovpn_client_mode {
	OVPN_CLIENT_V3,	    /* tls-crypt-v2, sends its wrapped key again: 2.6, 2.7, 3 */
	OVPN_CLIENT_V3_OLD, /* tls-crypt-v2 of 2.5 */
	OVPN_CLIENT_V2,	    /* tls-crypt */
};

/* How far it goes before it falls silent, although it keeps its timers. */
enum ovpn_client_stop {
	OVPN_STOP_NEVER,
	OVPN_STOP_BEFORE_HELLO, /* gives the cookie back with a bare ACK_V1 or an empty message */
	OVPN_STOP_IN_HELLO,	/* half a ClientHello */
	OVPN_STOP_AFTER_HELLO,	/* and no acknowledgement either */
	OVPN_STOP_BEFORE_KM2,
	OVPN_STOP_AFTER_KM2, /* acknowledges nothing that came after */
};

#define OVPN_CLIENT_CIPHERS "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305"
/* What 2.6 says. */
#define OVPN_CLIENT_PEER_INFO                                                                      \
	"IV_VER=2.6.14\nIV_PLAT=linux\nIV_TCPNL=1\nIV_MTU=1600\nIV_NCP=2\n"                        \
	"IV_CIPHERS=" OVPN_CLIENT_CIPHERS "\nIV_PROTO=990\n"
/* And what a client of the epoch format says beside it: bit 10. */
#define OVPN_CLIENT_PEER_INFO_EPOCH                                                                \
	"IV_VER=2.7.6\nIV_PLAT=linux\nIV_TCPNL=1\nIV_MTU=1600\nIV_NCP=2\n"                         \
	"IV_CIPHERS=" OVPN_CLIENT_CIPHERS "\nIV_PROTO=2014\n"
/* What 2.5 says: no exporter, so the PRF. */
#define OVPN_CLIENT_PEER_INFO_OLD                                                                  \
	"IV_VER=2.5.11\nIV_PLAT=linux\nIV_PROTO=6\nIV_NCP=2\n"                                     \
	"IV_CIPHERS=AES-256-GCM:AES-128-GCM\n"

struct ovpn_client_conf {
	SSL_CTX *tls; /* with certificate and authority; a reference is taken */
	enum ovpn_client_mode mode;
	struct ovpn_key2 key; /* tls-crypt's, or the client's own */
	uint8_t wkc[OVPN_WKC_MAX];
	size_t wkc_len;
	bool stream;	       /* TCP */
	const char *peer_info; /* constant text; NULL: OVPN_CLIENT_PEER_INFO */
	uint32_t reneg_ms;     /* 0: never of its own */
	bool no_push_request;
	/* misbehaviour */
	enum ovpn_client_stop stop;
	bool push_request_early; /* right behind its key method 2 message */
	bool epoch;		 /* reported in events only: announced by peer_info */
	size_t km2_extra;	 /* bytes behind the last field */
	const uint8_t *km2;	 /* instead of its own message */
	size_t km2_len;
};

struct ovpn_client;

/* Returns: 0, -ENOMEM, -EIO. */
int ovpn_client_new(struct ovpn_client **out, const struct ovpn_client_conf *conf) must_check;
void ovpn_client_free(struct ovpn_client *c);

/* Sends the reset. unix_s: for the wrapper. Returns: 0, -EIO, -ENOMEM. */
int ovpn_client_start(struct ovpn_client *c, uint64_t now_ms, int64_t unix_s) must_check;
/* Any control packet. Returns: 0, -EBADMSG (not for us, or not authentic: dropped). */
int ovpn_client_input(struct ovpn_client *c, const uint8_t *packet, size_t n, uint64_t now_ms);
void ovpn_client_tick(struct ovpn_client *c, uint64_t now_ms);
uint64_t ovpn_client_next_due(const struct ovpn_client *c, uint64_t now_ms);
/* The next packet to be sent. Returns: its length, 0 when there is none. */
size_t ovpn_client_output(struct ovpn_client *c, uint8_t *out, size_t cap);

/* Begins a rekey; nothing happens when it may not. */
void ovpn_client_rekey(struct ovpn_client *c, uint64_t now_ms);
/* One record of text with its NUL, such as "EXIT". Returns: 0, -EPROTO. */
int ovpn_client_say(struct ovpn_client *c, const void *text, size_t n, uint64_t now_ms) must_check;
/* Wraps and queues any packet, with the session's keys and its next packet id. */
void ovpn_client_raw(struct ovpn_client *c, uint8_t first, const uint8_t *tail, size_t n);

enum ovpn_client_event_kind {
	OVPN_CLIENT_KEYS = 1, /* data keys of key_id */
	OVPN_CLIENT_UP,	      /* PUSH_REPLY was read */
	OVPN_CLIENT_TEXT,     /* another message: AUTH_FAILED, RESTART */
	OVPN_CLIENT_FAILED,   /* TLS failed or it took too long */
};
struct ovpn_client_event {
	enum ovpn_client_event_kind kind;
	uint8_t key_id;
	struct ovpn_data_keys keys;
	bool epoch;
	uint32_t peer_id; /* OVPN_NO_PEER_ID: none was pushed */
	char text[1024];  /* UP: the options; TEXT, FAILED */
};
bool ovpn_client_event(struct ovpn_client *c, struct ovpn_client_event *out);

/* For tests. */
const uint8_t *ovpn_client_sid(const struct ovpn_client *c);
const uint8_t *ovpn_client_server_sid(const struct ovpn_client *c);
uint8_t ovpn_client_key_id(const struct ovpn_client *c);
/* Established, and everything of ours acknowledged. */
bool ovpn_client_established(const struct ovpn_client *c);

#endif
