/*
 * A document in the making. A value that could not be made is NULL; jansson refuses to set one, and
 * that makes the whole document bad.
 */
#ifndef API_OPENAPI_MAKER_H
#define API_OPENAPI_MAKER_H

#include <jansson.h>
#include <stdbool.h>

#include "api/json_in.h"
#include "api/json_out.h"

struct maker {
	json_t *schemas; /* by name: each once, with what it refers to */
	bool bad;
};

/* Both take v. */
void maker_put(struct maker *m, json_t *o, const char *name, json_t *v);
void maker_append(struct maker *m, json_t *list, json_t *v);

/* References to schemas, which are made when they are asked for first. Returns: owned, or NULL. */
json_t *maker_object(struct maker *m, const struct json_object *o);
json_t *maker_page(struct maker *m, const struct json_object *o);
json_t *maker_body(struct maker *m, const struct json_schema *s);

#endif
