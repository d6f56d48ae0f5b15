/* Out of memory is a device without history until the next round: uthash must not end the process.
 */
#define HASH_NONFATAL_OOM 1

#include "service/traffic.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>
#include <uthash.h>

#include "base/log.h"
#include "db/db.h"
#include "service/events.h"

enum { PERIOD_MS = 1000, MARKS_PAGE = 256 };

/* More than any wire carries in a minute: sums of it can't overflow in five years. */
#define MOST_BYTES (UINT64_C(1) << 50)

const struct traffic_retention traffic_retention_default = {
	.minutes = 48 * TRAFFIC_HOUR, .hours = 62 * TRAFFIC_DAY, .days = 1827 * TRAFFIC_DAY};

/* The last seconds; what is older than TRAFFIC_SECONDS is not looked at. */
struct seconds {
	int64_t last;
	uint32_t rx[TRAFFIC_SECONDS], tx[TRAFFIC_SECONDS];
};

struct entry {
	struct traffic_mark mark; /* keyed by its device_id */
	struct ulid user_id;
	uint64_t rx_pending, tx_pending, rx_writing, tx_writing;
	bool moving; /* in the list of those that have something pending */
	struct seconds *seconds;
	LIST_ENTRY(entry) link;
	UT_hash_handle hh;
};

LIST_HEAD(entry_list, entry);

struct traffic {
	struct db *db;
	struct clock clock;
	struct events *events;
	pthread_t thread;
	bool running, failing; /* failing belongs to flush_lock */
	int stop_fd;
	pthread_mutex_t flush_lock;
	/* Held for writing from commit to the end of what is being written, so that readers see
	 * either. Before lock. */
	pthread_rwlock_t settle_lock;
	pthread_mutex_t lock; /* of all below */
	struct traffic_retention keep;
	struct entry *entries;
	struct entry_list moving;
	size_t n_moving, n_seconds;
	struct entry all;  /* the sum of all devices, by number TRAFFIC_ALL */
	int64_t minute;	   /* Unix seconds: begin of the minute of what is pending; 0: none */
	int64_t writing;   /* the same of what is being written */
	uint64_t round_ms; /* mono: the last round; 0: none yet */
};

/* ---- seconds ---- */

static int64_t seconds_now(const struct traffic *t)
{
	const int64_t ms = clock_real_ms(&t->clock);

	return ms > 0 ? ms / 1000 : 0;
}

static uint32_t saturated(uint64_t a, uint64_t b)
{
	return a + b > UINT32_MAX ? UINT32_MAX : (uint32_t)(a + b);
}

static void seconds_add(struct seconds *s, int64_t at, uint64_t rx, uint64_t tx)
{
	const int64_t from =
		s->last + 1 > at - TRAFFIC_SECONDS ? s->last + 1 : at - TRAFFIC_SECONDS + 1;

	/* The clock was put back: what is ahead of it is not known any more. */
	if (at < s->last)
		memset(s, 0, sizeof(*s));
	for (int64_t i = from; i <= at; i++)
		s->rx[i % TRAFFIC_SECONDS] = s->tx[i % TRAFFIC_SECONDS] = 0;
	s->last = at;
	s->rx[at % TRAFFIC_SECONDS] = saturated(s->rx[at % TRAFFIC_SECONDS], rx);
	s->tx[at % TRAFFIC_SECONDS] = saturated(s->tx[at % TRAFFIC_SECONDS], tx);
}

static void entry_seconds(struct traffic *t, struct entry *e, int64_t at, uint64_t rx, uint64_t tx)
{
	if (!e->seconds && t->n_seconds < TRAFFIC_SECONDS_OF) {
		e->seconds = calloc(1, sizeof(*e->seconds));
		t->n_seconds += e->seconds != NULL;
	}
	if (e->seconds)
		seconds_add(e->seconds, at, rx, tx);
}

static void drop_seconds(struct traffic *t, struct entry *e)
{
	t->n_seconds -= e->seconds != NULL;
	free(e->seconds);
	e->seconds = NULL;
}

/* Makes room for those that move now. */
static void drop_old_seconds(struct traffic *t, int64_t now)
{
	struct entry *e, *next;

	HASH_ITER (hh, t->entries, e, next)
		if (e->seconds && e->seconds->last <= now - TRAFFIC_SECONDS)
			drop_seconds(t, e);
}

/* ---- counting ---- */

static struct entry *find(struct traffic *t, const struct ulid *device)
{
	struct entry *e;

	HASH_FIND(hh, t->entries, device, sizeof(*device), e);
	return e;
}

static struct entry *make(struct traffic *t, const struct traffic_mark *mark)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->mark = *mark;
	HASH_ADD(hh, t->entries, mark.device_id, sizeof(e->mark.device_id), e);
	if (e->hh.tbl)
		return e;
	free(e);
	return NULL;
}

static void drop(struct traffic *t, struct entry *e)
{
	if (e->moving) {
		LIST_REMOVE(e, link);
		t->n_moving--;
	}
	drop_seconds(t, e);
	HASH_DEL(t->entries, e);
	free(e);
}

static uint64_t since(uint64_t now, uint64_t seen, bool same)
{
	const uint64_t moved = same && now >= seen ? now - seen : now;

	return moved < MOST_BYTES ? moved : MOST_BYTES;
}

static uint64_t capped(uint64_t a, uint64_t b)
{
	return a + b < MOST_BYTES ? a + b : MOST_BYTES;
}

static void pend(struct traffic *t, struct entry *e, uint64_t rx, uint64_t tx)
{
	e->rx_pending = capped(e->rx_pending, rx);
	e->tx_pending = capped(e->tx_pending, tx);
	if (e->moving || e == &t->all)
		return;
	e->moving = true;
	LIST_INSERT_HEAD(&t->moving, e, link);
	t->n_moving++;
}

/* Takes a device's counters. Returns: whether it moved, with *m. */
static bool count(struct traffic *t, const struct ulid *boot, const struct device_counters *c,
	struct moved *m)
{
	struct entry *e = find(t, &c->device_id);
	bool same;

	if (!e && (c->rx_bytes || c->tx_bytes))
		e = make(t, &(struct traffic_mark){.device_id = c->device_id});
	if (!e)
		return false;
	same = ulid_equal(&e->mark.boot_id, boot) && e->mark.epoch == c->epoch;
	*m = (struct moved){.device_id = c->device_id,
		.user_id = c->user_id,
		.rx_bytes = since(c->rx_bytes, e->mark.rx_bytes, same),
		.tx_bytes = since(c->tx_bytes, e->mark.tx_bytes, same)};
	e->user_id = c->user_id;
	e->mark.boot_id = *boot;
	e->mark.epoch = c->epoch;
	e->mark.rx_bytes = c->rx_bytes;
	e->mark.tx_bytes = c->tx_bytes;
	if (!m->rx_bytes && !m->tx_bytes)
		return false;
	pend(t, e, m->rx_bytes, m->tx_bytes);
	pend(t, &t->all, m->rx_bytes, m->tx_bytes);
	return true;
}

/* What moved since a round that is long past, or before we were started, is of no second. */
static void spread(struct traffic *t, int64_t now, const struct moved *m)
{
	struct entry *e = find(t, &m->device_id);

	if (e)
		entry_seconds(t, e, now, m->rx_bytes, m->tx_bytes);
	entry_seconds(t, &t->all, now, m->rx_bytes, m->tx_bytes);
}

static void tell(struct traffic *t, uint32_t interval_ms, struct moved *moved, size_t n)
{
	const struct event e = {.type = EVENT_TRAFFIC,
		.at = clock_real_ms(&t->clock),
		.interval_ms = interval_ms,
		.moved = moved,
		.n_moved = n};

	if (interval_ms > 0 && events_wanted(t->events))
		events_add(t->events, &e);
	else
		free(moved);
}

void traffic_counted(
	struct traffic *t, const struct ulid *boot, const struct device_counters *c, size_t n)
{
	const int64_t now = seconds_now(t);
	const uint64_t mono = clock_mono_ms(&t->clock);
	struct moved *moved = malloc((n ? n : 1) * sizeof(*moved)), one;
	uint32_t interval_ms = 0;
	size_t n_moved = 0;

	pthread_mutex_lock(&t->lock);
	if (t->round_ms && mono - t->round_ms <= TRAFFIC_GAP_MS)
		interval_ms = (uint32_t)(mono - t->round_ms);
	t->round_ms = mono;
	for (size_t i = 0; i < n; i++) {
		if (!count(t, boot, &c[i], &one))
			continue;
		if (interval_ms > 0)
			spread(t, now, &one);
		if (moved)
			moved[n_moved++] = one;
	}
	if (t->minute == 0 && (t->all.rx_pending || t->all.tx_pending))
		t->minute = now - now % TRAFFIC_MINUTE;
	pthread_mutex_unlock(&t->lock);
	if (moved)
		tell(t, interval_ms, moved, n_moved);
}

void traffic_forget(struct traffic *t, const struct ulid *device)
{
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	e = find(t, device);
	if (e)
		drop(t, e);
	pthread_mutex_unlock(&t->lock);
}

void traffic_keep(struct traffic *t, const struct traffic_retention *keep)
{
	pthread_mutex_lock(&t->lock);
	t->keep = *keep;
	pthread_mutex_unlock(&t->lock);
}

void traffic_kept(struct traffic *t, struct traffic_retention *keep)
{
	pthread_mutex_lock(&t->lock);
	*keep = t->keep;
	pthread_mutex_unlock(&t->lock);
}

/* ---- writing ---- */

struct row {
	struct traffic_mark mark;
	uint64_t rx_bytes, tx_bytes;
	bool gone; /* there is no such device any more */
};
struct batch {
	int64_t minute;
	struct traffic_retention keep;
	struct row *rows;
	size_t n;
	uint64_t rx_bytes, tx_bytes; /* of all devices */
};

static void start_writing(struct entry *e)
{
	e->rx_writing = e->rx_pending;
	e->tx_writing = e->tx_pending;
	e->rx_pending = e->tx_pending = 0;
}

/* Takes what is pending. Returns: whether there is something. */
static bool take(struct traffic *t, bool in_any_case, struct batch *b)
{
	struct entry *e;
	int64_t now = 0;

	*b = (struct batch){.n = 0};
	pthread_mutex_lock(&t->lock);
	if (t->minute)
		now = seconds_now(t);
	if (t->minute && (in_any_case || t->minute != now - now % TRAFFIC_MINUTE))
		b->rows = malloc((t->n_moving ? t->n_moving : 1) * sizeof(*b->rows));
	if (b->rows) {
		b->keep = t->keep;
		b->minute = t->writing = t->minute;
		t->minute = 0;
		while ((e = LIST_FIRST(&t->moving))) {
			start_writing(e);
			b->rows[b->n++] =
				(struct row){e->mark, e->rx_writing, e->tx_writing, false};
			e->moving = false;
			LIST_REMOVE(e, link);
		}
		t->n_moving = 0;
		start_writing(&t->all);
		b->rx_bytes = t->all.rx_writing;
		b->tx_bytes = t->all.tx_writing;
		drop_old_seconds(t, now);
	}
	pthread_mutex_unlock(&t->lock);
	return b->rows != NULL;
}

static int write_row(struct db_conn *tx, int64_t minute, struct row *r)
{
	const struct traffic_sum s = {minute, r->rx_bytes, r->tx_bytes};
	int err = traffic_mark_set(tx, &r->mark);

	r->gone = err == -ENOENT;
	if (r->gone)
		return 0;
	return err ? err : traffic_add(tx, r->mark.number, &s);
}

static int purge(struct db_conn *tx, int64_t now, const struct traffic_retention *keep)
{
	int err = traffic_purge(tx, TRAFFIC_MINUTE, now - keep->minutes);

	if (!err)
		err = traffic_purge(tx, TRAFFIC_HOUR, now - keep->hours);
	return err ? err : traffic_purge(tx, TRAFFIC_DAY, now - keep->days);
}

static int write_batch(struct db_conn *tx, struct batch *b)
{
	const struct traffic_sum all = {b->minute, b->rx_bytes, b->tx_bytes};
	int err = traffic_add(tx, TRAFFIC_ALL, &all);

	for (size_t i = 0; i < b->n && !err; i++)
		err = write_row(tx, b->minute, &b->rows[i]);
	return err ? err : purge(tx, b->minute, &b->keep);
}

static void settle_entry(struct traffic *t, struct entry *e, const struct row *r, bool written)
{
	if (written && r->gone) {
		drop(t, e);
		return;
	}
	if (written)
		e->mark.number = r->mark.number;
	else if (e->rx_writing || e->tx_writing)
		pend(t, e, e->rx_writing, e->tx_writing);
	e->rx_writing = e->tx_writing = 0;
}

/* What was written is not pending any more; what was not, is again. */
static void settle(struct traffic *t, const struct batch *b, bool written)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < b->n; i++) {
		struct entry *e = find(t, &b->rows[i].mark.device_id);

		if (e)
			settle_entry(t, e, &b->rows[i], written);
	}
	if (!written) {
		pend(t, &t->all, t->all.rx_writing, t->all.tx_writing);
		if (t->minute == 0)
			t->minute = b->minute;
	}
	t->all.rx_writing = t->all.tx_writing = 0;
	t->writing = 0;
	pthread_mutex_unlock(&t->lock);
}

int traffic_flush(struct traffic *t, bool in_any_case)
{
	struct batch b;
	int err = 0;

	pthread_mutex_lock(&t->flush_lock);
	if (take(t, in_any_case, &b)) {
		struct db_conn *tx cleanup(db_end) = NULL;

		err = db_write(t->db, &tx);
		if (!err)
			err = write_batch(tx, &b);
		pthread_rwlock_wrlock(&t->settle_lock);
		if (!err)
			err = db_commit(&tx);
		settle(t, &b, !err);
		pthread_rwlock_unlock(&t->settle_lock);
		free(b.rows);
	}
	if (err && !t->failing)
		log_error(
			"service", "traffic: can't be written, kept for later: %s", strerror(-err));
	t->failing = err != 0;
	pthread_mutex_unlock(&t->flush_lock);
	return err;
}

static void *run(void *arg)
{
	struct traffic *t = arg;
	struct pollfd stop = {.fd = t->stop_fd, .events = POLLIN};

	while (poll(&stop, 1, PERIOD_MS) <= 0)
		(void)!traffic_flush(t, false);
	return NULL;
}

/* ---- start and stop ---- */

static int load_marks(struct traffic *t)
{
	struct db_conn *tx cleanup(db_end) = NULL;
	struct traffic_mark marks[MARKS_PAGE];
	int64_t after = 0;
	int n, err = db_read(t->db, &tx);

	if (err)
		return err;
	do {
		n = traffic_mark_list(tx, after, marks, MARKS_PAGE);
		for (int i = 0; i < n; i++) {
			after = marks[i].number;
			if (!make(t, &marks[i]))
				return -ENOMEM;
		}
	} while (n == MARKS_PAGE);
	return n < 0 ? n : 0;
}

int traffic_new(struct traffic **out, struct db *db, const struct clock *clock, struct events *ev)
{
	struct traffic *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->db = db;
	t->clock = *clock;
	t->events = ev;
	t->keep = traffic_retention_default;
	LIST_INIT(&t->moving);
	pthread_mutex_init(&t->flush_lock, NULL);
	pthread_rwlock_init(&t->settle_lock, NULL);
	pthread_mutex_init(&t->lock, NULL);
	t->stop_fd = eventfd(0, EFD_CLOEXEC);
	err = t->stop_fd < 0 ? -errno : load_marks(t);
	if (!err)
		err = -pthread_create(&t->thread, NULL, run, t);
	if (err) {
		traffic_free(t);
		return err;
	}
	t->running = true;
	*out = t;
	return 0;
}

void traffic_stop(struct traffic *t)
{
	const uint64_t one = 1;

	if (!t->running)
		return;
	if (write(t->stop_fd, &one, sizeof(one)) != sizeof(one))
		log_error("service", "traffic: the writer can't be told to stop");
	pthread_join(t->thread, NULL);
	t->running = false;
	(void)!traffic_flush(t, true);
}

void traffic_free(struct traffic *t)
{
	struct entry *e, *next;

	if (!t)
		return;
	traffic_stop(t);
	HASH_ITER (hh, t->entries, e, next)
		drop(t, e);
	drop_seconds(t, &t->all);
	if (t->stop_fd >= 0)
		close(t->stop_fd);
	pthread_mutex_destroy(&t->lock);
	pthread_rwlock_destroy(&t->settle_lock);
	pthread_mutex_destroy(&t->flush_lock);
	free(t);
}

/* ---- reading ---- */

static void fill_pending(struct traffic *t, struct traffic_pending *p)
{
	const struct entry *e = ulid_is_zero(&p->device_id) ? &t->all : find(t, &p->device_id);

	p->sum = (struct traffic_sum){.at = t->writing ? t->writing : t->minute};
	if (!e)
		return;
	p->sum.rx_bytes = e->rx_pending + e->rx_writing;
	p->sum.tx_bytes = e->tx_pending + e->tx_writing;
}

int traffic_read(struct traffic *t, struct traffic_pending *p, size_t n, struct db_conn **tx)
{
	struct ulid nobody = {{0}};
	int64_t number;
	int err;

	/* May wait for a free connection; only the first read makes the snapshot. */
	err = db_read(t->db, tx);
	if (err)
		return err;
	pthread_rwlock_rdlock(&t->settle_lock);
	err = traffic_number(*tx, &nobody, &number);
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < n; i++)
		fill_pending(t, &p[i]);
	pthread_mutex_unlock(&t->lock);
	pthread_rwlock_unlock(&t->settle_lock);
	return err == -ENOENT ? 0 : err;
}

size_t traffic_seconds(struct traffic *t, const struct ulid *device, int64_t from, int64_t to,
	struct traffic_sum *out, size_t cap)
{
	const struct entry *e;
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	e = ulid_is_zero(device) ? &t->all : find(t, device);
	if (e && e->seconds) {
		const struct seconds *s = e->seconds;
		const int64_t oldest = s->last - TRAFFIC_SECONDS + 1;

		for (int64_t at = from > oldest ? from : oldest;
			at < to && at <= s->last && n < cap; at++) {
			const size_t i = (size_t)(at % TRAFFIC_SECONDS);

			if (s->rx[i] || s->tx[i])
				out[n++] = (struct traffic_sum){at, s->rx[i], s->tx[i]};
		}
	}
	pthread_mutex_unlock(&t->lock);
	return n;
}
