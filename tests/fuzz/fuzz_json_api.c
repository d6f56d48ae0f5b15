/* Prescan, parser and field tables over anything. The first byte chooses the table. What passes the
 * prescan stays small, and what is taken holds what the tables promise. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/bodies.h"
#include "api/json_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SCHEMA(name, type) &body_##name,
static const struct json_schema *const schemas[] = {BODIES(SCHEMA)};
#undef SCHEMA

static void check_number(const struct json_field *f, const union body *b)
{
	struct svc_number n;

	if (f->kind != IN_NUMBER)
		return;
	memcpy(&n, (const char *)b + f->at, sizeof(n));
	if (n.there && (n.n < f->least || n.n > f->most))
		abort();
}

static void check_text(const struct json_field *f, const union body *b)
{
	const char *text;

	if (f->kind > IN_CSR)
		return;
	memcpy(&text, (const char *)b + f->at, sizeof(text));
	if (text && strlen(text) > f->max)
		abort();
	if (!text && (f->flags & IN_REQUIRED))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct json_schema *schema;
	struct field_errors errors;
	const char *detail = NULL;
	json_t *doc = NULL;
	union body body;
	int rc;

	if (size < 1 || size > JSON_IN_MAX)
		return 0;
	schema = schemas[data[0] % ARRAY_SIZE(schemas)];
	rc = json_in_read((const char *)data + 1, size - 1, schema, &body, &doc, &errors, &detail);
	if ((rc == 0) != (doc != NULL) || (rc == 0) != (detail == NULL))
		abort();
	if (rc == 422 && (errors.n == 0 || errors.n > FIELD_ERRORS_MAX))
		abort();
	for (size_t i = 0; i < errors.n; i++) {
		json_t *text = json_string(errors.list[i].field);

		/* It goes into an answer, so it is UTF-8. */
		if (!text)
			abort();
		json_decref(text);
	}
	for (size_t i = 0; rc == 0 && i < schema->n; i++) {
		check_text(&schema->fields[i], &body);
		check_number(&schema->fields[i], &body);
	}
	json_decref(doc);
	return 0;
}
