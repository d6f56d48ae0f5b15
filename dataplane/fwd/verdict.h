/* Every way a packet can end. Counted per worker, shown by name in status and metrics. */
#ifndef FWD_VERDICT_H
#define FWD_VERDICT_H

/* X(ENUM, name, what it means). The names are an outside contract. */
#define FWD_VERDICTS(X)                                                                            \
	X(NONE, "none", "not decided yet")                                                         \
	X(DELIVER, "delivered", "opened, checked, written to the TUN device")                      \
	X(SEND, "sent", "sealed and sent to the peer")                                             \
	X(KEEPALIVE, "keepalive", "authenticated, carried nothing")                                \
	X(STREAM, "stream", "to be sealed in the order of its connection")                         \
	X(STAGED, "staged", "waits for a session")                                                 \
	X(PUNTED, "punted", "handshake datagram given to the control plane")                       \
	X(MALFORMED, "malformed", "no datagram of a known protocol")                               \
	X(UNKNOWN_SESSION, "unknown_session", "no session with that receiver index")               \
	X(EXPIRED, "expired", "the session is too old or its counter used up")                     \
	X(BAD_TAG, "bad_tag", "authentication failed")                                             \
	X(REPLAY, "replay", "counter seen before, or too old to tell")                             \
	X(BAD_INNER, "bad_inner", "what was inside is no whole IP packet")                         \
	X(SPOOFED_SOURCE, "spoofed_source", "inner source address is not the peer's")              \
	X(NO_ROUTE, "no_route", "no peer has that destination address")                            \
	X(NO_SESSION, "no_session", "the peer has no session and no room to wait")                 \
	X(NO_ENDPOINT, "no_endpoint", "it is not known where the peer is")                         \
	X(TOO_BIG, "too_big", "does not fit the buffer")                                           \
	X(BAD_MAC1, "bad_mac1", "handshake datagram without a right mac1")                         \
	X(NOT_CONFIGURED, "not_configured", "first packet of a kind that is not served here")      \
	X(COOKIE_SENT, "cookie_sent", "under load: answered with a cookie")                        \
	X(RATE_LIMITED, "rate_limited", "too many handshake datagrams from one prefix")            \
	X(PUNT_FULL, "punt_full", "the control plane did not take the datagram in time")           \
	X(TUN_FULL, "tun_full", "the TUN device did not take the packet")                          \
	X(STREAM_FULL, "stream_full", "the TCP connection is gone or its queue is full")           \
	X(SEND_FAILED, "send_failed", "the kernel did not send the datagram")

#define FWD_VERDICT_ENUM(E, name, meaning) FWD_##E,
enum fwd_verdict { FWD_VERDICTS(FWD_VERDICT_ENUM) FWD_VERDICT_COUNT };
#undef FWD_VERDICT_ENUM

/* The name in the table. */
const char *fwd_verdict_name(enum fwd_verdict v);

#endif
