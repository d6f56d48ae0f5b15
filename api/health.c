/*
 * One request over a blocking socket whose every step has the rest of one deadline.
 *
 * The certificate is not looked at: it is our own or the administrator's, for names that clients
 * use and not for loopback; nothing secret is sent, and who could answer in our place is already
 * inside.
 */
#include "api/health.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

enum { NOT_WELL = 1, ANSWER_MAX = 8192 };

struct talk {
	int fd;
	uint64_t deadline;
	gnutls_session_t tls; /* NULL: plain */
	gnutls_certificate_credentials_t none;
	size_t len;
	char answer[ANSWER_MAX + 1];
};

static int say(char *why, const char *fmt, ...) printf_like(2, 3);
static int say(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, API_HEALTH_TEXT, fmt, ap);
	va_end(ap);
	for (char *c = why; *c; c++) {
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	}
	return NOT_WELL;
}

static uint64_t left_ms(const struct talk *t)
{
	const struct clock clock = clock_system();
	const uint64_t now = clock_mono_ms(&clock);

	return t->deadline > now ? t->deadline - now : 0;
}

/* Returns: 0, -ETIMEDOUT, -errno. */
static int limit(const struct talk *t)
{
	const uint64_t left = left_ms(t);
	const struct timeval tv = {
		.tv_sec = (time_t)(left / 1000), .tv_usec = (suseconds_t)(left % 1000 * 1000)};

	if (left == 0)
		return -ETIMEDOUT;
	if (setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ||
		setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)))
		return -errno;
	return 0;
}

static int error_of(ssize_t n)
{
	if (n >= 0)
		return 0;
	/* What SO_RCVTIMEO and SO_SNDTIMEO end with. */
	return errno == EAGAIN || errno == EINPROGRESS ? -ETIMEDOUT : -errno;
}

/* Dual stack as the listener is: 127.0.0.1 is there where IPv6 is switched off, too. */
static int dial(struct talk *t, const struct endpoint *listen)
{
	static const uint8_t nowhere[16] = {0};
	struct endpoint at = *listen;
	struct sockaddr_storage ss;
	socklen_t len;
	int r;

	if (at.addr.family == IP_NONE || memcmp(at.addr.bytes, nowhere, sizeof(nowhere)) == 0)
		at.addr = (struct ip_addr){.family = IP_V4, .bytes = {127, 0, 0, 1}};
	len = endpoint_to_sockaddr6(&at, &ss);
	t->fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return -errno;
	r = limit(t);
	return r ? r : error_of(connect(t->fd, (struct sockaddr *)&ss, len));
}

static int shake_hands(struct talk *t)
{
	const uint64_t left = left_ms(t);
	int r = gnutls_certificate_allocate_credentials(&t->none);

	if (r == 0 && left == 0)
		r = GNUTLS_E_TIMEDOUT; /* to it, 0 would be no limit */
	if (r == 0)
		r = gnutls_init(&t->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
	if (r == 0)
		r = gnutls_set_default_priority(t->tls);
	if (r == 0)
		r = gnutls_credentials_set(t->tls, GNUTLS_CRD_CERTIFICATE, t->none);
	if (r != 0)
		return r;
	gnutls_transport_set_int(t->tls, t->fd);
	gnutls_handshake_set_timeout(t->tls, (unsigned)left);
	do
		r = gnutls_handshake(t->tls);
	while (r < 0 && !gnutls_error_is_fatal(r) && r != GNUTLS_E_AGAIN);
	return r;
}

static ssize_t send_some(struct talk *t, const char *text, size_t len)
{
	if (t->tls)
		return gnutls_record_send(t->tls, text, len) == (ssize_t)len ? 0 : -EPIPE;
	return send(t->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : error_of(-1);
}

/* Returns: bytes, 0 (the end), -errno. */
static ssize_t receive_some(struct talk *t)
{
	char *at = t->answer + t->len;
	const size_t room = ANSWER_MAX - t->len;
	ssize_t n;

	if (!t->tls) {
		n = recv(t->fd, at, room, 0);
		return n < 0 ? error_of(n) : n;
	}
	n = gnutls_record_recv(t->tls, at, room);
	if (n == GNUTLS_E_PREMATURE_TERMINATION)
		return 0;
	return n == GNUTLS_E_AGAIN ? -ETIMEDOUT : n < 0 ? -EPIPE : n;
}

static int ask(struct talk *t)
{
	static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n"
				      "Accept: application/json\r\nConnection: close\r\n\r\n";
	ssize_t n = send_some(t, request, sizeof(request) - 1);
	int r = (int)n;

	for (n = 1; r == 0 && n > 0 && t->len < ANSWER_MAX;) {
		r = limit(t);
		n = r == 0 ? receive_some(t) : 0;
		if (n < 0)
			r = (int)n;
		else
			t->len += (size_t)n;
	}
	t->answer[t->len] = '\0';
	return r;
}

/* A problem's detail says what is wrong. */
static int judge(const struct talk *t, char *why)
{
	const char *body = strstr(t->answer, "\r\n\r\n");
	const char *detail;
	json_t *doc;
	unsigned status;

	if (sscanf(t->answer, "HTTP/1.1 %3u ", &status) != 1 || !body)
		return say(why, "what answers is no control plane");
	if (status == 200) {
		say(why, "ready");
		return 0;
	}
	doc = json_loads(body + 4, 0, NULL);
	detail = json_string_value(json_object_get(doc, "detail"));
	if (detail)
		say(why, "%s", detail);
	else
		say(why, "it answers with status %u", status);
	json_decref(doc);
	return NOT_WELL;
}

static int no_answer(char *why, const struct endpoint *listen, const char *what)
{
	char at[ENDPOINT_TEXT];

	return say(why, "%s: %s", endpoint_format(listen, at), what);
}

static int talk(struct talk *t, const struct endpoint *listen, bool tls, char *why)
{
	int r = dial(t, listen);

	if (r == -ECONNREFUSED)
		return no_answer(why, listen, "nobody listens");
	if (r == 0 && tls) {
		r = shake_hands(t);
		if (r != 0)
			return no_answer(why, listen, gnutls_strerror(r));
	}
	if (r == 0)
		r = ask(t);
	if (r == -ETIMEDOUT)
		return no_answer(why, listen, "no answer");
	return r == 0 ? judge(t, why) : no_answer(why, listen, strerror(-r));
}

int api_health(const struct endpoint *listen, bool tls, char *why)
{
	const struct clock clock = clock_system();
	struct talk t = {.fd = -1, .deadline = clock_mono_ms(&clock) + API_HEALTH_MS};
	int r;

	if (listen->port == 0)
		return no_answer(why, listen, "a port of the system's choice can't be asked");
	r = talk(&t, listen, tls, why);
	if (t.tls)
		gnutls_deinit(t.tls);
	if (t.none)
		gnutls_certificate_free_credentials(t.none);
	if (t.fd >= 0)
		close(t.fd);
	return r;
}
