/*
 * A whole control plane without REST: the coordinator with both engines and a real authority, a
 * scripted dataplane on a real door, and clients of ours with certificates of that authority. All
 * but the coordinator's loop lives in rig_turn.
 */
#ifndef SIM_OVPN_RIG_H
#define SIM_OVPN_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "session/coordinator.h"
#include "tests/sim/dp_script.h"
#include "tests/sim/ovpn_client.h"

enum { RIG_PEER = 5, RIG_CREDENTIALS = 2, RIG_CLIENTS = 4, RIG_WAIT_MS = 10000 };

struct rig_credential {
	struct dir_credential_conf conf;
	SSL_CTX *tls;
	struct ovpn_key2 key;
	uint8_t wkc[OVPN_WKC_MAX];
	size_t wkc_len;
};

struct rig_client {
	struct ovpn_client *c; /* NULL: not there */
	struct path path;
	struct ovpn_data_keys keys; /* the last ones */
	unsigned n_keys;
	bool up, failed;
	char text[1024];	 /* the last message that was no PUSH_REPLY */
	struct dp_datagram data; /* the last data packet that came by the punt connection */
	unsigned n_data;
};

struct rig {
	char dir[64];
	struct clock clock;
	struct keystore *ks;
	struct db *db;
	struct ca *ca;
	struct dp_script d;
	struct coordinator *c;
	pthread_mutex_t lock;
	struct device_state state; /* handed over last, of the device; behind the lock */
	struct dir_device_conf device;
	struct rig_credential credentials[RIG_CREDENTIALS]; /* of that one device */
	struct rig_client clients[RIG_CLIENTS];
	/* gets what is for none of them; may be NULL */
	void (*on_other)(void *arg, const struct dp_datagram *d);
	void *arg;
	/* a call that waits for the dataplane */
	pthread_t waiter;
	int (*call)(struct coordinator *c, const struct ulid *id);
	struct ulid call_id;
	_Atomic bool called_back;
	int result;
};

int rig_setup(void **state);
int rig_teardown(void **state);

/* Serves dataplane and clients once. */
void rig_turn(struct rig *r);
/* So often that whatever could happen next has happened. */
void rig_settle(struct rig *r);
/* For so long. */
void rig_serve(struct rig *r, uint64_t ms);
#define rig_until(r, condition)                                                                    \
	do {                                                                                       \
		const uint64_t until_ = clock_mono_ms(&(r)->clock) + RIG_WAIT_MS;                  \
		while (!(condition) && clock_mono_ms(&(r)->clock) < until_)                        \
			rig_turn(r);                                                               \
		assert_true(condition);                                                            \
	} while (0)

/* The last state that was handed over, to be stored. */
struct device_state rig_state(struct rig *r);
/* The control plane ends, in order, and stays away; and another one begins, with the state that it
 * had stored, and without those credentials (bits). */
void rig_control_stop(struct rig *r);
void rig_control_start(struct rig *r, unsigned without);

bool rig_synced(struct rig *r);
size_t rig_sessions(struct rig *r);
/* The only live session. */
struct session_info rig_session(struct rig *r);

/* A client with a credential's certificate and another's (or the same one's) wrapped key begins;
 * connection: 0 for UDP. */
struct rig_client *rig_client(
	struct rig *r, size_t i, size_t certificate, size_t wrapped, uint32_t connection);
/* It begins and gets as far as a tunnel. */
struct rig_client *rig_connect(struct rig *r, size_t i, size_t credential, uint32_t connection);
void rig_client_free(struct rig_client *client);

/* Calls fn in a thread of its own; rig_result serves until it has come back. */
void rig_call(struct rig *r, int (*fn)(struct coordinator *c, const struct ulid *id),
	const struct ulid *id);
int rig_result(struct rig *r);

#endif
