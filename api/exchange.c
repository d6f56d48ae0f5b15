/*
 * How the head is seen as it stood on the wire: libmicrohttpd parses in place, in one buffer, and
 * ends each piece with a NUL where its line's CR was. So every value is followed by exactly two
 * bytes, and the pieces lie one behind the other; where they don't, a line ended in a bare LF, was
 * folded, held a NUL, or had extra blanks in the request line. Addresses are compared, and the
 * blanks looked at that libmicrohttpd 1.0 leaves out at the end of a value.
 *
 * What stays hidden: empty lines before the request line (RFC 9112 2.2 allows them), and a line
 * that ends in NUL LF instead of CR LF.
 */
#include "api/exchange.h"

#include <stdio.h>
#include <string.h>

#include "api/memory.h"
#include "api/police.h"
#include "api/request.h"
#include "api/routes.h"
#include "base/codec.h"
#include "base/log.h"

/* A body that is too long is read and thrown away up to here, so that the client gets to see the
 * 413; beyond it the connection is closed at once. */
enum { DISCARD_MAX = 16 * 1024 * 1024 };

struct exchange {
	struct exchange_env *env;
	struct MHD_Connection *mhd;
	struct conn *conn;
	struct request rq;
	char target[POLICE_TARGET_MAX + 1]; /* a copy: the original is decoded in place */
	const char *uri;		    /* where it stood */
	size_t uri_len;
	size_t got;   /* bytes of the body so far */
	bool head_ok; /* the police let it pass */
	bool complete;
	struct stream *stream; /* that its answer is; belongs to the answer */
	uint64_t began_ms;
};

struct conn *exchange_conn(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static struct ip_addr peer_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct endpoint e = {.port = 0};

	if (!info || endpoint_from_sockaddr(&e, info->client_addr))
		return (struct ip_addr){.family = IP_NONE};
	return e.addr;
}

/* ---- the answer ---- */

static bool add(struct MHD_Response *r, const char *name, const char *value)
{
	return value[0] == '\0' || MHD_add_response_header(r, name, value) == MHD_YES;
}

/* RFC 6266, RFC 9530. */
static bool add_file_headers(struct MHD_Response *out, const struct reply_file *f)
{
	char name[96], hash[BASE64_TEXT(sizeof(f->sha256))], digest[80];

	base64_encode(f->sha256, sizeof(f->sha256), hash);
	snprintf(name, sizeof(name), "attachment; filename=\"%s\"", f->name);
	snprintf(digest, sizeof(digest), "sha-256=:%s:", hash);
	return add(out, "Content-Disposition", name) && add(out, "Repr-Digest", digest);
}

static bool add_headers(struct MHD_Response *out, const struct reply *r, bool tls)
{
	char seconds[16] = "";
	bool ok = true;

	for (size_t i = 0; i < n_standing_headers; i++) {
		if (tls || !standing_headers[i].tls_only)
			ok = ok && add(out, standing_headers[i].name, standing_headers[i].value);
	}
	if (r->retry_after_s)
		snprintf(seconds, sizeof(seconds), "%u", r->retry_after_s);
	if (r->file.is)
		ok = ok && add_file_headers(out, &r->file);
	return ok && add(out, "Content-Type", r->type ? r->type : "") &&
	       add(out, "Content-Encoding", r->encoding ? r->encoding : "") &&
	       add(out, "Vary", r->encoded ? "Accept-Encoding" : "") &&
	       add(out, "Cache-Control", r->cache ? r->cache : "no-store") &&
	       add(out, "Location", r->location) && add(out, "ETag", r->etag) &&
	       add(out, "Allow", r->allow) && add(out, "Set-Cookie", r->cookie) &&
	       add(out, "Retry-After", seconds) &&
	       add(out, "Idempotency-Replayed", r->replayed ? "true" : "") &&
	       add(out, "WWW-Authenticate", r->status == 401 ? "Bearer" : "") &&
	       add(out, "Connection", r->close ? "close" : "") &&
	       add(out, "X-Accel-Buffering", r->stream ? "no" : "");
}

/* What libmicrohttpd then owns is no longer the reply's. */
static struct MHD_Response *take_body(struct reply *r)
{
	struct MHD_Response *out;

	if (r->stream)
		return MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, r->stream, stream_end);
	if (r->file.is)
		out = MHD_create_response_from_fd64(r->file.len, r->file.fd);
	else if (r->body)
		out = MHD_create_response_from_buffer_with_free_callback(
			r->len, r->body, memory_free);
	else if (r->constant)
		return MHD_create_response_from_buffer(
			r->len, (void *)(uintptr_t)r->constant, MHD_RESPMEM_PERSISTENT);
	else /* empty bodies need an address as well */
		return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
	if (out) {
		r->body = NULL;
		r->file.fd = -1;
	}
	return out;
}

/* Hands the reply over. MHD_NO ends the connection without an answer. */
static enum MHD_Result send_reply(struct exchange *x)
{
	struct reply *r = &x->rq.reply;
	enum MHD_Result rc = MHD_NO;
	struct MHD_Response *out = take_body(r);

	if (!out)
		return MHD_NO;
	if (r->stream)
		stream_attach(r->stream, x->mhd, x->conn);
	if (r->file.is)
		conn_on_answer_begun(x->env->conns, x->conn);
	if (add_headers(out, r, x->env->tls))
		rc = MHD_queue_response(x->mhd, r->status, out);
	if (rc == MHD_YES)
		x->stream = r->stream;
	r->stream = NULL; /* it goes with the answer */
	MHD_destroy_response(out);
	return rc;
}

/* ---- the head ---- */

static enum MHD_Result collect_field(void *cls, enum MHD_ValueKind kind, const char *name,
	size_t name_len, const char *value, size_t value_len)
{
	struct head *h = cls;

	(void)kind;
	if (h->n_fields < POLICE_FIELDS_MAX)
		h->fields[h->n_fields] = (struct head_field){
			name, value ? value : "", name_len, value ? value_len : 0};
	h->n_fields++;
	return MHD_YES;
}

/* Whether nothing but the end of the line lies between a value and what comes next. Where 1.0 has
 * left out blanks, the first of them is NUL now and the CRLF stands untouched; 0.9 keeps blanks and
 * leaves no CR, so that there is no gap to be had with it. */
static bool ends_its_line(const char *end, uintptr_t next, size_t head_size)
{
	const size_t gap = next - (uintptr_t)end;

	if (gap == 2)
		return true;
	if (gap < 3 || gap > head_size || end[0] != '\0')
		return false;
	for (size_t i = 1; i < gap - 2; i++) {
		if (end[i] != ' ' && end[i] != '\t')
			return false;
	}
	return end[gap - 2] == '\r' && end[gap - 1] == '\n';
}

/* Whether the pieces lie one behind the other; see above. */
static bool is_ragged(const struct exchange *x, const struct head *h)
{
	const uintptr_t begin = (uintptr_t)h->method;
	uintptr_t at = begin + strlen(h->method) + 1;

	if ((uintptr_t)x->uri != at)
		return true;
	at += x->uri_len + 1;
	if ((uintptr_t)h->version != at)
		return true;
	at += strlen(h->version) + 2;
	if (h->n_fields > POLICE_FIELDS_MAX)
		return false; /* refused for that */
	for (size_t i = 0; i < h->n_fields; i++) {
		const struct head_field *f = &h->fields[i];
		const bool last = i + 1 == h->n_fields;

		if ((uintptr_t)f->name != at)
			return true;
		at = last ? begin + h->size - 2 : (uintptr_t)h->fields[i + 1].name;
		if (!ends_its_line(f->value + f->value_len, at, h->size))
			return true;
	}
	return at + 2 != begin + h->size;
}

static unsigned judge(struct exchange *x, const char *method, const char *version, const char **why)
{
	const union MHD_ConnectionInfo *size =
		MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	struct head h = {
		.method = method,
		.version = version,
		.target = x->target,
		.target_len = x->uri_len,
		.size = size ? size->header_size : SIZE_MAX,
	};
	unsigned status;

	MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, collect_field, &h);
	h.ragged = is_ragged(x, &h);
	status = police_check(&h, &x->rq.head, why);
	if (!status)
		x->rq.from = proxies_client(&x->env->proxies, &x->rq.peer, &h);
	return status;
}

static bool is_form(const struct request *rq)
{
	return span_is(rq->head.content_type, "application/x-www-form-urlencoded");
}

static bool is_json(const struct request *rq)
{
	const struct span all = rq->head.content_type;
	struct span s = all;
	const char *semicolon = all.at ? memchr(all.at, ';', all.len) : NULL;

	if (semicolon) {
		struct span rest = {semicolon + 1, (size_t)(all.at + all.len - semicolon - 1)};

		s.len = (size_t)(semicolon - all.at);
		while (rest.len > 0 && *rest.at == ' ') {
			rest.at++;
			rest.len--;
		}
		if (!span_is(rest, "charset=utf-8") && !span_is(rest, "charset=\"utf-8\""))
			return false;
	}
	return span_is(s, "application/json") ||
	       (rq->head.method == HTTP_PATCH && span_is(s, "application/merge-patch+json"));
}

/* What can be said before the body has come; the answer goes out after it. */
static void route(struct exchange *x)
{
	struct request *rq = &x->rq;
	struct match m = router_match(rq->head.method, rq->head.path);

	rq->route = m.route;
	rq->id = m.id;
	rq->id_ok = m.id_ok;
	rq->text = m.text;
	if (!m.route) {
		memcpy(rq->reply.allow, m.allow, sizeof(m.allow));
		reply_problem(&rq->reply, m.status, NULL);
	} else if (rq->head.body_len > JSON_IN_MAX) {
		rq->reply.close = true;
		reply_problem(&rq->reply, 413, "A body has at most 64 KiB.");
	} else if (rq->head.body_len > 0 && m.route->body == &body_form &&
		   (!is_form(rq) || rq->head.content_encoding.at)) {
		reply_problem(&rq->reply, 415, "This takes the form of its page, or no body.");
	} else if (rq->head.body_len > 0 && m.route->body != &body_form &&
		   (!is_json(rq) || rq->head.content_encoding.at)) {
		reply_problem(&rq->reply, 415, "A body is application/json, not encoded.");
	}
}

static enum MHD_Result on_head(struct exchange *x, const char *method, const char *version)
{
	struct request *rq = &x->rq;
	const char *why = NULL;
	const unsigned status = judge(x, method, version, &why);

	if (status) {
		rq->reply.close = true;
		reply_problem(&rq->reply, status, why);
		return send_reply(x);
	}
	x->head_ok = true;
	route(x);
	if (rq->reply.status && (rq->head.body_len > DISCARD_MAX || rq->head.expect.at)) {
		rq->reply.close = true;
		return send_reply(x);
	}
	if (!rq->reply.status && rq->head.body_len > 0) {
		rq->raw_body = memory_alloc(rq->head.body_len);
		if (!rq->raw_body)
			return MHD_NO;
	}
	return MHD_YES;
}

/* ---- the body, and what follows it ---- */

static enum MHD_Result on_body(struct exchange *x, const char *data, size_t *n)
{
	if (x->rq.raw_body) {
		if (*n > x->rq.head.body_len - x->got)
			return MHD_NO;
		memcpy(x->rq.raw_body + x->got, data, *n);
		x->got += *n;
	}
	*n = 0;
	return MHD_YES;
}

static void refuse_busy(struct exchange *x)
{
	x->rq.reply.retry_after_s = 1;
	reply_problem(&x->rq.reply, 503, "Too many requests are waiting.");
}

static enum MHD_Result on_complete(struct exchange *x)
{
	struct request *rq = &x->rq;

	if (!x->complete) {
		x->complete = true;
		conn_on_request_received(
			x->env->conns, x->conn, rq->route && rq->route->lane == LANE_LONG);
	}
	if (!rq->reply.status && atomic_load(&x->env->stopping)) {
		rq->reply.close = true;
		refuse_busy(x);
	}
	if (!rq->reply.status && rq->raw_body && x->got != rq->head.body_len)
		return MHD_NO;
	if (!rq->reply.status && rq->route->lane == LANE_NOW)
		request_run(rq);
	if (rq->reply.status)
		return send_reply(x);
	/* Suspended first: the worker may be done before this returns. */
	MHD_suspend_connection(x->mhd);
	if (!lanes_push(x->env->lanes, rq->route->lane, x)) {
		refuse_busy(x);
		MHD_resume_connection(x->mhd);
	}
	return MHD_YES;
}

void exchange_work(void *arg, void *job)
{
	struct exchange *x = job;
	struct exchange_env *env = arg;

	if (atomic_load(&env->stopping) || conn_is_late(env->conns, x->conn))
		refuse_busy(x);
	else
		request_run(&x->rq);
	MHD_resume_connection(x->mhd);
}

/* ---- libmicrohttpd's callbacks ---- */

void *exchange_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct exchange_env *env = cls;
	struct exchange *x = memory_alloc(sizeof(*x));
	size_t keep;

	if (!x)
		return NULL;
	x->env = env;
	x->mhd = mhd;
	x->conn = exchange_conn(mhd);
	x->began_ms = clock_mono_ms(&env->clock);
	x->uri = uri;
	x->uri_len = uri ? strlen(uri) : 0;
	keep = x->uri_len < sizeof(x->target) ? x->uri_len : sizeof(x->target) - 1;
	if (uri)
		memcpy(x->target, uri, keep);
	x->rq.service = env->service;
	x->rq.openapi = env->openapi;
	x->rq.streams = env->streams;
	x->rq.metrics = env->metrics;
	x->rq.clock = env->clock;
	x->rq.tls = env->tls;
	x->rq.public_url = env->public_url;
	x->rq.from = x->rq.peer = peer_of(mhd);
	if (x->conn)
		conn_on_request_begun(env->conns, x->conn);
	return x;
}

enum MHD_Result exchange_on_data(void *cls, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *data, size_t *data_len, void **state)
{
	struct exchange *x = *state;

	(void)cls;
	(void)mhd;
	(void)url;
	if (!x || !x->conn)
		return MHD_NO;
	if (!x->head_ok)
		return on_head(x, method, version);
	if (*data_len > 0)
		return on_body(x, data, data_len);
	return on_complete(x);
}

void exchange_on_end(
	void *cls, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode why)
{
	struct exchange_env *env = cls;
	struct exchange *x = *state;

	(void)mhd;
	(void)why;
	if (!x)
		return;
	if (x->rq.reply.status && !x->stream)
		metrics_request(env->metrics, x->rq.route, x->rq.reply.status,
			clock_mono_ms(&env->clock) - x->began_ms);
	/* Before the connection goes. */
	if (x->stream)
		stream_detach(x->stream);
	if (x->conn)
		conn_on_request_done(env->conns, x->conn);
	/* The pattern, not the path: no ids, no query. */
	log_debug("http", "request: %s %s, %u in %llu ms",
		x->head_ok ? http_method_name(x->rq.head.method) : "-",
		x->rq.route ? x->rq.route->pattern : "-", x->rq.reply.status,
		(unsigned long long)(clock_mono_ms(&env->clock) - x->began_ms));
	memory_free(x->rq.raw_body);
	request_fini(&x->rq);
	memory_free(x);
	*state = NULL;
}
