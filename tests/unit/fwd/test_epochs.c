/* OpenVPN's epochs: what is received under which, when we change ours, and what strangers can't. */
#include "epoch_rig.h"

enum { PEER = 1, PEER_ID = 9 };

struct world {
	struct rig r;
	struct epoch_client c;
	struct session *s;
};

static void begin(struct world *w, uint8_t cipher)
{
	rig_open(&w->r, 2);
	rig_peer(&w->r, PEER);
	struct fwd_session keys = epoch_session(&w->r, PEER, PEER_ID, 3, 1);
	keys.cipher = cipher;
	w->c = epoch_install(&w->r, &keys);
	assert_int_equal(epoch_hear(&w->r, &w->c), FWD_DELIVER);
	w->s = rig_current(&w->r, PEER);
	assert_non_null(w->s);
}

static void end(struct world *w)
{
	rig_close(&w->r);
}

/* Long enough for the next change that the client asks for. */
static void settle(struct world *w)
{
	rig_tick(&w->r, EPOCHS_GAP_MS);
}

static uint16_t ours(const struct world *w)
{
	return ovpn_epoch(session_sealing(w->s)->limits.first);
}

static void both_ways_with_every_cipher(void **state)
{
	static const uint8_t ciphers[] = {
		AEAD_CHACHA20_POLY1305, AEAD_AES_256_GCM, AEAD_AES_128_GCM};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ciphers); i++) {
		struct world w;
		begin(&w, ciphers[i]);
		for (uint64_t n = 1; n < 50; n++) {
			assert_true(epoch_say(&w.r, &w.c) == (1ull << 48 | n));
			assert_int_equal(epoch_hear(&w.r, &w.c), FWD_DELIVER);
		}
		end(&w);
	}
}

/* Every epoch up to four ahead, none beyond, none before previous. */
static void window_of_epochs(void **state)
{
	struct world w;

	(void)state;
	for (uint16_t jump = 1; jump <= 6; jump++) {
		begin(&w, AEAD_AES_256_GCM);
		const uint16_t to = 1 + jump;
		const uint8_t v = epoch_hear_at(&w.r, &w.c, to, 1);
		assert_int_equal(v, jump <= 4 ? FWD_DELIVER : FWD_UNKNOWN_SESSION);
		assert_int_equal(opening_epoch(&w.s->rx), jump <= 4 ? to : 1);
		/* The one before it goes on, what was passed over does not. */
		assert_int_equal(epoch_hear(&w.r, &w.c), FWD_DELIVER);
		for (uint16_t between = 2; jump <= 4 && between < to; between++)
			assert_int_equal(
				epoch_hear_at(&w.r, &w.c, between, 1), FWD_UNKNOWN_SESSION);
		/* The same keys came in once more by the tick, and the first has gone. */
		settle(&w);
		if (jump <= 4) {
			assert_int_equal(epoch_hear_at(&w.r, &w.c, to + 4, 1), FWD_DELIVER);
			assert_int_equal(epoch_hear(&w.r, &w.c), FWD_UNKNOWN_SESSION);
			assert_int_equal(epoch_hear_at(&w.r, &w.c, to, 2), FWD_DELIVER);
		}
		end(&w);
	}
}

static void windows_are_apart(void **state)
{
	struct world w;

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 1, 7), FWD_DELIVER);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 2, 1), FWD_DELIVER);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 2, 1), FWD_REPLAY);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 2, 7), FWD_DELIVER); /* not that of epoch 1 */
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 2, 7), FWD_REPLAY);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 1, 7), FWD_REPLAY);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 1, 1), FWD_REPLAY);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 1, 6), FWD_DELIVER);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 1, 6), FWD_REPLAY);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 1, 20000), FWD_DELIVER);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 1, 8), FWD_REPLAY);	/* too old there */
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 2, 6), FWD_DELIVER); /* and not here */
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 3, 1), FWD_DELIVER);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 2, 6), FWD_REPLAY); /* moved along */
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 2, 5), FWD_DELIVER);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 3, OVPN_EPOCH_COUNTER), FWD_DELIVER);
	end(&w);
}

/* One read with the epochs of a rough network in it. */
static void one_run_of_many_epochs(void **state)
{
	static const struct {
		uint16_t epoch;
		uint64_t counter;
		uint8_t verdict;
	} rows[] = {
		{1, 5, FWD_DELIVER},
		{2, 1, FWD_DELIVER},
		{1, 4, FWD_DELIVER},
		{2, 2, FWD_DELIVER},
		{2, 1, FWD_REPLAY},
		{9, 1, FWD_UNKNOWN_SESSION},
		{4, 1, FWD_DELIVER},
		{1, 6, FWD_UNKNOWN_SESSION},
		{3, 1, FWD_UNKNOWN_SESSION},
		{2, 3, FWD_DELIVER},
		{5, 1, FWD_DELIVER},
		{5, 2, FWD_DELIVER},
	};
	struct buffer b[ARRAY_SIZE(rows)];
	struct fwd_packet p[ARRAY_SIZE(rows)];
	struct world w;

	(void)state;
	begin(&w, AEAD_AES_128_GCM);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		epoch_packet(&w.c, &b[i], rows[i].epoch, rows[i].counter);
		p[i] = b[i].p;
	}
	fwd_enter(w.r.f, 1);
	fwd_rx(w.r.f, 1, p, ARRAY_SIZE(rows), w.r.now);
	fwd_leave(w.r.f, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(p[i].verdict, rows[i].verdict);
	end(&w);
}

/* Whatever number a stranger writes into a packet, no key is made and no epoch changes. */
static void strangers_change_nothing(void **state)
{
	struct world w;
	struct buffer b;
	struct aead_key *ahead[OPENING_AHEAD];

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	for (uint32_t i = 0; i < OPENING_AHEAD; i++)
		ahead[i] = w.s->rx.epochs->ahead[i].key;
	for (uint32_t epoch = 0; epoch <= 0xffff; epoch++) {
		epoch_packet(&w.c, &b, 1, 100);
		b.p.data[4] = (uint8_t)(epoch >> 8);
		b.p.data[5] = (uint8_t)epoch;
		b.p.data[30] ^= epoch == 1;
		const uint8_t v = rig_rx(&w.r, 0, &b);
		if (epoch == 0)
			assert_int_equal(v, FWD_MALFORMED);
		else
			assert_int_equal(v, epoch <= 5 ? FWD_BAD_TAG : FWD_UNKNOWN_SESSION);
	}
	settle(&w);
	assert_int_equal(opening_epoch(&w.s->rx), 1);
	assert_int_equal(ours(&w), 1);
	for (uint32_t i = 0; i < OPENING_AHEAD; i++)
		assert_ptr_equal(w.s->rx.epochs->ahead[i].key, ahead[i]);
	assert_int_equal(atomic_load(&w.s->rx.failed), 5);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 1, 100), FWD_DELIVER);
	end(&w);
}

static void too_many_forgeries(void **state)
{
	struct world w;
	struct buffer b;

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	atomic_store(&w.s->rx.failed, OVPN_FAILED_OPENS / 8 * 7);
	epoch_packet(&w.c, &b, 4, 1);
	b.p.data[20] ^= 1;
	assert_int_equal(rig_rx(&w.r, 0, &b), FWD_BAD_TAG);
	rig_tick(&w.r, 100);
	assert_int_equal(rig_told(&w.r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), 1);
	atomic_store(&w.s->rx.failed, OVPN_FAILED_OPENS);
	assert_int_equal(epoch_hear(&w.r, &w.c), FWD_EXPIRED);
	end(&w);
}

/* What is received has no limit of blocks: the client goes on by itself. */
static void received_blocks_are_the_clients(void **state)
{
	struct world w;

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	assert_int_equal(epoch_hear(&w.r, &w.c), FWD_DELIVER);
	assert_int_equal(atomic_load(&w.s->rx.blocks), 0);
	end(&w);
}

static void we_follow(void **state)
{
	struct world w;

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	assert_true(epoch_say(&w.r, &w.c) == ovpn_epoch_first(1));
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 4, 1), FWD_DELIVER);
	assert_true(epoch_say(&w.r, &w.c) == ovpn_epoch_first(1) + 1); /* until the tick */
	rig_tick(&w.r, 100);
	assert_true(epoch_say(&w.r, &w.c) == ovpn_epoch_first(4));
	assert_true(epoch_say(&w.r, &w.c) == ovpn_epoch_first(4) + 1);
	settle(&w);
	assert_int_equal(ours(&w), 4); /* and stay */
	end(&w);
}

/* The client accepts four beyond what it has seen of us; a silent server must not pass those by. */
static void not_further_than_the_client_can(void **state)
{
	struct world w;

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	for (uint16_t e = 5; e <= 13; e += 4) {
		assert_int_equal(epoch_hear_at(&w.r, &w.c, e, 1), FWD_DELIVER);
		settle(&w);
		assert_int_equal(ours(&w), 5);
	}
	assert_true(epoch_say(&w.r, &w.c) == ovpn_epoch_first(5)); /* now it has seen one */
	settle(&w);
	assert_int_equal(ours(&w), 9);
	assert_true(epoch_say(&w.r, &w.c) == ovpn_epoch_first(9));
	settle(&w);
	assert_int_equal(ours(&w), 13);
	end(&w);
}

/* A client that runs through its epochs has us make four keys a second and no more. */
static void in_a_hurry(void **state)
{
	struct world w;

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 5, 1), FWD_DELIVER);
	rig_tick(&w.r, 100);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 9, 1), FWD_DELIVER);
	rig_tick(&w.r, 100);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 10, 1), FWD_UNKNOWN_SESSION);
	assert_int_equal(ours(&w), 5);
	assert_int_equal(
		epoch_hear_at(&w.r, &w.c, 9, 2), FWD_DELIVER); /* it may go on where it is */
	rig_tick(&w.r, EPOCHS_GAP_MS);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 10, 1), FWD_DELIVER);
	end(&w);
}

static void own_step_before_the_limit(void **state)
{
	static const struct {
		uint8_t cipher;
		uint64_t counter, blocks;
		bool steps;
	} rows[] = {
		{AEAD_AES_256_GCM, 1000, OVPN_GCM_BLOCKS / 8 * 7 - 10, false},
		{AEAD_AES_256_GCM, 1000, OVPN_GCM_BLOCKS / 8 * 7 - 4, true},
		{AEAD_AES_128_GCM, 1000, OVPN_GCM_BLOCKS / 8 * 7 - 4, true},
		{AEAD_CHACHA20_POLY1305, 1000, OVPN_GCM_BLOCKS * 100, false},
		{AEAD_CHACHA20_POLY1305, OVPN_EPOCH_COUNTER - OVPN_EPOCH_COUNTER / 8 - 2, 0, false},
		{AEAD_CHACHA20_POLY1305, OVPN_EPOCH_COUNTER - OVPN_EPOCH_COUNTER / 8, 0, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w;
		begin(&w, rows[i].cipher);
		struct sealing *t = session_sealing(w.s);
		atomic_store(&t->counter, 1ull << 48 | rows[i].counter);
		atomic_store(&t->blocks, rows[i].blocks);
		assert_true(epoch_say(&w.r, &w.c) == (1ull << 48 | rows[i].counter));
		rig_tick(&w.r, 100);
		assert_int_equal(ours(&w), rows[i].steps ? 2 : 1);
		assert_true(ovpn_epoch(epoch_say(&w.r, &w.c)) == (rows[i].steps ? 2 : 1));
		/* No new handshake for that. */
		rig_run(&w.r, 2000);
		assert_int_equal(rig_told(&w.r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), 0);
		assert_int_equal(ours(&w), rows[i].steps ? 2 : 1);
		end(&w);
	}
}

/* Faster than the tick: nothing is sealed beyond a limit; it waits, and goes with the next keys. */
static void a_limit_is_never_passed(void **state)
{
	struct world w;
	struct buffer b;

	(void)state;
	for (int by_counter = 0; by_counter < 2; by_counter++) {
		begin(&w, AEAD_AES_256_GCM);
		struct sealing *t = session_sealing(w.s);
		if (by_counter)
			atomic_store(&t->counter, 1ull << 48 | (OVPN_EPOCH_COUNTER - 1));
		else
			atomic_store(&t->blocks, OVPN_GCM_BLOCKS - 5);
		assert_true(epoch_say(&w.r, &w.c)); /* the last there is */
		assert_true(epoch_say(&w.r, &w.c) == 0);
		assert_true(sealing_used_up(t));
		rig_tick(&w.r, 100);
		b.p = (struct fwd_packet){.data = b.bytes + FWD_HEADROOM};
		fwd_enter(w.r.f, 0);
		assert_int_equal(fwd_unstage(w.r.f, 0, &b.p, 1, 1420, w.r.now), 1);
		fwd_leave(w.r.f, 0);
		assert_true(wire_be64(b.p.data + 4) == ovpn_epoch_first(2));
		assert_true(epoch_crypt(w.c.keys.seal, w.c.keys.cipher, b.p.data, b.p.len, false));
		end(&w);
	}
}

/* An epoch number as if 0xf000 had been passed: the keys of these are not asked for. */
static void pretend_epoch(struct world *w, uint16_t epoch)
{
	struct sealing *t = session_sealing(w->s);

	t->limits.first = ovpn_epoch_first(epoch);
	t->limits.end = ovpn_epoch_first(epoch) - 1 + OVPN_EPOCH_COUNTER;
	atomic_store(&t->counter, t->limits.first + 1);
	atomic_store(&w->s->rx.epochs->epoch, epoch);
	w->s->epochs->open_last = epoch > 0xffff - 4 ? 0xffff : epoch + 4;
}

static void late_epochs_want_a_handshake(void **state)
{
	static const uint16_t epochs[] = {0xefff, 0xf000, 0xffff};
	struct world w;
	struct buffer b;
	struct ip_addr dst = rig_addr4(PEER), src = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(epochs); i++) {
		begin(&w, AEAD_AES_256_GCM);
		pretend_epoch(&w, epochs[i]);
		inner4(&b, &src, &dst, 60);
		assert_int_equal(rig_tx(&w.r, 0, &b), FWD_SEND);
		rig_tick(&w.r, 100);
		assert_int_equal(
			rig_told(&w.r, FWD_EVENT_REKEY, UAPI_REKEY_COUNTER), epochs[i] >= 0xf000);
		end(&w);
	}
}

/* The last epoch of all is the end of the session, not the beginning of another round. */
static void no_epoch_after_the_last(void **state)
{
	struct world w;

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	pretend_epoch(&w, 0xffff);
	atomic_store(&session_sealing(w.s)->blocks, OVPN_GCM_BLOCKS - 1);
	epochs_keep(w.s, 3, w.r.now, NULL);
	assert_int_equal(ours(&w), 0xffff);
	atomic_store(&session_sealing(w.s)->blocks, OVPN_GCM_BLOCKS);
	rig_tick(&w.r, 5000);
	assert_null(rig_current(&w.r, PEER));
	assert_int_equal(rig_told(&w.r, FWD_EVENT_EXPIRED, UAPI_END_AGE), 1);
	end(&w);
}

/* E_n alone says nothing of what was sent before it: older secrets and keys are gone. */
static void what_was_is_wiped(void **state)
{
	struct world w;

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	const struct epochs *e = w.s->epochs;
	assert_memory_not_equal(e->open_secret, w.c.keys.open, 32); /* already E_5 */
	assert_memory_equal(e->seal_secret, w.c.keys.seal, 32);
	epoch_say(&w.r, &w.c);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 3, 1), FWD_DELIVER);
	assert_int_equal(e->rx.n_retired, 1); /* epoch 2, passed over */
	settle(&w);
	assert_int_equal(e->rx.n_retired, 0);
	assert_memory_not_equal(e->seal_secret, w.c.keys.seal, 32);
	uint8_t secret[EPOCH_SECRET];
	memcpy(secret, w.c.keys.seal, sizeof(secret));
	assert_int_equal(epoch_step(secret) | epoch_step(secret), 0);
	assert_memory_equal(e->seal_secret, secret, 32);
	memcpy(secret, w.c.keys.open, sizeof(secret));
	for (int i = 1; i < 3 + OPENING_AHEAD; i++)
		assert_int_equal(epoch_step(secret), 0);
	assert_memory_equal(e->open_secret, secret, 32);
	end(&w);
}

/* The session's life goes on as in the other formats: rekey, revocation, a client beside it. */
static void sessions_change_as_ever(void **state)
{
	struct world w;
	const struct ulid all = {{0}};

	(void)state;
	begin(&w, AEAD_AES_256_GCM);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 3, 1), FWD_DELIVER);
	settle(&w);
	struct fwd_session keys = epoch_session(&w.r, PEER, PEER_ID, 4, 1);
	struct epoch_client next = epoch_install(&w.r, &keys);
	assert_true(epoch_say(&w.r, &w.c) == ovpn_epoch_first(3)); /* not yet used by the client */
	assert_int_equal(epoch_hear(&w.r, &next), FWD_DELIVER);
	assert_true(epoch_say(&w.r, &next) == ovpn_epoch_first(1)); /* each has its own */
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 3, 2), FWD_DELIVER);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 4, 1), FWD_DELIVER);
	settle(&w);
	assert_int_equal(fwd_session_del(w.r.f, PEER, &all), 0);
	assert_int_equal(epoch_hear(&w.r, &next), FWD_UNKNOWN_SESSION);
	/* A session of the older format in the same place. */
	struct client old = rig_ovpn(&w.r, PEER, PEER_ID, 4, 2);
	assert_int_equal(rig_hear_client(&w.r, PEER, &old), FWD_DELIVER);
	rig_say_to(&w.r, PEER, &old);
	client_close(&old);
	end(&w);
}

/* Over TCP the ids rise along the stream, also when the epoch changes between two seals. */
static void a_stream(void **state)
{
	struct world w;
	struct buffer b[4];
	struct fwd_packet *run[4];
	struct ip_addr dst = rig_addr4(PEER), src = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

	(void)state;
	rig_open(&w.r, 1);
	rig_peer(&w.r, PEER);
	struct fwd_session keys = epoch_session(&w.r, PEER, PEER_ID, 0, 1);
	keys.transport = UAPI_TCP;
	keys.path.connection = 77;
	keys.ping_s = 1;
	w.c = epoch_install(&w.r, &keys);
	assert_int_equal(epoch_hear(&w.r, &w.c), FWD_DELIVER);
	w.s = rig_current(&w.r, PEER);
	for (int i = 0; i < 4; i++) {
		inner4(&b[i], &src, &dst, 60);
		assert_int_equal(rig_tx(&w.r, 0, &b[i]), FWD_STREAM);
		run[i] = &b[i].p;
	}
	fwd_seal(w.r.f, 0, run, 2, w.r.now);
	assert_int_equal(epoch_hear_at(&w.r, &w.c, 2, 1), FWD_DELIVER);
	rig_tick(&w.r, 100);
	fwd_seal(w.r.f, 0, run + 2, 2, w.r.now);
	static const uint64_t ids[] = {
		1ull << 48 | 1, 1ull << 48 | 2, 2ull << 48 | 1, 2ull << 48 | 2};
	for (int i = 0; i < 4; i++) {
		assert_int_equal(run[i]->verdict, FWD_SEND);
		assert_true(wire_be64(run[i]->data + 4) == ids[i]);
		assert_true(epoch_crypt(keys.seal, keys.cipher, run[i]->data, run[i]->len, false));
	}
	rig_tick(&w.r, 1000); /* a ping */
	assert_int_equal(w.r.n_sent, 1);
	assert_true(wire_be64(w.r.sent[0] + 4) == (2ull << 48 | 3));
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_with_every_cipher),
		cmocka_unit_test(window_of_epochs),
		cmocka_unit_test(windows_are_apart),
		cmocka_unit_test(one_run_of_many_epochs),
		cmocka_unit_test(strangers_change_nothing),
		cmocka_unit_test(too_many_forgeries),
		cmocka_unit_test(received_blocks_are_the_clients),
		cmocka_unit_test(we_follow),
		cmocka_unit_test(not_further_than_the_client_can),
		cmocka_unit_test(in_a_hurry),
		cmocka_unit_test(own_step_before_the_limit),
		cmocka_unit_test(a_limit_is_never_passed),
		cmocka_unit_test(late_epochs_want_a_handshake),
		cmocka_unit_test(no_epoch_after_the_last),
		cmocka_unit_test(what_was_is_wiped),
		cmocka_unit_test(sessions_change_as_ever),
		cmocka_unit_test(a_stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
