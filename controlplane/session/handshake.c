/*
 * Between WireGuard's engine and the door: datagrams in, keys out, and only then the answer.
 *
 *   punt -> engine -> install_keys -> acknowledged -> REINJECT of the response
 *   rekey wanted, dataplane restarted -> engine -> REINJECT of an initiation
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "session/loop.h"
#include "wire/classify.h"

uint64_t loop_now(struct coordinator *c)
{
	return clock_mono_ms(&c->conf.clock);
}

/* The dataplane steers by index, and a device's old and new keys are in use at once for a moment:
 * with the same lane they are one worker's, and no packet overtakes another. */
uint32_t handshake_index_alloc(void *arg, const struct ulid *credential)
{
	struct coordinator *c = arg;
	const struct dir_credential *cr = directory_credential(c->dir, credential);
	const uint32_t lane = cr ? index_lane(&cr->device->conf.addr4) : 0;
	return c->indices ? index_pool_alloc(c->indices, lane, loop_now(c)) : 0;
}

void handshake_index_free(void *arg, uint32_t index)
{
	struct coordinator *c = arg;
	if (c->indices)
		index_pool_release(c->indices, index, loop_now(c));
}

static void note_greatest(
	struct coordinator *c, const struct ulid *credential, const uint8_t *stamp)
{
	if (c->n_greatest == c->cap_greatest) {
		const size_t cap = c->cap_greatest ? 2 * c->cap_greatest : 64;
		struct credential_state *grown = realloc(c->greatest, cap * sizeof(*grown));
		if (!grown)
			return; /* not stored: an old initiation may be replayed once after a
				   restart */
		c->greatest = grown;
		c->cap_greatest = cap;
	}
	struct credential_state *s = &c->greatest[c->n_greatest++];
	s->credential_id = *credential;
	memcpy(s->wg_greatest, stamp, sizeof(s->wg_greatest));
}

static int install(struct coordinator *c, struct dir_credential *cr, const struct path *path,
	const struct wg_result *res)
{
	struct new_keys n cleanup(new_keys_wipe) = {
		.set = {.protocol = UAPI_WIREGUARD,
			.role = res->initiator ? UAPI_INITIATOR : UAPI_RESPONDER,
			.cipher = AEAD_CHACHA20_POLY1305,
			.transport = UAPI_UDP,
			.local_index = res->local_index,
			.remote_index = res->remote_index,
			.path = *path},
		.reply = res->reply,
		.reply_len = res->reply_len,
	};
	memcpy(n.set.seal, res->seal, sizeof(n.set.seal));
	memcpy(n.set.open, res->open, sizeof(n.set.open));
	return install_keys(c, cr, &n);
}

static void on_datagram(
	struct coordinator *c, const struct path *from, const uint8_t *datagram, size_t len)
{
	struct wg_result res;
	wg_engine_input(c->wg, datagram, len, from, loop_now(c), &res);
	c->handshakes[res.verdict]++;
	if (res.verdict == WG_SESSION) {
		struct dir_credential *cr = directory_credential(c->dir, &res.credential);
		int r = cr ? install(c, cr, from, &res) : -ENOENT;
		if (r < 0) {
			log_warn("session", "a handshake came to nothing: %s", strerror(-r));
			handshake_index_free(c, res.local_index);
		}
	} else if (res.verdict != WG_COOKIE) {
		char at[ENDPOINT_TEXT];
		log_debug("session", "%s: handshake refused: %s",
			endpoint_format(&from->remote, at), wg_verdict_name(res.verdict));
	}
	/* Used up, whatever came of it. */
	if (!secret_is_zero(res.greatest, sizeof(res.greatest)))
		note_greatest(c, &res.credential, res.greatest);
	wg_result_wipe(&res);
}

void handshake_on_punt(void *arg, const struct path *from, const uint8_t *datagram, size_t len)
{
	struct coordinator *c = arg;
	if (c->link == LINK_DOWN)
		return;
	switch (wire_classify(datagram, len)) {
	case WIRE_WG_HANDSHAKE:
		on_datagram(c, from, datagram, len);
		break;
	case WIRE_OVPN_CONTROL:
		channels_on_punt(c, from, datagram, len);
		break;
	case WIRE_GARBAGE:
	case WIRE_WG_DATA:
	case WIRE_OVPN_DATA:
		break;
	}
}

/* The credential to call a device by: the one that it last came with. */
static struct dir_credential *last_credential(
	struct coordinator *c, struct dir_device *dev, struct live *l)
{
	struct dir_credential *cr = directory_credential(c->dir, &l->state.credential);
	return cr && cr->device == dev && cr->conf.protocol == DIR_WIREGUARD ? cr : NULL;
}

void handshake_call(struct coordinator *c, struct dir_device *dev, const char *why)
{
	struct live *l = session_table_find(c->table, &dev->conf.id);
	if (!l || l->state.path.remote.addr.family == IP_NONE)
		return;
	struct dir_credential *cr = last_credential(c, dev, l);
	if (!cr)
		return;
	struct wg_out out;
	int r = wg_engine_initiate(c->wg, &cr->conf.id, &l->state.path, loop_now(c),
		clock_real_us(&c->conf.clock), &out);
	if (r == 0) {
		char id[ULID_TEXT];
		log_debug("session", "device dev_%s: calling it: %s",
			ulid_format(&dev->conf.id, id), why);
		dp_client_reinject(c->dp, &out.path, out.bytes, out.len);
	} else if (r != -EAGAIN) {
		log_warn("session", "an initiation was not made: %s", strerror(-r));
	}
}

void handshake_tick(struct coordinator *c)
{
	if (c->link != LINK_SYNCED)
		return;
	for (int i = 0; i < RECALLS_PER_TURN && c->n_recalls; i++) {
		struct dir_device *dev = directory_device(c->dir, &c->recalls[--c->n_recalls]);
		struct live *l = dev ? session_table_find(c->table, &dev->conf.id) : NULL;
		if (!l || l->up)
			continue;
		handshake_call(c, dev, "the dataplane was restarted");
		farewell_tell(c, dev);
	}
	farewell_tick(c);
	struct wg_out out;
	while (wg_engine_due(c->wg, loop_now(c), clock_real_us(&c->conf.clock), &out))
		dp_client_reinject(c->dp, &out.path, out.bytes, out.len);
}
