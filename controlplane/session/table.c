#include "session/table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct session_table {
	void (*watch)(void *arg, const struct session_change *change);
	void *watch_arg;
	pthread_mutex_t lock; /* readers are REST threads; only the loop thread writes */
	struct live *by_device;
	struct live *by_session;
};

int session_table_new(struct session_table **out)
{
	struct session_table *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

#define SESSION_END_NAME(E, name, meaning) [SESSION_END_##E] = name,
static const char *const end_names[] = {SESSION_ENDS(SESSION_END_NAME)};
#undef SESSION_END_NAME

const char *session_end_name(enum session_end why)
{
	return (size_t)why < ARRAY_SIZE(end_names) ? end_names[why] : end_names[SESSION_END_OTHER];
}

void session_table_watch(struct session_table *t,
	void (*fn)(void *arg, const struct session_change *change), void *arg)
{
	t->watch = fn;
	t->watch_arg = arg;
}

static void tell(struct session_table *t, const struct session_change *change)
{
	if (t->watch)
		t->watch(t->watch_arg, change);
}

static void tell_ended(
	struct session_table *t, const struct session_info *info, enum session_end why)
{
	tell(t, &(struct session_change){SESSION_ENDED, info, why, NULL});
}

/* Only another address or port is a move; another of our own addresses is not. */
static void tell_roamed(
	struct session_table *t, const struct session_info *info, const struct endpoint *before)
{
	if (!endpoint_equal(&info->endpoint, before))
		tell(t, &(struct session_change){SESSION_ROAMED, info, SESSION_END_OTHER, before});
}

static void live_unlink_session(struct session_table *t, struct live *l)
{
	if (l->up)
		HASH_DELETE(by_session, t->by_session, l);
	l->up = false;
}

void session_table_free(struct session_table *t)
{
	if (!t)
		return;
	struct live *l, *next;
	HASH_ITER (by_device, t->by_device, l, next) {
		live_unlink_session(t, l);
		HASH_DELETE(by_device, t->by_device, l);
		free(l);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct live *session_table_find(struct session_table *t, const struct ulid *device)
{
	struct live *l;
	HASH_FIND(by_device, t->by_device, device, sizeof(*device), l);
	return l;
}

struct live *session_table_by_session(struct session_table *t, const struct ulid *session)
{
	struct live *l;
	HASH_FIND(by_session, t->by_session, session, sizeof(*session), l);
	return l;
}

struct live *session_table_get(struct session_table *t, const struct ulid *device)
{
	struct live *l = session_table_find(t, device);
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->state.device_id = *device;
	pthread_mutex_lock(&t->lock);
	HASH_ADD(by_device, t->by_device, state.device_id, sizeof(l->state.device_id), l);
	pthread_mutex_unlock(&t->lock);
	return l;
}

int session_table_load(struct session_table *t, const struct device_state *s)
{
	struct live *l = session_table_get(t, &s->device_id);
	if (!l)
		return -ENOMEM;
	l->state = *s;
	return 0;
}

void session_table_forget(struct session_table *t, const struct ulid *device)
{
	struct live *l = session_table_find(t, device);
	if (!l)
		return;
	const bool was_up = l->up;
	pthread_mutex_lock(&t->lock);
	live_unlink_session(t, l);
	HASH_DELETE(by_device, t->by_device, l);
	pthread_mutex_unlock(&t->lock);
	if (was_up)
		tell_ended(t, &l->info, SESSION_END_REVOKED);
	free(l);
}

/* Another dataplane: nothing of what it counts has been seen. Its epochs begin at 1. */
static void boot_note(struct device_state *s, const struct ulid *boot)
{
	if (ulid_equal(&s->boot_id, boot))
		return;
	s->boot_id = *boot;
	s->epoch = 0;
	s->seen_rx_bytes = s->seen_tx_bytes = 0;
	s->seen_rx_packets = s->seen_tx_packets = 0;
}

void session_table_up(struct session_table *t, struct live *l, const struct session_info *info,
	const struct path *path, const struct ulid *boot)
{
	const struct session_info before = l->info;
	const bool was_up = l->up, same = was_up && ulid_equal(&before.id, &info->id);
	pthread_mutex_lock(&t->lock);
	struct session_info next = *info;
	if (same) {
		next.rx_bytes = l->info.rx_bytes;
		next.tx_bytes = l->info.tx_bytes;
		next.rx_packets = l->info.rx_packets;
		next.tx_packets = l->info.tx_packets;
	}
	live_unlink_session(t, l);
	l->info = next;
	l->up = true;
	HASH_ADD(by_session, t->by_session, info.id, sizeof(l->info.id), l);
	boot_note(&l->state, boot);
	l->state.path = *path;
	l->state.credential = info->credential_id;
	l->state.last_handshake_at = info->last_handshake_at;
	l->state.was_up = true;
	l->dirty = true;
	pthread_mutex_unlock(&t->lock);
	if (same) {
		tell_roamed(t, &l->info, &before.endpoint);
		return;
	}
	if (was_up)
		tell_ended(t, &before, SESSION_END_REPLACED);
	tell(t, &(struct session_change){SESSION_STARTED, &l->info, SESSION_END_OTHER, NULL});
}

void session_table_down(
	struct session_table *t, struct live *l, bool called_off, enum session_end why)
{
	const bool was_up = l->up;
	pthread_mutex_lock(&t->lock);
	if (l->up || (called_off && l->state.was_up))
		l->dirty = true;
	live_unlink_session(t, l);
	if (called_off) {
		l->state.was_up = false;
		l->state.farewell = (struct farewell){0};
	}
	pthread_mutex_unlock(&t->lock);
	if (was_up)
		tell_ended(t, &l->info, why);
}

void session_table_farewell(
	struct session_table *t, struct live *l, const struct farewell *farewell)
{
	const struct farewell none = {0}, *next = farewell ? farewell : &none;
	pthread_mutex_lock(&t->lock);
	l->dirty |= next->len || l->state.farewell.len;
	l->state.farewell = *next;
	pthread_mutex_unlock(&t->lock);
}

void session_table_moved(struct session_table *t, struct live *l, const struct path *path)
{
	const struct endpoint before = l->info.endpoint;
	pthread_mutex_lock(&t->lock);
	l->state.path = *path;
	if (l->up)
		l->info.endpoint = path->remote;
	l->dirty = true;
	pthread_mutex_unlock(&t->lock);
	if (l->up)
		tell_roamed(t, &l->info, &before);
}

/* Adds to a total what a counter that may have begun anew has counted since it was last seen. */
static void count(uint64_t *total, uint64_t *seen, uint64_t now, bool same_epoch)
{
	*total += same_epoch && now >= *seen ? now - *seen : now;
	*seen = now;
}

void session_table_count(struct session_table *t, struct live *l, const struct ulid *boot,
	const struct uapi_peer_stats *st, uint64_t mono_ms)
{
	struct device_state *s = &l->state;
	const bool same = ulid_equal(&s->boot_id, boot) && s->epoch == st->epoch;
	pthread_mutex_lock(&t->lock);
	if (!same)
		l->dirty = true;
	count(&s->rx_bytes, &s->seen_rx_bytes, st->rx_bytes, same);
	count(&s->tx_bytes, &s->seen_tx_bytes, st->tx_bytes, same);
	count(&s->rx_packets, &s->seen_rx_packets, st->rx_packets, same);
	count(&s->tx_packets, &s->seen_tx_packets, st->tx_packets, same);
	s->boot_id = *boot;
	s->epoch = st->epoch;
	if (l->up && ulid_equal(&l->info.id, &st->tunnel)) {
		l->info.rx_bytes = st->tunnel_rx_bytes;
		l->info.tx_bytes = st->tunnel_tx_bytes;
		l->info.rx_packets = st->tunnel_rx_packets;
		l->info.tx_packets = st->tunnel_tx_packets;
		if (mono_ms - l->stored_at >= TABLE_COUNTERS_MS)
			l->dirty = true;
	}
	pthread_mutex_unlock(&t->lock);
}

size_t session_table_dirty(
	struct session_table *t, struct device_state *out, size_t cap, uint64_t mono_ms)
{
	size_t n = 0;
	struct live *l, *next;
	HASH_ITER (by_device, t->by_device, l, next) {
		if (n == cap)
			break;
		if (!l->dirty)
			continue;
		out[n++] = l->state;
		l->dirty = false;
		l->stored_at = mono_ms;
	}
	return n;
}

void session_table_mark_all(struct session_table *t)
{
	struct live *l, *next;
	HASH_ITER (by_device, t->by_device, l, next)
		l->dirty |= l->up;
}

size_t session_table_size(const struct session_table *t)
{
	return HASH_CNT(by_device, t->by_device);
}

void session_table_each(struct session_table *t, void (*fn)(void *arg, struct live *l), void *arg)
{
	struct live *l, *next;
	HASH_ITER (by_device, t->by_device, l, next)
		fn(arg, l);
}

static int by_id(const void *a, const void *b)
{
	return memcmp(&((const struct session_info *)a)->id, &((const struct session_info *)b)->id,
		sizeof(struct ulid));
}

int session_table_sessions(struct session_table *t, struct session_info **out, size_t *n)
{
	pthread_mutex_lock(&t->lock);
	const size_t count = HASH_CNT(by_session, t->by_session);
	struct session_info *all = malloc((count ? count : 1) * sizeof(*all));
	size_t i = 0;
	struct live *l, *next;
	if (all)
		HASH_ITER (by_session, t->by_session, l, next)
			all[i++] = l->info;
	pthread_mutex_unlock(&t->lock);
	if (!all)
		return -ENOMEM;
	qsort(all, i, sizeof(*all), by_id);
	*out = all;
	*n = i;
	return 0;
}

int session_table_totals(struct session_table *t, struct device_total **out, size_t *n)
{
	pthread_mutex_lock(&t->lock);
	const size_t count = HASH_CNT(by_device, t->by_device);
	struct device_total *all = malloc((count ? count : 1) * sizeof(*all));
	size_t i = 0;
	struct live *l, *next;
	if (all)
		HASH_ITER (by_device, t->by_device, l, next)
			all[i++] = (struct device_total){.device_id = l->state.device_id,
				.connected = l->up,
				.rx_bytes = l->state.rx_bytes,
				.tx_bytes = l->state.tx_bytes};
	pthread_mutex_unlock(&t->lock);
	if (!all)
		return -ENOMEM;
	*out = all;
	*n = i;
	return 0;
}

int session_table_live(struct session_table *t, const struct ulid *device, struct device_live *out)
{
	*out = (struct device_live){0};
	pthread_mutex_lock(&t->lock);
	const struct live *l = session_table_find(t, device);
	if (l) {
		*out = (struct device_live){
			.connected = l->up,
			.rx_bytes = l->state.rx_bytes,
			.tx_bytes = l->state.tx_bytes,
			.rx_packets = l->state.rx_packets,
			.tx_packets = l->state.tx_packets,
			.last_handshake_at = l->state.last_handshake_at,
		};
		if (l->up)
			out->session = l->info;
	}
	pthread_mutex_unlock(&t->lock);
	return l ? 0 : -ENOENT;
}
