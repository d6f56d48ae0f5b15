/*
 * How a negotiation goes from state to state: one step function for each state and event, an empty
 * cell is "not allowed now". What a session does as a whole follows from its negotiations.
 */
#ifndef OVPN_FSM_H
#define OVPN_FSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "ovpn/session.h"

#define OVPN_EVENTS(X)                                                                             \
	X(BYTES)       /* TLS bytes, in order */                                                   \
	X(RECORD)      /* key method 2 */                                                          \
	X(PUSH_ASKED)  /* PUSH_REQUEST */                                                          \
	X(EXIT)	       /* EXIT */                                                                  \
	X(KEYS_OK)     /* the dataplane has the keys */                                            \
	X(KEYS_FAILED) /* it has not */                                                            \
	X(ACKED)       /* all that we sent has arrived */                                          \
	X(FAREWELL)    /* session.how, session.reason */                                           \
	X(LATE)	       /* negotiation.until_ms is over */
#define OVPN_EVENT_ENUM(E) ON_##E,
enum ovpn_event { OVPN_EVENTS(OVPN_EVENT_ENUM) OVPN_EVENT_COUNT };
#undef OVPN_EVENT_ENUM

/* Borrowed bytes of BYTES and RECORD. */
struct span {
	const uint8_t *p;
	size_t n;
};

/* n may be freed within, or another one of the session's. Returns: whether it was allowed. */
bool fsm_event(const struct turn *t, struct negotiation *n, enum ovpn_event event, struct span arg);
/* The one place where a state changes. */
void fsm_enter(struct negotiation *n, enum ovpn_state state);

/* Begins a rekey; says OVPN_ACTION_USE of the current key id first when it was not said yet. Sends
 * our SOFT_RESET. Returns: 0, -EBUSY (current is not established, or one is under way), -ENOMEM. */
int rekey_begin(const struct turn *t) must_check;
uint8_t rekey_key_id(const struct session *s); /* the one it would have */
/* OVPN_ACTION_USE, once. */
void current_use(const struct turn *t);
/* What the clock does to a session. */
void session_on_time(const struct turn *t);
/* Says goodbye with session.how and session.reason on whichever key id can be understood. */
void session_farewell(const struct turn *t);

/* ---- between fsm.c and keying.c ---- */

/* KM2 x RECORD: reads it, asks whether he may, makes keys. */
void on_key_method(const struct turn *t, struct negotiation *n, struct span record);
/* Our key method 2 goes out. Returns: 0, -EPROTO. */
int answer_write(struct negotiation *n) must_check;
/* PUSH_REPLY goes out. Returns: 0, -EPROTO, -EMSGSIZE. */
int push_write(const struct turn *t, struct negotiation *n) must_check;
/* Ends the session after a farewell that waits until our key method 2, which goes out now, has
 * arrived. */
void part_after_answer(
	const struct turn *t, struct negotiation *n, enum ovpn_farewell how, const char *reason);
/* What went wrong here ends a rekey, and the session when it is the first. */
void negotiation_fail(const struct turn *t, struct negotiation *n, const char *reason);

#endif
