/*
 * The loop thread: directory, handshake engine, session table, timers and the door, in one place.
 *
 *   REST threads --mailbox--> [ directory -> wg engine -> session table -> dp ] <==door==>
 * dataplane
 *
 * Functions marked (any thread) post to the loop; those that promise the dataplane's word wait for
 * it, up to COORDINATOR_WAIT_MS. Everything else belongs to the loop thread.
 */
#ifndef SESSION_COORDINATOR_H
#define SESSION_COORDINATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "base/usage.h"
#include "directory/directory.h"
#include "uapi/uapi.h"

struct ca;
struct coordinator;
struct keystore;
struct ovpn_key2;

enum { COORDINATOR_WAIT_MS = 5000 };

struct coordinator_conf {
	const char *run_dir; /* where dataplane.sock is */
	struct ip_prefix net4, net6;
	uint16_t mtu;
	struct clock clock;
	struct keystore *ks; /* borrowed; its WireGuard key is loaded */
	struct ca *ca;	     /* borrowed */
	char dns[256];	     /* resolvers that OpenVPN clients are told, comma-separated */
	uint32_t reneg_ms;   /* OpenVPN: how often keys are renewed */
	const struct ovpn_key2 *tls_crypt; /* copied; NULL: clients need a tls-crypt-v2 key */
};

/* The packet that tells an OpenVPN client over UDP to connect anew when its dataplane is gone
 * (SESSION_SET_REPLY). It lets nobody in and nothing can be read with it, but it is not public. */
struct farewell {
	uint8_t len; /* 0: none */
	uint8_t bytes[UAPI_FAREWELL_MAX];
};

/* What must survive a restart of the control plane, per device. Handed to on_state from the loop
 * thread in batches about once a second; the receiver must not block. */
struct device_state {
	struct ulid device_id;
	struct ulid boot_id;				     /* of the dataplane that counted */
	uint64_t epoch;					     /* the peer's creation there */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* since the device was created */
	/* what of it was counted in that epoch, so that counting goes on where it was */
	uint64_t seen_rx_bytes, seen_tx_bytes, seen_rx_packets, seen_tx_packets;
	struct path path;	   /* last authenticated; family IP_NONE: never */
	struct ulid credential;	   /* that it last came with */
	int64_t last_handshake_at; /* Unix ms, 0: never */
	bool was_up;		  /* had a session: call it back after a restart of the dataplane */
	struct farewell farewell; /* of that session's keys in that boot */
};
struct credential_state {
	struct ulid credential_id;
	uint8_t wg_greatest[12]; /* greatest TAI64N seen, against replays */
};
/* A live session. Bytes and packets are inner ones since the session began. */
struct session_info {
	struct ulid id, device_id, user_id, credential_id;
	uint8_t protocol, transport, cipher; /* numbers of uapi/uapi.h and crypto/aead.h */
	uint16_t tls;			     /* OpenVPN: 0x0303 or 0x0304; 0: none, or not known */
	struct endpoint endpoint;
	int64_t started_at, last_handshake_at; /* Unix ms */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
};
/* Why a session ended. The names are an outside contract. X(ENUM, name, what it means) */
#define SESSION_ENDS(X)                                                                            \
	X(OTHER, "ended", "its tunnel is not there any more")                                      \
	X(REPLACED, "replaced", "a newer session of the same device has taken over")               \
	X(KEYS_EXPIRED, "keys_expired", "its keys grew too old and were not renewed")              \
	X(SILENT, "silent", "nothing came from the client for too long")                           \
	X(LEFT, "client_left", "the client said goodbye, or its handshake failed")                 \
	X(CLOSED, "connection_closed", "its TCP connection was closed")                            \
	X(REVOKED, "revoked", "device or credential were revoked, disabled or deleted")            \
	X(EXPIRED, "expired", "the time of device or credential is over")                          \
	X(KILLED, "killed", "an operator ended it")                                                \
	X(DATAPLANE, "dataplane_lost", "the dataplane that had it is gone")
#define SESSION_END_ENUM(E, name, meaning) SESSION_END_##E,
enum session_end { SESSION_ENDS(SESSION_END_ENUM) SESSION_END_COUNT };
#undef SESSION_END_ENUM
const char *session_end_name(enum session_end why);

enum coordinator_news {
	NEWS_SESSION_STARTED, /* also one that an earlier control plane began and we found */
	NEWS_SESSION_ENDED,
	NEWS_SESSION_ROAMED,	  /* the same session, its client elsewhere */
	NEWS_DATAPLANE_CONNECTED, /* and synchronised */
	NEWS_DATAPLANE_LOST,
};
struct coordinator_event {
	enum coordinator_news what;
	int64_t at;		     /* Unix ms */
	struct session_info session; /* as it is now; ended: as it was at last */
	enum session_end why;	     /* ENDED */
	struct endpoint before;	     /* ROAMED: where it was */
};

/* A device's inner bytes since the dataplane of that boot made its peer, which is the epoch. */
struct device_counters {
	struct ulid device_id, user_id;
	uint64_t epoch, rx_bytes, tx_bytes;
};

/* A device's inner bytes over all sessions and restarts. */
struct device_total {
	struct ulid device_id;
	bool connected;
	uint64_t rx_bytes, tx_bytes;
};

struct coordinator_hooks {
	void (*on_device_state)(void *arg, const struct device_state *s, size_t n);
	void (*on_credential_state)(void *arg, const struct credential_state *s, size_t n);
	void *arg;
	/* Both may be NULL; from the loop thread, the receiver must not block. */
	void (*on_event)(void *arg, const struct coordinator_event *e);
	/* What the dataplane has counted, of all devices, once a second while it is connected. */
	void (*on_counters)(
		void *arg, const struct ulid *boot, const struct device_counters *c, size_t n);
};

/* Returns: 0, -errno. */
int coordinator_new(struct coordinator **out, const struct coordinator_conf *conf,
	const struct coordinator_hooks *hooks) must_check;
/* Before start: what the database holds. */
int coordinator_load_device(struct coordinator *c, const struct dir_device_conf *d,
	const struct device_state *state /* NULL: none, or loaded already */) must_check;
int coordinator_load_credential(struct coordinator *c, const struct dir_credential_conf *cr,
	const uint8_t *wg_greatest /* 12 bytes or NULL */) must_check;
/* Counters and last endpoint of a device, enabled or not: what the database holds. */
int coordinator_load_state(struct coordinator *c, const struct device_state *state) must_check;
/* Starts the loop thread. Returns: 0, -errno. */
int coordinator_start(struct coordinator *c) must_check;
/* Ends the loop thread: hands over the last state, closes the door (tunnels go on). Whoever waits
 * for the dataplane's word, then or later, gets -ETIMEDOUT at once. */
void coordinator_stop(struct coordinator *c);
void coordinator_free(struct coordinator *c);

/* ---- any thread, after the database has committed ---- */

/* Grants: posted, not waited for. Returns: 0, -ENOMEM. */
int coordinator_device_put(struct coordinator *c, const struct dir_device_conf *d) must_check;
int coordinator_credential_put(
	struct coordinator *c, const struct dir_credential_conf *cr) must_check;

/* Resolvers that OpenVPN clients are told from now on (at most 255 bytes), and the MTU, which is
 * the tunnel device's as well. Posted. Returns: 0, -ENOMEM. */
int coordinator_tunnel_set(struct coordinator *c, const char *dns, uint16_t mtu) must_check;

/* Revocations: when they return 0, the dataplane has dropped the keys, or there is no dataplane
 * (nothing listens on its socket), and no handshake of that device or credential will be taken
 * any more. Returns: 0, -ETIMEDOUT (carried out here, and in the dataplane as soon as it answers).
 */
int coordinator_device_revoke(struct coordinator *c, const struct ulid *device) must_check;
int coordinator_credential_revoke(struct coordinator *c, const struct ulid *credential) must_check;
/* Several at once (a user's devices): one wait. */
int coordinator_devices_revoke(
	struct coordinator *c, const struct ulid *devices, size_t n) must_check;
/* The device was deleted for good: its counters are forgotten too. Posted. Returns: 0, -ENOMEM. */
int coordinator_device_forget(struct coordinator *c, const struct ulid *device) must_check;
/* Ends a live session; its client may come back. Returns: 0, -ENOENT, -ETIMEDOUT. */
int coordinator_session_kill(struct coordinator *c, const struct ulid *session) must_check;

/* A copy of the live sessions, sorted by id; the caller frees *out. At most a second old.
 * Returns: 0, -ENOMEM. */
int coordinator_sessions(struct coordinator *c, struct session_info **out, size_t *n) must_check;
/* One device's: its live session if any, and its counters over all sessions and restarts. */
struct device_live {
	bool connected;
	struct session_info session;			     /* when connected */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* since the device was created */
	int64_t last_handshake_at;			     /* Unix ms, 0: never */
};
/* Also of a device that is disabled. Returns: 0, -ENOENT (*out is zeroed: unknown). */
int coordinator_device_live(
	struct coordinator *c, const struct ulid *device, struct device_live *out);

struct verdict_count {
	char name[32];
	uint64_t count;
};
struct cipher_library {
	char cipher[32], library[32];
};
enum { COORDINATOR_SILENT_MS = 3000 };
enum { COORDINATOR_LISTENERS = 16, COORDINATOR_VERDICTS = 64, COORDINATOR_CIPHERS = 8 };
struct dataplane_status {
	bool connected; /* and synchronised, and what follows is its own word */
	bool silent;	/* there, but it has not answered for COORDINATOR_SILENT_MS */
	char software[33], tun[33];
	char listen[COORDINATOR_LISTENERS][64];
	size_t n_listen;
	uint32_t workers, peers, sessions;
	uint8_t offloads; /* bits of enum uapi_offload: in use */
	uint64_t uptime_ms, rx_bytes, tx_bytes, rx_packets, tx_packets;
	struct verdict_count verdicts[COORDINATOR_VERDICTS];
	size_t n_verdicts;
	struct cipher_library aead[COORDINATOR_CIPHERS]; /* who seals and opens with what */
	size_t n_aead;
	uint32_t last_sync_ms; /* how long the last full synchronisation took */
	bool usage_known;      /* not of a dataplane that is gone, or of an older door */
	struct usage usage;
};
void coordinator_dataplane_status(struct coordinator *c, struct dataplane_status *out);

/* A copy of the totals of every device that has a state; the caller frees *out. Returns: 0,
 * -ENOMEM. */
int coordinator_totals(struct coordinator *c, struct device_total **out, size_t *n) must_check;

/* For those who watch the machine; at most a second old. */
struct handshake_count {
	uint8_t protocol; /* of uapi/uapi.h */
	const char *result;
	uint64_t count;
};
enum { COORDINATOR_HANDSHAKES = 32 };
struct coordinator_figures {
	struct handshake_count handshakes[COORDINATOR_HANDSHAKES];
	size_t n_handshakes;
	struct handshake_count control[COORDINATOR_HANDSHAKES]; /* OpenVPN's control packets */
	size_t n_control;
	uint32_t half_open;	/* OpenVPN handshakes under way */
	uint32_t mailbox, door; /* jobs not begun, requests not answered */
	uint32_t unconfirmed;	/* revocations that the dataplane has not answered */
};
void coordinator_figures(struct coordinator *c, struct coordinator_figures *out);

#endif
