/*
 * One function a route: a request that is authenticated, authorised and parsed in; an answer out.
 * Here REST's words meet the service's.
 */
#ifndef API_HANDLERS_HANDLERS_H
#define API_HANDLERS_HANDLERS_H

#include <jansson.h>

#include "api/request.h"
#include "api/routes.h"
#include "service/invites.h"

#define HANDLER_DECLARE(method, pattern, lane, access, query, body, handler)                       \
	void handle_##handler(struct request *rq);
ROUTES(HANDLER_DECLARE)
#undef HANDLER_DECLARE

/* JSON of the service's objects. Returns: owned, or NULL when there is no memory. */
json_t *user_json(const struct svc_user *u);
json_t *device_json(const struct svc_device *d);
json_t *credential_json(const struct svc_credential *c);
json_t *session_json(const struct session_info *s);
json_t *token_json(const struct svc_token *t);
json_t *invite_json(const struct svc_invite *i);
json_t *audit_json(const struct svc_audit_entry *entry);
/* "wireguard" or "openvpn"; "udp" or "tcp". */
const char *protocol_name(uint8_t protocol);
const char *transport_name(uint8_t transport);
/* False for verdicts that are no loss: the packet arrived, or still may. */
bool verdict_is_drop(const char *verdict);
/* "TLSv1.2", "TLSv1.3" or null, of a session_info's tls. */
json_t *json_tls_version(uint16_t tls);

/* A page of a list: n objects of size bytes each, which begin with their id. */
struct page {
	const void *at;
	size_t n, size;
	bool more;
	json_t *(*one)(const void *object);
};
/* Answers with the page, or with the outcome rc when that is not 0. Borrows p. */
void reply_page(struct request *rq, int rc, const struct svc_error *e, const struct page *p);
/* A JSON array of n objects, each `size` bytes long at `at`. Returns: owned, or NULL. */
json_t *json_list(const void *at, size_t n, size_t size, json_t *(*one)(const void *object));

/* SVG of the text as a QR code. Secret. Returns: owned (memory_free), or NULL when it does not fit
 * or there is no memory. */
char *qr_svg(const char *text);

#endif
