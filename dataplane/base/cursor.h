/*
 * Sticky-error cursors over byte buffers, little-endian unless the name says be.
 *
 * The first short read or write makes the cursor bad for good; reads then yield zeros and writes
 * nothing. Ask once at the end. A reader that has not consumed everything is bad as well, because
 * trailing bytes are refused everywhere.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

struct writer {
	uint8_t *start;
	uint8_t *at;
	uint8_t *end;
	bool bad;
};

/* Borrows buf for the life of the cursor. */
struct reader reader_init(const void *buf, size_t len);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
void reader_bytes(struct reader *r, void *out, size_t n);
/* The same in network order. */
uint16_t reader_be16(struct reader *r);
uint32_t reader_be32(struct reader *r);
/* Borrowed view of the next n bytes, or NULL when they are not there. */
const uint8_t *reader_view(struct reader *r, size_t n);
size_t reader_left(const struct reader *r);
/* Returns: 0 when nothing was short and nothing is left over, -EBADMSG otherwise. */
int reader_end(const struct reader *r) must_check;

struct writer writer_init(void *buf, size_t cap);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_be16(struct writer *w, uint16_t v);
void writer_be32(struct writer *w, uint32_t v);
void writer_be64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *p, size_t n);
size_t writer_len(const struct writer *w);
/* Returns: 0 when everything fitted, -EMSGSIZE otherwise. */
int writer_end(const struct writer *w) must_check;

#endif
