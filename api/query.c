#include "api/query.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "service/events.h"

/* Longest value: the names of all types of events. */
enum { VALUE_MAX = 160 };

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

static int id_parse(const char *text, const char *prefix, struct ulid *out)
{
	return strncmp(text, prefix, 4) == 0 ? ulid_parse(out, text + 4) : -EINVAL;
}

static int read_user_id(struct query *q, const char *text, unsigned takes)
{
	const int rc = id_parse(text, "usr_", &q->user_id);

	(void)takes;
	q->has_user_id = rc == 0;
	return rc;
}

static int read_actor(struct query *q, const char *text, unsigned takes)
{
	(void)takes;
	return id_parse(text, "usr_", &q->audit.actor);
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

static int read_device_id(struct query *q, const char *text, unsigned takes)
{
	const int err = id_parse(text, "dev_", &q->device_id);

	(void)takes;
	q->has_device_id = err == 0;
	return err;
}

static int read_from(struct query *q, const char *text, unsigned takes)
{
	(void)takes;
	return clock_parse_ms(text, &q->from);
}

static int read_to(struct query *q, const char *text, unsigned takes)
{
	(void)takes;
	return clock_parse_ms(text, &q->to);
}

static int read_step(struct query *q, const char *text, unsigned takes)
{
	static const struct {
		const char *name;
		uint32_t step;
	} steps[] = {{"1", 1}, {"60", 60}, {"3600", 3600}, {"86400", 86400}};

	(void)takes;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (strcmp(steps[i].name, text) != 0)
			continue;
		q->step = steps[i].step;
		return 0;
	}
	return -EINVAL;
}

/* Names with commas between them. */
static int read_types(struct query *q, const char *text, unsigned takes)
{
	(void)takes;
	for (const char *p = text;; p++) {
		const size_t n = strcspn(p, ",");
		enum event_type type;

		if (event_type_parse(p, n, &type))
			return -EINVAL;
		q->types |= 1U << type;
		p += n;
		if (*p == '\0')
			return 0;
	}
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
	{"device_id", QUERY_TRAFFIC, read_device_id, "is not the id of a device"},
	{"from", QUERY_TRAFFIC, read_from, "is not a time of RFC 3339"},
	{"to", QUERY_TRAFFIC, read_to, "is not a time of RFC 3339"},
	{"step", QUERY_TRAFFIC, read_step, "is not 1, 60, 3600 or 86400"},
	{"types", QUERY_TYPES, read_types, "is not a list of types of events with commas between"},
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

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return (c | 0x20) - 'a' + 10;
}

/* Text that is too long can't be anything we know, nor can a name with an escape in it. */
static void copy_name(char out[VALUE_MAX], const char *at, size_t n)
{
	if (n >= VALUE_MAX || memchr(at, '%', n))
		n = 0;
	memcpy(out, at, n);
	out[n] = '\0';
}

/* Escapes are resolved; the police saw to their form. */
static void copy_value(char out[VALUE_MAX], const char *at, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < VALUE_MAX; i++) {
		if (at[i] != '%') {
			out[len++] = at[i];
			continue;
		}
		out[len++] = (char)(hex_digit(at[i + 1]) << 4 | hex_digit(at[i + 2]));
		i += 2;
	}
	out[len < VALUE_MAX ? len : 0] = '\0';
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
		copy_name(name, p, (size_t)((equals ? equals : stop) - p));
		copy_value(value, equals ? equals + 1 : stop,
			equals ? (size_t)(stop - equals - 1) : 0);
		take(q, name, value, takes, &seen, e);
		p = stop + 1;
	}
}
