/* RFC 6479, section 3, with 64-bit counters. */
#include "fwd/replay.h"

#include "wire/wg_wire.h"

/* Moves the window's upper end to counter; what it skips over is unseen. */
static void advance(struct replay *r, uint64_t counter)
{
	uint64_t to = counter / 64;
	uint64_t steps = r->next ? to - (r->next - 1) / 64 : REPLAY_BLOCKS;

	if (steps > REPLAY_BLOCKS)
		steps = REPLAY_BLOCKS;
	for (uint64_t i = 0; i < steps; i++)
		r->ring[(to - i) % REPLAY_BLOCKS] = 0;
	r->next = counter + 1;
}

bool replay_take(struct replay *r, uint64_t counter)
{
	if (counter >= WG_REJECT_AFTER_MESSAGES)
		return false;
	if (counter >= r->next)
		advance(r, counter);
	else if (r->next - 1 - counter > REPLAY_WINDOW)
		return false;

	uint64_t bit = 1ull << (counter % 64);
	uint64_t *block = &r->ring[counter / 64 % REPLAY_BLOCKS];
	if (*block & bit)
		return false;
	*block |= bit;
	return true;
}
