/*
 * Raw datagrams into the engine while it waits for an answer. The first byte is the harness's: bit
 * 0 makes mac1 right, so that what lies behind it is reached.
 *
 * The input does not know any private key, so nothing but the recorded initiation of the corpus can
 * make a session, and nothing may cost an index or stop the attempt.
 */
#include <stdlib.h>

#include "tests/unit/wg/wg_fixture.h"
#include "wg/noise.h"

static struct fixture_indices ix;
static struct wg_engine *engine;
static struct noise_identity self;

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void begin(void)
{
	uint8_t key[32];
	uint8_t peer[32];
	const uint8_t psk[32] = {0};
	const struct path path = {.listener = 0};
	const struct ulid id = fixture_id(1);
	struct wg_ops ops = fixture_ops(&ix);
	struct keystore *ks;
	struct wg_out out;

	memset(key, 0x11, sizeof(key));
	ks = fixture_keystore(key);
	memcpy(peer, keystore_wg_public(ks), 32);
	keystore_free(ks);
	memset(key, 0x22, sizeof(key));
	ks = fixture_keystore(key);
	need(wg_engine_new(&engine, ks, &ops) == 0);
	need(noise_identity_init(&self, keystore_wg_public(ks)) == 0);
	need(wg_engine_peer_set(engine, &id, peer, psk, NULL) == 0);
	need(wg_engine_initiate(engine, &id, &path, 1000, 1, &out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct path path = {.listener = 0};
	uint8_t *datagram;
	struct wg_result r;

	if (!engine)
		begin();
	if (size < 1)
		return 0;
	/* A copy of just the size, so that a read behind it is seen. */
	datagram = malloc(size - 1 ? size - 1 : 1);
	need(datagram);
	memcpy(datagram, data + 1, size - 1);
	if (data[0] & 1 && size > 32)
		need(noise_mac_seal(datagram, size - 1, &self, NULL) == 0);
	wg_engine_input(engine, datagram, size - 1, &path, 2000, &r);
	need(r.verdict < WG_VERDICT_COUNT && r.verdict != WG_INTERNAL && r.verdict != WG_NO_INDEX);
	if (r.verdict == WG_SESSION) {
		need(!r.initiator && r.reply_len == sizeof(struct wg_response));
		fixture_release(&ix, r.local_index);
	}
	need(ix.live == 1);
	wg_result_wipe(&r);
	free(datagram);
	return 0;
}
