/* Short waits are counted, long yields are paid for. */
#include "io/moderation.h"

void moderation_begin(struct moderation *m, uint64_t now)
{
	if (now - m->idle_since > MODERATION_CLOSE_NS)
		m->close = 0;
	else if (m->close < MODERATION_TURNS)
		m->close++;
}

bool moderation_end(struct moderation *m, bool more, uint64_t now)
{
	m->idle_since = now;
	return !more && m->close == MODERATION_TURNS && now >= m->rest_until;
}

void moderation_back(struct moderation *m, uint64_t now)
{
	const uint64_t took = now - m->idle_since;

	m->idle_since = now;
	if (took > MODERATION_LATE_NS)
		m->rest_until = now + took * MODERATION_REST;
}
