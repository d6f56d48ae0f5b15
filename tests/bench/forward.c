/*
 * Where the time of a packet goes inside of the process: nanoseconds per packet of each stage of
 * fwd_rx and fwd_tx by itself, and of both as a whole. No system call, one thread, batches as the
 * worker has them.
 *
 *   forward [BATCHES]
 *
 * One line of JSON per protocol, size and stage. The packets of a batch are made anew outside of
 * what is measured; a stage that takes next to nothing is repeated within one measurement.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/aead_choose.h"
#include "crypto/epoch.h"
#include "fwd/engine.h"
#include "lane.h"
#include "wire/classify.h"
#include "wire/ip_hdr.h"

enum {
	BATCH = 64, /* UDP_BATCH */
	ROOM = 2048,
	MTU = 1420,
	PEERS = 10000,
	BATCHES = 4000,
	BATCHES_MAX = 1 << 20,
	REPEAT = 16,
	INDEX = 7,
};
_Static_assert((int)BATCH <= (int)FWD_RUN, "a batch is one run");

struct bench {
	struct fwd *f;
	struct session *s;
	struct lane lane;
	struct replay replay;
	uint64_t replay_next, now;
	uint32_t bytes;
	uint8_t *buffers, *inner, *copy; /* BATCH times ROOM each, and one packet */
	struct fwd_packet p[BATCH], *pp[BATCH];
	uint64_t counters[BATCH];
	struct aead_op ops[BATCH];
	volatile uint64_t sink; /* so that nothing is thrown away unused */
};

static void die(const char *what)
{
	fprintf(stderr, "forward: %s\n", what);
	exit(1);
}

/* ---- what the stages begin with ---- */

static void plain(struct bench *b)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		b->p[i] = (struct fwd_packet){
			.data = b->buffers + i * ROOM + FWD_HEADROOM, .len = b->bytes};
		memcpy(b->p[i].data, b->inner, b->bytes);
	}
}

static struct path path(void)
{
	struct path p = {0};

	p.remote.addr = (struct ip_addr){.family = IP_V4, .bytes = {192, 0, 2, 1}};
	p.remote.port = 1000;
	p.local = (struct ip_addr){.family = IP_V4, .bytes = {198, 51, 100, 1}};
	return p;
}

/* From the device, each with a counter of its own, and what framing makes of them. */
static void sealed(struct bench *b)
{
	uint8_t out[ROOM];

	for (uint32_t i = 0; i < BATCH; i++) {
		/* From the source of the tunnel to anywhere: addresses changed places. */
		uint8_t inner[ROOM];
		memcpy(inner, b->inner, b->bytes);
		memcpy(inner + 12, b->inner + 16, 4);
		memcpy(inner + 16, b->inner + 12, 4);
		const size_t n = lane_seal(&b->lane, inner, b->bytes, out);
		if (n == 0)
			die("seal");
		b->p[i] = (struct fwd_packet){.data = b->buffers + i * ROOM + FWD_HEADROOM,
			.len = (uint32_t)n,
			.path = path()};
		memcpy(b->p[i].data, out, n);
		if (!frame_counter(
			    (enum frame)b->s->frame, b->p[i].data, b->p[i].len, &b->counters[i]))
			die("counter");
	}
}

static void sealed_framed(struct bench *b)
{
	sealed(b);
	frame_open((enum frame)b->s->frame, b->s->rx.current.iv, b->ops, b->pp, b->counters, BATCH);
}

/* The counters are thrown away, as the session's own are: these packets go nowhere. */
static void plain_framed(struct bench *b)
{
	struct sealing *t = session_sealing(b->s);
	uint64_t first;

	plain(b);
	if (sealing_reserve(t, BATCH, &first) != BATCH)
		die("counters");
	frame_seal(b->s, t->iv, b->ops, b->pp, BATCH, first, MTU);
}

/* ---- stages ---- */

static void classify(struct bench *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BATCH; i++)
		sum += wire_classify(b->p[i].data, b->p[i].len);
	b->sink += sum;
}

static void lookup(struct bench *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BATCH; i++) {
		const uint8_t *d = b->p[i].data;
		const _Atomic(struct session *) *place =
			d[0] == WG_DATA ? engine_index(b->f, wire_le32(d + 4))
					: engine_ovpn(b->f, wire_be24(d + 1), ovpn_key_id(d[0]));
		const struct session *s = atomic_load_explicit(place, memory_order_acquire);
		sum += s && session_young(s, b->now) ? s->local_index : 0;
	}
	b->sink += sum;
}

static void counters(struct bench *b)
{
	uint64_t n, sum = 0;

	for (uint32_t i = 0; i < BATCH; i++)
		sum += frame_counter((enum frame)b->s->frame, b->p[i].data, b->p[i].len, &n) ? n
											     : 0;
	b->sink += sum;
}

static void frame_rx(struct bench *b)
{
	frame_open((enum frame)b->s->frame, b->s->rx.current.iv, b->ops, b->pp, b->counters, BATCH);
}

static void aead_open(struct bench *b)
{
	aead_open_batch(b->s->rx.current.key, b->ops, BATCH);
	b->sink += b->ops[BATCH - 1].ok;
	if (!b->ops[BATCH - 1].ok)
		die("open");
}

static void replay(struct bench *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BATCH; i++)
		sum += replay_take(&b->replay, b->replay_next++);
	b->sink += sum;
}

static void parse(struct bench *b)
{
	struct ip_hdr h;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BATCH; i++)
		sum += ip_hdr_parse(&h, b->p[i].data, b->p[i].len) == IP_HDR_OK ? h.total : 0;
	b->sink += sum;
}

static struct ip_addr address(uint32_t peer)
{
	return (struct ip_addr){
		.family = IP_V4, .bytes = {10, 0, (uint8_t)(peer >> 8), (uint8_t)peer}};
}

static void route_one(struct bench *b)
{
	const struct ip_addr to = address(0);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BATCH; i++)
		sum += routes_lookup(&b->f->routes, &to) != NULL;
	b->sink += sum;
}

/* A different peer each time, from all over the table. */
static void route_many(struct bench *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BATCH; i++) {
		const struct ip_addr to = address((uint32_t)(b->sink + i * 2654435761u) % PEERS);
		sum += routes_lookup(&b->f->routes, &to) != NULL;
	}
	b->sink += sum;
}

static void frame_tx(struct bench *b)
{
	frame_seal(b->s, session_sealing(b->s)->iv, b->ops, b->pp, BATCH, 1, MTU);
}

static void aead_seal(struct bench *b)
{
	aead_seal_batch(session_sealing(b->s)->key[0], b->ops, BATCH);
	b->sink += b->ops[BATCH - 1].ok;
}

/* Sixteen bits at a time, as RFC 1071 has it: what a packet costs that is added up once. */
static void checksum(struct bench *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BATCH; i++) {
		uint32_t s = 0;
		for (uint32_t at = 20; at + 1 < b->p[i].len; at += 2) {
			uint16_t v;
			memcpy(&v, b->p[i].data + at, sizeof(v));
			s += v;
		}
		sum += s;
	}
	b->sink += sum;
}

static void copy(struct bench *b)
{
	for (uint32_t i = 0; i < BATCH; i++)
		memcpy(b->copy + i * ROOM, b->p[i].data, b->p[i].len);
	b->sink += b->copy[0];
}

static void whole_rx(struct bench *b)
{
	fwd_enter(b->f, 0);
	fwd_rx(b->f, 0, b->p, BATCH, b->now);
	fwd_leave(b->f, 0);
	if (b->p[0].verdict != FWD_DELIVER || b->p[BATCH - 1].verdict != FWD_DELIVER)
		die(fwd_verdict_name((enum fwd_verdict)b->p[0].verdict));
}

static void whole_tx(struct bench *b)
{
	fwd_enter(b->f, 0);
	fwd_tx(b->f, 0, b->p, BATCH, b->now);
	fwd_leave(b->f, 0);
	if (b->p[0].verdict != FWD_SEND || b->p[BATCH - 1].verdict != FWD_SEND)
		die(fwd_verdict_name((enum fwd_verdict)b->p[0].verdict));
}

static const struct stage_of {
	const char *name, *part; /* part: of rx or tx; whole; or beside them, in io */
	void (*prepare)(struct bench *b);
	void (*work)(struct bench *b);
	uint32_t repeat;
} stages[] = {
	{"classify", "io", sealed, classify, REPEAT},
	{"copy", "io", plain, copy, REPEAT},
	{"checksum", "io", plain, checksum, REPEAT},
	{"session lookup", "rx", sealed, lookup, REPEAT},
	{"counter", "rx", sealed, counters, REPEAT},
	{"framing in", "rx", sealed, frame_rx, REPEAT},
	{"open", "rx", sealed_framed, aead_open, 1},
	{"replay window", "rx", plain, replay, REPEAT},
	{"inner header in", "rx", plain, parse, REPEAT},
	{"fwd_rx", "whole", sealed, whole_rx, 1},
	{"inner header out", "tx", plain, parse, REPEAT},
	{"route", "tx", plain, route_one, REPEAT},
	{"framing out", "tx", plain, frame_tx, 1},
	{"seal", "tx", plain_framed, aead_seal, 1},
	{"fwd_tx", "whole", plain, whole_tx, 1},
	{"route of 10,000", "io", plain, route_many, REPEAT},
};

/* ---- measuring ---- */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(
	struct bench *b, const struct stage_of *s, const char *protocol, double *ns, size_t batches)
{
	for (size_t i = 0; i < batches; i++) {
		s->prepare(b);
		const uint64_t began = now_ns();
		for (uint32_t k = 0; k < s->repeat; k++)
			s->work(b);
		ns[i] = (double)(now_ns() - began) / (BATCH * s->repeat);
	}
	qsort(ns, batches, sizeof(*ns), by_size);
	printf("{\"protocol\": \"%s\", \"bytes\": %u, \"stage\": \"%s\", \"part\": \"%s\", "
	       "\"least\": %.2f, \"median\": %.2f}\n",
		protocol, b->bytes, s->name, s->part, ns[0], ns[batches / 2]);
}

/* ---- an engine with one session ---- */

static const struct protocol {
	const char *name;
	uint8_t protocol, cipher, format;
} protocols[] = {
	{"wireguard", UAPI_WIREGUARD, AEAD_CHACHA20_POLY1305, 0},
	{"openvpn AES-256-GCM", UAPI_OPENVPN, AEAD_AES_256_GCM, UAPI_DATA_V2},
	{"openvpn CHACHA20-POLY1305", UAPI_OPENVPN, AEAD_CHACHA20_POLY1305, UAPI_DATA_V2},
};

static void lane_open(struct bench *b, const struct fwd_session *s)
{
	struct noise_keys noise;
	struct ovpn_data_keys ovpn = {.cipher = (enum aead_cipher)s->cipher};
	int r;

	memcpy(noise.seal, s->open, sizeof(noise.seal));
	memcpy(noise.open, s->seal, sizeof(noise.open));
	memcpy(ovpn.seal, s->open, sizeof(ovpn.seal));
	memcpy(ovpn.seal_iv, s->open_iv, sizeof(ovpn.seal_iv));
	r = s->protocol == UAPI_WIREGUARD ? lane_wg(&b->lane, &noise, s->local_index)
					  : lane_ovpn(&b->lane, &ovpn, 0, s->local_index);
	if (r != 0)
		die("lane");
}

static void engine_open(struct bench *b)
{
	const struct fwd_limits limits = {.max_peers = PEERS,
		.max_indices = 1 << 15,
		.max_peer_ids = 1 << 14,
		.workers = 1,
		.stage_slots = 64,
		.mtu_max = MTU};

	if (fwd_new(&b->f, &limits) != 0)
		die("engine");
	fwd_set_mtu(b->f, MTU);
	for (uint32_t i = 0; i < PEERS; i++) {
		const struct ip_addr a4 = address(i), a6 = {.family = IP_NONE};
		if (fwd_peer_set(b->f, i, &a4, &a6) != 0)
			die("peer");
	}
}

static void session_open(struct bench *b, const struct protocol *p, uint64_t seq)
{
	struct fwd_session s = {.peer = 0,
		.seq = seq,
		.protocol = p->protocol,
		.role = UAPI_RESPONDER,
		.cipher = p->cipher,
		.transport = UAPI_UDP,
		.local_index = INDEX,
		.remote_index = 0x1234,
		.life_s = 3600,
		.format = p->format,
		.path = path()};

	s.tunnel.bytes[0] = s.credential.bytes[0] = (uint8_t)seq;
	memset(s.seal, 0x11, sizeof(s.seal));
	memset(s.open, 0x22, sizeof(s.open));
	if (fwd_session_set(b->f, &s, b->now) != 0)
		die("session");
	b->s = atomic_load(p->protocol == UAPI_WIREGUARD ? engine_index(b->f, INDEX)
							 : engine_ovpn(b->f, INDEX, 0));
	lane_open(b, &s);
	/* The first packet confirms it. */
	sealed(b);
	whole_rx(b);
}

static void inner_write(struct bench *b)
{
	const struct ip_addr own = address(0);

	memset(b->inner, 0, ROOM);
	b->inner[0] = 0x45;
	wire_put_be16(b->inner + 2, (uint16_t)b->bytes);
	b->inner[8] = 64;
	b->inner[9] = 17;
	memcpy(b->inner + 12, (const uint8_t[]){198, 51, 100, 2}, 4);
	memcpy(b->inner + 16, own.bytes, 4);
}

static void run(struct bench *b, const struct protocol *p, uint64_t seq, double *ns, size_t batches)
{
	static const uint32_t sizes[] = {MTU, 64};
	const struct ulid every = {{0}};

	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		b->bytes = sizes[k];
		inner_write(b);
		if (k == 0)
			session_open(b, p, seq);
		for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
			measure(b, &stages[i], p->name, ns, batches);
	}
	lane_fini(&b->lane);
	if (fwd_session_del(b->f, 0, &every) != 0)
		die("end of the session");
}

int main(int argc, char **argv)
{
	const size_t batches = argc > 1 ? strtoull(argv[1], NULL, 10) : BATCHES;
	struct bench b = {.now = 1000 * 1000};
	struct aead_report chosen;
	double *ns;

	if (batches < 1 || batches > BATCHES_MAX)
		die("usage: forward [BATCHES]");
	/* As the daemon does, and a worker of it. */
	if (aead_init() != 0 || epoch_init() != 0 || aead_choose(AEAD_AUTO, &chosen) != 0 ||
		aead_thread_start() != 0)
		die("crypto: no library passes its self-test");
	ns = calloc(batches, sizeof(*ns));
	b.buffers = aligned_alloc(64, BATCH * ROOM);
	b.copy = aligned_alloc(64, BATCH * ROOM);
	b.inner = aligned_alloc(64, ROOM);
	if (!ns || !b.buffers || !b.copy || !b.inner)
		die("memory");
	memset(b.buffers, 0, BATCH * ROOM); /* pages are there before anything is timed */
	memset(b.copy, 0, BATCH * ROOM);
	for (uint32_t i = 0; i < BATCH; i++)
		b.pp[i] = &b.p[i];
	engine_open(&b);
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		run(&b, &protocols[i], i + 1, ns, batches);
	fwd_free(b.f);
	free(ns);
	free(b.buffers);
	free(b.copy);
	free(b.inner);
	return 0;
}
