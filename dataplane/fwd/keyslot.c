/* The slot rules. Sessions are only moved here, never freed. */
#include "fwd/keyslot.h"

#include "base/compiler.h"
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

bool keyslot_has_out(const struct keyslots *k)
{
	return get(&k->out);
}

bool keyslots_empty(const struct keyslots *k)
{
	return !get(&k->current) && !get(&k->next) && !get(&k->previous) && !get(&k->out);
}

static bool of_other(const struct session *s, const struct session *than)
{
	return s && !ulid_equal(&s->credential, &than->credential);
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
	leave(k, &k->next);
	leave(k, &k->previous);
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

bool keyslot_promote(struct keyslots *k, struct session *s)
{
	if (get(&k->next) != s)
		return s == get(&k->current) || s == get(&k->previous);
	leave_others(k, s);
	leave(k, &k->previous);
	put(&k->previous, get(&k->current));
	put(&k->current, s);
	put(&k->next, NULL);
	return true;
}

uint32_t keyslot_drop(struct keyslots *k, const struct ulid *credential)
{
	_Atomic(struct session *) *const slots[] = {&k->current, &k->next, &k->previous};
	uint32_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		struct session *s = get(slots[i]);
		if (!s || (credential && !ulid_equal(&s->credential, credential)))
			continue;
		leave(k, slots[i]);
		n++;
	}
	return n;
}

void keyslot_expire(struct keyslots *k, uint64_t now)
{
	_Atomic(struct session *) *const slots[] = {&k->current, &k->next, &k->previous};

	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		struct session *s = get(slots[i]);
		if (s && !session_young(s, now))
			leave(k, slots[i]);
	}
}

struct session *keyslot_take_out(struct keyslots *k)
{
	struct session *list = get(&k->out);

	put(&k->out, NULL);
	return list;
}
