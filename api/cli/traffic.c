#include <stdio.h>
#include <string.h>

#include "api/cli/args.h"
#include "api/cli/columns.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"
#include "base/clock.h"

static const struct column columns[] = {
	{"TIME", "at", COLUMN_TIME},
	{"DEVICE", "device_id", COLUMN_TEXT},
	{"RECEIVED", "rx", COLUMN_BYTES},
	{"SENT", "tx", COLUMN_BYTES},
};

static void add_time(char path[PATH_TEXT], const char *name, const char *value)
{
	const struct clock clock = clock_system();
	char at[32];

	if (value && args_time(value, clock_real_ms(&clock), true, at) == 0)
		rest_query(path, PATH_TEXT, name, at);
}

static enum exit_code path_of(struct args *a, char path[PATH_TEXT])
{
	enum exit_code rc = EXIT_FINE;
	char id[ID_TEXT];

	if (a->n_operands > 0) {
		rc = find_device(a, a->operand[0], id);
		if (rc == EXIT_FINE)
			rest_query(path, PATH_TEXT, "device_id", id);
	}
	if (rc == EXIT_FINE && option(a, OPT_USER)) {
		rc = find_user(a, option(a, OPT_USER), id);
		if (rc == EXIT_FINE)
			rest_query(path, PATH_TEXT, "user_id", id);
	}
	add_time(path, "from", option(a, OPT_FROM));
	add_time(path, "to", option(a, OPT_TO));
	rest_query(path, PATH_TEXT, "step", option(a, OPT_STEP));
	return rc;
}

/* A row for each point. */
static json_t *rows_of(const json_t *doc)
{
	json_t *rows = json_array();
	const json_t *one, *point;
	size_t i, k;

	json_array_foreach(json_object_get(doc, "series"), i, one)
	{
		const char *device = rest_text(one, "device_id");

		json_array_foreach(json_object_get(one, "points"), k, point)
		{
			json_array_append_new(rows,
				json_pack("{s:O, s:s, s:O, s:O}", "at", json_array_get(point, 0),
					"device_id", device[0] ? device : "all", "rx",
					json_array_get(point, 1), "tx", json_array_get(point, 2)));
		}
	}
	return rows;
}

enum exit_code run_traffic(struct args *a)
{
	char path[PATH_TEXT] = "/v1/traffic";
	ANSWER got = {.status = 0};
	const enum exit_code rc = path_of(a, path);
	JSON_OWNED rows = NULL;

	if (rc)
		return rc;
	if (!rest_call(&a->rest, "GET", path, NULL, &got))
		return fail_rest("traffic", &got);
	if (option(a, OPT_JSON)) {
		print_json(got.doc);
		return EXIT_FINE;
	}
	rows = rows_of(got.doc);
	columns_print(stdout, columns_width(stdout), columns, ARRAY_SIZE(columns), rows);
	return EXIT_FINE;
}
