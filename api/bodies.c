#include "api/bodies.h"

#include <assert.h>

#define AT(type, member) offsetof(type, member)
#define FIELD(type, name, kind, flags, max)                                                        \
	{                                                                                          \
#name, kind, flags, max, AT(type, name), IN_NO_FLAG                                \
	}
#define FIELD_SET(type, name, kind, flags, max)                                                    \
	{                                                                                          \
#name, kind, flags, max, AT(type, name), AT(type, set_##name)                      \
	}

enum {
	TIME_MAX = 40,
	ROLE_MAX = 16,
	ADDR_MAX = 45,
	ID_MAX = 30,
	KEY_MAX = 44,
	CSR_MAX = 8192,
	PROTOCOL_MAX = 16
};

static const struct json_field login_fields[] = {
	FIELD(struct body_login, username, IN_TEXT, IN_REQUIRED, SVC_NAME_MAX),
	FIELD(struct body_login, password, IN_TEXT, IN_REQUIRED, SVC_PASSWORD_MAX),
};

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
	{"public_key", IN_KEY, IN_NULL_IS_ABSENT, KEY_MAX, AT(struct body_credential, public_key),
		AT(struct body_credential, has_public_key)},
	FIELD(struct body_credential, csr, IN_TEXT, IN_NULL_IS_ABSENT, CSR_MAX),
	FIELD(struct body_credential, expires_at, IN_TIME, IN_NULLABLE, TIME_MAX),
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

#define BODY_DEFINE(name, type)                                                                    \
	static_assert(sizeof(type) <= sizeof(union body), "the union holds every body");           \
	const struct json_schema body_##name = {                                                   \
		#name, name##_fields, ARRAY_SIZE(name##_fields), sizeof(type)};
BODIES(BODY_DEFINE)
#undef BODY_DEFINE
