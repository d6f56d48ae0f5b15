/*
 * Whether a worker steps back before it waits for more: what interrupt moderation is for a network
 * card, without its timer.
 *
 *   turn, wait, turn, wait, turn   packets come one by one, and each wakes the worker
 *   turn, yield     , turn         others on this processor go on first; what they send meanwhile
 *                                  wakes nobody, and is one batch
 *
 * Who sends one packet at a time leaves nothing to batch to a worker that is always there at once:
 * then most of the time goes into waking and sleeping, on both sides. A yield costs next to nothing
 * where nobody else wants the processor, and is only made while turns follow each other closely:
 * a lone packet goes on at once. A yield that lasts, because somebody computes, delays packets:
 * after such a one there are none for a multiple of the time. Pure.
 */
#ifndef IO_MODERATION_H
#define IO_MODERATION_H

#include <stdbool.h>
#include <stdint.h>

enum {
	MODERATION_CLOSE_NS = 1000 * 1000, /* a wait that is shorter is a short one */
	MODERATION_TURNS = 8,		   /* that begin after short waits, one after the other */
	MODERATION_LATE_NS = 8000 * 1000,  /* a yield that takes longer was too long */
	MODERATION_REST = 4,		   /* times its length there are none after it */
};

/* Times are of one clock, in nanoseconds. All zero: nothing has come yet. */
struct moderation {
	uint64_t idle_since; /* end of the last turn, or of the yield after it */
	uint64_t rest_until;
	uint32_t close; /* turns after short waits; MODERATION_TURNS is as good as more */
};

/* Something has come. */
void moderation_begin(struct moderation *m, uint64_t now);
/* It has been dealt with. More: not all of it, a source had more than one turn takes.
 * Returns: whether to yield; then moderation_back is called after it. */
bool moderation_end(struct moderation *m, bool more, uint64_t now);
void moderation_back(struct moderation *m, uint64_t now);

#endif
