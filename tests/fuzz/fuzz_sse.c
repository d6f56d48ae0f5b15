/*
 * Events out of a stream: whichever way it is cut, they are the same; and what users may have
 * written in them is harmless on a terminal. The first byte says how it is cut.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/sse.h"
#include "api/cli/text.h"

struct seen {
	uint64_t hash;
	unsigned n;
};

static void mix(struct seen *s, const char *text)
{
	for (; *text; text++)
		s->hash = (s->hash ^ (unsigned char)*text) * 1099511628211U;
	s->hash = (s->hash ^ 0xffff) * 1099511628211U;
}

static void on_event(void *arg, const struct sse_event *e)
{
	struct seen *s = arg;
	char *plain = text_plain(e->data);

	if (!plain || strlen(e->id) >= SSE_ID || strlen(e->type) >= SSE_TYPE)
		abort();
	for (const char *p = plain; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			abort();
	if (plain[text_fit(plain, text_width(plain))] != '\0')
		abort();
	free(plain);
	mix(s, e->type);
	mix(s, e->id);
	mix(s, e->data);
	s->n++;
}

static int feed(const char *bytes, size_t n, size_t piece, struct seen *s)
{
	struct sse p = {.id = ""};
	int rc = 0;

	*s = (struct seen){.hash = 14695981039346656037U};
	sse_init(&p, on_event, s);
	for (size_t at = 0; at < n && rc == 0; at += piece)
		rc = sse_feed(&p, bytes + at, n - at < piece ? n - at : piece);
	sse_fini(&p);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole, cut;
	const char *bytes = (const char *)data + 1;

	if (size < 2)
		return 0;
	if (feed(bytes, size - 1, size, &whole) != feed(bytes, size - 1, 1 + data[0] % 16, &cut) ||
		whole.n != cut.n || whole.hash != cut.hash)
		abort();
	return 0;
}
