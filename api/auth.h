/*
 * Who is asking: a bearer token, or the cookie of a login.
 *
 * A cookie is only worth something from our own pages: it is SameSite=Strict and HttpOnly, anything
 * but GET and HEAD needs the CSRF token beside it, and an Origin header must be our own. DNS
 * rebinding gains nothing: a browser sends the cookie only to the host name that set it, and bearer
 * tokens are never sent by a browser on its own.
 */
#ifndef API_AUTH_H
#define API_AUTH_H

#include <stdbool.h>

#include "api/police.h"
#include "base/addr.h"
#include "base/compiler.h"
#include "service/service.h"

enum { AUTH_COOKIE_TEXT = 160 };

/* from becomes the actor's. An Authorization header, when there is one, decides alone. Returns:
 * what the service says, or SVC_UNAUTHENTICATED when there is nothing to ask it about. */
int auth_identify(struct service *s, const struct admitted *head, bool tls,
	const struct ip_addr *from, struct svc_actor *out) must_check;
/* Whether nobody says who he is and the request was made on this very machine: not handed on by a
 * proxy, and not by a browser that another name was resolved to loopback for. peer is the
 * connection's other end, whatever a proxy says. */
bool auth_is_local(const struct admitted *head, const struct ip_addr *peer);
/* True for tokens, and for GET and HEAD. */
bool auth_csrf_ok(const struct admitted *head, const struct svc_actor *a);
/* Whether the Origin header of a request that changes something names the Host it was sent to. */
bool auth_same_origin(const struct admitted *head);
/* The same for the form of a page of ours that knows its secret: our pages send no referrer, and so
 * browsers send "null" as the form's origin; Sec-Fetch-Site then tells. */
bool auth_form_is_ours(const struct admitted *head);

/* Set-Cookie's value for a login, or, with cookie "", for its end. "__Host-" binds it to HTTPS and
 * this very host; plain HTTP (loopback only) can't have that. out has AUTH_COOKIE_TEXT bytes. */
void auth_cookie_format(const char *cookie, bool tls, char *out);

#endif
