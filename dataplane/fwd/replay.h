/*
 * The replay window of RFC 6479: a ring of 64-bit blocks that is cleared forward, never shifted.
 *
 *      blocks   [ .. | oldest usable | ... | newest ]      128 blocks of 64 bits
 *                 ^ being cleared next, so one block less can be asked: 127 * 64 = 8128
 *
 * Not synchronised: the session's receiving side owns it.
 */
#ifndef FWD_REPLAY_H
#define FWD_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	REPLAY_BLOCKS = 128,
	REPLAY_WINDOW = (REPLAY_BLOCKS - 1) * 64, /* how far below the greatest one may be */
};

struct replay {
	uint64_t next; /* one more than the greatest counter accepted, 0: none yet */
	uint64_t ring[REPLAY_BLOCKS];
};

/* Call only for an authenticated packet. True: the counter is new and now taken. False: seen
 * before, older than the window, or at or above WG_REJECT_AFTER_MESSAGES. */
bool replay_take(struct replay *r, uint64_t counter);

#endif
