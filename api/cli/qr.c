/* A QR code on a terminal: two rows of modules a line, dark on light whatever the colours are. */
#include <qrencode.h>
#include <stdio.h>

#include "api/cli/profile.h"
#include "base/secret.h"

enum { QUIET = 2 };

static bool is_dark(const QRcode *qr, int x, int y)
{
	const bool inside = x >= 0 && y >= 0 && x < qr->width && y < qr->width;

	return inside && (qr->data[y * qr->width + x] & 1);
}

/* Light is what is drawn, in white on black. */
static void draw_line(const QRcode *qr, int y)
{
	static const char *const blocks[2][2] = {
		/* upper light, lower light: full; only the upper; only the lower; none */
		{"\xe2\x96\x88", "\xe2\x96\x80"},
		{"\xe2\x96\x84", " "},
	};

	fputs("\033[97;40m", stdout);
	for (int x = -QUIET; x < qr->width + QUIET; x++)
		fputs(blocks[is_dark(qr, x, y)][is_dark(qr, x, y + 1)], stdout);
	fputs("\033[0m\n", stdout);
}

enum exit_code qr_draw(const char *text)
{
	QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);

	if (!qr)
		return fail("it is too long for a QR code");
	for (int y = -QUIET; y < qr->width + QUIET; y += 2)
		draw_line(qr, y);
	secret_wipe(qr->data, (size_t)qr->width * (size_t)qr->width);
	QRcode_free(qr);
	return EXIT_FINE;
}
