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

static int note_device(void *arg, struct dir_device *dev)
{
	struct coordinator *c = arg;
	expiry_note(c, dev->conf.expires_at);
	for (struct dir_credential *cr = dev->credentials; cr; cr = cr->next)
		expiry_note(c, cr->conf.expires_at);
	return 0;
}

void expiry_tick(struct coordinator *c)
{
	const int64_t now = clock_real_ms(&c->conf.clock);
	if (now < c->next_expiry)
		return;
	struct dir_device *dev;
	struct dir_credential *cr;
	char id[ULID_TEXT];
	while (directory_expired(c->dir, now, &dev, &cr)) {
		if (cr) {
			log_info("session", "credential crd_%s: expired",
				ulid_format(&cr->conf.id, id));
			coordinator_drop_credential(c, cr, NULL);
		} else {
			log_info("session", "device dev_%s: expired",
				ulid_format(&dev->conf.id, id));
			coordinator_drop_device(c, dev, NULL);
		}
	}
	c->next_expiry = INT64_MAX;
	(void)directory_each_device(c->dir, note_device, c);
}
