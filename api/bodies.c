#include "api/bodies.h"

#include <assert.h>

#define AT(type, member) offsetof(type, member)
#define ROW(type, name_, kind_, flags_, max_, at_, set_)                                           \
	{                                                                                          \
		.name = name_, .kind = kind_, .flags = flags_, .max = max_, .at = AT(type, at_),   \
		.set = set_                                                                        \
	}
#define FIELD(type, name, kind, flags, max) ROW(type, #name, kind, flags, max, name, IN_NO_FLAG)
#define FIELD_SET(type, name, kind, flags, max)                                                    \
	ROW(type, #name, kind, flags, max, name, AT(type, set_##name))

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
	FIELD(struct body_login, username, IN_TEXT, IN_REQUIRED, SVC_NAME_MAX),
	FIELD(struct body_login, password, IN_TEXT, IN_REQUIRED, SVC_PASSWORD_MAX),
	FIELD(struct body_login, totp, IN_TEXT, IN_NULL_IS_ABSENT, TOTP_MAX),
};

#define TOTP_PASSWORD FIELD(struct body_totp, password, IN_TEXT, IN_REQUIRED, SVC_PASSWORD_MAX)
#define TOTP_CODE     FIELD(struct body_totp, totp, IN_TEXT, IN_REQUIRED, TOTP_MAX)
static const struct json_field totp_begin_fields[] = {TOTP_PASSWORD};
static const struct json_field totp_confirm_fields[] = {TOTP_CODE};
static const struct json_field totp_disable_fields[] = {TOTP_PASSWORD, TOTP_CODE};

#define USER_FIELDS(name_flags)                                                                    \
	FIELD_SET(struct svc_user_change, name, IN_TEXT, name_flags, SVC_NAME_MAX),                \
		FIELD_SET(struct svc_user_change, display_name, IN_TEXT, IN_NULLABLE,              \
			SVC_DISPLAY_MAX),                                                          \
		FIELD_SET(struct svc_user_change, email, IN_TEXT, IN_NULLABLE, SVC_EMAIL_MAX),     \
		FIELD_SET(struct svc_user_change, role, IN_ROLE, 0, ROLE_MAX),                     \
		FIELD_SET(                                                                         \
			struct svc_user_change, password, IN_TEXT, IN_NULLABLE, SVC_PASSWORD_MAX), \
		FIELD_SET(struct svc_user_change, disabled, IN_BOOL, 0, 0)

static const struct json_field user_create_fields[] = {USER_FIELDS(IN_REQUIRED)};
static const struct json_field user_patch_fields[] = {USER_FIELDS(0)};

#define DEVICE_FIELDS(name_flags, address_flags)                                                   \
	FIELD_SET(struct svc_device_change, name, IN_TEXT, name_flags, SVC_NAME_MAX),              \
		FIELD_SET(struct svc_device_change, address4, IN_ADDR4, address_flags, ADDR_MAX),  \
		FIELD_SET(struct svc_device_change, address6, IN_ADDR6, address_flags, ADDR_MAX),  \
		FIELD_SET(struct svc_device_change, enabled, IN_BOOL, 0, 0),                       \
		FIELD_SET(struct svc_device_change, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX)

static const struct json_field device_create_fields[] = {
	FIELD_SET(struct svc_device_change, user_id, IN_USER_ID, IN_NULL_IS_ABSENT, ID_MAX),
	DEVICE_FIELDS(IN_REQUIRED, IN_NULL_IS_ABSENT),
};
static const struct json_field device_patch_fields[] = {DEVICE_FIELDS(0, 0)};

static const struct json_field credential_fields[] = {
	FIELD(struct body_credential, protocol, IN_PROTOCOL, IN_REQUIRED, PROTOCOL_MAX),
	ROW(struct body_credential, "public_key", IN_KEY, IN_NULL_IS_ABSENT, KEY_MAX, public_key,
		AT(struct body_credential, has_public_key)),
	FIELD(struct body_credential, csr, IN_TEXT, IN_NULL_IS_ABSENT, CSR_MAX),
	FIELD_SET(struct body_credential, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX),
};

static const struct json_field token_fields[] = {
	FIELD(struct svc_token_request, name, IN_TEXT, IN_REQUIRED, SVC_NAME_MAX),
	FIELD_SET(struct svc_token_request, role, IN_ROLE, IN_NULL_IS_ABSENT, ROLE_MAX),
	FIELD(struct svc_token_request, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX),
};

static const struct json_field invite_fields[] = {
	FIELD(struct body_invite, protocol, IN_PROTOCOL, IN_REQUIRED, PROTOCOL_MAX),
	FIELD(struct body_invite, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX),
};

const struct json_schema body_form = {.name = "form"};

/* Names and bounds are the service's; a name with a dot is a member of the object before it. */
static const struct json_schema traffic_members;
#define NUMBER(which, json, least_, most_, initial)                                                \
	[SVC_##which] = {.name = json,                                                             \
		.kind = IN_NUMBER,                                                                 \
		.flags = IN_NULLABLE,                                                              \
		.at = AT(struct svc_settings_change, number[SVC_##which]),                         \
		.set = AT(struct svc_settings_change, set_number[SVC_##which]),                    \
		.least = (least_),                                                                 \
		.most = (most_)},
static const struct json_field settings_fields[] = {
	SVC_NUMBERS(NUMBER)[SVC_SETTINGS] =
		FIELD_SET(struct svc_settings_change, endpoint, IN_TEXT, IN_NULLABLE, 253),
	FIELD_SET(struct svc_settings_change, dns, IN_ADDRS, IN_NULLABLE, ADDR_MAX),
	{.name = "traffic_retention",
		.kind = IN_OBJECT,
		.flags = IN_NULLABLE,
		.set = IN_NO_FLAG,
		.members = &traffic_members},
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
