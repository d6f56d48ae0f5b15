#include "api/cli/sse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sse_init(struct sse *s, void (*on_event)(void *arg, const struct sse_event *e), void *arg)
{
	char id[SSE_ID];

	memcpy(id, s->id, sizeof(id));
	*s = (struct sse){.on_event = on_event, .arg = arg};
	memcpy(s->id, id, sizeof(id));
}

void sse_fini(struct sse *s)
{
	free(s->line);
	free(s->data);
	s->line = s->data = NULL;
}

/* Grows by powers of two; always terminated. */
static int append(char **buf, size_t *len, const char *bytes, size_t n)
{
	size_t cap = 256;
	char *bigger;

	if (n > SSE_MAX - *len)
		return -EMSGSIZE;
	while (cap < *len + n + 1)
		cap *= 2;
	bigger = realloc(*buf, cap);
	if (!bigger)
		return -ENOMEM;
	memcpy(bigger + *len, bytes, n);
	*len += n;
	bigger[*len] = '\0';
	*buf = bigger;
	return 0;
}

/* ---- fields ---- */

static int take_data(struct sse *s, const char *value)
{
	int rc = s->has_data ? append(&s->data, &s->data_len, "\n", 1) : 0;

	if (rc == 0)
		rc = append(&s->data, &s->data_len, value, strlen(value));
	s->has_data = true;
	return rc;
}

static int take_type(struct sse *s, const char *value)
{
	snprintf(s->type, sizeof(s->type), "%s", value);
	return 0;
}

/* It goes into a header of the next request, so it is kept only whole and printable. */
static int take_id(struct sse *s, const char *value)
{
	for (const char *p = value; *p; p++)
		if ((unsigned char)*p < 0x21 || (unsigned char)*p > 0x7e)
			return 0;
	if (strlen(value) < sizeof(s->id))
		snprintf(s->id, sizeof(s->id), "%s", value);
	return 0;
}

static int take_retry(struct sse *s, const char *value)
{
	if (value[0] != '\0' && strlen(value) <= 6 && strspn(value, "0123456789") == strlen(value))
		s->retry_ms = (uint32_t)strtoul(value, NULL, 10);
	return 0;
}

static int take_field(struct sse *s, const char *name, const char *value)
{
	static const struct {
		const char *name;
		int (*take)(struct sse *s, const char *value);
	} fields[] = {
		{"data", take_data}, {"event", take_type}, {"id", take_id}, {"retry", take_retry}};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].take(s, value);
	return 0; /* comments (no name) and what is not known are passed over */
}

static void dispatch(struct sse *s)
{
	const struct sse_event e = {
		.type = s->type[0] ? s->type : "message", .id = s->id, .data = s->data};

	if (s->has_data)
		s->on_event(s->arg, &e);
	s->data_len = 0;
	s->has_data = false;
	s->type[0] = '\0';
}

/* ---- lines ---- */

/* One mark of byte order may stand in front of everything. */
static void skip_mark(struct sse *s)
{
	static const char mark[] = "\xef\xbb\xbf";

	if (!s->begun && s->line_len >= 3 && memcmp(s->line, mark, 3) == 0) {
		s->line_len -= 3;
		memmove(s->line, s->line + 3, s->line_len + 1);
	}
	s->begun = true;
}

static int take_line(struct sse *s)
{
	char *line = s->line, *colon;
	int rc;

	skip_mark(s);
	if (s->line_len == 0) {
		dispatch(s);
		return 0;
	}
	colon = strchr(line, ':');
	if (colon) {
		*colon = '\0';
		colon += colon[1] == ' ' ? 2 : 1;
	}
	rc = take_field(s, line, colon ? colon : "");
	s->line_len = 0;
	return rc;
}

int sse_feed(struct sse *s, const char *bytes, size_t n)
{
	int rc = 0;

	while (n > 0 && rc == 0) {
		size_t len = 0;

		/* The newline of a CR that ended the piece before. */
		if (s->after_cr && *bytes == '\n') {
			s->after_cr = false;
			bytes++;
			n--;
			continue;
		}
		s->after_cr = false;
		while (len < n && bytes[len] != '\r' && bytes[len] != '\n')
			len++;
		rc = append(&s->line, &s->line_len, bytes, len);
		if (rc == 0 && len < n) {
			s->after_cr = bytes[len] == '\r';
			rc = take_line(s);
			len++;
		}
		bytes += len;
		n -= len;
	}
	return rc;
}
