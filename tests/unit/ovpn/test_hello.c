/*
 * What real TLS libraries say passes, wherever it is cut; what announces too much does not, from
 * the byte that says so.
 */
#include "ovpn/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "base/compiler.h"
#include "tests/sim/ovpn_pki.h"

enum { FLIGHTS = 32 * 1024 };

/* A record with the header of a handshake message in it. */
static size_t record(
	uint8_t *out, uint8_t type, uint32_t length, uint8_t message, uint32_t announced)
{
	const uint8_t head[] = {type, 3, 1, (uint8_t)(length >> 8), (uint8_t)length, message,
		(uint8_t)(announced >> 16), (uint8_t)(announced >> 8), (uint8_t)announced};

	memcpy(out, head, sizeof(head));
	return sizeof(head);
}

static const char *look(struct hello_gate *g, const uint8_t *p, size_t n)
{
	size_t whole;
	const char *why = hello_gate_look(g, p, n, &whole);

	assert_true(whole <= n);
	return why;
}

/* ---- real ones ---- */

/* Everything that a client says in a whole handshake. */
static size_t client_side(uint16_t version, bool retry, uint8_t out[FLIGHTS])
{
	struct test_ca ca;

	test_ca_init(&ca, "authority");
	SSL_CTX *server = test_server_tls(&ca, &ca, version);
	SSL_CTX *client = test_client_tls(&ca, &ca, TEST_CERT_CLIENT, NULL);
	BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
	SSL *s = NULL, *c = NULL;
	size_t n = 0;

	if (retry)
		assert_int_equal(SSL_CTX_set1_groups_list(server, "P-384"), 1);
	s = SSL_new(server);
	c = SSL_new(client);
	BIO_set_mem_eof_return(up, -1);
	BIO_set_mem_eof_return(down, -1);
	BIO_up_ref(up);
	BIO_up_ref(down);
	SSL_set_bio(c, down, up);
	SSL_set_bio(s, up, down);
	SSL_set_connect_state(c);
	SSL_set_accept_state(s);
	for (int i = 0; i < 6; i++) {
		char *bytes;
		long k;

		(void)SSL_do_handshake(c);
		k = BIO_get_mem_data(up, &bytes);
		assert_true(n + (size_t)k <= FLIGHTS);
		memcpy(out + n, bytes, (size_t)k);
		n += (size_t)k;
		(void)SSL_do_handshake(s);
	}
	assert_true(SSL_is_init_finished(c) && SSL_is_init_finished(s));
	assert_int_equal(SSL_version(s), version);
	SSL_free(c);
	SSL_free(s);
	SSL_CTX_free(client);
	SSL_CTX_free(server);
	test_ca_fini(&ca);
	return n;
}

static void passes(const uint8_t *p, size_t n)
{
	struct hello_gate whole = {0}, bytewise = {0};

	assert_null(look(&whole, p, n));
	for (size_t i = 0; i < n; i++)
		assert_null(look(&bytewise, p + i, 1));
	assert_memory_equal(&whole, &bytewise, sizeof(whole));
	for (size_t cut = 0; cut <= n; cut++) {
		struct hello_gate g = {0};

		assert_null(look(&g, p, cut));
		assert_null(look(&g, p + cut, n - cut));
		assert_memory_equal(&g, &whole, sizeof(g));
	}
}

static void handshakes_of_real_clients_pass(void **state)
{
	static uint8_t p[FLIGHTS];

	(void)state;
	passes(p, client_side(TLS1_3_VERSION, false, p));
	passes(p, client_side(TLS1_2_VERSION, false, p));
}

static void a_second_client_hello_passes(void **state)
{
	static uint8_t p[FLIGHTS];
	struct hello_gate g = {0};
	const size_t n = client_side(TLS1_3_VERSION, true, p);

	(void)state;
	passes(p, n);
	assert_null(look(&g, p, n));
	assert_int_equal(g.messages, 2);
}

/* The same ClientHello in ever smaller records. */
static void fragments_pass(void **state)
{
	static uint8_t p[FLIGHTS], again[2 * FLIGHTS];
	const size_t n = client_side(TLS1_3_VERSION, false, p);
	const size_t hello = ((size_t)p[3] << 8 | p[4]);

	(void)state;
	assert_true(n > 5 + hello);
	for (size_t size = 1; size <= hello; size++) {
		const size_t all = hello + (hello + size - 1) / size * 5;
		struct hello_gate g = {0};
		size_t k = 0;

		if (all > sizeof(again))
			continue;
		for (size_t at = 0; at < hello; at += size) {
			const size_t part = hello - at < size ? hello - at : size;
			const uint8_t head[] = {22, 3, 1, 0, 0};

			memcpy(again + k, head, 5);
			again[k + 3] = (uint8_t)(part >> 8);
			again[k + 4] = (uint8_t)part;
			memcpy(again + k + 5, p + 5 + at, part);
			k += 5 + part;
		}
		if (all > HELLO_PENDING) { /* of a large one, more heads than anybody makes */
			assert_string_equal(look(&g, again, k), "ClientHello in too many records");
			continue;
		}
		assert_null(look(&g, again, k));
		assert_int_equal(g.messages, 1);
		assert_int_equal(g.pending, 0);
	}
}

/* ---- others ---- */

static void refused_at(const uint8_t *p, size_t n, size_t at, const char *why)
{
	struct hello_gate whole = {0};

	assert_string_equal(look(&whole, p, n), why);
	for (size_t cut = 0; cut <= at; cut++) {
		struct hello_gate g = {0};

		assert_null(look(&g, p, cut));
		assert_string_equal(look(&g, p + cut, n - cut), why);
	}
}

static void the_longest_one_passes_and_one_more_does_not(void **state)
{
	uint8_t p[16];
	struct hello_gate g = {0};

	(void)state;
	assert_null(look(&g, p, record(p, 22, HELLO_MAX + 4, 1, HELLO_MAX)));
	refused_at(p, record(p, 22, HELLO_MAX, 1, HELLO_MAX + 1), 8, "ClientHello too long");
	refused_at(p, record(p, 22, 100, 1, 0xffffff), 8, "ClientHello too long");
	refused_at(p, record(p, 22, 100, 1, 131396), 8, "ClientHello too long");
}

static void every_announcement_is_seen_across_records(void **state)
{
	static const uint8_t p[] = {22, 3, 1, 0, 1, 1, 22, 3, 3, 0, 0, 22, 3, 1, 0, 1, 2, 22, 3, 1,
		0, 1, 0, 22, 3, 1, 0, 1, 0};

	(void)state;
	refused_at(p, sizeof(p), sizeof(p) - 1, "ClientHello too long");
}

static void only_a_client_hello_begins(void **state)
{
	uint8_t p[16];

	(void)state;
	for (int type = 0; type < 256; type++) {
		if (type == 22)
			continue;
		refused_at(p, record(p, (uint8_t)type, 100, 1, 50), 4, "no TLS");
	}
	for (int message = 0; message < 256; message++)
		if (message != 1)
			refused_at(p, record(p, 22, 100, (uint8_t)message, 50), 8,
				"TLS does not begin with a ClientHello");
	(void)record(p, 22, 100, 1, 50);
	p[1] = 2;
	refused_at(p, 9, 4, "no TLS");
}

static void long_records_are_refused(void **state)
{
	static uint8_t zeroes[100];
	uint8_t p[16];
	struct hello_gate g = {0};

	(void)state;
	refused_at(p, record(p, 22, HELLO_MAX + 5, 1, 50), 4, "TLS record too long");
	refused_at(p, record(p, 22, 0xffff, 1, 50), 4, "TLS record too long");
	assert_null(look(&g, p, record(p, 22, 54, 1, 50)));
	assert_null(look(&g, zeroes, 50));
	(void)record(p, 23, HELLO_RECORD, 0, 0);
	struct hello_gate sealed = g;
	assert_null(look(&sealed, p, 5));
	(void)record(p, 23, HELLO_RECORD + 1, 0, 0);
	assert_string_equal(look(&g, p, 5), "TLS record too long");
}

/* Whatever is put between the two, the second one is looked at as well. */
static void the_second_one_is_bounded_too(void **state)
{
	static const uint8_t between[][12] = {
		{0},
		{6, 20, 3, 3, 0, 1, 1},	      /* ChangeCipherSpec */
		{7, 21, 3, 3, 0, 2, 1, 0},    /* an alert */
		{8, 23, 3, 3, 0, 3, 9, 9, 9}, /* early data */
		{11, 20, 3, 3, 0, 1, 1, 22, 3, 3, 0, 0},
	};
	static uint8_t zeroes[50];
	uint8_t p[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(between); i++) {
		struct hello_gate g = {0};

		assert_null(look(&g, p, record(p, 22, 54, 1, 50)));
		assert_null(look(&g, zeroes, 50));
		assert_null(look(&g, between[i] + 1, between[i][0]));
		(void)record(p, 22, 100, 1, HELLO_MAX + 1);
		assert_null(look(&g, p, 8));
		assert_string_equal(look(&g, p + 8, 1), "ClientHello too long");
	}
}

/* ---- what is let through, and when ---- */

static size_t let_through(struct hello_gate *g, const uint8_t *p, size_t n)
{
	size_t whole;

	assert_null(hello_gate_look(g, p, n, &whole));
	return whole;
}

/* The first flight when all of it is there, the others record by record: the same bytes in the same
 * order, and never more than the announced ones are waited for. */
static void whole_things_are_let_through(void **state)
{
	static uint8_t p[FLIGHTS];

	(void)state;
	for (int retry = 0; retry < 2; retry++) {
		const size_t n = client_side(TLS1_3_VERSION, retry, p);
		struct hello_gate g = {0};
		size_t end = 0, held = 0;

		for (size_t i = 0; i < n; i++) {
			if (i == end)
				end += 5 + ((size_t)p[i + 3] << 8 | p[i + 4]);
			held++;
			const size_t whole = let_through(&g, p + i, 1);

			assert_int_equal(whole, i + 1 == end);
			held = whole ? 0 : held;
			assert_int_equal(g.pending, held);
		}
		assert_int_equal(end, n);
	}
}

static void a_client_hello_is_kept_together(void **state)
{
	static const uint8_t first[] = {22, 3, 1, 0, 6, 1, 0, 0, 4, 9, 9},
			     alert[] = {21, 3, 1, 0, 2, 1, 0}, empty[] = {22, 3, 1, 0, 0},
			     rest[] = {22, 3, 1, 0, 2, 9, 9, 22, 3};
	struct hello_gate g = {0};

	(void)state;
	assert_int_equal(let_through(&g, empty, sizeof(empty)), 0);
	assert_int_equal(let_through(&g, first, sizeof(first)), 0);
	assert_int_equal(let_through(&g, alert, sizeof(alert)), 0);
	assert_int_equal(let_through(&g, empty, sizeof(empty)), 0);
	assert_int_equal(g.pending, 2 * sizeof(empty) + sizeof(first) + sizeof(alert));
	assert_int_equal(let_through(&g, rest, sizeof(rest)), 7);
	assert_int_equal(g.pending, 2);
}

static void it_waits_for_no_more_than_that(void **state)
{
	static const uint8_t part[] = {22, 3, 1, 0, 5, 1, 0, 0x10, 0, 7},
			     tiny[] = {22, 3, 1, 0, 1, 7};
	struct hello_gate g = {0};
	size_t n = sizeof(part);

	(void)state;
	assert_null(look(&g, part, sizeof(part)));
	for (; n + sizeof(tiny) <= HELLO_PENDING; n += sizeof(tiny))
		assert_null(look(&g, tiny, sizeof(tiny)));
	assert_string_equal(look(&g, tiny, sizeof(tiny)), "ClientHello in too many records");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshakes_of_real_clients_pass),
		cmocka_unit_test(a_second_client_hello_passes),
		cmocka_unit_test(fragments_pass),
		cmocka_unit_test(the_longest_one_passes_and_one_more_does_not),
		cmocka_unit_test(every_announcement_is_seen_across_records),
		cmocka_unit_test(only_a_client_hello_begins),
		cmocka_unit_test(long_records_are_refused),
		cmocka_unit_test(the_second_one_is_bounded_too),
		cmocka_unit_test(whole_things_are_let_through),
		cmocka_unit_test(a_client_hello_is_kept_together),
		cmocka_unit_test(it_waits_for_no_more_than_that),
	};
	return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
