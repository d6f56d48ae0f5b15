/*
 * Every route of the API: one line says what it is, who may call it and what it takes. What is not
 * here does not exist. A line without an access list does not compile, one without a doc_ of its
 * handler (openapi/docs.h) does not link.
 *
 * R(method, pattern, lane, access, query, body, handler). A pattern's "{usr}" is an id of that
 * kind, "{txt}" any text. access is who may ask at all; the service then checks whose object it is.
 * body is NO_BODY or a table of bodies.h.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "api/json_in.h"
#include "api/police.h"
#include "api/query.h"
#include "base/compiler.h"
#include "base/ulid.h"
#include "service/service.h"

struct request;
struct route_doc;

/* Bits of an access list. */
enum route_access {
	ACCESS_USER = 1 << SVC_ROLE_USER,
	ACCESS_AUDITOR = 1 << SVC_ROLE_AUDITOR,
	ACCESS_OPERATOR = 1 << SVC_ROLE_OPERATOR,
	ACCESS_ADMIN = 1 << SVC_ROLE_ADMIN,
	ACCESS_LOCAL = 1 << 6, /* and whoever asks from this very machine, without credentials */
	ACCESS_PUBLIC = 1 << 7,
};

/* Which threads carry a request out: those that check passwords or wait for the dataplane must not
 * hold up those that read. NOW: the event thread itself, for what never blocks. LONG: what may take
 * longer than a request has, so its connection has other limits (deadline.h). */
enum lane { LANE_NOW, LANE_READ, LANE_WRITE, LANE_LOGIN, LANE_LONG, LANE_COUNT };

#define EVERYONE (ACCESS_USER | ACCESS_AUDITOR | ACCESS_OPERATOR | ACCESS_ADMIN)
#define READERS	 (ACCESS_AUDITOR | ACCESS_OPERATOR | ACCESS_ADMIN)
#define MANAGERS (ACCESS_OPERATOR | ACCESS_ADMIN)
#define OWNERS	 (ACCESS_USER | ACCESS_OPERATOR | ACCESS_ADMIN)
#define ADMINS	 ACCESS_ADMIN
#define WATCHERS (READERS | ACCESS_LOCAL)
#define PUBLIC	 ACCESS_PUBLIC
#define NO_BODY	 NULL

#define PAGE(kind)  (QUERY_PAGE | (kind))
#define HISTORY	    (QUERY_TRAFFIC | QUERY_USER_ID)
#define DEVICE_PAGE (PAGE('d') | QUERY_USER_ID)
#define AUDIT_PAGE  (PAGE('a') | QUERY_AUDIT)

/* clang-format off */
#define ROUTES(R) \
	R(GET,    "/",                              NOW,   PUBLIC,   QUERY_IGNORED, NO_BODY,             dashboard)         \
	R(GET,    "/assets/{txt}",                  NOW,   PUBLIC,   QUERY_NONE,  NO_BODY,             dashboard_asset)   \
	R(GET,    "/healthz",                       NOW,   PUBLIC,   QUERY_NONE,  NO_BODY,             healthz)           \
	R(GET,    "/readyz",                        READ,  PUBLIC,   QUERY_NONE,  NO_BODY,             readyz)            \
	R(GET,    "/v1/openapi.json",               NOW,   PUBLIC,   QUERY_NONE,  NO_BODY,             openapi)           \
	R(POST,   "/v1/login",                      LOGIN, PUBLIC,   QUERY_NONE,  &body_login,         login)             \
	R(POST,   "/v1/logout",                     WRITE, EVERYONE, QUERY_NONE,  NO_BODY,             logout)            \
	R(GET,    "/v1/me",                         READ,  EVERYONE, QUERY_NONE,  NO_BODY,             me)                \
	R(POST,   "/v1/me/totp",                    LOGIN, EVERYONE, QUERY_NONE,  &body_totp_begin,    totp_begin)        \
	R(POST,   "/v1/me/totp/confirm",            WRITE, EVERYONE, QUERY_NONE,  &body_totp_confirm,  totp_confirm)      \
	R(POST,   "/v1/me/totp/disable",            LOGIN, EVERYONE, QUERY_NONE,  &body_totp_disable,  totp_disable)      \
	R(GET,    "/v1/users",                      READ,  READERS,  PAGE('u'),   NO_BODY,             user_list)         \
	R(POST,   "/v1/users",                      WRITE, MANAGERS, QUERY_NONE,  &body_user_create,   user_create)       \
	R(GET,    "/v1/users/{usr}",                READ,  EVERYONE, QUERY_NONE,  NO_BODY,             user_get)          \
	R(PATCH,  "/v1/users/{usr}",                WRITE, OWNERS,   QUERY_NONE,  &body_user_patch,    user_patch)        \
	R(DELETE, "/v1/users/{usr}",                WRITE, MANAGERS, QUERY_NONE,  NO_BODY,             user_delete)       \
	R(DELETE, "/v1/users/{usr}/totp",           WRITE, MANAGERS, QUERY_NONE,  NO_BODY,             totp_reset)        \
	R(GET,    "/v1/devices",                    READ,  EVERYONE, DEVICE_PAGE, NO_BODY,             device_list)       \
	R(POST,   "/v1/devices",                    WRITE, OWNERS,   QUERY_NONE,  &body_device_create, device_create)     \
	R(GET,    "/v1/devices/{dev}",              READ,  EVERYONE, QUERY_NONE,  NO_BODY,             device_get)        \
	R(PATCH,  "/v1/devices/{dev}",              WRITE, OWNERS,   QUERY_NONE,  &body_device_patch,  device_patch)      \
	R(DELETE, "/v1/devices/{dev}",              WRITE, OWNERS,   QUERY_NONE,  NO_BODY,             device_delete)     \
	R(POST,   "/v1/devices/{dev}/credentials",  WRITE, OWNERS,   QUERY_NONE,  &body_credential,    credential_issue)  \
	R(DELETE, "/v1/credentials/{crd}",          WRITE, OWNERS,   QUERY_NONE,  NO_BODY,             credential_revoke) \
	R(GET,    "/v1/devices/{dev}/invites",      READ,  EVERYONE, PAGE('i'),   NO_BODY,             invite_list)       \
	R(POST,   "/v1/devices/{dev}/invites",      WRITE, OWNERS,   QUERY_NONE,  &body_invite,        invite_create)     \
	R(GET,    "/v1/invites/{inv}",              READ,  EVERYONE, QUERY_NONE,  NO_BODY,             invite_get)        \
	R(DELETE, "/v1/invites/{inv}",              WRITE, OWNERS,   QUERY_NONE,  NO_BODY,             invite_delete)     \
	R(GET,    "/i/{txt}",                       NOW,   PUBLIC,   QUERY_IGNORED, NO_BODY,             invite_landing)    \
	R(POST,   "/i/{txt}",                       WRITE, PUBLIC,   QUERY_IGNORED, &body_form,          invite_open)       \
	R(GET,    "/invite.css",                    NOW,   PUBLIC,   QUERY_NONE,  NO_BODY,             invite_style)      \
	R(GET,    "/v1/sessions",                   READ,  EVERYONE, PAGE('s'),   NO_BODY,             session_list)      \
	R(DELETE, "/v1/sessions/{ses}",             WRITE, OWNERS,   QUERY_NONE,  NO_BODY,             session_kill)      \
	R(GET,    "/v1/tokens",                     READ,  EVERYONE, PAGE('t'),   NO_BODY,             token_list)        \
	R(POST,   "/v1/tokens",                     WRITE, OWNERS,   QUERY_NONE,  &body_token,         token_create)      \
	R(DELETE, "/v1/tokens/{tok}",               WRITE, OWNERS,   QUERY_NONE,  NO_BODY,             token_delete)      \
	R(GET,    "/v1/settings",                   READ,  READERS,  QUERY_NONE,  NO_BODY,             settings_get)      \
	R(PATCH,  "/v1/settings",                   WRITE, ADMINS,   QUERY_NONE,  &body_settings,      settings_patch)    \
	R(GET,    "/v1/audit",                      READ,  READERS,  AUDIT_PAGE,  NO_BODY,             audit_list)        \
	R(GET,    "/v1/audit/verify",               WRITE, READERS,  QUERY_NONE,  NO_BODY,             audit_verify)      \
	R(GET,    "/v1/status",                     READ,  READERS,  QUERY_NONE,  NO_BODY,             status)            \
	R(GET,    "/v1/backup",                     LONG,  ADMINS,   QUERY_NONE,  NO_BODY,             backup)            \
	R(GET,    "/v1/traffic",                    READ,  EVERYONE, HISTORY,     NO_BODY,             traffic)           \
	R(GET,    "/v1/events",                     READ,  EVERYONE, QUERY_TYPES, NO_BODY,             events)            \
	R(GET,    "/metrics",                       READ,  WATCHERS, QUERY_NONE,  NO_BODY,             metrics)
/* clang-format on */

struct route {
	enum http_method method;
	const char *pattern;
	const char *name; /* the handler's: "user_create" */
	enum lane lane;
	unsigned access;		     /* enum route_access, never 0 */
	unsigned query;			     /* what query_read takes */
	const struct json_schema *body;	     /* NULL: none */
	void (*handler)(struct request *rq); /* answers by rq->reply */
	const struct route_doc *doc;	     /* what the OpenAPI document says of it */
};

extern const struct route routes[];
extern const size_t n_routes;

enum { ALLOW_TEXT = 64 };
struct match {
	const struct route *route; /* NULL: refused */
	unsigned status;	   /* then: 404 or 405 */
	char allow[ALLOW_TEXT];	   /* of a 405 */
	struct ulid id;
	bool id_ok;	  /* the path's id could be parsed */
	struct span text; /* of "{txt}" */
};

/* Finds the route of an admitted request. HEAD is answered by GET's. */
struct match router_match(enum http_method method, struct span path);
/* "{txt}" is none. */
bool route_has_id(const struct route *r);
unsigned access_of_role(enum svc_role r);
/* The route in the audit log's words, "user.create"; buf has ACTION_TEXT bytes, returned. */
enum { ACTION_TEXT = 33 };
const char *route_action(const struct route *r, char *buf);

#endif
