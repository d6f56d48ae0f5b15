#include "api/bodies.h"

#include <assert.h>

#define AT(type, member) offsetof(type, member)
/* What follows about is an initialiser: .example. */
#define FIELD_AT(shown, kind_, flags_, max_, at_, set_, about_, ...)                               \
	{.name = shown,                                                                            \
		.kind = kind_,                                                                     \
		.flags = flags_,                                                                   \
		.max = max_,                                                                       \
		.at = at_,                                                                         \
		.set = set_,                                                                       \
		.about = about_,                                                                   \
		__VA_ARGS__}
#define FIELD(type, name, kind, flags, max, about, ...)                                            \
	FIELD_AT(#name, kind, flags, max, AT(type, name), IN_NO_FLAG, about, __VA_ARGS__)
#define FIELD_SET(type, name, kind, flags, max, about, ...)                                        \
	FIELD_AT(#name, kind, flags, max, AT(type, name), AT(type, set_##name), about, __VA_ARGS__)

enum {
	TIME_MAX = 40,
	ROLE_MAX = 16,
	ADDR_MAX = 45,
	ID_MAX = 30,
	KEY_MAX = 44,
	CSR_MAX = 8192,
	PROTOCOL_MAX = 16,
	TOTP_MAX = 6,
};

static const struct json_field login_fields[] = {
	FIELD(struct body_login, username, IN_TEXT, IN_REQUIRED, SVC_NAME_MAX,
		"Name of the account, whatever the case.", .example = "admin"),
	FIELD(struct body_login, password, IN_TEXT, IN_REQUIRED, SVC_PASSWORD_MAX, "Its password.",
		.example = "correct horse battery staple"),
	FIELD(struct body_login, totp, IN_CODE, IN_NULL_IS_ABSENT, TOTP_MAX,
		"Code of the second factor, for accounts that have one."),
};

#define TOTP_PASSWORD                                                                              \
	FIELD(struct body_totp, password, IN_TEXT, IN_REQUIRED, SVC_PASSWORD_MAX,                  \
		"The caller's own.", .example = "correct horse battery staple")
#define TOTP_CODE                                                                                  \
	FIELD(struct body_totp, totp, IN_CODE, IN_REQUIRED, TOTP_MAX,                              \
		"The code that the app shows.")
static const struct json_field totp_begin_fields[] = {TOTP_PASSWORD};
static const struct json_field totp_confirm_fields[] = {TOTP_CODE};
static const struct json_field totp_disable_fields[] = {TOTP_PASSWORD, TOTP_CODE};

#define USER_FIELDS(name_flags)                                                                    \
	FIELD_SET(struct svc_user_change, name, IN_NAME, name_flags, SVC_NAME_MAX,                 \
		"Letters, digits and . _ @ -; unique, whatever the case.", .example = "alice"),    \
		FIELD_SET(struct svc_user_change, display_name, IN_LABEL, IN_NULLABLE,             \
			SVC_DISPLAY_MAX, "How to show it.", .example = "Alice Liddell"),           \
		FIELD_SET(struct svc_user_change, email, IN_EMAIL, IN_NULLABLE, SVC_EMAIL_MAX,     \
			"Where it can be reached.", .example = "alice@example.org"),               \
		FIELD_SET(struct svc_user_change, role, IN_ROLE, 0, ROLE_MAX,                      \
			"What it may do; left out at creation: user. Not above the caller's."),    \
		FIELD_SET(struct svc_user_change, password, IN_PASSWORD, IN_NULLABLE,              \
			SVC_PASSWORD_MAX, "For logins; null: it can't log in."),                   \
		FIELD_SET(struct svc_user_change, disabled, IN_BOOL, 0, 0,                         \
			"true: its tunnels are dead before the answer, and it can't come back.")

static const struct json_field user_create_fields[] = {USER_FIELDS(IN_REQUIRED)};
static const struct json_field user_patch_fields[] = {USER_FIELDS(0)};

#define DEVICE_FIELDS(name_flags, address_flags)                                                   \
	FIELD_SET(struct svc_device_change, name, IN_LABEL, name_flags, SVC_NAME_MAX,              \
		"Unique among its user's.", .example = "laptop"),                                  \
		FIELD_SET(struct svc_device_change, address4, IN_ADDR4, address_flags, ADDR_MAX,   \
			"A free address of the tunnel network; left out: the next one."),          \
		FIELD_SET(struct svc_device_change, address6, IN_ADDR6, address_flags, ADDR_MAX,   \
			"The same for IPv6."),                                                     \
		FIELD_SET(struct svc_device_change, enabled, IN_BOOL, 0, 0,                        \
			"false: its tunnel is dead before the answer."),                           \
		FIELD_SET(struct svc_device_change, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX,    \
			"From then on it may not connect; null: never.")

static const struct json_field device_create_fields[] = {
	FIELD_SET(struct svc_device_change, user_id, IN_USER_ID, IN_NULL_IS_ABSENT, ID_MAX,
		"Whose it is; left out: the caller's own.",
		.example = "usr_01JQ2V8W9XKAB3M4N5P6Q7R8S9"),
	DEVICE_FIELDS(IN_REQUIRED, IN_NULL_IS_ABSENT),
};
static const struct json_field device_patch_fields[] = {DEVICE_FIELDS(0, 0)};

static const struct json_field credential_fields[] = {
	FIELD(struct body_credential, protocol, IN_PROTOCOL, IN_REQUIRED, PROTOCOL_MAX,
		"What the client speaks."),
	FIELD_AT("public_key", IN_KEY, IN_NULL_IS_ABSENT, KEY_MAX,
		AT(struct body_credential, public_key), AT(struct body_credential, has_public_key),
		"WireGuard: the client's own key; its private key then never leaves it."),
	FIELD(struct body_credential, csr, IN_CSR, IN_NULL_IS_ABSENT, CSR_MAX,
		"OpenVPN: a certificate request in PEM, for the same purpose."),
	FIELD_SET(struct body_credential, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX,
		"When it ends; null: never; left out: as the settings say.",
		.example = "2031-01-31T12:00:00Z"),
};

static const struct json_field token_fields[] = {
	FIELD(struct svc_token_request, name, IN_LABEL, IN_REQUIRED, SVC_NAME_MAX,
		"What it is for.", .example = "backup"),
	FIELD_SET(struct svc_token_request, role, IN_ROLE, IN_NULL_IS_ABSENT, ROLE_MAX,
		"Not above the caller's; left out: the caller's.", .example = "auditor"),
	FIELD(struct svc_token_request, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX,
		"When it ends; null: never."),
};

static const struct json_field invite_fields[] = {
	FIELD(struct body_invite, protocol, IN_PROTOCOL, IN_REQUIRED, PROTOCOL_MAX,
		"What the client speaks."),
	FIELD(struct body_invite, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX,
		"When the link ends, at most 7 days from now; left out: in 15 minutes."),
};

const struct json_schema body_form = {.name = "form"};
#define ABOUT_MTU	"Of the tunnel, in profiles."
#define ABOUT_KEEPALIVE "Seconds between a client's keepalives, in profiles; 0: none."
#define ABOUT_CREDENTIAL_LIFETIME                                                                  \
	"Seconds that a credential lives when nothing else is asked for; 0: for ever."
#define ABOUT_TRAFFIC_MINUTES "Days that traffic is kept by the minute."
#define ABOUT_TRAFFIC_HOURS   "Days that it is kept by the hour."
#define ABOUT_TRAFFIC_DAYS    "Days that it is kept by the day."
#define ABOUT_AUDIT_DAYS      "Days that the audit log is kept."

/* Names and bounds are the service's; a name with a dot is a member of the object before it. */
static const struct json_schema traffic_members;
#define NUMBER(which, json, least_, most_, initial)                                                \
	[SVC_##which] = {.name = json,                                                             \
		.kind = IN_NUMBER,                                                                 \
		.flags = IN_NULLABLE,                                                              \
		.at = AT(struct svc_settings_change, number[SVC_##which]),                         \
		.set = AT(struct svc_settings_change, set_number[SVC_##which]),                    \
		.least = (least_),                                                                 \
		.most = (most_),                                                                   \
		.about = ABOUT_##which},
static const struct json_field settings_fields[] = {
	SVC_NUMBERS(NUMBER)[SVC_SETTINGS] = FIELD_SET(struct svc_settings_change, endpoint, IN_TEXT,
		IN_NULLABLE, 253, "Host that profiles tell clients to connect to.",
		.example = "vpn.example.net"),
	FIELD_SET(struct svc_settings_change, dns, IN_ADDRS, IN_NULLABLE, ADDR_MAX,
		"Resolvers that profiles name.", .example = "[\"9.9.9.9\", \"2620:fe::fe\"]"),
	{.name = "traffic_retention",
		.kind = IN_OBJECT,
		.flags = IN_NULLABLE,
		.set = IN_NO_FLAG,
		.members = &traffic_members,
		.about = "How long traffic is kept."},
};
#undef NUMBER
static const struct json_schema traffic_members = {
	"traffic_retention", &settings_fields[SVC_TRAFFIC_MINUTES], 3, 0};

#define BODY_DEFINE(name, type)                                                                    \
	static_assert(sizeof(type) <= sizeof(union body), "the union holds every body");           \
	const struct json_schema body_##name = {                                                   \
		#name, name##_fields, ARRAY_SIZE(name##_fields), sizeof(type)};
BODIES(BODY_DEFINE)
#undef BODY_DEFINE
