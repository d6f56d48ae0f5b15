#include "api/routes.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "api/bodies.h"
#include "api/handlers/handlers.h"

#define ROUTE_CHECK(method, pattern, lane, access, query, body, handler)                           \
	static_assert((access) != 0, "every route says who may call it");                          \
	static_assert(((access)&ACCESS_PUBLIC) == 0 || (access) == ACCESS_PUBLIC,                  \
		"a public route has no roles");
ROUTES(ROUTE_CHECK)
#undef ROUTE_CHECK

#define ROUTE_ROW(method, pattern, lane, access, query, body, handler)                             \
	{HTTP_##method, pattern, #handler, LANE_##lane, access, query, body, handle_##handler},
const struct route routes[] = {ROUTES(ROUTE_ROW)};
#undef ROUTE_ROW
const size_t n_routes = ARRAY_SIZE(routes);

bool route_has_id(const struct route *r)
{
	const char *brace = strchr(r->pattern, '{');

	return brace && strncmp(brace, "{txt}", 5) != 0;
}

unsigned access_of_role(enum svc_role r)
{
	return 1U << r;
}

const char *route_action(const struct route *r, char *buf)
{
	char *gap;

	snprintf(buf, ACTION_TEXT, "%s", r->name);
	gap = strchr(buf, '_');
	if (gap)
		*gap = '.';
	return buf;
}

/* "usr_01..." against the kind "usr". */
static bool parse_id(struct span segment, const char *kind, struct ulid *out)
{
	char text[ULID_TEXT];

	if (segment.len != 4 + ULID_TEXT - 1 || memcmp(segment.at, kind, 3) != 0 ||
		segment.at[3] != '_')
		return false;
	memcpy(text, segment.at + 4, ULID_TEXT - 1);
	text[ULID_TEXT - 1] = '\0';
	return ulid_parse(out, text) == 0;
}

/* "{usr}" takes any one segment; whether it is an id is for after authentication, so that a
 * stranger learns nothing from it. */
static bool path_matches(const char *pattern, struct span path, struct match *m)
{
	const char *p = path.at, *end = path.at + path.len;

	while (*pattern) {
		if (*pattern != '{') {
			if (p == end || *p++ != *pattern++)
				return false;
			continue;
		}
		const char *stop = memchr(p, '/', (size_t)(end - p));
		const struct span segment = {p, (size_t)((stop ? stop : end) - p)};

		if (segment.len == 0)
			return false;
		m->id_ok = parse_id(segment, pattern + 1, &m->id);
		m->text = segment;
		p += segment.len;
		pattern += strlen("{xxx}");
	}
	return p == end;
}

static void allow(struct match *m, enum http_method method)
{
	const size_t n = strlen(m->allow);

	snprintf(m->allow + n, sizeof(m->allow) - n, "%s%s%s", n ? ", " : "",
		http_method_name(method), method == HTTP_GET ? ", HEAD" : "");
}

struct match router_match(enum http_method method, struct span path)
{
	struct match m = {.status = 404};

	method = method == HTTP_HEAD ? HTTP_GET : method;
	for (size_t i = 0; i < n_routes; i++) {
		if (!path_matches(routes[i].pattern, path, &m))
			continue;
		if (routes[i].method == method) {
			m.route = &routes[i];
			m.status = 0;
			return m;
		}
		m.status = 405;
		allow(&m, routes[i].method);
	}
	return m;
}
