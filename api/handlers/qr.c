/*
 * A profile as a QR code, as SVG that scales: a white square and one path, each run of dark modules
 * a stroke, with relative moves so that it stays small.
 */
#include <errno.h>
#include <qrencode.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/handlers/handlers.h"
#include "api/memory.h"
#include "base/secret.h"

enum { QUIET = 4 };

struct text {
	char *at;
	size_t len, cap;
};

static void put(struct text *t, const char *fmt, ...) printf_like(2, 3);
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at ? t->at + t->len : NULL, t->at ? t->cap - t->len : 0, fmt, ap);
	va_end(ap);
	t->len += n > 0 ? (size_t)n : 0;
}

static void put_row(struct text *t, const unsigned char *row, int width)
{
	int pen = 0; /* where the stroke before this one ended */
	bool begun = false;

	for (int x = 0; x < width;) {
		int run = 0;

		while (x + run < width && (row[x + run] & 1))
			run++;
		if (run > 0) {
			if (begun)
				put(t, "m%d 0h%d", x - pen, run);
			else
				put(t, "h%d", run);
			begun = true;
			pen = x + run;
		}
		x += run > 0 ? run : 1;
	}
}

static void draw(struct text *t, const QRcode *qr)
{
	const int w = qr->width, side = w + 2 * QUIET;

	put(t,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
		"shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/>"
		"<path stroke=\"#000\" d=\"",
		side, side, side, side);
	for (int y = 0; y < w; y++) {
		const unsigned char *row = qr->data + (size_t)y * (size_t)w;
		int first = 0;

		while (first < w && !(row[first] & 1))
			first++;
		if (first == w)
			continue;
		put(t, "M%d %d.5", QUIET + first, QUIET + y);
		put_row(t, row + first, w - first);
	}
	put(t, "\"/></svg>");
}

char *qr_svg(const char *text)
{
	QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	struct text t = {.at = NULL};

	if (!qr)
		return NULL;
	/* Once to measure, once to write. */
	draw(&t, qr);
	t.cap = t.len + 1;
	t.len = 0;
	t.at = memory_alloc(t.cap);
	if (t.at)
		draw(&t, qr);
	secret_wipe(qr->data, (size_t)qr->width * (size_t)qr->width);
	QRcode_free(qr);
	return t.at;
}
