#include "api/objects.h"

#include <assert.h>

#include "base/compiler.h"

/* A field of a struct under its own name; of a member under another one; of a member that is only
 * there when a bool is; one that the handler adds. What follows about is an initialiser: .example.
 */
#define OUT_AS(type, shown, member, kind_, flags_, about_, ...)                                    \
	{.name = shown,                                                                            \
		.kind = kind_,                                                                     \
		.flags = flags_,                                                                   \
		.at = offsetof(type, member),                                                      \
		.when = OUT_NOWHERE,                                                               \
		.about = about_,                                                                   \
		__VA_ARGS__}
#define OUT(type, member, kind_, flags_, about_, ...)                                              \
	OUT_AS(type, #member, member, kind_, flags_, about_, __VA_ARGS__)
#define OUT_WHEN(type, shown, member, flag, kind_, about_, ...)                                    \
	{.name = shown,                                                                            \
		.kind = kind_,                                                                     \
		.flags = OUT_NULLABLE,                                                             \
		.at = offsetof(type, member),                                                      \
		.when = offsetof(type, flag),                                                      \
		.about = about_,                                                                   \
		__VA_ARGS__}
#define BY_HAND(shown, kind_, flags_, about_, ...)                                                 \
	{.name = shown,                                                                            \
		.kind = kind_,                                                                     \
		.flags = flags_,                                                                   \
		.at = OUT_NOWHERE,                                                                 \
		.when = OUT_NOWHERE,                                                               \
		.about = about_,                                                                   \
		__VA_ARGS__}
#define OBJECT(id, type, about_)                                                                   \
	const struct json_object object_##id = {                                                   \
		.name = #id,                                                                       \
		.about = about_,                                                                   \
		.fields = id##_fields,                                                             \
		.n = ARRAY_SIZE(id##_fields),                                                      \
		.size = sizeof(type),                                                              \
	}

#define COUNTERS(type)                                                                             \
	OUT(type, rx_bytes, OUT_COUNT, 0, "Inner bytes received from the client."),                \
		OUT(type, tx_bytes, OUT_COUNT, 0, "Inner bytes sent to it."),                      \
		OUT(type, rx_packets, OUT_COUNT, 0, "Inner packets received from the client.",     \
			.example = "812"),                                                         \
		OUT(type, tx_packets, OUT_COUNT, 0, "Inner packets sent to it.", .example = "930")

/* ---- errors ---- */

static const struct json_out_field problem_field_fields[] = {
	BY_HAND("field", OUT_TEXT, 0, "Of the body, or of the query.", .example = "name"),
	BY_HAND("message", OUT_TEXT, 0, "What is wrong with it, as the end of a sentence.",
		.example = "must not be empty"),
};
OBJECT(problem_field, char, "A field that can't be taken.");

static const struct json_out_field problem_fields[] = {
	BY_HAND("type", OUT_TEXT, 0, "about:blank: the status says it. Else what it is.",
		.example = "about:blank"),
	BY_HAND("title", OUT_TEXT, 0, "The status in words.", .example = "Unprocessable Content"),
	BY_HAND("status", OUT_NUMBER, 0, "The same number as the answer's.", .example = "422"),
	BY_HAND("detail", OUT_TEXT, OUT_OPTIONAL, "What happened, for people.",
		.example = "Some fields can't be taken."),
	BY_HAND("errors", OUT_LIST, OUT_OPTIONAL, "The fields that can't be taken, at most 16.",
		.of = &object_problem_field),
};
OBJECT(problem, char, "An error (RFC 9457).");

/* ---- how it is ---- */

static const struct json_out_field health_fields[] = {
	BY_HAND("status", OUT_TEXT, 0, "ok, or ready.", .example = "ok"),
};
OBJECT(health, char, "It is well.");

static const struct json_out_field openapi_fields[] = {
	BY_HAND("openapi", OUT_TEXT, 0, "Version of OpenAPI.", .example = "3.1.0"),
	BY_HAND("info", OUT_ANY, 0, "Title, version, general rules."),
	BY_HAND("servers", OUT_ANY, 0, "Where the paths begin."),
	BY_HAND("tags", OUT_ANY, 0, "Groups of operations."),
	BY_HAND("paths", OUT_ANY, 0, "The operations."),
	BY_HAND("components", OUT_ANY, 0, "Schemas, answers, security schemes."),
};
OBJECT(openapi, char, "This document.");

static const struct json_out_field status_database_fields[] = {
	OUT_AS(struct svc_status, "ok", database_ok, OUT_BOOL, 0, "It answers."),
	OUT(struct svc_status, schema_version, OUT_NUMBER, 0, "Number of its latest migration.",
		.example = "3"),
};
OBJECT(status_database, struct svc_status, "The database.");

static const struct json_out_field status_dataplane_fields[] = {
	OUT(struct dataplane_status, connected, OUT_BOOL, 0, "Connected, and synchronised."),
	OUT_AS(struct dataplane_status, "version", software, OUT_TEXT, OUT_NULLABLE, "Its version.",
		.example = "0.1.0"),
	OUT(struct dataplane_status, tun, OUT_TEXT, OUT_NULLABLE, "Name of its TUN device.",
		.example = "ireko0"),
	BY_HAND("listen", OUT_TEXTS, 0, "Its sockets.", .example = "[\"udp://[::]:51820\"]"),
	OUT(struct dataplane_status, workers, OUT_NUMBER, 0, "Forwarding threads.", .example = "2"),
	OUT(struct dataplane_status, peers, OUT_NUMBER, 0, "Devices that may connect.",
		.example = "12"),
	OUT(struct dataplane_status, sessions, OUT_NUMBER, 0, "Sets of keys that it holds.",
		.example = "7"),
	BY_HAND("offloads", OUT_TEXTS, 0, "What the kernel does for many packets at once.",
		.example = "[\"tun-gso\", \"tun-gro\", \"udp-gso\", \"udp-gro\"]"),
	BY_HAND("uptime_s", OUT_COUNT, 0, "Seconds since its start.", .example = "86400"),
	COUNTERS(struct dataplane_status),
	BY_HAND("drops", OUT_COUNTS, 0, "Packets that were dropped, by reason.",
		.example = "{\"replay\": 0, \"spoofed_source\": 2}"),
	BY_HAND("aead", OUT_LABELS, 0, "Which library seals and opens packets, by cipher.",
		.example = "{\"CHACHA20-POLY1305\": \"ipsec-mb\", \"AES-256-GCM\": \"openssl\"}"),
	OUT(struct dataplane_status, last_sync_ms, OUT_NUMBER, 0,
		"How long the latest full synchronisation took.", .example = "4"),
};
OBJECT(status_dataplane, struct dataplane_status, "The dataplane.");

static const struct json_out_field status_fields[] = {
	OUT(struct out_status, version, OUT_TEXT_AT, 0, "Of the control plane.",
		.example = "0.1.0"),
	OUT(struct out_status, uptime_s, OUT_COUNT, 0, "Seconds since its start.",
		.example = "86400"),
	OUT(struct out_status, started_at, OUT_TIME, 0, "When it started."),
	OUT_AS(struct out_status, "database", status, OUT_OBJECT, 0, "The database.",
		.of = &object_status_database),
	OUT_AS(struct out_status, "dataplane", status.dataplane, OUT_OBJECT, 0, "The dataplane.",
		.of = &object_status_dataplane),
};
OBJECT(status, struct out_status, "How the service is.");

/* ---- users ---- */

static const struct json_out_field user_fields[] = {
	OUT(struct svc_user, id, OUT_USER_ID, 0, "Its id."),
	OUT(struct svc_user, name, OUT_TEXT, 0, "Unique, whatever the case.", .example = "alice"),
	OUT(struct svc_user, display_name, OUT_TEXT, OUT_NULLABLE, "How to show it.",
		.example = "Alice Liddell"),
	OUT(struct svc_user, email, OUT_TEXT, OUT_NULLABLE, "Where it can be reached.",
		.example = "alice@example.org"),
	OUT(struct svc_user, role, OUT_ROLE, 0, "What it may do."),
	OUT(struct svc_user, disabled, OUT_BOOL, 0,
		"It can't log in, its tokens and tunnels are dead.", .example = "false"),
	OUT(struct svc_user, totp, OUT_BOOL, 0, "A login needs a code of a second factor.",
		.example = "false"),
	OUT(struct svc_user, created_at, OUT_TIME, 0, "When it was made."),
	OUT(struct svc_user, updated_at, OUT_TIME, 0, "When it was changed last."),
};
OBJECT(user, struct svc_user, "Somebody who has devices, or manages others'.");

static const struct json_out_field login_fields[] = {
	OUT(struct out_login, user, OUT_OBJECT, 0, "Who has logged in.", .of = &object_user),
	OUT(struct out_login, csrf_token, OUT_SECRET, 0,
		"Goes into X-CSRF-Token beside the cookie. Given this once."),
};
OBJECT(login, struct out_login, "A login that has begun.");

static const struct json_out_field me_fields[] = {
	OUT(struct out_me, user, OUT_OBJECT, 0, "Whose token or login it is.", .of = &object_user),
	OUT(struct out_me, role, OUT_ROLE, 0, "Of this token or login; not above the user's."),
};
OBJECT(me, struct out_me, "The caller.");

/* ---- credentials ---- */

#define CREDENTIAL_FIELDS                                                                          \
	OUT(struct svc_credential, id, OUT_CREDENTIAL_ID, 0, "Its id."),                           \
		OUT(struct svc_credential, device_id, OUT_DEVICE_ID, 0, "Its device."),            \
		OUT(struct svc_credential, protocol, OUT_PROTOCOL, 0, "What it connects by."),     \
		OUT(struct svc_credential, fingerprint, OUT_SHA256, 0,                             \
			"SHA-256 of the public key (OpenVPN: of the certificate)."),               \
		OUT(struct svc_credential, created_at, OUT_TIME, 0, "When it was issued."),        \
		OUT(struct svc_credential, expires_at, OUT_TIME, OUT_NULLABLE,                     \
			"When it ends; null: never.", .example = "2031-01-31T12:00:00.000Z"),      \
		OUT(struct svc_credential, revoked_at, OUT_TIME, OUT_NULLABLE,                     \
			"When it was revoked; null: it was not.", .example = "")

static const struct json_out_field credential_fields[] = {CREDENTIAL_FIELDS};
OBJECT(credential, struct svc_credential, "What a device connects with.");

static_assert(offsetof(struct svc_issued, credential) == 0, "its fields are read in place");
#define PROFILE_FIELDS                                                                             \
	OUT(struct svc_issued, profile, OUT_TEXT, 0,                                               \
		"The whole file that an unmodified client takes. Given this once, stored "         \
		"nowhere.",                                                                        \
		.example = "[Interface]\nPrivateKey = ...\n"),                                     \
		OUT(struct svc_issued, profile_filename, OUT_TEXT, 0,                              \
			"A safe name for that file.", .example = "laptop.conf"),                   \
		BY_HAND("qr_svg", OUT_TEXT, OUT_NULLABLE,                                          \
			"The profile as a QR code in SVG; null when it is too long for one.",      \
			.example = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>")

static const struct json_out_field issued_fields[] = {CREDENTIAL_FIELDS, PROFILE_FIELDS};
OBJECT(issued, struct svc_issued, "A new credential, with what is given only this once.");

static const struct json_out_field opened_fields[] = {PROFILE_FIELDS};
OBJECT(opened, struct svc_issued, "What the link of an invite gives, this once.");

#define INVITE_FIELDS                                                                              \
	OUT(struct svc_invite, id, OUT_INVITE_ID, 0, "Its id."),                                   \
		OUT(struct svc_invite, device_id, OUT_DEVICE_ID, 0, "Its device."),                \
		OUT(struct svc_invite, created_by, OUT_USER_ID, 0, "Who made it."),                \
		OUT(struct svc_invite, protocol, OUT_PROTOCOL, 0,                                  \
			"What the credential is going to be for."),                                \
		OUT(struct svc_invite, created_at, OUT_TIME, 0, "When it was made."),              \
		OUT(struct svc_invite, expires_at, OUT_TIME, 0, "When its link ends."),            \
		OUT(struct svc_invite, used_at, OUT_TIME, OUT_NULLABLE,                            \
			"When it was opened; null: not yet.", .example = ""),                      \
		OUT(struct svc_invite, credential_id, OUT_CREDENTIAL_ID, OUT_NULLABLE,             \
			"What it became; null: nothing yet.", .example = "")

static const struct json_out_field invite_fields[] = {INVITE_FIELDS};
OBJECT(invite, struct svc_invite, "A link that gives a credential to whoever opens it first.");

static_assert(offsetof(struct out_invite, invite) == 0, "its fields are read in place");
static const struct json_out_field invite_created_fields[] = {
	INVITE_FIELDS,
	OUT(struct out_invite, url, OUT_TEXT_AT, 0, "The link. Given this once.",
		.example = "https://vpn.example.net/i/f81zSuU8xqIRnEUrPBBnUaMQwdtWHlD1cqhKbBBfZ4A"),
};
OBJECT(invite_created, struct out_invite, "A new invite, with what is given only this once.");

/* ---- devices and sessions ---- */

#define LIVE(shown, member, kind, about, ...)                                                      \
	OUT_WHEN(struct device_live, shown, session.member, connected, kind, about, __VA_ARGS__)

static const struct json_out_field device_status_fields[] = {
	OUT(struct device_live, connected, OUT_BOOL, 0, "It has a live tunnel."),
	LIVE("protocol", protocol, OUT_PROTOCOL, "Of that tunnel; null: there is none."),
	LIVE("transport", transport, OUT_TRANSPORT, "The same."),
	LIVE("cipher", cipher, OUT_CIPHER, "The same."),
	LIVE("tls_version", tls, OUT_TLS, "The same; null for WireGuard.", .example = ""),
	LIVE("endpoint", endpoint, OUT_ENDPOINT, "Where its packets come from."),
	LIVE("connected_since", started_at, OUT_TIME, "When the tunnel came up."),
	OUT(struct device_live, last_handshake_at, OUT_TIME, OUT_NULLABLE,
		"The latest handshake, also of a tunnel that has ended; null: never."),
	COUNTERS(struct device_live),
};
OBJECT(device_status, struct device_live,
	"What is known of a device's tunnel, at most a second old. Counters are its own: they go "
	"on over tunnels, protocols and restarts.");

static const struct json_out_field device_fields[] = {
	OUT(struct svc_device, id, OUT_DEVICE_ID, 0, "Its id."),
	OUT(struct svc_device, user_id, OUT_USER_ID, 0, "Whose it is."),
	OUT(struct svc_device, name, OUT_TEXT, 0, "Unique among its user's.", .example = "laptop"),
	OUT(struct svc_device, address4, OUT_ADDR4, 0, "In the tunnel, whichever protocol."),
	OUT(struct svc_device, address6, OUT_ADDR6, 0, "The same."),
	OUT(struct svc_device, enabled, OUT_BOOL, 0, "It may connect."),
	OUT(struct svc_device, expires_at, OUT_TIME, OUT_NULLABLE,
		"From then on it may not; null: never.", .example = ""),
	OUT(struct svc_device, credentials, OUT_LIST, 0,
		"Oldest first; of revoked ones the newest 32.",
		.n = offsetof(struct svc_device, n_credentials), .of = &object_credential),
	OUT_AS(struct svc_device, "status", live, OUT_OBJECT, 0, "Its tunnel and counters.",
		.of = &object_device_status),
	OUT(struct svc_device, created_at, OUT_TIME, 0, "When it was made."),
	OUT(struct svc_device, updated_at, OUT_TIME, 0, "When it was changed last."),
};
OBJECT(device, struct svc_device, "Something that connects.");

static const struct json_out_field session_fields[] = {
	OUT(struct session_info, id, OUT_SESSION_ID, 0, "Its id."),
	OUT(struct session_info, device_id, OUT_DEVICE_ID, 0, "Its device."),
	OUT(struct session_info, user_id, OUT_USER_ID, 0, "The device's user."),
	OUT(struct session_info, protocol, OUT_PROTOCOL, 0, "What it came by."),
	OUT(struct session_info, transport, OUT_TRANSPORT, 0, "What that runs over."),
	OUT(struct session_info, cipher, OUT_CIPHER, 0, "Of its packets."),
	OUT_AS(struct session_info, "tls_version", tls, OUT_TLS, OUT_NULLABLE,
		"Of OpenVPN's control channel; null for WireGuard.", .example = ""),
	OUT(struct session_info, endpoint, OUT_ENDPOINT, OUT_NULLABLE,
		"Where its packets come from."),
	OUT(struct session_info, started_at, OUT_TIME, 0, "When it came up."),
	OUT(struct session_info, last_handshake_at, OUT_TIME, OUT_NULLABLE,
		"When it last rekeyed."),
	COUNTERS(struct session_info),
};
OBJECT(session, struct session_info, "A live tunnel, as it was at most a second ago.");

/* ---- tokens ---- */

#define TOKEN_FIELDS                                                                               \
	OUT(struct svc_token, id, OUT_TOKEN_ID, 0, "Its id."),                                     \
		OUT(struct svc_token, user_id, OUT_USER_ID, 0, "Whose it is."),                    \
		OUT(struct svc_token, name, OUT_TEXT, 0, "What it is for.", .example = "backup"),  \
		OUT(struct svc_token, role, OUT_ROLE, 0, "What it may do."),                       \
		OUT(struct svc_token, created_at, OUT_TIME, 0, "When it was made."),               \
		OUT(struct svc_token, expires_at, OUT_TIME, OUT_NULLABLE,                          \
			"When it ends; null: never.", .example = ""),                              \
		OUT(struct svc_token, last_used_at, OUT_TIME, OUT_NULLABLE,                        \
			"When it was used last, within a minute; null: never.")

static const struct json_out_field token_fields[] = {TOKEN_FIELDS};
OBJECT(token, struct svc_token, "A bearer token, without its secret.");

static_assert(offsetof(struct out_token, token) == 0, "its fields are read in place");
static const struct json_out_field token_created_fields[] = {
	TOKEN_FIELDS,
	OUT_AS(struct out_token, "token", secret, OUT_TOKEN, 0,
		"Goes behind `Authorization: Bearer`. Given this once; only its hash is stored."),
};
OBJECT(token_created, struct out_token, "A new token, with what is given only this once.");

/* ---- audit ---- */

static const struct json_out_field audit_actor_fields[] = {
	OUT_AS(struct svc_audit_entry, "user_id", actor_id, OUT_USER_ID, 0, "Whose doing it was."),
	OUT_AS(struct svc_audit_entry, "name", actor_name, OUT_TEXT, 0, "His name at that time.",
		.example = "alice"),
	BY_HAND("via", OUT_VIA, OUT_NULLABLE, "What he came by; null: neither."),
	OUT(struct svc_audit_entry, token_id, OUT_TOKEN_ID, OUT_NULLABLE,
		"Which token that was; null: none."),
};
OBJECT(audit_actor, struct svc_audit_entry, "Who did something.");

static const struct json_out_field audit_entry_fields[] = {
	OUT(struct svc_audit_entry, sequence, OUT_COUNT, 0, "Its number; none is left out.",
		.example = "42"),
	OUT(struct svc_audit_entry, at, OUT_TIME, 0, "When it happened."),
	BY_HAND("actor", OUT_OBJECT, OUT_NULLABLE,
		"Who did it; null: the service itself, or nobody who is known.",
		.of = &object_audit_actor),
	OUT(struct svc_audit_entry, from, OUT_ADDR, OUT_NULLABLE, "Where the request came from."),
	OUT(struct svc_audit_entry, action, OUT_TEXT, 0, "What was done, or was to be done.",
		.example = "user.create"),
	BY_HAND("object", OUT_ANY_ID, OUT_NULLABLE, "What it was done to; null: nothing."),
	OUT(struct svc_audit_entry, outcome, OUT_OUTCOME, 0, "How it went."),
	OUT(struct svc_audit_entry, detail, OUT_TEXT, OUT_NULLABLE, "More about it; no secrets.",
		.example = "name"),
	OUT(struct svc_audit_entry, hash, OUT_SHA256, 0,
		"Of this row and the hash of the one before."),
};
OBJECT(audit_entry, struct svc_audit_entry, "A row of the audit log.");

static const struct json_out_field audit_state_fields[] = {
	OUT(struct svc_audit_state, ok, OUT_BOOL, 0, "Every row is as it was written."),
	OUT(struct svc_audit_state, rows, OUT_COUNT, 0, "How many were read."),
	OUT(struct svc_audit_state, first, OUT_COUNT, OUT_NULLABLE,
		"Number of the oldest that is kept.", .example = "1"),
	OUT(struct svc_audit_state, last, OUT_COUNT, OUT_NULLABLE, "Number of the newest.",
		.example = "123456"),
	OUT(struct svc_audit_state, broken_at, OUT_COUNT, OUT_NULLABLE,
		"Number of the first that is not as it was written, or is missing.", .example = ""),
	OUT(struct svc_audit_state, hash, OUT_TEXT, 0,
		"Of the newest row: keep it elsewhere, and a log that was cut shows.",
		.example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
};
OBJECT(audit_state, struct svc_audit_state, "What a look at the whole audit log showed.");

/* ---- settings, second factors ---- */

#define NUMBER(which, shown, about, flags, ...)                                                    \
	OUT_AS(struct svc_settings, shown, number[SVC_##which], OUT_COUNT, flags, about,           \
		__VA_ARGS__)
/* at is of the first of all numbers. */
#define TRAFFIC(which, shown, about_, example_)                                                    \
	{.name = shown,                                                                            \
		.kind = OUT_COUNT,                                                                 \
		.at = SVC_##which * sizeof(int64_t),                                               \
		.when = OUT_NOWHERE,                                                               \
		.about = about_,                                                                   \
		.example = example_}

static const struct json_out_field settings_traffic_fields[] = {
	TRAFFIC(TRAFFIC_MINUTES, "minutes", "Days that it is kept by the minute.", "2"),
	TRAFFIC(TRAFFIC_HOURS, "hours", "Days that it is kept by the hour.", "62"),
	TRAFFIC(TRAFFIC_DAYS, "days", "Days that it is kept by the day.", "1826"),
};
OBJECT(settings_traffic, int64_t[SVC_SETTINGS], "How long traffic is kept.");

#define SETTINGS_FIELDS                                                                            \
	OUT(struct svc_settings, endpoint, OUT_TEXT, 0,                                            \
		"Host that profiles tell clients to connect to.", .example = "vpn.example.net"),   \
		BY_HAND("dns", OUT_TEXTS, 0, "Resolvers that profiles name.",                      \
			.example = "[\"9.9.9.9\"]"),                                               \
		NUMBER(MTU, "mtu", "Of the tunnel, in profiles.", 0, .example = "1420"),           \
		NUMBER(KEEPALIVE, "keepalive", "Seconds between a client's keepalives; 0: none.",  \
			0, .example = "25"),                                                       \
		NUMBER(CREDENTIAL_LIFETIME, "credential_lifetime_s",                               \
			"Seconds that a credential lives when nothing else is asked for; null: "   \
			"for ever.",                                                               \
			OUT_NULLABLE, .example = ""),                                              \
		OUT_AS(struct svc_settings, "traffic_retention", number, OUT_OBJECT, 0,            \
			"How long traffic is kept.", .of = &object_settings_traffic),              \
		NUMBER(AUDIT_DAYS, "audit_retention_days", "Days that the audit log is kept.", 0,  \
			.example = "366")

static const struct json_out_field settings_values_fields[] = {SETTINGS_FIELDS};
OBJECT(settings_values, struct svc_settings, "What would hold without changes.");

static_assert(offsetof(struct svc_settings_state, now) == 0, "its fields are read in place");
static const struct json_out_field settings_fields[] = {
	SETTINGS_FIELDS,
	OUT(struct svc_settings_state, defaults, OUT_OBJECT, 0, "What would hold without changes.",
		.of = &object_settings_values),
	OUT(struct svc_settings_state, updated_at, OUT_TIME, OUT_NULLABLE,
		"When they were changed last; null: never."),
};
OBJECT(settings, struct svc_settings_state, "What holds now.");

static const struct json_out_field totp_fields[] = {
	OUT(struct svc_totp, secret, OUT_CODE_SECRET, 0, "For the app. Given this once."),
	OUT_AS(struct svc_totp, "otpauth_url", url, OUT_TEXT, 0, "The same as the app scans it.",
		.example = "otpauth://totp/Ireko:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
	BY_HAND("qr_svg", OUT_TEXT, OUT_NULLABLE, "The same as a QR code in SVG.",
		.example = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
};
OBJECT(totp, struct svc_totp, "A second factor that waits to be confirmed.");

/* ---- traffic, events: written as text (handlers/traffic.c, event_text.c) ---- */

static const struct json_out_field traffic_series_fields[] = {
	BY_HAND("device_id", OUT_DEVICE_ID, OUT_NULLABLE, "Whose; null: of all devices together."),
	BY_HAND("points", OUT_POINTS, 0,
		"When a step begins, inner bytes received and sent in it; steps without any are "
		"left out."),
};
OBJECT(traffic_series, char, "What moved, by steps.");

static const struct json_out_field traffic_fields[] = {
	BY_HAND("from", OUT_TIME, 0, "Widened to a whole step."),
	BY_HAND("to", OUT_TIME, 0, "The same."),
	BY_HAND("step", OUT_NUMBER, 0, "Seconds of a point.", .example = "60"),
	BY_HAND("series", OUT_LIST, 0, "At most 100.", .of = &object_traffic_series),
};
OBJECT(traffic, char, "Traffic history.");

#define EVENT_AT BY_HAND("at", OUT_TIME, 0, "When it happened.")

static const struct json_out_field event_session_fields[] = {
	EVENT_AT,
	BY_HAND("session", OUT_OBJECT, 0, "As it was then.", .of = &object_session),
	BY_HAND("reason", OUT_TEXT, OUT_OPTIONAL, "Of session.ended: why.", .example = "idle"),
	BY_HAND("previous_endpoint", OUT_ENDPOINT, OUT_OPTIONAL | OUT_NULLABLE,
		"Of session.roamed: where its packets came from before."),
};
OBJECT(event_session, char, "Data of session.started, session.ended and session.roamed.");

static const struct json_out_field event_device_fields[] = {
	EVENT_AT,
	BY_HAND("device_id", OUT_DEVICE_ID, 0, "Which device."),
	BY_HAND("user_id", OUT_USER_ID, 0, "Whose it is."),
	BY_HAND("change", OUT_TEXT, 0, "What happened to it.", .example = "created"),
};
OBJECT(event_device, char, "Data of device.changed.");

static const struct json_out_field event_totals_fields[] = {
	BY_HAND("rx_bytes", OUT_COUNT, 0, "Inner bytes received in the interval."),
	BY_HAND("tx_bytes", OUT_COUNT, 0, "Inner bytes sent."),
	BY_HAND("devices", OUT_COUNT, 0, "Devices that moved any.", .example = "7"),
};
OBJECT(event_totals, char, "Sums over all devices that the reader may see.");

static const struct json_out_field event_traffic_fields[] = {
	EVENT_AT,
	BY_HAND("interval_ms", OUT_NUMBER, 0, "Since the one before.", .example = "1000"),
	BY_HAND("rx_bps", OUT_COUNT, 0, "Inner bits a second received."),
	BY_HAND("tx_bps", OUT_COUNT, 0, "Inner bits a second sent."),
	BY_HAND("totals", OUT_OBJECT, 0, "Of the interval.", .of = &object_event_totals),
	BY_HAND("devices", OUT_MOVED, 0,
		"The 100 that moved most: device, inner bytes received and sent."),
};
OBJECT(event_traffic, char, "Data of traffic.");

static const struct json_out_field event_dataplane_fields[] = {EVENT_AT};
OBJECT(event_dataplane, char, "Data of dataplane.connected and dataplane.lost.");

static const struct json_out_field event_hello_fields[] = {
	EVENT_AT,
	BY_HAND("id", OUT_COUNT, 0, "Where the stream stands.", .example = "4242"),
	BY_HAND("version", OUT_TEXT, 0, "Of the control plane.", .example = "0.1.0"),
};
OBJECT(event_hello, char, "Data of hello, with which a stream begins.");

static const struct json_out_field event_gap_fields[] = {
	BY_HAND("after", OUT_COUNT, 0, "The last one before.", .example = "4242"),
	BY_HAND("id", OUT_COUNT, 0, "Where it goes on.", .example = "4711"),
};
OBJECT(event_gap, char, "Data of gap: what was in between is lost, look at the lists again.");
