/* One operation of the OpenAPI document: a line of the route table and its doc_. */
#ifndef API_OPENAPI_OPERATION_H
#define API_OPENAPI_OPERATION_H

#include <jansson.h>

#include "api/openapi/docs.h"
#include "api/openapi/maker.h"

/* Returns: owned, or NULL. */
json_t *operation_of(struct maker *m, const struct route *r);

enum { OPERATION_PATH = 128 };
/* "/v1/users/{usr}" as "/v1/users/{id}", "/i/{txt}" as "/i/{text}"; buf has OPERATION_PATH bytes,
 * returned. */
const char *operation_path(const struct route *r, char *buf);

#endif
