/* Out of memory is a lost state, which the next one replaces: uthash must not end the process. */
#define HASH_NONFATAL_OOM 1

#include "service/recorder.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>

#include "base/log.h"
#include "db/db.h"
#include "db/invite_store.h"
#include "db/login_store.h"
#include "db/once_store.h"
#include "db/state_store.h"
#include "db/token_store.h"
#include "service/invites.h"
#include "service/once.h"

enum { PERIOD_MS = 1000, PURGE_MS = 60 * 1000, MOST = 1 << 18 };

struct device_entry {
	struct device_state state; /* keyed by its device_id */
	UT_hash_handle hh;
};
struct credential_entry {
	struct credential_state state; /* keyed by its credential_id */
	UT_hash_handle hh;
};
struct use_entry {
	struct ulid id;
	enum recorder_use what;
	int64_t last, written;
	UT_hash_handle hh;
};

struct recorder {
	struct db *db;
	struct clock clock;
	pthread_t thread;
	bool running;
	int stop_fd;
	int (*also)(void *arg);
	void *also_arg;
	bool also_failing; /* the thread's */
	bool failing;	   /* belongs to flush_lock, as purged_at */
	int64_t purged_at;
	pthread_mutex_t flush_lock;
	pthread_mutex_t lock; /* of the tables */
	struct device_entry *devices;
	struct credential_entry *credentials;
	struct use_entry *uses;
};

static void keep_device(struct recorder *r, const struct device_state *st, bool newer)
{
	struct device_entry *e;

	HASH_FIND(hh, r->devices, &st->device_id, sizeof(st->device_id), e);
	if (e) {
		if (newer)
			e->state = *st;
		return;
	}
	if (HASH_COUNT(r->devices) >= MOST)
		return;
	e = calloc(1, sizeof(*e));
	if (!e)
		return;
	e->state = *st;
	HASH_ADD(hh, r->devices, state.device_id, sizeof(st->device_id), e);
	if (!e->hh.tbl)
		free(e);
}

static void keep_credential(struct recorder *r, const struct credential_state *st, bool newer)
{
	struct credential_entry *e;

	HASH_FIND(hh, r->credentials, &st->credential_id, sizeof(st->credential_id), e);
	if (e) {
		if (newer)
			e->state = *st;
		return;
	}
	if (HASH_COUNT(r->credentials) >= MOST)
		return;
	e = calloc(1, sizeof(*e));
	if (!e)
		return;
	e->state = *st;
	HASH_ADD(hh, r->credentials, state.credential_id, sizeof(st->credential_id), e);
	if (!e->hh.tbl)
		free(e);
}

void recorder_device_state(struct recorder *r, const struct device_state *st, size_t n)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < n; i++)
		keep_device(r, &st[i], true);
	pthread_mutex_unlock(&r->lock);
}

void recorder_credential_state(struct recorder *r, const struct credential_state *st, size_t n)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < n; i++)
		keep_credential(r, &st[i], true);
	pthread_mutex_unlock(&r->lock);
}

int64_t recorder_last_use(struct recorder *r, const struct ulid *id, int64_t stored)
{
	struct use_entry *e;

	pthread_mutex_lock(&r->lock);
	HASH_FIND(hh, r->uses, id, sizeof(*id), e);
	if (e && e->last > stored)
		stored = e->last;
	pthread_mutex_unlock(&r->lock);
	return stored;
}

void recorder_use(struct recorder *r, enum recorder_use what, const struct ulid *id, int64_t stored,
	int64_t now)
{
	struct use_entry *e;

	pthread_mutex_lock(&r->lock);
	HASH_FIND(hh, r->uses, id, sizeof(*id), e);
	if (!e && HASH_COUNT(r->uses) < MOST) {
		e = calloc(1, sizeof(*e));
		if (e) {
			e->id = *id;
			e->what = what;
			e->written = stored;
			HASH_ADD(hh, r->uses, id, sizeof(*id), e);
			if (!e->hh.tbl) {
				free(e);
				e = NULL;
			}
		}
	}
	if (e && now > e->last)
		e->last = now;
	pthread_mutex_unlock(&r->lock);
}

_Static_assert((int)DEVICE_FAREWELL_MAX == (int)UAPI_FAREWELL_MAX, "copied whole");

static int write_device(struct db_conn *tx, const struct device_state *st)
{
	struct device_state_row row = {
		.device_id = st->device_id,
		.boot_id = st->boot_id,
		.epoch = st->epoch,
		.total = {st->rx_bytes, st->tx_bytes, st->rx_packets, st->tx_packets},
		.seen = {st->seen_rx_bytes, st->seen_tx_bytes, st->seen_rx_packets,
			st->seen_tx_packets},
		.path = st->path,
		.credential_id = st->credential,
		.last_handshake_at = st->last_handshake_at,
		.was_up = st->was_up,
		.farewell_len = st->farewell.len,
	};

	memcpy(row.farewell, st->farewell.bytes, sizeof(row.farewell));
	return device_state_set(tx, &row);
}

/* What one flush writes; taken out of the tables so that nobody waits for the disk. */
struct batch {
	struct device_entry *devices;
	struct credential_entry *credentials;
	struct use_entry *uses; /* copies, a plain array */
	size_t n_uses;
	int64_t now;
	bool purge;
};

static bool use_due(const struct use_entry *e, int64_t now)
{
	return e->last > e->written && now - e->written >= RECORDER_USE_MS;
}

/* Copies what is due and forgets what has been idle for long. */
static void take_uses(struct recorder *r, struct batch *b)
{
	struct use_entry *e, *next;
	size_t cap = HASH_COUNT(r->uses);

	b->uses = cap ? calloc(cap, sizeof(*b->uses)) : NULL;
	HASH_ITER (hh, r->uses, e, next) {
		if (use_due(e, b->now)) {
			if (b->uses)
				b->uses[b->n_uses++] = *e;
		} else if (e->last <= e->written &&
			   b->now - e->last > LOGIN_IDLE_MS + RECORDER_USE_MS) {
			HASH_DEL(r->uses, e);
			free(e);
		}
	}
}

static void take(struct recorder *r, struct batch *b)
{
	*b = (struct batch){.now = clock_real_ms(&r->clock)};
	/* Or the clock was put back. */
	b->purge = b->now - r->purged_at >= PURGE_MS || b->now < r->purged_at;
	pthread_mutex_lock(&r->lock);
	b->devices = r->devices;
	b->credentials = r->credentials;
	r->devices = NULL;
	r->credentials = NULL;
	take_uses(r, b);
	pthread_mutex_unlock(&r->lock);
}

static int purge(struct db_conn *tx, int64_t now)
{
	/* A minute more than they may be idle: the stored time lags behind. */
	int err =
		login_delete_old(tx, now - LOGIN_MAX_MS, now - LOGIN_IDLE_MS - 2 * RECORDER_USE_MS);

	if (!err)
		err = once_delete_old(tx, now - ONCE_MS);
	if (!err)
		err = invite_delete_old(tx, now - INVITE_KEEP_MS);
	return err;
}

static int write_batch(struct db_conn *tx, const struct batch *b)
{
	struct credential_entry *c, *next_c;
	struct device_entry *d, *next_d;
	int err = 0;

	HASH_ITER (hh, b->devices, d, next_d)
		if (!err)
			err = write_device(tx, &d->state);
	HASH_ITER (hh, b->credentials, c, next_c)
		if (!err)
			err = credential_state_set(
				tx, &c->state.credential_id, c->state.wg_greatest);
	for (size_t i = 0; i < b->n_uses && !err; i++)
		err = (b->uses[i].what == RECORDER_TOKEN ? token_used : login_used)(
			tx, &b->uses[i].id, b->uses[i].last);
	return err || !b->purge ? err : purge(tx, b->now);
}

/* After a success marks as written, after a failure puts back what nothing newer has replaced. */
static void settle(struct recorder *r, struct batch *b, bool written)
{
	struct credential_entry *c, *next_c;
	struct device_entry *d, *next_d;
	struct use_entry *e;

	pthread_mutex_lock(&r->lock);
	HASH_ITER (hh, b->devices, d, next_d) {
		HASH_DEL(b->devices, d);
		if (!written)
			keep_device(r, &d->state, false);
		free(d);
	}
	HASH_ITER (hh, b->credentials, c, next_c) {
		HASH_DEL(b->credentials, c);
		if (!written)
			keep_credential(r, &c->state, false);
		free(c);
	}
	for (size_t i = 0; i < b->n_uses && written; i++) {
		HASH_FIND(hh, r->uses, &b->uses[i].id, sizeof(b->uses[i].id), e);
		if (e)
			e->written = b->uses[i].last;
	}
	pthread_mutex_unlock(&r->lock);
	free(b->uses);
}

int recorder_flush(struct recorder *r)
{
	struct batch b;
	int err = 0;

	pthread_mutex_lock(&r->flush_lock);
	take(r, &b);
	if (b.devices || b.credentials || b.n_uses || b.purge) {
		struct db_conn *tx cleanup(db_end) = NULL;

		err = db_write(r->db, &tx);
		if (!err)
			err = write_batch(tx, &b);
		if (!err)
			err = db_commit(&tx);
	}
	if (!err && b.purge)
		r->purged_at = b.now;
	settle(r, &b, !err);
	if (err && !r->failing)
		log_error("service", "state: can't be written, kept for later: %s", strerror(-err));
	r->failing = err != 0;
	pthread_mutex_unlock(&r->flush_lock);
	return err;
}

static void do_also(struct recorder *r)
{
	int err = r->also ? r->also(r->also_arg) : 0;

	if (err && !r->also_failing)
		log_error("service", "background: can't be done, tried again: %s", strerror(-err));
	r->also_failing = err != 0;
}

static void *run(void *arg)
{
	struct recorder *r = arg;
	struct pollfd stop = {.fd = r->stop_fd, .events = POLLIN};

	while (poll(&stop, 1, PERIOD_MS) <= 0) {
		(void)!recorder_flush(r);
		do_also(r);
	}
	return NULL;
}

int recorder_new(struct recorder **out, struct db *db, const struct clock *clock,
	int (*also)(void *arg), void *arg)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->db = db;
	r->clock = *clock;
	r->also = also;
	r->also_arg = arg;
	r->purged_at = clock_real_ms(clock) - PURGE_MS;
	pthread_mutex_init(&r->flush_lock, NULL);
	pthread_mutex_init(&r->lock, NULL);
	r->stop_fd = eventfd(0, EFD_CLOEXEC);
	err = r->stop_fd < 0 ? -errno : -pthread_create(&r->thread, NULL, run, r);
	if (err) {
		recorder_free(r);
		return err;
	}
	r->running = true;
	*out = r;
	return 0;
}

void recorder_stop(struct recorder *r)
{
	const uint64_t one = 1;

	if (!r->running)
		return;
	if (write(r->stop_fd, &one, sizeof(one)) != sizeof(one))
		log_error("service", "state: the writer can't be told to stop");
	pthread_join(r->thread, NULL);
	r->running = false;
	(void)!recorder_flush(r);
}

void recorder_free(struct recorder *r)
{
	struct credential_entry *c, *next_c;
	struct device_entry *d, *next_d;
	struct use_entry *u, *next_u;

	if (!r)
		return;
	recorder_stop(r);
	HASH_ITER (hh, r->devices, d, next_d) {
		HASH_DEL(r->devices, d);
		free(d);
	}
	HASH_ITER (hh, r->credentials, c, next_c) {
		HASH_DEL(r->credentials, c);
		free(c);
	}
	HASH_ITER (hh, r->uses, u, next_u) {
		HASH_DEL(r->uses, u);
		free(u);
	}
	if (r->stop_fd >= 0)
		close(r->stop_fd);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->flush_lock);
	free(r);
}
