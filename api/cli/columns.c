#include "api/cli/columns.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "api/cli/text.h"
#include "base/compiler.h"

enum { GAP = 2, LEAST = 6, COLUMNS_MAX = 16, SHORT = 24 };

/* ---- values ---- */

static const char *scaled(double n, double base, const char *const *units, size_t last, char *buf)
{
	size_t i = 0;

	while (n >= base && i < last) {
		n /= base;
		i++;
	}
	snprintf(buf, SHORT, i == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[i]);
	return buf;
}

const char *columns_bytes(uint64_t n, char *buf)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

	return scaled((double)n, 1024, units, ARRAY_SIZE(units) - 1, buf);
}

const char *columns_rate(uint64_t bits, char *buf)
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s"};

	return scaled((double)bits, 1000, units, ARRAY_SIZE(units) - 1, buf);
}

const json_t *columns_member(const json_t *row, const char *path)
{
	char name[64];

	while (row && *path) {
		const size_t n = strcspn(path, ".");

		if (n >= sizeof(name))
			return NULL;
		memcpy(name, path, n);
		name[n] = '\0';
		row = json_object_get(row, name);
		path += n + (path[n] == '.');
	}
	return row;
}

static const char *number_text(const json_t *v, enum column_kind kind, char *buf)
{
	const json_int_t n = json_integer_value(v);
	const uint64_t u = n < 0 ? 0 : (uint64_t)n;

	if (kind == COLUMN_BYTES)
		return columns_bytes(u, buf);
	if (kind == COLUMN_RATE)
		return columns_rate(u, buf);
	snprintf(buf, SHORT, "%lld", (long long)n);
	return buf;
}

/* "2026-01-02T03:04:05.678Z" without the milliseconds and the T. */
static char *time_text(const char *text)
{
	char *out = text_plain(text);
	char *dot = out ? strchr(out, '.') : NULL;

	if (dot && strlen(out) == 24) {
		memcpy(dot, "Z", 2);
		out[10] = ' ';
	}
	return out;
}

/* A list of texts, with commas between them. */
static char *list_text(const json_t *v)
{
	char joined[512] = "";
	const json_t *one;
	size_t i, at = 0;

	json_array_foreach(v, i, one)
	{
		const char *text = json_string_value(one);

		if (text && at < sizeof(joined))
			at += (size_t)snprintf(
				joined + at, sizeof(joined) - at, "%s%s", i ? ", " : "", text);
	}
	return text_plain(joined);
}

/* Returns: owned and plain; NULL when there is no memory. */
static char *cell_of(const json_t *row, const struct column *c)
{
	const json_t *v = columns_member(row, c->member);
	char buf[SHORT];

	if (json_is_boolean(v))
		return strdup(json_is_true(v) ? "yes" : "no");
	if (json_is_integer(v))
		return strdup(number_text(v, c->kind, buf));
	if (json_is_array(v))
		return list_text(v);
	if (!json_is_string(v))
		return strdup(c->kind == COLUMN_YES ? "no" : "-");
	return c->kind == COLUMN_TIME ? time_text(json_string_value(v))
				      : text_plain(json_string_value(v));
}

/* ---- layout ---- */

struct sheet {
	const struct column *columns;
	size_t n, rows;
	char **cells; /* rows x n, owned; NULL: no memory for it */
	size_t width[COLUMNS_MAX];
};

static void sheet_fini(struct sheet *s)
{
	for (size_t i = 0; s->cells && i < s->rows * s->n; i++)
		free(s->cells[i]);
	free(s->cells);
}

static bool sheet_fill(struct sheet *s, const json_t *rows)
{
	const json_t *row;
	size_t r;

	s->rows = json_array_size(rows);
	s->cells = calloc(s->rows * s->n + 1, sizeof(*s->cells));
	if (!s->cells)
		return false;
	for (size_t k = 0; k < s->n; k++)
		s->width[k] = strlen(s->columns[k].title);
	json_array_foreach(rows, r, row)
	{
		for (size_t k = 0; k < s->n; k++) {
			char *cell = s->cells[r * s->n + k] = cell_of(row, &s->columns[k]);
			const size_t width = cell ? text_width(cell) : 0;

			s->width[k] = width > s->width[k] ? width : s->width[k];
		}
	}
	return true;
}

/* The widest gives, as long as there is one that can. */
static void squeeze(struct sheet *s, size_t width)
{
	size_t total = 0;

	for (size_t k = 0; k < s->n; k++)
		total += s->width[k] + (k ? GAP : 0);
	while (width && total > width) {
		size_t widest = 0;

		for (size_t k = 1; k < s->n; k++)
			if (s->width[k] > s->width[widest])
				widest = k;
		if (s->width[widest] <= LEAST)
			return;
		s->width[widest]--;
		total--;
	}
}

static bool to_the_right(enum column_kind kind)
{
	return kind == COLUMN_NUMBER || kind == COLUMN_BYTES || kind == COLUMN_RATE;
}

/* What fits, and "..." when that is not all; then as many blanks as are missing. */
static void put_cell(FILE *out, const struct sheet *s, size_t k, const char *text)
{
	const size_t room = s->width[k];
	const bool cut = text_width(text) > room;
	const size_t fit = cut ? text_fit(text, room - 3) : strlen(text);
	char *shown = NULL;
	int pad;

	if (asprintf(&shown, "%.*s%s", (int)fit, text, cut ? "..." : "") < 0)
		return;
	pad = (int)(room - text_width(shown));
	if (k > 0)
		fprintf(out, "%*s", GAP, "");
	if (to_the_right(s->columns[k].kind))
		fprintf(out, "%*s%s", pad, "", shown);
	else
		fprintf(out, "%s%*s", shown, k + 1 < s->n ? pad : 0, "");
	free(shown);
}

void columns_print(FILE *out, size_t width, const struct column *c, size_t n, const json_t *rows)
{
	struct sheet s cleanup(sheet_fini) = {.columns = c, .n = n < COLUMNS_MAX ? n : COLUMNS_MAX};

	if (!sheet_fill(&s, rows))
		return;
	squeeze(&s, width);
	for (size_t k = 0; k < s.n; k++)
		put_cell(out, &s, k, c[k].title);
	fputc('\n', out);
	for (size_t r = 0; r < s.rows; r++) {
		for (size_t k = 0; k < s.n; k++) {
			const char *cell = s.cells[r * s.n + k];

			put_cell(out, &s, k, cell ? cell : "?");
		}
		fputc('\n', out);
	}
}

void columns_details(FILE *out, const struct column *c, size_t n, const json_t *row)
{
	size_t widest = 0;

	for (size_t k = 0; k < n; k++)
		if (strlen(c[k].title) > widest)
			widest = strlen(c[k].title);
	for (size_t k = 0; k < n; k++) {
		char *cell = cell_of(row, &c[k]);

		fprintf(out, "%-*s  %s\n", (int)widest, c[k].title, cell ? cell : "?");
		free(cell);
	}
}

size_t columns_width(FILE *out)
{
	struct winsize w = {.ws_col = 0};

	if (!isatty(fileno(out)))
		return 0;
	return ioctl(fileno(out), TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}
