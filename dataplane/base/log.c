/*
 * Logging. A line is made in a buffer and leaves in one write(2), no longer than a pipe takes
 * atomically, so lines of several threads never mix.
 *
 * What is printed may come from outside. Bytes that are not printable UTF-8 become \xNN, and so do
 * the line separators and the direction marks of Unicode: nothing can start, hide or reorder a
 * line.
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { MESSAGE_MAX = 2048, TAIL_MAX = 8 /* for ..."} and the line's end */ };

static enum log_level max_level = LOG_INFO;
static enum log_format line_format = LOG_TEXT;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

struct line {
	size_t len;
	bool cut;
	char text[PIPE_BUF];
};

void log_init(enum log_level level, enum log_format format)
{
	max_level = level;
	line_format = format;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

/* Appends all of it or nothing, and nothing more once something was left out. */
static void line_add(struct line *l, const char *text, size_t n)
{
	if (l->cut || n > sizeof(l->text) - TAIL_MAX - l->len) {
		l->cut = true;
		return;
	}
	memcpy(l->text + l->len, text, n);
	l->len += n;
}

static void line_adds(struct line *l, const char *text)
{
	line_add(l, text, strlen(text));
}

/* There is always room for these. */
static void line_finish(struct line *l, const char *tail)
{
	if (l->cut) {
		memcpy(l->text + l->len, "...", 3);
		l->len += 3;
	}
	memcpy(l->text + l->len, tail, strlen(tail));
	l->len += strlen(tail);
}

/* Length of the well-formed sequence at p (RFC 3629 section 4) and its code point, or 0. */
static size_t utf8_next(const uint8_t *p, size_t left, uint32_t *code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);

	if (n > left || (p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return n;
}

static bool is_printable(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if (c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e))
		return false;
	return !(c >= 0x2066 && c <= 0x2069) && c != 0x061c && c != 0xfeff;
}

static void line_add_byte(struct line *l, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	const char text[] = {'\\', '\\', 'x', hex[byte >> 4], hex[byte & 15]};

	/* In JSON the backslash is itself escaped, so that both formats read the same. */
	if (line_format == LOG_JSON)
		line_add(l, text, 5);
	else
		line_add(l, text + 1, 4);
}

static void line_add_printable(struct line *l, const char *text, size_t n)
{
	const char quoted[] = {'\\', *text};

	if (line_format == LOG_JSON && (*text == '"' || *text == '\\'))
		line_add(l, quoted, 2);
	else
		line_add(l, text, n);
}

static void line_add_escaped(struct line *l, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t left = strlen(text);

	while (left > 0 && !l->cut) {
		uint32_t code = 0;
		size_t n = utf8_next(p, left, &code);

		if (n == 0 || !is_printable(code)) {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				line_add_byte(l, p[i]);
		} else {
			line_add_printable(l, (const char *)p, n);
		}
		p += n;
		left -= n;
	}
}

static void format_text(struct line *l, const char *time, enum log_level level,
	const char *subsystem, const char *message)
{
	line_adds(l, time);
	line_adds(l, " ");
	line_adds(l, level_names[level]);
	line_adds(l, " ");
	line_add_escaped(l, subsystem);
	line_adds(l, ": ");
	line_add_escaped(l, message);
	line_finish(l, "\n");
}

static void format_json(struct line *l, const char *time, enum log_level level,
	const char *subsystem, const char *message)
{
	line_adds(l, "{\"time\":\"");
	line_adds(l, time);
	line_adds(l, "\",\"level\":\"");
	line_adds(l, level_names[level]);
	line_adds(l, "\",\"subsystem\":\"");
	line_add_escaped(l, subsystem);
	line_adds(l, "\",\"message\":\"");
	line_add_escaped(l, message);
	line_finish(l, "\"}\n");
}

void log_write(enum log_level level, const char *subsystem, const char *fmt, ...)
{
	struct clock clock = clock_system();
	int saved = errno;
	char message[MESSAGE_MAX];
	char time[CLOCK_TEXT];
	struct line line;
	ssize_t sent;
	va_list args;

	if (!log_enabled(level))
		return;
	line.len = 0;
	line.cut = false;
	va_start(args, fmt);
	if (vsnprintf(message, sizeof(message), fmt, args) < 0)
		message[0] = '\0';
	va_end(args);
	clock_format_ms(clock_real_ms(&clock), time);
	if (line_format == LOG_JSON)
		format_json(&line, time, level, subsystem, message);
	else
		format_text(&line, time, level, subsystem, message);
	do
		sent = write(STDERR_FILENO, line.text, line.len);
	while (sent < 0 && errno == EINTR);
	errno = saved;
}
