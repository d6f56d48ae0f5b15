/*
 * The OpenAPI document: made once, at start, from the tables that the API runs on.
 */
#ifndef API_OPENAPI_OPENAPI_H
#define API_OPENAPI_OPENAPI_H

#include <stddef.h>

#include "base/compiler.h"

enum { OPENAPI_ETAG = 24 };

struct openapi {
	char *text; /* JSON */
	size_t len;
	char etag[OPENAPI_ETAG]; /* changes when the text does */
};

/* Call after memory_adopt_json. Returns: 0, -ENOMEM, -EIO. */
int openapi_make(struct openapi *out) must_check;
void openapi_fini(struct openapi *o);

#endif
