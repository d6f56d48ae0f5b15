/*
 * A profile as a QR code, as SVG that scales: a white square and one path, each run of dark modules
 * a stroke, with relative moves so that it stays small.
 */
#include <qrencode.h>

#include "api/handlers/handlers.h"
#include "api/memory.h"
#include "api/text.h"
#include "base/secret.h"

enum { QUIET = 4 };

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
				text_add(t, "m%d 0h%d", x - pen, run);
			else
				text_add(t, "h%d", run);
			begun = true;
			pen = x + run;
		}
		x += run > 0 ? run : 1;
	}
}

static void draw(struct text *t, const QRcode *qr)
{
	const int w = qr->width, side = w + 2 * QUIET;

	text_add(t,
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
		text_add(t, "M%d %d.5", QUIET + first, QUIET + y);
		put_row(t, row + first, w - first);
	}
	text_add(t, "\"/></svg>");
}

char *qr_svg(const char *text)
{
	QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	struct text t = {.at = NULL};
	size_t len;

	if (!qr)
		return NULL;
	draw(&t, qr);
	secret_wipe(qr->data, (size_t)qr->width * (size_t)qr->width);
	QRcode_free(qr);
	return text_take(&t, &len);
}

json_t *qr_added(json_t *doc, const char *text)
{
	char *svg = qr_svg(text);
	const int err = json_object_set_new(doc, "qr_svg", svg ? json_string(svg) : json_null());

	memory_free(svg);
	if (!err)
		return doc;
	json_decref(doc);
	return NULL;
}
