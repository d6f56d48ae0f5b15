#include "service/events.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "service/service.h"

struct ring {
	struct event **at;
	size_t cap, head, n; /* the oldest is at head */
};

struct events {
	pthread_mutex_t lock;
	pthread_mutex_t text_lock; /* of the texts of all events */
	uint64_t newest;
	uint64_t lost; /* the newest event that readers can't get any more */
	struct event *kept_slots[EVENTS_KEPT];
	struct event *traffic_slots[EVENTS_TRAFFIC_KEPT];
	struct ring kept, traffic;
	atomic_int readers;
	void (*watch)(void *arg);
	void *watch_arg;
};

#define EVENT_TYPE_NAME(E, name) [EVENT_##E] = name,
static const char *const type_names[] = {EVENT_TYPES(EVENT_TYPE_NAME)};
#undef EVENT_TYPE_NAME
#define DEVICE_CHANGE_NAME(E, name) [DEVICE_##E] = name,
static const char *const change_names[] = {DEVICE_CHANGES(DEVICE_CHANGE_NAME)};
#undef DEVICE_CHANGE_NAME

const char *event_type_name(enum event_type t)
{
	return type_names[t];
}

int event_type_parse(const char *text, size_t n, enum event_type *out)
{
	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++) {
		if (strlen(type_names[i]) != n || memcmp(type_names[i], text, n) != 0)
			continue;
		*out = (enum event_type)i;
		return 0;
	}
	return -EINVAL;
}

const char *device_change_name(enum device_change c)
{
	return change_names[c];
}

int events_new(struct events **out, const struct clock *clock)
{
	struct events *ev = calloc(1, sizeof(*ev));
	int64_t seconds = clock_real_ms(clock) / 1000;

	if (!ev)
		return -ENOMEM;
	ev->newest = ev->lost = (uint64_t)(seconds > 0 ? seconds : 0) << EVENTS_ID_BITS;
	ev->kept = (struct ring){.at = ev->kept_slots, .cap = EVENTS_KEPT};
	ev->traffic = (struct ring){.at = ev->traffic_slots, .cap = EVENTS_TRAFFIC_KEPT};
	pthread_mutex_init(&ev->lock, NULL);
	pthread_mutex_init(&ev->text_lock, NULL);
	*out = ev;
	return 0;
}

static void event_free(struct event *e)
{
	if (e->text)
		e->release(e->text);
	free(e->moved);
	free(e);
}

/* With the lock. Returns: e when nobody holds it any more. */
static struct event *unref(struct event *e)
{
	return --e->refs == 0 ? e : NULL;
}

static struct event *nth(const struct ring *r, size_t i)
{
	return r->at[(r->head + i) % r->cap];
}

/* Returns: the one that had to go, NULL: none. */
static struct event *push(struct ring *r, struct event *e)
{
	struct event *out = NULL;

	if (r->n == r->cap) {
		out = r->at[r->head];
		r->head = (r->head + 1) % r->cap;
		r->n--;
	}
	r->at[(r->head + r->n++) % r->cap] = e;
	return out;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	for (size_t i = 0; i < ev->kept.n; i++)
		event_free(nth(&ev->kept, i));
	for (size_t i = 0; i < ev->traffic.n; i++)
		event_free(nth(&ev->traffic, i));
	pthread_mutex_destroy(&ev->lock);
	pthread_mutex_destroy(&ev->text_lock);
	free(ev);
}

void events_add(struct events *ev, const struct event *what)
{
	struct event *e = malloc(sizeof(*e)), *gone = NULL;

	if (e)
		*e = *what;
	else
		free(what->moved);
	pthread_mutex_lock(&ev->lock);
	ev->newest++;
	if (!e) {
		ev->lost = ev->newest;
	} else {
		e->id = ev->newest;
		e->refs = 1;
		gone = push(e->type == EVENT_TRAFFIC ? &ev->traffic : &ev->kept, e);
		if (gone && gone->type != EVENT_TRAFFIC && gone->id > ev->lost)
			ev->lost = gone->id;
		gone = gone ? unref(gone) : NULL;
	}
	if (ev->watch)
		ev->watch(ev->watch_arg);
	pthread_mutex_unlock(&ev->lock);
	if (gone)
		event_free(gone);
}

void events_watch(struct events *ev, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&ev->lock);
	ev->watch = fn;
	ev->watch_arg = arg;
	pthread_mutex_unlock(&ev->lock);
}

uint64_t events_newest(struct events *ev)
{
	uint64_t newest;

	pthread_mutex_lock(&ev->lock);
	newest = ev->newest;
	pthread_mutex_unlock(&ev->lock);
	return newest;
}

void events_reader(struct events *ev, int more)
{
	atomic_fetch_add(&ev->readers, more);
}

bool events_wanted(struct events *ev)
{
	return atomic_load(&ev->readers) > 0;
}

/* The first with a greater id; ids rise along the ring. */
static struct event *first_after(const struct ring *r, uint64_t after)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		const size_t middle = (low + high) / 2;

		if (nth(r, middle)->id <= after)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->n ? nth(r, low) : NULL;
}

enum events_outcome events_next(struct events *ev, uint64_t after, struct event **out)
{
	enum events_outcome got = EVENTS_NONE;
	struct event *kept, *traffic;

	*out = NULL;
	pthread_mutex_lock(&ev->lock);
	kept = first_after(&ev->kept, after);
	traffic = first_after(&ev->traffic, after);
	if (after < ev->lost || after > ev->newest) {
		got = EVENTS_GAP;
	} else if (kept || traffic) {
		got = EVENTS_ONE;
		*out = !kept || (traffic && traffic->id < kept->id) ? traffic : kept;
		(*out)->refs++;
	}
	pthread_mutex_unlock(&ev->lock);
	return got;
}

void event_put(struct events *ev, struct event *e)
{
	struct event *gone;

	pthread_mutex_lock(&ev->lock);
	gone = unref(e);
	pthread_mutex_unlock(&ev->lock);
	if (gone)
		event_free(gone);
}

bool event_visible(const struct event *e, const struct svc_actor *a)
{
	if (a->role >= SVC_ROLE_AUDITOR || e->type == EVENT_TRAFFIC)
		return true;
	return ulid_equal(&e->user_id, &a->user_id);
}

const char *event_text(struct events *ev, struct event *e,
	char *(*encode)(const struct event *e, size_t *len), void (*release)(void *text),
	size_t *len)
{
	pthread_mutex_lock(&ev->text_lock);
	if (!e->text) {
		e->release = release;
		e->text = encode(e, &e->len);
	}
	pthread_mutex_unlock(&ev->text_lock);
	*len = e->len;
	return e->text;
}

/* ---- the view of a round ---- */

static uint64_t bytes_of(const struct moved *m)
{
	return m->rx_bytes + m->tx_bytes;
}

/* top is a heap with its smallest in front while it is gathered. */
static void sift_down(struct moved *top, size_t n, size_t i)
{
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		const struct moved was = top[i];

		if (child + 1 < n && bytes_of(&top[child + 1]) < bytes_of(&top[child]))
			child++;
		if (bytes_of(&was) <= bytes_of(&top[child]))
			return;
		top[i] = top[child];
		top[child] = was;
	}
}

static int greatest_first(const void *a, const void *b)
{
	const uint64_t x = bytes_of(a), y = bytes_of(b);

	if (x != y)
		return x < y ? 1 : -1;
	return memcmp(a, b, sizeof(struct ulid));
}

void moved_view(const struct moved *m, size_t n, const struct ulid *user, struct moved_view *out)
{
	out->rx_bytes = out->tx_bytes = 0;
	out->n_devices = out->n_top = 0;
	for (size_t i = 0; i < n; i++) {
		if (user && !ulid_equal(&m[i].user_id, user))
			continue;
		out->rx_bytes += m[i].rx_bytes;
		out->tx_bytes += m[i].tx_bytes;
		out->n_devices++;
		if (out->n_top < EVENTS_TOP) {
			out->top[out->n_top++] = m[i];
			for (size_t j = out->n_top / 2; out->n_top == EVENTS_TOP && j-- > 0;)
				sift_down(out->top, out->n_top, j);
		} else if (bytes_of(&m[i]) > bytes_of(&out->top[0])) {
			out->top[0] = m[i];
			sift_down(out->top, out->n_top, 0);
		}
	}
	qsort(out->top, out->n_top, sizeof(out->top[0]), greatest_first);
}
