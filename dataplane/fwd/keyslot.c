/* The slot rules. Sessions are only moved here, never freed. */
#include "fwd/keyslot.h"

#include "base/compiler.h"
#include "fwd/counter.h"
#include "fwd/session.h"

static struct session *get(const _Atomic(struct session *) *slot)
{
	return atomic_load_explicit(slot, memory_order_acquire);
}

static void put(_Atomic(struct session *) *slot, struct session *s)
{
	atomic_store_explicit(slot, s, memory_order_release);
}

static void leave(struct keyslots *k, _Atomic(struct session *) *slot)
{
	struct session *s = get(slot);

	if (!s)
		return;
	put(slot, NULL);
	atomic_store_explicit(&s->dead, true, memory_order_release);
	s->next = get(&k->out);
	put(&k->out, s);
}

struct session *keyslot_current(const struct keyslots *k)
{
	return get(&k->current);
}

struct session *keyslot_next(const struct keyslots *k)
{
	return get(&k->next);
}

struct session *keyslot_in_use(const struct keyslots *k)
{
	struct session *current = get(&k->current), *next = get(&k->next);

	if (current)
		return current;
	return next && session_is_ovpn(next) ? next : NULL;
}

struct session *keyslot_farewell(const struct keyslots *k)
{
	struct session *const s[] = {get(&k->current), get(&k->next), get(&k->previous)};

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		if (s[i] && atomic_load_explicit(&s[i]->farewell, memory_order_acquire))
			return s[i];
	return NULL;
}

bool keyslot_has_out(const struct keyslots *k)
{
	return get(&k->out);
}

bool keyslots_empty(const struct keyslots *k)
{
	return !get(&k->current) && !get(&k->next) && !get(&k->previous) && !get(&k->out);
}

static bool same_tunnel(const struct session *a, const struct session *b)
{
	return ulid_equal(&a->about.tunnel, &b->about.tunnel);
}

/* A WireGuard tunnel has no beginning that both sides know, so there the credential tells. */
static bool of_other(const struct session *s, const struct session *than)
{
	if (!s)
		return false;
	if ((session_is_ovpn(s) || session_is_ovpn(than)) && !same_tunnel(s, than))
		return true;
	return !ulid_equal(&s->credential, &than->credential);
}

/* The newest session wins: one device, whichever of its credentials spoke last. */
static void leave_others(struct keyslots *k, const struct session *winner)
{
	if (of_other(get(&k->current), winner))
		leave(k, &k->current);
	if (of_other(get(&k->next), winner))
		leave(k, &k->next);
	if (of_other(get(&k->previous), winner))
		leave(k, &k->previous);
}

void keyslot_install_responder(struct keyslots *k, struct session *s)
{
	struct session *next = get(&k->next);

	if (session_is_ovpn(s) && next && same_tunnel(next, s)) {
		leave(k, &k->previous);
		put(&k->previous, next);
	} else {
		leave(k, &k->next);
		if (!session_is_ovpn(s))
			leave(k, &k->previous);
	}
	put(&k->next, s);
}

void keyslot_install_initiator(struct keyslots *k, struct session *s)
{
	leave_others(k, s);
	struct session *next = get(&k->next), *old = get(&k->current);

	leave(k, &k->previous);
	if (next) {
		put(&k->previous, next);
		put(&k->next, NULL);
		leave(k, &k->current);
	} else {
		put(&k->previous, old);
	}
	put(&k->current, s);
}

/* Whether a is of the two the one that still receives. */
static bool newer(const struct session *a, const struct session *b)
{
	return a && session_is_ovpn(a) && (!b || a->seq > b->seq);
}

/* A rekey came before this one was used, and moved it here from next. */
static bool overtaken(const struct keyslots *k, const struct session *s)
{
	return s == get(&k->previous) && newer(s, get(&k->current));
}

static void promote_overtaken(struct keyslots *k, struct session *s)
{
	put(&k->previous, get(&k->current));
	put(&k->current, s);
}

static void promote_next(struct keyslots *k, struct session *s)
{
	leave_others(k, s);
	if (newer(get(&k->previous), get(&k->current))) {
		leave(k, &k->current);
	} else {
		leave(k, &k->previous);
		put(&k->previous, get(&k->current));
	}
	put(&k->current, s);
	put(&k->next, NULL);
}

bool keyslot_promote(struct keyslots *k, struct session *s)
{
	if (get(&k->next) == s)
		promote_next(k, s);
	else if (overtaken(k, s))
		promote_overtaken(k, s);
	else
		return s == get(&k->current) || s == get(&k->previous);
	return true;
}

struct session *keyslot_find(const struct keyslots *k, uint64_t seq)
{
	struct session *const s[] = {get(&k->current), get(&k->next), get(&k->previous)};

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		if (s[i] && s[i]->seq == seq)
			return s[i];
	return NULL;
}

uint32_t keyslot_drop(struct keyslots *k, const struct ulid *credential)
{
	_Atomic(struct session *) *const slots[] = {&k->current, &k->next, &k->previous};
	uint32_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		const struct session *s = get(slots[i]);
		if (!s || (credential && !ulid_equal(&s->credential, credential)))
			continue;
		leave(k, slots[i]);
		n++;
	}
	return n;
}

void keyslot_drop_tunnel(struct keyslots *k, const struct ulid *tunnel)
{
	_Atomic(struct session *) *const slots[] = {&k->current, &k->next, &k->previous};

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		const struct session *s = get(slots[i]);
		if (s && ulid_equal(&s->about.tunnel, tunnel))
			leave(k, slots[i]);
	}
}

void keyslot_drop_connection(struct keyslots *k, uint32_t connection)
{
	_Atomic(struct session *) *const slots[] = {&k->current, &k->next, &k->previous};

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		const struct session *s = get(slots[i]);
		if (s && s->connection == connection)
			leave(k, slots[i]);
	}
}

/* Since when a session has been previous is seen here, so that the packet path need not note it. */
static bool lingered(struct session *s, bool previous, uint64_t now)
{
	if (!previous || !session_is_ovpn(s))
		s->retired = 0;
	else if (!s->retired)
		s->retired = now + 1;
	return s->retired && elapsed(now, s->retired - 1) >= KEYSLOT_LINGER_MS;
}

void keyslot_expire(struct keyslots *k, uint64_t now)
{
	_Atomic(struct session *) *const slots[] = {&k->current, &k->next, &k->previous};

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		struct session *s = get(slots[i]);
		if (s && (!session_young(s, now) || lingered(s, slots[i] == &k->previous, now) ||
				 (session_is_ovpn(s) && session_used_up(s))))
			leave(k, slots[i]);
	}
}

struct session *keyslot_take_out(struct keyslots *k)
{
	struct session *list = get(&k->out);

	put(&k->out, NULL);
	return list;
}
