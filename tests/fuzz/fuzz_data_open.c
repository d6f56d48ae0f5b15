/*
 * The data path with the keys in hand. The input is a list of steps, each: one byte what, one byte
 * length n, n bytes. A step seals mutated plaintext and gives it to fwd_rx, gives raw bytes to
 * fwd_rx, gives raw bytes to fwd_tx, rekeys, revokes, or lets time pass.
 *
 * Delivered must be only what was sealed with a live key, from the peer's own address, and once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fwd/fwd.h"
#include "uapi/uapi.h"
#include "wire/wg_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

enum { SEAL, SEAL_AT, RAW, TX, REKEY, REVOKE, WAIT, STEPS };

struct world {
	struct fwd *f;
	struct aead_key *key; /* the device's sealing side */
	uint32_t index;
	uint64_t now, seq, counter;
	uint32_t credential;
};

static const struct ip_addr addr4 = {IP_V4, {10, 0, 0, 2}}, addr6 = {IP_V6, {0xfd, [15] = 2}};

static bool on_event(void *arg, const struct fwd_event *e)
{
	(void)arg;
	return e->seq % 5 != 4; /* now and then it can't be taken */
}

static void on_send(void *arg, struct fwd_packet *p)
{
	(void)arg;
	REQUIRE(p->len == 32 && wire_le32(p->data) == WG_DATA);
}

static void rekey(struct world *w, uint8_t how)
{
	struct fwd_session s = {.peer = 1,
		.seq = ++w->seq,
		.protocol = UAPI_WIREGUARD,
		.role = how & 1,
		.cipher = AEAD_CHACHA20_POLY1305,
		.transport = UAPI_UDP,
		.local_index = (uint32_t)w->seq,
		.remote_index = 5,
		.path = {.remote = {{IP_V4, {192, 0, 2, 1}}, 1, 0}}};

	s.credential.bytes[0] = how & 2 ? 1 : 2;
	memset(s.open, (int)w->seq, sizeof(s.open));
	REQUIRE(fwd_session_set(w->f, &s, w->now) == 0);
	REQUIRE(fwd_session_set(w->f, &s, w->now) == -EALREADY);
	aead_key_free(w->key);
	REQUIRE(aead_key_new(&w->key, AEAD_CHACHA20_POLY1305, s.open, true) == 0);
	w->index = s.local_index;
	w->counter = 0;
}

static void check_delivered(const struct fwd_packet *p, uint32_t max)
{
	const bool v4 = p->data[0] >> 4 == 4;

	REQUIRE(p->len >= 20 && p->len <= max && p->peer == 1);
	REQUIRE(v4 ? !memcmp(p->data + 12, addr4.bytes, 4) : !memcmp(p->data + 8, addr6.bytes, 16));
}

/* Exact heap blocks, so that the sanitizer sees every byte too far. */
static uint8_t rx(struct world *w, const uint8_t *datagram, uint32_t len)
{
	uint8_t *block = malloc(FWD_HEADROOM + len + FWD_TAILROOM);
	struct fwd_packet p = {.data = block + FWD_HEADROOM,
		.len = len,
		.path = {.remote = {{IP_V4, {192, 0, 2, (uint8_t)len}}, 7, 0}}};

	REQUIRE(block);
	memcpy(p.data, datagram, len);
	fwd_enter(w->f, 0);
	fwd_rx(w->f, 0, &p, 1, w->now);
	fwd_leave(w->f, 0);
	REQUIRE(p.verdict != FWD_NONE);
	if (p.verdict == FWD_DELIVER)
		check_delivered(&p, len - 32);
	free(block);
	return p.verdict;
}

static void seal(struct world *w, const uint8_t *plain, uint32_t n, uint64_t counter)
{
	uint8_t d[16 + 256 + 16] = {WG_DATA};
	struct aead_op op = {.text = d + 16, .len = n, .tag = d + 16 + n};

	wire_put_le32(d + 4, w->index);
	wire_put_le64(d + 8, counter);
	wire_put_le64(op.nonce + 4, counter);
	memcpy(d + 16, plain, n);
	aead_seal_batch(w->key, &op, 1);
	uint8_t first = rx(w, d, n + 32);
	REQUIRE(first != FWD_BAD_TAG && first != FWD_MALFORMED);
	uint8_t second = rx(w, d, n + 32);
	REQUIRE(second == FWD_REPLAY || second == first);
	REQUIRE(second != FWD_DELIVER && second != FWD_KEEPALIVE);
}

static void tx(struct world *w, const uint8_t *inner, uint32_t n)
{
	uint8_t *block = malloc(FWD_HEADROOM + n + FWD_TAILROOM);
	struct fwd_packet p = {.data = block + FWD_HEADROOM, .len = n};

	REQUIRE(block);
	memcpy(p.data, inner, n);
	fwd_enter(w->f, 0);
	fwd_tx(w->f, 0, &p, 1, w->now);
	REQUIRE(p.verdict != FWD_SEND || (p.len >= 52 && p.len <= n + 15 + 32));
	p = (struct fwd_packet){.data = block + FWD_HEADROOM};
	fwd_unstage(w->f, 0, &p, 1, n, w->now);
	fwd_leave(w->f, 0);
	free(block);
}

static void step(struct world *w, uint8_t what, const uint8_t *p, uint32_t n)
{
	const struct fwd_tick_ops ops = {on_event, on_send, NULL};
	struct ulid credential = {{n ? p[0] % 3 : 0}};

	switch (what % STEPS) {
	case SEAL:
		seal(w, p, n, w->counter++);
		return;
	case SEAL_AT:
		if (n > 8)
			seal(w, p + 8, n - 8, wire_le64(p));
		return;
	case RAW:
		rx(w, p, n);
		return;
	case TX:
		tx(w, p, n);
		return;
	case REKEY:
		rekey(w, n ? p[0] : 0);
		return;
	case REVOKE:
		REQUIRE(fwd_session_del(w->f, 1, &credential) == 0);
		return;
	case WAIT:
		w->now += (uint64_t)n * n * 10;
		fwd_tick(w->f, w->now, &ops);
		return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fwd_limits limits = {4, 64, 4, 1, 8, 300};
	struct world w = {.now = 1};

	static bool ready;

	REQUIRE(ready || aead_init() == 0);
	ready = true;
	REQUIRE(fwd_new(&w.f, &limits) == 0);
	REQUIRE(fwd_peer_set(w.f, 1, &addr4, &addr6) == 0);
	rekey(&w, 0);
	while (size >= 2) {
		const uint8_t what = data[0];
		const uint32_t n = data[1] < size - 2 ? data[1] : (uint32_t)(size - 2);
		step(&w, what, data + 2, n);
		data += 2 + n;
		size -= 2 + n;
	}
	aead_key_free(w.key);
	fwd_free(w.f);
	return 0;
}
