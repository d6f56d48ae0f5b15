#include "api/cli/rest.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

enum { ANSWER_MAX = 4 * 1024 * 1024, SECONDS = 30 };

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

static void set_options(
	CURL *c, const struct rest *r, const char *method, const char *text, struct buffer *in)
{
	curl_easy_reset(c);
	curl_easy_setopt(c, CURLOPT_COOKIEFILE, ""); /* keeps cookies, in memory */
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	if (text)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, text);
	/* Plain HTTP is for this machine; a proxy would read the token. */
	if (strncmp(r->url, "http://", 7) == 0)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
	if (r->cacert)
		curl_easy_setopt(c, CURLOPT_CAINFO, r->cacert);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)SECONDS);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, in);
}

static void perform(CURL *c, const struct rest *r, const char *method, const char *url,
	const char *text, struct rest_answer *a)
{
	struct buffer in cleanup(buffer_fini) = {NULL, 0};
	struct curl_slist *headers = NULL;
	char error[CURL_ERROR_SIZE] = "", auth[256] = "";
	CURLcode rc;

	headers = with(headers, "Accept: application/json");
	headers = with(headers, "Expect:");
	if (text)
		headers = with(headers, "Content-Type: application/json");
	if (r->token) {
		snprintf(auth, sizeof(auth), "Authorization: Bearer %s", r->token);
		headers = with(headers, auth);
	}
	if (r->csrf[0] != '\0') {
		snprintf(auth, sizeof(auth), "X-CSRF-Token: %s", r->csrf);
		headers = with(headers, auth);
	}
	set_options(c, r, method, text, &in);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	rc = curl_easy_perform(c);
	if (rc != CURLE_OK) {
		snprintf(a->why, sizeof(a->why), "%.80s: %.200s", r->url,
			error[0] != '\0' ? error : curl_easy_strerror(rc));
	} else {
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
		if (in.len > 0)
			a->doc = json_loadb(in.at, in.len, JSON_REJECT_DUPLICATES, NULL);
		if (a->status / 100 != 2)
			explain(a);
	}
	secret_wipe(auth, sizeof(auth));
	curl_slist_free_all(headers);
}

bool rest_call(
	struct rest *r, const char *method, const char *path, json_t *body, struct rest_answer *a)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const bool had_body = body != NULL;
	char url[512];

	memset(a, 0, sizeof(*a));
	json_decref(body);
	if (had_body && !text) {
		snprintf(a->why, sizeof(a->why), "an argument is not UTF-8");
		return false;
	}
	if (snprintf(url, sizeof(url), "%s%s", r->url, path) >= (int)sizeof(url))
		snprintf(a->why, sizeof(a->why), "the URL is too long");
	else
		perform(r->handle, r, method, url, text, a);
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
