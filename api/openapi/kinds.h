/*
 * How each kind of value looks to a caller: JSON Schema (2020-12) and an example.
 */
#ifndef API_OPENAPI_KINDS_H
#define API_OPENAPI_KINDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/json_in.h"
#include "api/json_out.h"

struct value_kind {
	const char *type;
	const char *format, *pattern; /* NULL: none */
	const char *values;	      /* all there are, separated by spaces; NULL: any */
	unsigned min;		      /* shortest text */
	bool whole;		      /* a number that is not negative */
	const char *example;	      /* text as it is, anything else as JSON */
};

extern const struct value_kind in_kinds[IN_KINDS], out_kinds[OUT_KINDS];

/* The schema; max: longest text, 0 for any length. Returns: owned, or NULL. */
json_t *kind_schema(const struct value_kind *k, unsigned max, bool nullable);
/* example, or the kind's own when that is NULL; "" is null where that may be. Returns: owned, or
 * NULL. */
json_t *kind_example(const struct value_kind *k, const char *example, bool nullable);

#endif
