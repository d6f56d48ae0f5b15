/*
 * The request bodies of the API: which fields each takes. The tables fill the service's own change
 * structs, so a field that has no row can't be reached from outside.
 */
#ifndef API_BODIES_H
#define API_BODIES_H

#include <stdbool.h>
#include <stdint.h>

#include "api/json_in.h"
#include "service/service.h"

struct body_login {
	const char *username, *password, *totp; /* totp NULL: none */
};

struct body_totp {
	const char *password, *totp;
};

struct body_credential {
	uint8_t protocol;
	bool has_public_key;
	uint8_t public_key[32];
	const char *csr; /* NULL: none */
	bool set_expires_at;
	int64_t expires_at;
};

struct body_invite {
	uint8_t protocol;
	int64_t expires_at;
};

union body {
	struct body_login login;
	struct body_credential credential;
	struct svc_user_change user;
	struct svc_device_change device;
	struct svc_token_request token;
	struct body_invite invite;
	struct svc_settings_change settings;
	struct body_totp totp;
};

/* X(name, what): the struct it fills */
#define BODIES(X)                                                                                  \
	X(login, struct body_login)                                                                \
	X(user_create, struct svc_user_change)                                                     \
	X(user_patch, struct svc_user_change)                                                      \
	X(device_create, struct svc_device_change)                                                 \
	X(device_patch, struct svc_device_change)                                                  \
	X(credential, struct body_credential)                                                      \
	X(token, struct svc_token_request)                                                         \
	X(settings, struct svc_settings_change)                                                    \
	X(totp_begin, struct body_totp)                                                            \
	X(totp_confirm, struct body_totp)                                                          \
	X(totp_disable, struct body_totp)                                                          \
	X(invite, struct body_invite)

#define BODY_DECLARE(name, type) extern const struct json_schema body_##name;
BODIES(BODY_DECLARE)
#undef BODY_DECLARE

/* Not JSON: what a page's form without fields sends; nothing is read from it. */
extern const struct json_schema body_form;

#endif
