/*
 * The listener: socket, certificate, libmicrohttpd's daemon with its one event thread, the lanes of
 * workers, the table of connections; what starts and what ends them.
 *
 * libmicrohttpd is told to be neither strict nor lenient (STRICT_FOR_CLIENT 0): it then lets what
 * is malformed through to the police, whose answers are ours and carry our headers.
 */
#include "api/api.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "api/deadline.h"
#include "api/exchange.h"
#include "api/lanes.h"
#include "api/memory.h"
#include "api/openapi/openapi.h"
#include "api/tls.h"
#include "base/log.h"

enum {
	WHY = 160,
	BACKLOG = 1024,
	POOL = 32 * 1024, /* libmicrohttpd's memory for one connection */
	SLACK = 64,	  /* connections that are on their way out */
	MAX_CONNECTIONS = 1024,
	REQUEST_MS = 15000,
	IDLE_MS = 60000,
	HANDSHAKE_MS = 5000,
	LONG_MS = 90000,
	STUCK_MS = 30000,
	SENDING_MS = 3600000,
	STOP_MS = 5000,
	FLUSH_MS = 1000,
};

struct api {
	struct exchange_env env;
	struct openapi openapi;
	struct tls *tls;
	struct MHD_Daemon *daemon;
	struct endpoint address;
	atomic_bool closed; /* nobody new is let in */
};

/* What 0.9 refuses anyway, folded lines above all, 1.0 takes unless it is told to be strict;
 * strict, 0.9 closes where it could answer. */
enum { STRICT = MHD_VERSION >= 0x01000000 };

/* ---- libmicrohttpd's callbacks ---- */

static enum MHD_Result on_accept(void *cls, const struct sockaddr *sa, socklen_t len)
{
	struct api *a = cls;
	struct endpoint from;
	bool is_proxy;

	(void)len;
	if (atomic_load(&a->closed) || endpoint_from_sockaddr(&from, sa))
		return MHD_NO;
	is_proxy = ip_addr_is_loopback(&from.addr) || proxies_has(&a->env.proxies, &from.addr);
	return conn_admit(a->env.conns, &from.addr, is_proxy) ? MHD_YES : MHD_NO;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info;
	struct api *a = cls;
	struct endpoint from;
	int fd;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*context)
			conn_close(a->env.conns, *context);
		*context = NULL;
		return;
	}
	/* What it points to holds until the next question (libmicrohttpd 1.0). */
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	fd = info ? info->connect_fd : -1;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	*context = NULL;
	if (fd >= 0 && info && endpoint_from_sockaddr(&from, info->client_addr) == 0)
		*context = conn_open(a->env.conns, fd, &from.addr, a->env.tls);
	/* Nobody would look after its time. */
	if (!*context && fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

static void on_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *fmt, va_list ap)
{
	char line[256];

	(void)cls;
	if (!log_enabled(LOG_DEBUG))
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("http", "libmicrohttpd: %s", line);
}

/* ---- TLS ---- */

/* Only now is the client's side of the handshake done. */
static int on_finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
	const gnutls_datum_t *message)
{
	struct conn *c = exchange_conn(gnutls_session_get_ptr(session));

	(void)type;
	(void)when;
	(void)message;
	if (c && incoming)
		conn_on_handshake_done(((struct api *)conn_owner(c))->env.conns, c);
	return 0;
}

/* libmicrohttpd leaves its connection in the session. */
static int on_certificate(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
	const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **chain,
	unsigned *n, gnutls_privkey_t *key)
{
	struct conn *c = exchange_conn(gnutls_session_get_ptr(session));

	(void)names;
	(void)n_names;
	(void)algorithms;
	(void)n_algorithms;
	if (!c)
		return -1;
	tls_current(((struct api *)conn_owner(c))->tls, chain, n, key);
	gnutls_handshake_set_hook_function(
		session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, on_finished);
	return 0;
}

/* ---- start ---- */

static int open_socket(const struct endpoint *at, struct endpoint *bound, char *why)
{
	const int one = 1, zero = 0;
	struct sockaddr_storage ss;
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(ss);
	char text[ENDPOINT_TEXT];
	int fd, rc = 0;

	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		snprintf(why, WHY, "socket: %s", strerror(errno));
		return -errno;
	}
	if (at->addr.family == IP_NONE) {
		any.sin6_port = htons(at->port);
		memcpy(&ss, &any, sizeof(any));
		len = sizeof(any);
	} else {
		len = endpoint_to_sockaddr6(at, &ss);
	}
	/* Dual stack: [::] takes IPv4 as well, and an IPv4 address is a mapped one. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) ||
		bind(fd, (struct sockaddr *)&ss, len) || listen(fd, BACKLOG))
		rc = -errno;
	len = sizeof(ss);
	if (rc == 0 && getsockname(fd, (struct sockaddr *)&ss, &len))
		rc = -errno;
	if (rc == 0)
		rc = endpoint_from_sockaddr(bound, (struct sockaddr *)&ss);
	if (rc) {
		snprintf(why, WHY, "listen on %s: %s", endpoint_format(at, text), strerror(-rc));
		close(fd);
		return rc;
	}
	return fd;
}

static int start_daemon(struct api *a, int fd, uint32_t max, char *why)
{
	const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			       MHD_USE_ERROR_LOG | (a->tls ? MHD_USE_TLS : 0);
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)on_certificate},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES},
		{MHD_OPTION_END, 0, NULL},
	};

	if (!a->tls)
		tls[0].option = MHD_OPTION_END;
	errno = 0;
	a->daemon = MHD_start_daemon(flags, 0, on_accept, a, exchange_on_data, &a->env,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)max + SLACK,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL, MHD_OPTION_CONNECTION_TIMEOUT, 0U,
		MHD_OPTION_STRICT_FOR_CLIENT, STRICT, MHD_OPTION_URI_LOG_CALLBACK, exchange_on_uri,
		&a->env, MHD_OPTION_NOTIFY_COMPLETED, exchange_on_end, &a->env,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, a, MHD_OPTION_ARRAY, tls,
		MHD_OPTION_END);
	if (a->daemon)
		return 0;
	snprintf(why, WHY, "libmicrohttpd does not start%s%s", errno ? ": " : "",
		errno ? strerror(errno) : "");
	return errno ? -errno : -EIO;
}

static int start_metrics(struct api *a, const struct api_conf *conf)
{
	const struct metrics_sources sources = {
		.service = a->env.service,
		.conns = a->env.conns,
		.lanes = a->env.lanes,
		.streams = a->env.streams,
		.clock = a->env.clock,
		.devices = conf->metrics_devices,
	};

	return metrics_new(&a->env.metrics, &sources);
}

static int start_parts(struct api *a, const struct api_conf *conf, char *why)
{
	const uint32_t max = conf->max_connections ? conf->max_connections : MAX_CONNECTIONS;
	const uint32_t request_ms = conf->request_ms ? conf->request_ms : REQUEST_MS;
	const struct conn_limits limits = {
		.max = max,
		.per_prefix = max / 4 ? max / 4 : 1,
		.request_ms = request_ms,
		.idle_ms = IDLE_MS,
		.handshake_ms = request_ms < HANDSHAKE_MS ? request_ms : HANDSHAKE_MS,
		.long_ms = LONG_MS,
		.stream_ms = STUCK_MS,
		.stuck_ms = conf->stuck_ms ? conf->stuck_ms : STUCK_MS,
		.sending_ms = SENDING_MS,
	};
	const struct tls_source src = {
		conf->tls_cert_file, conf->tls_key_file, conf->tls_cert_pem, conf->tls_key_pem};
	int fd, rc = 0;

	if (conf->tls && !conf->tls_cert_file && !(conf->tls_cert_pem && conf->tls_key_pem)) {
		snprintf(why, WHY, "HTTPS needs a certificate and its key");
		return -EINVAL;
	}
	if (conf->tls)
		rc = tls_new(&a->tls, &src, a->env.clock, why);
	if (rc)
		return rc;
	snprintf(why, WHY, "threads can't be started");
	rc = conn_table_new(&a->env.conns, &limits, a->env.clock, a);
	if (rc == 0)
		rc = lanes_new(&a->env.lanes, exchange_work, &a->env);
	if (rc == 0)
		rc = streams_new(&a->env.streams, a->env.service, a->env.conns, a->env.clock);
	if (rc == 0)
		rc = start_metrics(a, conf);
	if (rc)
		return rc;
	fd = open_socket(&conf->listen, &a->address, why);
	if (fd < 0)
		return fd;
	rc = start_daemon(a, fd, max, why);
	if (rc)
		close(fd);
	return rc;
}

static void free_parts(struct api *a)
{
	if (a->env.lanes) {
		lanes_stop(a->env.lanes);
		lanes_free(a->env.lanes);
	}
	if (a->env.streams) {
		streams_stop(a->env.streams);
		streams_free(a->env.streams);
	}
	metrics_free(a->env.metrics);
	if (a->env.conns)
		conn_table_free(a->env.conns);
	if (a->tls)
		tls_free(a->tls);
	openapi_fini(&a->openapi);
	free(a);
}

int api_start(struct api **out, const struct api_conf *conf, struct service *s, char *why)
{
	struct api *a = calloc(1, sizeof(*a));
	int rc;

	if (!a) {
		snprintf(why, WHY, "no memory");
		return -ENOMEM;
	}
	memory_adopt_json();
	a->env.service = s;
	a->env.clock = clock_system();
	a->env.tls = conf->tls;
	a->env.public_url = conf->public_url;
	a->env.proxies = (struct proxies){conf->proxies, conf->n_proxies};
	a->env.openapi = &a->openapi;
	snprintf(why, WHY, "the OpenAPI document can't be made");
	rc = openapi_make(&a->openapi);
	if (rc == 0)
		rc = start_parts(a, conf, why);
	if (rc) {
		free_parts(a);
		return rc;
	}
	*out = a;
	return 0;
}

struct endpoint api_address(const struct api *a)
{
	return a->address;
}

/* ---- stop ---- */

/* Until no request is being served, or its time is over. */
static void drain(struct api *a, unsigned ms)
{
	const uint64_t end = clock_mono_ms(&a->env.clock) + ms;
	size_t serving = 1;

	while (serving > 0 && clock_mono_ms(&a->env.clock) < end) {
		conn_count(a->env.conns, &serving);
		if (serving > 0)
			poll(NULL, 0, 10);
	}
}

/* So that they end as they should, and not in the middle; who does not read is cut off. */
static void drain_streams(struct api *a, unsigned ms)
{
	const uint64_t end = clock_mono_ms(&a->env.clock) + ms;
	struct streams_figures f = {.open = 1};

	while (f.open > 0 && clock_mono_ms(&a->env.clock) < end) {
		streams_figures(a->env.streams, &f);
		if (f.open > 0)
			poll(NULL, 0, 10);
	}
}

/* The listening socket stays libmicrohttpd's until its threads have ended: MHD_quiesce_daemon takes
 * it from epoll while a thread may be doing the same, and libmicrohttpd aborts when both do. */
void api_stop(struct api *a)
{
	atomic_store(&a->closed, true);
	streams_stop(a->env.streams);
	drain(a, STOP_MS);
	/* What is left in the lanes is answered at once; nothing may stay suspended. */
	atomic_store(&a->env.stopping, true);
	lanes_stop(a->env.lanes);
	drain(a, FLUSH_MS);
	drain_streams(a, FLUSH_MS);
	MHD_stop_daemon(a->daemon);
	free_parts(a);
}
