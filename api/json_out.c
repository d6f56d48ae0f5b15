#include "api/json_out.h"

#include <string.h>

#include "api/reply.h"
#include "base/compiler.h"
#include "crypto/aead.h"
#include "directory/directory.h"
#include "service/service.h"
#include "uapi/uapi.h"

/* ---- one function a kind: what stands at p as JSON; NULL when there is no memory ---- */

static json_t *put_text(const void *p, bool nullable)
{
	return nullable ? json_text(p) : json_string(p);
}

static json_t *put_text_at(const void *p, bool nullable)
{
	const char *text;

	memcpy(&text, p, sizeof(text));
	return !text ? json_null() : put_text(text, nullable);
}

static json_t *put_bool(const void *p, bool nullable)
{
	(void)nullable;
	return json_boolean(*(const bool *)p);
}

static json_t *put_time(const void *p, bool nullable)
{
	(void)nullable;
	return json_time(*(const int64_t *)p);
}

static json_t *put_number(const void *p, bool nullable)
{
	(void)nullable;
	return json_integer(*(const uint32_t *)p);
}

static json_t *put_count(const void *p, bool nullable)
{
	const uint64_t n = *(const uint64_t *)p;

	return n == 0 && nullable ? json_null() : json_counter(n);
}

static json_t *put_role(const void *p, bool nullable)
{
	(void)nullable;
	return json_string(svc_role_name(*(const enum svc_role *)p));
}

static json_t *put_address(const void *p, bool nullable)
{
	(void)nullable;
	return json_address(p);
}

static json_t *put_endpoint(const void *p, bool nullable)
{
	(void)nullable;
	return json_endpoint(p);
}

static json_t *put_protocol(const void *p, bool nullable)
{
	(void)nullable;
	return json_string(*(const uint8_t *)p == DIR_OPENVPN ? "openvpn" : "wireguard");
}

static json_t *put_transport(const void *p, bool nullable)
{
	(void)nullable;
	return json_string(*(const uint8_t *)p == UAPI_TCP ? "tcp" : "udp");
}

static json_t *put_cipher(const void *p, bool nullable)
{
	return put_text(aead_cipher_name((enum aead_cipher) * (const uint8_t *)p), nullable);
}

static json_t *put_tls(const void *p, bool nullable)
{
	static const struct {
		uint16_t version;
		const char *name;
	} names[] = {{0x0303, "TLSv1.2"}, {0x0304, "TLSv1.3"}};

	(void)nullable;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].version == *(const uint16_t *)p)
			return json_string(names[i].name);
	}
	return json_null();
}

#define PUT_ID(kind, prefix)                                                                       \
	static json_t *put_##kind##_id(const void *p, bool nullable)                               \
	{                                                                                          \
		(void)nullable;                                                                    \
		return json_id(prefix, p);                                                         \
	}
PUT_ID(user, "usr_")
PUT_ID(device, "dev_")
PUT_ID(credential, "crd_")
PUT_ID(session, "ses_")
PUT_ID(token, "tok_")
PUT_ID(invite, "inv_")
#undef PUT_ID

static json_t *(*const writers[OUT_KINDS])(const void *p, bool nullable) = {
	[OUT_TEXT] = put_text,
	[OUT_TEXT_AT] = put_text_at,
	[OUT_SHA256] = put_text,
	[OUT_SECRET] = put_text_at,
	[OUT_TOKEN] = put_text_at,
	[OUT_BOOL] = put_bool,
	[OUT_TIME] = put_time,
	[OUT_NUMBER] = put_number,
	[OUT_COUNT] = put_count,
	[OUT_ROLE] = put_role,
	[OUT_ADDR] = put_address,
	[OUT_ADDR4] = put_address,
	[OUT_ADDR6] = put_address,
	[OUT_ENDPOINT] = put_endpoint,
	[OUT_USER_ID] = put_user_id,
	[OUT_DEVICE_ID] = put_device_id,
	[OUT_CREDENTIAL_ID] = put_credential_id,
	[OUT_SESSION_ID] = put_session_id,
	[OUT_TOKEN_ID] = put_token_id,
	[OUT_CODE_SECRET] = put_text,
	[OUT_INVITE_ID] = put_invite_id,
	[OUT_OUTCOME] = put_text,
	[OUT_PROTOCOL] = put_protocol,
	[OUT_TRANSPORT] = put_transport,
	[OUT_CIPHER] = put_cipher,
	[OUT_TLS] = put_tls,
};

static json_t *put_list(const struct json_out_field *f, const char *base)
{
	const void *list;
	size_t n;

	memcpy(&list, base + f->at, sizeof(list));
	memcpy(&n, base + f->n, sizeof(n));
	return json_out_list(f->of, list, n);
}

static json_t *put(const struct json_out_field *f, const char *base)
{
	if (f->at == OUT_NOWHERE)
		return json_null();
	if (f->when != OUT_NOWHERE && !*(const bool *)(base + f->when))
		return json_null();
	if (f->kind == OUT_OBJECT)
		return json_out(f->of, base + f->at);
	if (f->kind == OUT_LIST)
		return put_list(f, base);
	return writers[f->kind](base + f->at, (f->flags & OUT_NULLABLE) != 0);
}

json_t *json_out(const struct json_object *o, const void *at)
{
	json_t *doc = json_object();

	for (size_t i = 0; i < o->n; i++) {
		const struct json_out_field *f = &o->fields[i];

		if (f->flags & OUT_OPTIONAL)
			continue;
		/* A NULL value is refused, and so is a NULL object. */
		if (json_object_set_new_nocheck(doc, f->name, put(f, at))) {
			json_decref(doc);
			return NULL;
		}
	}
	return doc;
}

json_t *json_out_list(const struct json_object *o, const void *at, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(list, json_out(o, (const char *)at + i * o->size))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
