#include "api/openapi/docs.h"

#include "base/compiler.h"
#include "service/events.h"

/* What all have in common stands first. */
#define DOC(handler, tag_, status_, summary_, ...)                                                 \
	const struct route_doc doc_##handler = {                                                   \
		.tag = tag_, .status = status_, .summary = summary_, __VA_ARGS__}
#define ANSWER(name)  .answer = &object_##name
#define PAGE_OF(name) .answer = &object_##name, .page = true

/* In the order of their names. */
const struct doc_tag doc_tags[] = {
	{"access", "Coming, going, who is asking."},
	{"audit", "Who did what to what."},
	{"devices", "What connects, and what it connects with."},
	{"service", "How the service is."},
	{"sessions", "Live tunnels."},
	{"tokens", "Bearer tokens for programs."},
	{"users", "People, their roles and passwords."},
};
const size_t n_doc_tags = ARRAY_SIZE(doc_tags);

#define PAGE_EXAMPLE "<!doctype html>..."

/* ---- service ---- */

DOC(dashboard, "service", 200, "Show the dashboard", .revision = true,
	.headers = {"Cache-Control", "Vary"}, .type = "text/html; charset=utf-8",
	.example = PAGE_EXAMPLE,
	.about = "A page that uses this API. Compressed where Accept-Encoding takes gzip.");
DOC(dashboard_asset, "service", 200, "Give a part of the dashboard", .revision = true,
	.fails = {404}, .headers = {"Cache-Control", "Vary"}, .type = "*/*",
	.about = "Scripts and styles, by names that change with what is in them.");
DOC(healthz, "service", 200, "Say that the process lives", ANSWER(health));
DOC(readyz, "service", 200, "Say whether the service can do its work", ANSWER(health),
	.about = "503 while the database does not answer or the dataplane is not synchronised.");
DOC(openapi, "service", 200, "Show this document", ANSWER(openapi), .revision = true,
	.about = "Made at start; takes If-None-Match.");
DOC(status, "service", 200, "Show versions, counters and drops", ANSWER(status));

DOC(backup, "service", 200, "Take a snapshot of the database", .fails = {429},
	.type = "application/vnd.sqlite3", .headers = {"Content-Disposition", "Repr-Digest"},
	.about = "Whole and consistent, made while the service goes on. Of use only together with "
		 "the master key. 429: another one is being made or sent.");

DOC(settings_get, "service", 200, "Show the settings", ANSWER(settings), .revision = true);
DOC(settings_patch, "service", 200, "Change settings", ANSWER(settings), .revision = true,
	.about = "They hold at once. null goes back to the default.");

/* ---- access ---- */

DOC(login, "access", 200, "Log in with a password", ANSWER(login), .fails = {401, 429},
	.headers = {"Set-Cookie"},
	.about = "Sets the cookie `ireko` (over HTTPS `__Host-ireko`), HttpOnly and "
		 "SameSite=Strict. "
		 "Ends after 30 minutes without a request, and after 12 hours. 10 failures in 15 "
		 "minutes for one account, 30 from one /24 or /64, then 429; the same for accounts "
		 "that exist and those that don't.");
DOC(logout, "access", 204, "End the login", .headers = {"Set-Cookie"},
	.about = "A token stays what it is.");
DOC(totp_begin, "access", 200, "Begin a second factor", ANSWER(totp), .fails = {409, 429},
	.about = "It counts from the confirmation on. 409: there is one already.");
DOC(totp_confirm, "access", 204, "Confirm a second factor", .fails = {409},
	.about = "With a code of the secret that was given. 409: none was begun.");
DOC(totp_disable, "access", 204, "Switch the second factor off", .fails = {409, 429});
DOC(totp_reset, "users", 204, "Switch a user's second factor off",
	.about = "For somebody who has lost it.");
DOC(me, "access", 200, "Show who is asking", ANSWER(me));

/* ---- audit ---- */

DOC(audit_list, "audit", 200, "List what was done, newest first", PAGE_OF(audit_entry));
DOC(audit_verify, "audit", 200, "Check the audit log's chain", ANSWER(audit_state), .fails = {429},
	.about = "Reads all of it; one at a time.");

/* ---- traffic and events ---- */

const struct json_object *const event_objects[EVENT_TYPE_COUNT] = {
	[EVENT_SESSION_STARTED] = &object_event_session,
	[EVENT_SESSION_ENDED] = &object_event_session,
	[EVENT_SESSION_ROAMED] = &object_event_session,
	[EVENT_DEVICE_CHANGED] = &object_event_device,
	[EVENT_TRAFFIC] = &object_event_traffic,
	[EVENT_DATAPLANE_CONNECTED] = &object_event_dataplane,
	[EVENT_DATAPLANE_LOST] = &object_event_dataplane,
};

DOC(traffic, "sessions", 200, "Show traffic history", ANSWER(traffic), .fails = {404},
	.about = "A series for each device that is asked for; one of all together when none is and "
		 "the role reads all. Otherwise one's own devices.");
DOC(events, "sessions", 200, "Follow what happens", .fails = {429}, .type = "text/event-stream",
	.example = "id: 4243\nevent: device.changed\ndata: {\"at\": ...}\n\n",
	.about =
		"Server-sent events without end, with a comment now and then. x-ireko-events names "
		"them and their data. Without a reading role only of one's own. A reader who is "
		"too slow "
		"is dropped. 429: the user has as many streams as he may have.");
DOC(metrics, "service", 200, "Show figures for Prometheus",
	.type = "text/plain; version=0.0.4; charset=utf-8",
	.example = "# TYPE ireko_sessions gauge\n",
	.about = "From this very machine (x-ireko-access: local) without credentials.");

/* ---- users ---- */

DOC(user_list, "users", 200, "List users", PAGE_OF(user));
DOC(user_create, "users", 201, "Create a user", ANSWER(user), .revision = true, .fails = {409},
	.about = "409: the name is taken. 403: the role is above the caller's.");
DOC(user_get, "users", 200, "Show a user", ANSWER(user), .revision = true,
	.about = "Without a reading role only oneself.");
DOC(user_patch, "users", 200, "Change a user", ANSWER(user), .revision = true, .fails = {409, 429},
	.about = "Without a managing role only one's own display_name, email and password, the "
		 "latter 10 times in 15 minutes. 409: the name is taken, or it is the last admin.");
DOC(user_delete, "users", 204, "Delete a user", .revision = true, .fails = {409},
	.about = "Its devices, credentials, tokens and logins go with it; its tunnels are dead "
		 "before the answer. 409: it is the last admin.");

/* ---- devices ---- */

DOC(device_list, "devices", 200, "List devices", PAGE_OF(device),
	.about = "Without a reading role only one's own.");
DOC(device_create, "devices", 201, "Create a device", ANSWER(device), .revision = true,
	.fails = {409},
	.about = "409: the name or address is taken, no address is free, or the user has as many "
		 "as he may make himself.");
DOC(device_get, "devices", 200, "Show a device", ANSWER(device), .revision = true);
DOC(device_patch, "devices", 200, "Change a device", ANSWER(device), .revision = true,
	.fails = {409}, .about = "409: the name or address is taken.");
DOC(device_delete, "devices", 204, "Delete a device", .revision = true,
	.about = "Its credentials go with it; its tunnel is dead before the answer.");
DOC(credential_issue, "devices", 201, "Issue a credential", ANSWER(issued), .fails = {409},
	.about = "`profile` is given this once. With `public_key` or `csr` the private key never "
		 "leaves the client. 409: the key is in use, or the device has 32 credentials.");
DOC(credential_revoke, "devices", 204, "Revoke a credential",
	.about = "A live tunnel that uses it is dead before the answer.");

/* ---- invites ---- */

DOC(invite_list, "devices", 200, "List a device's invites", PAGE_OF(invite),
	.about = "Used and expired ones too, for a day.");
DOC(invite_create, "devices", 201, "Invite somebody to take the credential", ANSWER(invite_created),
	.fails = {409},
	.about = "`url` is given this once; whoever opens it first gets the credential. 409: the "
		 "device can't connect, or it has 16 open invites.");
DOC(invite_get, "devices", 200, "Show an invite", ANSWER(invite));
DOC(invite_delete, "devices", 204, "Withdraw an invite",
	.about = "A credential that it became stays.");
DOC(invite_landing, "devices", 200, "Show the page behind a link",
	.type = "text/html; charset=utf-8", .example = PAGE_EXAMPLE,
	.about = "The same for every link, and burns none: its button does.");
DOC(invite_open, "devices", 200, "Open a link", ANSWER(opened), .fails = {404, 429},
	.type = "text/html; charset=utf-8", .example = PAGE_EXAMPLE,
	.about =
		"Issues the credential. JSON when Accept names it. The same 404 for links that are "
		"used, expired or withdrawn, and for those that never were. 30 guesses a minute "
		"from one /24 or /64, then 429.");
DOC(invite_style, "devices", 200, "Style that page", .type = "text/css; charset=utf-8",
	.example = "body { margin: 2em }");

/* ---- sessions ---- */

DOC(session_list, "sessions", 200, "List live tunnels", PAGE_OF(session),
	.about = "Without a reading role only one's own.");
DOC(session_kill, "sessions", 204, "Disconnect a tunnel",
	.about = "Its keys are dropped before the answer; the device may connect anew.");

/* ---- tokens ---- */

DOC(token_list, "tokens", 200, "List tokens", PAGE_OF(token),
	.about = "One's own; an admin or auditor sees all.");
DOC(token_create, "tokens", 201, "Create a token", ANSWER(token_created), .fails = {409},
	.about = "The secret is given this once. 409: the user has 64 already.");
DOC(token_delete, "tokens", 204, "Revoke a token", .about = "It is dead before the answer.");
