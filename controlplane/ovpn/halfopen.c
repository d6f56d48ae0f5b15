#include "ovpn/halfopen.h"

#include <errno.h>
#include <stdlib.h>

/* Out of memory is an error like others, never exit(). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "ovpn/ovpn_engine.h"
#include "ovpn/source.h"

struct half_open_source {
	struct source source;
	struct half_open_list list; /* oldest first, at most OVPN_HALF_OPEN_PREFIX */
	size_t n;
	UT_hash_handle hh;
};

void half_opens_init(struct half_opens *h)
{
	for (size_t i = 0; i < HALF_OPEN_PROGRESSES; i++)
		TAILQ_INIT(&h->lists[i]);
	h->sources = NULL;
	h->n = 0;
}

bool half_open_is(const struct half_open *o)
{
	return o->source;
}

/* ---- sources ---- */

static struct half_open_source *find(struct half_opens *h, const struct ip_addr *from)
{
	const struct source key = source_of(from);
	struct half_open_source *s;

	HASH_FIND(hh, h->sources, &key, sizeof(key), s);
	return s;
}

static struct half_open_source *find_or_make(struct half_opens *h, const struct ip_addr *from)
{
	struct half_open_source *s = find(h, from);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->source = source_of(from);
	TAILQ_INIT(&s->list);
	HASH_ADD(hh, h->sources, source, sizeof(s->source), s);
	if (!s->hh.tbl) {
		free(s);
		return NULL;
	}
	return s;
}

/* ---- who gives way ---- */

static struct half_open *least_of_source(const struct half_open_source *s)
{
	struct half_open *least = TAILQ_FIRST(&s->list), *o;

	TAILQ_FOREACH (o, &s->list, by_source) {
		if (o->progress < least->progress)
			least = o;
	}
	return least;
}

static struct half_open *least_of_all(const struct half_opens *h)
{
	for (size_t i = 0; i < HALF_OPEN_PROGRESSES; i++)
		if (!TAILQ_EMPTY(&h->lists[i]))
			return TAILQ_FIRST(&h->lists[i]);
	return NULL;
}

static bool may_go(const struct half_open *o, uint64_t now_ms)
{
	return o->progress < HALF_OPEN_HELLO || now_ms - o->since_ms >= HALF_OPEN_GRACE_MS;
}

int half_opens_room(struct half_opens *h, const struct ip_addr *from, uint64_t now_ms,
	struct half_open **victim)
{
	const struct half_open_source *s = find(h, from);
	struct half_open *o = NULL;

	if (s && s->n >= OVPN_HALF_OPEN_PREFIX)
		o = least_of_source(s);
	else if (h->n >= OVPN_HALF_OPEN)
		o = least_of_all(h);
	*victim = o;
	return !o || may_go(o, now_ms) ? 0 : -EBUSY;
}

/* ---- in and out ---- */

int half_opens_add(
	struct half_opens *h, struct half_open *o, const struct ip_addr *from, uint64_t now_ms)
{
	struct half_open_source *s = find_or_make(h, from);

	if (!s)
		return -ENOMEM;
	*o = (struct half_open){.source = s, .since_ms = now_ms};
	TAILQ_INSERT_TAIL(&s->list, o, by_source);
	TAILQ_INSERT_TAIL(&h->lists[o->progress], o, by_progress);
	s->n++;
	h->n++;
	return 0;
}

void half_opens_progress(struct half_opens *h, struct half_open *o, enum half_open_progress to)
{
	if (!half_open_is(o) || o->progress == to)
		return;
	TAILQ_REMOVE(&h->lists[o->progress], o, by_progress);
	o->progress = to;
	TAILQ_INSERT_TAIL(&h->lists[to], o, by_progress);
}

void half_opens_remove(struct half_opens *h, struct half_open *o)
{
	struct half_open_source *s = o->source;

	if (!s)
		return;
	TAILQ_REMOVE(&h->lists[o->progress], o, by_progress);
	TAILQ_REMOVE(&s->list, o, by_source);
	o->source = NULL;
	h->n--;
	if (--s->n > 0)
		return;
	HASH_DELETE(hh, h->sources, s);
	free(s);
}
