/* Short waits are counted, long yields are paid for. */
#include "io/moderation.h"

void moderation_begin(struct moderation *m, uint64_t now)
{
	if (now - m->idle_since > MODERATION_CLOSE_NS)
		m->close = 0;
	else if (m->close < MODERATION_TURNS)
		m->close++;
}

static void count(struct moderation *m, const struct moderation_turn *t, uint64_t now)
{
	const uint64_t since = now - m->window;

	m->single += t->single;
	m->joined += t->joined;
	if (since < MODERATION_WINDOW_NS)
		return;
	m->gap = m->single > m->joined ? since / m->single : 0;
	m->single = m->joined = 0;
	m->window = now;
}

bool moderation_end(struct moderation *m, const struct moderation_turn *t, uint64_t now)
{
	count(m, t, now);
	m->idle_since = now;
	return !t->more && m->close == MODERATION_TURNS && now >= m->spared_until;
}

static uint64_t rest(const struct moderation *m)
{
	const uint64_t batch = m->gap * MODERATION_BATCH;

	if (m->gap > MODERATION_DENSE_NS || batch < MODERATION_REST_MIN_NS)
		return 0;
	return batch < MODERATION_REST_MAX_NS ? batch : MODERATION_REST_MAX_NS;
}

uint64_t moderation_back(struct moderation *m, uint64_t now)
{
	const uint64_t took = now - m->idle_since;

	m->idle_since = now;
	if (took > MODERATION_LATE_NS)
		m->spared_until = now + took * MODERATION_SPARED;
	return took < MODERATION_ALONE_NS ? rest(m) : 0;
}

void moderation_rested(struct moderation *m, uint64_t now)
{
	m->idle_since = now;
}
