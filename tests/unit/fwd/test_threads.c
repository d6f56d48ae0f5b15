/*
 * Two workers and a control thread at once; meant for the thread and the address sanitizer.
 * WireGuard first, then OpenVPN with a TCP connection that everybody sends on, then its epochs.
 *
 * The workers seal, open, stage and roam while the control thread rekeys, revokes, removes and
 * re-creates peers and ticks. What must hold: no counter of a session is used twice, a packet that
 * was opened is one that was sealed with that session, and after a revocation has returned nothing
 * more comes out of it.
 */
#include "epoch_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { WORKERS = 2, PEERS = 4, ROUNDS = 1500, BATCH = 16, INDICES = 64 };

static const struct ip_addr internet = {.family = IP_V4, .bytes = {8, 8, 8, 8}};

struct shared {
	struct fwd *f;
	atomic_bool stop;
	_Atomic uint64_t now;
	_Atomic uint64_t turns, sealed, opened;
	_Atomic uint64_t revoked_seq;	    /* sessions up to this one must not be used any more */
	_Atomic uint32_t indices[PEERS];    /* of the newest session */
	_Atomic uint64_t used[INDICES][64]; /* counters seen, one bit each */
};

struct worker_arg {
	struct shared *sh;
	uint32_t number;
};

static void note_counter(struct shared *sh, const struct fwd_packet *p)
{
	uint32_t session = wire_le32(p->data + 4) & 0xffff;
	uint64_t counter = wire_le64(p->data + 8);

	if (counter >= 64 * 64)
		return;
	uint64_t bit = 1ull << counter % 64;
	assert_false(atomic_fetch_or(&sh->used[session % INDICES][counter / 64], bit) & bit);
}

static void send_batch(struct worker_arg *w, struct buffer *b, uint32_t turn)
{
	struct fwd_packet p[BATCH];
	struct fwd *f = w->sh->f;

	for (uint32_t i = 0; i < BATCH; i++) {
		struct ip_addr dst = rig_addr4((turn + i / 8) % PEERS);
		inner4(&b[i], &internet, &dst, 60 + i);
		p[i] = b[i].p;
	}
	fwd_enter(f, w->number);
	fwd_tx(f, w->number, p, BATCH, atomic_load(&w->sh->now));
	for (uint32_t i = 0; i < BATCH; i++)
		if (p[i].verdict == FWD_SEND) {
			note_counter(w->sh, &p[i]);
			atomic_fetch_add(&w->sh->sealed, 1);
		}
	fwd_leave(f, w->number);
}

static void send_staged(struct worker_arg *w, struct buffer *b)
{
	struct fwd_packet p[BATCH];
	struct fwd *f = w->sh->f;

	for (uint32_t i = 0; i < BATCH; i++)
		p[i] = (struct fwd_packet){.data = b[i].bytes + FWD_HEADROOM};
	fwd_enter(f, w->number);
	size_t n = fwd_unstage(f, w->number, p, BATCH, 2048, atomic_load(&w->sh->now));
	for (size_t i = 0; i < n; i++)
		note_counter(w->sh, &p[i]);
	fwd_leave(f, w->number);
}

/* The device's packets, from both workers at once, as a glued read could deliver them. */
static void receive_batch(struct worker_arg *w, struct buffer *b, uint64_t *counter)
{
	struct fwd_packet p[BATCH];
	struct shared *sh = w->sh;

	for (uint32_t i = 0; i < BATCH; i++) {
		uint32_t peer = i / 4 % PEERS, index = atomic_load(&sh->indices[peer]);
		struct ip_addr src = rig_addr4(peer);
		uint8_t key[32];
		struct device d = {.to = index, .path = rig_path((uint8_t)w->number, 1)};
		memset(key, (int)(index + 101), sizeof(key));
		assert_int_equal(aead_key_new(&d.seal, AEAD_CHACHA20_POLY1305, key, true), 0);
		inner4(&b[i], &src, &internet, 60);
		device_seal_at(&d, &b[i], ++*counter * WORKERS + w->number);
		aead_key_free(d.seal);
		p[i] = b[i].p;
	}
	uint64_t revoked = atomic_load(&sh->revoked_seq);
	fwd_enter(sh->f, w->number);
	fwd_rx(sh->f, w->number, p, BATCH, atomic_load(&sh->now));
	fwd_leave(sh->f, w->number);
	for (uint32_t i = 0; i < BATCH; i++) {
		if (p[i].verdict != FWD_DELIVER)
			continue;
		assert_int_equal(p[i].len, 60);
		assert_int_equal(p[i].data[15], p[i].peer);
		assert_true(wire_le32(b[i].bytes + FWD_HEADROOM - 12) > revoked);
		atomic_fetch_add(&sh->opened, 1);
	}
}

static void *worker_main(void *arg)
{
	struct worker_arg *w = arg;
	struct buffer *b = calloc(BATCH, sizeof(*b));
	uint64_t counter = 0;

	assert_non_null(b);
	for (uint32_t turn = 0; !atomic_load(&w->sh->stop); turn++) {
		send_batch(w, b, turn);
		receive_batch(w, b, &counter);
		if (fwd_has_staged(w->sh->f, w->number))
			send_staged(w, b);
		atomic_fetch_add(&w->sh->turns, 1);
	}
	free(b);
	return NULL;
}

/* So many turns from now on, with what stands now, however long we were not there ourselves. */
static void let_work(_Atomic uint64_t *turns, uint64_t n)
{
	const uint64_t from = atomic_load(turns);

	while (atomic_load(turns) < from + n)
		sched_yield();
}

static bool on_event(void *arg, const struct fwd_event *e)
{
	(void)arg;
	(void)e;
	return true;
}

static void on_send(void *arg, struct fwd_packet *p)
{
	note_counter(arg, p);
}

/* Index equals seq, so that whoever sees the one knows the other. */
static void rekey(struct shared *sh, uint32_t peer, uint64_t seq)
{
	struct fwd_session s = {.peer = peer,
		.seq = seq,
		.protocol = UAPI_WIREGUARD,
		.role = seq % 3 ? UAPI_INITIATOR : UAPI_RESPONDER,
		.cipher = AEAD_CHACHA20_POLY1305,
		.transport = UAPI_UDP,
		.local_index = (uint32_t)seq,
		.remote_index = (uint32_t)seq,
		.tunnel = rig_ulid((uint8_t)seq),
		.credential = rig_ulid(1 + seq % 2),
		.path = rig_path(9, 9)};

	memset(s.seal, (int)(seq + 1), sizeof(s.seal));
	memset(s.open, (int)(seq + 101), sizeof(s.open));
	for (int i = 0; i < 64; i++)
		atomic_store(&sh->used[seq % INDICES][i], 0);
	assert_int_equal(fwd_session_set(sh->f, &s, atomic_load(&sh->now)), 0);
	atomic_store(&sh->indices[peer], (uint32_t)seq);
}

static void make_peers(struct shared *sh)
{
	for (uint32_t i = 0; i < PEERS; i++) {
		struct ip_addr a4 = rig_addr4(i), a6 = rig_addr6(i);
		assert_int_equal(fwd_peer_set(sh->f, i, &a4, &a6), 0);
	}
}

static void revoke_all(struct shared *sh, uint64_t seq)
{
	struct ulid all = {{0}};

	for (uint32_t i = 0; i < PEERS; i++)
		assert_int_equal(fwd_session_del(sh->f, i, &all), 0);
	atomic_store(&sh->revoked_seq, seq);
}

static void control(struct shared *sh)
{
	const struct fwd_tick_ops ops = {on_event, on_send, sh};
	struct fwd_peer_stats st[PEERS];
	struct fwd_totals totals;

	for (uint64_t seq = 1; seq <= ROUNDS; seq++) {
		let_work(&sh->turns, 2);
		rekey(sh, seq % PEERS, seq);
		atomic_fetch_add(&sh->now, 37);
		fwd_tick(sh->f, atomic_load(&sh->now), &ops);
		if (seq % 16 == 0)
			revoke_all(sh, seq);
		if (seq % 64 == 32) {
			assert_int_equal(fwd_peer_del(sh->f, seq % PEERS), 0);
			make_peers(sh);
		}
		if (seq % 64 == 33) {
			fwd_sync_begin(sh->f);
			assert_int_equal(fwd_sync_end(sh->f), PEERS);
			make_peers(sh);
		}
		assert_int_equal(fwd_peer_stats(sh->f, 0, st, PEERS, atomic_load(&sh->now)), PEERS);
		fwd_totals(sh->f, &totals);
		assert_int_equal(totals.peers, PEERS);
	}
}

static void test_stress(void **state)
{
	static struct shared sh;
	struct worker_arg args[WORKERS];
	pthread_t threads[WORKERS];
	const struct fwd_limits limits = {PEERS, 4096, 16, WORKERS, 100, 1420};

	(void)state;
	assert_int_equal(aead_init(), 0);
	assert_int_equal(fwd_new(&sh.f, &limits), 0);
	atomic_store(&sh.now, 1000000);
	make_peers(&sh);
	for (uint32_t i = 0; i < WORKERS; i++) {
		args[i] = (struct worker_arg){&sh, i};
		assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &args[i]), 0);
	}
	control(&sh);
	atomic_store(&sh.stop, true);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(atomic_load(&sh.sealed) > 10000);
	assert_true(atomic_load(&sh.opened) > 5000);
	fwd_free(sh.f);
}

/* ---- OpenVPN: one connection that both workers send on, and clients found by origin ---- */

enum { STREAM_ROUNDS = 600, TCP_PEER = 0, V1_PEER = 1 };

struct line {
	struct fwd *f;
	atomic_bool stop;
	_Atomic uint64_t now, turns, opened;
	_Atomic uint64_t v1_seq;		 /* of the newest session of V1_PEER */
	pthread_mutex_t stream;			 /* what io holds for a connection */
	uint32_t last_id[STREAM_ROUNDS * 2 + 2]; /* by peer-id, which is the session's seq */
	uint64_t sealed;
};

struct line_arg {
	struct line *line;
	uint32_t number;
};

static struct fwd_session line_keys(struct line *line, uint32_t peer, uint64_t seq)
{
	struct rig r = {.f = line->f, .seq = seq - 1};
	struct fwd_session s = ovpn_keys(&r, peer, (uint32_t)seq, seq % 8, (uint8_t)(1 + seq / 7));

	s.ping_s = 1;
	if (peer == TCP_PEER) {
		s.transport = UAPI_TCP;
		s.path.connection = (uint32_t)(1 + seq / 16);
	} else {
		s.format = UAPI_DATA_V1;
	}
	return s;
}

/* The caller holds the stream. */
static void on_stream(struct line *line, const struct fwd_packet *p)
{
	uint32_t session = wire_be24(p->data + 1), id = wire_be32(p->data + 4);

	assert_true(session < ARRAY_SIZE(line->last_id));
	assert_true(id == line->last_id[session] + 1); /* none lost, none exchanged */
	line->last_id[session] = id;
	line->sealed++;
}

static void seal_stream(struct line *line, uint32_t worker, struct fwd_packet **run, size_t n)
{
	pthread_mutex_lock(&line->stream);
	fwd_seal(line->f, worker, run, n, atomic_load(&line->now));
	for (size_t i = 0; i < n; i++) {
		if (run[i]->verdict == FWD_SEND)
			on_stream(line, run[i]);
		else
			assert_int_equal(run[i]->verdict, FWD_NO_SESSION);
	}
	pthread_mutex_unlock(&line->stream);
}

static void send_stream(struct line_arg *a, struct buffer *b)
{
	struct fwd_packet p[BATCH], *run[BATCH];
	struct line *line = a->line;
	struct ip_addr dst = rig_addr4(TCP_PEER);
	size_t n = 0;

	for (uint32_t i = 0; i < BATCH; i++) {
		inner4(&b[i], &internet, &dst, 60 + i);
		p[i] = b[i].p;
	}
	fwd_enter(line->f, a->number);
	fwd_tx(line->f, a->number, p, BATCH, atomic_load(&line->now));
	for (uint32_t i = 0; i < BATCH; i++)
		if (p[i].verdict == FWD_STREAM)
			run[n++] = &p[i];
	if (n)
		seal_stream(line, a->number, run, n);
	fwd_leave(line->f, a->number);
}

static void hear_v1(struct line_arg *a, struct buffer *b, uint32_t id)
{
	struct line *line = a->line;
	struct ip_addr src = rig_addr4(V1_PEER);
	struct fwd_session keys = line_keys(line, V1_PEER, atomic_load(&line->v1_seq));
	struct client c = client_open(&keys);

	inner4(b, &src, &internet, 60);
	client_seal_at(&c, b, id * WORKERS + a->number);
	client_close(&c);
	fwd_enter(line->f, a->number);
	fwd_rx(line->f, a->number, &b->p, 1, atomic_load(&line->now));
	fwd_leave(line->f, a->number);
	if (b->p.verdict != FWD_DELIVER)
		return;
	assert_int_equal(b->p.peer, V1_PEER);
	assert_int_equal(b->p.len, 60);
	atomic_fetch_add(&line->opened, 1);
}

static void *line_main(void *arg)
{
	struct line_arg *a = arg;
	struct buffer *b = calloc(BATCH, sizeof(*b));

	assert_non_null(b);
	for (uint32_t turn = 1; !atomic_load(&a->line->stop); turn++) {
		send_stream(a, b);
		hear_v1(a, b, turn);
		atomic_fetch_add(&a->line->turns, 1);
	}
	free(b);
	return NULL;
}

static void on_ping(void *arg, struct fwd_packet *p)
{
	struct line *line = arg;

	if (p->verdict == FWD_STREAM)
		seal_stream(line, WORKERS, &p, 1);
	else
		assert_int_equal(p->verdict, FWD_SEND);
}

static void line_install(struct line *line, uint32_t peer, uint64_t seq)
{
	struct fwd_session s = line_keys(line, peer, seq);

	assert_int_equal(fwd_session_set(line->f, &s, atomic_load(&line->now)), 0);
	if (peer == V1_PEER)
		atomic_store(&line->v1_seq, seq);
	else
		assert_int_equal(fwd_session_use(line->f, peer, seq), 0);
}

static void line_control(struct line *line)
{
	const struct fwd_tick_ops ops = {on_event, on_ping, line};

	for (uint64_t round = 1; round <= STREAM_ROUNDS; round++) {
		let_work(&line->turns, 6);
		line_install(line, TCP_PEER, round * 2);
		line_install(line, V1_PEER, round * 2 + 1);
		atomic_fetch_add(&line->now, 370);
		fwd_tick(line->f, atomic_load(&line->now), &ops);
		if (round % 16 == 7) /* that connection or an older one */
			fwd_connection_closed(line->f, TCP_PEER, (uint32_t)(1 + round * 2 / 16));
		if (round % 64 == 63)
			assert_int_equal(
				fwd_session_del(line->f, TCP_PEER, &(struct ulid){{0}}), 0);
	}
}

static void test_stream(void **state)
{
	static struct line line;
	struct line_arg args[WORKERS];
	pthread_t threads[WORKERS];
	const struct fwd_limits limits = {PEERS, 64, 64, WORKERS, 100, 1420};

	(void)state;
	assert_int_equal(aead_init(), 0);
	assert_int_equal(fwd_new(&line.f, &limits), 0);
	assert_int_equal(pthread_mutex_init(&line.stream, NULL), 0);
	atomic_store(&line.now, 1000000);
	struct shared sh = {.f = line.f};
	make_peers(&sh);
	line_install(&line, V1_PEER, 1);
	for (uint32_t i = 0; i < WORKERS; i++) {
		args[i] = (struct line_arg){&line, i};
		assert_int_equal(pthread_create(&threads[i], NULL, line_main, &args[i]), 0);
	}
	line_control(&line);
	atomic_store(&line.stop, true);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(line.sealed > 2000);
	assert_true(atomic_load(&line.opened) > 300);
	pthread_mutex_destroy(&line.stream);
	fwd_free(line.f);
}

/* ---- OpenVPN: a client that goes through its epochs while both workers seal and open ---- */

enum { EPOCHS = 48, EPOCH_ROUNDS = 150, EPOCH_SESSIONS = 64, EPOCH_COUNTERS = 16 * 1024 };

struct chain {
	struct fwd *f;
	atomic_bool stop;
	_Atomic uint64_t now, opened, sealed;
	_Atomic uint32_t client; /* peer-id and, in the low half, the epoch it sends in */
	_Atomic uint32_t heard;	 /* the newest of these that a packet was opened of */
	struct epoch_keys up[EPOCHS], down[EPOCHS]; /* of every session */
	_Atomic uint64_t used[EPOCH_SESSIONS][EPOCH_COUNTERS / 64];
	_Atomic uint64_t last_epoch; /* that was sealed with */
};

struct chain_arg {
	struct chain *chain;
	uint32_t number;
};

static struct fwd_session chain_keys(struct chain *c, uint64_t seq)
{
	struct rig r = {.f = c->f, .seq = seq - 1};
	struct fwd_session s = epoch_session(&r, TCP_PEER, (uint32_t)seq, seq % 8, 1);

	memset(s.open, 1, sizeof(s.open));
	memset(s.seal, 2, sizeof(s.seal));
	s.ping_s = 1;
	return s;
}

static void derive_all(struct epoch_keys k[EPOCHS], uint8_t first)
{
	uint8_t secret[EPOCH_SECRET];

	memset(secret, first, sizeof(secret));
	for (int e = 1; e < EPOCHS; e++) {
		assert_int_equal(epoch_derive(secret, AEAD_AES_256_GCM, &k[e]), 0);
		assert_int_equal(epoch_step(secret), 0);
	}
}

static bool chain_crypt(const struct epoch_keys *k, uint8_t *frame, uint32_t len, bool sealing)
{
	struct aead_op op = {.text = frame + 12,
		.len = len - 28,
		.tag = frame + len - 16,
		.aad = frame,
		.aad_len = 12};
	struct aead_key *key;

	assert_int_equal(aead_key_new(&key, AEAD_AES_256_GCM, k->key, sealing), 0);
	for (int i = 0; i < 12; i++)
		op.nonce[i] = k->iv[i] ^ (i < 8 ? frame[4 + i] : 0);
	if (sealing)
		aead_seal_batch(key, &op, 1);
	else
		aead_open_batch(key, &op, 1);
	aead_key_free(key);
	return op.ok;
}

/* A counter serves once in an epoch, and the key is the epoch's. */
static void check_sealed(struct chain *c, uint8_t *frame, uint32_t len)
{
	const uint32_t session = wire_be24(frame + 1);
	const uint64_t id = wire_be64(frame + 4), counter = id & OVPN_EPOCH_COUNTER;
	const uint16_t epoch = ovpn_epoch(id);

	assert_in_range(epoch, 1, EPOCHS - 1);
	assert_true(session < EPOCH_SESSIONS && counter);
	/* One bit for each: epochs of one session have few packets. */
	const uint64_t at = (counter * EPOCHS + epoch) % EPOCH_COUNTERS, bit = 1ull << at % 64;
	if (counter < EPOCH_COUNTERS / EPOCHS)
		assert_false(atomic_fetch_or(&c->used[session][at / 64], bit) & bit);
	assert_true(chain_crypt(&c->down[epoch], frame, len, false));
	atomic_fetch_add(&c->sealed, 1);
	if (epoch > atomic_load(&c->last_epoch))
		atomic_store(&c->last_epoch, epoch);
}

static void chain_send(struct chain_arg *a, struct buffer *b)
{
	struct fwd_packet p[BATCH];
	struct chain *c = a->chain;
	struct ip_addr dst = rig_addr4(TCP_PEER);

	for (uint32_t i = 0; i < BATCH; i++) {
		inner4(&b[i], &internet, &dst, 60 + i);
		p[i] = b[i].p;
	}
	fwd_enter(c->f, a->number);
	fwd_tx(c->f, a->number, p, BATCH, atomic_load(&c->now));
	for (uint32_t i = 0; i < BATCH; i++)
		if (p[i].verdict == FWD_SEND)
			check_sealed(c, p[i].data, p[i].len);
	fwd_leave(c->f, a->number);
}

/* Two epochs mixed in one batch. */
static void chain_hear(struct chain_arg *a, struct buffer *b, uint64_t *counter)
{
	struct fwd_packet p[BATCH];
	struct chain *c = a->chain;
	const uint32_t client = atomic_load(&c->client), epoch = client & 0xffff;
	struct ip_addr src = rig_addr4(TCP_PEER);

	for (uint32_t i = 0; i < BATCH; i++) {
		const uint32_t e = epoch > 1 && i % 5 == 0 ? epoch - 1 : epoch;
		inner4(&b[i], &src, &internet, 60);
		uint8_t *frame = b[i].p.data - 12;
		put32(frame, client >> 16);
		frame[0] = (uint8_t)(9 << 3 | (client >> 16) % 8);
		wire_put_be64(frame + 4, (uint64_t)e << 48 | (++*counter * WORKERS + a->number));
		assert_true(chain_crypt(&c->up[e], frame, 88, true));
		p[i] = (struct fwd_packet){.data = frame, .len = 88, .path = rig_path(1, 1194)};
	}
	fwd_enter(c->f, a->number);
	fwd_rx(c->f, a->number, p, BATCH, atomic_load(&c->now));
	fwd_leave(c->f, a->number);
	for (uint32_t i = 0; i < BATCH; i++) {
		assert_int_not_equal(p[i].verdict, FWD_BAD_TAG);
		if (p[i].verdict == FWD_DELIVER) {
			assert_int_equal(p[i].len, 60);
			atomic_fetch_add(&c->opened, 1);
		}
	}
	if (p[1].verdict == FWD_DELIVER && client > atomic_load(&c->heard))
		atomic_store(&c->heard, client);
}

static void *chain_main(void *arg)
{
	struct chain_arg *a = arg;
	struct buffer *b = calloc(BATCH, sizeof(*b));
	uint64_t counter = 0;

	assert_non_null(b);
	while (!atomic_load(&a->chain->stop)) {
		chain_send(a, b);
		chain_hear(a, b, &counter);
	}
	free(b);
	return NULL;
}

static void on_chain_ping(void *arg, struct fwd_packet *p)
{
	check_sealed(arg, p->data, p->len);
}

/* A new session when the keys that were derived come to their end, and now and then before. */
static void chain_control(struct chain *c)
{
	const struct fwd_tick_ops ops = {on_event, on_chain_ping, c};
	uint32_t epoch = EPOCHS;
	uint64_t seq = 0;

	for (uint64_t round = 1; round <= EPOCH_ROUNDS; round++) {
		epoch += 1 + round % 4;
		if (epoch >= EPOCHS) {
			struct fwd_session s = chain_keys(c, ++seq);
			assert_int_equal(fwd_session_set(c->f, &s, atomic_load(&c->now)), 0);
			epoch = 1;
		}
		const uint32_t client = (uint32_t)seq << 16 | epoch;
		atomic_store(&c->client, client);
		while (atomic_load(&c->heard) < client)
			sched_yield();
		atomic_fetch_add(&c->now, EPOCHS_GAP_MS);
		fwd_tick(c->f, atomic_load(&c->now), &ops);
		if (round % 64 == 63) {
			assert_int_equal(fwd_session_del(c->f, TCP_PEER, &(struct ulid){{0}}), 0);
			epoch = EPOCHS;
		}
	}
	assert_true(seq < EPOCH_SESSIONS);
}

static void test_epochs(void **state)
{
	static struct chain c;
	struct chain_arg args[WORKERS];
	pthread_t threads[WORKERS];
	const struct fwd_limits limits = {PEERS, 64, 64, WORKERS, 100, 1420};

	(void)state;
	assert_int_equal(aead_init() | epoch_init(), 0);
	assert_int_equal(fwd_new(&c.f, &limits), 0);
	derive_all(c.up, 1);
	derive_all(c.down, 2);
	atomic_store(&c.now, 1000000);
	atomic_store(&c.client, 1);
	struct shared sh = {.f = c.f};
	make_peers(&sh);
	for (uint32_t i = 0; i < WORKERS; i++) {
		args[i] = (struct chain_arg){&c, i};
		assert_int_equal(pthread_create(&threads[i], NULL, chain_main, &args[i]), 0);
	}
	chain_control(&c);
	atomic_store(&c.stop, true);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	print_message("%llu opened, %llu sealed, up to epoch %llu\n",
		(unsigned long long)atomic_load(&c.opened),
		(unsigned long long)atomic_load(&c.sealed),
		(unsigned long long)atomic_load(&c.last_epoch));
	assert_true(atomic_load(&c.sealed) > 2000);
	assert_true(atomic_load(&c.opened) > 1000);
	assert_true(atomic_load(&c.last_epoch) > 10);
	fwd_free(c.f);
}

/* A path is read whole or not at all. */
static void *path_reader(void *arg)
{
	struct pathcell *c = arg;

	for (int i = 0; i < 100000; i++) {
		struct path p = pathcell_load(c);
		uint8_t n = p.listener;
		for (int k = 0; k < 16; k++)
			assert_true(p.remote.addr.bytes[k] == n && p.local.bytes[k] == n);
		assert_true(p.remote.port == n * 257 && p.remote.scope_id == n * 0x01010101u);
	}
	return NULL;
}

static void test_pathcell(void **state)
{
	static struct pathcell c;
	pthread_t reader;

	(void)state;
	assert_int_equal(pthread_create(&reader, NULL, path_reader, &c), 0);
	for (int i = 0; i < 100000; i++) {
		struct path p;
		memset(&p, i & 255, sizeof(p));
		pathcell_store(&c, &p);
		struct path back = pathcell_load(&c);
		assert_true(path_equal(&p, &back));
	}
	assert_int_equal(pthread_join(reader, NULL), 0);
}

/* Two threads at the same point; each comes here equally often. Then this one waits a little. */
static void meet(_Atomic uint32_t *there, uint32_t late)
{
	const uint32_t round = atomic_fetch_add(there, 1) / 2;

	for (uint32_t spins = 0; atomic_load(there) / 2 == round; spins++)
		if (spins > 1000)
			sched_yield();
	while (late--)
		atomic_load_explicit(there, memory_order_relaxed);
}

enum { GOODBYES = 200000 };

struct leaver {
	struct peer *p;
	_Atomic uint32_t there;
	atomic_bool left;
};

static void *leave_often(void *arg)
{
	struct leaver *l = arg;

	for (uint32_t i = 0; i < GOODBYES; i++) {
		meet(&l->there, i % 16);
		atomic_store_explicit(&l->left, true, memory_order_release);
		peer_wish_news(l->p, WISH_FAREWELL);
		meet(&l->there, 0);
	}
	return NULL;
}

/* What happens while news of its kind is being told is told as well, now or later. */
static void test_news_are_told(void **state)
{
	static struct leaver l;
	pthread_t leaver;

	(void)state;
	l.p = peer_new(1, 1, &(struct peer_addrs){.v4 = rig_addr4(1)}, 1);
	assert_non_null(l.p);
	assert_int_equal(pthread_create(&leaver, NULL, leave_often, &l), 0);
	for (uint32_t i = 0; i < GOODBYES; i++) {
		atomic_store(&l.left, false);
		atomic_store(&l.p->timers.wishes, WISH_FAREWELL);
		meet(&l.there, i / 16 % 64);
		/* As the tick does it. */
		atomic_fetch_and(&l.p->timers.wishes, ~(uint32_t)WISH_FAREWELL);
		const bool told = atomic_load_explicit(&l.left, memory_order_acquire);
		meet(&l.there, 0);
		assert_true(told || atomic_load(&l.p->timers.wishes) & WISH_FAREWELL);
	}
	assert_int_equal(pthread_join(leaver, NULL), 0);
	peer_free(l.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pathcell),
		cmocka_unit_test(test_news_are_told),
		cmocka_unit_test(test_stress),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_epochs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
