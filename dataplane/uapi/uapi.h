/*
 * The door between control plane and dataplane: messages as data.
 *
 *   controlplane ==ctl==> dataplane   requests, each answered by number + 100, in order
 *   controlplane <==ctl== dataplane   events, 300 and up, unasked
 *   controlplane <=punt=> dataplane   handshake datagrams, 400 and up, lossy
 *
 * Two SOCK_SEQPACKET connections to one socket; the first frame on each is HELLO and says which of
 * the two it is. A frame is the 8-byte header, the fixed fields of its message, and, where the
 * message has one, a tail of bytes up to the end of the frame. Everything is little-endian.
 * Message numbers are for ever; a field is only ever added by a new version.
 *
 * One line of UAPI_MESSAGES is one message and one UAPI_FIELDS_x list its layout: enum, struct,
 * size, pack, unpack and name all come from them.
 */
#ifndef UAPI_UAPI_H
#define UAPI_UAPI_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/compiler.h"
#include "base/cursor.h"
#include "base/ulid.h"

enum {
	UAPI_VERSION_MIN = 3, /* of 1 and 2 only what came before the first release is known */
	UAPI_VERSION_MAX = 4,
	UAPI_VERSION_USAGE = 4,	  /* USAGE_GET is known from here on */
	UAPI_HEADER = 8,	  /* u16 type, u16 zero, u32 sequence */
	UAPI_CTL_MAX = 8192,	  /* longest frame on the ctl connection */
	UAPI_PUNT_MAX = 2048,	  /* longest frame on the punt connection */
	UAPI_DATAGRAM_MAX = 1600, /* longest datagram inside PUNT and REINJECT */
	UAPI_KEY = 32,
	UAPI_IV = 8,
};

enum uapi_sender { UAPI_FROM_CONTROL, UAPI_FROM_DATA, UAPI_FROM_BOTH };
enum uapi_channel { UAPI_CTL = 1, UAPI_PUNT = 2 };
/* When a message is allowed: before HELLO was answered, or after. */
enum uapi_phase { UAPI_NEW, UAPI_READY };

/*  name, number, sender, channel (0: either), phase, longest tail */
#define UAPI_MESSAGES(X)                                                                           \
	X(HELLO, hello, 1, UAPI_FROM_CONTROL, 0, UAPI_NEW, 0)                                      \
	X(HELLO_REPLY, hello_reply, 101, UAPI_FROM_DATA, 0, UAPI_NEW, 0)                           \
	X(CONFIG_SET, config_set, 2, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                   \
	X(CONFIG_SET_REPLY, reply, 102, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)                   \
	X(SYNC_BEGIN, empty, 3, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                        \
	X(SYNC_BEGIN_REPLY, reply, 103, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)                   \
	X(SYNC_END, empty, 4, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                          \
	X(SYNC_END_REPLY, sync_end_reply, 104, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)            \
	X(PEER_SET, peer_set, 5, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                       \
	X(PEER_SET_REPLY, reply, 105, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)                     \
	X(PEER_DEL, peer_del, 6, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                       \
	X(PEER_DEL_REPLY, reply, 106, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)                     \
	X(SESSION_SET, session_set, 7, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                 \
	X(SESSION_SET_REPLY, reply, 107, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, UAPI_FAREWELL_MAX)  \
	X(SESSION_DEL, session_del, 8, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                 \
	X(SESSION_DEL_REPLY, reply, 108, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)                  \
	/* 9 and 109 are kept for POLICY_SET */                                                    \
	X(STATS_GET, stats_get, 10, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                    \
	X(STATS_REPLY, stats_reply, 110, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, UAPI_STATS_TAIL)    \
	X(STATUS_GET, empty, 11, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                       \
	X(STATUS_REPLY, status_reply, 111, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, UAPI_STATUS_TAIL) \
	X(SESSION_USE, session_use, 12, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                \
	X(SESSION_USE_REPLY, reply, 112, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)                  \
	X(CONNECTION_CLOSE, connection_close, 13, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)      \
	X(CONNECTION_CLOSE_REPLY, reply, 113, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)             \
	X(USAGE_GET, empty, 15, UAPI_FROM_CONTROL, UAPI_CTL, UAPI_READY, 0)                        \
	X(USAGE_REPLY, usage_reply, 115, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)                  \
	/* Instead of HELLO, and of nobody's connection in particular: is anything wrong? */       \
	X(HEALTH_GET, empty, 14, UAPI_FROM_CONTROL, 0, UAPI_NEW, 0)                                \
	X(HEALTH_REPLY, health_reply, 114, UAPI_FROM_DATA, 0, UAPI_NEW, 0)                         \
	X(SESSION_CONFIRMED, session_event, 301, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)          \
	X(REKEY_WANTED, rekey_wanted, 302, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)                \
	X(SESSION_EXPIRED, session_expired, 303, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)          \
	X(ENDPOINT_MOVED, endpoint_moved, 304, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)            \
	X(CONNECTION_CLOSED, connection_closed, 305, UAPI_FROM_DATA, UAPI_CTL, UAPI_READY, 0)      \
	X(PUNT, punt, 401, UAPI_FROM_DATA, UAPI_PUNT, UAPI_READY, UAPI_DATAGRAM_MAX)               \
	X(REINJECT, punt, 402, UAPI_FROM_CONTROL, UAPI_PUNT, UAPI_READY, UAPI_DATAGRAM_MAX)

/* The tail of SESSION_SET_REPLY is a farewell: one data packet, sealed with the session's key under
 * a packet id that the session does not use otherwise, that tells its client to connect anew. When
 * this dataplane is gone the control plane may have the next one send it, as it is (REINJECT).
 * Empty for whoever has none: all but OpenVPN over UDP. */
enum { UAPI_STATS_TAIL = 7680, UAPI_STATUS_TAIL = 7680, UAPI_FAREWELL_MAX = 64 };

/* Field kinds: u8 u16 u32 u64, key (32 bytes), iv (8), ulid (16), text32 (NUL-padded), addr (family
 * and 16 bytes), path (u8 listener; remote addr, u16 port, u32 scope; local addr; u32 connection).
 * F(kind, name) */
#define UAPI_FIELDS_empty(F)
#define UAPI_FIELDS_hello(F)                                                                       \
	F(u16, version_min) /* lowest and highest version that the sender speaks */                \
	F(u16, version_max)                                                                        \
	F(u8, channel) /* enum uapi_channel */
#define UAPI_FIELDS_hello_reply(F)                                                                 \
	F(u32, status)	     /* 0, or an errno: the connection is then closed */                   \
	F(u16, version)	     /* the chosen one */                                                  \
	F(ulid, boot_id)     /* random, new at every start of the dataplane */                     \
	F(u32, max_peers)    /* peer ids are below this */                                         \
	F(u32, max_indices)  /* a session's local index modulo this is its table slot */           \
	F(u32, max_peer_ids) /* the same for OpenVPN's peer-ids: a power of two, at most 2^24 */   \
	F(u64, session_seq)  /* highest session number seen in this boot */                        \
	F(u8, formats)	    /* bits 1 << enum uapi_format: OpenVPN's data packets that it knows */ \
	F(text32, software) /* version of the program */
#define UAPI_FIELDS_reply(F) F(u32, status) /* 0 or an errno */
#define UAPI_FIELDS_config_set(F)                                                                  \
	F(addr, net4) /* tunnel networks; the server is the first address of each */               \
	F(u8, len4)                                                                                \
	F(addr, net6)                                                                              \
	F(u8, len6)                                                                                \
	F(u16, mtu)                                                                                \
	F(key, wg_public) /* for admission's mac1 and cookies; public */                           \
	F(u8, openvpn)	  /* bits of enum uapi_openvpn: which first packets are worth punting */
#define UAPI_FIELDS_sync_end_reply(F)                                                              \
	F(u32, status)                                                                             \
	F(u32, swept) /* peers that nobody named */
#define UAPI_FIELDS_peer_set(F)                                                                    \
	F(u32, peer)                                                                               \
	F(addr, addr4) /* tunnel addresses; the only inner sources accepted from it */             \
	F(addr, addr6)
#define UAPI_FIELDS_peer_del(F) F(u32, peer)
/* Protocols: 1 WireGuard, 2 OpenVPN. Roles: 0 responder, 1 initiator. Ciphers: enum aead_cipher.
 * Transports: 1 UDP, 2 TCP. */
#define UAPI_FIELDS_session_set(F)                                                                 \
	F(u32, peer)                                                                               \
	F(u64, seq) /* number of the session, rises for ever; one seen before is refused */        \
	F(u8, protocol)                                                                            \
	F(u8, role)                                                                                \
	F(u8, cipher)                                                                              \
	F(u8, transport)                                                                           \
	F(u32, local_index)  /* receiver index of what the peer sends; OpenVPN: its peer-id */     \
	F(u32, remote_index) /* receiver index of what we send; OpenVPN: the same peer-id */       \
	F(ulid, tunnel)	     /* id of the session as REST shows it; stays over rekeys */           \
	F(u64, tunnel_started_ms) /* Unix time */                                                  \
	F(u64, handshake_ms)	  /* Unix time of this handshake */                                \
	F(ulid, credential)	  /* whose handshake it was; SESSION_DEL names it */               \
	F(path, path)		  /* where the handshake came from: authenticated */               \
	F(key, seal)                                                                               \
	F(key, open)                                                                               \
	/* OpenVPN only, otherwise zero: */                                                        \
	F(u8, key_id)  /* 0 to 7; one peer-id has a session for each */                            \
	F(u8, format)  /* enum uapi_format */                                                      \
	F(iv, seal_iv) /* implicit part of the nonce; zero for the epoch format */                 \
	F(iv, open_iv)                                                                             \
	F(u16, ping_s)	  /* send a ping when nothing was sent for so long, 0: never */            \
	F(u16, timeout_s) /* the peer is gone when nothing came for so long, 0: never */           \
	F(u32, life_s)	  /* keys older than this are dropped */                                   \
	F(u16, tls)	  /* version of the control channel, 0x0303 or 0x0304; passed through */
#define UAPI_FIELDS_session_use(F)                                                                 \
	F(u32, peer)                                                                               \
	F(u64, seq) /* what is sent is sealed with it from now on; an older one changes nothing */
#define UAPI_FIELDS_connection_close(F)                                                            \
	F(u32, connection) /* sends what is queued, then closes; unknown ones are closed already   \
			    */
#define UAPI_FIELDS_session_del(F)                                                                 \
	F(u32, peer)                                                                               \
	F(ulid, credential)		      /* zero: all of the peer's */
#define UAPI_FIELDS_stats_get(F) F(u32, from) /* first peer id wanted */
#define UAPI_FIELDS_stats_reply(F)                                                                 \
	F(u32, status)                                                                             \
	F(u32, next)  /* ask again from here; 0: that was the last */                              \
	F(u32, count) /* UAPI_FIELDS_peer_stats records in the tail */
#define UAPI_FIELDS_status_reply(F)                                                                \
	F(u32, status)                                                                             \
	F(u32, workers)                                                                            \
	F(u32, peers)                                                                              \
	F(u32, sessions) /* peers with a confirmed, unexpired session */                           \
	F(u64, uptime_ms)                                                                          \
	F(u64, rx_bytes) /* inner bytes and packets, all peers, this boot */                       \
	F(u64, tx_bytes)                                                                           \
	F(u64, rx_packets)                                                                         \
	F(u64, tx_packets)                                                                         \
	F(u8, offloads) /* bits of enum uapi_offload: in use */                                    \
	F(text32, tun)                                                                             \
	F(u16, listeners) /* in the tail, each: u8 length, text like udp://[::]:51820 */           \
	F(u16, verdicts)  /* then, each: u8 length, name, u64 count */                             \
	F(u16, ciphers)	  /* then, each: u8 length, name; u8 length, library that computes it */
#define UAPI_FIELDS_usage_reply(F)                                                                 \
	F(u32, status)                                                                             \
	F(u64, resident_bytes) /* of the process, without its helper; 0: not known */              \
	F(u64, cpu_ms)	       /* since its start, all threads */
#define UAPI_FIELDS_health_reply(F)                                                                \
	F(u8, control) /* 1: a control plane is connected */                                       \
	F(u32, workers)                                                                            \
	F(u64, uptime_ms)                                                                          \
	F(text32, tun) /* its device, in the namespace that it was started in */                   \
	F(text32, software)
#define UAPI_FIELDS_session_event(F)                                                               \
	F(u32, peer)                                                                               \
	F(u64, seq)
#define UAPI_FIELDS_session_expired(F)                                                             \
	F(u32, peer)                                                                               \
	F(u64, seq)                                                                                \
	F(u8, reason) /* enum uapi_end */
#define UAPI_FIELDS_connection_closed(F)                                                           \
	F(u32, connection) /* by the client, by a deadline or by CONNECTION_CLOSE */
#define UAPI_FIELDS_rekey_wanted(F)                                                                \
	F(u32, peer)                                                                               \
	F(u8, reason) /* enum uapi_rekey */
#define UAPI_FIELDS_endpoint_moved(F)                                                              \
	F(u32, peer)                                                                               \
	F(path, path)
#define UAPI_FIELDS_punt(F) F(path, path) /* tail: the datagram */

/* One record in the tail of STATS_REPLY. Bytes and packets are inner ones, rx is what came from
 * the peer. */
#define UAPI_FIELDS_peer_stats(F)                                                                  \
	F(u32, peer)                                                                               \
	F(u64, epoch) /* rises with every creation of this peer in this boot: counters began anew  \
		       */                                                                          \
	F(u64, rx_bytes)                                                                           \
	F(u64, tx_bytes)                                                                           \
	F(u64, rx_packets)                                                                         \
	F(u64, tx_packets)                                                                         \
	F(u32, rx_age_ms) /* since the last authenticated packet; all ones: never */               \
	F(u8, up)	  /* 1: a confirmed, unexpired session; what follows describes it */       \
	F(u8, protocol)                                                                            \
	F(u8, cipher)                                                                              \
	F(u8, transport)                                                                           \
	F(u32, local_index)                                                                        \
	F(ulid, tunnel)                                                                            \
	F(ulid, credential)                                                                        \
	F(u64, tunnel_started_ms)                                                                  \
	F(u64, handshake_ms)                                                                       \
	F(u8, key_id)                                                                              \
	F(u16, tls)                                                                                \
	F(path, path)                                                                              \
	F(u64, tunnel_rx_bytes) /* since the tunnel began */                                       \
	F(u64, tunnel_tx_bytes)                                                                    \
	F(u64, tunnel_rx_packets)                                                                  \
	F(u64, tunnel_tx_packets)

enum uapi_protocol { UAPI_WIREGUARD = 1, UAPI_OPENVPN = 2 };
enum uapi_role { UAPI_RESPONDER = 0, UAPI_INITIATOR = 1 };
enum uapi_transport { UAPI_UDP = 1, UAPI_TCP = 2 };
/* The data packets of an OpenVPN session (reference A14). EPOCH: the keys are the first epoch's. */
enum uapi_format { UAPI_DATA_V2 = 0, UAPI_DATA_V1 = 1, UAPI_DATA_EPOCH = 2 };
enum { UAPI_DATA_ALL = 1 << UAPI_DATA_V2 | 1 << UAPI_DATA_V1 | 1 << UAPI_DATA_EPOCH };
enum uapi_openvpn {
	UAPI_OPENVPN_V3 = 1, /* resets with a wrapped key: tls-crypt-v2 */
	UAPI_OPENVPN_V2 = 2, /* resets without: tls-crypt */
};
/* X(ENUM, number, name): what the kernel does for many packets at once. The names are an outside
 * contract. */
#define UAPI_OFFLOADS(X)                                                                           \
	X(TUN_GSO, 1, "tun-gso") /* reads super-packets from the TUN device */                     \
	X(TUN_GRO, 2, "tun-gro") /* writes them there */                                           \
	X(UDP_GSO, 4, "udp-gso") /* sends runs of datagrams as one */                              \
	X(UDP_GRO, 8, "udp-gro") /* receives them so */
#define UAPI_OFFLOAD_ENUM(NAME, number, name) UAPI_OFFLOAD_##NAME = (number),
enum uapi_offload { UAPI_OFFLOADS(UAPI_OFFLOAD_ENUM) UAPI_OFFLOAD_ALL = 15 };
#undef UAPI_OFFLOAD_ENUM
enum uapi_end {
	UAPI_END_AGE = 1,     /* the keys are too old or used up */
	UAPI_END_SILENCE = 2, /* nothing came for timeout_s */
	UAPI_END_EXIT = 3,    /* the client said goodbye in the data channel */
	UAPI_END_CLOSED = 4,  /* its connection was closed */
};
enum uapi_rekey {
	UAPI_REKEY_NO_SESSION = 1, /* a packet waits and there is nothing to seal it with */
	UAPI_REKEY_AGE = 2, /* our own session is old: 120 s after sending, 165 s after receiving */
	UAPI_REKEY_COUNTER = 3, /* the counter nears its limit */
	UAPI_REKEY_SILENCE = 4, /* data went out, nothing authenticated came back for 15 s */
};

/* ---- generated from the lists above ---- */

#define UAPI_ENUM(NAME, layout, number, sender, channel, phase, tail) UAPI_##NAME##_MSG = (number),
enum uapi_type { UAPI_MESSAGES(UAPI_ENUM) };
#undef UAPI_ENUM

struct uapi_header {
	uint16_t type;
	uint32_t seq;
};

#define UAPI_C_u8(n)		uint8_t n;
#define UAPI_C_u16(n)		uint16_t n;
#define UAPI_C_u32(n)		uint32_t n;
#define UAPI_C_u64(n)		uint64_t n;
#define UAPI_C_key(n)		uint8_t n[UAPI_KEY];
#define UAPI_C_iv(n)		uint8_t n[UAPI_IV];
#define UAPI_C_ulid(n)		struct ulid n;
#define UAPI_C_text32(n)	char n[33]; /* always terminated */
#define UAPI_C_addr(n)		struct ip_addr n;
#define UAPI_C_path(n)		struct path n;
#define UAPI_MEMBER(kind, name) UAPI_C_##kind(name)

/* Layouts; messages share them. (clang-format takes these for declarations.) */
/* clang-format off */
#define UAPI_LAYOUTS(L)                                                                            \
	L(hello) L(hello_reply) L(reply) L(config_set) L(sync_end_reply) L(peer_set) L(peer_del)   \
	L(session_set) L(session_del) L(stats_get) L(stats_reply) L(status_reply)                  \
	L(session_event) L(session_expired) L(session_use) L(connection_close)                     \
	L(connection_closed) L(rekey_wanted) L(endpoint_moved) L(punt) L(peer_stats)               \
	L(health_reply) L(usage_reply)
/* clang-format on */

/* struct uapi_x; pack appends to w (sticky error); unpack reads from r (sticky error; values of
 * addr and path with an unknown family make it bad); UAPI_SIZE_x is the exact packed size. */
#define UAPI_DECLARE(x)                                                                            \
	struct uapi_##x {                                                                          \
		UAPI_FIELDS_##x(UAPI_MEMBER)                                                       \
	};                                                                                         \
	void uapi_pack_##x(struct writer *w, const struct uapi_##x *m);                            \
	void uapi_unpack_##x(struct reader *r, struct uapi_##x *m);
UAPI_LAYOUTS(UAPI_DECLARE)
#undef UAPI_DECLARE

#define UAPI_Z_u8	     1 +
#define UAPI_Z_u16	     2 +
#define UAPI_Z_u32	     4 +
#define UAPI_Z_u64	     8 +
#define UAPI_Z_key	     32 +
#define UAPI_Z_iv	     8 +
#define UAPI_Z_ulid	     16 +
#define UAPI_Z_text32	     32 +
#define UAPI_Z_addr	     17 +
#define UAPI_Z_path	     45 +
#define UAPI_ADD(kind, name) UAPI_Z_##kind
#define UAPI_DECLARE_SIZE(x) UAPI_SIZE_##x = UAPI_FIELDS_##x(UAPI_ADD) 0,
enum { UAPI_SIZE_empty = 0, UAPI_LAYOUTS(UAPI_DECLARE_SIZE) };
#undef UAPI_DECLARE_SIZE

/* What the table says of a message. */
struct uapi_message {
	const char *name;
	uint16_t type;
	uint8_t sender;	 /* enum uapi_sender */
	uint8_t channel; /* enum uapi_channel, 0: either */
	uint8_t phase;	 /* enum uapi_phase */
	uint16_t fixed;	 /* bytes after the header */
	uint16_t tail;	 /* longest tail */
};
/* Returns: the row, or NULL for a number that nobody defined. */
const struct uapi_message *uapi_message(uint16_t type);

/* Starts a frame: header into w. */
void uapi_begin(struct writer *w, enum uapi_type type, uint32_t seq);
/* Reads the header of a received frame and checks type, sender, channel, phase and length against
 * the table; r is then positioned at the fixed fields.
 * Returns: 0, -EBADMSG (no such frame), -EPROTO (not from that side, or not now). */
int uapi_open(struct reader *r, struct uapi_header *h, enum uapi_sender from,
	enum uapi_channel channel, enum uapi_phase phase) must_check;

#endif
