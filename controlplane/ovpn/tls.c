/* OpenSSL with a memory BIO each way. Its error queue is empty before and after every call. */
#include "ovpn/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "ovpn/hello.h"

enum { PIECE = 1024 };

struct tls {
	SSL *ssl;
	BIO *in, *out; /* ssl's */
	size_t fed;    /* bytes of the client during the handshake */
	struct hello_gate gate;
	uint8_t *held; /* bytes that the gate has not let through yet */
	size_t n_held;
	const char *failure;
	bool refused_certificate;
};

/* ---- making ---- */

static int tls_init(struct tls *t, SSL_CTX *ctx)
{
	t->ssl = SSL_new(ctx);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->ssl || !t->in || !t->out) {
		BIO_free(t->in);
		BIO_free(t->out);
		return -ENOMEM;
	}
	BIO_set_mem_eof_return(t->in, -1);
	BIO_set_mem_eof_return(t->out, -1);
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_accept_state(t->ssl);
	SSL_set_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS);
	/* The context asks for this already; nothing here rests on that. */
	SSL_set_verify(t->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_set_options(t->ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_set_max_cert_list(t->ssl, TLS_CERTS_MAX);
	return SSL_set_num_tickets(t->ssl, 0) == 1 ? 0 : -ENOMEM;
}

int ovpn_tls_new(struct tls **out, SSL_CTX *ctx)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t && tls_init(t, ctx) < 0) {
		SSL_free(t->ssl);
		free(t);
		t = NULL;
	}
	ERR_clear_error();
	*out = t;
	return t ? 0 : -ENOMEM;
}

void ovpn_tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	ERR_clear_error();
	free(t->held);
	free(t);
}

/* ---- what went wrong ---- */

static const struct {
	long error;
	const char *text;
} certificate_failures[] = {
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
		"client certificate of an unknown authority"},
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "client certificate of an unknown authority"},
	{X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "client certificate of an unknown authority"},
	{X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "client certificate of an unknown authority"},
	{X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "client certificate of an unknown authority"},
	{X509_V_ERR_CERT_SIGNATURE_FAILURE, "client certificate with a wrong signature"},
	{X509_V_ERR_CERT_HAS_EXPIRED, "client certificate has expired"},
	{X509_V_ERR_CERT_NOT_YET_VALID, "client certificate is not valid yet"},
	{X509_V_ERR_CERT_REVOKED, "client certificate is revoked"},
	{X509_V_ERR_INVALID_PURPOSE, "certificate is not for clients"},
	{X509_V_ERR_EE_KEY_TOO_SMALL, "client certificate with too weak a key"},
	{X509_V_ERR_CA_MD_TOO_WEAK, "client certificate with too weak a signature"},
};

static const struct {
	int reason;
	const char *text;
} tls_failures[] = {
	{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "no client certificate"},
	{SSL_R_UNSUPPORTED_PROTOCOL, "no TLS version in common"},
	{SSL_R_NO_SHARED_CIPHER, "no TLS cipher in common"},
	{SSL_R_NO_SUITABLE_KEY_SHARE, "no TLS group in common"},
	{SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "no TLS signature algorithm in common"},
	{SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, "no TLS signature algorithm in common"},
	{SSL_R_BAD_SIGNATURE, "client certificate without its key"},
	{SSL_R_EXCESSIVE_MESSAGE_SIZE, "TLS message too long"},
};

static const char *certificate_failure(long error)
{
	for (size_t i = 0; i < ARRAY_SIZE(certificate_failures); i++)
		if (certificate_failures[i].error == error)
			return certificate_failures[i].text;
	return "client certificate refused";
}

static const char *queue_failure(void)
{
	const int reason = ERR_GET_REASON(ERR_peek_error());

	for (size_t i = 0; i < ARRAY_SIZE(tls_failures); i++)
		if (tls_failures[i].reason == reason)
			return tls_failures[i].text;
	/* Alerts that were received are numbered from here on. */
	if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
		return "the client ended TLS with an alert";
	return "TLS failed";
}

static int fail(struct tls *t, const char *why)
{
	t->failure = why;
	ERR_clear_error();
	return -EPROTO;
}

static int fail_handshake(struct tls *t)
{
	const long verified = SSL_get_verify_result(t->ssl);

	t->refused_certificate =
		verified != X509_V_OK ||
		ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
	return fail(t, verified != X509_V_OK ? certificate_failure(verified) : queue_failure());
}

const char *ovpn_tls_failure(const struct tls *t)
{
	return t->failure ? t->failure : "TLS failed";
}

bool ovpn_tls_refused_certificate(const struct tls *t)
{
	return t->refused_certificate;
}

/* ---- going on ---- */

int ovpn_tls_feed(struct tls *t, const uint8_t *bytes, size_t n)
{
	if (n > 0 && BIO_write(t->in, bytes, (int)n) != (int)n) {
		ERR_clear_error();
		return -ENOMEM;
	}
	return 0;
}

static int hold(struct tls *t, const uint8_t *bytes, size_t n)
{
	uint8_t *grown;

	if (n == 0)
		return 0;
	grown = realloc(t->held, t->n_held + n);
	if (!grown)
		return -ENOMEM;
	memcpy(grown + t->n_held, bytes, n);
	t->held = grown;
	t->n_held += n;
	return 0;
}

/* The first n of them. */
static void let_go(struct tls *t, size_t n)
{
	const size_t left = t->n_held - n;
	uint8_t *smaller;

	t->n_held = left;
	if (left == 0) {
		free(t->held);
		t->held = NULL;
		return;
	}
	memmove(t->held, t->held + n, left);
	smaller = realloc(t->held, left);
	if (smaller)
		t->held = smaller;
}

static int shake(struct tls *t, const uint8_t *bytes, size_t n)
{
	int rc;

	if (ovpn_tls_feed(t, bytes, n) < 0)
		return -ENOMEM;
	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	if (rc == 1)
		return TLS_DONE;
	if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ)
		return TLS_MORE;
	return fail_handshake(t);
}

/* The first n of those held. In pieces: a memory BIO never becomes smaller again. */
static int let_through(struct tls *t, size_t n)
{
	size_t at = 0, k;
	int rc = TLS_MORE;

	for (; at < n && rc == TLS_MORE; at += k) {
		k = n - at < PIECE ? n - at : PIECE;
		rc = shake(t, t->held + at, k);
	}
	/* What comes behind a handshake is read when its time has come. */
	if (rc == TLS_DONE) {
		if (ovpn_tls_feed(t, t->held + at, t->n_held - at) < 0)
			rc = -ENOMEM;
		at = t->n_held;
	}
	let_go(t, at);
	return rc;
}

int ovpn_tls_handshake(struct tls *t, const uint8_t *bytes, size_t n)
{
	const char *why;
	size_t whole;

	if (t->failure)
		return -EPROTO;
	t->fed += n;
	if (t->fed > TLS_HANDSHAKE_MAX)
		return fail(t, "TLS handshake too long");
	why = hello_gate_look(&t->gate, bytes, n, &whole);
	if (why)
		return fail(t, why);
	if (hold(t, bytes, n) < 0)
		return -ENOMEM;
	return whole > 0 ? let_through(t, t->n_held - (n - whole)) : TLS_MORE;
}

/* The rest of a record that was too long. */
static int drop_rest(struct tls *t, uint8_t *buf, size_t cap)
{
	while (SSL_pending(t->ssl) > 0)
		if (SSL_read(t->ssl, buf, (int)cap) <= 0)
			return fail(t, "TLS failed");
	return -EMSGSIZE;
}

int ovpn_tls_read(struct tls *t, uint8_t *buf, size_t cap)
{
	int rc, error;

	if (t->failure)
		return -EPROTO;
	ERR_clear_error();
	rc = SSL_read(t->ssl, buf, (int)cap);
	if (rc > 0)
		return SSL_pending(t->ssl) > 0 ? drop_rest(t, buf, cap) : rc;
	error = SSL_get_error(t->ssl, rc);
	/* A closed stream says nothing any more; the session has its own ways to end. */
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN)
		return 0;
	return fail(t, queue_failure());
}

int ovpn_tls_write(struct tls *t, const void *p, size_t n)
{
	if (t->failure)
		return -EPROTO;
	ERR_clear_error();
	if (SSL_write(t->ssl, p, (int)n) != (int)n)
		return fail(t, "TLS failed");
	return 0;
}

bool ovpn_tls_has_answered(const struct tls *t)
{
	return BIO_number_written(t->out) > 0;
}

size_t ovpn_tls_pending(const struct tls *t)
{
	return BIO_ctrl_pending(t->out);
}

size_t ovpn_tls_take(struct tls *t, uint8_t *buf, size_t cap)
{
	const int n = BIO_read(t->out, buf, (int)cap);

	return n > 0 ? (size_t)n : 0;
}

/* ---- what became known ---- */

static int serial_of(X509 *cert, uint8_t out[OVPN_SERIAL])
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	int rc = -EPROTO;

	if (n && !BN_is_negative(n) && BN_bn2binpad(n, out, OVPN_SERIAL) == OVPN_SERIAL)
		rc = 0;
	BN_free(n);
	return rc;
}

int ovpn_tls_identity(const struct tls *t, struct ovpn_identity *who)
{
	X509 *cert = SSL_get1_peer_certificate(t->ssl);
	unsigned int n = sizeof(who->cert_sha256);
	int rc = -EPROTO;

	if (cert && SSL_get_verify_result(t->ssl) == X509_V_OK &&
		serial_of(cert, who->serial) == 0 &&
		X509_digest(cert, EVP_sha256(), who->cert_sha256, &n) == 1)
		rc = 0;
	X509_free(cert);
	ERR_clear_error();
	return rc;
}

int ovpn_tls_export(const struct tls *t, const char *label, struct ovpn_key2 *out)
{
	const int rc = SSL_export_keying_material(
		t->ssl, out->bytes, sizeof(out->bytes), label, strlen(label), NULL, 0, 0);

	ERR_clear_error();
	return rc == 1 ? 0 : -EIO;
}

uint16_t ovpn_tls_version(const struct tls *t)
{
	return (uint16_t)SSL_version(t->ssl);
}
