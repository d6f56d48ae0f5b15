/*
 * The crypto limit: nanoseconds per packet of aead_seal_batch and aead_open_batch, the calls that
 * the packet path makes, in a thread that is set up like a worker. Every cipher, every library,
 * packets of 64 and 1420 bytes, batches of 1, 8, 32 and 64.
 *
 * All cells take turns in every round, so that what disturbs the machine disturbs them alike; what
 * is printed is the median of the rounds. Usage: aead [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/aead_backend.h"

enum {
	BATCH_MAX = 64,
	SLOT = 1536,
	PACKETS = 256, /* in a measurement: several batches */
	ROUNDS = 31,
	ROUNDS_MAX = 1001,
	SIZES = 2,
	BATCHES = 4,
	LIBRARIES = 2,
};

static const uint32_t sizes[SIZES] = {64, 1420};
static const uint32_t batches[BATCHES] = {1, 8, 32, 64};
static const struct aead_backend *const libraries[LIBRARIES] = {&aead_openssl, &aead_ipsec_mb};

struct cell {
	enum aead_cipher cipher;
	const struct aead_backend *by;
	uint32_t size, batch;
	struct aead_key *to, *from;
	double *seal, *open; /* of each round */
};

struct bench {
	uint32_t rounds, n_cells;
	struct cell cells[AEAD_CIPHERS_END * LIBRARIES * SIZES * BATCHES];
	uint8_t bytes[BATCH_MAX][SLOT];
	struct aead_op ops[PACKETS];
};

static void give_up(const char *what)
{
	fprintf(stderr, "bench aead: %s\n", what);
	exit(1);
}

/* OpenVPN's header is associated with AES-GCM's packets; WireGuard associates nothing. */
static void lay_out(struct bench *b, const struct cell *c)
{
	static const uint8_t header[8];

	for (uint32_t i = 0; i < PACKETS; i++) {
		uint8_t *text = b->bytes[i % c->batch];
		const bool ovpn = c->cipher != AEAD_CHACHA20_POLY1305;
		b->ops[i] = (struct aead_op){.text = text,
			.len = c->size,
			.tag = text + c->size,
			.aad = ovpn ? header : NULL,
			.aad_len = ovpn ? sizeof(header) : 0};
	}
}

/* Each batch is sealed and then opened, so that every tag is right; only one of the two counts. */
static void measure(struct bench *b, struct cell *c, uint32_t round)
{
	uint64_t seal = 0, open = 0;

	lay_out(b, c);
	for (uint32_t i = 0; i < PACKETS; i += c->batch) {
		const uint64_t began = clock_ticks_ns();
		aead_seal_batch(c->to, b->ops + i, c->batch);
		const uint64_t sealed = clock_ticks_ns();
		aead_open_batch(c->from, b->ops + i, c->batch);
		open += clock_ticks_ns() - sealed;
		seal += sealed - began;
		for (uint32_t k = 0; k < c->batch; k++) {
			if (!b->ops[i + k].ok)
				give_up("a packet that was just sealed does not open");
		}
	}
	c->seal[round] = (double)seal / PACKETS;
	c->open[round] = (double)open / PACKETS;
}

/* What asking for the time costs is no part of a packet. */
static double clock_cost(void)
{
	const uint64_t began = clock_ticks_ns();

	for (int i = 0; i < 1000; i++)
		(void)clock_ticks_ns();
	return (double)(clock_ticks_ns() - began) / 1000;
}

static int ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), ascending);
	return v[n / 2];
}

static void add_cell(struct bench *b, const struct cell *like)
{
	static const uint8_t key[AEAD_KEY_MAX] = {1, 2, 3};
	struct cell *c = &b->cells[b->n_cells++];

	*c = *like;
	c->seal = calloc(b->rounds, sizeof(double));
	c->open = calloc(b->rounds, sizeof(double));
	if (!c->seal || !c->open || aead_key_new_by(&c->to, c->by, c->cipher, key, true) ||
		aead_key_new_by(&c->from, c->by, c->cipher, key, false))
		give_up("no memory");
}

static void add_library(struct bench *b, const struct aead_backend *by)
{
	if (by->init() != 0) {
		printf("%s: not on this machine\n", by->name);
		return;
	}
	if (by->thread_start && by->thread_start() != 0)
		give_up("no memory");
	for (int c = AEAD_CHACHA20_POLY1305; c < AEAD_CIPHERS_END; c++) {
		for (int s = 0; s < SIZES; s++) {
			for (int k = 0; k < BATCHES; k++)
				add_cell(b, &(struct cell){.cipher = (enum aead_cipher)c,
						    .by = by,
						    .size = sizes[s],
						    .batch = batches[k]});
		}
	}
}

static void print(struct bench *b)
{
	const double ask = clock_cost();

	printf("nanoseconds per packet, median of %u rounds\n", b->rounds);
	printf("%-18s %-9s %6s %6s %8s %8s\n", "cipher", "library", "bytes", "batch", "seal",
		"open");
	for (uint32_t i = 0; i < b->n_cells; i++) {
		struct cell *c = &b->cells[i];
		printf("%-18s %-9s %6u %6u %8.0f %8.0f\n", aead_cipher_name(c->cipher), c->by->name,
			c->size, c->batch, median(c->seal, b->rounds) - ask / c->batch,
			median(c->open, b->rounds) - ask / c->batch);
	}
}

static void bench_free(struct bench *b)
{
	for (uint32_t i = 0; i < b->n_cells; i++) {
		free(b->cells[i].seal);
		free(b->cells[i].open);
		aead_key_free(b->cells[i].to);
		aead_key_free(b->cells[i].from);
	}
	free(b);
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	const unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : ROUNDS;

	if (rounds < 1 || rounds > ROUNDS_MAX)
		give_up("rounds are a number from 1 to 1001");
	if (!b || aead_init() != 0)
		give_up("OpenSSL does not pass its self-test");
	b->rounds = (uint32_t)rounds;
	for (int l = 0; l < LIBRARIES; l++)
		add_library(b, libraries[l]);
	for (uint32_t r = 0; r < b->rounds; r++) {
		for (uint32_t i = 0; i < b->n_cells; i++)
			measure(b, &b->cells[i], r);
	}
	print(b);
	for (int l = 0; l < LIBRARIES; l++) {
		if (libraries[l]->thread_stop)
			libraries[l]->thread_stop();
	}
	bench_free(b);
	return 0;
}
