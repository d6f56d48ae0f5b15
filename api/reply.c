/*
 * Standing headers: libmicrohttpd's own answers (a request line that it can't parse, its own memory
 * limits) can't carry them; those answers have a constant body and close the connection.
 */
#include "api/reply.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/memory.h"
#include "api/streams.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/secret.h"

enum { ETAG_DIGEST = 8 };

const struct standing_header standing_headers[] = {
	{"Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		false},
	{"Strict-Transport-Security", "max-age=31536000", true},
	{"X-Content-Type-Options", "nosniff", false},
	{"Referrer-Policy", "no-referrer", false},
	{"Cross-Origin-Opener-Policy", "same-origin", false},
	{"Cross-Origin-Resource-Policy", "same-origin", false},
	{"Permissions-Policy",
		"accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		false},
};
const size_t n_standing_headers = ARRAY_SIZE(standing_headers);

static const struct {
	unsigned status;
	const char *title;
} titles[] = {
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{409, "Conflict"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{422, "Unprocessable Content"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{503, "Service Unavailable"},
	{505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
};

const char *reply_title(unsigned status)
{
	for (size_t i = 0; i < ARRAY_SIZE(titles); i++) {
		if (titles[i].status == status)
			return titles[i].title;
	}
	return "Error";
}

static void file_fini(const struct reply_file *f)
{
	if (!f->is)
		return;
	if (f->fd >= 0)
		close(f->fd);
	f->done(f->arg);
}

void reply_fini(struct reply *r)
{
	memory_free(r->body);
	file_fini(&r->file);
	stream_close(r->stream);
	secret_wipe(r, sizeof(*r));
}

void reply_with_file(struct reply *r, const char *type, const struct reply_file *f)
{
	if (r->status) {
		file_fini(f);
		return;
	}
	r->status = 200;
	r->type = type;
	r->file = *f;
}

void reply_bytes(struct reply *r, unsigned status, const char *type, char *body, size_t len)
{
	if (!body) {
		reply_problem(r, 500, NULL);
		return;
	}
	if (r->status) {
		memory_free(body);
		return;
	}
	r->status = status;
	r->body = body;
	r->len = len;
	r->type = type;
}

void reply_constant(
	struct reply *r, unsigned status, const char *type, const char *bytes, size_t len)
{
	if (r->status)
		return;
	r->status = status;
	r->type = type;
	r->constant = bytes;
	r->len = len;
}

void reply_empty(struct reply *r, unsigned status)
{
	if (!r->status)
		r->status = status;
}

/* When there is no memory the status goes out alone. */
static void put_body(struct reply *r, unsigned status, json_t *doc, const char *type)
{
	r->body = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
	r->status = doc && !r->body ? 500 : status;
	r->len = r->body ? strlen(r->body) : 0;
	r->type = type;
	json_decref(doc);
}

void reply_json(struct reply *r, unsigned status, json_t *doc)
{
	if (r->status) {
		json_decref(doc);
		return;
	}
	if (!doc) {
		/* What a half-built answer promised must not go out with the 500. */
		reply_fini(r);
		reply_problem(r, 500, NULL);
		return;
	}
	put_body(r, status, doc, "application/json");
}

void reply_text(struct reply *r, unsigned status, const char *type, char *text)
{
	if (r->status || !text) {
		memory_free(text);
		reply_problem(r, 500, NULL);
		return;
	}
	r->status = status;
	r->type = type;
	r->body = text;
	r->len = strlen(text);
}

static void problem(struct reply *r, unsigned status, const char *type, const char *detail,
	const struct field_errors *e)
{
	json_t *doc, *list;

	if (r->status)
		return;
	doc = json_pack("{s:s, s:s, s:i}", "type", type, "title", reply_title(status), "status",
		(int)status);
	if (detail)
		json_object_set_new(doc, "detail", json_string(detail));
	if (e && e->n > 0) {
		list = json_array();
		for (size_t i = 0; i < e->n; i++)
			json_array_append_new(
				list, json_pack("{s:s, s:s}", "field", e->list[i].field, "message",
					      e->list[i].message));
		json_object_set_new(doc, "errors", list);
	}
	put_body(r, status, doc, "application/problem+json");
}

void reply_fields(
	struct reply *r, unsigned status, const char *detail, const struct field_errors *e)
{
	problem(r, status, "about:blank", detail, e);
}

void reply_problem(struct reply *r, unsigned status, const char *detail)
{
	reply_fields(r, status, detail, NULL);
}

static const struct {
	unsigned status;
	const char *detail;
} outcomes[] = {
	[SVC_INVALID] = {422, "A field can't be taken."},
	[SVC_UNAUTHENTICATED] = {401, "Credentials are missing, wrong or expired."},
	[SVC_FORBIDDEN] = {403, "Your role does not allow this."},
	[SVC_NOT_FOUND] = {404, "There is no such object."},
	[SVC_CONFLICT] = {409, "Something else has that already."},
	[SVC_FULL] = {409, "No address is free."},
	[SVC_PRECONDITION] = {412, "The object has changed in the meantime."},
	[SVC_RATE_LIMITED] = {429, "Too many attempts."},
	[SVC_NO_SPACE] = {507, "The database can't be written; nothing was changed."},
	[SVC_TOTP_REQUIRED] = {401, "The password is right; a one-time code is needed."},
	[SVC_UNAVAILABLE] = {503, "Done, but the dataplane has not acknowledged it yet."},
};

static bool is_outcome(int rc)
{
	return rc > 0 && (size_t)rc < ARRAY_SIZE(outcomes);
}

void reply_outcome(struct reply *r, int rc, const struct svc_error *e)
{
	struct field_errors fields = {.n = 0};
	const char *detail;
	unsigned status;

	if (r->status)
		return;
	if (!is_outcome(rc)) {
		log_error("http", "service failed: %s", strerror(rc < 0 ? -rc : EPROTO));
		reply_problem(r, 500, NULL);
		return;
	}
	status = outcomes[rc].status;
	detail = outcomes[rc].detail;
	/* 401 and 404 say the same whatever the reason was; 403 does not take the input apart. */
	if (status != 401 && status != 404 && e->message[0] != '\0') {
		detail = e->message;
		if (e->field[0] != '\0' && status != 403)
			field_errors_add(&fields, e->field, "%s", e->message);
	}
	if (status == 429 || status == 503)
		r->retry_after_s = e->retry_after_s ? e->retry_after_s : 1;
	problem(r, status, rc == SVC_TOTP_REQUIRED ? REPLY_TOTP_REQUIRED : "about:blank", detail,
		&fields);
}

void reply_done(struct reply *r, int rc, const struct svc_error *e)
{
	if (rc)
		reply_outcome(r, rc, e);
	else
		reply_empty(r, 204);
}

void reply_etag(struct reply *r, uint64_t revision)
{
	snprintf(r->etag, sizeof(r->etag), "\"%llu\"", (unsigned long long)revision);
}

void reply_etag_live(struct reply *r, uint64_t revision)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char text[HEX_TEXT(ETAG_DIGEST)];

	if (r->status >= 300 || !r->body)
		return;
	SHA256((const unsigned char *)r->body, r->len, digest);
	hex_encode(digest, ETAG_DIGEST, text);
	snprintf(r->etag, sizeof(r->etag), "\"%llu.%s\"", (unsigned long long)revision, text);
}

/* "5" or "5.0123456789abcdef", with the quotes. */
bool etag_parse(struct span tag, uint64_t *revision)
{
	const size_t tail = 1 + 2 * ETAG_DIGEST;
	uint64_t n = 0;
	size_t i = 1;

	if (tag.len < 3 || tag.at[0] != '"' || tag.at[tag.len - 1] != '"' || tag.at[1] == '0')
		return false;
	for (; i + 1 < tag.len && tag.at[i] >= '0' && tag.at[i] <= '9' && i < 19; i++)
		n = n * 10 + (uint64_t)(tag.at[i] - '0');
	*revision = n;
	if (i == 1 || i + 1 == tag.len)
		return i > 1;
	if (tag.at[i] != '.' || tag.len - 1 - i != tail)
		return false;
	for (i++; i + 1 < tag.len; i++) {
		if (!memchr("0123456789abcdef", tag.at[i], 16))
			return false;
	}
	return true;
}

/* Weak comparison. */
static bool has_tag(struct span list, const char *etag)
{
	const char *p = list.at, *end = list.at + list.len;
	const size_t n = strlen(etag);

	while (p < end) {
		const char *stop = memchr(p, ',', (size_t)(end - p));
		const char *last = stop ? stop : end;

		while (p < last && (*p == ' ' || *p == '\t'))
			p++;
		while (last > p && (last[-1] == ' ' || last[-1] == '\t'))
			last--;
		if (last - p > 2 && p[0] == 'W' && p[1] == '/')
			p += 2;
		if ((size_t)(last - p) == n && memcmp(p, etag, n) == 0)
			return true;
		p = stop ? stop + 1 : end;
	}
	return false;
}

void reply_unless_match(struct reply *r, struct span if_none_match)
{
	if (r->status != 200 || r->etag[0] == '\0' || !if_none_match.at)
		return;
	if (!span_is(if_none_match, "*") && !has_tag(if_none_match, r->etag))
		return;
	memory_free(r->body);
	r->body = NULL;
	r->constant = NULL;
	r->encoding = NULL;
	r->len = 0;
	r->status = 304;
}

bool reply_unversioned(struct reply *r, uint64_t if_match)
{
	if (if_match)
		reply_problem(r, 412, "The object has no ETag that If-Match could name.");
	return if_match != 0;
}

void reply_location(struct reply *r, const char *collection, const char *id)
{
	snprintf(r->location, sizeof(r->location), "%s/%s", collection, id);
}

const char *id_format(const char *prefix, const struct ulid *id, char *buf)
{
	char text[ULID_TEXT];

	snprintf(buf, REPLY_ID_TEXT, "%s%s", prefix, ulid_format(id, text));
	return buf;
}

json_t *json_time(int64_t unix_ms)
{
	char text[CLOCK_TEXT];

	return unix_ms == 0 ? json_null() : json_string(clock_format_ms(unix_ms, text));
}

json_t *json_text(const char *text)
{
	return text[0] == '\0' ? json_null() : json_string(text);
}

json_t *json_id(const char *prefix, const struct ulid *id)
{
	char text[REPLY_ID_TEXT];

	return ulid_is_zero(id) ? json_null() : json_string(id_format(prefix, id, text));
}

json_t *json_address(const struct ip_addr *a)
{
	char text[IP_ADDR_TEXT];

	return json_text(ip_addr_format(a, text));
}

json_t *json_endpoint(const struct endpoint *e)
{
	char text[ENDPOINT_TEXT];

	return json_text(endpoint_format(e, text));
}

json_t *json_counter(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}
