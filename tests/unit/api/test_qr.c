/* The QR code's path, drawn again and compared with the code's own modules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <qrencode.h>

#include "api/handlers/handlers.h"
#include "api/memory.h"

enum { SIDE = 200 };

/* Walks "M x y.5 h run m gap 0 h run ..." */
static void draw(const char *d, unsigned char canvas[SIDE][SIDE])
{
	int x = 0, y = 0, run, used;

	while (*d && *d != '"') {
		if (sscanf(d, "M%d %d.5%n", &x, &y, &used) == 2) {
			d += used;
		} else if (sscanf(d, "m%d 0%n", &run, &used) == 1) {
			x += run;
			d += used;
		} else if (sscanf(d, "h%d%n", &run, &used) == 1) {
			assert_true(run > 0 && x >= 0 && x + run <= SIDE && y < SIDE);
			memset(&canvas[y][x], 1, (size_t)run);
			x += run;
			d += used;
		} else {
			fail_msg("%.20s", d);
		}
	}
}

static void compare(const char *text)
{
	static unsigned char canvas[SIDE][SIDE];
	char *svg = qr_svg(text);
	QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	const char *path;

	assert_non_null(svg);
	memset(canvas, 0, sizeof(canvas));
	path = strstr(svg, "stroke=\"#000\" d=\"");
	assert_non_null(path);
	draw(path + 17, canvas);
	for (int y = 0; y < qr->width + 8; y++) {
		for (int x = 0; x < qr->width + 8; x++) {
			const int qx = x - 4, qy = y - 4;
			const bool dark = qx >= 0 && qy >= 0 && qx < qr->width && qy < qr->width &&
					  (qr->data[qy * qr->width + qx] & 1);

			assert_int_equal(canvas[y][x], dark);
		}
	}
	QRcode_free(qr);
	memory_free(svg);
}

static void draws_what_was_encoded(void **state)
{
	char text[1500];

	(void)state;
	compare("a");
	for (size_t n = 10; n < sizeof(text) - 1; n += 211) {
		for (size_t i = 0; i < n; i++)
			text[i] = (char)('!' + (i * 7 + n) % 90);
		text[n] = '\0';
		compare(text);
	}
}

static void gives_up_on_what_does_not_fit(void **state)
{
	static char text[4000];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	assert_null(qr_svg(text));
	assert_null(qr_svg(""));
}

static void a_member_of_a_document(void **state)
{
	static char text[4000];
	json_t *doc = qr_added(json_object(), "a");

	(void)state;
	assert_int_equal(strncmp(json_string_value(json_object_get(doc, "qr_svg")), "<svg ", 5), 0);
	memset(text, 'a', sizeof(text) - 1);
	doc = qr_added(doc, text);
	assert_true(json_is_null(json_object_get(doc, "qr_svg")));
	json_decref(doc);
	assert_null(qr_added(NULL, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draws_what_was_encoded),
		cmocka_unit_test(gives_up_on_what_does_not_fit),
		cmocka_unit_test(a_member_of_a_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
