/* HMAC-SHA256 over everything that is bound, cut to the eight bytes of a session id. */
#include "ovpn/cookie.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/secret.h"
#include "ovpn/ovpn_crypto.h"

int cookie_secret_init(struct cookie_secret *c)
{
	return secret_random(c->key, sizeof(c->key));
}

void cookie_secret_wipe(struct cookie_secret *c)
{
	secret_wipe(c, sizeof(*c));
}

static int of_slot(const struct cookie_secret *c, const struct path *from,
	const uint8_t client_sid[OVPN_SID], uint64_t slot, uint8_t out[OVPN_SID])
{
	uint8_t bound[64], mac[OVPN_MAC];
	struct writer w = writer_init(bound, sizeof(bound));

	writer_u64(&w, slot);
	writer_u8(&w, from->listener);
	writer_u8(&w, from->remote.addr.family);
	writer_bytes(&w, from->remote.addr.bytes, sizeof(from->remote.addr.bytes));
	writer_u32(&w, from->remote.scope_id);
	writer_u16(&w, from->remote.port);
	writer_bytes(&w, client_sid, OVPN_SID);
	if (writer_end(&w) < 0 || ovpn_hmac(mac, c->key, bound, writer_len(&w), NULL, 0) < 0)
		return -EIO;
	memcpy(out, mac, OVPN_SID);
	return 0;
}

int cookie_make(const struct cookie_secret *c, const struct path *from,
	const uint8_t client_sid[OVPN_SID], uint64_t mono_ms, uint8_t out[OVPN_SID])
{
	return of_slot(c, from, client_sid, mono_ms / COOKIE_SLOT_MS, out);
}

bool cookie_good(const struct cookie_secret *c, const struct path *from,
	const uint8_t client_sid[OVPN_SID], uint64_t mono_ms, const uint8_t sid[OVPN_SID])
{
	const uint64_t slot = mono_ms / COOKIE_SLOT_MS;
	uint8_t want[OVPN_SID];
	bool good = false;

	for (uint64_t age = 0; age < COOKIE_SLOTS && age <= slot; age++)
		if (of_slot(c, from, client_sid, slot - age, want) == 0)
			good |= secret_equal(want, sid, OVPN_SID);
	return good;
}
