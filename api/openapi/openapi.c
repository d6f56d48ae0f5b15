/*
 *   info, servers, tags, security schemes      constants of here
 *   paths                                      operation.c, a line of the route table each
 *   components.schemas                         maker.c: what the operations refer to
 *   components.responses                       answers.c
 */
#include "api/openapi/openapi.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#include "api/memory.h"
#include "api/openapi/answers.h"
#include "api/openapi/docs.h"
#include "api/openapi/maker.h"
#include "api/openapi/operation.h"
#include "base/codec.h"
#include "base/settings.h"

static json_t *paths(struct maker *m)
{
	json_t *all = json_object();

	for (size_t i = 0; i < n_routes; i++) {
		char path[OPERATION_PATH], method[16] = "";
		const char *name = http_method_name(routes[i].method);
		json_t *at;

		operation_path(&routes[i], path);
		for (size_t k = 0; name[k] && k + 1 < sizeof(method); k++)
			method[k] = (char)(name[k] | 0x20);
		at = json_object_get(all, path);
		if (!at) {
			maker_put(m, all, path, json_object());
			at = json_object_get(all, path);
		}
		maker_put(m, at, method, operation_of(m, &routes[i]));
	}
	return all;
}

static json_t *security_schemes(void)
{
	return json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s}}",
		"token", "type", "http", "scheme", "bearer", "description",
		"A token of POST /v1/tokens: ireko_ and 43 characters.", "cookie", "type", "apiKey",
		"in", "cookie", "name", "ireko", "description",
		"The cookie of POST /v1/login; over HTTPS its name is __Host-ireko.", "csrf",
		"type", "apiKey", "in", "header", "name", "X-CSRF-Token", "description",
		"csrf_token of that login; needed beside the cookie on anything but GET and "
		"HEAD.");
}

static json_t *info(void)
{
	static const char about[] =
		"A managed VPN service for WireGuard and OpenVPN clients as they are.\n\n"
		"JSON in UTF-8 both ways. Lengths count bytes. Times are RFC 3339 in UTC. Unknown "
		"fields, wrong types, keys that are there twice and broken UTF-8 are refused, and "
		"a request that is refused has changed nothing. HEAD is answered wherever GET is. "
		"An answer to a change is sent after it is durable. An object of somebody else is "
		"not there (404). x-ireko-access names the roles that may ask; a token or login "
		"has one.";

	return json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "title", "Ireko", "version",
		ireko_version(), "description", about, "license", "name", "Apache-2.0",
		"identifier", "Apache-2.0");
}

static json_t *tags(struct maker *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n_doc_tags; i++)
		maker_append(m, list,
			json_pack("{s:s, s:s}", "name", doc_tags[i].name, "description",
				doc_tags[i].about));
	return list;
}

static json_t *document(struct maker *m)
{
	json_t *all_paths = paths(m), *answers = answers_shared(m);

	return json_pack("{s:s, s:o, s:[{s:s, s:s}], s:o, s:o, s:{s:o, s:o, s:o}}", "openapi",
		"3.1.0", "info", info(), "servers", "url", "/", "description", "This one.", "tags",
		tags(m), "paths", all_paths, "components", "schemas", json_incref(m->schemas),
		"responses", answers, "securitySchemes", security_schemes());
}

static int make_etag(struct openapi *o)
{
	uint8_t hash[32];
	char hex[17];

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, o->text, o->len, hash))
		return -EIO;
	hex_encode(hash, 8, hex);
	snprintf(o->etag, sizeof(o->etag), "\"%s\"", hex);
	return 0;
}

int openapi_make(struct openapi *out)
{
	struct maker m = {.schemas = json_object()};
	json_t *doc = document(&m);

	memset(out, 0, sizeof(*out));
	out->text = doc && !m.bad ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	json_decref(m.schemas);
	if (!out->text)
		return -ENOMEM;
	out->len = strlen(out->text);
	return make_etag(out);
}

void openapi_fini(struct openapi *o)
{
	memory_free(o->text);
	memset(o, 0, sizeof(*o));
}
