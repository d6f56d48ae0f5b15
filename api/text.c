#include "api/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/memory.h"

enum { FIRST = 1024 };

/* Makes room for n bytes and a NUL. */
static bool reserve(struct text *t, size_t n)
{
	size_t cap = t->cap ? t->cap : FIRST;
	char *grown;

	if (t->failed)
		return false;
	while (cap <= t->len + n)
		cap *= 2;
	if (cap == t->cap)
		return true;
	grown = memory_alloc(cap);
	if (!grown) {
		t->failed = true;
		return false;
	}
	if (t->len > 0)
		memcpy(grown, t->at, t->len);
	memory_free(t->at);
	t->at = grown;
	t->cap = cap;
	return true;
}

void text_put(struct text *t, const char *bytes, size_t n)
{
	if (!reserve(t, n))
		return;
	memcpy(t->at + t->len, bytes, n);
	t->len += n;
	t->at[t->len] = '\0';
}

void text_add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	if (!reserve(t, 0))
		return;
	va_start(args, fmt);
	n = vsnprintf(t->at + t->len, t->cap - t->len, fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n >= t->cap - t->len) {
		if (!reserve(t, (size_t)n))
			return;
		va_start(args, fmt);
		n = vsnprintf(t->at + t->len, t->cap - t->len, fmt, args);
		va_end(args);
	}
	if (n < 0)
		t->failed = true;
	else
		t->len += (size_t)n;
}

void text_free(struct text *t)
{
	memory_free(t->at);
	memset(t, 0, sizeof(*t));
}

char *text_take(struct text *t, size_t *len)
{
	char *at;

	if (t->failed || !reserve(t, 0)) {
		text_free(t);
		return NULL;
	}
	at = t->at;
	*len = t->len;
	memset(t, 0, sizeof(*t));
	return at;
}
