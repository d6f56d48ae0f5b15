/* The stage against a plain list of everything that waits. */
#include "rig.h"

enum { SLOTS = 20, PEERS = 4, OPS = 200000 };

struct waiting {
	uint32_t peer, len;
	uint64_t since;
};

struct model {
	struct waiting list[SLOTS];
	uint32_t n;
};

static void take_at(struct model *m, uint32_t at)
{
	memmove(&m->list[at], &m->list[at + 1], (--m->n - at) * sizeof(m->list[0]));
}

/* The first of that peer, or SLOTS. */
static uint32_t first_of(const struct model *m, uint32_t peer)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (m->list[i].peer == peer)
			return i;
	return SLOTS;
}

static void check_put(struct model *m, struct stage *s, struct peer **p, uint32_t peer,
	uint32_t len, bool evict, uint64_t now)
{
	uint8_t bytes[64];
	enum stage_outcome want = STAGE_PUT;
	uint32_t oldest = first_of(m, peer);

	memset(bytes, (int)len, sizeof(bytes));
	if (m->n == SLOTS) {
		want = evict && oldest < SLOTS ? STAGE_PUSH : STAGE_FULL;
		if (want == STAGE_PUSH)
			take_at(m, oldest);
	}
	if (want != STAGE_FULL)
		m->list[m->n++] = (struct waiting){peer, len, now};
	assert_int_equal(stage_put(s, p[peer], bytes, len, evict, now), want);
}

static uint32_t drop_old(struct model *m, uint64_t now)
{
	uint32_t before = m->n;

	for (uint32_t i = 0; i < m->n;)
		if (now - m->list[i].since > STAGE_KEEP_MS)
			take_at(m, i);
		else
			i++;
	return before - m->n;
}

static uint32_t drop_peer(struct model *m, uint32_t peer)
{
	uint32_t n = 0;

	for (; first_of(m, peer) < SLOTS; n++)
		take_at(m, first_of(m, peer));
	return n;
}

/* Peers that can send are taken in some order, each peer's packets in theirs. */
static void check_take(struct model *m, struct stage *s, struct peer **p, uint32_t open_peers,
	uint32_t n, uint64_t now)
{
	struct buffer b[SLOTS];
	struct fwd_packet out[SLOTS];
	struct peer *who[SLOTS];
	uint32_t dropped = 0, can = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		out[i] = (struct fwd_packet){.data = b[i].bytes};
	for (uint32_t i = 0; i < m->n; i++)
		can += open_peers >> m->list[i].peer & 1;
	size_t got = stage_take(s, out, who, n, 2048, now, &dropped);
	assert_int_equal(got, can < n ? can : n);
	for (size_t i = 0; i < got; i++) {
		uint32_t at = first_of(m, who[i]->id);
		assert_true(at < SLOTS && open_peers >> who[i]->id & 1);
		assert_ptr_equal(who[i], p[who[i]->id]);
		assert_int_equal(out[i].len, m->list[at].len);
		assert_int_equal(out[i].data[0], m->list[at].len);
		take_at(m, at);
	}
	assert_int_equal(dropped, 0);
}

static void test_against_list(void **state)
{
	struct session *session = aligned_alloc(64, (sizeof(*session) + 63) / 64 * 64);
	struct sealing sealing = {0};
	struct peer_addrs none = {0};
	struct peer *p[PEERS];
	struct stage s;
	struct model m = {0};
	uint32_t seed = 3, open_peers = 0;
	uint64_t now = 1000;

	(void)state;
	assert_non_null(session);
	memset(session, 0, sizeof(*session));
	session->birth = UINT64_MAX; /* never too old */
	session->limits = (struct session_limits){.life_ms = 1};
	sealing.limits = (struct sealing_limits){0, UINT64_MAX, UINT64_MAX};
	atomic_store(&session->sealing, &sealing);
	for (uint32_t i = 0; i < PEERS; i++)
		assert_non_null(p[i] = peer_new(i, 1, &none, 1));
	assert_int_equal(stage_init(&s, 0, SLOTS, 64), 0);
	assert_int_equal(stage_put(&s, p[0], (uint8_t *)&s, 65, true, 0), STAGE_BIG);
	for (int i = 0; i < OPS; i++) {
		seed = seed * 1664525u + 1013904223u;
		uint32_t peer = seed >> 10 & 3, len = 1 + (seed >> 12 & 63), n = seed >> 18 & 7;
		switch (seed >> 28) {
		case 0:
			open_peers ^= 1u << peer;
			atomic_store(
				&p[peer]->slots.current, open_peers >> peer & 1 ? session : NULL);
			break;
		case 1:
			now += seed >> 14 & 0x1ffff;
			assert_int_equal(stage_sweep(&s, now), drop_old(&m, now));
			break;
		case 2:
			assert_int_equal(stage_purge(&s, p[peer]), drop_peer(&m, peer));
			break;
		case 3:
		case 4:
			check_take(&m, &s, p, open_peers, n, now);
			break;
		default:
			check_put(&m, &s, p, peer, len, n & 1, now);
			break;
		}
		assert_int_equal(atomic_load(&s.used), m.n);
		assert_int_equal(stage_holds(&s, p[peer]), first_of(&m, peer) < SLOTS);
	}
	for (uint32_t i = 0; i < PEERS; i++) {
		stage_purge(&s, p[i]);
		assert_int_equal(atomic_load(&p[i]->staged), 0);
		peer_free(p[i]);
	}
	assert_null(s.waiting);
	stage_fini(&s);
	free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
