/*
 * Cursors: every read and write asks one question, whether n bytes are left, in one place.
 */
#include "base/cursor.h"

#include <errno.h>
#include <string.h>

struct reader reader_init(const void *buf, size_t len)
{
	static const uint8_t nothing[1];
	const uint8_t *start = len ? buf : nothing;

	return (struct reader){.at = start, .end = start + len};
}

const uint8_t *reader_view(struct reader *r, size_t n)
{
	const uint8_t *view = r->at;

	if (r->bad || n > (size_t)(r->end - r->at)) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return view;
}

/* Little-endian number of n <= 8 bytes. */
static uint64_t reader_number(struct reader *r, size_t n)
{
	const uint8_t *p = reader_view(r, n);
	uint64_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)reader_number(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)reader_number(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)reader_number(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
	return reader_number(r, 8);
}

static uint32_t reader_big(struct reader *r, size_t n)
{
	const uint8_t *p = reader_view(r, n);
	uint32_t v = 0;

	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint16_t reader_be16(struct reader *r)
{
	return (uint16_t)reader_big(r, 2);
}

uint32_t reader_be32(struct reader *r)
{
	return reader_big(r, 4);
}

void reader_bytes(struct reader *r, void *out, size_t n)
{
	const uint8_t *p = reader_view(r, n);

	if (n == 0)
		return;
	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

size_t reader_left(const struct reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

int reader_end(const struct reader *r)
{
	return r->bad || r->at != r->end ? -EBADMSG : 0;
}

struct writer writer_init(void *buf, size_t cap)
{
	static uint8_t nothing[1];
	uint8_t *start = cap ? buf : nothing;

	return (struct writer){.start = start, .at = start, .end = start + cap};
}

/* The next n bytes to be filled, or NULL. */
static uint8_t *writer_claim(struct writer *w, size_t n)
{
	uint8_t *at = w->at;

	if (w->bad || n > (size_t)(w->end - w->at)) {
		w->bad = true;
		return NULL;
	}
	w->at += n;
	return at;
}

static void writer_number(struct writer *w, uint64_t v, size_t n)
{
	uint8_t *p = writer_claim(w, n);

	for (size_t i = 0; p && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void writer_u8(struct writer *w, uint8_t v)
{
	writer_number(w, v, 1);
}

void writer_u16(struct writer *w, uint16_t v)
{
	writer_number(w, v, 2);
}

void writer_u32(struct writer *w, uint32_t v)
{
	writer_number(w, v, 4);
}

void writer_u64(struct writer *w, uint64_t v)
{
	writer_number(w, v, 8);
}

static void writer_big(struct writer *w, uint64_t v, size_t n)
{
	uint8_t *p = writer_claim(w, n);

	for (size_t i = 0; p && i < n; i++)
		p[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

void writer_be16(struct writer *w, uint16_t v)
{
	writer_big(w, v, 2);
}

void writer_be32(struct writer *w, uint32_t v)
{
	writer_big(w, v, 4);
}

void writer_be64(struct writer *w, uint64_t v)
{
	writer_big(w, v, 8);
}

void writer_bytes(struct writer *w, const void *p, size_t n)
{
	uint8_t *at = writer_claim(w, n);

	if (at && n)
		memcpy(at, p, n);
}

size_t writer_len(const struct writer *w)
{
	return (size_t)(w->at - w->start);
}

int writer_end(const struct writer *w)
{
	return w->bad ? -EMSGSIZE : 0;
}
