/*
 * One function a rule, one table of rules; the first that objects decides the answer.
 *
 * Percent-encoding in a path is refused altogether: no route needs it, and without it there is
 * nothing to decode twice.
 */
#include "api/police.h"

#include <string.h>
#include <strings.h>

#define HTTP_METHOD_NAME(m) #m,
static const char *const method_names[] = {HTTP_METHODS(HTTP_METHOD_NAME)};
#undef HTTP_METHOD_NAME

const char *http_method_name(enum http_method m)
{
	return method_names[m];
}

bool span_is(struct span s, const char *text)
{
	return s.at && s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

static bool is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_hex(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

static bool is_one_of(unsigned char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* RFC 9110 5.6.2 */
static bool is_token(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum((unsigned char)p[i]) &&
			!is_one_of((unsigned char)p[i], "!#$%&'*+-.^_`|~"))
			return false;
	}
	return n > 0;
}

/* RFC 9110 5.5: visible characters, blanks and obs-text; no control characters. */
static bool is_field_value(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

struct span span_trim(const char *p, size_t n)
{
	while (n > 0 && (p[0] == ' ' || p[0] == '\t')) {
		p++;
		n--;
	}
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	return (struct span){p, n};
}

/* ---- the request line ---- */

static unsigned check_line(const struct head *h, struct admitted *out, const char **why)
{
	if (h->ragged) {
		*why = "lines end in CRLF, are not folded and hold no NUL";
		return 400;
	}
	if (strcmp(h->version, "HTTP/1.1") != 0) {
		*why = "only HTTP/1.1 is spoken here";
		return 505;
	}
	for (size_t i = 0; i < HTTP_METHOD_COUNT; i++) {
		if (strcmp(h->method, method_names[i]) == 0) {
			out->method = (enum http_method)i;
			return 0;
		}
	}
	*why = "unknown method";
	return 501;
}

static unsigned check_size(const struct head *h, struct admitted *out, const char **why)
{
	(void)out;
	if (h->target_len > POLICE_TARGET_MAX) {
		*why = "the target is longer than 4 KiB";
		return 414;
	}
	if (h->n_fields > POLICE_FIELDS_MAX) {
		*why = "more than 64 header fields";
		return 431;
	}
	if (h->size > POLICE_HEAD_MAX) {
		*why = "the head is longer than 16 KiB";
		return 431;
	}
	return 0;
}

static bool is_dot_segment(const char *p, size_t n)
{
	return (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.');
}

static bool is_plain_path(struct span path)
{
	size_t begin = 1;

	if (path.len == 0 || path.at[0] != '/')
		return false;
	for (size_t i = 1; i <= path.len; i++) {
		if (i < path.len && path.at[i] != '/') {
			if (!is_alnum((unsigned char)path.at[i]) &&
				!is_one_of((unsigned char)path.at[i], "-._~!$&'()*+,;=:@"))
				return false;
			continue;
		}
		/* A segment ends; only the last may be empty, so "//" is refused. */
		if (i == begin && i < path.len)
			return false;
		if (is_dot_segment(path.at + begin, i - begin))
			return false;
		begin = i + 1;
	}
	return true;
}

static bool is_plain_query(struct span q)
{
	for (size_t i = 0; i < q.len; i++) {
		const unsigned char c = (unsigned char)q.at[i];

		if (c == '%') {
			if (q.len - i < 3 || !is_hex((unsigned char)q.at[i + 1]) ||
				!is_hex((unsigned char)q.at[i + 2]) ||
				(q.at[i + 1] == '0' && q.at[i + 2] == '0'))
				return false;
			i += 2;
		} else if (!is_alnum(c) && !is_one_of(c, "-._~!$&'()*+,;=:@/?")) {
			return false;
		}
	}
	return true;
}

static unsigned check_target(const struct head *h, struct admitted *out, const char **why)
{
	const char *mark = memchr(h->target, '?', h->target_len);

	out->path = (struct span){h->target, mark ? (size_t)(mark - h->target) : h->target_len};
	if (mark)
		out->query = (struct span){mark + 1, h->target_len - out->path.len - 1};
	if (is_plain_path(out->path) && is_plain_query(out->query))
		return 0;
	*why = "the target is not a plain path";
	return 400;
}

/* ---- header fields ---- */

static struct span *single_of(struct admitted *out, const struct head_field *f)
{
	const struct span name = {f->name, f->name_len};

#define SINGLE(member, text)                                                                       \
	if (span_is(name, text))                                                                   \
		return &out->member;
	POLICE_SINGLES(SINGLE)
#undef SINGLE
	return NULL;
}

/* Only what leaves the framing alone: hop-by-hop options may not name other fields. */
static bool is_plain_connection(struct span v)
{
	const char *end = v.at + v.len;

	for (const char *p = v.at; p <= end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;
		const struct span option = span_trim(p, (size_t)(stop - p));

		if (option.len > 0 && !span_is(option, "close") && !span_is(option, "keep-alive") &&
			!span_is(option, "te"))
			return false;
		p = stop + 1;
	}
	return true;
}

/* What proxies add; where it is absent nothing is proven. */
static bool is_of_proxy(struct span name)
{
	static const char *const names[] = {"Forwarded", "Via", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server", "X-Real-IP"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (span_is(name, names[i]))
			return true;
	}
	return false;
}

static unsigned check_field(const struct head_field *f, struct admitted *out, const char **why)
{
	static const char *const refused[] = {"Transfer-Encoding", "Upgrade", "Trailer",
		"Content-Range", "X-HTTP-Method-Override", "X-Method-Override"};
	const struct span name = {f->name, f->name_len};
	const struct span value = span_trim(f->value, f->value_len);
	struct span *single;

	if (!is_token(f->name, f->name_len)) {
		*why = "a header field's name is not a token";
		return 400;
	}
	if (!is_field_value(f->value, f->value_len)) {
		*why = "a header field holds a control character";
		return 400;
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		if (span_is(name, refused[i])) {
			*why = "a header field that is not taken here: transfer encodings, "
			       "upgrades, ranges or method overrides";
			return 400;
		}
	}
	if (span_is(name, "Connection") && !is_plain_connection(value)) {
		*why = "Connection takes close and keep-alive";
		return 400;
	}
	if (span_is(name, "Accept") && !out->accept.at)
		out->accept = value;
	if (span_is(name, "Accept-Encoding") && !out->accept_encoding.at)
		out->accept_encoding = value;
	out->forwarded = out->forwarded || is_of_proxy(name);
	single = single_of(out, f);
	if (!single)
		return 0;
	if (single->at) {
		*why = "a header field is there twice that must not be";
		return 400;
	}
	*single = value;
	return 0;
}

static unsigned check_fields(const struct head *h, struct admitted *out, const char **why)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		const unsigned status = check_field(&h->fields[i], out, why);

		if (status)
			return status;
	}
	return 0;
}

static bool is_port(const char *p, size_t n)
{
	if (n == 0 || n > 5)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
	}
	return true;
}

/* RFC 3986 3.2.2 without percent-encoding and user information. */
static bool is_host(struct span h)
{
	size_t n = 0;

	if (h.len == 0 || h.len > 255 + 6)
		return false;
	if (h.at[0] == '[') {
		const char *close = memchr(h.at, ']', h.len);

		if (!close)
			return false;
		n = (size_t)(close - h.at);
		for (size_t i = 1; i < n; i++) {
			if (!is_hex((unsigned char)h.at[i]) &&
				!is_one_of((unsigned char)h.at[i], ":."))
				return false;
		}
		if (n++ < 3)
			return false;
	} else {
		while (n < h.len && (is_alnum((unsigned char)h.at[n]) ||
					    is_one_of((unsigned char)h.at[n], "-._~")))
			n++;
		if (n == 0)
			return false;
	}
	return n == h.len || (h.at[n] == ':' && is_port(h.at + n + 1, h.len - n - 1));
}

static unsigned check_host(const struct head *h, struct admitted *out, const char **why)
{
	(void)h;
	if (!out->host.at) {
		*why = "no Host";
		return 400;
	}
	if (!is_host(out->host)) {
		*why = "Host is not a host name or an address with an optional port";
		return 400;
	}
	return 0;
}

static unsigned check_body(const struct head *h, struct admitted *out, const char **why)
{
	const struct span cl = out->content_length;

	(void)h;
	if (cl.at) {
		if (cl.len == 0 || cl.len > 18) {
			*why = "Content-Length is not a plain number";
			return 400;
		}
		for (size_t i = 0; i < cl.len; i++) {
			if (cl.at[i] < '0' || cl.at[i] > '9') {
				*why = "Content-Length is not a plain number";
				return 400;
			}
			out->body_len = out->body_len * 10 + (uint64_t)(cl.at[i] - '0');
		}
	}
	if (out->body_len > 0 && out->method != HTTP_POST && out->method != HTTP_PUT &&
		out->method != HTTP_PATCH) {
		*why = "this method takes no body";
		return 400;
	}
	if (out->expect.at && !span_is(out->expect, "100-continue")) {
		*why = "Expect takes 100-continue only";
		return 417;
	}
	return 0;
}

unsigned police_check(const struct head *h, struct admitted *out, const char **why)
{
	static unsigned (*const rules[])(
		const struct head *h, struct admitted *out, const char **why) = {
		check_size, check_line, check_target, check_fields, check_host, check_body};

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const unsigned status = rules[i](h, out, why);

		if (status)
			return status;
	}
	return 0;
}
