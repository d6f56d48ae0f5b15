/*
 * What an operation answers: its success, and the failures that it shares with others.
 */
#ifndef API_OPENAPI_ANSWERS_H
#define API_OPENAPI_ANSWERS_H

#include <jansson.h>

#include "api/openapi/docs.h"
#include "api/openapi/maker.h"

/* {media type: {schema, example}}; takes both. Everything returned is owned, or NULL. */
json_t *answers_content(const char *type, json_t *schema, json_t *example);
/* The responses of an operation. */
json_t *answers_of(struct maker *m, const struct route *r);
/* What those refer to: #/components/responses. */
json_t *answers_shared(struct maker *m);

#endif
