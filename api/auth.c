#include "api/auth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/secret.h"

/* Longer than any token or cookie that we make. */
enum { CREDENTIAL_MAX = 96 };

struct credential {
	char text[CREDENTIAL_MAX];
};

static void credential_wipe(struct credential *c)
{
	secret_wipe(c, sizeof(*c));
}

/* Letters, digits, '-' and '_' only. */
static bool credential_copy(struct credential *c, const char *p, size_t n)
{
	if (n == 0 || n >= sizeof(c->text))
		return false;
	for (size_t i = 0; i < n; i++) {
		const char ch = p[i];

		if (!((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') ||
			    (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '_'))
			return false;
	}
	memcpy(c->text, p, n);
	c->text[n] = '\0';
	return true;
}

static const char *cookie_name(bool tls)
{
	return tls ? "__Host-ireko" : "ireko";
}

/* RFC 6265 4.2.1. A name that is there twice is no answer: another host may have planted one. */
static bool cookie_find(struct span all, const char *name, struct credential *out)
{
	const char *end = all.at + all.len;
	const size_t name_len = strlen(name);
	unsigned found = 0;

	for (const char *p = all.at; p < end;) {
		const char *stop = memchr(p, ';', (size_t)(end - p));

		stop = stop ? stop : end;
		while (p < stop && *p == ' ')
			p++;
		if ((size_t)(stop - p) > name_len && memcmp(p, name, name_len) == 0 &&
			p[name_len] == '=') {
			const char *value = p + name_len + 1;

			if (++found > 1 || !credential_copy(out, value, (size_t)(stop - value)))
				return false;
		}
		p = stop + 1;
	}
	return found == 1;
}

static int identify(struct service *s, const struct admitted *head, bool tls, struct svc_actor *out)
{
	static const char scheme[] = "Bearer ";
	const size_t scheme_len = sizeof(scheme) - 1;
	struct credential c cleanup(credential_wipe) = {.text = ""};
	const struct span a = head->authorization;

	if (a.at) {
		if (a.len <= scheme_len || strncasecmp(a.at, scheme, scheme_len) != 0 ||
			!credential_copy(&c, a.at + scheme_len, a.len - scheme_len))
			return SVC_UNAUTHENTICATED;
		return svc_authenticate_token(s, c.text, out);
	}
	if (!head->cookie.at || !cookie_find(head->cookie, cookie_name(tls), &c))
		return SVC_UNAUTHENTICATED;
	return svc_authenticate_cookie(s, c.text, out);
}

int auth_identify(struct service *s, const struct admitted *head, bool tls,
	const struct ip_addr *from, struct svc_actor *out)
{
	const int rc = identify(s, head, tls, out);

	out->from = *from;
	return rc;
}

/* The Host header names loopback by an address or as "localhost". */
static bool names_loopback(struct span host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const size_t n = strlen(names[i]);

		if (host.len >= n && strncasecmp(host.at, names[i], n) == 0 &&
			(host.len == n || host.at[n] == ':'))
			return true;
	}
	return false;
}

bool auth_is_local(const struct admitted *head, const struct ip_addr *peer)
{
	return !head->authorization.at && !head->cookie.at && !head->origin.at &&
	       !head->forwarded && ip_addr_is_loopback(peer) && names_loopback(head->host);
}

static bool is_safe(enum http_method m)
{
	return m == HTTP_GET || m == HTTP_HEAD;
}

bool auth_csrf_ok(const struct admitted *head, const struct svc_actor *a)
{
	struct credential c cleanup(credential_wipe) = {.text = ""};

	if (!a->by_login || is_safe(head->method))
		return true;
	return head->csrf_token.at &&
	       credential_copy(&c, head->csrf_token.at, head->csrf_token.len) &&
	       svc_csrf_ok(a, c.text);
}

bool auth_same_origin(const struct admitted *head)
{
	struct span o = head->origin;

	/* A token is not sent by a browser on its own, so its Origin does not matter. */
	if (!o.at || is_safe(head->method) || head->authorization.at)
		return true;
	for (size_t i = 0; i < 2; i++) {
		const char *scheme = i == 0 ? "https://" : "http://";
		const size_t n = strlen(scheme);

		if (o.len > n && strncasecmp(o.at, scheme, n) == 0)
			return o.len - n == head->host.len &&
			       strncasecmp(o.at + n, head->host.at, head->host.len) == 0;
	}
	return false;
}

bool auth_form_is_ours(const struct admitted *head)
{
	const struct span site = head->sec_fetch_site;

	if (site.at && !span_is(site, "same-origin") && !span_is(site, "none"))
		return false;
	return span_is(head->origin, "null") || auth_same_origin(head);
}

void auth_cookie_format(const char *cookie, bool tls, char *out)
{
	snprintf(out, AUTH_COOKIE_TEXT, "%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
		cookie_name(tls), cookie, tls ? "; Secure" : "",
		cookie[0] == '\0' ? "; Max-Age=0" : "");
}
