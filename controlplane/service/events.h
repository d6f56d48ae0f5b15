/*
 * What happens, told to whoever listens: sessions, devices, the dataplane, and once a second the
 * traffic.
 *
 *   coordinator, use-cases --events_add--> [ ring ] <--events_next(after)-- readers, each at his
 *                                                                           own place
 *
 * Nobody waits for a reader: the ring holds the last EVENTS_KEPT, and who is behind it has a gap.
 * Traffic says what moves now; only the last few of it are kept, and none is told later.
 *
 * Ids rise for ever, also over restarts: they begin at the time of the start, in units so small
 * that no process can use them up faster than time goes by. They fit a double (JavaScript).
 */
#ifndef SERVICE_EVENTS_H
#define SERVICE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "session/coordinator.h"

struct events;
struct svc_actor;

enum { EVENTS_KEPT = 2048, EVENTS_TRAFFIC_KEPT = 4, EVENTS_ID_BITS = 20, EVENTS_TOP = 100 };

/* X(ENUM, name): the names are an outside contract. */
#define EVENT_TYPES(X)                                                                             \
	X(SESSION_STARTED, "session.started")                                                      \
	X(SESSION_ENDED, "session.ended")                                                          \
	X(SESSION_ROAMED, "session.roamed")                                                        \
	X(DEVICE_CHANGED, "device.changed")                                                        \
	X(TRAFFIC, "traffic")                                                                      \
	X(DATAPLANE_CONNECTED, "dataplane.connected")                                              \
	X(DATAPLANE_LOST, "dataplane.lost")
#define EVENT_TYPE_ENUM(E, name) EVENT_##E,
enum event_type { EVENT_TYPES(EVENT_TYPE_ENUM) EVENT_TYPE_COUNT };
#undef EVENT_TYPE_ENUM
const char *event_type_name(enum event_type t);
/* n bytes of text. Returns: 0, -EINVAL. */
int event_type_parse(const char *text, size_t n, enum event_type *out) must_check;

/* X(ENUM, name): what happened to a device. */
#define DEVICE_CHANGES(X)                                                                          \
	X(CREATED, "created")                                                                      \
	X(UPDATED, "updated")                                                                      \
	X(DELETED, "deleted")                                                                      \
	X(CREDENTIAL_ISSUED, "credential_issued")                                                  \
	X(CREDENTIAL_REVOKED, "credential_revoked")                                                \
	X(USER_DISABLED, "user_disabled")                                                          \
	X(USER_ENABLED, "user_enabled")
#define DEVICE_CHANGE_ENUM(E, name) DEVICE_##E,
enum device_change { DEVICE_CHANGES(DEVICE_CHANGE_ENUM) DEVICE_CHANGE_COUNT };
#undef DEVICE_CHANGE_ENUM
const char *device_change_name(enum device_change c);

/* Inner bytes of a device in one round of statistics. */
struct moved {
	struct ulid device_id, user_id;
	uint64_t rx_bytes, tx_bytes;
};

struct event {
	uint64_t id;
	enum event_type type;
	int64_t at;		       /* Unix ms */
	struct ulid user_id;	       /* whose it is; zero: of no single user */
	struct ulid device_id;	       /* SESSION_*, DEVICE_CHANGED */
	enum device_change how;	       /* DEVICE_CHANGED */
	struct coordinator_event news; /* SESSION_*, DATAPLANE_* */
	uint32_t interval_ms;	       /* TRAFFIC: since the round before */
	struct moved *moved;	       /* TRAFFIC: everything that moved; owned */
	size_t n_moved;
	/* The ring's own. */
	unsigned refs;
	char *text;
	size_t len;
	void (*release)(void *text);
};

int events_new(struct events **out, const struct clock *clock) must_check;
/* No reader is left. */
void events_free(struct events *ev);
/* A copy of what (without id), which is told to everybody from now on; takes what->moved on every
 * outcome. Without memory the event is lost, and readers get a gap. */
void events_add(struct events *ev, const struct event *what);
/* Called after every event, by whoever added it, so it must not block; NULL ends that. One. */
void events_watch(struct events *ev, void (*fn)(void *arg), void *arg);

/* The newest id: where a reader begins that wants what comes. */
uint64_t events_newest(struct events *ev);
/* Readers come and go: traffic is only gathered for somebody. */
void events_reader(struct events *ev, int more);
bool events_wanted(struct events *ev);

enum events_outcome { EVENTS_NONE = 0, EVENTS_ONE = 1, EVENTS_GAP = 2 };
/* The first event after that id. Returns: EVENTS_ONE with *out (event_put), EVENTS_NONE, EVENTS_GAP
 * (something between was lost, or the id is not of this process). */
enum events_outcome events_next(struct events *ev, uint64_t after, struct event **out);
void event_put(struct events *ev, struct event *e);

/* Whether the actor may know of it. Of traffic everybody sees his own part. */
bool event_visible(const struct event *e, const struct svc_actor *a);
/* The text of an event for readers that see all of it: made once, by encode, when it is first asked
 * for; kept with the event, given back to release. Returns: borrowed from e, NULL: no memory. */
const char *event_text(struct events *ev, struct event *e,
	char *(*encode)(const struct event *e, size_t *len), void (*release)(void *text),
	size_t *len);

/* What a reader is shown of a round: the totals of all that is his, and the devices that moved
 * most, greatest first. */
struct moved_view {
	uint64_t rx_bytes, tx_bytes;
	size_t n_devices; /* that moved; top has the first EVENTS_TOP of them */
	size_t n_top;
	struct moved top[EVENTS_TOP];
};
/* user: of that user's devices only, NULL: of all. */
void moved_view(const struct moved *m, size_t n, const struct ulid *user, struct moved_view *out);

#endif
