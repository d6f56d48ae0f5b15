#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/columns.h"
#include "api/cli/find.h"
#include "api/cli/nouns.h"

enum { ROWS = 50 }; /* unless --count asks for others */

static const struct column list_columns[] = {
	{"NO.", "sequence", COLUMN_NUMBER},
	{"AT", "at", COLUMN_TIME},
	{"WHO", "actor.name", COLUMN_TEXT},
	{"FROM", "from", COLUMN_TEXT},
	{"ACTION", "action", COLUMN_TEXT},
	{"OUTCOME", "outcome", COLUMN_TEXT},
	{"OBJECT", "object", COLUMN_TEXT},
	{"DETAIL", "detail", COLUMN_TEXT},
};
static const struct column verify_columns[] = {
	{"whole", "ok", COLUMN_YES},
	{"rows", "rows", COLUMN_NUMBER},
	{"first", "first", COLUMN_NUMBER},
	{"last", "last", COLUMN_NUMBER},
	{"hash of the last", "hash", COLUMN_TEXT},
};

enum exit_code run_audit_list(struct args *a)
{
	char path[PATH_TEXT] = "/v1/audit", user[ID_TEXT];
	const char *count = option(a, OPT_COUNT);
	const size_t most = count ? strtoul(count, NULL, 10) : ROWS;

	if (option(a, OPT_USER)) {
		const enum exit_code rc = find_user(a, option(a, OPT_USER), user);

		if (rc)
			return rc;
		rest_query(path, sizeof(path), "actor", user);
	}
	rest_query(path, sizeof(path), "action", option(a, OPT_ACTION));
	rest_query(path, sizeof(path), "object", option(a, OPT_OBJECT));
	return list_show(a, path, most, list_columns, ARRAY_SIZE(list_columns));
}

enum exit_code run_audit_verify(struct args *a)
{
	ANSWER state = {.status = 0};
	bool ok;

	if (!rest_call(&a->rest, "GET", "/v1/audit/verify", NULL, &state))
		return fail_rest("audit verify", &state);
	ok = json_is_true(json_object_get(state.doc, "ok"));
	if (option(a, OPT_JSON))
		print_json(state.doc);
	else if (ok)
		columns_details(stdout, verify_columns, ARRAY_SIZE(verify_columns), state.doc);
	if (ok)
		return EXIT_FINE;
	return fail("the audit log was changed: it breaks at row %lld",
		(long long)json_integer_value(json_object_get(state.doc, "broken_at")));
}
