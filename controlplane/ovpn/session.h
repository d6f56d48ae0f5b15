/*
 * A session and its key ids: what they are made of, how they are found, what they send and when
 * they are due. What moves them from state to state is in fsm.h.
 *
 *   session   one client at one place: wrapper, who he is, one or two negotiations
 *   negotiation   one key id: its messages, its TLS, how far it came
 *     current  the newest that is established; before that the first one
 *     next     a rekey that is under way
 */
#ifndef OVPN_SESSION_H
#define OVPN_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Out of memory is an error like others, never exit(). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/compiler.h"
#include "ovpn/actions.h"
#include "ovpn/budget.h"
#include "ovpn/cookie.h"
#include "ovpn/halfopen.h"
#include "ovpn/keys.h"
#include "ovpn/ovpn_engine.h"
#include "ovpn/reliable.h"
#include "ovpn/tls.h"
#include "ovpn/wrap.h"
#include "wg/deadlines.h"

/* Of a negotiation; the last four of a session whose only one it is. */
#define OVPN_STATES(X)                                                                             \
	X(RESET)    /* the reset is exchanged; no TLS byte yet */                                  \
	X(TLS)	    /* the handshake */                                                            \
	X(KM2)	    /* the client's certificate is verified, his key method 2 is to come */        \
	X(KEYS)	    /* the dataplane is to take the keys */                                        \
	X(ANSWERED) /* our key method 2 is out */                                                  \
	X(PUSHING)  /* first key id: PUSH_REPLY is out */                                          \
	X(ACTIVE)                                                                                  \
	X(PARTING) /* a farewell waits until our key method 2 has arrived */                       \
	X(LEAVING) /* the last words are out */                                                    \
	X(EXITED)  /* the client said goodbye: only acknowledges */                                \
	X(GONE)	   /* freed at the end of the turn */
#define OVPN_STATE_ENUM(S) AT_##S,
enum ovpn_state { OVPN_STATES(OVPN_STATE_ENUM) OVPN_STATE_COUNT };
#undef OVPN_STATE_ENUM

struct negotiation {
	enum ovpn_state state;
	uint8_t key_id;
	struct reliable *messages;
	uint32_t taken; /* of their messages: the id of the next one */
	struct tls *tls;
	uint8_t random1[KM2_RANDOM], random2[KM2_RANDOM]; /* of our key method 2 */
	uint64_t started_ms;
	uint64_t until_ms;  /* the state must have changed */
	uint64_t use_at_ms; /* ACTIVE: OVPN_ACTION_USE is due; UINT64_MAX: said */
	uint64_t renew_at_ms;
	uint64_t pushed_ms;
};

/* Where a client's packets come from; the key of the lookup, without padding. A connection is
 * enough by itself. */
struct place {
	uint8_t addr[16], sid[OVPN_SID];
	uint32_t scope, connection;
	uint16_t port;
	uint8_t family, listener;
};

struct session {
	uint64_t id;
	struct place place;
	struct path path;
	uint8_t client_sid[OVPN_SID], sid[OVPN_SID];
	struct ovpn_wrap wrap;	  /* key id 0, and the others without dynamic */
	struct ovpn_wrap dynamic; /* the others (A4.5) */
	bool has_dynamic;
	struct ovpn_key2 key; /* of wrap, until dynamic is made of it */
	bool has_wkc;
	struct ulid wkc_credential;
	struct negotiation *current, *next;
	uint8_t retired_key_id; /* the one before current */
	uint32_t retired_taken; /* 0: none */
	/* from the first authorisation on: */
	bool authorised, had_keys;
	struct ovpn_grant grant;
	uint32_t peer_id;
	enum aead_cipher cipher;
	struct km2_peer_info peer;
	bool epoch;
	/* when it ends: */
	enum ovpn_farewell how;
	const char *reason;
	struct queued *ended, *close; /* reserved; NULL once they were said */

	struct half_open half_open;
	struct deadline due;
	TAILQ_ENTRY(session) making; /* authorised, not active yet */
	bool is_making;
	UT_hash_handle by_place, by_id;
};
TAILQ_HEAD(session_list, session);

struct ovpn_engine {
	struct ovpn_conf conf;
	struct ovpn_ops ops;
	SSL_CTX *tls;
	struct cookie_secret cookies;
	struct budget *answers;
	struct half_opens half;
	struct actions actions;
	struct session *by_place, *by_id;
	struct session_list making;
	struct deadlines timers;
	struct deadline trim; /* memory is given back */
	uint64_t trimmed_ms;
	unsigned freed;	    /* sessions since */
	uint32_t wrap_time; /* greatest that was sent */
	uint64_t last_id;
	bool epoch; /* the epoch data format, for clients that announce it */
	struct ovpn_figures figures;
};

/* Within one call from outside. */
struct turn {
	struct ovpn_engine *e;
	struct session *s;
	struct ovpn_time now;
};

/* ---- sessions ---- */

/* What a client's first packets have shown. */
struct newcomer {
	const struct path *from;
	uint8_t client_sid[OVPN_SID], sid[OVPN_SID];
	struct ovpn_wrap wrap;
	struct ovpn_key2 key;
	bool has_wkc;
	struct ulid wkc_credential;
};
/* Makes room for it first, and room may be made by ending another. Returns: 0, -EBUSY (too many
 * half-open), -ENOMEM. */
int ovpn_session_new(struct ovpn_engine *e, struct session **out, const struct newcomer *c,
	struct ovpn_time now) must_check;
struct session *ovpn_session_at(
	struct ovpn_engine *e, const struct path *from, const uint8_t client_sid[OVPN_SID]);
struct session *ovpn_session_of(struct ovpn_engine *e, uint64_t id);
/* Makes it found at its new path. Returns: 0, -EEXIST (somebody is there), -ENOMEM. */
int ovpn_session_move(struct ovpn_engine *e, struct session *s, const struct path *path) must_check;
void ovpn_session_free(struct ovpn_engine *e, struct session *s);

/* OVPN_ACTION_ENDED, once; not for a session that was silent. reason: constant text. */
void ovpn_session_ended(const struct turn *t, const char *reason);
/* Gone at the end of the turn, whatever is still to be sent. */
void ovpn_session_vanish(const struct turn *t);
/* The end of a turn: sends what is due, frees it when it is gone, sets its next deadline. */
void ovpn_session_settle(const struct turn *t);

/* ---- negotiations ---- */

/* Returns: 0, -ENOMEM. */
int negotiation_new(struct negotiation **out, uint8_t key_id, uint64_t now_ms) must_check;
void negotiation_free(struct negotiation *n);
struct negotiation *negotiation_of(const struct session *s, uint8_t key_id);
/* Whether n is still one of the session's, and goes on. */
bool negotiation_lives(const struct session *s, const struct negotiation *n);
/* Nothing of ours is on its way or waits to be. */
bool negotiation_idle(const struct negotiation *n);
/* Sends what is due. */
void negotiation_flush(const struct turn *t, struct negotiation *n);
/* Moves TLS bytes into messages as far as the window is open. */
void negotiation_drain(const struct turn *t, struct negotiation *n);
/* Wraps and queues one packet of a key id; what fails is lost, as on the wire. */
void packet_send(const struct turn *t, uint8_t key_id, uint8_t op, struct ovpn_tail *tail);
struct ovpn_wrap *wrap_of(struct session *s, uint8_t key_id);
/* For counters that begin now: the clock, but it never goes back (A3.6). */
uint32_t wrap_time(struct ovpn_engine *e, struct ovpn_time now);

#endif
