/*
 * Server-sent events (the WHATWG's HTML, 9.2.6) out of pieces of any size. Pure.
 *
 * What has no end is bounded: an event that is longer than SSE_MAX ends the stream.
 */
#ifndef API_CLI_SSE_H
#define API_CLI_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { SSE_MAX = 256 * 1024, SSE_ID = 64, SSE_TYPE = 64 };

struct sse_event {
	const char *type; /* "message" when the stream names none */
	const char *id;	  /* the last one that was named, "" for none */
	const char *data; /* lines with newlines between them, terminated */
};

struct sse {
	void (*on_event)(void *arg, const struct sse_event *e); /* borrows e for the call */
	void *arg;
	char *line, *data; /* owned */
	size_t line_len, data_len;
	bool has_data, after_cr, begun;
	char type[SSE_TYPE], id[SSE_ID];
	uint32_t retry_ms; /* what the server asks for; 0: nothing */
};

/* The id of an earlier stream goes on counting: s->id is kept over init, "" at first. */
void sse_init(struct sse *s, void (*on_event)(void *arg, const struct sse_event *e), void *arg);
void sse_fini(struct sse *s);
/* Returns: 0, -EMSGSIZE (an event is too long), -ENOMEM; the stream is then of no more use. */
int sse_feed(struct sse *s, const char *bytes, size_t n) must_check;

#endif
