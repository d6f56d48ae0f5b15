/*
 * JSON Schemas and examples of bodies and answers' objects, from their tables. Everything returned
 * is owned, and NULL when there is no memory.
 */
#ifndef API_OPENAPI_SCHEMA_H
#define API_OPENAPI_SCHEMA_H

#include <jansson.h>

#include "api/json_in.h"
#include "api/json_out.h"

/* What a schema is called in the document: a body and an answer may share a name. */
enum { SCHEMA_NAME = 64 };
const char *schema_body_name(const struct json_schema *s, char *buf);

/* {"$ref": "#/components/schemas/NAME"} */
json_t *schema_ref(const char *name);
json_t *schema_of_body(const struct json_schema *s);
json_t *schema_of_object(const struct json_object *o);
json_t *schema_body_example(const struct json_schema *s);
json_t *schema_object_example(const struct json_object *o);
/* A page of a list of them. */
json_t *schema_of_page(const struct json_object *o);
json_t *schema_page_example(const struct json_object *o);

#endif
