/*
 * Sessions whose client is not authorised yet: bounded in total and for one source. When there is
 * no room, the one that came least far gives way, of those the oldest; but not one that has our
 * certificate and had not time to show his own.
 */
#ifndef OVPN_HALFOPEN_H
#define OVPN_HALFOPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "base/compiler.h"

enum { HALF_OPEN_GRACE_MS = 5 * 1000 };

enum half_open_progress {
	HALF_OPEN_SILENT, /* no TLS byte, or it failed */
	HALF_OPEN_BYTES,  /* some, but not a whole ClientHello */
	HALF_OPEN_HELLO,  /* our flight is out */
	HALF_OPEN_VERIFIED,
	HALF_OPEN_PROGRESSES
};

struct half_open_source;
/* In a session; zeroed is none. */
struct half_open {
	TAILQ_ENTRY(half_open) by_progress, by_source;
	struct half_open_source *source;
	enum half_open_progress progress;
	uint64_t since_ms;
};
TAILQ_HEAD(half_open_list, half_open);

struct half_opens {
	struct half_open_list lists[HALF_OPEN_PROGRESSES]; /* oldest first */
	struct half_open_source *sources;
	size_t n;
};

void half_opens_init(struct half_opens *h);
/* Makes sure of room for one from there: *victim, when not NULL, has to be removed first. Returns:
 * 0, -EBUSY (nobody can give way). */
int half_opens_room(struct half_opens *h, const struct ip_addr *from, uint64_t now_ms,
	struct half_open **victim) must_check;
/* Returns: 0, -ENOMEM. */
int half_opens_add(struct half_opens *h, struct half_open *o, const struct ip_addr *from,
	uint64_t now_ms) must_check;
void half_opens_progress(struct half_opens *h, struct half_open *o, enum half_open_progress to);
void half_opens_remove(struct half_opens *h, struct half_open *o); /* also when it is none */
bool half_open_is(const struct half_open *o);

#endif
