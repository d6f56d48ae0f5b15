/* Devices and credentials that end by themselves. */
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "session/loop.h"

void expiry_note(struct coordinator *c, int64_t expires_at)
{
	if (expires_at && expires_at < c->next_expiry)
		c->next_expiry = expires_at;
}

/* One pass over everything: thousands may end at once. */
struct pass {
	struct coordinator *c;
	int64_t now;
};

static bool is_due(int64_t expires_at, int64_t now)
{
	return expires_at && expires_at <= now;
}

static int expire(void *arg, struct dir_device *dev)
{
	const struct pass *p = arg;
	char id[ULID_TEXT];
	if (is_due(dev->conf.expires_at, p->now)) {
		log_info("session", "device dev_%s: expired", ulid_format(&dev->conf.id, id));
		coordinator_drop_device(p->c, dev, NULL, SESSION_END_EXPIRED);
		return 0;
	}
	expiry_note(p->c, dev->conf.expires_at);
	for (struct dir_credential *cr = dev->credentials, *next; cr; cr = next) {
		next = cr->next;
		if (is_due(cr->conf.expires_at, p->now)) {
			log_info("session", "credential crd_%s: expired",
				ulid_format(&cr->conf.id, id));
			coordinator_drop_credential(p->c, cr, NULL, SESSION_END_EXPIRED);
		} else {
			expiry_note(p->c, cr->conf.expires_at);
		}
	}
	return 0;
}

void expiry_tick(struct coordinator *c)
{
	struct pass p = {.c = c, .now = clock_real_ms(&c->conf.clock)};
	if (p.now < c->next_expiry)
		return;
	c->next_expiry = INT64_MAX;
	(void)directory_each_device(c->dir, expire, &p);
}
