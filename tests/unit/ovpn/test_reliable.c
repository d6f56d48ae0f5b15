/*
 * The reliability layer alone against the simplest thing that could be right, then two of them over
 * a network that loses, doubles and reorders, in virtual time. The source is included so that ids
 * can begin just below their end.
 */
#include "ovpn/reliable.c"

#include <stdio.h>

#include "tests/vectors/hex.h"

enum { NOW = 1000000 };

static uint32_t random_state;
static uint32_t dice(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)random_state * n >> 32);
}

static struct reliable *fresh(void)
{
	struct reliable *r;

	assert_int_equal(reliable_new(&r), 0);
	return r;
}

/* ---- the tail ---- */

static void test_tail_forms(void **state)
{
	static const struct {
		const char *hex;
		bool is_ack;
		struct ovpn_tail want;
	} forms[] = {
		{"0000000000", false, {.id = 0}},
		{"00", true, {.n_acks = 0}},
		{"01000000070102030405060708deadbeef", false,
			{.n_acks = 1,
				.acks = {7},
				.remote_sid = {1, 2, 3, 4, 5, 6, 7, 8},
				.id = 0xdeadbeef}},
		{"0200000001ffffffff0102030405060708", true,
			{.n_acks = 2,
				.acks = {1, UINT32_MAX},
				.remote_sid = {1, 2, 3, 4, 5, 6, 7, 8}}},
		{"0000000005616263", false, {.id = 5, .payload_len = 3}},
	};

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
		const struct ovpn_tail *want = &forms[f].want;
		uint8_t bytes[64], again[64];
		const size_t n = unhex(bytes, sizeof(bytes), forms[f].hex);
		struct ovpn_tail t;

		assert_int_equal(ovpn_tail_parse(&t, forms[f].is_ack, bytes, n), 0);
		assert_int_equal(t.n_acks, want->n_acks);
		assert_memory_equal(t.acks, want->acks, sizeof(t.acks));
		assert_memory_equal(t.remote_sid, want->remote_sid, OVPN_SID);
		assert_int_equal(t.id, want->id);
		assert_int_equal(t.payload_len, want->payload_len);
		assert_int_equal(ovpn_tail_pack(&t, forms[f].is_ack, again, sizeof(again)), n);
		assert_memory_equal(again, bytes, n);
		for (size_t cap = 0; cap < n; cap++)
			assert_int_equal(
				ovpn_tail_pack(&t, forms[f].is_ack, again, cap), -EMSGSIZE);
	}
}

/* Every count of acknowledgements, every length around it. */
static void test_tail_lengths(void **state)
{
	(void)state;
	for (size_t acks = 0; acks < 256; acks++)
		for (size_t n = 0; n < 64; n++) {
			const size_t head = 1 + (acks ? 4 * acks + OVPN_SID : 0);
			uint8_t *tail = calloc(1, n ? n : 1);
			struct ovpn_tail t;

			if (n)
				tail[0] = (uint8_t)acks;
			const bool fits = n && acks <= RELIABLE_ACKS;

			assert_int_equal(ovpn_tail_parse(&t, true, tail, n),
				fits && n == head ? 0 : -EBADMSG);
			assert_int_equal(ovpn_tail_parse(&t, false, tail, n),
				fits && n >= head + 4 ? 0 : -EBADMSG);
			if (fits && n >= head + 4)
				assert_int_equal(t.payload_len, n - head - 4);
			free(tail);
		}
	const struct ovpn_tail nine = {.n_acks = RELIABLE_ACKS + 1};
	uint8_t out[128];

	assert_int_equal(ovpn_tail_pack(&nine, true, out, sizeof(out)), -EMSGSIZE);
}

/* ---- theirs ---- */

static void test_order(void **state)
{
	struct reliable *r = fresh();
	const uint8_t *p;
	uint8_t op;
	size_t n;

	(void)state;
	assert_false(reliable_next(r, &op, &p, &n));
	assert_int_equal(reliable_take(r, 4, 2, (const uint8_t *)"two", 3), RELIABLE_TAKEN);
	assert_int_equal(reliable_take(r, 4, 1, (const uint8_t *)"one", 3), RELIABLE_TAKEN);
	assert_false(reliable_next(r, &op, &p, &n));
	assert_int_equal(reliable_take(r, 7, 0, NULL, 0), RELIABLE_TAKEN);
	assert_true(reliable_next(r, &op, &p, &n));
	assert_int_equal(op, 7);
	assert_int_equal(n, 0);
	assert_true(reliable_next(r, &op, &p, &n));
	assert_memory_equal(p, "one", 3);
	assert_true(reliable_next(r, &op, &p, &n));
	assert_memory_equal(p, "two", 3);
	assert_false(reliable_next(r, &op, &p, &n));
	reliable_free(r);
}

static void test_take_bounds(void **state)
{
	struct reliable *r = fresh();
	uint8_t big[RELIABLE_TAKES + 1] = {0};
	const size_t baseline = reliable_memory(r);

	(void)state;
	assert_int_equal(reliable_take(r, 4, 0, big, sizeof(big)), -EMSGSIZE);
	assert_int_equal(reliable_take(r, 4, RELIABLE_RECEIVE, big, 1), RELIABLE_OUTSIDE);
	/* Nothing was before the first one. */
	assert_int_equal(reliable_take(r, 4, UINT32_MAX, big, 1), RELIABLE_OUTSIDE);
	assert_int_equal(reliable_take(r, 4, 0x80000000, big, 1), RELIABLE_OUTSIDE);
	assert_int_equal(reliable_memory(r), baseline);
	assert_int_equal(reliable_next_due(r, NOW), UINT64_MAX);
	for (uint32_t id = 0; id < RELIABLE_RECEIVE; id++) {
		assert_int_equal(reliable_take(r, 4, id, big, RELIABLE_TAKES), RELIABLE_TAKEN);
		assert_int_equal(reliable_take(r, 4, id, big, RELIABLE_TAKES), RELIABLE_DUPLICATE);
	}
	assert_int_equal(reliable_memory(r), baseline + RELIABLE_RECEIVE * RELIABLE_TAKES);
	reliable_free(r);
	reliable_free(NULL);
}

/* Any ids around the window, against a list of all that were taken. */
static void test_take_model(void **state)
{
	enum { IDS = 4096 };
	static uint8_t had_it[IDS];
	struct reliable *r = fresh();
	uint32_t expect = 0;

	(void)state;
	random_state = 7;
	memset(had_it, 0, sizeof(had_it));
	while (expect < IDS - 64) {
		const uint32_t id = expect + dice(48) - 24;
		const uint8_t byte = (uint8_t)(id * 31);
		int want = RELIABLE_TAKEN;
		const uint8_t *p;
		uint8_t op;
		size_t n;

		if ((int32_t)id < 0 || id >= expect + RELIABLE_RECEIVE)
			want = RELIABLE_OUTSIDE;
		else if (had_it[id])
			want = RELIABLE_DUPLICATE;
		else
			had_it[id] = 1;
		assert_int_equal(reliable_take(r, (uint8_t)(id & 15), id, &byte, 1), want);
		for (; had_it[expect] && dice(2); expect++) {
			assert_true(reliable_next(r, &op, &p, &n));
			assert_int_equal(op, expect & 15);
			assert_int_equal(n, 1);
			assert_int_equal(*p, (uint8_t)(expect * 31));
		}
		if (!had_it[expect])
			assert_false(reliable_next(r, &op, &p, &n));
	}
	reliable_free(r);
}

/* ---- acknowledgements of theirs ---- */

static void take_ids(struct reliable *r, uint32_t from, uint32_t to)
{
	const uint8_t *p;
	uint8_t op;
	size_t n;

	for (uint32_t id = from; id < to; id++) {
		assert_int_equal(reliable_take(r, 4, id, NULL, 0), RELIABLE_TAKEN);
		assert_true(reliable_next(r, &op, &p, &n));
	}
}

static void expect_acks(const struct ovpn_tail *t, size_t n, const uint32_t *ids)
{
	assert_int_equal(t->n_acks, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(t->acks[i], ids[i]);
}

static void test_acks_alone(void **state)
{
	struct reliable *r = fresh();
	struct ovpn_tail t;
	uint8_t op;

	(void)state;
	assert_false(reliable_due(r, NOW, false, &op, &t));
	take_ids(r, 0, 2);
	assert_int_equal(reliable_next_due(r, NOW), NOW);
	assert_true(reliable_due(r, NOW, false, &op, &t));
	assert_int_equal(op, OVPN_ACK);
	expect_acks(&t, 2, (const uint32_t[]){1, 0});
	/* Said once; said again only beside a new one. */
	assert_false(reliable_due(r, NOW, false, &op, &t));
	assert_int_equal(reliable_next_due(r, NOW), UINT64_MAX);
	take_ids(r, 2, 3);
	assert_true(reliable_due(r, NOW, false, &op, &t));
	expect_acks(&t, 3, (const uint32_t[]){2, 1, 0});
	/* A duplicate is acknowledged anew, once. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(reliable_take(r, 4, 1, NULL, 0), RELIABLE_DUPLICATE);
	assert_true(reliable_due(r, NOW, false, &op, &t));
	expect_acks(&t, 3, (const uint32_t[]){1, 2, 0});
	assert_false(reliable_due(r, NOW, false, &op, &t));
	reliable_free(r);
}

static void test_acks_are_bounded(void **state)
{
	struct reliable *r = fresh();
	struct ovpn_tail t;
	uint8_t op;

	(void)state;
	take_ids(r, 0, 20); /* more than it keeps in mind: 16 */
	assert_true(reliable_due(r, NOW, false, &op, &t));
	expect_acks(&t, 8, (const uint32_t[]){7, 6, 5, 4, 3, 2, 1, 0});
	assert_true(reliable_due(r, NOW, false, &op, &t));
	expect_acks(&t, 8, (const uint32_t[]){15, 14, 13, 12, 11, 10, 9, 8});
	assert_false(reliable_due(r, NOW, false, &op, &t));
	reliable_free(r);
}

static void test_acks_ride_along(void **state)
{
	struct reliable *r = fresh();
	struct ovpn_tail t;
	uint8_t op;

	(void)state;
	take_ids(r, 0, 6);
	assert_int_equal(reliable_send(r, 4, (const uint8_t *)"x", 1, NOW), 0);
	assert_true(reliable_due(r, NOW, false, &op, &t));
	assert_int_equal(op, 4);
	expect_acks(&t, RELIABLE_PIGGYBACK, (const uint32_t[]){3, 2, 1, 0});
	assert_true(reliable_due(r, NOW, false, &op, &t));
	assert_int_equal(op, OVPN_ACK);
	expect_acks(&t, 6, (const uint32_t[]){5, 4, 3, 2, 1, 0});
	assert_false(reliable_due(r, NOW, false, &op, &t));
	/* Again with the message, because that packet may have been lost. */
	assert_true(reliable_due(r, NOW + RELIABLE_FIRST_MS, false, &op, &t));
	assert_int_equal(op, 4);
	expect_acks(&t, RELIABLE_PIGGYBACK, (const uint32_t[]){5, 4, 3, 2});
	reliable_free(r);
}

/* ---- ours ---- */

static void test_window(void **state)
{
	struct reliable *r = fresh();
	const size_t baseline = reliable_memory(r);
	uint8_t payload[RELIABLE_PAYLOAD + 1] = {0};
	struct ovpn_tail t;
	uint8_t op;

	(void)state;
	assert_true(reliable_idle(r));
	assert_int_equal(reliable_send(r, 4, payload, sizeof(payload), NOW), -EMSGSIZE);
	for (int i = 0; i < RELIABLE_SEND; i++) {
		assert_true(reliable_can_send(r));
		assert_int_equal(reliable_send(r, 4, payload, RELIABLE_PAYLOAD, NOW), 0);
	}
	assert_false(reliable_can_send(r));
	assert_int_equal(reliable_send(r, 4, payload, 1, NOW), -EAGAIN);
	assert_int_equal(reliable_memory(r), baseline + RELIABLE_SEND * RELIABLE_PAYLOAD);
	for (uint32_t i = 0; i < RELIABLE_SEND; i++) {
		assert_true(reliable_due(r, NOW, false, &op, &t));
		assert_int_equal(t.id, i);
	}
	/* All but the first one: the window does not move, but memory comes back. */
	reliable_acked(r, (const uint32_t[]){5, 4, 3, 2, 1}, 5);
	assert_false(reliable_can_send(r));
	assert_int_equal(reliable_memory(r), baseline + RELIABLE_PAYLOAD);
	assert_false(reliable_idle(r));
	reliable_acked(r, (const uint32_t[]){0}, 1);
	assert_true(reliable_can_send(r) && reliable_idle(r));
	assert_int_equal(reliable_memory(r), baseline);
	assert_int_equal(reliable_next_due(r, NOW), UINT64_MAX);
	reliable_free(r);
}

static void test_wrong_acks_change_nothing(void **state)
{
	struct reliable *r = fresh();
	struct reliable before;
	struct ovpn_tail t;
	uint8_t op;

	(void)state;
	reliable_acked(r, (const uint32_t[]){0, 1, UINT32_MAX}, 3);
	for (int i = 0; i < 4; i++)
		assert_int_equal(reliable_send(r, 4, NULL, 0, NOW), 0);
	for (int i = 0; i < 3; i++)
		assert_true(reliable_due(r, NOW, false, &op, &t));
	reliable_acked(r, (const uint32_t[]){0, 2}, 2);
	before = *r;
	/* Acknowledged before, waiting for its first time, never made, far off. */
	for (uint32_t id = 3; id < 100; id++)
		reliable_acked(r, &id, 1);
	for (uint32_t far = 100; far < 1u << 31; far *= 2)
		reliable_acked(r, &far, 1);
	reliable_acked(r, (const uint32_t[]){0, 2, 0, UINT32_MAX, 0x80000000, 0x80000001}, 6);
	assert_memory_equal(r, &before, sizeof(before));
	reliable_acked(r, (const uint32_t[]){1, 1}, 2);
	assert_int_equal(r->oldest, 3);
	reliable_free(r);
}

static void test_pauses(void **state)
{
	static const uint32_t udp[] = {0, 2000, 6000, 14000, 30000, 62000, 122000, 182000};
	static const uint32_t tcp[] = {0, 30000, 90000, 150000};

	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		struct reliable *r = fresh();
		struct ovpn_tail t;
		uint8_t op;
		size_t sent = 0;

		assert_int_equal(reliable_send(r, 4, NULL, 0, NOW), 0);
		for (uint32_t ms = 0; ms < 200000; ms += 500) {
			if (!reliable_due(r, NOW + ms, stream, &op, &t)) {
				assert_true(reliable_next_due(r, NOW + ms) > NOW + ms);
				continue;
			}
			assert_int_equal(ms, stream ? tcp[sent] : udp[sent]);
			sent++;
			assert_true(reliable_next_due(r, NOW + ms) <= NOW + ms + RELIABLE_MAX_MS);
			assert_false(reliable_due(r, NOW + ms, stream, &op, &t));
		}
		assert_int_equal(sent, stream ? ARRAY_SIZE(tcp) : ARRAY_SIZE(udp));
		reliable_free(r);
	}
}

/* A week of silence, and times at their end. */
static void test_pause_stays_bounded(void **state)
{
	struct reliable *r = fresh();
	uint64_t now = NOW;
	struct ovpn_tail t;
	uint8_t op;

	(void)state;
	assert_int_equal(reliable_send(r, 4, NULL, 0, now), 0);
	for (int i = 0; i < 10000; i++) {
		assert_true(reliable_due(r, now, false, &op, &t));
		const uint64_t next = reliable_next_due(r, now);

		assert_true(next > now && next <= now + RELIABLE_MAX_MS);
		now = next;
	}
	reliable_free(r);
}

static void test_overtaken(void **state)
{
	for (int stream = 0; stream < 2; stream++) {
		struct reliable *r = fresh();
		struct ovpn_tail t;
		uint8_t op;

		(void)state;
		for (int i = 0; i < 6; i++) {
			assert_int_equal(reliable_send(r, 4, NULL, 0, NOW), 0);
			assert_true(reliable_due(r, NOW, stream, &op, &t));
		}
		reliable_acked(r, (const uint32_t[]){1, 2, 2, 2}, 4);
		assert_false(reliable_due(r, NOW + 1, stream, &op, &t));
		reliable_acked(r, (const uint32_t[]){3}, 1);
		assert_int_equal(reliable_due(r, NOW + 1, stream, &op, &t), !stream);
		if (!stream)
			assert_int_equal(t.id, 0);
		/* Once, then the pause counts again. */
		assert_false(reliable_due(r, NOW + 2, stream, &op, &t));
		reliable_free(r);
	}
}

static void test_resume(void **state)
{
	struct reliable *r = fresh();
	struct ovpn_tail t;
	const uint8_t *p;
	uint8_t op;
	size_t n;

	(void)state;
	reliable_resume(r);
	assert_true(reliable_idle(r));
	assert_int_equal(reliable_take(r, 7, 0, NULL, 0), RELIABLE_DUPLICATE);
	assert_int_equal(reliable_take(r, 4, 1, (const uint8_t *)"hello", 5), RELIABLE_TAKEN);
	assert_true(reliable_next(r, &op, &p, &n));
	reliable_acked(r, (const uint32_t[]){0}, 1);
	assert_int_equal(reliable_send(r, 4, NULL, 0, NOW), 0);
	assert_true(reliable_due(r, NOW, false, &op, &t));
	assert_int_equal(t.id, 1);
	expect_acks(&t, 2, (const uint32_t[]){1, 0});
	reliable_free(r);
}

/* ---- two of them over a bad network ---- */

enum { MESSAGES = 120, FLYING = 256 };

struct side {
	struct reliable *r;
	uint32_t start;		    /* first id */
	uint32_t queued, delivered; /* of own; of theirs */
	uint64_t first_ms[MESSAGES], last_ms[MESSAGES];
	uint32_t times[MESSAGES];
	bool arrived[MESSAGES]; /* at the other one */
};
struct packet {
	bool used;
	int to;
	uint64_t at_ms;
	bool is_ack;
	size_t n;
	uint8_t bytes[1600];
};
struct net {
	struct side side[2];
	struct packet flying[FLYING];
	uint64_t now;
	uint32_t lose, twice, delay_ms; /* per hundred */
	bool stream;
	size_t packets;
};

/* What message i of a side says. */
static size_t message(uint8_t *out, int side, uint32_t i)
{
	const size_t n = i * 37 % (RELIABLE_PAYLOAD + 1);

	for (size_t k = 0; k < n; k++)
		out[k] = (uint8_t)(side * 101 + i * 7 + k);
	return n;
}

static void launch(struct net *net, int to, bool is_ack, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < FLYING; i++) {
		struct packet *p = &net->flying[i];

		if (p->used)
			continue;
		*p = (struct packet){true, to, net->now + 1 + dice(net->delay_ms), is_ack, n, {0}};
		memcpy(p->bytes, bytes, n);
		return;
	}
}

static void on_sent(struct net *net, int from, const struct ovpn_tail *t)
{
	struct side *s = &net->side[from];
	const uint32_t i = t->id - s->start;

	assert_true(i < s->queued);
	if (s->times[i]++ == 0)
		s->first_ms[i] = net->now;
	else
		assert_true(net->now - s->last_ms[i] <= RELIABLE_MAX_MS);
	if (net->stream)
		assert_true(s->times[i] == 1 || net->now - s->last_ms[i] >= 30000);
	s->last_ms[i] = net->now;
}

static void pump(struct net *net, int from)
{
	struct side *s = &net->side[from];
	uint8_t text[RELIABLE_PAYLOAD], bytes[1600];
	struct ovpn_tail t;
	uint8_t op;

	while (s->queued < MESSAGES && reliable_can_send(s->r)) {
		const size_t n = message(text, from, s->queued);

		assert_int_equal(reliable_send(s->r, 4, text, n, net->now), 0);
		s->queued++;
	}
	for (int i = 0; reliable_due(s->r, net->now, net->stream, &op, &t); i++) {
		assert_true(i < 20);
		const bool is_ack = op == OVPN_ACK;
		int n = ovpn_tail_pack(&t, is_ack, bytes, sizeof(bytes));

		assert_true(n > 0);
		assert_true(!is_ack || t.n_acks > 0);
		if (!is_ack)
			on_sent(net, from, &t);
		net->packets++;
		for (uint32_t copies = 1 + (dice(100) < net->twice); copies > 0; copies--)
			if (dice(100) >= net->lose)
				launch(net, !from, is_ack, bytes, (size_t)n);
	}
}

static void arrive(struct net *net, struct packet *p)
{
	struct side *me = &net->side[p->to], *them = &net->side[!p->to];
	uint8_t want[RELIABLE_PAYLOAD], op;
	const uint8_t *payload;
	struct ovpn_tail t;
	size_t n;

	assert_int_equal(ovpn_tail_parse(&t, p->is_ack, p->bytes, p->n), 0);
	/* They only acknowledge what they have. */
	for (size_t i = 0; i < t.n_acks; i++)
		assert_true(t.acks[i] - me->start < MESSAGES && me->arrived[t.acks[i] - me->start]);
	reliable_acked(me->r, t.acks, t.n_acks);
	if (!p->is_ack) {
		int rc = reliable_take(me->r, 4, t.id, t.payload, t.payload_len);

		assert_true(rc >= 0);
		if (rc == RELIABLE_TAKEN) {
			assert_false(them->arrived[t.id - them->start]);
			them->arrived[t.id - them->start] = true;
		}
	}
	while (reliable_next(me->r, &op, &payload, &n)) {
		assert_int_equal(n, message(want, !p->to, me->delivered));
		assert_memory_equal(payload ? payload : want, want, n);
		me->delivered++;
	}
	p->used = false;
}

static bool done(const struct net *net)
{
	for (int s = 0; s < 2; s++)
		if (net->side[s].delivered < MESSAGES || net->side[s].queued < MESSAGES ||
			!reliable_idle(net->side[s].r))
			return false;
	return true;
}

static struct packet *next_packet(struct net *net)
{
	struct packet *next = NULL;

	for (size_t i = 0; i < FLYING; i++) {
		struct packet *p = &net->flying[i];

		if (p->used && (!next || p->at_ms < next->at_ms))
			next = p;
	}
	return next;
}

/* Returns the virtual time that it took. */
static uint64_t run(struct net *net)
{
	size_t baseline = 0;

	net->now = NOW;
	for (int s = 0; s < 2; s++) {
		net->side[s].r = fresh();
		net->side[s].r->oldest = net->side[s].r->next = net->side[s].start;
		baseline = reliable_memory(net->side[s].r);
	}
	for (int s = 0; s < 2; s++)
		net->side[s].r->expect = net->side[!s].start;
	for (int step = 0; !done(net); step++) {
		assert_true(step < 100000);
		pump(net, 0);
		pump(net, 1);
		struct packet *p = next_packet(net);
		uint64_t next = p ? p->at_ms : UINT64_MAX;

		for (int s = 0; s < 2; s++) {
			const uint64_t due = reliable_next_due(net->side[s].r, net->now);

			assert_true(due > net->now);
			next = due < next ? due : next;
		}
		assert_true(next != UINT64_MAX);
		net->now = next;
		if (p && p->at_ms == next)
			arrive(net, p);
	}
	for (int s = 0; s < 2; s++) {
		assert_int_equal(reliable_memory(net->side[s].r), baseline);
		reliable_free(net->side[s].r);
	}
	return net->now - NOW;
}

static void test_network(void **state)
{
	static const struct {
		uint32_t lose, twice, delay_ms;
		bool stream;
	} kinds[] = {{0, 0, 1, true}, {0, 0, 1, false}, {0, 30, 400, false}, {10, 10, 100, false},
		{30, 30, 3000, false}, {60, 0, 50, false}, {20, 20, 1, true}};
	static struct net net;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (uint32_t seed = 0; seed < 6; seed++) {
			random_state = seed * 7919 + (uint32_t)k;
			memset(&net, 0, sizeof(net));
			net.lose = kinds[k].lose;
			net.twice = kinds[k].twice;
			net.delay_ms = kinds[k].delay_ms;
			net.stream = kinds[k].stream;
			/* Ids run over their end in half of the runs. */
			net.side[0].start = seed % 2 ? 0xffffffc0 : 0;
			net.side[1].start = seed % 2 ? 0xfffffff9 : 0;
			const uint64_t ms = run(&net);

			if (net.lose == 0 && net.twice == 0 && net.delay_ms == 1)
				assert_true(ms < 500 && net.packets <= 4 * MESSAGES);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tail_forms),
		cmocka_unit_test(test_tail_lengths),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_take_bounds),
		cmocka_unit_test(test_take_model),
		cmocka_unit_test(test_acks_alone),
		cmocka_unit_test(test_acks_are_bounded),
		cmocka_unit_test(test_acks_ride_along),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_wrong_acks_change_nothing),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_pause_stays_bounded),
		cmocka_unit_test(test_overtaken),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
