/*
 * Text that grows, for answers that are no JSON document or would be too large a tree: metrics,
 * series of points, events. The first failure makes it bad for good; ask once, at the end.
 */
#ifndef API_TEXT_H
#define API_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct text {
	char *at; /* from memory_alloc, owned, ends in NUL */
	size_t len, cap;
	bool failed;
};

void text_add(struct text *t, const char *fmt, ...) printf_like(2, 3);
void text_put(struct text *t, const char *bytes, size_t n);
/* Frees; for the cleanup attribute. */
void text_free(struct text *t);
/* Returns: the text, owned (memory_free), or NULL when there was no memory. */
char *text_take(struct text *t, size_t *len);

#endif
