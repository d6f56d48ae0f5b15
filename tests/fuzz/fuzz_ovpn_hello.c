/*
 * The gate in front of TLS, and OpenSSL behind it. The first byte says how the rest is cut.
 *
 * However it is cut, the gate comes to the same end; what it lets through are the same bytes in the
 * same order; what it holds is bounded; and OpenSSL never reserves more for it than for an ordinary
 * handshake.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "../sim/ovpn_pki.c"
#include "ovpn/hello.h"
#include "ovpn/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define REQUIRE(x)                                                                                 \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

enum { ORDINARY = 24 * 1024, CUT = 1100 };

static SSL_CTX *server;
static bool armed;

static void *reserve(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	REQUIRE(!armed || n <= ORDINARY);
	return malloc(n);
}

static void *reserve_again(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	REQUIRE(!armed || n <= ORDINARY);
	return realloc(p, n);
}

static void give_back(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct test_ca ca;

	(void)argc;
	(void)argv;
	REQUIRE(CRYPTO_set_mem_functions(reserve, reserve_again, give_back) == 1);
	test_ca_init(&ca, "authority");
	server = test_server_tls(&ca, &ca, 0);
	test_ca_fini(&ca);
	return 0;
}

static size_t cut(uint8_t how, size_t left)
{
	const size_t k = how == 0 ? CUT : how;

	return k < left ? k : left;
}

/* Returns: how far it let through, SIZE_MAX when it refused. */
static size_t look(struct hello_gate *g, const uint8_t *p, size_t n, uint8_t how)
{
	size_t through = 0, whole;

	for (size_t at = 0, k; at < n; at += k) {
		k = cut(how, n - at);
		if (hello_gate_look(g, p + at, k, &whole))
			return SIZE_MAX;
		REQUIRE(whole <= k);
		through = whole > 0 ? at + whole : through;
		REQUIRE(at + k - through == g->pending && g->pending <= HELLO_PENDING);
	}
	return through;
}

static void shake(const uint8_t *p, size_t n, uint8_t how)
{
	struct tls *t;

	armed = true;
	REQUIRE(ovpn_tls_new(&t, server) == 0);
	for (size_t at = 0, k; at < n; at += k) {
		k = cut(how, n - at);
		if (ovpn_tls_handshake(t, p + at, k) != TLS_MORE)
			break;
	}
	ovpn_tls_free(t);
	armed = false;
	REQUIRE(ERR_peek_error() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello_gate whole = {0}, parts = {0};

	if (size < 1)
		return 0;
	const size_t a = look(&whole, data + 1, size - 1, 0);
	const size_t b = look(&parts, data + 1, size - 1, data[0]);

	REQUIRE(a == b);
	REQUIRE(a == SIZE_MAX || memcmp(&whole, &parts, sizeof(whole)) == 0);
	if (a != 0)
		shake(data + 1, size - 1, data[0]);
	return 0;
}
