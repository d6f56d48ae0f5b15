/*
 * The wrapper and the reliability layer with the key in hand. The input is a list of steps, each:
 * one byte what, one byte length n, n bytes. A step seals a mutated tail as the client would and
 * opens it, opens raw bytes, sends a message, or lets time pass; what was opened goes all the way
 * into one reliability layer.
 *
 * What was sealed must open to itself, once. Memory and pauses stay within their bounds whatever is
 * acknowledged.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "openssl_pool.h"
#include "ovpn/reliable.h"
#include "ovpn/wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	openssl_pool_init();
	return 0;
}

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

enum { SEALED, SEALED_AT, RAW, RAW_WKC, SEND, WAIT, STEPS };

struct world {
	struct ovpn_wrap client, server;
	struct reliable *r;
	uint64_t now;
	size_t baseline;
	bool was_sealed;
};

static unsigned long long runs, messages;

static void tell(void)
{
	fprintf(stderr, "stat::messages: %llu in %llu runs\n", messages, runs);
}

static void begin(struct world *w)
{
	static struct ovpn_key2 key;

	if (runs++ == 0) {
		REQUIRE(atexit(tell) == 0);
		REQUIRE(ovpn_wrap_global_init() == 0);
		for (size_t i = 0; i < OVPN_KEY2; i++)
			key.bytes[i] = (uint8_t)i;
	}
	*w = (struct world){.now = 1000000};
	ovpn_wrap_init(&w->client, &key, OVPN_CLIENT, 1, 0x5f000000);
	ovpn_wrap_init(&w->server, &key, OVPN_SERVER, 1, 0x5f000000);
	REQUIRE(reliable_new(&w->r) == 0);
	w->baseline = reliable_memory(w->r);
}

static void drain(struct world *w)
{
	const uint8_t *payload;
	struct ovpn_tail t;
	uint8_t op;
	size_t n;

	while (reliable_next(w->r, &op, &payload, &n))
		REQUIRE(n <= RELIABLE_TAKES);
	for (int i = 0; reliable_due(w->r, w->now, false, &op, &t); i++) {
		uint8_t tail[2048];

		REQUIRE(i < 16);
		REQUIRE(t.n_acks <= (op == OVPN_ACK ? RELIABLE_ACKS : RELIABLE_PIGGYBACK));
		REQUIRE(ovpn_tail_pack(&t, op == OVPN_ACK, tail, sizeof(tail)) > 0);
	}
	const uint64_t due = reliable_next_due(w->r, w->now);

	REQUIRE(due > w->now && (due <= w->now + RELIABLE_MAX_MS || due == UINT64_MAX));
	REQUIRE((due == UINT64_MAX) == reliable_idle(w->r));
	REQUIRE(reliable_memory(w->r) <= w->baseline + RELIABLE_SEND * RELIABLE_PAYLOAD +
						 (RELIABLE_RECEIVE + 1) * RELIABLE_TAKES);
}

static void on_tail(struct world *w, const struct ovpn_opened *o)
{
	const bool is_ack = ovpn_opcode(o->first) == OVPN_ACK;
	uint8_t again[OVPN_TAIL_MAX];
	struct ovpn_tail t;

	if (ovpn_tail_parse(&t, is_ack, o->tail, o->tail_len) < 0)
		return;
	REQUIRE(ovpn_tail_pack(&t, is_ack, again, sizeof(again)) == (int)o->tail_len);
	REQUIRE(memcmp(again, o->tail, o->tail_len) == 0);
	reliable_acked(w->r, t.acks, t.n_acks);
	if (!is_ack)
		REQUIRE(reliable_take(w->r, (uint8_t)ovpn_opcode(o->first), t.id, t.payload,
				t.payload_len) >= 0);
}

/* On the heap with nothing behind it. */
static int open_exactly(
	struct world *w, const uint8_t *p, size_t n, const uint8_t *want, size_t want_len)
{
	uint8_t *packet = malloc(n ? n : 1), *buf = malloc(n ? n : 1);
	struct ovpn_opened o;

	REQUIRE(packet && buf);
	memcpy(packet, p, n);
	int rc = ovpn_wrap_open(&w->server, packet, n, true, buf, &o);

	if (rc == 0) {
		REQUIRE(want && o.tail_len == want_len && memcmp(o.tail, want, want_len) == 0);
		on_tail(w, &o);
		REQUIRE(ovpn_wrap_open(&w->server, packet, n, true, buf, &o) == -EALREADY);
	}
	free(packet);
	free(buf);
	return rc;
}

/* The first byte is the opcode's; at: then come packet id and time. */
static void sealed(struct world *w, const uint8_t *p, size_t n, bool at)
{
	const uint8_t sid[OVPN_SID] = {1};
	uint8_t packet[512];

	if (n < (at ? 10u : 2u))
		return;
	const uint8_t first = *p++;

	n--;
	if (at) {
		w->client.next_id = wire_be32(p);
		w->client.time = wire_be32(p + 4);
		p += 8;
		n -= 8;
	}
	int len = ovpn_wrap_seal(&w->client, first, sid, p, n, packet, sizeof(packet));

	if (len == -EOVERFLOW)
		return;
	REQUIRE(len == (int)(OVPN_WRAP_HEAD + n));
	int rc = open_exactly(w, packet, (size_t)len, p, n);

	REQUIRE(rc == 0 || rc == -EALREADY);
	/* Once a run is enough of what each packet has to pass. */
	if (w->was_sealed)
		return;
	w->was_sealed = true;
	packet[len / 2] ^= 1;
	REQUIRE(open_exactly(w, packet, (size_t)len, NULL, 0) == -EBADMSG);
}

static void raw_wkc(const uint8_t *p, size_t n)
{
	const uint8_t *wkc;
	size_t len, front;

	if (ovpn_wkc_cut(p, n, &wkc, &len, &front) == 0)
		REQUIRE(front > OVPN_WRAP_HEAD && front + len == n && wkc == p + front);
}

static void step(struct world *w, uint8_t what, const uint8_t *p, size_t n)
{
	switch (what % STEPS) {
	case SEALED:
	case SEALED_AT:
		sealed(w, p, n, what % STEPS == SEALED_AT);
		break;
	case RAW:
		REQUIRE(open_exactly(w, p, n, NULL, 0) < 0);
		break;
	case RAW_WKC:
		raw_wkc(p, n);
		break;
	case SEND:
		if (reliable_can_send(w->r))
			REQUIRE(reliable_send(w->r, OVPN_CONTROL, p, n, w->now) == 0);
		else
			REQUIRE(reliable_send(w->r, OVPN_CONTROL, p, n, w->now) == -EAGAIN);
		break;
	case WAIT:
		w->now += n * 500;
		break;
	}
	drain(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w;

	begin(&w);
	if (size > 0 && data[0] == 0xff) /* one long packet instead */
		REQUIRE(open_exactly(&w, data + 1, size - 1, NULL, 0) < 0);
	raw_wkc(data, size);
	for (size_t at = 0; at + 2 <= size;) {
		const size_t n = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;

		messages++;
		step(&w, data[at], data + at + 2, n);
		at += 2 + n;
	}
	reliable_free(w.r);
	return 0;
}
