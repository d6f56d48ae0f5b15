#include "api/cli/rest.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

enum { ANSWER_MAX = 4 * 1024 * 1024, SECONDS = 30, URL_CAP = 2048 };

struct buffer {
	char *at;
	size_t len;
};

static void buffer_fini(struct buffer *b)
{
	if (b->at)
		secret_wipe(b->at, b->len);
	free(b->at);
}

/* Answers hold profiles and tokens, so what is outgrown is wiped. */
static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct buffer *b = arg;
	const size_t len = size * n;
	char *bigger;

	if (len > ANSWER_MAX - b->len)
		return 0;
	bigger = malloc(b->len + len + 1);
	if (!bigger)
		return 0;
	if (b->at)
		memcpy(bigger, b->at, b->len);
	memcpy(bigger + b->len, data, len);
	bigger[b->len + len] = '\0';
	buffer_fini(b);
	b->at = bigger;
	b->len += len;
	return len;
}

const char *rest_text(const json_t *doc, const char *name)
{
	const char *text = json_string_value(json_object_get(doc, name));

	return text ? text : "";
}

/* problem+json in one line. */
static void explain(struct rest_answer *a)
{
	const json_t *first = json_array_get(json_object_get(a->doc, "errors"), 0);
	const char *detail = rest_text(a->doc, "detail");

	if (first)
		snprintf(a->why, sizeof(a->why), "%.60s: %.160s", rest_text(first, "field"),
			rest_text(first, "message"));
	else if (detail[0] != '\0')
		snprintf(a->why, sizeof(a->why), "%.240s (%ld)", detail, a->status);
	else
		snprintf(a->why, sizeof(a->why), "the server answers %ld", a->status);
	for (char *p = a->why; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	}
}

static struct curl_slist *with(struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(list, line);

	return longer ? longer : list;
}

int rest_open(struct rest *r)
{
	r->handle = curl_easy_init();
	return r->handle ? 0 : -ENOMEM;
}

void rest_close(struct rest *r)
{
	curl_easy_cleanup(r->handle);
	secret_wipe(r->csrf, sizeof(r->csrf));
	r->handle = NULL;
}

static void set_options(CURL *c, const struct rest *r, struct curl_slist *headers)
{
	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_COOKIEFILE, ""); /* keeps cookies, in memory */
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	/* Plain HTTP is for this machine; a proxy would read the token. */
	if (strncmp(r->url, "http://", 7) == 0)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
	if (r->cacert)
		curl_easy_setopt(c, CURLOPT_CAINFO, r->cacert);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)SECONDS);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
}

static struct curl_slist *headers_of(const struct rest *r, const char *accept, bool has_body)
{
	struct curl_slist *headers = NULL;
	char line[256] = "";

	snprintf(line, sizeof(line), "Accept: %s", accept);
	headers = with(headers, line);
	headers = with(headers, "Expect:");
	if (has_body)
		headers = with(headers, "Content-Type: application/json");
	if (r->token) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", r->token);
		headers = with(headers, line);
	}
	if (r->csrf[0] != '\0') {
		snprintf(line, sizeof(line), "X-CSRF-Token: %s", r->csrf);
		headers = with(headers, line);
	}
	secret_wipe(line, sizeof(line));
	return headers;
}

/* libcurl's copies of the token's line go too. */
static void headers_free(struct curl_slist *headers)
{
	for (struct curl_slist *h = headers; h; h = h->next)
		secret_wipe(h->data, strlen(h->data));
	curl_slist_free_all(headers);
}

static bool send_it(const struct rest *r, CURL *c, struct rest_answer *a)
{
	char error[CURL_ERROR_SIZE] = "";
	CURLcode rc;

	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	rc = curl_easy_perform(c);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, NULL);
	if (rc == CURLE_OK) {
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
		return true;
	}
	snprintf(a->why, sizeof(a->why), "%.80s: %.200s", r->url,
		error[0] != '\0' ? error : curl_easy_strerror(rc));
	return false;
}

static void take_document(struct rest_answer *a, const struct buffer *in)
{
	if (in->len > 0)
		a->doc = json_loadb(in->at, in->len, JSON_REJECT_DUPLICATES, NULL);
	if (a->status / 100 != 2)
		explain(a);
}

static void perform(struct rest *r, const char *method, const char *url, const char *text,
	struct rest_answer *a)
{
	struct buffer in cleanup(buffer_fini) = {NULL, 0};
	struct curl_slist *headers = headers_of(r, "application/json", text != NULL);
	CURL *c = r->handle;

	set_options(c, r, headers);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	if (text)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, text);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)SECONDS);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &in);
	if (send_it(r, c, a))
		take_document(a, &in);
	headers_free(headers);
}

bool rest_call(
	struct rest *r, const char *method, const char *path, json_t *body, struct rest_answer *a)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const bool had_body = body != NULL;
	char url[URL_CAP];

	memset(a, 0, sizeof(*a));
	json_decref(body);
	if (had_body && !text) {
		snprintf(a->why, sizeof(a->why), "an argument is not UTF-8");
		a->status = -1;
		return false;
	}
	if (snprintf(url, sizeof(url), "%s%s", r->url, path) >= (int)sizeof(url))
		a->status = snprintf(a->why, sizeof(a->why), "the URL is too long") ? -1 : 0;
	else
		perform(r, method, url, text, a);
	if (text) {
		secret_wipe(text, strlen(text));
		free(text);
	}
	return a->status / 100 == 2;
}

void rest_answer_fini(struct rest_answer *a)
{
	json_decref(a->doc);
	memset(a, 0, sizeof(*a));
}

/* ---- long answers ---- */

struct follower {
	const struct rest_stream *s;
	CURL *handle;
	struct buffer refusal; /* the body of what is no 2xx */
	bool ended;	       /* by on_data */
};

static bool is_fine(CURL *c)
{
	long status = 0;

	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	return status / 100 == 2;
}

static size_t on_piece(char *data, size_t size, size_t n, void *arg)
{
	struct follower *f = arg;

	if (!is_fine(f->handle))
		return on_data(data, size, n, &f->refusal);
	f->ended = !f->s->on_data(f->s->arg, data, size * n);
	return f->ended ? 0 : size * n;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct follower *f = arg;
	char text[512], *colon;
	size_t len = size * n;

	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (!f->s->on_header || !is_fine(f->handle) || len >= sizeof(text))
		return size * n;
	memcpy(text, line, len);
	text[len] = '\0';
	colon = strchr(text, ':');
	if (colon) {
		*colon++ = '\0';
		colon += strspn(colon, " ");
		f->s->on_header(f->s->arg, text, colon);
	}
	return size * n;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up, curl_off_t of)
{
	struct follower *f = arg;

	(void)up;
	(void)of;
	if (f->s->on_progress)
		f->s->on_progress(
			f->s->arg, now > 0 ? (uint64_t)now : 0, total > 0 ? (uint64_t)total : 0);
	return 0;
}

static void set_follower(CURL *c, struct follower *f)
{
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, f->s->stall_s);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_piece);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, f);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
}

bool rest_follow(
	struct rest *r, const char *path, const struct rest_stream *s, struct rest_answer *a)
{
	struct follower f = {.s = s, .handle = r->handle};
	struct curl_slist *headers = headers_of(r, s->accept, false);
	char url[URL_CAP], line[128];

	memset(a, 0, sizeof(*a));
	if (s->last_event_id && s->last_event_id[0] != '\0') {
		snprintf(line, sizeof(line), "Last-Event-ID: %s", s->last_event_id);
		headers = with(headers, line);
	}
	snprintf(url, sizeof(url), "%s%s", r->url, path);
	set_options(r->handle, r, headers);
	curl_easy_setopt(r->handle, CURLOPT_URL, url);
	set_follower(r->handle, &f);
	if (send_it(r, r->handle, a))
		take_document(a, &f.refusal);
	else if (f.ended)
		a->status = 200;
	buffer_fini(&f.refusal);
	headers_free(headers);
	return a->status / 100 == 2;
}

const char *rest_escape(const char *text, char *out, size_t cap)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t at = 0;

	for (; *text && at + 4 < cap; text++) {
		if (strchr(plain, *text))
			out[at++] = *text;
		else
			at += (size_t)snprintf(out + at, 4, "%%%02X", (unsigned char)*text);
	}
	out[*text ? 0 : at] = '\0';
	return out;
}

void rest_query(char *path, size_t cap, const char *name, const char *value)
{
	const size_t n = strlen(path);
	char escaped[128];

	if (value)
		snprintf(path + n, cap - n, "%c%s=%s", strchr(path, '?') ? '&' : '?', name,
			rest_escape(value, escaped, sizeof(escaped)));
}
