/* Objects of the API as aligned tables, or one of them as lines. */
#ifndef API_CLI_COLUMNS_H
#define API_CLI_COLUMNS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum column_kind {
	COLUMN_TEXT,
	COLUMN_TIME,   /* without its milliseconds */
	COLUMN_NUMBER, /* to the right */
	COLUMN_BYTES,  /* 1.5 MiB, to the right */
	COLUMN_RATE,   /* bits/s: 1.5 Mbit/s, to the right */
	COLUMN_YES,    /* yes or no */
};

struct column {
	const char *title;
	const char *member; /* "status.connected": a path */
	enum column_kind kind;
};

/* The rows (an array of objects) under their titles. What users wrote is made plain (text.h). In
 * width columns: too long texts end in "...", the widest first; 0: as wide as it is. */
void columns_print(FILE *out, size_t width, const struct column *c, size_t n, const json_t *rows);
/* One object: a line for each. */
void columns_details(FILE *out, const struct column *c, size_t n, const json_t *row);
/* How wide out is: 0 when it is no terminal. */
size_t columns_width(FILE *out);

/* "1.5 MiB"; buf has 24 bytes, returned. */
const char *columns_bytes(uint64_t n, char *buf);
/* "1.5 Mbit/s"; the same. */
const char *columns_rate(uint64_t bits, char *buf);
/* The member at that path, or NULL. Borrowed. */
const json_t *columns_member(const json_t *row, const char *path);

#endif
