/*
 * What is known of every device's tunnel: the live session, counters over all times, the last
 * endpoint. Written by the loop thread, read by any, behind one lock.
 */
#ifndef SESSION_TABLE_H
#define SESSION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/compiler.h"
#include "session/coordinator.h"
#include "uapi/uapi.h"

struct session_table;

/* How often counters of a busy device are handed over to be stored; changes of state go at once. */
enum { TABLE_COUNTERS_MS = 30 * 1000 };

/* A session whose keys are installed but which the client has not used yet. */
struct pending_session {
	uint64_t seq; /* 0: none */
	uint32_t local_index;
	uint8_t protocol, key_id;
	uint64_t channel; /* OpenVPN: the engine's session */
	struct session_info info;
	struct path path;
	struct farewell farewell;
};

/* The dataplane keeps three sessions of a peer (next, current, previous); whatever was installed
 * this many before the latest has left it. */
enum { LIVE_INDICES = 8 };

struct live {
	struct device_state state; /* key: device_id */
	bool up;
	struct session_info info; /* when up */
	uint64_t seq;		  /* of its newest confirmed keys, 0: unknown (adopted) */
	uint64_t channel; /* OpenVPN: the engine's session that info came from; 0: none, or one of a
			     control plane before us */
	struct pending_session pending;
	uint32_t indices[LIVE_INDICES]; /* of the latest sessions installed, a ring */
	uint32_t n_installed;
	bool dirty;	    /* to be handed over soon */
	uint64_t stored_at; /* mono ms of the last hand-over */
	UT_hash_handle by_device;
	UT_hash_handle by_session; /* in the table while up */
};

/* What happened to a session, told on the loop thread, outside the lock. */
struct session_change {
	enum { SESSION_STARTED, SESSION_ENDED, SESSION_ROAMED } what;
	const struct session_info *info;
	enum session_end why;	       /* ENDED */
	const struct endpoint *before; /* ROAMED */
};

int session_table_new(struct session_table **out) must_check;
void session_table_free(struct session_table *t);
/* Who is told; one, before anything happens. fn must not change the table. */
void session_table_watch(struct session_table *t,
	void (*fn)(void *arg, const struct session_change *change), void *arg);

/* The entry, made when it is missing; NULL without memory. Loop thread. Borrowed until forgotten.
 */
struct live *session_table_get(struct session_table *t, const struct ulid *device);
struct live *session_table_find(struct session_table *t, const struct ulid *device);
struct live *session_table_by_session(struct session_table *t, const struct ulid *session);
int session_table_load(struct session_table *t, const struct device_state *s) must_check;
void session_table_forget(struct session_table *t, const struct ulid *device);

/* The session is there (new, or a newer handshake of it), in the dataplane of that boot. */
void session_table_up(struct session_table *t, struct live *l, const struct session_info *info,
	const struct path *path, const struct ulid *boot);
/* It ended; keys of another tunnel that wait to be confirmed go on waiting. called_off: it is not
 * to be called back after a restart of the dataplane. */
void session_table_down(
	struct session_table *t, struct live *l, bool called_off, enum session_end why);
/* What brings its client back when the dataplane is gone; NULL: nothing does. */
void session_table_farewell(
	struct session_table *t, struct live *l, const struct farewell *farewell);
void session_table_moved(struct session_table *t, struct live *l, const struct path *path);
/* The dataplane's counters of a peer. */
void session_table_count(struct session_table *t, struct live *l, const struct ulid *boot,
	const struct uapi_peer_stats *st, uint64_t mono_ms);
/* Copies up to cap states that are to be stored and clears their marks. */
size_t session_table_dirty(
	struct session_table *t, struct device_state *out, size_t cap, uint64_t mono_ms);
/* Marks every live one to be stored, before the end. */
void session_table_mark_all(struct session_table *t);
/* Entries. */
size_t session_table_size(const struct session_table *t);
/* Calls fn for every entry; loop thread; fn must not add or forget. */
void session_table_each(struct session_table *t, void (*fn)(void *arg, struct live *l), void *arg);

/* Any thread. */
int session_table_sessions(
	struct session_table *t, struct session_info **out, size_t *n) must_check;
int session_table_totals(struct session_table *t, struct device_total **out, size_t *n) must_check;
int session_table_live(struct session_table *t, const struct ulid *device, struct device_live *out);

#endif
