/*
 * Two engines over a wire that loses, doubles and reorders, in virtual time.
 *
 *   node: engine + three session slots as in B7 + data every second    wire: datagrams with a due
 * time
 *
 * What must hold, whatever the wire does: both ends come to sessions that open each other's data;
 * no datagram makes a session twice; every index is a live session's or attempt's, or free.
 */
#include "wg/wg_engine.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "crypto/blake2s.h"
#include "crypto/xchacha.h"
#include "tests/unit/wg/wg_fixture.h"
#include "wg/noise.h"

enum { FLYING = 512, RECORDED = 4096, SEEDS = 40, STEP_MS = 250, LIMIT_MS = 120 * 1000 };
enum slot { PREVIOUS, CURRENT, NEXT, SLOTS };
#define REAL0 (1700000000ll * 1000000)

struct session {
	bool live;
	uint32_t local_index, remote_index;
	uint64_t counter;
	uint8_t seal[32], open[32];
};
struct node {
	struct keystore *ks;
	struct fixture_indices ix;
	struct wg_engine *e;
	struct noise_identity id;
	struct ulid peer; /* the other, as a credential */
	struct session slot[SLOTS];
	uint64_t opened; /* data packets */
	uint64_t last_opened_ms;
	bool loaded; /* wants mac2 */
	int sessions, cookies;
};
struct datagram {
	int to; /* node */
	size_t len;
	uint64_t at_ms;
	uint8_t bytes[WG_DATAGRAM_MAX];
	bool made_session;
};
struct conditions {
	unsigned loss, twice; /* percent */
	unsigned delay_ms;    /* 1 to this */
};
struct sim {
	uint64_t now_ms;
	uint32_t seed;
	struct conditions wire;
	struct node node[2]; /* 0 is the client */
	struct datagram flying[FLYING];
	size_t n_flying;
	struct datagram recorded[RECORDED]; /* every handshake datagram once it was sent */
	size_t n_recorded;
};

static uint32_t next_random(struct sim *s, uint32_t below)
{
	s->seed = s->seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(s->seed >> 4) * below >> 28);
}

/* ---- wire ---- */

static void launch(struct sim *s, const struct datagram *d)
{
	assert_true(s->n_flying < FLYING);
	s->flying[s->n_flying] = *d;
	s->flying[s->n_flying++].at_ms = s->now_ms + 1 + next_random(s, s->wire.delay_ms);
}

static void transmit(struct sim *s, int from, const void *bytes, size_t len)
{
	struct datagram d = {.to = !from, .len = len};

	memcpy(d.bytes, bytes, len);
	if (d.bytes[0] != WG_DATA) {
		assert_true(s->n_recorded < RECORDED);
		s->recorded[s->n_recorded++] = d;
	}
	if (next_random(s, 100) >= s->wire.loss)
		launch(s, &d);
	if (next_random(s, 100) < s->wire.twice)
		launch(s, &d);
}

/* ---- nodes ---- */

static void slot_drop(struct node *n, enum slot i)
{
	if (n->slot[i].live)
		fixture_release(&n->ix, n->slot[i].local_index);
	secret_wipe(&n->slot[i], sizeof(n->slot[i]));
}

static void slot_move(struct node *n, enum slot from, enum slot to)
{
	slot_drop(n, to);
	n->slot[to] = n->slot[from];
	secret_wipe(&n->slot[from], sizeof(n->slot[from]));
}

static void send_data(struct sim *s, int who)
{
	struct session *c = &s->node[who].slot[CURRENT];
	uint8_t m[WG_DATA_MIN] = {WG_DATA};

	if (!c->live)
		return;
	wire_put_le32(m + 4, c->remote_index);
	wire_put_le64(m + 8, c->counter);
	assert_int_equal(chachapoly_seal(c->seal, c->counter++, NULL, 0, NULL, 0, m + 16), 0);
	transmit(s, who, m, sizeof(m));
}

/* B7. */
static void install(struct sim *s, int who, const struct wg_result *r)
{
	struct node *n = &s->node[who];
	enum slot into = r->initiator ? CURRENT : NEXT;

	n->sessions++;
	if (r->initiator)
		slot_move(n, n->slot[NEXT].live ? NEXT : CURRENT, PREVIOUS);
	else
		slot_drop(n, PREVIOUS);
	slot_drop(n, into);
	n->slot[into] = (struct session){
		.live = true, .local_index = r->local_index, .remote_index = r->remote_index};
	memcpy(n->slot[into].seal, r->seal, 32);
	memcpy(n->slot[into].open, r->open, 32);
	if (r->initiator)
		send_data(s, who); /* T11 */
}

static void take_data(struct sim *s, int who, const struct datagram *d)
{
	struct node *n = &s->node[who];

	for (enum slot i = 0; i < SLOTS; i++) {
		struct session *x = &n->slot[i];

		if (!x->live || x->local_index != wire_le32(d->bytes + 4))
			continue;
		assert_int_equal(chachapoly_open(x->open, wire_le64(d->bytes + 8), d->bytes + 16,
					 16, NULL, 0, NULL),
			0);
		n->opened++;
		n->last_opened_ms = s->now_ms;
		if (i == NEXT) {
			slot_move(n, CURRENT, PREVIOUS);
			slot_move(n, NEXT, CURRENT);
			wg_engine_settled(n->e, &n->peer);
		}
		return;
	}
}

/* What the dataplane's admission does under load: no mac2, no Diffie-Hellman. */
static bool admitted(struct sim *s, int who, const struct datagram *d)
{
	static const uint8_t secret[32] = {42}, address[6] = {192, 0, 2, 1, 0, 7};
	const struct blake2s_part source = {address, 6}, covered = {d->bytes, d->len - 16};
	struct wg_cookie_reply m = {.type = {WG_COOKIE_REPLY}};
	struct node *n = &s->node[who];
	uint8_t cookie[16], mac2[16];

	if (!n->loaded || (d->bytes[0] != WG_INITIATION && d->bytes[0] != WG_RESPONSE))
		return true;
	assert_int_equal(blake2s_mac(cookie, secret, 32, &source, 1), 0);
	assert_int_equal(blake2s_mac(mac2, cookie, 16, &covered, 1), 0);
	if (secret_equal(mac2, d->bytes + d->len - 16, 16))
		return true;
	if (noise_mac1_check(d->bytes, d->len, &n->id) < 0)
		return false;
	memcpy(m.receiver, d->bytes + 4, 4);
	m.nonce[0] = (uint8_t)++n->cookies;
	assert_int_equal(xchacha_seal(n->id.cookie_key, m.nonce, cookie, 16, d->bytes + d->len - 32,
				 16, m.sealed_cookie),
		0);
	transmit(s, who, &m, sizeof(m));
	return false;
}

static struct datagram *record_of(struct sim *s, const struct datagram *d)
{
	for (size_t i = 0; i < s->n_recorded; i++)
		if (s->recorded[i].len == d->len && s->recorded[i].to == d->to &&
			memcmp(s->recorded[i].bytes, d->bytes, d->len) == 0)
			return &s->recorded[i];
	return NULL;
}

static void deliver(struct sim *s, const struct datagram *d)
{
	struct node *n = &s->node[d->to];
	struct path path = {.listener = 0};
	struct datagram *record;
	struct wg_result r;

	if (d->bytes[0] == WG_DATA) {
		take_data(s, d->to, d);
		return;
	}
	if (!admitted(s, d->to, d))
		return;
	wg_engine_input(n->e, d->bytes, d->len, &path, s->now_ms, &r);
	assert_int_not_equal(r.verdict, WG_INTERNAL);
	assert_int_not_equal(r.verdict, WG_MALFORMED);
	assert_int_not_equal(r.verdict, WG_BAD_MAC1);
	assert_int_not_equal(r.verdict, WG_NO_INDEX);
	if (r.verdict == WG_SESSION) {
		record = record_of(s, d);
		assert_non_null(record);
		assert_false(record->made_session);
		record->made_session = true;
		install(s, d->to, &r);
		if (r.reply_len)
			transmit(s, d->to, r.reply, r.reply_len);
	}
	wg_result_wipe(&r);
}

/* ---- time ---- */

static int64_t real_us(const struct sim *s)
{
	return REAL0 + (int64_t)s->now_ms * 1000;
}

static void initiate(struct sim *s, int who)
{
	struct node *n = &s->node[who];
	struct path path = {.listener = 0};
	struct wg_out out;

	if (wg_engine_initiate(n->e, &n->peer, &path, s->now_ms, real_us(s), &out) == 0)
		transmit(s, who, out.bytes, out.len);
}

static void run_timers(struct sim *s)
{
	struct wg_out out;

	for (int who = 0; who < 2; who++)
		while (wg_engine_due(s->node[who].e, s->now_ms, real_us(s), &out))
			transmit(s, who, out.bytes, out.len);
}

static void deliver_due(struct sim *s)
{
	for (size_t i = 0; i < s->n_flying;) {
		struct datagram d = s->flying[i];

		if (d.at_ms > s->now_ms) {
			i++;
			continue;
		}
		s->flying[i] = s->flying[--s->n_flying];
		deliver(s, &d);
		i = 0;
	}
}

/* To the next thing that happens, at most to limit. */
static void advance(struct sim *s, uint64_t limit)
{
	uint64_t next = limit;

	for (size_t i = 0; i < s->n_flying; i++)
		if (s->flying[i].at_ms < next)
			next = s->flying[i].at_ms;
	for (int who = 0; who < 2; who++)
		if (wg_engine_next_due(s->node[who].e) < next)
			next = wg_engine_next_due(s->node[who].e);
	s->now_ms = next > s->now_ms ? next : s->now_ms + 1;
	deliver_due(s);
	run_timers(s);
}

static void run_until(struct sim *s, uint64_t until)
{
	while (s->now_ms < until) {
		const uint64_t step = (s->now_ms / STEP_MS + 1) * STEP_MS;

		advance(s, step < until ? step : until);
		if (s->now_ms % 1000 == 0) {
			send_data(s, 0);
			send_data(s, 1);
		}
	}
}

/* ---- the world ---- */

static void node_init(struct sim *s, int who)
{
	struct node *n = &s->node[who];
	uint8_t private_key[32];
	struct wg_ops ops = fixture_ops(&n->ix);

	memset(private_key, 0x11 * (who + 1), 32);
	n->ks = fixture_keystore(private_key);
	n->peer = fixture_id((uint8_t)(10 + who));
	assert_int_equal(wg_engine_new(&n->e, n->ks, &ops), 0);
	assert_int_equal(noise_identity_init(&n->id, keystore_wg_public(n->ks)), 0);
}

static struct sim *sim_new(uint32_t seed, struct conditions wire)
{
	static const uint8_t psk[32] = {7};
	struct sim *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->seed = seed;
	s->wire = wire;
	s->now_ms = 1000000;
	for (int who = 0; who < 2; who++)
		node_init(s, who);
	for (int who = 0; who < 2; who++)
		assert_int_equal(wg_engine_peer_set(s->node[who].e, &s->node[who].peer,
					 s->node[!who].id.public_key, psk, NULL),
			0);
	return s;
}

static void sim_free(struct sim *s)
{
	for (int who = 0; who < 2; who++) {
		struct node *n = &s->node[who];

		for (enum slot i = 0; i < SLOTS; i++)
			slot_drop(n, i);
		wg_engine_free(n->e);
		assert_int_equal(n->ix.live, 0);
		keystore_free(n->ks);
	}
	free(s);
}

static size_t live_slots(const struct node *n)
{
	size_t live = 0;

	for (enum slot i = 0; i < SLOTS; i++)
		live += n->slot[i].live;
	return live;
}

/* Attempts have an index each at most; sessions one each. */
static void check_indices(const struct sim *s)
{
	for (int who = 0; who < 2; who++) {
		const struct node *n = &s->node[who];
		const size_t waiting = n->ix.live - live_slots(n);

		assert_in_range(waiting, 0, 1);
	}
}

static bool both_opened_since(const struct sim *s, uint64_t t)
{
	return s->node[0].last_opened_ms > t && s->node[1].last_opened_ms > t;
}

/* Every handshake datagram that ever flew, again, to whom it was meant and to the other. */
static void replay_everything(struct sim *s)
{
	const size_t n = s->n_recorded;
	struct path path = {.listener = 0};
	struct wg_result r;

	s->now_ms += 10000;
	for (size_t i = 0; i < n; i++) {
		const struct datagram *d = &s->recorded[i];

		for (int who = 0; who < 2; who++) {
			if (!d->made_session && d->to == who && d->bytes[0] == WG_INITIATION)
				continue; /* lost before: not a replay; see below */
			wg_engine_input(s->node[who].e, d->bytes, d->len, &path, s->now_ms, &r);
			assert_int_not_equal(r.verdict, WG_SESSION);
		}
	}
}

static void converge(uint32_t seed, struct conditions wire, unsigned starters, bool loaded)
{
	struct sim *s = sim_new(seed, wire);
	const uint64_t start = s->now_ms;
	uint64_t calm;

	s->node[1].loaded = loaded;
	for (int who = 0; who < 2; who++)
		if (starters & 1u << who)
			initiate(s, who);
	while (!both_opened_since(s, start) && s->now_ms < start + LIMIT_MS) {
		run_until(s, s->now_ms + STEP_MS);
		check_indices(s);
		/* Packets that wait ask again after an attempt was given up (T1). */
		for (int who = 0; who < 2; who++)
			if (starters & 1u << who && !s->node[who].slot[CURRENT].live &&
				wg_engine_next_due(s->node[who].e) == UINT64_MAX)
				initiate(s, who);
	}
	assert_true(both_opened_since(s, start));
	/* Retries end, and data goes on flowing both ways. */
	run_until(s, s->now_ms + 100 * 1000);
	calm = s->now_ms;
	assert_int_equal(wg_engine_next_due(s->node[0].e), UINT64_MAX);
	assert_int_equal(wg_engine_next_due(s->node[1].e), UINT64_MAX);
	run_until(s, s->now_ms + 20 * 1000);
	assert_true(both_opened_since(s, calm));
	if (loaded && starters == 1)
		assert_true(s->node[1].cookies > 0);
	s->wire.loss = 100;
	run_until(s, s->now_ms + 1000);
	replay_everything(s);
	check_indices(s);
	sim_free(s);
}

static const struct conditions good = {0, 0, 20}, bad = {20, 10, 400}, worse = {35, 25, 2000};

static void test_client_initiates(void **state)
{
	(void)state;
	converge(1, good, 1, false);
	for (uint32_t seed = 0; seed < SEEDS; seed++)
		converge(seed, seed % 2 ? bad : worse, 1, false);
}

static void test_server_initiates(void **state)
{
	(void)state;
	converge(1, good, 2, false);
	for (uint32_t seed = 0; seed < SEEDS; seed++)
		converge(seed, seed % 2 ? bad : worse, 2, false);
}

static void test_both_initiate(void **state)
{
	(void)state;
	converge(1, good, 3, false);
	for (uint32_t seed = 0; seed < SEEDS; seed++)
		converge(seed, seed % 2 ? bad : worse, 3, false);
}

static void test_under_load(void **state)
{
	(void)state;
	converge(1, good, 1, true);
	for (uint32_t seed = 0; seed < SEEDS; seed++)
		converge(seed, bad, 1, true);
}

/* On a good wire everything is quick: one exchange, two under load with the next retry. */
static void test_good_wire(void **state)
{
	struct sim *s = sim_new(3, good);
	const uint64_t start = s->now_ms;

	(void)state;
	initiate(s, 0);
	run_until(s, start + 100);
	assert_int_equal(s->node[0].sessions, 1);
	assert_int_equal(s->node[1].sessions, 1);
	assert_true(s->node[1].slot[CURRENT].live); /* confirmed */
	assert_int_equal(s->n_recorded, 2);
	s->node[1].loaded = true;
	s->now_ms += 10000;
	initiate(s, 0);
	run_until(s, s->now_ms + 5500);
	assert_int_equal(s->node[1].cookies, 1);
	assert_int_equal(s->node[1].sessions, 2);
	assert_int_equal(s->n_recorded, 2 + 4);
	sim_free(s);
}

/* An initiation that was held back may be let through once, if nothing newer came; then never. */
static void test_held_back(void **state)
{
	struct sim *s = sim_new(4, (struct conditions){100, 0, 1});
	struct path path = {.listener = 0};
	struct wg_result r;
	int sessions = 0;

	(void)state;
	initiate(s, 0);
	run_until(s, s->now_ms + 80 * 1000);
	assert_true(s->n_recorded > 10);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < s->n_recorded; i++) {
			const struct datagram *d = &s->recorded[s->n_recorded - 1 - i];

			s->now_ms += 1000;
			wg_engine_input(s->node[1].e, d->bytes, d->len, &path, s->now_ms, &r);
			if (r.verdict == WG_SESSION) {
				sessions++;
				fixture_release(&s->node[1].ix, r.local_index);
			}
		}
	}
	assert_int_equal(sessions, 1);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_wire),
		cmocka_unit_test(test_client_initiates),
		cmocka_unit_test(test_server_initiates),
		cmocka_unit_test(test_both_initiate),
		cmocka_unit_test(test_under_load),
		cmocka_unit_test(test_held_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
