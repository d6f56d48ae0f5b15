/* A set-associative table, as caches are: the hash is keyed, so nobody can choose whose set he is
 * in. */
#include "ovpn/budget.h"

#include <errno.h>
#include <stdlib.h>

#include "base/secret.h"
#include "ovpn/source.h"

struct account {
	struct source source;
	uint16_t answers; /* since */
	uint64_t since_ms;
};

struct budget {
	uint64_t seed, factor;
	struct account sets[BUDGET_SETS][BUDGET_WAYS];
};

int budget_new(struct budget **out)
{
	struct budget *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	if (secret_random(&b->seed, sizeof(b->seed)) < 0 ||
		secret_random(&b->factor, sizeof(b->factor)) < 0) {
		free(b);
		return -EIO;
	}
	b->factor |= 1;
	*out = b;
	return 0;
}

void budget_free(struct budget *b)
{
	free(b);
}

static struct account *set_of(struct budget *b, const struct source *s)
{
	uint64_t h;

	memcpy(&h, s->net, sizeof(h));
	h = (h ^ b->seed ^ s->family) * b->factor;
	h = (h ^ h >> 29) * b->factor;
	return b->sets[(h ^ h >> 32) % BUDGET_SETS];
}

static bool is_over(const struct account *a, uint64_t now_ms)
{
	return a->answers == 0 || now_ms - a->since_ms >= BUDGET_WINDOW_MS;
}

/* The source's own, or the one that is missed least. */
static struct account *account_of(struct account *set, const struct source *s, uint64_t now_ms)
{
	struct account *least = set;

	for (struct account *a = set; a < set + BUDGET_WAYS; a++) {
		if (is_over(a, now_ms))
			a->answers = 0;
		else if (memcmp(&a->source, s, sizeof(*s)) == 0)
			return a;
		if (a->answers < least->answers)
			least = a;
	}
	*least = (struct account){.source = *s, .since_ms = now_ms};
	return least;
}

bool budget_take(struct budget *b, const struct ip_addr *from, uint64_t now_ms)
{
	const struct source s = source_of(from);
	struct account *a = account_of(set_of(b, &s), &s, now_ms);

	if (a->answers >= BUDGET_ANSWERS)
		return false;
	a->answers++;
	return true;
}
