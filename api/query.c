#include "api/query.h"

#include <errno.h>
#include <string.h>

/* Longest value: an action of the audit log. */
enum { VALUE_MAX = 40 };

const char *cursor_format(unsigned kind, const struct ulid *last, char *buf)
{
	uint8_t raw[CURSOR_BYTES];

	raw[0] = (uint8_t)kind;
	memcpy(raw + 1, last->bytes, sizeof(last->bytes));
	base64url_encode(raw, sizeof(raw), buf);
	return buf;
}

static int base64url_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int cursor_parse(const char *text, unsigned kind, struct ulid *after)
{
	uint8_t raw[CURSOR_BYTES] = {0};
	char again[CURSOR_TEXT];
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	if (strlen(text) != CURSOR_TEXT - 1)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		const int digit = base64url_digit(*p);

		if (digit < 0)
			return -EINVAL;
		bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
		have += 6;
		if (have >= 8 && n < sizeof(raw)) {
			have -= 8;
			raw[n++] = (uint8_t)(bits >> have);
		}
	}
	memcpy(after->bytes, raw + 1, sizeof(after->bytes));
	/* One cursor has one text: the spare bits at its end are zero. */
	if (raw[0] != kind || strcmp(cursor_format(kind, after, again), text) != 0)
		return -EINVAL;
	return 0;
}

/* ---- one function a parameter ---- */

static int read_limit(struct query *q, const char *text, unsigned takes)
{
	uint32_t n = 0;

	(void)takes;
	if (*text == '\0' || *text == '0' || strlen(text) > 3)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (uint32_t)(*text - '0');
	}
	if (n > SVC_LIMIT_MAX)
		return -EINVAL;
	q->page.limit = n;
	return 0;
}

static int read_cursor(struct query *q, const char *text, unsigned takes)
{
	return cursor_parse(text, takes & QUERY_KIND, &q->page.after);
}

static int user_id_parse(const char *text, struct ulid *out)
{
	return strncmp(text, "usr_", 4) == 0 ? ulid_parse(out, text + 4) : -EINVAL;
}

static int read_user_id(struct query *q, const char *text, unsigned takes)
{
	const int rc = user_id_parse(text, &q->user_id);

	(void)takes;
	q->has_user_id = rc == 0;
	return rc;
}

static int read_actor(struct query *q, const char *text, unsigned takes)
{
	(void)takes;
	return user_id_parse(text, &q->audit.actor);
}

/* The id of any kind of object: three letters, "_", a ULID. */
static int read_object(struct query *q, const char *text, unsigned takes)
{
	(void)takes;
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz") != 3 || text[3] != '_')
		return -EINVAL;
	memcpy(q->audit.object_kind, text, 3);
	return ulid_parse(&q->audit.object, text + 4);
}

static int read_action(struct query *q, const char *text, unsigned takes)
{
	const size_t n = strlen(text);

	(void)takes;
	if (n == 0 || n >= sizeof(q->audit.action) ||
		strspn(text, "abcdefghijklmnopqrstuvwxyz_.") != n)
		return -EINVAL;
	memcpy(q->audit.action, text, n + 1);
	return 0;
}

static const struct parameter {
	const char *name;
	unsigned needs;
	int (*read)(struct query *q, const char *text, unsigned takes);
	const char *wrong;
} parameters[] = {
	{"limit", QUERY_PAGE, read_limit, "is not a number from 1 to 500"},
	{"cursor", QUERY_PAGE, read_cursor, "is not a cursor of this list"},
	{"user_id", QUERY_USER_ID, read_user_id, "is not the id of a user"},
	{"actor", QUERY_AUDIT, read_actor, "is not the id of a user"},
	{"object", QUERY_AUDIT, read_object, "is not the id of an object"},
	{"action", QUERY_AUDIT, read_action, "is not an action like user.create"},
};

static void take(struct query *q, const char *name, const char *value, unsigned takes,
	unsigned *seen, struct field_errors *e)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(parameters) && strcmp(parameters[i].name, name) != 0)
		i++;
	if (i == ARRAY_SIZE(parameters) || !(takes & parameters[i].needs)) {
		field_errors_add(e, name, "is unknown");
		return;
	}
	if (*seen & 1U << i) {
		field_errors_add(e, name, "is there twice");
		return;
	}
	*seen |= 1U << i;
	if (parameters[i].read(q, value, takes))
		field_errors_add(e, name, "%s", parameters[i].wrong);
}

/* Copies a piece of the query; text that is too long or encoded can't be anything we know. */
static void copy(char out[VALUE_MAX], const char *at, size_t n)
{
	if (n >= VALUE_MAX || memchr(at, '%', n))
		n = 0;
	memcpy(out, at, n);
	out[n] = '\0';
}

void query_read(struct query *q, struct span raw, unsigned takes, struct field_errors *e)
{
	const char *p = raw.at, *end = raw.at ? raw.at + raw.len : NULL;
	unsigned seen = 0;

	memset(q, 0, sizeof(*q));
	q->page.limit = QUERY_LIMIT;
	if (takes & QUERY_IGNORED)
		return;
	while (p && p < end) {
		char name[VALUE_MAX], value[VALUE_MAX];
		const char *stop = memchr(p, '&', (size_t)(end - p));
		const char *equals;

		stop = stop ? stop : end;
		equals = memchr(p, '=', (size_t)(stop - p));
		copy(name, p, (size_t)((equals ? equals : stop) - p));
		copy(value, equals ? equals + 1 : stop, equals ? (size_t)(stop - equals - 1) : 0);
		take(q, name, value, takes, &seen, e);
		p = stop + 1;
	}
}
