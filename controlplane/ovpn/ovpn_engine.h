/*
 * OpenVPN's control channel, server side: bytes and a time in; bytes, keys and a verdict out. No
 * socket, no clock, no thread; the coordinator feeds it and carries out what it asks for.
 *
 *   UDP  reset --stateless answer, its session id a cookie--> echo --> state
 *   TCP  reset --> state (the connection is the proof)
 *
 *   HALF_OPEN --ClientHello--> TLS --handshake done--> KM2 --client's KM2, authorised--> KEYS
 *     --dataplane has them--> PUSHING (our KM2, then PUSH_REPLY) --acked--> ACTIVE
 *   ACTIVE --SOFT_RESET either way--> TLS .. KEYS on the next key id --> ACTIVE
 *   any --farewell--> LEAVING (5 s, until acked) --> gone
 *
 * Keys are installed (ovpn_engine_keys_done) before our KM2 goes out, so a client never has keys
 * that the dataplane has not. Nothing is pushed and no keys are handed out before authorize said
 * yes.
 *
 * Limits: half-open sessions (not authorised yet) are bounded in total and per prefix, /24 or /64;
 * when full the least advanced, then the oldest one gives way. Until the first TLS byte a session
 * takes at most 4 kB, until it is authorised at most 64 kB, whatever it announces (hello.h).
 */
#ifndef OVPN_OVPN_ENGINE_H
#define OVPN_OVPN_ENGINE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "ovpn/keys.h"
#include "ovpn/wrap.h"

struct ovpn_engine;

enum {
	OVPN_DATAGRAM_MAX = 1500,
	OVPN_HALF_OPEN = 1024,
	OVPN_HALF_OPEN_PREFIX = 32,
	OVPN_HAND_WINDOW_MS = 60 * 1000, /* a whole handshake of one key id */
	OVPN_LEAVE_MS = 5 * 1000,
	OVPN_SERIAL = 16,
};

/* How a control packet ended. */
#define OVPN_VERDICTS(X)                                                                           \
	X(TAKEN, "taken", "belongs to a session")                                                  \
	X(ANSWERED, "answered", "a reset, answered without keeping anything")                      \
	X(OPENED, "opened", "a session begins")                                                    \
	X(MALFORMED, "malformed", "lengths or opcode do not fit")                                  \
	X(NOT_ACCEPTED, "not_accepted", "a kind of reset that is not configured")                  \
	X(BAD_WRAP, "bad_wrap", "the wrapper's tag is wrong")                                      \
	X(BAD_CLIENT_KEY, "bad_client_key", "the wrapped client key could not be opened")          \
	X(REPLAYED, "replayed", "the wrapper's packet id was seen before")                         \
	X(BAD_COOKIE, "bad_cookie", "does not answer a session id of ours, or too late")           \
	X(UNKNOWN_SESSION, "unknown_session", "no such session")                                   \
	X(NOT_NOW, "not_now", "not allowed in this state")                                         \
	X(FULL, "full", "too many half-open sessions, or resets, of one network")                  \
	X(INTERNAL, "internal", "no memory, or the crypto library failed")
#define OVPN_VERDICT_ENUM(E, name, meaning) OVPN_##E,
enum ovpn_verdict { OVPN_VERDICTS(OVPN_VERDICT_ENUM) OVPN_VERDICT_COUNT };
#undef OVPN_VERDICT_ENUM
const char *ovpn_verdict_name(enum ovpn_verdict v);

/* Who a client says he is, after the TLS library has verified the chain, key usages and dates. */
struct ovpn_identity {
	uint8_t serial[OVPN_SERIAL]; /* right-aligned; longer serials are refused before */
	uint8_t cert_sha256[32];
	bool has_wkc;		    /* came with a wrapped key whose metadata is ours */
	struct ulid wkc_credential; /* when it did */
};
struct ovpn_grant {
	struct ulid credential;
	struct ip_addr address4, address6;
};

struct ovpn_conf {
	struct ip_prefix net4, net6;
	char dns[256];
	uint16_t mtu;
	uint16_t ping_s, restart_s; /* pushed: 10, 60 */
	uint32_t reneg_ms;	    /* we start a rekey after so long, less up to a tenth */
	bool has_tls_crypt;	    /* resets without a wrapped key are accepted under this key */
	struct ovpn_key2 tls_crypt;
	uint8_t v2_server_key[OVPN_V2_SERVER_KEY];
};

struct ovpn_ops {
	/* Whether that certificate may have a tunnel now; called at the first key and at every
	 * rekey. Returns: 0 with *grant, -EACCES with *why a constant text for the client and the
	 * log. Must not call the engine. */
	int (*authorize)(void *arg, const struct ovpn_identity *who, struct ovpn_grant *grant,
		const char **why);
	/* A peer-id that no session uses, OVPN_NO_PEER_ID when there is none. */
	uint32_t (*peer_id_alloc)(void *arg, const struct ovpn_grant *grant);
	void (*peer_id_free)(void *arg, uint32_t peer_id);
	void *arg;
};

/* Takes a reference of tls. Copies conf (wiped at the end). Returns: 0, -ENOMEM, -EIO. */
int ovpn_engine_new(struct ovpn_engine **out, const struct ovpn_conf *conf, SSL_CTX *tls,
	const struct ovpn_ops *ops) must_check;
void ovpn_engine_free(struct ovpn_engine *e); /* says nothing to anybody */
/* Handshakes from now on use this one: the server's certificate was renewed. */
void ovpn_engine_set_tls(struct ovpn_engine *e, SSL_CTX *tls);
/* Tunnels that begin from now on use the epoch data format when the client announces it; at first
 * none does. What a tunnel has begun with it keeps. */
void ovpn_engine_set_epoch(struct ovpn_engine *e, bool on);
/* Clients that connect from now on are told these: as conf.dns and conf.mtu. */
void ovpn_engine_set_tunnel(struct ovpn_engine *e, const char *dns, uint16_t mtu);

/* ---- in ---- */

struct ovpn_time {
	uint64_t mono_ms;
	int64_t real_s; /* Unix */
};

/* One control packet (as wire_classify says), from UDP or, with path->connection, from TCP.
 * Anything may be in it. session, when not NULL: whose it was, 0: nobody's. */
enum ovpn_verdict ovpn_engine_input(struct ovpn_engine *e, const uint8_t *packet, size_t len,
	const struct path *from, struct ovpn_time now, uint64_t *session);
/* The answer to OVPN_ACTION_KEYS. */
void ovpn_engine_keys_done(
	struct ovpn_engine *e, uint64_t session, uint8_t key_id, bool ok, struct ovpn_time now);
/* An authenticated data packet came from there: control packets go there too (UDP). */
void ovpn_engine_moved(struct ovpn_engine *e, uint64_t session, const struct path *path);
/* A rekey is wanted (packet ids near their end): starts one unless one is under way. */
void ovpn_engine_rekey(struct ovpn_engine *e, uint64_t session, struct ovpn_time now);
/* The TCP connection is gone: so are all sessions on it, with OVPN_ACTION_ENDED. */
void ovpn_engine_connection_closed(struct ovpn_engine *e, uint32_t connection);
/* The same for every connection: another dataplane runs now. */
void ovpn_engine_connections_lost(struct ovpn_engine *e);
/* Forgets a session at once and silently (replaced, or ended by the dataplane). Over TCP its
 * connection is to be closed. */
void ovpn_engine_forget(struct ovpn_engine *e, uint64_t session);
enum ovpn_farewell {
	OVPN_FAREWELL_RESTART, /* the client is to connect anew */
	OVPN_FAREWELL_REFUSED, /* AUTH_FAILED: it may not come back */
};
/* Says goodbye: no more keys; the message is repeated until it is acknowledged, at most 5 s, and
 * then the session is gone. reason: constant text. Returns: whether there is such a session. */
bool ovpn_engine_farewell(struct ovpn_engine *e, uint64_t session, enum ovpn_farewell how,
	const char *reason, struct ovpn_time now);
/* The same for every session of a credential, also those that are being made. Returns: how many. */
size_t ovpn_engine_farewell_credential(struct ovpn_engine *e, const struct ulid *credential,
	enum ovpn_farewell how, const char *reason, struct ovpn_time now);
/* Timers: retransmissions, hand window, rekeys, lingering ends. */
void ovpn_engine_tick(struct ovpn_engine *e, struct ovpn_time now);
/* When the next one is due, mono ms; UINT64_MAX: none. */
uint64_t ovpn_engine_next_due(const struct ovpn_engine *e);

/* ---- out ---- */

enum ovpn_action_kind {
	OVPN_ACTION_SEND = 1, /* bytes, to path */
	OVPN_ACTION_KEYS,     /* install them, then ovpn_engine_keys_done */
	OVPN_ACTION_USE,      /* the client has the keys of key_id: seal with them from now on */
	OVPN_ACTION_ENDED, /* the session is gone; its keys in the dataplane are to be dropped. Not
			      said of one that never sent a TLS byte, nor after forget */
	OVPN_ACTION_CLOSE, /* close path.connection once what was sent is out */
};
struct ovpn_action {
	enum ovpn_action_kind kind;
	uint64_t session; /* rises for ever; 0 for answers without state */
	struct path path;
	uint8_t key_id; /* KEYS, USE */
	/* KEYS, and ENDED when it was authorised: */
	struct ulid credential;
	uint32_t peer_id;
	/* KEYS: */
	struct ovpn_data_keys keys;
	uint8_t format; /* enum uapi_format */
	uint16_t tls;	/* 0x0303, 0x0304 */
	bool first;	/* the session's first keys: a new tunnel */
	/* ENDED: */
	const char *reason; /* constant text for the log */
	bool was_active;    /* it had keys */
	/* SEND: */
	size_t len;
	uint8_t bytes[OVPN_DATAGRAM_MAX];
};
/* The next thing to be done, in order. The caller wipes *out after KEYS. Returns: false when there
 * is nothing. */
bool ovpn_engine_next(struct ovpn_engine *e, struct ovpn_action *out);

/* ---- figures ---- */

struct ovpn_figures {
	size_t sessions, half_open;
	uint64_t verdicts[OVPN_VERDICT_COUNT];
	uint64_t handshakes, rekeys, refused; /* completed; refused by authorize */
	uint64_t tls_failed, timed_out;
};
void ovpn_engine_figures(const struct ovpn_engine *e, struct ovpn_figures *out);
/* How a session's client describes itself ("2.6.14 linux"); "" when it did not. cap bytes. */
void ovpn_engine_describe(const struct ovpn_engine *e, uint64_t session, char *out, size_t cap);

#endif
