#include "api/cli/find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/columns.h"
#include "api/cli/text.h"

enum { PAGES_MAX = 2000 }; /* a million objects */

void print_json(const json_t *doc)
{
	/* A terminal gets nothing that is not ASCII: names are what users wrote. */
	const size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;

	json_dumpf(doc, stdout, JSON_INDENT(2) | ascii);
	putchar('\n');
}

enum exit_code change(
	struct args *a, const char *method, const char *path, json_t *body, const char *done)
{
	ANSWER made = {.status = 0};

	if (!rest_call(&a->rest, method, path, body, &made))
		return fail_rest(a->command->words, &made);
	if (option(a, OPT_JSON) && made.doc)
		print_json(made.doc);
	else if (done && !option(a, OPT_JSON))
		tell("%s", done);
	return EXIT_FINE;
}

/* ---- lists ---- */

static void take_page(json_t *items, const json_t *doc, size_t most)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(doc, "items"), i, one)
	{
		if (!most || json_array_size(items) < most)
			json_array_append(items, one);
	}
}

enum exit_code list_all(struct args *a, const char *path, size_t most, json_t **items)
{
	const char mark = strchr(path, '?') ? '&' : '?';
	char cursor[128] = "", page[PATH_TEXT + 64];
	JSON_OWNED all = json_array();

	*items = NULL;
	for (size_t n = 0; n < PAGES_MAX; n++) {
		ANSWER got = {.status = 0};
		char next[128];

		snprintf(page, sizeof(page), "%s%climit=%zu%s%s", path, mark,
			most && most < 500 ? most : 500, cursor[0] ? "&cursor=" : "", cursor);
		if (!rest_call(&a->rest, "GET", page, NULL, &got))
			return fail_rest(a->command->words, &got);
		take_page(all, got.doc, most);
		rest_escape(rest_text(got.doc, "next_cursor"), next, sizeof(next));
		/* A cursor that stays would never end. */
		if (next[0] == '\0' || strcmp(next, cursor) == 0 ||
			(most && json_array_size(all) >= most))
			goto out;
		memcpy(cursor, next, sizeof(cursor));
	}
	return fail("%s: the list has no end", a->command->words);
out:
	*items = json_incref(all);
	return EXIT_FINE;
}

enum exit_code list_show(
	struct args *a, const char *path, size_t most, const struct column *c, size_t n)
{
	JSON_OWNED items = NULL;
	enum exit_code rc = list_all(a, path, most, &items);

	if (rc)
		return rc;
	if (option(a, OPT_JSON)) {
		JSON_OWNED doc = json_pack("{s:O, s:n}", "items", items, "next_cursor");

		print_json(doc);
		return EXIT_FINE;
	}
	add_names(a, items, false);
	columns_print(stdout, columns_width(stdout), c, n, items);
	return EXIT_FINE;
}

/* ---- names ---- */

bool is_id(const char *text, const char *prefix)
{
	return strncmp(text, prefix, 4) == 0 && strlen(text) == 30 &&
	       strspn(text + 4, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == 26;
}

/* All users, or only oneself where the role sees no others. */
static json_t *users_of(struct args *a)
{
	ANSWER me = {.status = 0};
	ANSWER first = {.status = 0};
	json_t *all = NULL;

	if (rest_call(&a->rest, "GET", "/v1/users?limit=1", NULL, &first)) {
		if (list_all(a, "/v1/users", 0, &all))
			return json_array();
		return all;
	}
	if (rest_call(&a->rest, "GET", "/v1/me", NULL, &me))
		return json_pack("[O]", json_object_get(me.doc, "user"));
	return json_array();
}

/* Names by id: there may be ten thousand on either side. */
static json_t *index_of(const json_t *items)
{
	json_t *names = json_object();
	const json_t *one;
	size_t i;

	json_array_foreach(items, i, one)
		json_object_set(names, rest_text(one, "id"), json_object_get(one, "name"));
	return names;
}

static void put_name(json_t *row, const char *member, const json_t *names, const char *id)
{
	const char *name = json_string_value(json_object_get(names, id));

	json_object_set_new(row, member, json_string(name ? name : id));
}

void add_names(struct args *a, json_t *items, bool devices)
{
	JSON_OWNED all_users = NULL;
	JSON_OWNED all_devices = NULL;
	JSON_OWNED users = NULL;
	JSON_OWNED of_devices = NULL;
	json_t *row;
	size_t i;

	if (!json_object_get(json_array_get(items, 0), "user_id"))
		return;
	all_users = users_of(a);
	users = index_of(all_users);
	if (devices && list_all(a, "/v1/devices", 0, &all_devices))
		all_devices = json_array();
	of_devices = index_of(all_devices);
	json_array_foreach(items, i, row)
	{
		put_name(row, "user", users, rest_text(row, "user_id"));
		if (devices)
			put_name(row, "device", of_devices, rest_text(row, "device_id"));
	}
}

/* ---- one of them ---- */

static bool is_called(const json_t *one, const char *what)
{
	const char *name = rest_text(one, "name"), *owner = rest_text(one, "user");
	const size_t n = strlen(owner);

	return strcmp(name, what) == 0 ||
	       (n > 0 && strncmp(what, owner, n) == 0 && what[n] == '/' &&
		       strcmp(what + n + 1, name) == 0);
}

static enum exit_code tell_candidates(const char *kind, const char *what, const json_t *found)
{
	const json_t *one;
	char line[400] = "";
	size_t i, at = 0;

	json_array_foreach(found, i, one)
	{
		const char *owner = rest_text(one, "user");

		if (at < sizeof(line))
			at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%s%s%s (%s)",
				i ? ", " : "", owner, owner[0] ? "/" : "", rest_text(one, "name"),
				rest_text(one, "id"));
	}
	fail("more than one %s is called %s: %s", kind, what, line);
	return EXIT_FAILED;
}

static const struct {
	const char *kind, *prefix, *list;
} objects[] = {
	[OBJECT_USER] = {"user", "usr_", "/v1/users"},
	[OBJECT_DEVICE] = {"device", "dev_", "/v1/devices"},
	[OBJECT_TOKEN] = {"token", "tok_", "/v1/tokens"},
};

const char *object_kind(enum object o)
{
	return objects[o].kind;
}

/* Among the items by name, "user/name" or id. */
static enum exit_code choose(
	const char *kind, const char *what, const json_t *items, char id[ID_TEXT])
{
	JSON_OWNED found = json_array();
	json_t *one;
	size_t i;

	json_array_foreach(items, i, one)
	{
		if (strcmp(rest_text(one, "id"), what) == 0 || is_called(one, what))
			json_array_append(found, one);
	}
	if (json_array_size(found) > 1)
		return tell_candidates(kind, what, found);
	if (json_array_size(found) == 0) {
		fail("there is no %s %s", kind, what);
		return EXIT_NOT_FOUND;
	}
	snprintf(id, ID_TEXT, "%s", rest_text(json_array_get(found, 0), "id"));
	return EXIT_FINE;
}

static enum exit_code find(struct args *a, enum object o, const char *what, char id[ID_TEXT])
{
	JSON_OWNED items = NULL;
	enum exit_code rc;

	if (is_id(what, objects[o].prefix)) {
		snprintf(id, ID_TEXT, "%s", what);
		return EXIT_FINE;
	}
	rc = list_all(a, objects[o].list, 0, &items);
	if (rc)
		return rc;
	add_names(a, items, false);
	return choose(objects[o].kind, what, items, id);
}

enum exit_code find_user(struct args *a, const char *what, char id[ID_TEXT])
{
	return find(a, OBJECT_USER, what, id);
}

enum exit_code find_device(struct args *a, const char *what, char id[ID_TEXT])
{
	return find(a, OBJECT_DEVICE, what, id);
}

enum exit_code find_path(struct args *a, enum object o, char path[PATH_TEXT])
{
	char id[ID_TEXT];
	const enum exit_code rc = find(a, o, a->operand[0], id);

	if (rc == EXIT_FINE)
		snprintf(path, PATH_TEXT, "%s/%s", objects[o].list, id);
	return rc;
}

enum exit_code find_me(struct args *a, char id[ID_TEXT])
{
	ANSWER me = {.status = 0};

	if (!rest_call(&a->rest, "GET", "/v1/me", NULL, &me))
		return fail_rest(a->command->words, &me);
	snprintf(id, ID_TEXT, "%s", rest_text(json_object_get(me.doc, "user"), "id"));
	return EXIT_FINE;
}
