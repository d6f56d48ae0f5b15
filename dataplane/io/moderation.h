/*
 * Whether a worker steps back before it waits for more: what interrupt moderation is for a network
 * card.
 *
 *   turn, wait, turn, wait, turn   packets come one by one, and each wakes the worker
 *   turn, yield     , turn         others on this processor go on first; what they send meanwhile
 *                                  wakes nobody, and is one batch
 *   turn, yield, rest       , turn nobody else was there, and it is known how soon how many come
 *
 * Who sends one packet at a time leaves nothing to batch to a worker that is always there at once:
 * then most of the time goes into waking and sleeping, on both sides. A yield costs next to nothing
 * where nobody else wants the processor, and is only made while turns follow each other closely:
 * a lone packet goes on at once. A yield that lasts, because somebody computes, delays packets:
 * after such a one there are none for a multiple of the time.
 *
 * A rest takes a timer, which costs as much as several wake-ups, above all on virtual machines. So
 * there is one only while single packets come so densely that it saves more of them, and as long as
 * a good batch of them takes. What the kernel has joined is a batch already, and in a download the
 * acknowledgements that bring more of it had better be quick: when most packets come joined nobody
 * rests. Pure.
 */
#ifndef IO_MODERATION_H
#define IO_MODERATION_H

#include <stdbool.h>
#include <stdint.h>

enum {
	MODERATION_CLOSE_NS = 1000 * 1000,  /* a wait that is shorter is a short one */
	MODERATION_TURNS = 8,		    /* that begin after short waits, one after the other */
	MODERATION_LATE_NS = 8000 * 1000,   /* a yield that takes longer was too long */
	MODERATION_SPARED = 4,		    /* times its length there are none after it */
	MODERATION_WINDOW_NS = 500 * 1000,  /* over which packets are counted, at least */
	MODERATION_DENSE_NS = 40 * 1000,    /* from one packet to the next, at most, for a rest */
	MODERATION_BATCH = 32,		    /* packets that a rest waits for */
	MODERATION_REST_MIN_NS = 50 * 1000, /* a shorter one would not pay */
	MODERATION_REST_MAX_NS = 200 * 1000,
	MODERATION_ALONE_NS = 20 * 1000, /* a yield that was shorter: nobody else was there */
};

/* Times are of one clock, in nanoseconds. All zero: nothing has come yet. */
struct moderation {
	uint64_t idle_since; /* end of the last turn, or of what came after it */
	uint64_t spared_until;
	uint32_t close;		 /* turns after short waits; MODERATION_TURNS is as good as more */
	uint32_t single, joined; /* packets in this window */
	uint64_t window;	 /* when it began */
	uint64_t gap; /* in the last one, from one single packet to the next; 0: most were joined */
};

/* What a turn has dealt with. */
struct moderation_turn {
	uint32_t single; /* datagram messages, packets read alone, frames of a stream */
	uint32_t joined; /* packets of super-packets; of joined messages those after the first */
	bool more;	 /* not all of it: a source had more than one turn takes */
};

/* Something has come. */
void moderation_begin(struct moderation *m, uint64_t now);
/* It has been dealt with. Returns: whether to yield; then moderation_back is called after it. */
bool moderation_end(struct moderation *m, const struct moderation_turn *t, uint64_t now);
/* Returns: how long to rest now, 0: not at all; then moderation_rested is called after it. */
uint64_t moderation_back(struct moderation *m, uint64_t now);
void moderation_rested(struct moderation *m, uint64_t now);

#endif
