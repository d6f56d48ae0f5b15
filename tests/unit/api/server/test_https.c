/* HTTPS, and a server that can't start: it says why. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tests/unit/api/certificate.h"
#include "tests/unit/api/server/client.h"

/* One exchange over TLS. Returns: gnutls_handshake's result. */
static int ask_tls(const char *priorities, const char *text, struct answer *a)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	const int fd = dial();
	int rc;

	memset(a, 0, sizeof(*a));
	assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
	assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT), 0);
	assert_int_equal(gnutls_priority_set_direct(session, priorities, NULL), 0);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(session, fd);
	do {
		rc = gnutls_handshake(session);
	} while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc == 0) {
		gnutls_record_send(session, text, strlen(text));
		while (a->len < sizeof(a->text) - 1) {
			const ssize_t n = gnutls_record_recv(
				session, a->text + a->len, sizeof(a->text) - 1 - a->len);

			if (n <= 0 && n != GNUTLS_E_AGAIN && n != GNUTLS_E_INTERRUPTED)
				break;
			a->len += n > 0 ? (size_t)n : 0;
		}
	}
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	close(fd);
	return rc;
}

static void speaks_https(void **state)
{
	static const char login[] = "POST /v1/login HTTP/1.1\r\n" HOST JSON
				    "Connection: close\r\nContent-Length: 35\r\n\r\n"
				    "{\"username\":\"a\",\"password\":\"right\"}";
	static struct answer a;
	gnutls_datum_t cert, key;

	(void)state;
	certificate_make(1, &cert, &key);
	another_serves("[::]:0", (struct api_conf){.tls = true,
					 .tls_cert_pem = (char *)cert.data,
					 .tls_key_pem = (char *)key.data});
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			ask_tls(i ? "NORMAL:-VERS-ALL:+VERS-TLS1.2" : "NORMAL", login, &a), 0);
		assert_non_null(strstr(a.text, "HTTP/1.1 200"));
		assert_non_null(strstr(a.text, "Strict-Transport-Security: max-age=31536000\r\n"));
		assert_non_null(strstr(a.text, "Set-Cookie: __Host-ireko=admin; Path=/; HttpOnly; "
					       "SameSite=Strict; Secure\r\n"));
	}
	assert_int_not_equal(
		ask_tls("NORMAL:-VERS-ALL:+VERS-TLS1.1:%ALLOW_SMALL_RECORDS", login, &a), 0);
	/* A handshake that does not go on, and plain HTTP on this port. */
	assert_in_time(drip("", ""));
	assert_in_time(drip("\x16\x03\x01\x02", ""));
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n")->status, 0);
	the_first_serves();
	gnutls_free(cert.data);
	gnutls_free(key.data);
}

static void says_why_it_does_not_start(void **state)
{
	struct api_conf conf = {.listen = api_address(api)};
	char why[160] = "";
	struct api *second;

	(void)state;
	assert_int_equal(api_start(&second, &conf, NULL, why), -EADDRINUSE);
	assert_non_null(strstr(why, "127.0.0.1"));
	conf.listen.port = 0;
	conf.tls = true;
	assert_int_equal(api_start(&second, &conf, NULL, why), -EINVAL);
	conf.tls_cert_file = "/nonexistent/cert.pem";
	assert_int_equal(api_start(&second, &conf, NULL, why), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent/cert.pem"));
	conf.tls_cert_file = NULL;
	conf.tls_cert_pem = conf.tls_key_pem = "nonsense";
	assert_int_equal(api_start(&second, &conf, NULL, why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(speaks_https, fresh),
		cmocka_unit_test_setup(says_why_it_does_not_start, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
